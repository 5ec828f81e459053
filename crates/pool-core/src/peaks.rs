use std::time::{Duration, Instant};

use crate::Standstill;

/// How many connections were in use at once, lately: what is kept open though nobody uses it this moment.
///
/// It keeps the peak of each stretch of time and answers with their median, so that what was needed for less than half of
/// the time (a spike) is forgotten at once, and what was needed for longer (a plateau) lasts for a while.
#[derive(Debug)]
pub(crate) struct Peaks {
    width: Duration,
    /// When the present stretch ends.
    ends: Instant,
    present: u32,
    past: [u32; Self::STRETCHES],
    next: usize,
    needed: u32,
}

impl Peaks {
    const STRETCHES: usize = 60;
    /// How many idle time-outs are remembered. More than two, or whatever is kept would be young enough by itself.
    const MEMORY: u32 = 5;

    pub(crate) fn new(now: Instant, idle_timeout: Duration) -> Self {
        let width = (idle_timeout * Self::MEMORY / 60).max(Duration::from_millis(1));
        Self { width, ends: now + width, present: 0, past: [0; Self::STRETCHES], next: 0, needed: 0 }
    }

    /// So many were in use from the last call until now.
    pub(crate) fn note(&mut self, now: Instant, in_use: u32) {
        self.present = self.present.max(in_use);
        if now >= self.ends {
            self.turn(now, in_use);
        }
    }

    fn turn(&mut self, now: Instant, in_use: u32) {
        for _ in 0..Self::STRETCHES {
            if now < self.ends {
                break;
            }
            self.past[self.next] = std::mem::replace(&mut self.present, in_use);
            self.next = (self.next + 1) % Self::STRETCHES;
            self.ends += self.width;
        }
        if self.ends <= now {
            // Nothing happened for longer than is remembered.
            self.ends = now + self.width;
        }
        let mut past = self.past;
        self.needed = *past.select_nth_unstable(Self::STRETCHES / 2).1;
    }

    pub(crate) fn stood_still(&mut self, standstill: Standstill) {
        self.ends = standstill.due(self.ends);
    }

    /// What was needed during half of the remembered time.
    pub(crate) const fn needed(&self) -> u32 {
        self.needed
    }

    /// When something may be forgotten next.
    pub(crate) const fn next_turn(&self) -> Instant {
        self.ends
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn needed_after(stretches: &[(u64, u32)]) -> u32 {
        #[expect(clippy::disallowed_methods, reason = "a test needs a first moment")]
        let mut now = Instant::now();
        let mut peaks = Peaks::new(now, Duration::from_secs(60));
        for (seconds, in_use) in stretches {
            now += Duration::from_secs(*seconds);
            peaks.note(now, *in_use);
        }
        peaks.needed()
    }

    #[test]
    fn a_spike_is_forgotten_and_a_plateau_kept_for_a_while() {
        assert_eq!(needed_after(&[(600, 2), (60, 40), (1, 2)]), 2);
        assert_eq!(needed_after(&[(600, 2), (300, 40), (100, 0)]), 40);
        assert_eq!(needed_after(&[(600, 2), (300, 40), (200, 0)]), 0);
        assert_eq!(needed_after(&[(1_000_000, 7), (1_000_000, 0)]), 0);
    }
}
