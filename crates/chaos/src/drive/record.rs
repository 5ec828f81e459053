//! What a drive leaves behind for its judge: counts and orders, no opinions.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hdrhistogram::Histogram;

use super::patience::{Meaning, Seen};
use super::purchase::Purchase;
use super::route::Route;

/// Ten minutes, in microseconds: no request takes longer.
const LONGEST_US: u64 = 600_000_000;

/// Everything that was seen.
#[derive(Clone, Debug, Default)]
pub struct Record {
    /// Journeys.
    pub arrivals: Arrivals,
    /// Attempts by route and what came of them.
    pub attempts: BTreeMap<(Route, String), u64>,
    /// The same, of first attempts that were not answered with 2xx.
    pub first_failures: BTreeMap<(Route, String), u64>,
    /// Attempts in all.
    pub counts: Counts,
    /// Requests, each with its repetitions.
    pub requests: BTreeMap<Route, Requests>,
    /// Orders.
    pub purchases: Vec<Purchase>,
}

/// How punctual the generator was.
#[derive(Clone, Copy, Debug, Default)]
pub struct Arrivals {
    /// Journeys that began.
    pub total: u64,
    /// Those that began later than is allowed.
    pub late: u64,
    /// The latest.
    pub latest: Duration,
}

/// Attempts by what they mean to whoever waits.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counts {
    /// Sent.
    pub sent: u64,
    /// 2xx.
    pub ok: u64,
    /// Refused by the shop with nothing executed: told when to come back.
    pub shed: u64,
    /// Told that the same order is still running.
    pub running: u64,
    /// Any other answer, or none.
    pub failed: u64,
}

/// The requests of one route.
#[derive(Clone, Debug)]
pub struct Requests {
    /// Without success in the end.
    pub failed: u64,
    /// From the first attempt, or the intended arrival, to success, in microseconds.
    pub latency: Histogram<u64>,
}

impl Default for Requests {
    fn default() -> Self {
        let latency = Histogram::new_with_bounds(1, LONGEST_US, 3).expect("these bounds are valid");
        Self { failed: 0, latency }
    }
}

impl Requests {
    /// All of them.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.failed + self.latency.len()
    }
}

impl Record {
    /// Writes down a journey that began `late`.
    pub(crate) fn arrival(&mut self, late: Duration, allowed: Duration) {
        self.arrivals.total += 1;
        self.arrivals.late += u64::from(late > allowed);
        self.arrivals.latest = self.arrivals.latest.max(late);
    }

    /// Writes down what came of an attempt.
    pub(crate) fn attempt<T>(&mut self, route: Route, first: bool, seen: &Seen<T>) {
        let label = seen.label();
        let meaning = seen.meaning();
        match meaning {
            Meaning::Success => self.counts.ok += 1,
            Meaning::Running => self.counts.running += 1,
            _ if seen.is_shed() => self.counts.shed += 1,
            _ => self.counts.failed += 1,
        }
        if first && meaning != Meaning::Success {
            *self.first_failures.entry((route, label.clone())).or_default() += 1;
        }
        *self.attempts.entry((route, label)).or_default() += 1;
    }

    /// Writes down the end of a request: how long it took if it succeeded.
    pub(crate) fn request(&mut self, route: Route, success: Option<Duration>) {
        let requests = self.requests.entry(route).or_default();
        match success {
            Some(took) => requests.latency.saturating_record(u64::try_from(took.as_micros()).unwrap_or(LONGEST_US)),
            None => requests.failed += 1,
        }
    }

    /// How many requests of `route` succeeded.
    #[must_use]
    pub fn succeeded(&self, route: Route) -> u64 {
        self.requests.get(&route).map_or(0, |requests| requests.latency.len())
    }

    /// Requests that failed for good, and all.
    #[must_use]
    pub fn failed_of_all(&self) -> (u64, u64) {
        self.requests.values().fold((0, 0), |(failed, all), one| (failed + one.failed, all + one.total()))
    }
}

/// A record in the making. Cheap to clone; clones write into the same one.
#[derive(Clone, Debug, Default)]
pub(crate) struct Notebook(Arc<Mutex<Record>>);

impl Notebook {
    /// Reads or writes. Must be quick: all journeys wait for it.
    pub(crate) fn with<T>(&self, act: impl FnOnce(&mut Record) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
