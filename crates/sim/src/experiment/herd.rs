//! E9: clients that were refused come back.

use std::time::Duration;

use forebay_pool_core::Rules;

use super::{CAPACITY, Findings, or_never, phase, secs, table};
use crate::client::{Client, Pause, Population};
use crate::contender::Contender;
use crate::lab::{Case, Lab, Measure};
use crate::load::Profile;
use crate::measure::{Record, share};
use crate::rival::Fixed;
use crate::scenario::Scenario;

const BEGINS: u64 = 10;
const ENDS: u64 = 13;
const END: u64 = 240;

fn scenario(clients: Population) -> Scenario {
    let base = 0.6 * CAPACITY;
    let profile = Profile::steady(base).until(secs(BEGINS)).then(20.0 * CAPACITY).until(secs(ENDS)).then(base);
    Scenario {
        clients,
        phases: vec![phase("spike", BEGINS, ENDS), phase("after", ENDS, END)],
        ..Scenario::plain(profile, secs(END))
    }
}

/// The most attempts in a second, beginning a second after the spike, in multiples of X*.
fn return_peak(record: &Record) -> f64 {
    let bins = record.between(secs(ENDS + 1), secs(END));
    let attempts = bins.chunks(10).map(|second| second.iter().map(|bin| f64::from(bin.attempts)).sum::<f64>());
    attempts.fold(0.0, f64::max) / CAPACITY
}

pub(super) fn run(lab: &Lab) -> (Vec<String>, Findings) {
    let method = vec![
        "0.6 X*, 20 X* for 3 s, 0.6 X* for 227 s. Honest clients come back when they were told to, as long as it takes; where they \
         were told nothing they back off with full jitter up to 5 s."
            .to_owned(),
        "Extra attempts are those beyond the first of requests of the spike that were refused at least once and are over.".to_owned(),
    ];
    let honest = Client::HONEST;
    let whole = Client { pause: whole_seconds(), ..honest };
    let shed = |name: &str, told: Option<Duration>| {
        Contender::new(name, move |_| match told {
            Some(told) => Fixed::shedding(35, 0).telling(told),
            None => Fixed::shedding(35, 0),
        })
    };
    let all_honest = scenario(Population::of(honest));
    let in_whole_seconds = scenario(Population::of(whole));
    let mixed = scenario(Population::mixed(&[(0.7, honest), (0.3, Client::NAIVE)]));
    let ours = Contender::ours("ours, defaults (ceiling 60)", Rules::default());
    let fixed = Contender::ours_fixed(35);
    let cases = [
        Case::new(&all_honest, &shed("shed at 35, told 1 s", Some(secs(1)))),
        Case::new(&all_honest, &shed("shed at 35, told 5 s", Some(secs(5)))),
        Case::new(&all_honest, &shed("shed at 35, told nothing (backoff)", None)),
        Case::new(&all_honest, &ours),
        Case::new(&all_honest, &fixed),
        Case::new(&in_whole_seconds, &fixed).named("ours, limit 35, clients that read whole seconds"),
        Case::new(&mixed, &fixed).named("ours, limit 35, 30 % naive clients"),
    ];
    let measures = [
        Measure::new("extra attempts per refused request", 2, |record| record.all("spike").extra_per_refused()),
        Measure::new("refusals afterwards per refused request", 2, per_refused),
        Measure::new("refusals after the spike", 0, |record| count(record.all("after").refused)),
        Measure::new("peak return, X*", 1, return_peak),
        Measure::new("recovery, s", 1, |record| or_never(record.recovery(secs(ENDS)))),
        Measure::new("users of the spike lost, %", 1, |record| 100.0 * record.all("spike").hit_share()),
    ];
    (method, Findings { tables: vec![table(lab, "e9", "", &cases, &measures)], charts: Vec::new() })
}

/// Everybody's refusals after the spike, those of requests that came later included, for each that was refused in it.
fn per_refused(record: &Record) -> f64 {
    share(record.all("after").refused, record.all("spike").refused_requests)
}

const fn whole_seconds() -> Pause {
    Pause::Honoured { first: Duration::from_millis(100), longest: Duration::from_secs(5), whole_seconds: true }
}

#[expect(clippy::cast_precision_loss, reason = "counts of a run stay far below 2^52")]
const fn count(of: u64) -> f64 {
    of as f64
}
