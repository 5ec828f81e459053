//! Draws many cases, finds the shortest form of one that fails, and names it.

use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use forebay_pool_core::{Class, Health, Mode, OpenFailure, Resize, Return, Rules, Sizing};

use crate::world::{Attempt, World};

/// How many cases a property is tried on. `FOREBAY_CASES=10000000 cargo test -p forebay-pool-core --test it model` tries
/// more; `FOREBAY_CASE=<number>` tries that one alone.
const CASES: u64 = 100_000;

#[derive(Clone, Debug)]
pub(crate) enum Step {
    Acquire { class: Class, continuation: bool, within_ms: u64 },
    TryAcquire { class: Class },
    Release { pick: usize, state: Return },
    Cancel { pick: usize },
    Open { outcome: Attempt, chance: f64 },
    Check { health: Health },
    Clean { health: Health },
    Close,
    ToggleHoldIdle { pick: usize },
    RevocationsFail { fail: bool },
    Advance { ms: u64 },
    Jump { ms: u64 },
    StandStill { ms: u64 },
    GoBack { us: u64 },
    Resize(Resize),
    SetRules(Rules),
    FlushIdle,
}

/// One history: under which rules, and what happens.
#[derive(Clone, Debug)]
pub(crate) struct Case {
    pub(crate) rules: Rules,
    pub(crate) steps: Vec<Step>,
}

/// Numbers from a seed: the same ones everywhere (splitmix64).
#[derive(Debug)]
pub(crate) struct Draw(pub(crate) u64);

impl Draw {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    pub(crate) fn small(&mut self, from: u32, end: u32) -> u32 {
        from + u32::try_from(self.below(u64::from(end - from))).expect("below a u32")
    }

    fn one_in(&mut self, many: u64) -> bool {
        self.below(many) == 0
    }

    pub(crate) fn pick(&mut self) -> usize {
        usize::try_from(self.below(1 << 20)).expect("small")
    }

    fn maybe(&mut self, from: u32, end: u32) -> Option<u32> {
        self.one_in(2).then(|| self.small(from, end))
    }

    #[expect(clippy::cast_precision_loss, reason = "a thousand steps are fine enough")]
    fn chance(&mut self) -> f64 {
        self.below(1_000) as f64 / 1_000.0
    }

    fn class(&mut self) -> Class {
        Class::ALL[self.pick() % Class::ALL.len()]
    }

    fn millis(&mut self) -> u64 {
        let most = match self.below(40) {
            0 => 70_000,
            1..6 => 2_000,
            _ => 60,
        };
        self.below(most)
    }

    fn health(&mut self) -> Health {
        match self.below(10) {
            0 => Health::WrongRole,
            1 | 2 => Health::Lost,
            3 => Health::OutOfReach,
            _ => Health::Well,
        }
    }

    fn outcome(&mut self) -> Attempt {
        match self.below(20) {
            0 | 1 => Attempt::Fail(OpenFailure::Other),
            2 => Attempt::Fail(OpenFailure::NoRoom),
            3 if self.one_in(2) => Attempt::Fail(OpenFailure::NotYet),
            3 => Attempt::Fail(OpenFailure::Misconfigured),
            _ => Attempt::Open,
        }
    }

    fn state(&mut self) -> Return {
        match self.below(12) {
            0 => Return::Dirty,
            1 => Return::Interrupted,
            2 => Return::Broken,
            3 => Return::Unused,
            4 => Return::TimedOut,
            5 if self.one_in(3) => Return::Detached,
            _ => Return::Clean,
        }
    }

    fn rules(&mut self) -> Rules {
        let modes = [Mode::Off, Mode::ReportOnly, Mode::Enforce, Mode::Enforce, Mode::Enforce];
        let sizings = [Sizing::Fixed, Sizing::Shadow, Sizing::Adaptive, Sizing::Adaptive, Sizing::Adaptive];
        Rules {
            min_idle: self.small(0, 3),
            initial_limit: self.small(1, 6),
            ceiling: self.small(6, 12),
            queue_capacity: self.small(1, 20),
            sizing: sizings[self.pick() % sizings.len()],
            mode: modes[self.pick() % modes.len()],
            openings_at_once: self.small(1, 4),
            idle_timeout: Duration::from_millis(self.below(60_000)),
            lifetime: (!self.one_in(3)).then(|| Duration::from_millis(1 + self.below(100_000))),
            check_after_idle: Duration::from_millis(self.below(2_000)),
            ..Rules::default()
        }
    }

