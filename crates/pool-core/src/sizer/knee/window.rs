use std::time::{Duration, Instant};

use crate::Sample;

/// A stretch of time in which one limit is in force and in use.
#[derive(Clone, Copy, Debug)]
pub(super) struct Window {
    /// Until then, what began before is still ending.
    settled: Instant,
    /// When it was last looked at.
    last: Instant,
    counted: Duration,
    /// Leases in use, multiplied by time in seconds.
    used: f64,
    completed: u32,
    vain: Vain,
}

/// The stretch up to now in which no tick saw more leases completed than interrupted.
#[derive(Clone, Copy, Debug, Default)]
struct Vain {
    lasts: Duration,
    interrupted: u32,
}

impl Window {
    /// The beat of the ledger.
    const TICK: Duration = Duration::from_millis(20);
    const LONGEST: Duration = Duration::from_secs(10);

    pub(super) fn new(now: Instant, hold: Duration) -> Self {
        let settled = now + hold.clamp(Self::TICK, Duration::from_secs(1));
        Self { settled, last: now, counted: Duration::ZERO, used: 0.0, completed: 0, vain: Vain::default() }
    }

    /// Adds what happened since the last tick, once what was before has settled.
    pub(super) fn add(&mut self, now: Instant, sample: &Sample) {
        let passed = now.saturating_duration_since(self.last);
        if self.last >= self.settled {
            self.counted += passed;
            self.used += sample.used * passed.as_secs_f64();
            self.completed = self.completed.saturating_add(sample.completed);
            self.vain.add(passed, sample);
        }
        self.last = now;
    }

    /// Whether most of what is begun is begun in vain, since nobody will wait for its end: for as long as a lease is held.
    pub(super) fn is_in_vain(&self, sample: &Sample) -> bool {
        self.vain.interrupted >= 5 && self.vain.lasts >= sample.hold
    }

    /// Whether it is long enough to see what doubling has brought. After two hold times, between 100 and 500 ms, it must do,
    /// whatever was seen: where leases do not come back there is nothing to see.
    pub(super) fn shows_doubling(&self, sample: &Sample) -> bool {
        let enough = self.completed >= 40 && self.counted >= sample.hold * 2;
        self.counted >= 2 * Self::TICK
            && (enough || self.counted >= (sample.hold * 2).clamp(5 * Self::TICK, 25 * Self::TICK))
    }

    /// Whether it is long enough to see what a few more or less bring.
    pub(super) fn shows_a_little(&self, sample: &Sample) -> bool {
        let wanted = (150.0 * (1.0 + sample.spread)).min(4_000.0);
        let enough = f64::from(self.completed) >= wanted && self.counted >= sample.hold * 5;
        self.counted >= 5 * Self::TICK && enough || self.counted >= Self::LONGEST
    }

    /// What it shows; `None` where next to nothing was given back.
    pub(super) fn finding(&self, spread: f64) -> Option<Finding> {
        let counted = self.counted.as_secs_f64();
        let completed = f64::from(self.completed);
        (self.completed >= 5 && counted > 0.0 && self.used > 0.0).then(|| Finding {
            at: self.last,
            leases: (self.used / counted).ln(),
            throughput: (completed / counted).ln(),
            variance: spread.max(0.5) / completed,
        })
    }
}

impl Vain {
    fn add(&mut self, passed: Duration, sample: &Sample) {
        if sample.completed > sample.interrupted {
            *self = Self::default();
        } else {
            self.lasts += passed;
            self.interrupted = self.interrupted.saturating_add(sample.interrupted);
        }
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
