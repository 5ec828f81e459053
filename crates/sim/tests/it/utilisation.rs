//! That exhaustion is near is seen in every kind of pool, before anybody is refused for it, and once.

use std::cell::RefCell;
use std::time::Duration;

use forebay_pool_core::{Knee, OpenFailure, Rules, Sizing, Usage};
use forebay_sim::database::{Contention, Machine};
use forebay_sim::load::Profile;
use forebay_sim::measure::Record;
use forebay_sim::ours::Ours;
use forebay_sim::pool::{Ask, Caller, Gauge, Lease, Orders, Pool};
use forebay_sim::scenario::{Change, Scenario};
use forebay_sim::world;

use crate::short::secs;

/// An alert as `ops/prometheus/rules` has it: the mean over so many tenths of a second is above a bound, for so many of them.
struct Alert {
    bound: f64,
    window: usize,
    lasts: usize,
}

const POOL: Alert = Alert { bound: 0.8, window: 200, lasts: 100 };
const ERRORS: Alert = Alert { bound: 0.05, window: 600, lasts: 600 };

impl Alert {
    /// After how many tenths it rings.
    fn rings(&self, means: &[f64]) -> Option<usize> {
        let begins = means.windows(self.lasts).position(|means| means.iter().all(|mean| *mean > self.bound))?;
        Some(self.window + begins + self.lasts)
    }
}

/// Our pool, and what it said of its use at the end of each tenth of a second.
#[derive(Debug)]
struct Watched {
    pool: Ours,
    usage: RefCell<Vec<Usage>>,
}

impl Pool for Watched {
    fn start(&mut self, now: Duration, orders: &mut Orders) {
        self.pool.start(now, orders);
    }

    fn ask(&mut self, now: Duration, ask: Ask, orders: &mut Orders) {
        self.pool.ask(now, ask, orders);
    }

    fn leave(&mut self, now: Duration, caller: Caller, orders: &mut Orders) {
        self.pool.leave(now, caller, orders);
    }

    fn runs(&mut self, now: Duration, lease: Lease, running: bool) {
        self.pool.runs(now, lease, running);
    }

    fn give_back(&mut self, now: Duration, lease: Lease, orders: &mut Orders) {
        self.pool.give_back(now, lease, orders);
    }

    fn next_timer(&self) -> Option<Duration> {
        self.pool.next_timer()
    }

    fn timer(&mut self, now: Duration, orders: &mut Orders) {
        self.pool.timer(now, orders);
    }

    fn opened(&mut self, now: Duration, place: u32, outcome: Result<(), OpenFailure>, orders: &mut Orders) {
        self.pool.opened(now, place, outcome, orders);
    }

    fn pinged(&mut self, now: Duration, place: u32, well: bool, orders: &mut Orders) {
        self.pool.pinged(now, place, well, orders);
    }

    fn cleaned(&mut self, now: Duration, place: u32, well: bool, orders: &mut Orders) {
        self.pool.cleaned(now, place, well, orders);
    }

    fn closed(&mut self, now: Duration, place: u32, orders: &mut Orders) {
        self.pool.closed(now, place, orders);
    }

    fn saw_locks(&mut self, now: Duration, share: f64) {
        self.pool.saw_locks(now, share);
    }

    fn gauge(&self, now: Duration) -> Gauge {
        let usage = self.pool.usage(now);
        self.usage.borrow_mut().push(usage);
        self.pool.gauge(now)
    }
}

/// A run, window by window of each alert: each ends a tenth of a second later than the one before.
struct Seen {
    utilisation: Vec<f64>,
    refused: Vec<f64>,
}

impl Seen {
    fn of(scenario: &Scenario, rules: Rules, seed: u64) -> Self {
        let pool = Ours::new(rules, Box::new(Knee::default()), seed);
        let mut watched = Watched { pool, usage: RefCell::default() };
        let record: Record = world::run(scenario, &mut watched, seed);
        let usage = watched.usage.into_inner();
        let utilisation = usage
            .windows(POOL.window + 1)
            .map(|window| window[POOL.window].utilisation_since(&window[0]).expect("time has passed"));
        let refused = record.bins.windows(ERRORS.window).map(|bins| {
            let sum = |of: fn(&forebay_sim::measure::Bin) -> u32| bins.iter().map(of).sum::<u32>();
            f64::from(sum(|bin| bin.refused)) / f64::from(sum(|bin| bin.attempts).max(1))
        });
        Self { utilisation: utilisation.collect(), refused: refused.collect() }
    }

