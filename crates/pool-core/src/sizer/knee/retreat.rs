use std::time::Instant;

use super::super::numbers::Numbers;
use super::slope::Slope;
use super::window::Window;

/// What was known before so much was cut off that the cap went down, and how bad it was.
#[derive(Clone, Copy, Debug)]
pub(super) struct Retreat {
    numbers: &'static Numbers,
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
    pub(super) const fn new(
        numbers: &'static Numbers,
        now: Instant,
        cap: f64,
        slope: Slope,
        before: Option<Window>,
    ) -> Self {
        Self { numbers, cap, slope, before, hold: 0.0, pace: 0.0, last: now }
    }

    /// It goes down because of this.
    pub(super) fn because_of(self, now: Instant, window: &Window) -> Self {
        Self { hold: self.hold.max(window.hold()), pace: self.pace.max(window.pace()), last: now, ..self }
    }

    pub(super) fn is_forgotten(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.last) > self.numbers.forgotten
    }

    pub(super) fn is_over(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.last) > self.numbers.over
    }

    /// The logarithm of the cap to come back to, once no more is cut off than before. Where leases come back twice as fast as in the
    /// worst of it, that is as many as would be held for half as long as then, were each held for longer in proportion to their
    /// number. Some time later it is twice as many, up to what was in use before, for as long as they are held no longer than then.
    pub(super) fn way_back(&self, now: Instant, window: &Window) -> Option<f64> {
        let cut = self.before.map_or(0.0, |before| before.cut());
        if f64::from(window.completed()) < self.numbers.back_least || window.cut() > cut + self.numbers.back_slack {
            return None;
        }
        let is_faster = self.numbers.faster * window.pace() < self.pace;
        let as_fast = is_faster.then(|| window.leases() + (self.hold / (self.numbers.faster * window.hold())).ln());
        let is_usual = |before: &Window| self.is_over(now) && window.hold() <= before.hold();
        let twice = window.leases() + self.numbers.faster.ln();
        let as_usual = self.before.filter(is_usual).map(|before| before.leases().min(twice));
        let to = [as_fast, as_usual].into_iter().flatten().fold(f64::MIN, f64::max).min(self.cap);
        (to > window.leases() + self.numbers.worth).then_some(to)
    }
}
