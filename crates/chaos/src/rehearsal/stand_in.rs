//! Who plays an arm in virtual time, and the world around it.

use std::time::Duration;

use forebay_platform::admit::TimeLimits;
use forebay_pool::{Class, Config, Knee, Rules, Sizer};
use forebay_sim::chance::Length;
use forebay_sim::client::{Client, Pause, Population};
use forebay_sim::contender::Contender;
use forebay_sim::database::{Contention, Machine};
use forebay_sim::fleet::Fleet;
use forebay_sim::ours::Ours;
use forebay_sim::pool::Pool;
use forebay_sim::rival::Fixed;
use forebay_sim::scenario::{Abandoned, Change, Kind, Load, Scenario as World, Step, Visit};

use super::visits;
use crate::arm::{Arm, POOL_SESSIONS};
use crate::calibration::{self, LATE_RETURN_S, LEGACY_POOL, Measured};
use crate::child::LEGACY_ACQUIRE_TIMEOUT;
use crate::client::ATTEMPT_TIMEOUT;
use crate::director::LARGER_POOL;
use crate::fault::AGAIN;
use crate::play::DRAIN;
use crate::scenario::{Holders, Scenario};
use crate::schedule::{Journey, Operation, Schedule, THINK_S};

/// What a request's statements take on a server that does nothing else; an order has twice as much. By the calibration of real
/// runs a lease is used for 2 to 3 ms before it would come back.
const STATEMENTS_S: f64 = 0.002;
/// From a refusal to the next attempt of a client that sends it at once: an answer's way, a request's way, and a few instructions.
const ROUND_TRIP: Duration = Duration::from_millis(2);
/// Leases, or parts of the only one that the world gives a request: an order has two.
const ORDER_PARTS: f64 = 2.0;
/// The share of orders in the mix.
const ORDERS: f64 = 0.05;
/// Such a share of newcomers goes to the pool of the action that nobody goes to the one before.
const ALL: f64 = 1e12;

/// Somebody who plays an arm.
#[derive(Clone, Debug)]
pub struct StandIn {
    /// Whose place it takes.
    pub arm: Arm,
    /// Its name in tables.
    pub name: String,
    /// The pool.
    pub contender: Contender,
    /// How long each lease comes back too late.
    pub late_return: Duration,
    /// What clients do with a failure; without, what the scenario says.
    pub pause: Option<Pause>,
}

impl StandIn {
    /// The arm as it is played for real.
    #[must_use]
    pub fn of(arm: Arm) -> Self {
        let contender = match arm {
            Arm::Legacy => stock(LEGACY_POOL),
            Arm::Stock60 => stock(60),
            Arm::Resilient => ours(Config::named(POOL_SESSIONS).rules, || Box::new(Knee::default())),
        };
        let late_return = Duration::from_secs_f64(LATE_RETURN_S);
        Self { arm, name: arm.name().to_owned(), contender, late_return, pause: None }
    }

    /// The pool of one play: the action puts another one in the place of legacy's.
    pub(super) fn pool(&self, scenario: &Scenario, seed: u64) -> Box<dyn Pool> {
        let pool = self.contender.build(seed);
        match self.action(scenario) {
            Some(at) => {
                let larger = stock(LARGER_POOL).build(seed);
                Box::new(Fleet::new().with(pool, Duration::ZERO, 1.0).with(larger, at, ALL))
            }
            None => pool,
        }
    }

    fn action(&self, scenario: &Scenario) -> Option<Duration> {
        scenario.action.filter(|_| self.arm == Arm::Legacy).map(Duration::from_secs_f64)
    }

    /// The world of one play.
    pub(super) fn world(&self, scenario: &Scenario, schedule: &Schedule) -> World {
        let pause = self.pause.unwrap_or(Pause::Fixed(ROUND_TRIP));
        let client = Client { patience: ATTEMPT_TIMEOUT, attempts: scenario.retries + 1, pause };
        World {
            load: Load::Visits { visits: visits(schedule), think: Duration::from_secs_f64(THINK_S) },
            kinds: Operation::MIX.iter().map(|(operation, _)| self.kind(*operation)).collect(),
            clients: Population::of(client),
            machine: machine(),
            changes: self.changes(scenario),
            abandoned: Abandoned::LeavesQueue,
            phases: Vec::new(),
            end: Duration::from_secs_f64(scenario.end()) + DRAIN,
        }
    }

