use std::time::{Duration, Instant};

use crate::{Class, Standstill};

/// How fast leases come back, and so how long a newcomer would wait.
///
/// The wait of the n-th waiter is `n h / s`, with `h` the mean hold time and `s` the connections that serve: Little's
/// law for a queue whose servers are all busy. `h` is the mean of the first 32 releases, then an exponential mean over about
/// as many; where these come within less than 10 ms, over more of them, so that one thread that the processor was taken from
/// for a moment does not pass for a slow database. When waiters exist and nothing comes back at all for longer than
/// anybody may wait, that time takes the place of `h`: a database that stands still is not judged by how fast it used to be.
#[derive(Debug)]
pub(crate) struct Estimate {
    /// The mean of late, in seconds.
    hold: f64,
    /// The mean and the mean square of hold times over about 500 releases, in seconds.
    moments: (f64, f64),
    /// How many they are over, up to [`Self::LONG`].
    known: u32,
    released: Instant,
}

impl Estimate {
    const SHORT: u32 = 32;
    const LONG: u32 = 512;
    /// Assumed before the first release.
    const PRIOR: f64 = 0.010;
    /// The least that the mean of late looks back.
    const MEMORY: f64 = 0.010;
    /// The least that any queue may make somebody wait; nothing shorter is a stall.
    const LEAST_WAIT: Duration = Duration::from_millis(5);
    /// The most that a standing queue may make normal work wait.
    const STANDING_WAIT: Duration = Duration::from_millis(20);

    pub(crate) const fn new(now: Instant) -> Self {
        Self { hold: Self::PRIOR, moments: (0.0, 0.0), known: 0, released: now }
    }

    pub(crate) fn hold(&self) -> Duration {
        Duration::from_nanos(self.hold_nanos())
    }

    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "to the nearest nanosecond")]
    fn hold_nanos(&self) -> u64 {
        (self.hold * 1e9 + 0.5) as u64
    }

    /// Whether enough leases came back for the mean to be more than what was assumed.
    pub(crate) const fn is_known(&self) -> bool {
        self.known >= Self::SHORT
    }

    /// The squared coefficient of variation of hold times; 1 until it is known.
    pub(crate) fn spread(&self) -> f64 {
        let (mean, square) = self.moments;
        if mean > 0.0 { (square / (mean * mean) - 1.0).max(0.0) } else { 1.0 }
    }

    pub(crate) fn on_release(&mut self, now: Instant, held: Duration) {
        const SHARES: (f64, f64) = (1.0 / Estimate::SHORT as f64, 1.0 / Estimate::LONG as f64);
        let held = held.as_secs_f64();
        // Almost always it is known for long, and nothing is divided.
        let share = if self.known == Self::LONG {
            SHARES.1
        } else {
            self.known += 1;
            1.0 / f64::from(self.known)
        };
        let weight = if self.known > Self::SHORT {
            let passed = now.saturating_duration_since(self.released).as_secs_f64();
            (passed / Self::MEMORY).clamp(share, SHARES.0)
        } else {
            share
        };
        self.hold += (held - self.hold) * weight;
        self.moments.0 += (held - self.moments.0) * share;
        self.moments.1 += (held * held - self.moments.1) * share;
        self.released = now;
    }

    /// Somebody starts to wait where nobody waited: a stall is counted from here on.
    pub(crate) fn on_first_waiter(&mut self, now: Instant) {
        self.released = now;
    }

    pub(crate) fn stood_still(&mut self, standstill: Standstill) {
        self.released = standstill.since(self.released);
    }

    /// How fast connections come back; where somebody waits for it, a stall is seen.
    pub(crate) fn pace(&self, now: Instant, stalled_possible: bool) -> Pace {
        let silent = if stalled_possible { now.saturating_duration_since(self.released) } else { Duration::ZERO };
        let hold = self.hold_nanos();
        let stalled = if silent > Self::LEAST_WAIT { u64::try_from(silent.as_nanos()).unwrap_or(u64::MAX) } else { 0 };
        Pace { nanos: hold.max(stalled) }
    }

    /// How long a class may wait: as long as a burst may bring, or at least what keeps `servers` busy, which two waiters do.
    /// Whoever stands behind more of them waits for longer, and nobody is served sooner for it. `whole` is for a whole
    /// burst, of which `burst` is the share that may be waited for; it bounds both.
    pub(crate) fn budget(&self, class: Class, burst: f64, servers: u32, whole: Duration) -> Duration {
        let two_come_back = Duration::from_nanos(self.hold_nanos().saturating_mul(2) / u64::from(servers.max(1)));
        let standing = two_come_back.clamp(Self::LEAST_WAIT, Self::STANDING_WAIT).min(whole);
        let bursting = if burst < 1.0 { whole.mul_f64(burst) } else { whole };
        class.patience(bursting.max(standing))
    }
}

