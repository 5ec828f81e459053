//! Marks that a scenario's file states: what is measured, and within what bound it must be.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::text::unknown;
use crate::arm::Arm;
use crate::marks::{Mark, resilient};
use crate::measure::{self, accepted_latencies, percentile};
use crate::record::{Attempt, Recording, Refusal, Reply};
use crate::scenario::{Scenario, Window};
use crate::schedule::{Operation, Schedule};

/// The end of a play, in seconds.
const END_S: f64 = 10.0;

/// What can be measured of a play.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Measure {
    /// Users without success within ten seconds, in percent.
    UsersAffected,
    /// Successes within ten seconds, in percent of what the schedule intends.
    Goodput,
    /// Successes within one second, in percent of what the schedule intends.
    #[serde(rename = "goodput_within_1s")]
    GoodputWithin1s,
    /// Orders that never succeeded, in percent of what the schedule intends.
    OrdersLost,
    /// Errors and refusals among the answers of the last ten seconds, in percent.
    ErrorsAtEnd,
    /// The accepted p95 of a list, in seconds.
    ListP95,
    /// The accepted p95 of an order, in seconds.
    OrderP95,
    /// The accepted p95 of the slowest operation, in seconds.
    SlowestP95,
    /// The p95 of a refusal at the door, in seconds.
    DoorRefusalP95,
    /// The p95 of a refusal out of the queue but for critical work, in seconds.
    QueueRefusalP95,
    /// Idle leases that were taken back, where a holder was named by its call site.
    HoldersTakenBack,
}

/// In what a measure is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unit {
    Percent,
    Seconds,
    Count,
}

