use std::time::Instant;

use super::super::numbers::Numbers;
use super::slope::Slope;
use super::window::Window;
use crate::Sample;

/// Brings the cap down at once where suddenly much more is cut off than before, and back at once where that is over.
///
/// Windows that are long enough to tell a slope take seconds where a database has become ten times slower, and in each of these
/// callers wait in vain.
#[derive(Debug, Default)]
pub(super) struct Fuse {
    numbers: &'static Numbers,
    /// The last window, which tells what share of leases is cut off.
    before: Option<Window>,
    /// From where the cap went down, until it is there again.
    blown: Option<Blown>,
    ticked: Option<Instant>,
}

/// What was known before so much was cut off that the cap went down, and how bad it was.
#[derive(Clone, Copy, Debug)]
struct Blown {
    /// The logarithm of the cap, and what was known of the elasticity there.
    cap: f64,
    slope: Slope,
    /// The window before.
    before: Option<Window>,
    /// The longest that leases were held in a window that led to it, and the slowest that they came back, in seconds.
    hold: f64,
    pace: f64,
    /// When it went down last.
    last: Instant,
}

impl Fuse {
    #[cfg(feature = "ablation")]
    pub(super) fn new(numbers: &'static Numbers) -> Self {
        Self { numbers, ..Self::default() }
    }

    /// This window is the last one.
    pub(super) const fn saw(&mut self, window: Window) {
        self.before = Some(window);
    }

    /// Whether there should be fewer at once.
    pub(super) fn blows(&self, window: &Window) -> bool {
        window.is_bad(self.before.as_ref())
    }

    /// It blows because of this window; says what is added to the logarithm of the cap. That makes fewer by half of the share that is
    /// cut off: where all of it is, each of half as many is done in half the time, so that somebody may still wait for it. (DCTCP's
    /// law: Alizadeh et al., SIGCOMM 2010.)
    pub(super) fn blow(&mut self, now: Instant, cap: f64, slope: Slope, window: &Window) -> f64 {
        let first = Blown { cap, slope, before: self.before, hold: 0.0, pace: 0.0, last: now };
        let Blown { hold, pace, .. } = *self.blown.get_or_insert(first);
        self.blown = self.blown.map(|blown| Blown {
            hold: hold.max(window.hold()),
            pace: pace.max(window.pace()),
            last: now,
            ..blown
        });
        self.before = Some(*window);
        (1.0 - self.numbers.retreat * window.cut()).ln()
    }

    /// A window begins: what was long ago says little of the present.
    pub(super) fn forget(&mut self, now: Instant) {
        let forgotten = self.numbers.forgotten;
        self.blown = self.blown.filter(|blown| now.saturating_duration_since(blown.last) <= forgotten);
    }

    /// A tick. Where nobody came for a while nothing speaks for the cap to which it went down: the one that there was before.
    pub(super) fn tick(&mut self, now: Instant) -> Option<f64> {
        let before = self.ticked.replace(now)?;
        let blown = self.blown.filter(|_| now.saturating_duration_since(before) > self.numbers.over);
        blown.map(|blown| blown.cap)
    }

    /// The same where the cap has not been used up for a while.
    pub(super) fn rests(&self, now: Instant, sample: &Sample) -> Option<f64> {
        let blown = self.blown.filter(|blown| self.is_over(blown, now) && sample.interrupted == 0 && !sample.standing);
        blown.map(|blown| blown.cap)
    }

    /// The logarithm of the cap to come back to, once no more is cut off than before. Where leases come back twice as fast as in the
    /// worst of it, that is as many as would be held for half as long as then, were each held for longer in proportion to their
    /// number. Some time later it is twice as many, up to what was in use before, for as long as they are held no longer than then.
    pub(super) fn way_back(&self, now: Instant, window: &Window) -> Option<f64> {
        let Numbers { faster, worth, back_least, back_slack, .. } = *self.numbers;
        let blown = self.blown.as_ref()?;
        let cut = blown.before.map_or(0.0, |before| before.cut());
        if f64::from(window.completed()) < back_least || window.cut() > cut + back_slack {
            return None;
        }
        let is_faster = faster * window.pace() < blown.pace;
        let as_fast = is_faster.then(|| window.leases() + (blown.hold / (faster * window.hold())).ln());
        let is_usual = |before: &Window| self.is_over(blown, now) && window.hold() <= before.hold();
        let twice = window.leases() + faster.ln();
        let as_usual = blown.before.filter(is_usual).map(|before| before.leases().min(twice));
        let to = [as_fast, as_usual].into_iter().flatten().fold(f64::MIN, f64::max).min(blown.cap);
        (to > window.leases() + worth).then_some(to)
    }

    /// The cap is this now. Where it is what it was, there is nothing more to come back to, and what was known there holds again.
    pub(super) fn reaches(&mut self, cap: f64) -> Option<Slope> {
        self.blown.take_if(|blown| cap >= blown.cap).map(|blown| blown.slope)
    }

    fn is_over(&self, blown: &Blown, now: Instant) -> bool {
        now.saturating_duration_since(blown.last) > self.numbers.over
    }
}
