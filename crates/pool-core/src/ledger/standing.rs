use std::time::{Duration, Instant};

use crate::Standstill;

/// Whether a queue stands, or is a burst that passes: it stands when it has lasted for a tenth of a second, with somebody in it for
/// most of the time, or as soon as as many were refused because of it as there are places. A few are refused also where a
/// limit is still growing.
///
/// What comes back at once, after the server or its threads had no turn for a while, empties even the queue of a pool that is
/// asked for ten times what it can do: a pause of up to 10 ms does not make a standing queue a new one. After a longer one the
/// next burst may bring only as much as nobody waited for, and the whole of it after another tenth of a second.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Standing {
    since: Option<Instant>,
    /// Since when nobody waits.
    paused: Option<Instant>,
    /// How long nobody waited in the pauses before.
    pauses: Duration,
    /// How many were refused because of it.
    refused: u32,
    /// Whether that were too many for a burst.
    overflowed: bool,
    /// For how much longer nobody has to wait until the next queue may be a whole burst.
    owed: Duration,
}

impl Standing {
    /// A queue without a longer pause stands after this.
    const AFTER: Duration = Duration::from_millis(100);
    const PAUSE: Duration = Duration::from_millis(10);

    /// Somebody begins to wait, perhaps behind others.
    pub(super) fn on_waiter(&mut self, now: Instant) {
        if self.paused.is_none() && self.since.is_some() && self.pauses.is_zero() {
            // Somebody has waited all the time.
            return;
        }
        if !self.lasts(now) || self.is_old(now) && !self.is_mostly_busy(now) {
            (self.since, self.pauses, self.refused, self.overflowed) = (Some(now), Duration::ZERO, 0, false);
        } else {
            self.pauses = self.pauses_until(now);
        }
        self.owed = self.owed_at(now);
        self.paused = None;
    }

    /// So many are refused because of those who wait for one of `places`.
    pub(super) fn on_refused(&mut self, count: u32, places: u32) {
        self.refused = self.refused.saturating_add(count);
        self.overflowed |= self.refused >= places;
    }

    /// Nobody waits.
    pub(super) fn on_empty(&mut self, now: Instant) {
        if self.paused.is_none() {
            self.owed = if self.stands(now) { Self::AFTER } else { self.owed };
            self.paused = Some(now);
        }
    }

    pub(super) fn stood_still(&mut self, standstill: Standstill) {
        self.since = self.since.map(|since| standstill.since(since));
        self.paused = self.paused.map(|paused| standstill.since(paused));
    }

    pub(super) fn stands(&self, now: Instant) -> bool {
        self.lasts(now) && (self.overflowed || self.is_old(now) && self.is_mostly_busy(now))
    }

    /// The share of a whole burst that may be waited for: none where the queue stands.
    pub(super) fn burst(&self, now: Instant) -> f64 {
        match self.owed_at(now) {
            _ if self.stands(now) => 0.0,
            owed if owed.is_zero() => 1.0,
            owed => 1.0 - owed.div_duration_f64(Self::AFTER),
        }
    }

    fn owed_at(&self, now: Instant) -> Duration {
        self.owed.saturating_sub(self.paused.map_or(Duration::ZERO, |paused| now.saturating_duration_since(paused)))
    }

    /// Whether nobody waits, so that with time alone it will not stand any more.
    pub(super) fn is_paused(&self) -> bool {
        self.paused.is_some()
    }

    fn age(&self, now: Instant) -> Duration {
        self.since.map_or(Duration::ZERO, |since| now.saturating_duration_since(since))
    }

    fn is_old(&self, now: Instant) -> bool {
        self.age(now) > Self::AFTER
    }

    fn pauses_until(&self, now: Instant) -> Duration {
        self.pauses + self.paused.map_or(Duration::ZERO, |paused| now.saturating_duration_since(paused))
    }

    fn is_mostly_busy(&self, now: Instant) -> bool {
        2 * self.pauses_until(now) < self.age(now)
    }

    fn lasts(&self, now: Instant) -> bool {
        let is_short = |paused| now.saturating_duration_since(paused) <= Self::PAUSE;
        self.since.is_some() && self.paused.is_none_or(is_short)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[expect(clippy::disallowed_methods, reason = "a test needs a first moment")]
    fn start() -> Instant {
        Instant::now()
    }

    const fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn a_queue_stands_after_a_tenth_of_a_second_and_until_ten_milliseconds_without_it() {
        let (start, mut queue) = (start(), Standing::default());
        assert!(!queue.stands(start + ms(1_000)));
        queue.on_waiter(start);
        assert!(!queue.stands(start + ms(100)) && queue.stands(start + ms(101)));
        queue.on_empty(start + ms(150));
        queue.on_empty(start + ms(155));
        assert!(queue.stands(start + ms(160)) && !queue.stands(start + ms(161)));
    }

    #[test]
    fn short_queues_that_follow_each_other_closely_do_not_stand() {
        for (waiting, stands) in [(3, false), (6, true)] {
            let (start, mut queue) = (start(), Standing::default());
            for round in 0..100 {
                queue.on_waiter(start + ms(10 * round));
                queue.on_empty(start + ms(10 * round + waiting));
            }
            assert_eq!(queue.stands(start + ms(996)), stands, "{waiting} of 10 ms");
            queue.on_waiter(start + ms(1_000));
            assert!(queue.stands(start + ms(1_201)), "now somebody waits all the time");
        }
    }

    #[test]
    fn a_queue_because_of_which_many_are_refused_stands_at_once_and_the_next_one_does_not() {
        let (start, mut queue) = (start(), Standing::default());
        queue.on_waiter(start);
        queue.on_refused(1, 2);
        assert!(!queue.stands(start + ms(1)), "one of two");
        queue.on_refused(1, 2);
        assert!(queue.stands(start + ms(1)));
        queue.on_empty(start + ms(20));
        assert!(queue.stands(start + ms(30)) && !queue.stands(start + ms(31)));
        queue.on_waiter(start + ms(40));
        assert!(!queue.stands(start + ms(41)));
    }

    #[test]
    fn a_burst_that_had_somebody_refused_is_earned_back_while_nobody_waits() {
        let (start, mut queue) = (start(), Standing::default());
        let burst = |queue: &Standing, at| (queue.burst(start + ms(at)) * 100.0).round();
        assert_eq!(burst(&queue, 0), 100.0);
        queue.on_waiter(start);
        queue.on_refused(1, 1);
        assert_eq!(burst(&queue, 0), 0.0);
        queue.on_empty(start + ms(50));
        assert_eq!([burst(&queue, 60), burst(&queue, 80)], [0.0, 30.0]);
        queue.on_waiter(start + ms(80));
        assert_eq!(burst(&queue, 95), 30.0, "not while somebody waits");
        queue.on_empty(start + ms(100));
        assert_eq!([burst(&queue, 120), burst(&queue, 169), burst(&queue, 900)], [50.0, 99.0, 100.0]);
        queue.on_waiter(start + ms(900));
        queue.on_empty(start + ms(1_100));
        assert_eq!(burst(&queue, 1_125), 25.0, "this one stood, too");
    }

    #[test]
    fn a_short_pause_is_forgiven_and_a_longer_one_is_not() {
        for (pause, stands) in [(10, true), (11, false)] {
            let (start, mut queue) = (start(), Standing::default());
            queue.on_waiter(start);
            queue.on_empty(start + ms(90));
            queue.on_waiter(start + ms(90 + pause));
            assert_eq!(queue.stands(start + ms(102)), stands, "{pause}");
            assert!(queue.stands(start + ms(202)));
        }
    }
}
