//! Marks: what must be seen in a recording for the play to count, each with its evidence.

pub mod legacy;
pub mod resilient;

use std::borrow::Cow;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One mark, judged.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Mark {
    /// The postmortem's clock, or empty where the mark is about the whole play.
    pub clock: String,
    /// What must hold.
    pub says: Cow<'static, str>,
    /// What was measured.
    pub evidence: String,
    /// Whether it holds.
    pub held: bool,
}

impl Mark {
    pub(crate) fn new(clock: &str, says: &'static str, evidence: String, held: bool) -> Self {
        Self { clock: clock.to_owned(), says: Cow::Borrowed(says), evidence, held }
    }
}

/// `0.0123` as `12 ms`, `4.9` as `4.90 s`, nothing as `none`.
#[must_use]
pub fn seconds(value: Option<f64>) -> String {
    match value {
        None => "none".to_owned(),
        Some(value) if value < 0.01 => format!("{:.1} ms", value * 1e3),
        Some(value) if value < 1.0 => format!("{:.0} ms", value * 1e3),
        Some(value) => format!("{value:.2} s"),
    }
}
