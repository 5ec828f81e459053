//! E2: a load that is well, ten times what the database can do, and the load from before.

use std::time::Duration;

use super::capacity::{ANSWERS, Bare, Service};
use super::load::Stretch;
use super::overload::TUNED_WAIT;
use super::scene::Scene;
use super::verdict::Frame;
use crate::book::Measured;
use crate::pools::{Bb8, Deadpool, Forebay, Limited, Stock, let_in, names};
use crate::run::{Bench, Turn};
use crate::{BenchError, Held, Peer, Plan, Row};

pub(crate) const CASE: &str = "0.6x, 10x, 0.6x";
const BASE: f64 = 0.6;
const SPIKE: f64 = 10.0;

pub(crate) async fn play(bench: &mut Bench<'_>) -> Result<(), BenchError> {
    let (plan, stage) = (bench.plan, bench.stage);
    let options = &stage.options;
    let service = Service::find(bench).await?;
    let size = service.best.size;
    bench.book.remark(Row::Spike, service.described());
    bench.book.remark(
        Row::Spike,
        "Nobody comes back. Tuned and limited pools have the best size; the limit lets a quarter more requests in.",
    );
    for round in 0..plan.rounds {
        let capacity = Bare { stage, work: service.work }.answers(size, plan.span()).await?;
        bench.book.enter(Row::Spike, CASE, names::BARE, round, Measured::of([(ANSWERS, capacity)]));
        stage.settle().await?;
        let (stretches, frame) = course(plan, capacity);
        let setup = &Setup { scene: Scene::new(stage, plan, round, &stretches, service.work), frame };
        let wait = Some(TUNED_WAIT);
        let turns = vec![
            setup.turn(names::FOREBAY, 1, || Forebay::by_default(options)),
            setup.turn(names::FOREBAY_FIXED, size, || Forebay::fixed(options, size)),
            setup.turn(names::SQLX, 1, || Ok(Stock::by_default(options))),
            setup.turn(names::SQLX_TUNED, size, || Ok(Stock::trusting(options, size, wait))),
            setup.turn(names::DEADPOOL_DEFAULT, 1, || Deadpool::by_default(options)),
            setup.turn(names::BB8_DEFAULT, 1, || Ok(Bb8::by_default(options))),
            setup.turn(names::LIMITED, size, || Ok(Limited::new(Deadpool::new(options, size, None)?, let_in(size)))),
            setup.turn(names::SQLX_LIMITED, size, || {
                Ok(Limited::new(Stock::trusting(options, size, None), let_in(size)))
            }),
        ];
        bench.round(Row::Spike, round, turns).await?;
    }
    Ok(())
}

fn course(plan: &Plan, capacity: f64) -> ([Stretch; 3], Frame) {
    // As long as in the simulator. The burst at its beginning is not what the 99th percentile lies in then; the 99.9th tells of it.
    let lasts = [plan.second, 30 * plan.second, 3 * plan.second];
    let rates = [BASE, SPIKE, BASE].map(|load| load * capacity);
    let stretches = [0, 1, 2].map(|at| Stretch { lasts: lasts[at], rate: rates[at] });
    let (from, to): (Duration, Duration) = (lasts[0], lasts[0] + lasts[1]);
    (stretches, Frame { from, to, end: to + lasts[2], capacity })
}

struct Setup<'s> {
    scene: Scene<'s>,
    frame: Frame,
}

impl Setup<'_> {
    fn turn<'t, P: Peer<Lease: Held>>(
        &'t self,
        pool: &'static str,
        filled: u32,
        open: impl FnOnce() -> Result<P, BenchError> + 't,
    ) -> Turn<'t> {
        Turn::new(CASE, pool, async move {
            let told = |visits: &[_], sessions| self.frame.measure(visits, sessions).values;
            self.scene.play(open()?, filled, told).await
        })
    }
}