    fn step(&mut self) -> Step {
        match self.below(64) {
            0..15 => Step::Acquire { class: self.class(), continuation: self.one_in(5), within_ms: self.below(3_000) },
            15 => Step::TryAcquire { class: self.class() },
            16..26 => Step::Release { pick: self.pick(), state: self.state() },
            26..29 => Step::Cancel { pick: self.pick() },
            29..39 => Step::Open { outcome: self.outcome(), chance: self.chance() },
            39..43 => Step::Check { health: self.health() },
            43..46 => Step::Clean { health: self.health() },
            46..50 => Step::Close,
            50..53 => Step::ToggleHoldIdle { pick: self.pick() },
            53 => Step::RevocationsFail { fail: self.one_in(2) },
            54..59 => Step::Advance { ms: self.millis() },
            59 if self.one_in(2) => Step::Jump { ms: self.millis() },
            59 => Step::StandStill { ms: self.millis() },
            60 => Step::GoBack { us: self.below(1_000) },
            61 => {
                let (min_idle, ceiling, limit) = (self.maybe(0, 4), self.maybe(2, 12), self.maybe(0, 12));
                Step::Resize(Resize { min_idle, ceiling, limit })
            }
            62 if self.one_in(2) => Step::SetRules(self.rules()),
            _ => Step::FlushIdle,
        }
    }
}

impl Case {
    fn drawn(number: u64) -> Self {
        let mut draw = Draw(number);
        let rules = draw.rules();
        let steps = (0..1 + draw.below(120)).map(|_| draw.step()).collect();
        Self { rules, steps }
    }

    /// The same without some of its steps.
    fn without(&self, from: usize, count: usize) -> Self {
        let kept = self.steps.iter().enumerate().filter(|(at, _)| !(from..from + count).contains(at));
        Self { rules: self.rules.clone(), steps: kept.map(|(_, step)| step.clone()).collect() }
    }
}

impl Step {
    pub(crate) fn run(&self, world: &mut World) {
        let pick = |from: usize, of: usize| (of > 0).then(|| from % of.max(1));
        match *self {
            Self::Acquire { class, continuation, within_ms } => {
                world.acquire(class, continuation, within_ms);
            }
            Self::TryAcquire { class } => world.try_acquire(class),
            Self::Release { pick: from, state } => {
                if let Some(index) = pick(from, world.leased.len()) {
                    world.release(world.leased[index].slot, state);
                }
            }
            Self::Cancel { pick: from } => {
                if let Some(index) = pick(from, world.waiting.len()) {
                    world.cancel(world.waiting[index].id);
                }
            }
            Self::Open { outcome, chance } => world.attempt(outcome, chance),
            Self::Check { health } => world.check(health),
            Self::Clean { health } => world.clean(health),
            Self::Close => world.close_one(),
            Self::ToggleHoldIdle { pick: from } => {
                if let Some(index) = pick(from, world.leased.len()) {
                    world.hold_idle(index);
                }
            }
            Self::RevocationsFail { fail } => world.let_revocations_fail(fail),
            Self::Advance { ms } => world.advance(Duration::from_millis(ms)),
            Self::Jump { ms } => world.jump(Duration::from_millis(ms)),
            Self::StandStill { ms } => world.stand_still(Duration::from_millis(ms)),
            Self::GoBack { us } => world.step_back(Duration::from_micros(us)),
            Self::Resize(resize) => world.change(|ledger, now| drop(ledger.resize(now, resize))),
            Self::SetRules(ref rules) => world.change(|ledger, now| drop(ledger.set_rules(now, rules.clone()))),
            Self::FlushIdle => world.change(forebay_pool_core::Ledger::flush_idle),
        }
    }
}

/// Tries the property on every case, on all processors.
pub(crate) fn holds_for_all(property: fn(&Case)) {
    let only = number("FOREBAY_CASE");
    let (first, end) = only.map_or((0, number("FOREBAY_CASES").unwrap_or(CASES)), |only| (only, only + 1));
    let next = AtomicU64::new(first);
    let failed = thread::scope(|scope| {
        let workers = thread::available_parallelism().map_or(1, usize::from);
        let search = || loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= end {
                return None;
            }
            if fails(property, &Case::drawn(number)) {
                next.store(end, Ordering::Relaxed);
                return Some(number);
            }
        };
        let searches: Vec<_> = (0..workers).map(|_| scope.spawn(search)).collect();
        searches.into_iter().filter_map(|search| search.join().expect("it catches")).min()
    });
    if let Some(number) = failed {
        let shortest = shortest(property, Case::drawn(number));
        eprintln!("FOREBAY_CASE={number} fails; in short: {shortest:#?}");
        property(&shortest);
    }
}

#[expect(clippy::disallowed_methods, reason = "the knobs of a test run, not of the library")]
fn number(variable: &str) -> Option<u64> {
    let value = std::env::var(variable).ok()?;
    Some(value.parse().unwrap_or_else(|_| panic!("{variable} is {value:?}, and must be a number")))
}

fn fails(property: fn(&Case), case: &Case) -> bool {
    catch_unwind(AssertUnwindSafe(|| property(case))).is_err()
}

/// Leaves out whatever can be left out, in ever smaller pieces.
fn shortest(property: fn(&Case), mut case: Case) -> Case {
    let loud = take_hook();
    set_hook(Box::new(|_| {}));
    let mut piece = case.steps.len() / 2;
    while piece > 0 {
        let mut from = 0;
        while from < case.steps.len() {
            let shorter = case.without(from, piece);
            if fails(property, &shorter) {
                case = shorter;
            } else {
                from += piece;
            }
        }
        piece /= 2;
    }
    set_hook(loud);
    case
}