    /// How often it was crossed upwards, where it has to fall by a tenth in between: less is noise, which the alert's own delays
    /// are for.
    fn times_crossed(&self) -> usize {
        let mut high = false;
        let mut times = 0;
        for value in &self.utilisation {
            if !high && *value > POOL.bound {
                (high, times) = (true, times + 1);
            } else if high && *value < POOL.bound - 0.1 {
                high = false;
            }
        }
        times
    }
}

/// What a machine does in a second with so many statements at once.
fn rate(contention: Contention, leases: f64) -> f64 {
    100.0 * leases * contention.speed(leases)
}

/// The load rises from a twentieth of this rate to twice as much, in two minutes and a half.
fn ramp(Kind { contention, rate, .. }: &Kind) -> Scenario {
    let profile = (2..=40u32).fold(Profile::steady(0.05 * rate), |profile, step| {
        profile.until(secs(4) * (step - 1)).then(0.05 * rate * f64::from(step))
    });
    Scenario {
        machine: Machine { contention: *contention, ..Machine::default() },
        ..Scenario::plain(profile, secs(4 * 41))
    }
}

struct Kind {
    name: &'static str,
    rules: Rules,
    contention: Contention,
    /// What this pool can do on this machine.
    rate: f64,
}

fn kinds() -> [Kind; 7] {
    let wide = Machine::default().contention;
    let narrow = Contention { queueing: 0.02, crosstalk: 0.008 };
    let kind = |name, rules, contention, leases| Kind { name, rules, contention, rate: rate(contention, leases) };
    let fixed = |limit, ceiling| Rules { sizing: Sizing::Fixed, initial_limit: limit, ceiling, ..Rules::default() };
    let adaptive = |ceiling| Rules { ceiling, initial_limit: 10.min(ceiling), ..Rules::default() };
    [
        kind("fixed, 10 of 60", fixed(10, 60), wide, 10.0),
        kind("fixed, all of 8", fixed(8, 8), wide, 7.0),
        kind("small, 8", adaptive(8), wide, 7.0),
        kind("small, 4", adaptive(4), wide, 3.0),
        kind("up to 20", adaptive(20), wide, 18.0),
        kind("up to 60, of which the database is best with 35", adaptive(60), wide, 35.0),
        kind("up to 60, of which the database is best with 11", adaptive(60), narrow, 11.0),
    ]
}

/// A database that is loaded more and more goes from half to all of its best size within two seconds, so that the means have to catch
/// up: with what they lag behind the pool's alert is the first.
#[test]
fn the_alert_on_the_pool_rings_before_that_on_errors_and_once_in_every_kind_of_pool() {
    for kind in kinds() {
        for seed in 1..=3 {
            let seen = Seen::of(&ramp(&kind), kind.rules.clone(), seed);
            let (pool, errors) = (POOL.rings(&seen.utilisation), ERRORS.rings(&seen.refused));
            let name = kind.name;
            assert!(pool.is_some() && errors.is_some(), "{name}, seed {seed}: {pool:?} {errors:?}");
            assert!(
                pool < errors,
                "{name}, seed {seed}: the pool's after {pool:?} tenths, that on errors after {errors:?}"
            );
            assert_eq!(seen.times_crossed(), 1, "{name}, seed {seed}");
        }
    }
}

#[test]
fn under_half_of_what_a_pool_can_do_exhaustion_is_not_near() {
    for kind in kinds() {
        let Kind { name, rules, contention, rate } = kind;
        let machine = Machine { contention, ..Machine::default() };
        let scenario = Scenario { machine, ..Scenario::plain(Profile::steady(0.5 * rate), secs(60)) };
        let seen = Seen::of(&scenario, rules, 7);
        let highest = seen.utilisation.iter().copied().fold(0.0, f64::max);
        assert!(highest < POOL.bound, "{name}: {highest}");
    }
}

#[test]
fn leases_that_leak_are_seen_before_they_have_all_places() {
    let changes = vec![(secs(5), Change::Leak { holders: 50, again: None })];
    let rules = Rules { revoke_after: None, ..Rules::default() };
    let scenario = Scenario { changes, ..Scenario::plain(Profile::steady(100.0), secs(120)) };
    let seen = Seen::of(&scenario, rules, 7);
    assert!(seen.utilisation.last().is_some_and(|last| *last > POOL.bound), "{:?}", seen.utilisation.last());
    assert_eq!(seen.refused.last(), Some(&0.0), "there is still room");
}