impl Measure {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::UsersAffected,
        Self::Goodput,
        Self::GoodputWithin1s,
        Self::OrdersLost,
        Self::ErrorsAtEnd,
        Self::ListP95,
        Self::OrderP95,
        Self::SlowestP95,
        Self::DoorRefusalP95,
        Self::QueueRefusalP95,
        Self::HoldersTakenBack,
    ];

    /// Its key in files.
    #[must_use]
    pub const fn key(self) -> &'static str {
        match self {
            Self::UsersAffected => "users_affected",
            Self::Goodput => "goodput",
            Self::GoodputWithin1s => "goodput_within_1s",
            Self::OrdersLost => "orders_lost",
            Self::ErrorsAtEnd => "errors_at_end",
            Self::ListP95 => "list_p95",
            Self::OrderP95 => "order_p95",
            Self::SlowestP95 => "slowest_p95",
            Self::DoorRefusalP95 => "door_refusal_p95",
            Self::QueueRefusalP95 => "queue_refusal_p95",
            Self::HoldersTakenBack => "holders_taken_back",
        }
    }

    /// In words.
    #[must_use]
    pub const fn says(self) -> &'static str {
        match self {
            Self::UsersAffected => "users affected",
            Self::Goodput => "goodput",
            Self::GoodputWithin1s => "goodput within 1 s",
            Self::OrdersLost => "orders lost",
            Self::ErrorsAtEnd => "errors in the last 10 s",
            Self::ListP95 => "accepted p95 of a list",
            Self::OrderP95 => "accepted p95 of an order",
            Self::SlowestP95 => "accepted p95 of the slowest operation",
            Self::DoorRefusalP95 => "refusals at the door, p95",
            Self::QueueRefusalP95 => "refusals out of the queue, p95",
            Self::HoldersTakenBack => "idle holders named and taken back",
        }
    }

    const fn unit(self) -> Unit {
        match self {
            Self::UsersAffected | Self::Goodput | Self::GoodputWithin1s | Self::OrdersLost | Self::ErrorsAtEnd => {
                Unit::Percent
            }
            Self::HoldersTakenBack => Unit::Count,
            _ => Unit::Seconds,
        }
    }

    /// The value in a play; none where there was nothing to measure.
    #[must_use]
    pub fn value(self, schedule: &Schedule, recording: &Recording, scenario: &Scenario) -> Option<f64> {
        let judged = scenario.judged;
        let p95 = |counts: &dyn Fn(Operation) -> bool| percentile(accepted_latencies(recording, judged, counts), 95.0);
        let each = || Operation::MIX.iter().map(|(operation, _)| p95(&|one| one == *operation));
        let share = |share: measure::Share| (share.total > 0).then(|| share.percent());
        match self {
            Self::UsersAffected => share(measure::users(schedule, recording, judged).affected),
            Self::Goodput => share(measure::goodput(schedule, recording, judged)),
            Self::GoodputWithin1s => share(measure::prompt(schedule, recording, judged)),
            Self::OrdersLost => share(measure::orders_lost(schedule, recording, judged)),
            Self::ErrorsAtEnd => {
                share(measure::errors(recording, Window::before(scenario.end(), END_S), |_operation| true))
            }
            Self::ListP95 => p95(&|one| one == Operation::List),
            Self::OrderP95 => p95(&|one| one == Operation::Order),
            Self::SlowestP95 => each().collect::<Option<Vec<f64>>>()?.into_iter().reduce(f64::max),
            Self::DoorRefusalP95 => {
                refused(recording, judged, |attempt| matches!(attempt.reply, Reply::Shed(why) if why.is_at_the_door()))
            }
            Self::QueueRefusalP95 => refused(recording, judged, |attempt| {
                attempt.reply == Reply::Shed(Refusal::Sojourn) && !resilient::is_critical(attempt.operation)
            }),
            Self::HoldersTakenBack => resilient::named_and_taken_back(recording),
        }
    }

    /// By what a value is multiplied for people, to how many digits, and what follows it.
    pub(crate) const fn scale(self) -> (f64, usize, &'static str) {
        match self.unit() {
            Unit::Percent => (1.0, 1, " %"),
            Unit::Seconds => (1e3, 0, " ms"),
            Unit::Count => (1.0, 0, ""),
        }
    }

    /// A value in words.
    #[must_use]
    pub fn told(self, value: Option<f64>) -> String {
        match (value, self.unit()) {
            (None, _) => "none".to_owned(),
            (Some(value), Unit::Percent) => format!("{value:.1} %"),
            (Some(value), Unit::Count) => format!("{value:.0}"),
            (Some(value), Unit::Seconds) => crate::marks::seconds(Some(value)),
        }
    }
}

fn refused(recording: &Recording, window: Window, counts: impl Fn(&Attempt) -> bool) -> Option<f64> {
    let refusals = recording.attempts.iter().filter(|attempt| window.holds(attempt.end()) && counts(attempt));
    percentile(refusals.map(|attempt| attempt.took).collect(), 95.0)
}

/// How a value stands to what it is held against.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Relation {
    /// `<`
    Below,
    /// `<=`
    AtMost,
    /// `>=`
    AtLeast,
    /// `>`
    Above,
}

impl Relation {
    const ALL: [(&'static str, Self); 4] =
        [("<=", Self::AtMost), (">=", Self::AtLeast), ("<", Self::Below), (">", Self::Above)];

    fn sign(self) -> &'static str {
        Self::ALL.iter().find(|(_, relation)| *relation == self).map_or("", |(sign, _)| sign)
    }

    fn holds(self, value: f64, against: f64) -> bool {
        match self {
            Self::Below => value < against,
            Self::AtMost => value <= against,
            Self::AtLeast => value >= against,
            Self::Above => value > against,
        }
    }
}

/// What a value is held against.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Against {
    /// A number, in percent or seconds or pieces.
    Number(f64),
    /// What the same measure is on another arm.
    Arm(Arm),
}

/// One mark: on this arm the measure must be so.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Bound {
    /// On which arm.
    pub arm: Arm,
    /// What.
    pub measure: Measure,
    /// How it must stand.
    pub relation: Relation,
    /// To what.
    pub against: Against,
}

