use std::time::{Duration, Instant};

use super::slope::Slope;
use super::window::Window;

/// What was known before so much was cut off that the cap went down, and how bad it was.
#[derive(Clone, Copy, Debug)]
pub(super) struct Retreat {
    /// The logarithm of the cap, and what was known of the elasticity there.
    pub(super) cap: f64,
    pub(super) slope: Slope,
    /// The window before.
    before: Option<Window>,
    /// The longest that leases were held in a window that led to it, and the slowest that they came back, in seconds.
    hold: f64,
    pace: f64,
    /// When it went down last.
    last: Instant,
}

impl Retreat {
    /// After so long the past says little of the present.
    const FORGOTTEN: Duration = Duration::from_mins(1);
    /// After so long the cap may be what it was, if it is not used up, or leases are held no longer than they were.
    const OVER: Duration = Duration::from_secs(10);
    /// It comes back for half as much again, and not for less.
    const WORTH: f64 = 0.4;

    pub(super) const fn new(now: Instant, cap: f64, slope: Slope, before: Option<Window>) -> Self {
        Self { cap, slope, before, hold: 0.0, pace: 0.0, last: now }
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
    /// number. Some time later it is twice as many, up to what was in use before, for as long as they are held no longer than then.
    pub(super) fn way_back(&self, now: Instant, window: &Window) -> Option<f64> {
        let cut = self.before.map_or(0.0, |before| before.cut());
        if window.completed() < 20 || window.cut() > cut + 0.05 {
            return None;
        }
        let is_faster = 2.0 * window.pace() < self.pace;
        let as_fast = is_faster.then(|| window.leases() + (0.5 * self.hold / window.hold()).ln());
        let is_usual = |before: &Window| self.is_over(now) && window.hold() <= before.hold();
        let twice = window.leases() + std::f64::consts::LN_2;
        let as_usual = self.before.filter(is_usual).map(|before| before.leases().min(twice));
        let to = [as_fast, as_usual].into_iter().flatten().fold(f64::MIN, f64::max).min(self.cap);
        (to > window.leases() + Self::WORTH).then_some(to)
    }
}
