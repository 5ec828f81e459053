//! One file for each question.

pub(crate) mod capacity;
pub(crate) mod contended;
mod crowd;
pub(crate) mod dropped;
pub(crate) mod herd;
pub(crate) mod http;
pub(crate) mod incident;
pub(crate) mod load;
pub(crate) mod lookups;
pub(crate) mod overload;
pub(crate) mod priority;
pub(crate) mod refusal;
pub(crate) mod regret;
mod scene;
pub(crate) mod spike;
pub(crate) mod steady;
pub(crate) mod tracking;
pub(crate) mod trips;
pub(crate) mod uncontended;
pub(crate) mod verdict;

use std::time::Duration;

/// The deadline of callers that shall not reach it.
const PATIENT: Duration = Duration::from_secs(10);
