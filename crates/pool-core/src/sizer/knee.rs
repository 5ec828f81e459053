use std::time::Instant;

use super::numbers::Numbers;
use super::{Sample, Sizer, Staffing, Target};

#[cfg(feature = "ablation")]
mod ablation;
mod fuse;
mod slope;
mod window;

use fuse::Fuse;
use slope::Slope;
use window::{Finding, Window};

/// Gives the traffic what it needs, but no more than the database is best with: [`Staffing`] below a cap that is found by
/// trying.
///
/// What it looks for is the *elasticity* of throughput, `e = d ln X / d ln n`, with `X` the leases given back in a second and `n`
/// the leases in use: 1 where twice as many do twice the work, 0 at the peak, negative where they only hinder each other. The
/// cap goes to where `e` is 0.1: ten per cent more leases would buy one per cent more throughput. Leases that are held but idle do
/// not load the database, so `e` stays near 1 and the cap goes up to the ceiling; a hot row, or few processors, bring it
/// down; a database that is slower as a whole has the same `e`, and keeps its cap.
///
/// - It measures only while the cap is what limits, that is, in force and in use. Otherwise the cap stays as it is.
/// - It begins at twice the initial limit and doubles the cap, in windows of 40 to 500 ms, until doubling does not pay.
///   Until then the cap is a guess: what counts is the time in which it is used up, with or without pauses, and below a guess
///   a standing queue may bring a whole burst.
/// - Then it tries a little more and a little less in turn, in windows of at least five hold times and as many leases as it
///   takes to see a difference: `150 (1 + cv²)`, with `cv` the coefficient of variation of hold times.
/// - What it knew before counts by its certainty, and less the farther the cap has moved (a Kalman filter of one number).
///   A window that fits nothing is left out at first: something else may have changed.
/// - It moves the farther the more `e` is off, less where that is uncertain, and stops trying where the direction is clear and the
///   way barred.
/// - What is cut off because nobody would wait for it any longer is no work done. Where much more of it is than before, a fuse brings the
///   cap down at once, by half of the share: a database that has become so slow that it finishes nothing in time may finish half as
///   much at once. When leases are held for a short time again, or for as long as before, it goes back to where it was.
/// - Where leases that go on and on, such as reports, have all places, since fewer are tried or fewer are left, it goes up at once.
/// - While much of what the database runs waits for locks, it does not grow, and asks more of a lease: an `e` of 0.3 where nearly all of
///   them wait. Who waits for a lock in the database would wait as well outside, where others can be served before. And where one
///   row is what everybody wants, `e` is so near to 0 that no window is long enough to tell on which side of 0.1 it is.
///
/// ```
/// use forebay_pool_core::{Knee, Ledger, Rules};
/// let ledger = Ledger::new(Rules::default(), Box::new(Knee::default()), std::time::Instant::now());
/// # drop(ledger);
/// ```
#[derive(Debug, Default)]
pub struct Knee {
    numbers: &'static Numbers,
    demand: Staffing,
    /// The logarithm of the cap; `None` until the first tick.
    cap: Option<f64>,
    course: Course,
    slope: Slope,
    window: Option<Window>,
    last: Option<Finding>,
    fuse: Fuse,
    /// Since when nothing has been tried.
    holding: Option<Instant>,
    /// What there was room for at the last tick.
    room: u32,
}

/// What is tried at present.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Course {
    /// The cap, doubled from one window to the next.
    #[default]
    Climb,
    /// A little more than the cap.
    More,
    /// A little less.
    Less,
    /// The cap itself: where to go is clear, and the way is barred.
    Hold,
    /// The cap itself, which has just gone down because too much was cut off.
    Retreat,
}

impl Course {
    const fn reason(self) -> &'static str {
        match self {
            Self::Climb => "knee_climb",
            Self::More => "knee_try_more",
            Self::Less => "knee_try_less",
            Self::Hold => "knee_hold",
            Self::Retreat => "knee_retreat",
        }
    }
}

