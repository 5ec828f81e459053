//! Runs cases over seeds, on as many threads as there are processors, and makes numbers of them.

use std::fmt::Write as _;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use serde::Serialize;

use crate::contender::Contender;
use crate::measure::Record;
use crate::scenario::Scenario;
use crate::world;

/// One pool in one scenario.
#[derive(Clone, Debug)]
pub struct Case {
    /// Its name in tables.
    pub name: String,
    /// What happens.
    pub scenario: Scenario,
    /// To whom.
    pub contender: Contender,
}

impl Case {
    /// Named after the contender.
    #[must_use]
    pub fn new(scenario: &Scenario, contender: &Contender) -> Self {
        Self { name: contender.name.clone(), scenario: scenario.clone(), contender: contender.clone() }
    }

    /// With another name.
    #[must_use]
    pub fn named(self, name: impl Into<String>) -> Self {
        Self { name: name.into(), ..self }
    }

    /// Plays it once.
    #[must_use]
    pub fn play(&self, seed: u64) -> Record {
        world::run(&self.scenario, &mut *self.contender.build(seed), seed)
    }
}

/// One number of a run, its name, and its digits after the point.
pub struct Measure<'a> {
    name: &'static str,
    digits: usize,
    of: Box<dyn Fn(&Record) -> f64 + Sync + 'a>,
}

impl std::fmt::Debug for Measure<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_tuple("Measure").field(&self.name).finish()
    }
}

impl<'a> Measure<'a> {
    /// Infinity means never.
    pub fn new(name: &'static str, digits: usize, of: impl Fn(&Record) -> f64 + Sync + 'a) -> Self {
        Self { name, digits, of: Box::new(of) }
    }
}

/// A number over all seeds.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Cell {
    /// For people: the mean, and the lowest and highest where they differ; or what was written.
    pub text: String,
    /// For machines: one value for each seed, `null` where it never happened.
    pub values: Vec<f64>,
}

impl Cell {
    /// Words.
    #[must_use]
    pub fn text(text: impl Into<String>) -> Self {
        Self { text: text.into(), values: Vec::new() }
    }

    /// A number over seeds.
    #[must_use]
    pub fn of(values: Vec<f64>, digits: usize) -> Self {
        let finite: Vec<f64> = values.iter().copied().filter(|value| value.is_finite()).collect();
        let never = values.len() - finite.len();
        let mut text = String::new();
        if !finite.is_empty() {
            let (low, high) = finite.iter().fold((f64::MAX, f64::MIN), |(l, h), v| (l.min(*v), h.max(*v)));
            let (mean, low, high) = (Self::mean_of(&finite), format!("{low:.digits$}"), format!("{high:.digits$}"));
            text = format!("{mean:.digits$}");
            if low != high {
                write!(text, " ({low} to {high})").expect("a string takes everything");
            }
        }
        if never > 0 && finite.is_empty() {
            "never".clone_into(&mut text);
        } else if never > 0 {
            write!(text, ", never in {never} of {}", values.len()).expect("a string takes everything");
        }
        Self { text, values }
    }

    /// The mean over seeds; infinite where it once never happened.
    #[must_use]
    pub fn mean(&self) -> f64 {
        Self::mean_of(&self.values)
    }

    #[expect(clippy::cast_precision_loss, reason = "as many as seeds")]
    fn mean_of(values: &[f64]) -> f64 {
        values.iter().sum::<f64>() / values.len().max(1) as f64
    }
}

/// How much is run.
#[derive(Clone, Copy, Debug)]
pub struct Lab {
    /// Seeds 1 to this.
    pub seeds: u64,
    /// Whether to say on stderr how far it is.
    pub progress: bool,
}

impl Lab {
    /// Every measure of every case, in order: the same whatever the number of threads.
    #[must_use]
    pub fn measure(&self, what: &str, cases: &[Case], measures: &[Measure<'_>]) -> Vec<Vec<Cell>> {
        let runs: Vec<(usize, u64)> =
            (0..cases.len()).flat_map(|case| (1..=self.seeds).map(move |seed| (case, seed))).collect();
        let done = AtomicUsize::new(0);
        let found = on_all_processors(&runs, |(case, seed)| {
            let record = cases[*case].play(*seed);
            let values = measures.iter().map(|measure| (measure.of)(&record)).collect::<Vec<f64>>();
            self.tell(what, done.fetch_add(1, Ordering::Relaxed) + 1, runs.len());
            values
        });
        let by_case = found.chunks(usize::try_from(self.seeds).unwrap_or(1).max(1));
        by_case.map(|runs| columns(runs, measures)).collect()
    }

    fn tell(&self, what: &str, done: usize, all: usize) {
        if self.progress && (done.is_multiple_of(10) || done == all) {
            eprintln!("{what}: {done} of {all} runs");
        }
    }
}

/// Each case's name and what came of it with seed 1: for pictures of one run.
#[must_use]
pub fn first_runs(cases: &[Case]) -> Vec<(String, Record)> {
    let records = on_all_processors(cases, |case| case.play(1)).into_iter().flatten();
    cases.iter().map(|case| case.name.clone()).zip(records).collect()
}

/// Does this to each, on as many threads as there are processors; the results are in the order of the items.
pub fn on_all_processors<T: Sync, R: Send>(items: &[T], work: impl Fn(&T) -> R + Sync) -> Vec<Option<R>> {
    let next = AtomicUsize::new(0);
    let found: Mutex<Vec<Option<R>>> = Mutex::new(items.iter().map(|_| None).collect());
    let take = || {
        loop {
            let at = next.fetch_add(1, Ordering::Relaxed);
            let Some(item) = items.get(at) else { break };
            let result = work(item);
            found.lock().expect("no thread panics while it holds this")[at] = Some(result);
        }
    };
    thread::scope(|scope| {
        let threads = thread::available_parallelism().map_or(1, usize::from);
        (0..threads).for_each(|_| {
            scope.spawn(take);
        });
    });
    found.into_inner().expect("no thread panicked")
}

fn columns(runs: &[Option<Vec<f64>>], measures: &[Measure<'_>]) -> Vec<Cell> {
    let value = |run: &Option<Vec<f64>>, column: usize| run.as_ref().map_or(f64::NAN, |values| values[column]);
    let column = |(index, measure): (usize, &Measure<'_>)| {
        Cell::of(runs.iter().map(|run| value(run, index)).collect(), measure.digits)
    };
    measures.iter().enumerate().map(column).collect()
}

/// The names of measures, as a table's head.
#[must_use]
pub fn names(measures: &[Measure<'_>]) -> Vec<String> {
    measures.iter().map(|measure| measure.name.to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_says_the_mean_the_range_and_how_often_it_never_happened() {
        assert_eq!(Cell::of(vec![1.0, 1.0], 1).text, "1.0");
        assert_eq!(Cell::of(vec![1.0, 2.0], 1).text, "1.5 (1.0 to 2.0)");
        assert_eq!(Cell::of(vec![f64::INFINITY; 2], 1).text, "never");
        assert_eq!(Cell::of(vec![3.0, f64::INFINITY], 0).text, "3, never in 1 of 2");
    }
}
