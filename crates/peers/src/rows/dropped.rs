//! A future dropped in the middle of a statement: when the place is of use again. The pool has one connection, so the
//! next caller gets that one or none.

use std::time::Duration;

use tokio::time::{Instant, timeout};

use super::PATIENT;
use crate::book::Measured;
use crate::pools::{Bb8, Deadpool, Forebay, Stock, acquire, fill, names};
use crate::run::{Bench, Turn};
use crate::stage::Stage;
use crate::{BenchError, Held, Peer, Row, Statement};

pub(crate) const USABLE: &str = "usable again after, ms";
const HANDED_OVER: &str = "handed over after, ms";
pub(crate) const CASE: &str = "1 connection";
const STATEMENT_MS: f64 = 300.0;
const DROPPED_AFTER: Duration = Duration::from_millis(50);
const TIMES: u32 = 2;

pub(crate) async fn play(bench: &mut Bench<'_>) -> Result<(), BenchError> {
    let (plan, stage) = (bench.plan, bench.stage);
    let options = &stage.options;
    bench.book.remark(
        Row::Dropped,
        "Usable is when SELECT 1 of the next caller is answered. Handed over long before that means that the next caller \
         was given a connection that is still busy.",
    );
    for round in 0..plan.rounds {
        let turns = vec![
            Turn::new(CASE, names::FOREBAY, async { measure(Forebay::fixed(options, 1)?).await }),
            Turn::new(CASE, names::SQLX, async { measure(Stock::pinging(options, 1)).await }),
            Turn::new(CASE, names::SQLX_NO_PING, async { measure(Stock::trusting(options, 1, None)).await }),
            Turn::new(CASE, names::DEADPOOL, async { measure(Deadpool::new(options, 1, None)?).await }),
            Turn::new(CASE, names::BB8, async { measure(Bb8::new(options, 1, None)).await }),
            Turn::new(CASE, names::BARE, bare(stage)),
        ];
        bench.round(Row::Dropped, round, turns).await?;
    }
    Ok(())
}

async fn measure<P: Peer<Lease: Held>>(peer: P) -> Result<Measured, BenchError> {
    fill(&peer, 1).await?;
    let (mut handed_over, mut usable) = (0.0, 0.0);
    for _ in 0..TIMES {
        let mut lease = acquire(&peer, PATIENT).await?;
        leave(lease.run(Statement::Sleep(STATEMENT_MS))).await?;
        let began = Instant::now();
        drop(lease);
        let mut lease = acquire(&peer, PATIENT).await?;
        handed_over += millis(began);
        lease.run(Statement::One).await?;
        usable += millis(began);
    }
    peer.close().await;
    let mean = |sum: f64| sum / f64::from(TIMES);
    Ok(Measured::of([(USABLE, mean(usable)), (HANDED_OVER, mean(handed_over))]))
}

async fn bare(stage: &Stage) -> Result<Measured, BenchError> {
    let mut connection = stage.connect().await?;
    Statement::One.on(&mut connection).await?;
    let mut usable = 0.0;
    for _ in 0..TIMES {
        leave(Statement::Sleep(STATEMENT_MS).on(&mut connection)).await?;
        let began = Instant::now();
        Statement::One.on(&mut connection).await?;
        usable += millis(began);
    }
    Ok(Measured::of([(USABLE, usable / f64::from(TIMES))]))
}

async fn leave(statement: impl Future<Output = sqlx::Result<()>>) -> Result<(), BenchError> {
    match timeout(DROPPED_AFTER, statement).await {
        Err(_left) => Ok(()),
        Ok(answer) => Err(BenchError::turn(format!("the statement ended before it could be left: {answer:?}"))),
    }
}

fn millis(began: Instant) -> f64 {
    began.elapsed().as_secs_f64() * 1e3
}
