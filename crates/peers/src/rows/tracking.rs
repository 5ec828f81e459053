//! E6: the database changes under three times its load, and the pools are not told.

use std::time::Duration;

use super::capacity::{ANSWERS, Bare, Best};
use super::load::{PATIENCE, Stretch};
use super::overload::TUNED_WAIT;
use super::scene::Scene;
use super::verdict::Frame;
use crate::book::Measured;
use crate::plan::Span;
use crate::pools::{Deadpool, Forebay, Limited, Stock, let_in, names};
use crate::run::{Bench, Turn};
use crate::work::Work;
use crate::{BenchError, Held, Peer, Plan, Row, Statement};

pub(crate) const FIRST: &str = "goodput, first second after";
pub(crate) const LAST: &str = "goodput, from the second second on";
const BEFORE: &str = "goodput before";
const LOAD: f64 = 3.0;
const SLEEP_MS: f64 = 4.0;
const WORK: Duration = Duration::from_millis(1);
/// The most connections that are tried after a change: of the default ceiling ours has 53 for these callers.
const MOST: u32 = 48;
/// How long a statement takes at the most at a size that is tried after a change: half of the callers' patience, so that who is
/// let in may wait as long as it is served.
const LONGEST_MS: f64 = PATIENCE.as_millis() as f64 / 2.0;

/// What the database becomes.
pub(crate) const COURSES: [&str; 5] = [
    "waits 12 times longer",
    "works 4 times longer",
    "works 10 times longer",
    "works 20 times longer",
    "all want one row",
];

/// What statements become, and the sizes at which they are still answered in time.
struct Change {
    work: Work,
    /// How long each waits, and how long it keeps a processor or the row.
    waits_ms: f64,
    works_ms: f64,
    /// How many work at once.
    servers: f64,
}

impl Change {
    /// What becomes of statements that work for `loops`, in the order of the courses.
    fn all(loops: i32) -> [Self; 5] {
        let cores = std::thread::available_parallelism().map_or(1, usize::from) as f64;
        let millis = WORK.as_secs_f64() * 1e3;
        let service = |waits: f64, works: i32| Self {
            work: Work::Single(Statement::Service { sleep_ms: waits * SLEEP_MS, loops: works * loops }),
            waits_ms: waits * SLEEP_MS,
            works_ms: f64::from(works) * millis,
            servers: cores,
        };
        let row = Self { work: Work::Single(Statement::Hot(loops)), waits_ms: 0.0, works_ms: millis, servers: 1.0 };
        [service(12.0, 1), service(1.0, 4), service(1.0, 10), service(1.0, 20), row]
    }

    /// Whether so many connections answer each in time.
    fn is_in_time_at(&self, size: u32) -> bool {
        size == 1 || self.waits_ms + self.works_ms * (f64::from(size) / self.servers).max(1.0) <= LONGEST_MS
    }

    /// The best of the plan's sizes.
    async fn best(&self, bench: &Bench<'_>) -> Result<Best, BenchError> {
        let all = bench.plan.static_sizes.iter().copied();
        let sizes: Vec<u32> = all.filter(|&size| size <= MOST && self.is_in_time_at(size)).collect();
        Bare { stage: bench.stage, work: self.work }.best_of(&sizes, bench.plan.span()).await
    }
}

pub(crate) async fn play(bench: &mut Bench<'_>) -> Result<(), BenchError> {
    let (plan, stage) = (bench.plan, bench.stage);
    let loops = stage.loops_for(WORK).await?;
    let before = Work::Single(Statement::Service { sleep_ms: SLEEP_MS, loops });
    let best = Bare { stage, work: before }.best(plan).await?;
    bench.book.remark(Row::Tracking, described(plan, &best));
    let mut changes = Vec::new();
    for (case, change) in COURSES.into_iter().zip(Change::all(loops)) {
        let best = change.best(bench).await?;
        bench.book.remark(
            Row::Tracking,
            format!("{case}: answers a second by static size {}; best is {}.", best.tried(), best.size),
        );
        changes.push((case, change.work, best.size));
    }
    for round in 0..plan.rounds {
        for &(case, work, size_after) in &changes {
            let span = Span { window: plan.window.max(2 * plan.second), ..plan.span() };
            let mut capacities = [0.0; 2];
            for (capacity, (work, size)) in capacities.iter_mut().zip([(before, best.size), (work, size_after)]) {
                *capacity = Bare { stage, work }.answers(size, span).await?;
                stage.settle().await?;
            }
            bench.book.enter(Row::Tracking, case, names::BARE, round, Measured::of([(ANSWERS, capacities[1])]));
            let setup = &Setup::new(bench, round, [before, work], capacities);
            bench.round(Row::Tracking, round, setup.turns(case, best.size, size_after)).await?;
        }
    }
    Ok(())
}

