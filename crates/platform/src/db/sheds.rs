//! A burst of refusals in one line a class and second: how many, why, and under which trace the first is found.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use forebay_pool::{Class, ShedReason};
use tokio::time::{MissedTickBehavior, interval};

use super::Db;
use crate::trace::Trace;

/// How often what was refused is told.
const EVERY: Duration = Duration::from_secs(1);

const REASONS: usize = ShedReason::ALL.len();

/// What was refused of each class since it was told last.
static OF_PROCESS: [Burst; Class::ALL.len()] = [const { Burst::new() }; Class::ALL.len()];

/// Whoever is refused pays for a count, and the first of a burst for more.
#[derive(Debug)]
struct Burst {
    by_reason: [AtomicU64; REASONS],
    begun: AtomicBool,
    first: Mutex<Option<Trace>>,
}

/// A burst as it is told.
#[derive(Debug)]
struct Told {
    by_reason: [u64; REASONS],
    first: Option<Trace>,
}

fn bursts() -> impl Iterator<Item = (Class, &'static Burst)> {
    Class::ALL.iter().copied().zip(&OF_PROCESS)
}

/// Notes that the request which this task serves was shed.
pub(super) fn note(class: Class, reason: ShedReason) {
    if let Some((_, burst)) = bursts().find(|(known, _)| *known == class) {
        burst.note(reason, Trace::current());
    }
}

/// Tells once a second of what was refused, until it is dropped.
pub async fn tell(db: Db) {
    let mut ticks = interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        for (class, burst) in bursts() {
            if let Some(told) = burst.take() {
                told.log(class, &db);
            }
        }
    }
}

impl Burst {
    const fn new() -> Self {
        Self {
            by_reason: [const { AtomicU64::new(0) }; REASONS],
            begun: AtomicBool::new(false),
            first: Mutex::new(None),
        }
    }

    fn note(&self, reason: ShedReason, trace: Option<Trace>) {
        if let Some(nth) = ShedReason::ALL.iter().position(|known| *known == reason) {
            self.by_reason[nth].fetch_add(1, Ordering::Relaxed);
        }
        if !self.begun.load(Ordering::Relaxed) && !self.begun.swap(true, Ordering::Relaxed) {
            *self.first.lock().unwrap_or_else(PoisonError::into_inner) = trace;
        }
    }

    fn take(&self) -> Option<Told> {
        if !self.begun.swap(false, Ordering::Relaxed) {
            return None;
        }
        let first = self.first.lock().unwrap_or_else(PoisonError::into_inner).take();
        let by_reason = self.by_reason.each_ref().map(|count| count.swap(0, Ordering::Relaxed));
        // One that was counted a moment ago may be in the line before.
        (by_reason.iter().sum::<u64>() > 0).then_some(Told { by_reason, first })
    }
}

impl Told {
    fn log(&self, class: Class, db: &Db) {
        let pool = db.snapshot();
        tracing::warn!(
            class = class.name(),
            count = self.by_reason.iter().sum::<u64>(),
            reasons = %Reasons(&self.by_reason),
            trace_id = self.first.map(tracing::field::display),
            limit = pool.limit,
            in_use = pool.in_use,
            waiting = pool.waiting,
            "requests were shed"
        );
    }
}

/// `predicted_wait 120, sojourn 3`.
struct Reasons<'t>(&'t [u64; REASONS]);

impl fmt::Display for Reasons<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counted = ShedReason::ALL.iter().zip(self.0).filter(|(_, count)| **count > 0);
        for (nth, (reason, count)) in counted.enumerate() {
            write!(f, "{}{} {count}", if nth == 0 { "" } else { ", " }, reason.name())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trace::Context;

    #[test]
    fn a_burst_is_told_once_with_its_reasons_and_its_first_trace() {
        let burst = Burst::new();
        assert!(burst.take().is_none());
        let traces = [(); 3].map(|()| Context::begin().trace());
        burst.note(ShedReason::Sojourn, Some(traces[0]));
        for trace in &traces[1..] {
            burst.note(ShedReason::PredictedWait, Some(*trace));
        }
        let told = burst.take().unwrap();
        assert_eq!(told.first, Some(traces[0]));
        assert_eq!(Reasons(&told.by_reason).to_string(), "predicted_wait 2, sojourn 1");
        assert!(burst.take().is_none());
        burst.note(ShedReason::QueueFull, None);
        assert_eq!(burst.take().map(|told| Reasons(&told.by_reason).to_string()).as_deref(), Some("queue_full 1"));
    }
}