impl Knee {
    /// By other numbers.
    #[cfg(feature = "ablation")]
    fn by(numbers: &'static Numbers) -> Self {
        Self {
            numbers,
            demand: Staffing::new(numbers),
            slope: Slope::new(numbers),
            fuse: Fuse::new(numbers),
            ..Self::default()
        }
    }

    /// The limit while the present course is tried, of `room` at most.
    fn setting(&self, room: u32) -> u32 {
        let room = room.max(1);
        let cap = self.cap.unwrap_or(0.0).min(f64::from(room).ln());
        let aside = self.slope.dither();
        let more = whole((cap + aside).exp()).clamp(2, room.max(2));
        match self.course {
            Course::More => more.min(room),
            // As far below the other as where there is room above.
            Course::Less => whole((f64::from(more).ln() - 2.0 * aside).exp()).clamp(1, more - 1),
            Course::Climb | Course::Hold | Course::Retreat => whole(cap.exp()).clamp(1, room),
        }
    }

    fn watch(&mut self, now: Instant, sample: &Sample) {
        let mut window = self.window.unwrap_or_else(|| self.begin(now, sample));
        window.add(now, sample);
        self.window = Some(window);
        if self.leaves_no_place(sample) {
            return self.rise_above(sample.going_on);
        }
        if self.fuse.blows(&window) {
            return self.retreat(now, &window, sample);
        }
        if self.too_many_locked(sample) == 0.0
            && let Some(cap) = self.fuse.way_back(now, &window)
        {
            self.fuse.saw(window);
            return self.come_back(cap);
        }
        let over = match self.course {
            Course::Climb | Course::Retreat => window.shows_much(sample),
            Course::More | Course::Less | Course::Hold => window.shows_a_little(sample),
        };
        if over {
            if self.course == Course::Retreat && window.is_in_vain() {
                return self.retreat(now, &window, sample);
            }
            self.window = None;
            self.fuse.saw(window);
            self.learn(window.finding(sample.spread));
            self.choose(now, sample);
        }
    }

    fn begin(&mut self, now: Instant, sample: &Sample) -> Window {
        if self.last.is_some_and(|last| now.saturating_duration_since(last.at) > self.numbers.stale) {
            self.last = None;
            self.slope.doubt();
        }
        self.fuse.forget(now);
        Window::new(self.numbers, now, sample.hold)
    }

    fn learn(&mut self, finding: Option<Finding>) {
        let Some(finding) = finding else { return };
        let cap = self.cap.unwrap_or(0.0);
        let fits = self.last.is_none_or(|last| self.slope.learn(&last, &finding, cap));
        if !fits && self.course == Course::Climb {
            self.course = Course::Less;
        }
        self.last = fits.then_some(finding);
    }

    /// The share of lock waits above that at which it does not grow any more.
    fn too_many_locked(&self, sample: &Sample) -> f64 {
        sample.lock_waits.map_or(0.0, |share| share - self.numbers.locked).max(0.0)
    }

    /// Moves the cap, and says what to try next.
    fn choose(&mut self, now: Instant, sample: &Sample) {
        let top = f64::from(sample.room.max(1)).ln();
        let too_many_locked = self.too_many_locked(sample);
        let (locked, target) =
            (too_many_locked > 0.0, self.numbers.target + self.numbers.price_of_locks * too_many_locked);
        let cap = self.cap.unwrap_or(0.0);
        let barred_above = locked || cap >= top;
        let climbing = self.course == Course::Climb || self.slope.certainly_above(self.numbers.steep);
        if climbing && self.slope.mean() > self.numbers.steep && !barred_above {
            self.course = Course::Climb;
            return self.go(self.numbers.double.ln(), top);
        }
        let step = self.slope.step_to(target).clamp(-self.numbers.stride, self.numbers.stride);
        let barred = if step > 0.0 { barred_above } else { cap <= 0.0 };
        if !barred {
            self.go(step, top);
        }
        let clear = self.slope.is_clear_of(
            target,
            if self.course == Course::Hold { self.numbers.still_clear } else { self.numbers.clear },
        );
        let long_ago = |since| now.saturating_duration_since(since) > self.numbers.held;
        self.course = match self.course {
            _ if barred && clear && !self.holding.is_some_and(long_ago) => Course::Hold,
            Course::More | Course::Retreat => Course::Less,
            _ => Course::More,
        };
        if self.course == Course::Hold {
            self.holding.get_or_insert(now);
        } else {
            self.holding = None;
        }
    }

