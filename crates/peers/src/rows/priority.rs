//! E8: critical work within a flood of all else.

use super::capacity::{ANSWERS, Bare, Service};
use super::load::{Caller, Stretch, Visit};
use super::overload::TUNED_WAIT;
use super::scene::Scene;
use super::verdict::{Frame, GOODPUT, percent};
use crate::book::Measured;
use crate::pools::{Deadpool, Forebay, Limited, Stock, let_in, names};
use crate::run::{Bench, Turn};
use crate::work::chance;
use crate::{BenchError, Held, Peer, Plan, Row};

pub(crate) const CRITICAL: &str = "critical answered, %";
const OTHERS: &str = "others answered, %";
const FLOOD: f64 = 20.0;
/// What is critical, over the capacity.
pub(crate) const SHARES: [f64; 2] = [0.5, 0.8];

pub(crate) fn case(share: f64) -> String {
    format!("critical {share}x")
}

pub(crate) async fn play(bench: &mut Bench<'_>) -> Result<(), BenchError> {
    let (plan, stage) = (bench.plan, bench.stage);
    let service = Service::find(bench).await?;
    let size = service.best.size;
    bench.book.remark(Row::Priority, service.described());
    bench.book.remark(
        Row::Priority,
        format!(
            "{FLOOD} times the capacity for {:.1} s, of which a part is critical. Only ours knows of it. Answered is within 250 ms. \
             The limit lets {} requests in.",
            3.0 * plan.second.as_secs_f64(),
            let_in(size),
        ),
    );
    for round in 0..plan.rounds {
        for share in SHARES {
            let capacity = Bare { stage, work: service.work }.answers(size, plan.span()).await?;
            bench.book.enter(Row::Priority, &case(share), names::BARE, round, Measured::of([(ANSWERS, capacity)]));
            stage.settle().await?;
            let setup = &Setup::new(bench, round, &service, capacity, share);
            bench.round(Row::Priority, round, setup.turns(size)).await?;
        }
    }
    Ok(())
}

struct Setup<'s> {
    scene: Scene<'s>,
    frame: Frame,
    case: String,
}

impl<'s> Setup<'s> {
    fn new(bench: &Bench<'s>, round: u32, service: &Service, capacity: f64, share: f64) -> Self {
        let Plan { second, .. } = *bench.plan;
        let stretches =
            [(second, 0.6), (3 * second, FLOOD)].map(|(lasts, load)| Stretch { lasts, rate: load * capacity });
        let scene = Scene::new(bench.stage, bench.plan, round, &stretches, service.work);
        let scene = scene.changed(|index, caller| Caller { critical: chance(index as u64) < share / FLOOD, ..caller });
        let frame = Frame { from: second, to: 4 * second, end: 4 * second, capacity };
        Self { scene, frame, case: case(share) }
    }

    fn turns<'t>(&'t self, size: u32) -> Vec<Turn<'t>> {
        let (options, wait) = (&self.scene.stage.options, Some(TUNED_WAIT));
        vec![
            self.turn(names::FOREBAY, 1, || Forebay::by_default(options)),
            self.turn(names::FOREBAY_FIXED, size, move || Forebay::fixed(options, size)),
            self.turn(names::SQLX, 1, || Ok(Stock::by_default(options))),
            self.turn(names::SQLX_TUNED, size, move || Ok(Stock::trusting(options, size, wait))),
            self.turn(names::LIMITED, size, move || {
                Ok(Limited::new(Deadpool::new(options, size, None)?, let_in(size)))
            }),
        ]
    }

    fn turn<'t, P: Peer<Lease: Held>>(
        &'t self,
        pool: &'static str,
        filled: u32,
        open: impl FnOnce() -> Result<P, BenchError> + 't,
    ) -> Turn<'t> {
        Turn::new(
            &*self.case,
            pool,
            async move { self.scene.play(open()?, filled, |visits, _| self.told(visits)).await },
        )
    }

    fn told(&self, visits: &[Visit]) -> Vec<(&'static str, f64)> {
        let answered = |critical| {
            let within = self.frame.from..self.frame.to;
            let came = visits.iter().filter(|visit| visit.critical == critical && within.contains(&visit.planned));
            let came: Vec<&Visit> = came.collect();
            percent(came.iter().filter(|visit| visit.is_good()).count(), came.len())
        };
        vec![
            (CRITICAL, answered(true)),
            (OTHERS, answered(false)),
            (GOODPUT, self.frame.goodput(visits, self.frame.to)),
        ]
    }
}