/// The time after which each of the connections that serve comes back, in nanoseconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    nanos: u64,
}

impl Pace {
    /// How long the last of `waiters` would wait, when `servers` connections come back one after another.
    pub(crate) fn wait(self, waiters: usize, servers: u32) -> Duration {
        Duration::from_nanos(self.nanos.saturating_mul(waiters as u64) / u64::from(servers.max(1)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[expect(clippy::disallowed_methods, reason = "a test needs a first moment")]
    fn what_was_assumed_before_the_first_release_is_forgotten_with_it() {
        let now = Instant::now();
        let mut estimate = Estimate::new(now);
        estimate.on_release(now, Duration::from_millis(2));
        assert_eq!(estimate.hold(), Duration::from_millis(2));
        estimate.on_release(now, Duration::from_millis(4));
        assert_eq!(estimate.hold(), Duration::from_millis(3));
        (0..30).for_each(|_| estimate.on_release(now, Duration::from_millis(3)));
        estimate.on_release(now + Duration::from_millis(3), Duration::from_millis(35));
        assert_eq!(estimate.hold(), Duration::from_millis(4));
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "a test needs a first moment")]
    fn one_pause_of_the_processor_among_thousands_of_short_holds_is_not_a_slow_database() {
        let mut now = Instant::now();
        let mut estimate = Estimate::new(now);
        for nth in 0..5_000 {
            now += Duration::from_micros(1);
            estimate.on_release(now, Duration::from_micros(if nth == 4_990 { 4_000 } else { 8 }));
        }
        let wait = estimate.pace(now + Duration::from_micros(50), true).wait(1_000, 8);
        assert!(wait < Estimate::LEAST_WAIT, "{wait:?}");
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "a test needs a first moment")]
    fn a_standing_queue_may_wait_until_two_leases_have_come_back() {
        let (now, burst) = (Instant::now(), Duration::from_millis(50));
        let mut estimate = Estimate::new(now);
        estimate.on_release(now, Duration::from_millis(80));
        let standing = |servers| estimate.budget(Class::Normal, 0.0, servers, burst);
        assert_eq!([20, 100, 2].map(standing), [8, 5, 20].map(Duration::from_millis));
        assert_eq!(estimate.budget(Class::Critical, 0.0, 20, burst), Duration::from_millis(32));
        let bursting = [0.1, 0.5, 1.0].map(|share| estimate.budget(Class::Normal, share, 20, burst));
        assert_eq!(bursting, [8, 25, 50].map(Duration::from_millis));
        assert_eq!(estimate.budget(Class::Normal, 0.0, 20, Duration::ZERO), Duration::ZERO);
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "a test needs a first moment")]
    fn a_database_that_stands_still_is_not_judged_by_its_past() {
        let start = Instant::now();
        let estimate = Estimate::new(start);
        let later = start + Duration::from_secs(2);
        assert_eq!(estimate.pace(later, false).wait(5, 10), Duration::from_millis(5));
        assert_eq!(estimate.pace(later, true).wait(5, 10), Duration::from_secs(1));
    }
}
