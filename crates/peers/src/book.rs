//! What was measured: figures by row, case, metric and pool, one sample a round.

use serde::{Deserialize, Serialize};

use crate::{Plan, Row, machine::Machine, targets::Judgement};

/// Everything a run has to say. It is written as `report.json`, and everything else is made from it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Report {
    /// Where.
    pub machine: Machine,
    /// What, how long and how often.
    pub plan: Plan,
    /// What was measured.
    pub book: Book,
    /// What had to be reached.
    pub judgements: Vec<Judgement>,
}

/// The figures of a run.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Book {
    /// One for each row, case, metric and pool.
    pub figures: Vec<Figure>,
    /// Turns that prove nothing, and why. Their samples stay, and are marked.
    pub voided: Vec<Voided>,
    /// What a reader has to know of a row: what was calibrated, and to what.
    pub notes: Vec<Note>,
}

/// One metric of one pool in one case.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Figure {
    /// The question.
    pub row: Row,
    /// Under what circumstances.
    pub case: String,
    /// What is counted, with its unit.
    pub metric: String,
    /// By whom.
    pub pool: String,
    /// One a round.
    pub samples: Vec<Sample>,
}

/// A value of one round.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Sample {
    /// Which.
    pub round: u32,
    /// In the metric's unit.
    pub value: f64,
    /// Whether the turn's own preconditions held.
    pub valid: bool,
}

/// A turn that proves nothing.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Voided {
    /// The question.
    pub row: Row,
    /// Under what circumstances.
    pub case: String,
    /// Whose turn.
    pub pool: String,
    /// When.
    pub round: u32,
    /// Why.
    pub reason: String,
}

/// A remark on a row.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Note {
    /// Which.
    pub row: Row,
    /// In words.
    pub text: String,
}

/// What one turn found.
#[derive(Clone, Debug, Default)]
pub struct Measured {
    /// Metrics and their values; what a turn has nothing to say of is missing.
    pub values: Vec<(&'static str, f64)>,
    /// Why it proves nothing, if so.
    pub void: Option<String>,
}

impl Measured {
    /// These values.
    #[must_use]
    pub fn of(values: impl Into<Vec<(&'static str, f64)>>) -> Self {
        Self { values: values.into(), void: None }
    }
}

/// Median, least and most of the rounds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Spread {
    /// The middle.
    pub median: f64,
    /// The least.
    pub min: f64,
    /// The most.
    pub max: f64,
}

impl Spread {
    /// Of these values, with six digits; `None` of none.
    #[must_use]
    pub fn of(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        let middle = values.len() / 2;
        let median = match values.len() {
            0 => return None,
            even if even.is_multiple_of(2) => f64::midpoint(values[middle - 1], values[middle]),
            _ => values[middle],
        };
        Some(Self { median: rounded(median), min: rounded(values[0]), max: rounded(values[values.len() - 1]) })
    }
}

impl Figure {
    /// Of the rounds that prove something.
    #[must_use]
    pub fn spread(&self) -> Option<Spread> {
        Spread::of(self.samples.iter().filter(|sample| sample.valid).map(|sample| sample.value))
    }

    /// Of all rounds, to show what a void figure was.
    #[must_use]
    pub fn spread_of_all(&self) -> Option<Spread> {
        Spread::of(self.samples.iter().map(|sample| sample.value))
    }

    /// This figure as a multiple of another, round by round.
    #[must_use]
    pub fn over(&self, base: &Self) -> Option<Spread> {
        Spread::of(self.ratios(base).into_iter().map(|(_, ratio)| ratio))
    }

