//! The schedule of journeys: written before the run, from a seed, identical for all arms.

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::scenario::{Scenario, Window};

/// Seconds a user thinks between an answer and the next request.
pub const THINK_S: f64 = 0.5;
/// The most requests a journey has; the fewest is one, all lengths are equally likely.
pub const LONGEST: u32 = 6;

/// What a user asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Operation {
    /// A page of products.
    List,
    /// One product.
    Product,
    /// An item put into a cart.
    Cart,
    /// An order placed and paid.
    Order,
    /// An access token renewed.
    Refresh,
    /// A password login.
    Login,
}

/// A service as the postmortem tells them apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Service {
    /// Products.
    Catalog,
    /// Logins and sessions.
    Auth,
    /// Carts and orders.
    Checkout,
}

impl Service {
    /// All three.
    pub const ALL: [Self; 3] = [Self::Catalog, Self::Auth, Self::Checkout];

    /// Its name in logs and reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Catalog => "catalog",
            Self::Auth => "auth",
            Self::Checkout => "checkout",
        }
    }
}

impl Operation {
    /// All operations with their share of requests in percent.
    pub const MIX: [(Self, u32); 6] = [
        (Self::List, 60),
        (Self::Product, 20),
        (Self::Cart, 8),
        (Self::Order, 5),
        (Self::Refresh, 4),
        (Self::Login, 3),
    ];

    /// The service that answers it.
    #[must_use]
    pub fn service(self) -> Service {
        match self {
            Self::List | Self::Product => Service::Catalog,
            Self::Cart | Self::Order => Service::Checkout,
            Self::Refresh | Self::Login => Service::Auth,
        }
    }

    /// Its name in reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::List => "list",
            Self::Product => "product",
            Self::Cart => "cart",
            Self::Order => "order",
            Self::Refresh => "refresh",
            Self::Login => "login",
        }
    }

    fn drawn(percent: u32) -> Self {
        let mut rest = percent;
        for (operation, share) in Self::MIX {
            if rest < share {
                return operation;
            }
            rest -= share;
        }
        Self::List
    }
}

/// One request of a journey.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// What is asked for.
    pub operation: Operation,
    /// Carts, orders and refreshes: the how manieth of its kind, so that each uses its own prepared cart or token.
    /// All others: a drawn number that chooses the page, product or user.
    pub key: u32,
}

/// One user: arrives once, asks one to six times.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Journey {
    /// Intended arrival, in seconds of play.
    pub at: f64,
    /// What the user does, in order.
    pub steps: Vec<Step>,
}

/// How many carts, orders and refresh tokens a schedule uses up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Needs {
    /// Cart requests.
    pub carts: u32,
    /// Orders.
    pub orders: u32,
    /// Refreshes.
    pub refreshes: u32,
}

/// All journeys of a play in order of arrival.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Schedule {
    /// The users.
    pub journeys: Vec<Journey>,
    /// What they use up.
    pub needs: Needs,
}

impl Schedule {
    /// Draws the journeys of `scenario` for a legacy capacity of `capacity` requests a second.
    ///
    /// Arrivals are Poisson within each phase. The same arguments give the same schedule, byte for byte.
    #[must_use]
    pub fn draw(scenario: &Scenario, capacity: f64, seed: u64) -> Self {
        let mut chance = StdRng::seed_from_u64(seed);
        let mut schedule = Self { journeys: Vec::new(), needs: Needs::default() };
        for phase in &scenario.phases {
            let requests = phase.load.requests_per_second(capacity);
            schedule.fill(phase.window, requests / mean_length(), &mut chance);
        }
        schedule
    }

    fn fill(&mut self, window: Window, journeys_per_second: f64, chance: &mut StdRng) {
        let mut at = window.from;
        loop {
            let uniform: f64 = chance.random();
            at += -(1.0 - uniform).ln() / journeys_per_second;
            if at >= window.to {
                return;
            }
            let steps = (0..chance.random_range(1..=LONGEST)).map(|_| self.needs.step(chance)).collect();
            self.journeys.push(Journey { at, steps });
        }
    }

    /// Requests whose nominal start lies in `window`: what an arm without delay would be asked for.
    #[must_use]
    pub fn requests_within(&self, window: Window) -> usize {
        self.steps_within(window).count()
    }

    /// How many orders it intends within `window`, if every journey went on without a wait.
    #[must_use]
    pub fn orders_within(&self, window: Window) -> usize {
        self.steps_within(window).filter(|step| step.operation == Operation::Order).count()
    }

    fn steps_within(&self, window: Window) -> impl Iterator<Item = &Step> {
        let timed = |journey: &'_ Journey, n: u32| journey.at + f64::from(n) * THINK_S;
        self.journeys
            .iter()
            .flat_map(move |journey| (0u32..).zip(&journey.steps).map(move |(n, step)| (timed(journey, n), step)))
            .filter(move |(at, _)| window.holds(*at))
            .map(|(_, step)| step)
    }
}

impl Needs {
    fn step(&mut self, chance: &mut StdRng) -> Step {
        let operation = Operation::drawn(chance.random_range(0..100));
        let drawn = chance.random();
        let key = match operation {
            Operation::Cart => take(&mut self.carts),
            Operation::Order => take(&mut self.orders),
            Operation::Refresh => take(&mut self.refreshes),
            Operation::List | Operation::Product | Operation::Login => drawn,
        };
        Step { operation, key }
    }
}

fn take(counter: &mut u32) -> u32 {
    *counter += 1;
    *counter - 1
}

/// Mean number of requests in a journey.
#[must_use]
pub fn mean_length() -> f64 {
    f64::from(1 + LONGEST) / 2.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::shipped;

    fn bytes(seed: u64) -> Vec<u8> {
        serde_json::to_vec(&Schedule::draw(&Scenario::incident(15.0, false), 212.0, seed)).expect("plain data")
    }

    #[test]
    fn the_same_seed_gives_the_same_bytes_and_another_seed_does_not() {
        assert_eq!(bytes(42), bytes(42));
        assert_ne!(bytes(42), bytes(43));
    }

    #[test]
    fn load_and_mix_are_what_the_scenario_says() {
        let scenario = Scenario::incident(15.0, false);
        let schedule = Schedule::draw(&scenario, 200.0, 1);
        let spike = scenario.peak();
        let rate = as_f64(schedule.requests_within(spike)) / spike.length();
        assert!((380.0..420.0).contains(&rate), "{rate}");
        let steps: Vec<Step> = schedule.journeys.iter().flat_map(|journey| journey.steps.clone()).collect();
        for (operation, percent) in Operation::MIX {
            let share =
                as_f64(steps.iter().filter(|step| step.operation == operation).count()) * 100.0 / as_f64(steps.len());
            assert!((share - f64::from(percent)).abs() < 1.0, "{operation:?} {share}");
        }
    }

    #[test]
    fn arrivals_are_in_order_and_no_two_orders_share_a_cart() {
        let schedule = Schedule::draw(&shipped::named("overload").scenario(1.0, false), 200.0, 7);
        assert!(schedule.journeys.windows(2).all(|pair| pair[0].at <= pair[1].at));
        let mut orders: Vec<u32> = schedule
            .journeys
            .iter()
            .flat_map(|journey| &journey.steps)
            .filter(|step| step.operation == Operation::Order)
            .map(|step| step.key)
            .collect();
        orders.sort_unstable();
        assert!((0u32..).zip(&orders).all(|(n, key)| n == *key));
        assert_eq!(orders.len(), schedule.needs.orders as usize);
    }

    fn as_f64(count: usize) -> f64 {
        f64::from(u32::try_from(count).expect("small"))
    }
}
