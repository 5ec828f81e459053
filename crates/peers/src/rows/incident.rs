//! E3: the incident. Holders keep most of a pool and do nothing with it, and a spike comes.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::PATIENT;
use super::capacity::{ANSWERS, Bare, Service};
use super::load::{Manners, Stretch, Visit};
use super::overload::TUNED_WAIT;
use super::scene::Scene;
use super::verdict::{Frame, GOODPUT, RECOVERY, percent};
use crate::book::Measured;
use crate::pools::{Deadpool, Forebay, Limited, Stock, acquire, fill, let_in, names};
use crate::run::{Bench, Turn};
use crate::{BenchError, Held, Peer, Plan, Row, Statement};

pub(crate) const CASE: &str = "12 of 20 leaked";
pub(crate) const REGAINED: &str = "places regained after, ms";
const TAKEN_BACK: &str = "connections taken back after, ms";
pub(crate) const LOST: &str = "users without an answer, spike, %";
const LOST_AFTER: &str = "users without an answer, afterwards, %";
const SIZE: u32 = 20;
const LEAKED: u32 = 12;
const BASE: f64 = 0.4;
const SPIKE: f64 = 1.2;
const INSISTING: Manners = Manners::Insist { attempts: 3, pause: Duration::from_millis(100) };

pub(crate) async fn play(bench: &mut Bench<'_>) -> Result<(), BenchError> {
    let (plan, stage) = (bench.plan, bench.stage);
    let options = &stage.options;
    let service = Service::find(bench).await?;
    bench.book.remark(Row::Incident, service.described());
    bench.book.remark(
        Row::Incident,
        format!(
            "Pools of {SIZE}, of which {LEAKED} are taken for one statement and never given back; then {BASE} of what {SIZE} connections \
             can do for {:.1} s, {SPIKE} for {:.1} s, {BASE} for {:.1} s. Each caller tries three times, 100 ms apart, with 250 ms \
             for each. {} has its default ceiling of 60. The limit lets {} requests in.",
            2.0 * plan.second.as_secs_f64(),
            5.0 * plan.second.as_secs_f64(),
            3.0 * plan.second.as_secs_f64(),
            names::FOREBAY,
            let_in(SIZE),
        ),
    );
    for round in 0..plan.rounds {
        let capacity = Bare { stage, work: service.work }.answers(SIZE, plan.span()).await?;
        bench.book.enter(Row::Incident, CASE, names::BARE, round, Measured::of([(ANSWERS, capacity)]));
        stage.settle().await?;
        let (stretches, frame) = course(plan, capacity);
        let scene = Scene::new(stage, plan, round, &stretches, service.work).with(INSISTING);
        let setup = &Setup { scene, frame };
        let wait = Some(TUNED_WAIT);
        let turns = vec![
            Turn::new(CASE, names::FOREBAY, async { setup.watched(Forebay::by_default(options)?).await }),
            Turn::new(CASE, names::FOREBAY_TWENTY, async { setup.watched(Forebay::up_to(options, SIZE)?).await }),
            Turn::new(CASE, names::SQLX, async { setup.plain(Stock::pinging(options, SIZE)).await }),
            Turn::new(CASE, names::SQLX_TUNED, async { setup.plain(Stock::trusting(options, SIZE, wait)).await }),
            Turn::new(CASE, names::DEADPOOL, async { setup.plain(Deadpool::new(options, SIZE, None)?).await }),
            Turn::new(CASE, names::LIMITED, async {
                setup.plain(Limited::new(Deadpool::new(options, SIZE, None)?, let_in(SIZE))).await
            }),
        ];
        bench.round(Row::Incident, round, turns).await?;
    }
    Ok(())
}

fn course(plan: &Plan, capacity: f64) -> ([Stretch; 3], Frame) {
    let lasts = [2, 5, 3].map(|seconds| seconds * plan.second);
    let rates = [BASE, SPIKE, BASE].map(|load| load * capacity);
    let stretches = [0, 1, 2].map(|at| Stretch { lasts: lasts[at], rate: rates[at] });
    let (from, to) = (lasts[0], lasts[0] + lasts[1]);
    (stretches, Frame { from, to, end: to + lasts[2], capacity })
}

struct Setup<'s> {
    scene: Scene<'s>,
    frame: Frame,
}

impl Setup<'_> {
    async fn plain<P: Peer<Lease: Held>>(&self, peer: P) -> Result<Measured, BenchError> {
        let leaked = leak(&peer).await?;
        let measured = self.scene.play(peer, 0, |visits, _sessions| self.told(visits)).await;
        drop(leaked);
        measured
    }

    /// The same, and when ours noticed.
    async fn watched(&self, peer: Forebay) -> Result<Measured, BenchError> {
        let leaked = leak(&peer).await?;
        let noticed = tokio::spawn(notice(peer.clone()));
        let mut measured = self.scene.play(peer, 0, |visits, _sessions| self.told(visits)).await?;
        drop(leaked);
        measured.values.extend(noticed.await.map_err(BenchError::turn)?);
        Ok(measured)
    }

    fn told(&self, visits: &[Visit]) -> Vec<(&'static str, f64)> {
        let Frame { from, to, end, .. } = self.frame;
        vec![
            (LOST, lost(visits, from, to)),
            (LOST_AFTER, lost(visits, to, end)),
            (GOODPUT, self.frame.goodput(visits, to)),
            (RECOVERY, self.frame.recovery(visits).as_secs_f64() * 1e3),
        ]
    }
}

fn lost(visits: &[Visit], from: Duration, to: Duration) -> f64 {
    let came: Vec<&Visit> = visits.iter().filter(|visit| (from..to).contains(&visit.planned)).collect();
    percent(came.iter().filter(|visit| !visit.is_good()).count(), came.len())
}

async fn leak<P: Peer<Lease: Held>>(peer: &P) -> Result<Vec<P::Lease>, BenchError> {
    fill(peer, 1).await?;
    let mut leases = Vec::new();
    for _ in 0..LEAKED {
        let mut lease = acquire(peer, PATIENT).await?;
        lease.run(Statement::One).await?;
        leases.push(lease);
    }
    Ok(leases)
}

/// When all leaked places were given to others, and when all leaked connections were taken back, from the last leak on. Others
/// may become suspects too, but none within the first second.
async fn notice(peer: Forebay) -> Vec<(&'static str, f64)> {
    let began = Instant::now();
    let mut found = Vec::new();
    while found.len() < 2 && began.elapsed() < Duration::from_secs(8) {
        let totals = peer.pool().snapshot().totals;
        let seen = [(REGAINED, totals.suspected), (TAKEN_BACK, totals.revoked)];
        for (metric, count) in seen.into_iter().skip(found.len()) {
            if count >= u64::from(LEAKED) {
                found.push((metric, began.elapsed().as_secs_f64() * 1e3));
            }
        }
        sleep(Duration::from_millis(5)).await;
    }
    found
}