    /// Whether leases that go on and on have all places, because there are fewer than before. Where there are not, it may be the
    /// database that stands still.
    fn leaves_no_place(&self, sample: &Sample) -> bool {
        let setting = self.setting(sample.room);
        sample.going_on > setting || self.course == Course::Less && sample.going_on == setting
    }

    /// More than the leases that go on are needed for anything else to be done.
    fn rise_above(&mut self, going_on: u32) {
        self.cap = self.cap.map(|cap| cap.max(f64::from(going_on).ln()));
        (self.window, self.last, self.slope, self.course) = (None, None, Slope::steep(self.numbers), Course::More);
    }

    /// Fewer at once, because so much is cut off. It goes on for as long as next to nothing is finished; from then on throughput tells.
    fn retreat(&mut self, now: Instant, window: &Window, sample: &Sample) {
        let cap = self.cap.unwrap_or(0.0);
        let step = self.fuse.blow(now, cap, self.slope, window);
        self.window = None;
        (self.last, self.slope, self.course) =
            (window.finding(sample.spread), Slope::unknown(self.numbers, self.numbers.target), Course::Retreat);
        let in_force = cap.min(f64::from(sample.room.max(1)).ln());
        self.cap = Some((in_force + step).max(0.0));
    }

    /// To this cap, to which it has come back.
    fn come_back(&mut self, cap: f64) {
        (self.window, self.last) = (None, None);
        (self.cap, self.course) = (Some(cap), Course::More);
        self.slope = self.fuse.reaches(cap).unwrap_or(self.slope);
        self.slope.doubt();
    }

    fn go(&mut self, step: f64, top: f64) {
        let cap = self.cap.unwrap_or(0.0);
        let to = (cap + step).clamp(0.0, top);
        self.slope.shift(to - cap);
        self.cap = Some(to);
        self.fuse.reaches(to);
    }
}

impl Sizer for Knee {
    fn tick(&mut self, now: Instant, sample: &Sample) -> Target {
        let demand = self.demand.tick(now, sample);
        if let Some(cap) = self.fuse.tick(now) {
            self.come_back(cap);
        }
        self.cap.get_or_insert_with(|| f64::from(sample.floor.max(1)).ln() + self.numbers.double.ln());
        let setting = self.setting(sample.room);
        let in_use = sample.used >= self.numbers.in_use * f64::from(setting);
        // Suspects come and go, and move what there is room for; the limit follows with this tick.
        let is_moved = std::mem::replace(&mut self.room, sample.room) != sample.room;
        let in_force = sample.limit.abs_diff(setting)
            <= if is_moved { whole((f64::from(setting) * self.numbers.moved).floor()) } else { 0 };
        // A guess is in use before anything is known of it, and not all the time.
        let guessed = self.guesses();
        if let Some(window) = &mut self.window
            && in_force
            && guessed
            && !in_use
        {
            window.pass_over(now);
        }
        self.window = self.window.filter(|_| in_force && (in_use || guessed));
        if in_force && in_use {
            self.watch(now, sample);
        } else if in_force && let Some(cap) = self.fuse.rests(now, sample) {
            self.come_back(cap);
        }
        let setting = self.setting(sample.room);
        if demand.limit < setting { demand } else { Target { limit: setting, reason: self.course.reason() } }
    }

    fn guesses(&self) -> bool {
        self.course == Course::Climb
    }

    /// The cap, without what is tried beside it. A guess too: whoever uses it up has it raised, and is refused where that does not help.
    fn most(&self) -> u32 {
        self.cap.map_or(u32::MAX, |cap| whole(cap.exp()).max(1))
    }

    fn wants_lock_waits(&self) -> bool {
        true
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "as large as a limit, and not negative")]
fn whole(number: f64) -> u32 {
    number.round() as u32
}
