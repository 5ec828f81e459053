//! Open-loop overload. The capacity is what closed loops on connections without a pool get out of the database, at the size
//! that suits it best; the loads are multiples of it.

use std::sync::Arc;
use std::time::Duration;

use rand::SeedableRng as _;
use rand::rngs::StdRng;
use rand::seq::SliceRandom as _;

use super::crowd::{Tally, watch};
use super::load::{PATIENCE, Stretch, arrivals, play as play_load};
use super::verdict::Frame;
use crate::book::{Measured, Spread};
use crate::pools::{Bb8, Deadpool, Forebay, Limited, Stock, fill, names};
use crate::run::{Bench, Turn};
use crate::stage::Stage;
use crate::{BenchError, Held, Peer, Plan, Row, Statement};

const SLEEP_MS: f64 = 16.0;
const WORK: Duration = Duration::from_millis(4);
/// What tuned pools let callers wait.
const TUNED_WAIT: Duration = Duration::from_millis(60);
/// A size is as good as the best if its throughput is.
const AS_GOOD: f64 = 0.98;
pub(crate) const CAPACITY: &str = "answers/s";

pub(crate) fn case(load: f64) -> String {
    format!("{load}x")
}

pub(crate) async fn play(bench: &mut Bench<'_>) -> Result<(), BenchError> {
    let (plan, stage) = (bench.plan, bench.stage);
    let statement = Statement::Service { sleep_ms: SLEEP_MS, loops: stage.loops_for(WORK).await? };
    let size = best_size(bench, statement).await?;
    for round in 0..plan.rounds {
        let mut loads = plan.loads.clone();
        loads.shuffle(&mut bench.dice);
        for load in loads {
            let capacity = Bare { plan, stage, statement }.capacity(size, 2 * plan.window).await?;
            bench.book.enter(Row::Overload, &case(load), names::BARE, round, Measured::of([(CAPACITY, capacity)]));
            bench.say(&format!("overload: {size} connections answer {capacity:.0} a second; {load}x"));
            stage.settle().await?;
            let turns = Seat { plan, stage, statement, size, capacity, load, round }.turns();
            bench.round(Row::Overload, round, turns).await?;
        }
    }
    Ok(())
}

/// The smallest size that is as good as the best.
async fn best_size(bench: &mut Bench<'_>, statement: Statement) -> Result<u32, BenchError> {
    let (plan, stage) = (bench.plan, bench.stage);
    let mut found = Vec::new();
    for &size in &plan.static_sizes {
        let mut rates = Vec::new();
        for _ in 0..3 {
            rates.push(Bare { plan, stage, statement }.capacity(size, plan.window).await?);
            stage.settle().await?;
        }
        found.extend(Spread::of(rates).map(|rates| (size, rates.median)));
    }
    let most = found.iter().map(|(_, rate)| *rate).fold(0.0, f64::max);
    let best = found.iter().find(|(_, rate)| *rate >= AS_GOOD * most).map_or(1, |(size, _)| *size);
    let tried: Vec<String> = found.iter().map(|(size, rate)| format!("{size}: {rate:.0}")).collect();
    let service = WORK.as_millis();
    bench.book.remark(
        Row::Overload,
        format!(
            "Each caller asks for one statement: {SLEEP_MS} ms of sleep, then work that takes the server's processor {service} ms \
             when nobody else is there. Answers a second by static size, without a pool: {}. Best is {best}, the smallest \
             within 2 % of the most.",
            tried.join(", ")
        ),
    );
    bench.book.remark(
        Row::Overload,
        format!(
            "Tuned is: {best} connections, no pings before a lease, a wait limit of {} ms. The limit before deadpool lets {} \
             requests in. Callers arrive by chance (Poisson), wait for nobody, and drop what they wait for {} ms after their \
             planned arrival; goodput is answers within that time over the lesser of what arrived and what the capacity \
             allows that was measured just before the turns of that load.",
            TUNED_WAIT.as_millis(),
            2 * best,
            PATIENCE.as_millis(),
        ),
    );
    Ok(best)
}

struct Bare<'s> {
    plan: &'s Plan,
    stage: &'s Stage,
    statement: Statement,
}

