//! The verdict: what was required, what was measured, and the exit code that follows.

pub mod controls;
pub mod incident;
pub mod stated;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::calibration::Calibration;
use crate::summary::Summary;

/// One line of the verdict.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Row {
    /// What is judged.
    pub what: String,
    /// One cell for each column.
    pub cells: Vec<String>,
    /// What is required.
    pub required: String,
    /// Whether it holds; `None` is for information.
    pub held: Option<bool>,
}

/// What becomes of the run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Everything required holds: exit code 0.
    Held,
    /// Our own arm failed: exit code 1.
    Failed,
    /// The run proves nothing: exit code 2.
    Invalid,
}

impl Outcome {
    /// The process's exit code.
    #[must_use]
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Held => 0,
            Self::Failed => 1,
            Self::Invalid => 2,
        }
    }

    /// In words.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Held => "held",
            Self::Failed => "FAILED",
            Self::Invalid => "INVALID RUN",
        }
    }
}

/// The judged run.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Verdict {
    /// Names of the columns between "what" and "required".
    pub columns: Vec<String>,
    /// The table.
    pub rows: Vec<Row>,
    /// Why the run is invalid or has failed, in sentences.
    pub reasons: Vec<String>,
    /// The end.
    pub outcome: Outcome,
}

impl Verdict {
    pub(crate) fn new(columns: Vec<String>, rows: Vec<Row>) -> Self {
        Self { columns, rows, reasons: Vec::new(), outcome: Outcome::Held }
    }

    pub(crate) fn sink(&mut self, outcome: Outcome, reason: String) {
        self.outcome = self.outcome.max(outcome);
        self.reasons.push(reason);
    }

    /// A calibration that its own check contradicts means that the load is not what the report says.
    pub fn check_calibration(&mut self, calibration: &Calibration) {
        if !calibration.holds() {
            self.sink(Outcome::Invalid, format!("the calibration's check does not agree: {calibration:?}"));
        }
    }

    /// What voids any run, and what no arm may do: late arrivals, wrong data, leftovers.
    fn common(&mut self, plays: &[Summary]) {
        if plays.is_empty() {
            self.sink(Outcome::Invalid, "nothing was played: this programme has no such arm".to_owned());
        }
        for play in plays {
            let name = format!("{} on {}", play.scenario.name, play.arm.name());
            for fault in play.faults() {
                self.sink(Outcome::Invalid, format!("{name}: {fault}"));
            }
            if !play.correctness.holds() {
                self.sink(Outcome::Failed, format!("{name}: the data is wrong: {:?}", play.correctness));
            }
            for left in &play.left_behind {
                self.sink(Outcome::Failed, format!("{name}: left behind: {left}"));
            }
        }
    }
}

impl Row {
    fn judged(what: &str, cells: Vec<String>, required: &str, held: bool) -> Self {
        Self { what: what.to_owned(), cells, required: required.to_owned(), held: Some(held) }
    }

    fn information(what: &str, cells: Vec<String>) -> Self {
        Self { what: what.to_owned(), cells, required: String::new(), held: None }
    }
}

fn correctness_row(plays: &[Summary]) -> Row {
    let cell = |play: &Summary| {
        let found = &play.correctness;
        format!("{} / {} / {}", found.oversold, found.duplicates, found.paid_without_order)
    };
    let held = plays.iter().all(|play| play.correctness.holds());
    Row::judged("oversold / duplicates / paid without order", plays.iter().map(cell).collect(), "0 / 0 / 0", held)
}

fn leftovers_row(plays: &[Summary]) -> Row {
    let cell = |play: &Summary| match play.left_behind.len() {
        0 => "nothing".to_owned(),
        count => format!("{count} things"),
    };
    let held = plays.iter().all(|play| play.left_behind.is_empty());
    Row::judged("left behind", plays.iter().map(cell).collect(), "nothing", held)
}

fn information(plays: &[Summary]) -> Vec<Row> {
    let row = |what, cell: &dyn Fn(&Summary) -> String| Row::information(what, plays.iter().map(cell).collect());
    vec![
        row("judged users who failed for good / users of the whole peak affected", &|play| {
            format!("{:.1} / {:.1} %", play.spread.failed_for_good_percent, play.spread.whole_peak_percent)
        }),
        row("attempts per success", &|play| {
            play.attempts_per_success.map_or_else(|| "-".to_owned(), |attempts| format!("{attempts:.2}"))
        }),
        row("orders lost", &|play| format!("{} of {}", play.orders_lost.part, play.orders_lost.total)),
        row("CPU of generator / shop / Postgres, % of a core", &|play| {
            play.cpu.map_or_else(
                || "-".to_owned(),
                |cpu| format!("{:.0} / {:.0} / {:.0}", cpu.generator, cpu.shop, cpu.postgres),
            )
        }),
    ]
}

#[cfg(test)]
mod tests;
