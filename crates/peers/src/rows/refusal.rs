//! What it costs to say no while every connection is taken. Of ours as many callers wait as it lets wait.

use std::pin::Pin;
use std::time::Duration;

use forebay_pool::{Acquire, Admission, Class};
use futures_util::FutureExt as _;
use tokio::time::Instant;

use super::PATIENT;
use crate::book::Measured;
use crate::pools::{Deadpool, Forebay, Permits, Stock, acquire, fill, names};
use crate::run::{Bench, Turn};
use crate::{BenchError, Held, Peer, Plan, Row};

pub(crate) const METRIC: &str = "ns per refusal";
pub(crate) const CASE: &str = "8 connections taken";
const SIZE: u32 = 8;
/// More than any pool lets wait.
const CROWD: usize = 5_000;
/// The clock is read once for so many.
const BATCH: u32 = 64;

pub(crate) async fn play(bench: &mut Bench<'_>) -> Result<(), BenchError> {
    let (plan, options) = (bench.plan, &bench.stage.options);
    bench.book.remark(
        Row::Refusal,
        "Ours has a queue, and refuses the next one. The others have no rule for that: sqlx is asked by try_acquire, deadpool \
         with a wait of zero, the semaphore by try_acquire. bb8 cannot be asked without waiting.",
    );
    for round in 0..plan.rounds {
        let turns = vec![
            Turn::new(CASE, names::FOREBAY_ADMIT, async {
                let refuses = |peer: &Forebay, admission: &Admission| peer.pool().admit(admission).is_err();
                ours(plan, Forebay::fixed(options, SIZE)?, refuses).await
            }),
            Turn::new(CASE, names::FOREBAY, async {
                let refuses = |peer: &Forebay, admission: &Admission| {
                    matches!(at_once(peer.pool().acquire(admission)), Some(Err(_)))
                };
                ours(plan, Forebay::fixed(options, SIZE)?, refuses).await
            }),
            Turn::new(CASE, names::SQLX, async {
                let peer = Stock::pinging(options, SIZE);
                rival(plan, &peer, async || peer.pool().try_acquire().is_none()).await
            }),
            Turn::new(CASE, names::DEADPOOL, async {
                let peer = Deadpool::new(options, SIZE, None)?;
                rival(plan, &peer, async || peer.refuses().await).await
            }),
            Turn::new(CASE, names::SEMAPHORE, async {
                let permits = Permits::new(0);
                refusals(plan, async || permits.refuses()).await
            }),
        ];
        bench.round(Row::Refusal, round, turns).await?;
    }
    Ok(())
}

async fn take_all<P: Peer<Lease: Held>>(peer: &P) -> Result<Vec<P::Lease>, BenchError> {
    fill(peer, SIZE).await?;
    let mut leases = Vec::new();
    for _ in 0..SIZE {
        leases.push(acquire(peer, PATIENT).await?);
    }
    Ok(leases)
}

/// Its waiters leave one by one when they have waited too long; then others take their places, and the clock stands still.
async fn ours(
    plan: &Plan,
    peer: Forebay,
    refuses: impl Fn(&Forebay, &Admission) -> bool,
) -> Result<Measured, BenchError> {
    let leases = take_all(&peer).await?;
    let admission = Admission::within(Class::Normal, PATIENT);
    let mut waiting = Vec::new();
    let (mut spent, mut refused) = (Duration::ZERO, 0_u32);
    let mut fresh = true;
    for time in [plan.warm_up, plan.window.min(LONGEST)] {
        (spent, refused) = (Duration::ZERO, 0);
        let until = Instant::now() + time;
        while Instant::now() < until {
            if fresh {
                wait_in_line(&peer, &admission, &mut waiting)?;
                // Lets the pool take notice of those who left.
                tokio::task::yield_now().await;
            }
            let began = Instant::now();
            fresh = !(0..BATCH).all(|_| refuses(&peer, &admission));
            if !fresh {
                spent += began.elapsed();
                refused += BATCH;
            }
        }
    }
    drop((waiting, leases));
    peer.close().await;
    match refused {
        0 => Err(BenchError::turn("it was to refuse, and did not")),
        refused => Ok(Measured::of([(METRIC, spent.as_secs_f64() * 1e9 / f64::from(refused))])),
    }
}

/// The answer, if it is there at once: a task that asked as often without a yield would else be asked to yield instead.
fn at_once<F: Future>(asked: F) -> Option<F::Output> {
    tokio::task::unconstrained(asked).now_or_never()
}

/// Lets callers wait until the next would be refused.
fn wait_in_line(peer: &Forebay, admission: &Admission, waiting: &mut Vec<Pin<Box<Acquire>>>) -> Result<(), BenchError> {
    waiting.retain_mut(|caller| at_once(caller.as_mut()).is_none());
    while peer.pool().admit(admission).is_ok() {
        if waiting.len() > CROWD {
            return Err(BenchError::turn("it lets any number of callers wait"));
        }
        let mut caller = Box::pin(peer.pool().acquire(admission));
        match at_once(caller.as_mut()) {
            None => waiting.push(caller),
            Some(Ok(_)) => return Err(BenchError::turn("it lent a connection though all were taken")),
            Some(Err(_)) => break,
        }
    }
    Ok(())
}

async fn rival<P: Peer<Lease: Held>>(
    plan: &Plan,
    peer: &P,
    refuses: impl AsyncFn() -> bool,
) -> Result<Measured, BenchError> {
    let leases = take_all(peer).await?;
    let measured = refusals(plan, refuses).await;
    drop(leases);
    peer.clone().close().await;
    measured
}

/// Less than the second after which the leases that saturate ours would be suspects.
const LONGEST: Duration = Duration::from_millis(200);

async fn refusals(plan: &Plan, refuses: impl AsyncFn() -> bool) -> Result<Measured, BenchError> {
    let mut cost = 0.0;
    for time in [plan.warm_up, plan.window.min(LONGEST)] {
        let began = Instant::now();
        let mut asked = 0_u32;
        while began.elapsed() < time {
            for _ in 0..BATCH {
                if !refuses().await {
                    return Err(BenchError::turn("it was to refuse, and did not"));
                }
            }
            asked += BATCH;
        }
        cost = began.elapsed().as_secs_f64() * 1e9 / f64::from(asked);
    }
    Ok(Measured::of([(METRIC, cost)]))
}
