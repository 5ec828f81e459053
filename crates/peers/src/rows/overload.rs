//! Open-loop overload. The capacity is what closed loops on connections without a pool get out of the database, at the size
//! that suits it best; the loads are multiples of it.

use std::sync::Arc;
use std::time::Duration;

use rand::SeedableRng as _;
use rand::rngs::StdRng;
use rand::seq::SliceRandom as _;

use super::capacity::{ANSWERS, Bare, Service};
use super::load::{Caller, Manners, PATIENCE, Stretch, arrivals};
use super::scene::Scene;
use super::verdict::Frame;
use crate::book::Measured;
use crate::plan::Span;
use crate::pools::{Bb8, Deadpool, Forebay, Limited, Stock, let_in, names};
use crate::run::{Bench, Turn};
use crate::stage::Stage;
use crate::work::Work;
use crate::{BenchError, Held, Peer, Plan, Row};

/// What tuned pools let callers wait.
pub(crate) const TUNED_WAIT: Duration = Duration::from_millis(60);

pub(crate) fn case(load: f64) -> String {
    format!("{load}x")
}

pub(crate) async fn play(bench: &mut Bench<'_>) -> Result<(), BenchError> {
    let (plan, stage) = (bench.plan, bench.stage);
    let service = Service::find(bench).await?;
    bench.book.remark(Row::Overload, service.described());
    bench.book.remark(Row::Overload, tuned(service.best.size));
    let (work, size) = (service.work, service.best.size);
    for round in 0..plan.rounds {
        let mut loads = plan.loads.clone();
        loads.shuffle(&mut bench.dice);
        for load in loads {
            let span = Span { window: 2 * plan.window, ..plan.span() };
            let capacity = Bare { stage, work }.answers(size, span).await?;
            bench.book.enter(Row::Overload, &case(load), names::BARE, round, Measured::of([(ANSWERS, capacity)]));
            bench.say(&format!("overload: {size} connections answer {capacity:.0} a second; {load}x"));
            stage.settle().await?;
            let turns = Setup { plan, stage, work, size, capacity, load, round }.turns();
            bench.round(Row::Overload, round, turns).await?;
        }
    }
    Ok(())
}

fn tuned(size: u32) -> String {
    format!(
        "Tuned is: {size} connections, no pings before a lease, a wait limit of {} ms. The limit before deadpool lets {} \
         requests in. Callers arrive by chance (Poisson), wait for nobody, and drop what they wait for {} ms after their \
         planned arrival; goodput is answers within that time over the lesser of what arrived and what the capacity \
         allows that was measured just before the turns of that load.",
        TUNED_WAIT.as_millis(),
        let_in(size),
        PATIENCE.as_millis(),
    )
}

#[derive(Clone, Copy)]
struct Setup<'s> {
    plan: &'s Plan,
    stage: &'s Stage,
    work: Work,
    size: u32,
    capacity: f64,
    load: f64,
    round: u32,
}

impl<'s> Setup<'s> {
    fn turns(self) -> Vec<Turn<'s>> {
        let Self { stage: Stage { options, .. }, size, .. } = self;
        let (callers, wait) = (&self.callers().into(), Some(TUNED_WAIT));
        vec![
            self.turn(names::FOREBAY, 1, callers, || Forebay::by_default(options)),
            self.turn(names::FOREBAY_FIXED, size, callers, move || Forebay::fixed(options, size)),
            self.turn(names::SQLX, 1, callers, || Ok(Stock::by_default(options))),
            self.turn(names::SQLX_TUNED, size, callers, move || Ok(Stock::trusting(options, size, wait))),
            self.turn(names::DEADPOOL_TUNED, size, callers, move || Deadpool::new(options, size, wait)),
            self.turn(names::DEADPOOL_DEFAULT, 1, callers, || Deadpool::by_default(options)),
            self.turn(names::BB8_DEFAULT, 1, callers, || Ok(Bb8::by_default(options))),
            self.turn(names::BB8_TUNED, size, callers, move || Ok(Bb8::new(options, size, wait))),
            self.turn(names::LIMITED, size, callers, move || {
                Ok(Limited::new(Deadpool::new(options, size, None)?, let_in(size)))
            }),
        ]
    }

    /// The pool is opened when its turn comes, with so many connections.
    fn turn<P: Peer<Lease: Held>>(
        self,
        pool: &'static str,
        filled: u32,
        callers: &Arc<[Caller]>,
        open: impl FnOnce() -> Result<P, BenchError> + 's,
    ) -> Turn<'s> {
        let callers = Arc::clone(callers);
        Turn::new(case(self.load), pool, async move { self.measure(open()?, filled, callers).await })
    }

    fn stretches(self) -> [Stretch; 3] {
        let half = self.capacity / 2.0;
        let after = if self.load >= 2.0 { self.plan.after } else { Duration::ZERO };
        [(self.plan.before, half), (self.plan.during, self.capacity * self.load), (after, half)]
            .map(|(lasts, rate)| Stretch { lasts, rate })
    }

    /// The same for all pools of a round.
    fn callers(self) -> Vec<Caller> {
        let seed = self.plan.seed ^ (u64::from(self.round) << 32) ^ self.load.to_bits();
        Caller::alike(&arrivals(&self.stretches(), &mut StdRng::seed_from_u64(seed)), self.work)
    }

    async fn measure<P: Peer<Lease: Held>>(
        self,
        peer: P,
        filled: u32,
        callers: Arc<[Caller]>,
    ) -> Result<Measured, BenchError> {
        let [before, during, after] = self.stretches();
        let frame = Frame {
            from: before.lasts,
            to: before.lasts + during.lasts,
            end: before.lasts + during.lasts + after.lasts,
            capacity: self.capacity,
        };
        let scene = Scene { stage: self.stage, callers, manners: Manners::Leave };
        scene.play(peer, filled, |visits, sessions| frame.measure(visits, sessions).values).await
    }
}
