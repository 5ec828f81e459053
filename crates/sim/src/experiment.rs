//! The experiments. Each asks one question and answers with a [`Report`].
//!
//! X* is the most that the default machine can do: 1,330 statements of 10 ms a second, with 35 of them at once.

use std::time::Duration;

use forebay_pool_core::Class;

use crate::lab::{self, Case, Lab, Measure};
use crate::measure::{Record, share};
use crate::report::{Chart, Picture, Report, Scale, Table};
use crate::scenario::Phase;

mod ablation;
mod drift;
mod fleet;
mod groups;
mod herd;
mod incident;
mod map;
pub mod onset;
mod parts;
mod priority;
mod regret;
mod slower;
mod spike;
mod steady;
mod tracking;

/// An experiment by name.
#[derive(Clone, Copy, Debug)]
pub struct Experiment {
    /// Its subcommand, and the name of its files.
    pub name: &'static str,
    /// What it asks.
    pub question: &'static str,
    run: fn(&Lab) -> (Vec<String>, Findings),
}

/// What an experiment found.
#[derive(Debug, Default)]
pub struct Findings {
    tables: Vec<Table>,
    pictures: Vec<Picture>,
}

impl Experiment {
    /// Over how many seeds its numbers are, if nobody says otherwise.
    #[must_use]
    pub fn seeds(&self) -> u64 {
        if self.name == ABLATION.name { 4 } else { 20 }
    }

    /// Runs it.
    #[must_use]
    pub fn run(&self, lab: &Lab) -> Report {
        let (method, Findings { tables, pictures }) = (self.run)(lab);
        let Self { name, question, .. } = *self;
        Report { name, question, method, seeds: lab.seeds, tables, pictures }
    }
}

/// All of them, in the order in which they build on each other.
pub const ALL: [Experiment; 14] = [
    Experiment { name: "e1-steady", question: "how much can be done, with how many at once?", run: steady::run },
    Experiment { name: "e2-spike", question: "what is left of it in a spike?", run: spike::run },
    Experiment { name: "e3-incident", question: "does it come back from the incident?", run: incident::run },
    Experiment { name: "e3-onset", question: "does an alert ring as the spike begins?", run: onset::run },
    Experiment { name: "e4-map", question: "when does it not come back?", run: map::run },
    Experiment { name: "e5-regret", question: "what does a wrong size cost?", run: regret::run },
    Experiment {
        name: "e6-tracking",
        question: "how fast does it follow a database that changes?",
        run: tracking::run,
    },
    Experiment { name: "e6-slower", question: "what is left of a database that slows?", run: slower::run },
    Experiment { name: "e7-drift", question: "what is left after a long overload?", run: drift::run },
    Experiment { name: "e8-priority", question: "is critical work served whatever the rest does?", run: priority::run },
    Experiment { name: "e9-herd", question: "do refused clients come back as a second wave?", run: herd::run },
    Experiment { name: "e10-fleet", question: "do many instances share one database?", run: fleet::run },
    Experiment {
        name: "groups",
        question: "would a limit of its own for a hot row's statements pay?",
        run: groups::run,
    },
    Experiment { name: "e13-ablation", question: "which part earns what?", run: ablation::run },
];

/// What each part of the sizer is worth. It takes about as long as all others together, and is not among them.
pub const ABLATION: Experiment =
    Experiment { name: "ablation", question: "what is each part of the sizer worth?", run: parts::run };

/// The most that the default machine can do, in statements of 10 ms a second.
pub const CAPACITY: f64 = 1_330.0;

const fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn phase(name: &'static str, from: u64, to: u64) -> Phase {
    Phase { name, from: secs(from), to: secs(to) }
}

/// A moment in seconds; never is infinite.
fn or_never(moment: Option<Duration>) -> f64 {
    moment.map_or(f64::INFINITY, |moment| moment.as_secs_f64())
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1_000.0
}

/// Good answers between two moments, in percent of X*.
fn goodput<'a>(name: &'static str, from: u64, to: u64) -> Measure<'a> {
    Measure::new(name, 1, move |record| percent_good(record, secs(from), secs(to)))
}

/// Good answers to critical work within a phase, in percent of the requests that came in it.
fn critical_success(record: &Record, phase: &str) -> f64 {
    let tally = record.of(phase, Class::Critical);
    100.0 * share(tally.good, tally.requests)
}

/// The limit between two moments, on average.
fn mean_limit(record: &Record, from: u64, to: u64) -> f64 {
    limit_between(record, secs(from), secs(to))
}

/// A table with a row for each case and a column for each measure.
fn table(lab: &Lab, what: &str, caption: &str, cases: &[Case], measures: &[Measure<'_>]) -> Table {
    let cells = lab.measure(what, cases, measures);
    let mut columns = vec![String::new()];
    columns.extend(lab::names(measures));
    let rows = cases.iter().map(|case| case.name.clone()).zip(cells).collect();
    Table { caption: caption.to_owned(), columns, rows }
}

/// Lines over time, one for each run: a point for each stretch of it.
fn timeline(
    (file, title): (&'static str, &str),
    unit: &'static str,
    runs: &[(String, Record)],
    stretch: Duration,
    of: impl Fn(&Record, Duration, Duration) -> f64,
) -> Picture {
    let line = |(name, record): &(String, Record)| {
        let stretches = u32::try_from(record.bins.len()).unwrap_or(u32::MAX) * Record::BIN;
        let froms = (0..).map(|at| at * stretch).take_while(|from| *from + stretch <= stretches);
        (name.clone(), froms.map(|from| (from.as_secs_f64(), of(record, from, from + stretch))).collect())
    };
    let lines = runs.iter().map(line).collect();
    Chart { file, title: title.to_owned(), axes: ["seconds", unit], scale: Scale::Linear, lines }.picture()
}

/// Good answers between two moments, in percent of X*.
fn percent_good(record: &Record, from: Duration, to: Duration) -> f64 {
    100.0 * record.goodput(from, to) / CAPACITY
}

/// The limit between two moments, on average.
fn limit_between(record: &Record, from: Duration, to: Duration) -> f64 {
    let bins = record.between(from, to);
    let sum: u64 = bins.iter().map(|bin| u64::from(bin.gauge.limit)).sum();
    share(sum, u64::try_from(bins.len()).unwrap_or(u64::MAX))
}

/// The runs with seed 1 of those of the cases that are named, in this order.
fn first_runs(cases: &[Case], names: &[&str]) -> Vec<(String, Record)> {
    let named = names.iter().filter_map(|name| cases.iter().find(|case| case.name == *name));
    lab::first_runs(&named.cloned().collect::<Vec<_>>())
}

/// The mean over seeds.
fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / f64::from(u32::try_from(values.len().max(1)).unwrap_or(u32::MAX))
}