impl Bound {
    /// Reads `< 5 %`, `>= 250 ms`, or `> stock60`.
    pub(super) fn parse(arm: Arm, measure: Measure, text: &str) -> Result<Self, String> {
        let text = text.trim();
        let sign = Relation::ALL.iter().find(|(sign, _)| text.starts_with(sign));
        let (sign, relation) = sign.ok_or_else(|| format!("must begin with <, <=, >= or >, and is `{text}`"))?;
        let rest = text[sign.len()..].trim();
        let against = match rest.starts_with(|letter: char| letter.is_ascii_alphabetic()) {
            true => Against::Arm(arm_named(rest)?),
            false => Against::Number(measure.unit().parse(rest)?),
        };
        Ok(Self { arm, measure, relation: *relation, against })
    }

    /// The same, if it compares with another of these arms, or with none.
    pub(super) fn among(self, arms: &[Arm]) -> Result<Self, String> {
        match self.against {
            Against::Arm(arm) if arm == self.arm => Err(format!("compares `{}` with itself", arm.key())),
            Against::Arm(arm) if !arms.contains(&arm) => {
                Err(format!("compares with `{}`, which is not played", arm.key()))
            }
            _ => Ok(self),
        }
    }

    /// Whether a value is within the bound; what was not there cannot be too much or too slow a refusal.
    #[must_use]
    pub fn holds(&self, value: Option<f64>, against: Option<f64>) -> bool {
        let nothing = matches!(self.measure, Measure::DoorRefusalP95 | Measure::QueueRefusalP95);
        match (value, against) {
            (Some(value), Some(against)) => self.relation.holds(value, against),
            (None, Some(_)) => nothing,
            (_, None) => false,
        }
    }

    /// The bound in words.
    #[must_use]
    pub fn told(&self) -> String {
        let against = match self.against {
            Against::Number(number) => match self.measure.unit() {
                Unit::Percent => format!("{number} %"),
                Unit::Seconds if number < 1.0 => format!("{} ms", number * 1e3),
                Unit::Seconds => format!("{number} s"),
                Unit::Count => number.to_string(),
            },
            Against::Arm(arm) => arm.name().to_owned(),
        };
        format!("{} {against}", self.relation.sign())
    }

    /// The mark that it makes of a play, unless it compares arms.
    #[must_use]
    pub fn mark(&self, schedule: &Schedule, recording: &Recording, scenario: &Scenario) -> Option<Mark> {
        let Against::Number(number) = self.against else { return None };
        let value = self.measure.value(schedule, recording, scenario);
        let evidence = format!("{}, where {} is required", self.measure.told(value), self.told());
        Some(Mark::new("", self.measure.says(), evidence, self.holds(value, Some(number))))
    }
}

impl Unit {
    fn parse(self, text: &str) -> Result<f64, String> {
        let (units, example): (&[(&str, f64)], &str) = match self {
            Self::Percent => (&[("%", 1.0)], "5 %"),
            Self::Seconds => (&[("ms", 1_000.0), ("s", 1.0)], "250 ms"),
            Self::Count => (&[("", 1.0)], "0"),
        };
        let read = units.iter().find_map(|(unit, in_one)| {
            let number: f64 = text.strip_suffix(unit)?.trim().parse().ok()?;
            (0.0..=1e6).contains(&number).then_some(number / in_one)
        });
        read.ok_or_else(|| format!("must be like \"< {example}\", and has `{text}`"))
    }
}

/// The arm of this name.
pub(super) fn arm_named(name: &str) -> Result<Arm, String> {
    let arms = <Arm as clap::ValueEnum>::value_variants();
    let named = arms.iter().find(|arm| arm.key() == name);
    let keys: Vec<&str> = arms.iter().map(|arm| arm.key()).collect();
    named.copied().ok_or_else(|| format!("names no arm {}", unknown(name, &keys)))
}
