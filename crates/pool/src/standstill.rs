//! Time in which the pool did not run: its process was stopped or suspended, or its runtime's threads were busy with something
//! else. It is nobody's fault, and nobody is judged by it.
//!
//! The pool sees it by its own timers: one that comes late by more than usual had no turn.

use std::future::Future;
use std::pin::pin;
use std::time::{Duration, Instant};

use forebay_pool_core::Standstill;

use crate::clock::now;
use crate::state::{Seat, State};

/// On a busy machine timers are late by less, and nobody is looked at more often than this. So much of each standstill counts as
/// time: where every timer is late, the watch is slower for it and goes on.
const USUAL: Duration = Duration::from_millis(100);
/// What is shorter is noticed together with what follows it.
const LEAST: Duration = Duration::from_millis(20);

/// What is known of the standstills of one pool.
#[derive(Debug)]
pub(crate) struct Standstills {
    /// Until when they were noticed.
    noticed: Instant,
    /// Whether statements are given a turn before the next look at them.
    gives_a_turn: bool,
}

impl Standstills {
    pub(crate) const fn new(now: Instant) -> Self {
        Self { noticed: now, gives_a_turn: false }
    }

    /// The standstill that lasts until now, when the pool's timer has not come although it was `due`. What was noticed before is not
    /// noticed again.
    pub(crate) fn notice(&mut self, due: Option<Instant>, now: Instant) -> Option<Standstill> {
        let due = due.filter(|due| *due < now)?;
        let began = (due + USUAL).max(self.noticed);
        let lasted = now.checked_duration_since(began).filter(|lasted| *lasted >= LEAST)?;
        self.noticed = now;
        Some(Standstill::new(now, lasted))
    }
}

impl State {
    /// Notices that the pool has not run for a while, before anybody is judged.
    pub(crate) fn notice_standstill(&mut self, now: Instant) {
        if self.alarm_at.is_some_and(|due| due < now) {
            self.notice_late_timer(now);
        }
    }

    fn notice_late_timer(&mut self, now: Instant) {
        let Some(standstill) = self.standstills.notice(self.alarm_at, now) else { return };
        self.ledger.stood_still(standstill);
        for seat in &self.seats {
            if let Seat::Lent(loan) = seat {
                loan.stood_still(standstill);
            }
        }
        // An answer may lie in the socket, and is read first. Only once: at the next standstill they have had their turn.
        if !std::mem::replace(&mut self.standstills.gives_a_turn, true) {
            self.look_at = self.look_at.map(|_| now + USUAL);
        }
    }

    /// Statements are looked at.
    pub(crate) fn has_given_a_turn(&mut self) {
        self.standstills.gives_a_turn = false;
    }
}

/// It took too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Elapsed;

/// Waits for this, no longer than `limit` without the time in which its task had no turn. An answer may lie in the socket after a
/// standstill, and is read first.
pub(crate) async fn timeout<F: Future>(limit: Duration, work: F) -> Result<F::Output, Elapsed> {
    let mut work = pin!(work);
    let (mut left, mut had_a_turn) = (limit, false);
    loop {
        let (begun, slice) = (now(), left.min(USUAL));
        if let Ok(output) = tokio::time::timeout(slice, work.as_mut()).await {
            return Ok(output);
        }
        let passed = now().saturating_duration_since(begun);
        left = left.saturating_sub(passed.min(slice + USUAL));
        if left.is_zero() {
            if had_a_turn || passed <= slice + USUAL {
                return Err(Elapsed);
            }
            (left, had_a_turn) = (USUAL, true);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn a_timer_as_late_as_those_of_a_busy_machine_are_is_no_standstill() {
        let due = now();
        let mut standstills = Standstills::new(due);
        for late in [0, 5, 20, 100, 119] {
            assert_eq!(standstills.notice(Some(due), due + ms(late)), None, "{late} ms");
        }
        assert_eq!(standstills.notice(None, due + ms(100_000)), None, "nothing was due");
    }

    #[test]
    fn each_moment_of_a_standstill_is_noticed_once_however_often_somebody_looks() {
        let due = now();
        let mut standstills = Standstills::new(due);
        let looks = [3, 150, 155, 400, 401, 5_500].map(|late| standstills.notice(Some(due), due + ms(late)));
        let noticed: Duration = looks.iter().flatten().map(|standstill| standstill.lasted()).sum();
        assert_eq!(noticed, ms(5_400), "{looks:?}");
        let next = due + ms(5_520);
        assert_eq!(standstills.notice(Some(next), next + ms(130)), Some(Standstill::new(next + ms(130), ms(30))));
    }

    #[test]
    fn where_every_timer_is_late_time_goes_on() {
        for late in [200, 1_000, 60_000] {
            let (begun, mut standstills) = (now(), Standstills::new(now()));
            let mut at = begun;
            let stood_still = (0..100).filter_map(|_| {
                let due = at + LEAST;
                at = due + ms(late);
                standstills.notice(Some(due), at)
            });
            let stood_still: Duration = stood_still.map(Standstill::lasted).sum();
            assert!(at - begun - stood_still >= 100 * USUAL, "late by {late} ms each time");
        }
    }
}
