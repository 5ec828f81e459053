use std::time::{Duration, Instant};

use super::slope::Slope;
use super::window::Window;

/// What was known before so much was cut off that the cap went down, and how bad it was.
#[derive(Clone, Copy, Debug)]
pub(super) struct Retreat {
    /// The logarithm of the cap, and what was known of the elasticity there.
    pub(super) cap: f64,
    pub(super) slope: Slope,
    /// The share that was cut off before, and how long leases were held then, in seconds.
    cut: f64,
    usual: f64,
    /// The longest that leases were held in a window that led to it, and the slowest that they came back, in seconds.
    hold: f64,
    pace: f64,
    /// When it went down last.
    last: Instant,
}

impl Retreat {
    /// After so long the past says little of the present.
    const FORGOTTEN: Duration = Duration::from_mins(1);
    /// After so long a cap that is not used up may be what it was.
    const OVER: Duration = Duration::from_secs(10);
    /// It comes back for half as much again, and not for less.
    const WORTH: f64 = 0.4;

    pub(super) fn new(now: Instant, cap: f64, slope: Slope, before: Option<&Window>) -> Self {
        let (cut, usual) = before.map_or((0.0, 0.0), |before| (before.cut(), before.hold()));
        Self { cap, slope, cut, usual, hold: 0.0, pace: 0.0, last: now }
    }

    /// It goes down because of this.
    pub(super) fn because_of(self, now: Instant, window: &Window) -> Self {
        Self { hold: self.hold.max(window.hold()), pace: self.pace.max(window.pace()), last: now, ..self }
    }

    pub(super) fn is_forgotten(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.last) > Self::FORGOTTEN
    }

    pub(super) fn is_over(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.last) > Self::OVER
    }

    /// The logarithm of the cap to come back to, once no more is cut off than before. Where leases come back twice as fast as in the
    /// worst of it, that is as many as would be held for half as long as then, were each held for longer in proportion to their
    /// number. Some time later it is the cap that was, if leases are held no longer than they were.
    pub(super) fn way_back(&self, now: Instant, window: &Window) -> Option<f64> {
        if window.completed() < 20 || window.cut() > self.cut + 0.05 {
            return None;
        }
        let more = (0.5 * self.hold / window.hold()).ln();
        let is_faster = 2.0 * window.pace() < self.pace && more > Self::WORTH;
        let is_usual = self.is_over(now) && window.hold() <= self.usual;
        let faster = is_faster.then(|| (window.leases() + more).min(self.cap));
        if is_usual { Some(self.cap) } else { faster }
    }
}