    fn kind(&self, operation: Operation) -> Kind {
        let parts = if operation == Operation::Order { ORDER_PARTS } else { 1.0 };
        let statements = Length::varying(Duration::from_secs_f64(STATEMENTS_S * parts), 1.0);
        let late = Length::fixed(self.late_return.mul_f64(parts));
        let steps = vec![Step::Statement(statements), Step::Answer, Step::Think(late)];
        Kind { class: class(operation), weight: 1.0, slo: ATTEMPT_TIMEOUT, steps }
    }

    fn changes(&self, scenario: &Scenario) -> Vec<(Duration, Change)> {
        let mut changes = scenario.holders.map(|holders| leaks(&holders, scenario.end())).unwrap_or_default();
        if let Some(slow) = scenario.slowdown {
            let at = |seconds, speed| (Duration::from_secs_f64(seconds), Change::Capacity(speed));
            changes.extend([at(slow.window.from, slow.speed), at(slow.window.to, 1.0)]);
        }
        changes.extend(self.action(scenario).map(|at| (at, Change::LeaksEnd)));
        changes
    }
}

/// Requests of the mix a second that the legacy arm can do in this world, by the arithmetic of the calibration.
#[must_use]
pub fn capacity() -> f64 {
    let leases_per_request = 1.0 + ORDERS * (ORDER_PARTS - 1.0);
    calibration::capacity(LEGACY_POOL, Measured { leases_per_request, base_hold_s: STATEMENTS_S })
}

/// A stock sqlx pool of this size, as the arms have it.
#[must_use]
pub fn stock(size: u32) -> Contender {
    Contender::new(format!("stock {size}"), move |_| Fixed::unbounded(size).acquire_timeout(LEGACY_ACQUIRE_TIMEOUT))
}

/// Our ledger behind the shop's door, by these rules.
#[must_use]
pub fn ours(rules: Rules, sizer: impl Fn() -> Box<dyn Sizer> + Send + Sync + 'static) -> Contender {
    Contender::new("resilient", move |seed| Ours::new(rules.clone(), sizer(), seed).within(time_limit))
}

/// How long a request is of use by what the shop thinks.
fn time_limit(class: Class) -> Duration {
    let limits = TimeLimits::default();
    if class == Class::Critical { limits.critical } else { limits.normal }
}

/// The class of the operation's route.
const fn class(operation: Operation) -> Class {
    match operation {
        Operation::Order | Operation::Refresh => Class::Critical,
        Operation::Product | Operation::Login => Class::High,
        Operation::List | Operation::Cart => Class::Normal,
    }
}

/// About two cores, with room for a hundred sessions.
fn machine() -> Machine {
    let contention = Contention { queueing: 0.4, crosstalk: 0.0005 };
    Machine { contention, max_sessions: 100, ..Machine::default() }
}

/// Each takes a connection at its time. Jobs that sleep come back when theirs was taken from them, the others do not.
fn leaks(holders: &Holders, end: f64) -> Vec<(Duration, Change)> {
    let again = holders.sleep.map(|_| AGAIN);
    let starts = (0..holders.count).map(|n| holders.from + f64::from(n) * holders.every);
    let leak = |at| (Duration::from_secs_f64(at), Change::Leak { holders: 1, again });
    starts.take_while(|at| *at < end).map(leak).collect()
}

/// A journey as the world takes it.
pub(super) fn visit(journey: &Journey) -> Visit {
    let kind = |operation: Operation| Operation::MIX.iter().zip(0..).find(|((one, _), _)| *one == operation);
    let kinds = journey.steps.iter().filter_map(|step| kind(step.operation)).map(|(_, kind)| kind).collect();
    Visit { at: Duration::from_secs_f64(journey.at), kinds }
}
