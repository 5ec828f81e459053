//! E6: the database changes under three times its load, and the pools are not told.

use std::time::Duration;

use super::capacity::{ANSWERS, Bare};
use super::load::Stretch;
use super::overload::TUNED_WAIT;
use super::scene::Scene;
use super::verdict::Frame;
use crate::book::Measured;
use crate::pools::{Deadpool, Forebay, Limited, Stock, names};
use crate::run::{Bench, Turn};
use crate::work::Work;
use crate::{BenchError, Held, Peer, Plan, Row, Statement};

pub(crate) const FIRST: &str = "goodput, first second after";
pub(crate) const LAST: &str = "goodput, from the second second on";
const BEFORE: &str = "goodput before";
const LOAD: f64 = 3.0;
const SLEEP_MS: f64 = 4.0;
const WORK: Duration = Duration::from_millis(1);
/// Sizes among which the best is looked for after a change.
const SIZES: [u32; 4] = [2, 8, 24, 48];

/// What the database becomes.
pub(crate) const COURSES: [&str; 3] = ["waits 12 times longer", "works 4 times longer", "all want one row"];

pub(crate) async fn play(bench: &mut Bench<'_>) -> Result<(), BenchError> {
    let (plan, stage) = (bench.plan, bench.stage);
    let loops = stage.loops_for(WORK).await?;
    let service = |sleep_ms, loops| Work::Single(Statement::Service { sleep_ms, loops });
    let before = service(SLEEP_MS, loops);
    let best = Bare { stage, work: before }.best(plan).await?;
    let after = [service(12.0 * SLEEP_MS, loops), service(SLEEP_MS, 4 * loops), Work::Single(Statement::Hot(loops))];
    bench.book.remark(
        Row::Tracking,
        format!(
            "At first each statement waits for {SLEEP_MS} ms and works for {} ms. Answers a second by static size, without a pool: {}. \
             Best is {}. {LOAD} times the best is offered throughout, and nobody comes back; after {:.1} s the statements that come \
             wait or work for longer, or all add to one row and work for 1 ms under its lock. Goodput is over what the best of \
             {SIZES:?} connections can do then, without a pool.",
            WORK.as_millis(),
            best.tried(),
            best.size,
            2.0 * plan.second.as_secs_f64(),
        ),
    );
    for round in 0..plan.rounds {
        for (case, work) in COURSES.into_iter().zip(after) {
            let capacities = [best_of(bench, before, &[best.size]).await?, best_of(bench, work, &SIZES).await?];
            bench.book.enter(Row::Tracking, case, names::BARE, round, Measured::of([(ANSWERS, capacities[1])]));
            let seat = &Seat::new(bench, round, [before, work], capacities);
            bench.round(Row::Tracking, round, seat.turns(case, best.size)).await?;
        }
    }
    Ok(())
}

async fn best_of(bench: &Bench<'_>, work: Work, sizes: &[u32]) -> Result<f64, BenchError> {
    let mut most = 0.0_f64;
    for &size in sizes {
        most = most.max(Bare { stage: bench.stage, work }.answers(size, bench.plan.span()).await?);
        bench.stage.settle().await?;
    }
    Ok(most)
}

struct Seat<'s> {
    scene: Scene<'s>,
    frames: [(&'static str, Frame); 3],
}

impl<'s> Seat<'s> {
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

    fn turns<'t>(&'t self, case: &'static str, size: u32) -> Vec<Turn<'t>> {
        let (options, wait) = (&self.scene.stage.options, Some(TUNED_WAIT));
        let limited = move |requests| Ok(Limited::new(Deadpool::new(options, size, None)?, requests));
        vec![
            self.turn(case, names::FOREBAY, 1, || Forebay::by_default(options)),
            self.turn(case, names::SQLX, 1, || Ok(Stock::by_default(options))),
            self.turn(case, names::SQLX_TUNED, size, move || Ok(Stock::trusting(options, size, wait))),
            self.turn(case, names::LIMITED, size, move || limited(2 * size)),
            self.turn(case, names::LIMITED_WIDE, size, move || limited(8 * size)),
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
