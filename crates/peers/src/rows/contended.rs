//! Acquire and release by many tasks. Each holds its connection for one trip through the run queue, so that there is
//! always a queue before the pool.

use super::PATIENT;
use super::crowd::{Counted, Tally, watch};
use crate::book::Measured;
use crate::pools::{Bb8, Deadpool, Forebay, Permits, Stock, fill, names};
use crate::run::{Bench, Turn};
use crate::stage::Stage;
use crate::{BenchError, Held, Peer, Plan, Refused, Row};

pub(crate) const COST: &str = "ns per acquire and release";
pub(crate) const FAIRNESS: &str = "most / least per task";
const STARVED: &str = "tasks that got nothing";
const SIZE: u32 = 8;
const REFUSED: &str = "refused, %";

pub(crate) fn case(tasks: usize) -> String {
    format!("{tasks} tasks")
}

pub(crate) async fn play(bench: &mut Bench<'_>) -> Result<(), BenchError> {
    let (plan, stage) = (bench.plan, bench.stage);
    let options = &stage.options;
    bench.book.remark(
        Row::Contended,
        "Ours refuses by default whom it expects to wait for too long. Until it has seen how fast the leases come back, it may be \
         wrong; who is refused lets the others go on and asks again. Refusals are counted as all else is, after the warm-up.",
    );
    for round in 0..plan.rounds {
        let mut turns = Vec::new();
        for &tasks in &plan.tasks {
            let case = || case(tasks);
            let setup = Setup { plan, stage, tasks };
            turns.extend([
                Turn::new(case(), names::FOREBAY, async move { setup.pooled(Forebay::fixed(options, SIZE)?).await }),
                Turn::new(case(), names::SQLX, async move { setup.pooled(Stock::pinging(options, SIZE)).await }),
                Turn::new(case(), names::SQLX_NO_PING, async move {
                    setup.pooled(Stock::trusting(options, SIZE, None)).await
                }),
                Turn::new(
                    case(),
                    names::DEADPOOL,
                    async move { setup.pooled(Deadpool::new(options, SIZE, None)?).await },
                ),
                Turn::new(case(), names::BB8, async move { setup.pooled(Bb8::new(options, SIZE, None)).await }),
                Turn::new(case(), names::SEMAPHORE, async move { setup.measure(Permits::new(SIZE as usize)).await }),
            ]);
        }
        bench.round(Row::Contended, round, turns).await?;
    }
    Ok(())
}

#[derive(Clone, Copy)]
struct Setup<'s> {
    plan: &'s Plan,
    stage: &'s Stage,
    tasks: usize,
}

impl Setup<'_> {
    async fn pooled<P: Peer<Lease: Held>>(self, peer: P) -> Result<Measured, BenchError> {
        fill(&peer, SIZE).await?;
        self.measure(peer).await
    }

    async fn measure<P: Peer>(self, peer: P) -> Result<Measured, BenchError> {
        let work = |tally| come_and_go(peer.clone(), tally);
        let counted = watch(self.plan.span(), self.stage.postmaster(), self.tasks, work).await?;
        peer.close().await;
        Ok(measured(&counted))
    }
}

fn measured(counted: &Counted) -> Measured {
    Measured::of([
        (COST, counted.nanos()),
        (FAIRNESS, counted.unfairness()),
        (STARVED, counted.starved()),
        (REFUSED, counted.refused()),
    ])
}

async fn come_and_go<P: Peer>(peer: P, tally: Tally) -> Result<(), BenchError> {
    while !tally.is_over() {
        match peer.acquire(PATIENT).await {
            Ok(lease) => {
                tokio::task::yield_now().await;
                drop(lease);
                tally.count();
            }
            Err(Refused::Busy { .. }) => tally.refused().await,
            Err(Refused::Failed(why)) => return Err(BenchError::Turn(why)),
        }
    }
    Ok(())
}
