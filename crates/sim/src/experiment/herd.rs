//! E9: clients that were refused come back.

use std::time::Duration;

use forebay_pool_core::Rules;

use super::{CAPACITY, Findings, or_never, secs, table};
use crate::client::{Client, Pause, Population};
use crate::contender::Contender;
use crate::lab::{Case, Lab, Measure};
use crate::load::Profile;
use crate::measure::{Record, share};
use crate::report::{Bars, Table};
use crate::rival::Fixed;
use crate::scenario::{Phase, Scenario};

const EXTRA: &str = "extra attempts per refused request";
const BEGINS: u64 = 10;
const END: u64 = 240;

/// What is refused of a spike of so many times X*.
#[derive(Clone, Copy)]
struct Spike {
    times: f64,
    ends: Duration,
}

/// Fills the calendar ten times over.
const LARGE: Spike = Spike { times: 20.0, ends: secs(BEGINS + 3) };
/// Fits into it.
const SMALL: Spike = Spike { times: 10.0, ends: Duration::from_millis(1_000 * BEGINS + 500) };

impl Spike {
    fn scenario(self, clients: Population) -> Scenario {
        let Self { times, ends } = self;
        let base = 0.6 * CAPACITY;
        let profile = Profile::steady(base).until(secs(BEGINS)).then(times * CAPACITY).until(ends).then(base);
        let phase = |name, from, to| Phase { name, from, to };
        Scenario {
            clients,
            phases: vec![phase("spike", secs(BEGINS), ends), phase("after", ends, secs(END))],
            ..Scenario::plain(profile, secs(END))
        }
    }

    /// The most attempts in a second, beginning a second after the spike, in multiples of X*.
    fn return_peak(self, record: &Record) -> f64 {
        let bins = record.between(self.ends + secs(1), secs(END));
        let attempts = bins.chunks(10).map(|second| second.iter().map(|bin| f64::from(bin.attempts)).sum::<f64>());
        attempts.fold(0.0, f64::max) / CAPACITY
    }

    fn cases(self) -> Vec<Case> {
        let honest = Client::HONEST;
        let whole = Client { pause: whole_seconds(), ..honest };
        let all_honest = self.scenario(Population::of(honest));
        let in_whole_seconds = self.scenario(Population::of(whole));
        let mixed = self.scenario(Population::mixed(&[(0.7, honest), (0.3, Client::NAIVE)]));
        let ours = Contender::ours("ours, defaults (ceiling 60)", Rules::default());
        let fixed = Contender::ours_fixed(35);
        vec![
            Case::new(&all_honest, &shed("shed at 35, told 1 s", Some(secs(1)))),
            Case::new(&all_honest, &shed("shed at 35, told 5 s", Some(secs(5)))),
            Case::new(&all_honest, &shed("shed at 35, told nothing (backoff)", None)),
            Case::new(&all_honest, &ours),
            Case::new(&all_honest, &fixed),
            Case::new(&in_whole_seconds, &fixed).named("ours, limit 35, clients that read whole seconds"),
            Case::new(&mixed, &fixed).named("ours, limit 35, 30 % naive clients"),
        ]
    }

    fn table(self, lab: &Lab, what: &str, caption: &str) -> Table {
        let measures = [
            Measure::new(EXTRA, 2, |record| record.all("spike").extra_per_refused()),
            Measure::new("refusals afterwards per refused request", 2, per_refused),
            Measure::new("refusals after the spike", 0, |record| count(record.all("after").refused)),
            Measure::new("peak return, X*", 1, move |record| self.return_peak(record)),
            Measure::new("recovery, s", 1, move |record| or_never(record.recovery(self.ends))),
            Measure::new("users of the spike lost, %", 1, |record| 100.0 * record.all("spike").hit_share()),
        ];
        table(lab, what, caption, &self.cases(), &measures)
    }
}

fn shed(name: &str, told: Option<Duration>) -> Contender {
    Contender::new(name, move |_| match told {
        Some(told) => Fixed::shedding(35, 0).telling(told),
        None => Fixed::shedding(35, 0),
    })
}

pub(super) fn run(lab: &Lab) -> (Vec<String>, Findings) {
    let method = vec![
        "0.6 X*, a spike from second 10 on, 0.6 X* until second 240. Honest clients come back when they were told to, as long as \
         it takes; where they were told nothing they back off with full jitter up to 5 s."
            .to_owned(),
        "Extra attempts are those beyond the first of requests of the spike that were refused at least once and are over.".to_owned(),
        "Why two spikes: the calendar books half of what is left over, 0.2 X*, for at most 30 s, so that 6 seconds' worth of X* fit. \
         10 X* for 0.5 s leave 4.5 to come back: for these one extra attempt each can be enough. 20 X* for 3 s leave 57, \
         which need five minutes: whoever is told 30 s comes back too early, whatever is said."
            .to_owned(),
    ];
    let small = SMALL.table(lab, "e9 small", "10 X* for 0.5 s, which fit into the calendar:");
    let large = LARGE.table(lab, "e9 large", "20 X* for 3 s, which do not:");
    let title = "Extra attempts per refused request, after a spike that the calendar can hold and one it cannot";
    let bars = Bars::new("e9-herd", title, "extra attempts per refused request (logarithmic)")
        .log()
        .with("10 X* for 0.5 s", small.column(EXTRA))
        .with("20 X* for 3 s", large.column(EXTRA));
    (method, Findings { tables: vec![small, large], pictures: vec![bars.picture()] })
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
