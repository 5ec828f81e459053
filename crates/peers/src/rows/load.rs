//! Open-loop load: callers that arrive by chance, wait for nobody before them, and leave after their patience is over by
//! dropping what they wait for.

use std::time::Duration;

use rand::RngExt as _;
use rand::rngs::StdRng;
use tokio::time::Instant;

use crate::{BenchError, Held, Peer, Refused, Statement};

/// When a caller has no use for an answer any more; it counts from the planned arrival.
pub(crate) const PATIENCE: Duration = Duration::from_millis(250);

/// A stretch of load at one rate.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stretch {
    pub(crate) lasts: Duration,
    /// Arrivals a second.
    pub(crate) rate: f64,
}

/// When callers arrive, from the start: a Poisson process.
pub(crate) fn arrivals(stretches: &[Stretch], dice: &mut StdRng) -> Vec<Duration> {
    let mut all = Vec::new();
    let mut began = 0.0;
    for stretch in stretches {
        let end = began + stretch.lasts.as_secs_f64();
        let mut at = began;
        loop {
            let chance: f64 = dice.random();
            at -= (1.0 - chance).ln() / stretch.rate;
            if at >= end {
                break;
            }
            all.push(Duration::from_secs_f64(at));
        }
        began = end;
    }
    all
}

/// What became of one caller. Times count from the start of the load.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Visit {
    pub(crate) planned: Duration,
    /// When it really came.
    pub(crate) came: Duration,
    /// How long it waited for its connection, if it got one.
    pub(crate) waited: Option<Duration>,
    pub(crate) ended: Duration,
    pub(crate) end: End,
}

/// How a visit ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Answered,
    Refused,
    /// The caller's patience was over.
    Left,
    /// Something broke.
    Failed,
}

impl Visit {
    pub(crate) fn is_good(&self) -> bool {
        self.end == End::Answered && self.ended.saturating_sub(self.planned) <= PATIENCE
    }
}

/// Sends the callers, and says what became of each.
pub(crate) async fn play<P: Peer<Lease: Held>>(
    peer: &P,
    arrivals: &[Duration],
    statement: Statement,
) -> Result<Vec<Visit>, BenchError> {
    let start = Instant::now();
    let mut callers = Vec::with_capacity(arrivals.len());
    for &planned in arrivals {
        if start + planned > Instant::now() {
            tokio::time::sleep_until(start + planned).await;
        }
        callers.push(tokio::spawn(visit(peer.clone(), start, planned, statement)));
    }
    let mut visits = Vec::with_capacity(callers.len());
    for caller in callers {
        visits.push(caller.await.map_err(BenchError::turn)?);
    }
    Ok(visits)
}

async fn visit<P: Peer<Lease: Held>>(peer: P, start: Instant, planned: Duration, statement: Statement) -> Visit {
    let came = start.elapsed();
    let mut waited = None;
    let answer = tokio::time::timeout_at(start + planned + PATIENCE, async {
        let mut lease = match peer.acquire((planned + PATIENCE).saturating_sub(came)).await {
            Ok(lease) => lease,
            Err(Refused::Busy) => return End::Refused,
            Err(Refused::Failed(_)) => return End::Failed,
        };
        waited = Some(start.elapsed().saturating_sub(came));
        lease.run(statement).await.map_or(End::Failed, |()| End::Answered)
    });
    let end = answer.await.unwrap_or(End::Left);
    Visit { planned, came, waited, ended: start.elapsed(), end }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng as _;

    use super::*;

    #[test]
    fn arrivals_keep_to_the_rates_of_their_stretches_and_to_their_seed() {
        let second = Duration::from_secs(1);
        let stretches = [Stretch { lasts: 10 * second, rate: 100.0 }, Stretch { lasts: 10 * second, rate: 1_000.0 }];
        let draw = || arrivals(&stretches, &mut StdRng::seed_from_u64(7));
        let slow = draw().iter().filter(|at| **at < 10 * second).count();
        assert!((900..1_100).contains(&slow), "{slow}");
        assert!((9_700..10_300).contains(&(draw().len() - slow)));
        assert!(draw().is_sorted());
        assert_eq!(draw(), draw());
    }
}