fn described(plan: &Plan, best: &Best) -> String {
    format!(
        "At first each statement waits for {SLEEP_MS} ms and works for {} ms. Answers a second by static size, without a pool: {}. \
         Best is {}. {LOAD} times the best is offered throughout, and nobody comes back; after {:.1} s the statements that come \
         wait or work for longer, or all add to one row and work for 1 ms under its lock. Goodput is over what the best size \
         can do then, without a pool, measured anew before each course. Tried are sizes up to {MOST} at which a statement takes \
         {LONGEST_MS:.0} ms at the most, so that whoever is let in can be answered within {} ms: where statements work for 20 ms, \
         {MOST} connections would take 480 ms each on two cores, and answer nobody in time. {} has the best size of after the change from the beginning, and shows what can be reached; tuned \
         rivals have that of before. Limits let {} and {} requests in.",
        WORK.as_millis(),
        best.tried(),
        best.size,
        2.0 * plan.second.as_secs_f64(),
        PATIENCE.as_millis(),
        names::FOREBAY_FIXED,
        let_in(best.size),
        4 * let_in(best.size),
    )
}

struct Setup<'s> {
    scene: Scene<'s>,
    frames: [(&'static str, Frame); 3],
}

impl<'s> Setup<'s> {
    fn new(bench: &Bench<'s>, round: u32, work: [Work; 2], capacities: [f64; 2]) -> Self {
        let Plan { second, .. } = *bench.plan;
        let (at, end) = (2 * second, 6 * second);
        let stretch = Stretch { lasts: end, rate: LOAD * capacities[0] };
        let scene = Scene::new(bench.stage, bench.plan, round, &[stretch], work[0]);
        let scene = scene.changed(|_, caller| if caller.planned < at { caller } else { caller.doing(work[1]) });
        let frame = |from, to, capacity| Frame { from, to, end: to, capacity };
        let frames = [
            (BEFORE, frame(at / 2, at, capacities[0])),
            (FIRST, frame(at, at + second, capacities[1])),
            (LAST, frame(at + second, end, capacities[1])),
        ];
        Self { scene, frames }
    }

    fn turns<'t>(&'t self, case: &'static str, size: u32, after: u32) -> Vec<Turn<'t>> {
        let (options, wait) = (&self.scene.stage.options, Some(TUNED_WAIT));
        let limited = move |requests| Ok(Limited::new(Deadpool::new(options, size, None)?, requests));
        vec![
            self.turn(case, names::FOREBAY, 1, || Forebay::by_default(options)),
            self.turn(case, names::FOREBAY_FIXED, after, move || Forebay::fixed(options, after)),
            self.turn(case, names::SQLX, 1, || Ok(Stock::by_default(options))),
            self.turn(case, names::SQLX_TUNED, size, move || Ok(Stock::trusting(options, size, wait))),
            self.turn(case, names::LIMITED, size, move || limited(let_in(size))),
            self.turn(case, names::LIMITED_WIDE, size, move || limited(4 * let_in(size))),
        ]
    }

    fn turn<'t, P: Peer<Lease: Held>>(
        &'t self,
        case: &'static str,
        pool: &'static str,
        filled: u32,
        open: impl FnOnce() -> Result<P, BenchError> + 't,
    ) -> Turn<'t> {
        Turn::new(case, pool, async move {
            let told =
                |visits: &[_], _| self.frames.map(|(name, frame)| (name, frame.goodput(visits, frame.to))).to_vec();
            self.scene.play(open()?, filled, told).await
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_that_answer_nobody_in_time_are_not_tried() {
        let change = |works_ms| Change { work: Work::Read, waits_ms: 4.0, works_ms, servers: 2.0 };
        assert!(change(4.0).is_in_time_at(48));
        assert!(change(10.0).is_in_time_at(24) && !change(10.0).is_in_time_at(32));
        assert!(change(20.0).is_in_time_at(12) && !change(20.0).is_in_time_at(16));
        assert!(change(1_000.0).is_in_time_at(1), "one size is left whatever happens");
    }
}