    /// The same for each round.
    #[must_use]
    pub fn ratios(&self, base: &Self) -> Vec<(u32, f64)> {
        let ratios = self.samples.iter().filter(|sample| sample.valid).filter_map(|sample| {
            let other = base.samples.iter().find(|other| other.round == sample.round && other.valid)?;
            (other.value != 0.0).then(|| (sample.round, sample.value / other.value))
        });
        ratios.collect()
    }
}

impl Book {
    /// Writes down what a turn found. Values keep six digits: more would be noise, and fewer bytes survive the way through
    /// JSON unchanged.
    pub fn enter(&mut self, row: Row, case: &str, pool: &str, round: u32, measured: Measured) {
        let valid = measured.void.is_none();
        for (metric, value) in measured.values {
            let sample = Sample { round, value: rounded(value), valid };
            let found = self.figures.iter_mut().find(|figure| figure.is(row, case, metric, pool));
            if let Some(figure) = found {
                figure.samples.push(sample);
                continue;
            }
            let (case, metric, pool) = (case.to_owned(), metric.to_owned(), pool.to_owned());
            self.figures.push(Figure { row, case, metric, pool, samples: vec![sample] });
        }
        if let Some(reason) = measured.void {
            self.voided.push(Voided { row, case: case.to_owned(), pool: pool.to_owned(), round, reason });
        }
    }

    /// Adds a remark.
    pub fn remark(&mut self, row: Row, text: impl Into<String>) {
        self.notes.push(Note { row, text: text.into() });
    }

    /// A figure, if it was measured.
    #[must_use]
    pub fn find(&self, row: Row, case: &str, metric: &str, pool: &str) -> Option<&Figure> {
        self.figures.iter().find(|figure| figure.is(row, case, metric, pool))
    }

    /// What differs among the figures of a row, each once, in the order in which it was entered.
    pub fn distinct<'b>(&'b self, row: Row, of: impl Fn(&'b Figure) -> &'b str) -> Vec<&'b str> {
        let mut all = Vec::new();
        for figure in self.figures.iter().filter(|figure| figure.row == row) {
            if !all.contains(&of(figure)) {
                all.push(of(figure));
            }
        }
        all
    }
}

impl Figure {
    fn is(&self, row: Row, case: &str, metric: &str, pool: &str) -> bool {
        self.row == row && self.case == case && self.metric == metric && self.pool == pool
    }
}

fn rounded(value: f64) -> f64 {
    format!("{value:.5e}").parse().unwrap_or(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figure(values: &[(u32, f64, bool)]) -> Figure {
        let samples = values.iter().map(|&(round, value, valid)| Sample { round, value, valid }).collect();
        Figure { row: Row::Refusal, case: String::new(), metric: String::new(), pool: String::new(), samples }
    }

    #[test]
    fn the_median_of_an_even_number_lies_between_the_two_in_the_middle() {
        assert_eq!(Spread::of([4.0, 1.0, 3.0, 2.0]), Some(Spread { median: 2.5, min: 1.0, max: 4.0 }));
        assert_eq!(Spread::of([]), None);
    }

    #[test]
    fn a_ratio_is_taken_within_a_round_and_never_of_a_void_one() {
        let ours = figure(&[(0, 10.0, true), (1, 40.0, true), (2, 9.0, false)]);
        let theirs = figure(&[(1, 20.0, true), (0, 10.0, true), (2, 1.0, true)]);
        assert_eq!(ours.over(&theirs), Some(Spread { median: 1.5, min: 1.0, max: 2.0 }));
        assert_eq!(ours.spread().map(|spread| spread.min), Some(10.0));
        assert_eq!(ours.spread_of_all().map(|spread| spread.min), Some(9.0));
    }

    #[test]
    fn a_void_turn_keeps_its_values_and_says_why() {
        let mut book = Book::default();
        let void = Measured { values: vec![("ns", 1.234_567_89)], void: Some("late".to_owned()) };
        book.enter(Row::Refusal, "one", "a", 0, void);
        let sample = book.find(Row::Refusal, "one", "ns", "a").expect("entered").samples[0];
        assert_eq!((sample.value, sample.valid), (1.23457, false));
        assert_eq!(book.voided[0].reason, "late");
    }
}
