//! One file for each question.

pub(crate) mod contended;
mod crowd;
pub(crate) mod dropped;
mod load;
pub(crate) mod lookups;
pub(crate) mod overload;
pub(crate) mod refusal;
pub(crate) mod trips;
pub(crate) mod uncontended;
pub(crate) mod verdict;

use std::time::Duration;

/// The deadline of callers that shall not reach it.
const PATIENT: Duration = Duration::from_secs(10);
