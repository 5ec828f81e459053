//! Open-loop load: callers that arrive by chance, wait for nobody before them, and leave after their patience is over by
//! dropping what they wait for; some come back.

use std::time::Duration;

use rand::RngExt as _;
use rand::rngs::StdRng;
use tokio::time::Instant;

use crate::work::{Work, chance};
use crate::{BenchError, Held, Peer, Refused};

/// When a caller has no use for an answer any more; it counts from the planned arrival, or from where a later attempt
/// begins.
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

/// One who wants something, once.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Caller {
    /// When it comes, from the start of the load.
    pub(crate) planned: Duration,
    pub(crate) work: Work,
    /// Whether it must not be lost to the others.
    pub(crate) critical: bool,
}

impl Caller {
    /// One for each arrival, all alike.
    pub(crate) fn alike(arrivals: &[Duration], work: Work) -> Vec<Self> {
        arrivals.iter().map(|&planned| Self { planned, work, critical: false }).collect()
    }

    /// The same with other work.
    pub(crate) const fn doing(self, work: Work) -> Self {
        Self { work, ..self }
    }
}

/// What callers do when an attempt came to nothing.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Manners {
    /// They go away for good.
    Leave,
    /// They try again so many times at the most, always after this pause, whatever happened.
    Insist { attempts: u32, pause: Duration },
    /// Those who were refused come back when they were told to, as long as it takes until `until`; told nothing they back off,
    /// from 0.1 s up to 5 s, with full jitter. Nobody else comes back.
    Honour { until: Duration },
}

/// What became of one caller. Times count from the start of the load.
#[derive(Clone, Debug)]
pub(crate) struct Visit {
    pub(crate) planned: Duration,
    pub(crate) critical: bool,
    /// When it really came for the first time.
    pub(crate) came: Duration,
    /// How long its last attempt waited for a connection, if it got one.
    pub(crate) waited: Option<Duration>,
    pub(crate) ended: Duration,
    /// How its last attempt ended.
    pub(crate) end: End,
    /// When its later attempts began.
    pub(crate) again: Vec<Duration>,
    /// When it was refused.
    pub(crate) refused: Vec<Duration>,
}

/// How an attempt ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Answered,
    Refused {
        /// When it was told to come back.
        after: Option<Duration>,
    },
    /// The caller's patience was over.
    Left,
    /// Something broke.
    Failed,
}

impl Visit {
    /// Answered within the patience of its last attempt.
    pub(crate) fn is_good(&self) -> bool {
        let from = self.again.last().copied().unwrap_or(self.planned);
        self.end == End::Answered && self.ended.saturating_sub(from) <= PATIENCE
    }

    pub(crate) const fn was_refused(&self) -> bool {
        matches!(self.end, End::Refused { .. })
    }
}

/// Sends the callers, and says what became of each.
pub(crate) async fn play<P: Peer<Lease: Held>>(
    peer: &P,
    callers: &[Caller],
    manners: Manners,
) -> Result<Vec<Visit>, BenchError> {
    let start = Instant::now();
    let mut under_way = Vec::with_capacity(callers.len());
    for (seed, &caller) in (0..).zip(callers) {
        if start + caller.planned > Instant::now() {
            tokio::time::sleep_until(start + caller.planned).await;
        }
        under_way.push(tokio::spawn(visit(peer.clone(), start, caller, manners, seed)));
    }
    let mut visits = Vec::with_capacity(under_way.len());
    for caller in under_way {
        visits.push(caller.await.map_err(BenchError::turn)?);
    }
    Ok(visits)
}

async fn visit<P: Peer<Lease: Held>>(peer: P, start: Instant, caller: Caller, manners: Manners, seed: u64) -> Visit {
    let Caller { planned, critical, .. } = caller;
    let mut visit = Visit {
        planned,
        critical,
        came: start.elapsed(),
        waited: None,
        ended: planned,
        end: End::Failed,
        again: Vec::new(),
        refused: Vec::new(),
    };
    let mut from = planned;
    loop {
        visit.end = attempt(&peer, start, from, caller, seed, &mut visit.waited).await;
        visit.ended = start.elapsed();
        visit.refused.extend(visit.was_refused().then_some(visit.ended));
        let attempts = 1 + visit.again.len();
        let Some(pause) = manners.pause(visit.end, visit.ended, attempts, seed) else { return visit };
        from = visit.ended + pause;
        tokio::time::sleep_until(start + from).await;
        visit.again.push(from);
    }
}

async fn attempt<P: Peer<Lease: Held>>(
    peer: &P,
    start: Instant,
    from: Duration,
    caller: Caller,
    seed: u64,
    waited: &mut Option<Duration>,
) -> End {
    let came = start.elapsed();
    let within = (from + PATIENCE).saturating_sub(came);
    let answer = tokio::time::timeout_at(start + from + PATIENCE, async {
        let lease = if caller.critical { peer.acquire_first(within).await } else { peer.acquire(within).await };
        let mut lease = match lease {
            Ok(lease) => lease,
            Err(Refused::Busy { after }) => return End::Refused { after },
            Err(Refused::Failed(_)) => return End::Failed,
        };
        *waited = Some(start.elapsed().saturating_sub(came));
        lease.work(caller.work, seed).await.map_or(End::Failed, |()| End::Answered)
    });
    answer.await.unwrap_or(End::Left)
}

impl Manners {
    /// How long to wait before the next attempt; `None` where there is none.
    fn pause(self, end: End, now: Duration, attempts: usize, seed: u64) -> Option<Duration> {
        match (self, end) {
            (_, End::Answered) | (Self::Leave, _) => None,
            (Self::Insist { attempts: most, pause }, _) => (attempts < most as usize).then_some(pause),
            (Self::Honour { until }, End::Refused { after }) => {
                let pause = after.unwrap_or_else(|| backoff(attempts, seed));
                (now + pause < until).then_some(pause)
            }
            (Self::Honour { .. }, _) => None,
        }
    }
}

/// Full jitter below an exponential bound (Brooker, "Exponential backoff and jitter", 2015).
fn backoff(attempts: usize, seed: u64) -> Duration {
    let exponent = i32::try_from(attempts.min(10)).unwrap_or(10) - 1;
    let bound = (0.1 * 2_f64.powi(exponent)).min(5.0);
    Duration::from_secs_f64(bound * chance(seed ^ ((attempts as u64) << 40)))
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
