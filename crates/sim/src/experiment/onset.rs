//! E3 again: the first seconds of the incident's spike, as the replay plays them, over many seeds.

use std::time::Duration;

use forebay_pool_core::{Class, Rules};

use super::{Findings, phase, secs, table};
use crate::chance::Length;
use crate::client::{Client, Pause, Population};
use crate::contender::Contender;
use crate::database::Machine;
use crate::lab::{Case, Cell, Lab, Measure};
use crate::load::{Burstiness, Profile};
use crate::measure::{Record, share};
use crate::report::Table;
use crate::scenario::{Change, Kind, Load, Scenario, Step};

/// What ten leases of 47 ms can serve in a second: the capacity that the replay multiplies.
const CAPACITY: f64 = 203.0;
const BEGINS: u64 = 15;
const END: u64 = 30;
/// Bins of a minute of the postmortem's clock in the quick replay, over which the error alert counts.
const MINUTE: usize = 30;
const TEN_SECONDS: usize = 100;
/// Percent of errors within a minute of the postmortem's clock above which that alert rings.
pub const ALERT: f64 = 5.0;

/// A user asks one to six times and thinks for half a second in between, so that a spike of users is one of requests only
/// after three seconds.
fn arrivals(users_before: f64, users: f64) -> Profile {
    let asks = |nth: u32| f64::from(6 - nth) / 6.0;
    let all: f64 = (0..6).map(asks).sum();
    let begins = secs(BEGINS);
    (0..6)
        .fold(Profile::steady(users_before * all).until(begins), |profile, nth| {
            let (more, fewer): (f64, f64) = ((0..=nth).map(asks).sum(), (nth + 1..6).map(asks).sum());
            let next = begins + Duration::from_millis(550) * (nth + 1);
            profile.then(users * more + users_before * fewer).until(next)
        })
        .then(users * all)
}

/// Every lease comes back 45 ms late, and seven reports keep theirs idle.
fn scenario(machine: Machine) -> Scenario {
    let late = Step::Think(Length::varying(Duration::from_millis(45), 0.0));
    let kind = |class, weight| {
        let statement = Step::Statement(Length::varying(Duration::from_millis(2), 1.0));
        Kind { steps: vec![statement, late], ..Kind::one_statement(class, weight, Scenario::statement()) }
    };
    let report = |nth: u32| {
        let again = Some(Duration::from_secs(1));
        (secs(5) + Duration::from_millis(990) * nth, Change::Leak { holders: 1, again })
    };
    let at_once = Client { attempts: 4, pause: Pause::Fixed(Duration::ZERO), patience: secs(5) };
    let users = |share: f64| share * CAPACITY / 3.5;
    Scenario {
        load: Load::Open { profile: arrivals(users(0.2), users(2.0)), burstiness: Burstiness::Poisson },
        kinds: vec![kind(Class::Critical, 9.0), kind(Class::High, 23.0), kind(Class::Normal, 68.0)],
        clients: Population::of(at_once),
        machine,
        changes: (0..7).map(report).collect(),
        phases: vec![phase("onset", BEGINS, END)],
        ..Scenario::plain(Profile::steady(0.0), secs(END))
    }
}

/// The same on a server that stands still for so long, in the middle of the second second.
fn with_pause(scenario: Scenario, pause: u64) -> Scenario {
    let at = secs(BEGINS) + Duration::from_millis(1_300);
    let mut changes = scenario.changes.clone();
    changes.extend([(at, Change::Capacity(0.0)), (at + Duration::from_millis(pause), Change::Capacity(1.0))]);
    Scenario { changes, ..scenario }
}

/// The largest share of refusals among answers in so many bins of the spike, in percent.
fn worst(record: &Record, width: usize) -> f64 {
    let bins = record.between(secs(BEGINS), secs(END));
    let of = |bins: &[crate::measure::Bin]| {
        let (refused, good) = bins
            .iter()
            .fold((0, 0), |(refused, good), bin| (refused + u64::from(bin.refused), good + u64::from(bin.good)));
        100.0 * share(refused, refused + good)
    };
    bins.windows(width).map(of).fold(0.0, f64::max)
}

/// The largest share of refusals in a minute of the postmortem's clock, in percent.
#[must_use]
pub fn worst_minute(record: &Record) -> f64 {
    worst(record, MINUTE)
}

/// The spike on a server that opens a connection in 8 ms, and in 40 ms; then with a pause of the server's, in which it is right
/// to refuse.
#[must_use]
pub fn cases() -> [Case; 4] {
    let ours = Contender::ours("ours", Rules::default());
    let usual = Machine::default();
    let slow = Length::varying(Duration::from_millis(30), 0.5);
    let slow = Machine { handshake: slow, fork: Duration::from_millis(10), ..usual };
    [
        Case::new(&scenario(usual), &ours).named("a connection opens in 8 ms"),
        Case::new(&scenario(slow), &ours).named("a connection opens in 40 ms"),
        Case::new(&with_pause(scenario(usual), 100), &ours).named("the server pauses for 100 ms"),
        Case::new(&with_pause(scenario(slow), 200), &ours).named("40 ms, and a pause of 200 ms"),
    ]
}

pub(super) fn run(lab: &Lab) -> (Vec<String>, Findings) {
    let method = vec![
        "The replay's incident in its quick form: 41 requests a second, from second 15 on ten times as many users, each of whom asks one to six times; every lease comes back 45 ms late, seven reports keep theirs idle, clients send four times at once.".to_owned(),
        "An alert rings where more than 5 % of the answers in three seconds are refusals.".to_owned(),
    ];
    let cases = cases();
    let measures = [
        Measure::new("worst minute, % errors", 2, worst_minute),
        Measure::new("worst ten seconds, % errors", 2, |record| worst(record, TEN_SECONDS)),
        #[expect(clippy::cast_precision_loss, reason = "a few hundred")]
        Measure::new("refusals", 0, |record| record.all("onset").refused as f64),
        #[expect(clippy::cast_precision_loss, reason = "a few")]
        Measure::new("users lost", 0, |record| record.all("onset").hit as f64),
    ];
    let found = table(lab, "e3 onset", "", &cases, &measures);
    let verdict = verdict(&found);
    (method, Findings { tables: vec![found, verdict], pictures: Vec::new() })
}

/// In how many runs no alert rang.
fn verdict(found: &Table) -> Table {
    let row = |(name, cells): &(String, Vec<Cell>)| {
        let quiet = cells[0].values.iter().filter(|percent| **percent <= ALERT).count();
        (name.clone(), vec![Cell::text(format!("{quiet} of {}", cells[0].values.len()))])
    };
    Table {
        caption: "Runs without an error alert:".to_owned(),
        columns: vec![String::new(), "no alert".to_owned()],
        rows: found.rows.iter().map(row).collect(),
    }
}