impl Bare<'_> {
    /// Answers a second of so many connections, each of a task that asks again at once.
    async fn capacity(&self, size: u32, window: Duration) -> Result<f64, BenchError> {
        let mut connections = Vec::new();
        for _ in 0..size {
            let mut connection = self.stage.connect().await?;
            self.statement.on(&mut connection).await?;
            connections.push(connection);
        }
        let connections = std::sync::Mutex::new(connections);
        let statement = self.statement;
        let work = |tally: Tally| {
            let mut connection = connections.lock().expect("nobody panics with it").pop().expect("one for each task");
            async move {
                while !tally.is_over() {
                    statement.on(&mut connection).await?;
                    tally.count();
                }
                Ok(())
            }
        };
        let plan = Plan { window, ..self.plan.clone() };
        Ok(watch(&plan, self.stage.postmaster(), size as usize, work).await?.per_second())
    }
}

#[derive(Clone, Copy)]
struct Seat<'s> {
    plan: &'s Plan,
    stage: &'s Stage,
    statement: Statement,
    size: u32,
    capacity: f64,
    load: f64,
    round: u32,
}

impl<'s> Seat<'s> {
    fn turns(self) -> Vec<Turn<'s>> {
        let Self { stage: Stage { options, .. }, size, .. } = self;
        let (arrivals, wait) = (&self.arrivals().into(), Some(TUNED_WAIT));
        vec![
            self.turn(names::FOREBAY, 1, arrivals, || Forebay::by_default(options)),
            self.turn(names::FOREBAY_FIXED, size, arrivals, move || Forebay::fixed(options, size)),
            self.turn(names::SQLX, 1, arrivals, || Ok(Stock::by_default(options))),
            self.turn(names::SQLX_TUNED, size, arrivals, move || Ok(Stock::trusting(options, size, wait))),
            self.turn(names::DEADPOOL_TUNED, size, arrivals, move || Deadpool::new(options, size, wait)),
            self.turn(names::DEADPOOL_DEFAULT, 1, arrivals, || Deadpool::by_default(options)),
            self.turn(names::BB8_DEFAULT, 1, arrivals, || Ok(Bb8::by_default(options))),
            self.turn(names::BB8_TUNED, size, arrivals, move || Ok(Bb8::new(options, size, wait))),
            self.turn(names::LIMITED, size, arrivals, move || {
                Ok(Limited::new(Deadpool::new(options, size, None)?, 2 * size))
            }),
        ]
    }

    /// The pool is opened when its turn comes, with so many connections.
    fn turn<P: Peer<Lease: Held>>(
        self,
        pool: &'static str,
        filled: u32,
        arrivals: &Arc<[Duration]>,
        open: impl FnOnce() -> Result<P, BenchError> + 's,
    ) -> Turn<'s> {
        let arrivals = Arc::clone(arrivals);
        Turn::new(case(self.load), pool, async move { self.measure(open()?, filled, &arrivals).await })
    }

    fn stretches(self) -> [Stretch; 3] {
        let half = self.capacity / 2.0;
        let after = if self.load >= 2.0 { self.plan.after } else { Duration::ZERO };
        [(self.plan.before, half), (self.plan.during, self.capacity * self.load), (after, half)]
            .map(|(lasts, rate)| Stretch { lasts, rate })
    }

    /// The same for all pools of a round.
    fn arrivals(self) -> Vec<Duration> {
        let seed = self.plan.seed ^ (u64::from(self.round) << 32) ^ self.load.to_bits();
        arrivals(&self.stretches(), &mut StdRng::seed_from_u64(seed))
    }

    async fn measure<P: Peer<Lease: Held>>(
        self,
        peer: P,
        filled: u32,
        arrivals: &[Duration],
    ) -> Result<Measured, BenchError> {
        fill(&peer, filled).await?;
        let [before, during, after] = self.stretches();
        let frame = Frame {
            from: before.lasts,
            to: before.lasts + during.lasts,
            end: before.lasts + during.lasts + after.lasts,
            capacity: self.capacity,
        };
        let asked = self.stage.asked_for()?;
        let visits = play_load(&peer, arrivals, self.statement).await?;
        let sessions = asked.since()?;
        // A pool that is in a bad way need not find out of it by itself.
        _ = tokio::time::timeout(Duration::from_secs(5), peer.close()).await;
        Ok(frame.measure(&visits, sessions))
    }
}
