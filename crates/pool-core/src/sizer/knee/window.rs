use std::time::{Duration, Instant};

use super::super::numbers::Numbers;
use crate::Sample;

/// A stretch of time in which one limit is in force and in use.
#[derive(Clone, Copy, Debug)]
pub(super) struct Window {
    numbers: &'static Numbers,
    /// Until then, what began before is still ending.
    settled: Instant,
    /// When it was last looked at.
    last: Instant,
    counted: Duration,
    /// Leases in use, multiplied by time in seconds.
    used: f64,
    completed: u32,
    interrupted: u32,
}

impl Window {
    pub(super) fn new(numbers: &'static Numbers, now: Instant, hold: Duration) -> Self {
        let settled = now + hold.min(numbers.settle_most).max(numbers.settle_least);
        Self { numbers, settled, last: now, counted: Duration::ZERO, used: 0.0, completed: 0, interrupted: 0 }
    }

    /// Adds what happened since the last tick, once what was before has settled.
    pub(super) fn add(&mut self, now: Instant, sample: &Sample) {
        let passed = now.saturating_duration_since(self.last);
        if self.last >= self.settled {
            self.counted += passed;
            self.used += sample.used * passed.as_secs_f64();
            self.completed = self.completed.saturating_add(sample.completed);
            self.interrupted = self.interrupted.saturating_add(sample.interrupted);
        }
        self.last = now;
    }

    /// Leaves out what happened since the last tick.
    pub(super) fn pass_over(&mut self, now: Instant) {
        self.last = now;
    }

    /// Leases that came back, finished or cut off.
    fn seen(&self) -> f64 {
        f64::from(self.completed.saturating_add(self.interrupted))
    }

    pub(super) const fn completed(&self) -> u32 {
        self.completed
    }

    /// The share of these that was cut off.
    pub(super) fn cut(&self) -> f64 {
        f64::from(self.interrupted) / self.seen().max(1.0)
    }

    /// Whether the share that is cut off can be told at all.
    fn tells(&self) -> bool {
        self.seen() >= self.numbers.tells
    }

    /// Whether next to nothing is finished.
    pub(super) fn is_in_vain(&self) -> bool {
        self.tells() && self.cut() > self.numbers.vain
    }

    /// Whether so few are finished that there should be fewer at once: next to none, or much more are cut off than before, by a
    /// seventh and three standard deviations of the difference of two shares.
    pub(super) fn is_bad(&self, before: Option<&Self>) -> bool {
        let is_worse = |before: &Self| {
            let chance = self.numbers.chance * (self.seen().recip() + before.seen().recip()).sqrt();
            self.tells() && self.cut() - before.cut() > self.numbers.worse + chance
        };
        self.seen() >= self.numbers.vain_seen && self.is_in_vain() || before.is_some_and(is_worse)
    }

    /// How long a lease is held, in seconds, by Little's law.
    pub(super) fn hold(&self) -> f64 {
        self.used / self.seen().max(1.0)
    }

    /// The time between two that come back, in seconds.
    pub(super) fn pace(&self) -> f64 {
        self.counted.as_secs_f64() / self.seen().max(1.0)
    }

    /// The logarithm of the leases in use.
    pub(super) fn leases(&self) -> f64 {
        (self.used / self.counted.as_secs_f64()).ln()
    }

    /// Whether it is long enough to see what doubling or halving has brought. After two hold times, between 100 and 500 ms, it must do,
    /// whatever was seen: where leases do not come back there is nothing to see.
    pub(super) fn shows_much(&self, sample: &Sample) -> bool {
        let enough = f64::from(self.completed) >= self.numbers.much
            && self.counted >= sample.hold.mul_f64(self.numbers.much_holds);
        self.counted >= self.numbers.much_least
            && (enough
                || self.counted
                    >= sample.hold.mul_f64(self.numbers.much_holds).min(self.numbers.must_most).max(self.numbers.brief))
    }

    /// Whether it is long enough to see what a few more or less bring. Ten seconds must do, or a minute where
    /// leases come back, but so seldom that they say nothing yet.
    pub(super) fn shows_a_little(&self, sample: &Sample) -> bool {
        let wanted = (self.numbers.little * (1.0 + sample.spread)).min(self.numbers.little_most);
        let enough =
            f64::from(self.completed) >= wanted && self.counted >= sample.hold.mul_f64(self.numbers.little_holds);
        let few = self.completed >= 1 && f64::from(self.completed) < self.numbers.least;
        let must_do = self.counted >= if few { self.numbers.longest } else { self.numbers.long };
        self.counted >= self.numbers.brief && enough || must_do
    }

    /// What it shows; `None` where next to nothing was given back.
    pub(super) fn finding(&self, spread: f64) -> Option<Finding> {
        let counted = self.counted.as_secs_f64();
        let completed = f64::from(self.completed);
        (f64::from(self.completed) >= self.numbers.least && counted > 0.0 && self.used > 0.0).then(|| Finding {
            at: self.last,
            leases: self.leases(),
            throughput: (completed / counted).ln(),
            variance: spread.max(self.numbers.spread_least) / completed,
        })
    }
}

/// What one window shows.
#[derive(Clone, Copy, Debug)]
pub(super) struct Finding {
    pub(super) at: Instant,
    /// The logarithm of the leases in use.
    pub(super) leases: f64,
    /// The logarithm of the leases given back in a second.
    pub(super) throughput: f64,
    /// The variance of the latter: that of a renewal process after so many renewals.
    pub(super) variance: f64,
}
