//! E9: those who were refused in a spike come back when they are told to.

use std::time::Duration;

use super::capacity::{ANSWERS, Bare, Service};
use super::load::{Manners, Stretch, Visit};
use super::scene::Scene;
use super::verdict::percent;
use crate::book::Measured;
use crate::pools::{Deadpool, Forebay, Limited, let_in, names};
use crate::run::{Bench, Turn};
use crate::{BenchError, Held, Peer, Row};

pub(crate) const CASE: &str = "0.3x, 10x for half a second, 0.3x";
pub(crate) const EXTRA: &str = "extra attempts per refused request";
const PEAK: &str = "most that came back in a second, x";
const SERVED: &str = "of the refused served in the end, %";
const BASE: f64 = 0.3;
const SPIKE: f64 = 10.0;

pub(crate) async fn play(bench: &mut Bench<'_>) -> Result<(), BenchError> {
    let (plan, stage) = (bench.plan, bench.stage);
    let options = &stage.options;
    let service = Service::find(bench).await?;
    let size = service.best.size;
    bench.book.remark(Row::Herd, service.described());
    let [before, spike, after] = [plan.second, plan.second / 2, 16 * plan.second];
    bench.book.remark(
        Row::Herd,
        format!(
            "{BASE} of the capacity, {SPIKE} times for {:.2} s, then {BASE} for {:.0} s. Callers come back when the refusal said, as long as the \
             trial lasts; told nothing they back off from 0.1 s up to 5 s with full jitter. Counted are the refused of the spike, and \
             who comes back from a second after it. The limit lets {} requests in.",
            spike.as_secs_f64(),
            after.as_secs_f64(),
            let_in(size),
        ),
    );
    for round in 0..plan.rounds {
        let capacity = Bare { stage, work: service.work }.answers(size, plan.span()).await?;
        bench.book.enter(Row::Herd, CASE, names::BARE, round, Measured::of([(ANSWERS, capacity)]));
        stage.settle().await?;
        let stretches = [(before, BASE), (spike, SPIKE), (after, BASE)]
            .map(|(lasts, load)| Stretch { lasts, rate: load * capacity });
        let until = before + spike + after;
        let scene = Scene::new(stage, plan, round, &stretches, service.work).with(Manners::Honour { until });
        let setup = &Setup { scene, from: before, to: before + spike, end: until, second: plan.second, capacity };
        let limited = || Ok(Limited::new(Deadpool::new(options, size, None)?, let_in(size)));
        let turns = vec![
            setup.turn(names::FOREBAY, 1, || Forebay::by_default(options)),
            setup.turn(names::FOREBAY_FIXED, size, || Forebay::fixed(options, size)),
            setup.turn(names::LIMITED, size, limited),
            setup.turn(names::LIMITED_TELLING, size, || limited().map(|peer| peer.telling(Duration::from_secs(1)))),
        ];
        bench.round(Row::Herd, round, turns).await?;
    }
    Ok(())
}

struct Setup<'s> {
    scene: Scene<'s>,
    from: Duration,
    to: Duration,
    end: Duration,
    second: Duration,
    capacity: f64,
}

impl Setup<'_> {
    fn turn<'t, P: Peer<Lease: Held>>(
        &'t self,
        pool: &'static str,
        filled: u32,
        open: impl FnOnce() -> Result<P, BenchError> + 't,
    ) -> Turn<'t> {
        Turn::new(CASE, pool, async move { self.scene.play(open()?, filled, |visits, _| self.told(visits)).await })
    }

    fn told(&self, visits: &[Visit]) -> Vec<(&'static str, f64)> {
        let within = self.from..self.to;
        let refused = visits.iter().filter(|visit| within.contains(&visit.planned) && !visit.refused.is_empty());
        let refused: Vec<&Visit> = refused.collect();
        let extra: usize = refused.iter().map(|visit| visit.again.len()).sum();
        let served = refused.iter().filter(|visit| visit.is_good()).count();
        vec![
            (EXTRA, extra as f64 / refused.len().max(1) as f64),
            (PEAK, self.peak(visits)),
            (SERVED, percent(served, refused.len())),
        ]
    }

    /// Over the capacity of a second, in windows that begin every tenth of one.
    fn peak(&self, visits: &[Visit]) -> f64 {
        let mut again: Vec<Duration> = visits.iter().flat_map(|visit| visit.again.iter().copied()).collect();
        again.sort();
        let mut most = 0;
        let mut at = self.to + self.second;
        while at < self.end {
            let count = |until| again.partition_point(|moment| *moment < until);
            most = most.max(count(at + Duration::from_secs(1)) - count(at));
            at += self.second / 10;
        }
        most as f64 / self.capacity
    }
}
