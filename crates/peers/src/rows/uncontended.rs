//! Acquire and release by one task, as fast as it can, on a pool whose connections are open. It is a task of the runtime,
//! as handlers are.

use std::time::Duration;

use tokio::time::Instant;

use super::PATIENT;
use crate::book::Measured;
use crate::pools::{Bb8, Deadpool, Forebay, Permits, Stock, fill, names};
use crate::run::{Bench, Turn};
use crate::{BenchError, Held, Peer, Plan, Row};

pub(crate) const METRIC: &str = "ns per acquire and release";
pub(crate) const CASE: &str = "1 task";
const SIZE: u32 = 8;

pub(crate) async fn play(bench: &mut Bench<'_>) -> Result<(), BenchError> {
    let (plan, options) = (bench.plan, &bench.stage.options);
    bench.book.remark(
        Row::Uncontended,
        "Each acquire of ours makes an admission with a deadline, as a request would; its price is included. sqlx and bb8 arm \
         a timer at each acquire, deadpool where it has a wait limit, the semaphore never.",
    );
    for round in 0..plan.rounds {
        let turns = vec![
            Turn::new(CASE, names::FOREBAY, async { pooled(plan, Forebay::fixed(options, SIZE)?).await }),
            Turn::new(CASE, names::FOREBAY_CONTINUING, async {
                pooled(plan, Forebay::fixed(options, SIZE)?.continuing()).await
            }),
            Turn::new(CASE, names::SQLX, async { pooled(plan, Stock::pinging(options, SIZE)).await }),
            Turn::new(CASE, names::SQLX_NO_PING, async { pooled(plan, Stock::trusting(options, SIZE, None)).await }),
            Turn::new(CASE, names::DEADPOOL, async { pooled(plan, Deadpool::new(options, SIZE, None)?).await }),
            Turn::new(CASE, names::DEADPOOL_LIMIT, async {
                pooled(plan, Deadpool::new(options, SIZE, Some(PATIENT))?).await
            }),
            Turn::new(CASE, names::BB8, async { pooled(plan, Bb8::new(options, SIZE, None)).await }),
            Turn::new(CASE, names::SEMAPHORE, async { measure(plan, Permits::new(SIZE as usize)).await }),
        ];
        bench.round(Row::Uncontended, round, turns).await?;
    }
    Ok(())
}

async fn pooled<P: Peer<Lease: Held>>(plan: &Plan, peer: P) -> Result<Measured, BenchError> {
    fill(&peer, SIZE).await?;
    measure(plan, peer).await
}

async fn measure<P: Peer>(plan: &Plan, peer: P) -> Result<Measured, BenchError> {
    let (warm_up, window) = (plan.warm_up, plan.window);
    let task = peer.clone();
    let busy = tokio::spawn(async move {
        cycle(&task, warm_up).await?;
        cycle(&task, window).await
    });
    let cost = busy.await.map_err(BenchError::turn)??;
    peer.close().await;
    Ok(Measured::of([(METRIC, cost)]))
}

/// Nanoseconds per acquire and release.
async fn cycle<P: Peer>(peer: &P, time: Duration) -> Result<f64, BenchError> {
    let began = Instant::now();
    let mut cycles = 0_u32;
    while began.elapsed() < time {
        // The clock is read once for many, or it would be a third of what is measured.
        for _ in 0..64 {
            drop(peer.acquire(PATIENT).await.map_err(|refused| BenchError::turn(format!("{refused:?}")))?);
        }
        cycles += 64;
    }
    Ok(began.elapsed().as_secs_f64() * 1e9 / f64::from(cycles))
}
