//! Breaks the shop on purpose and judges what happens: faults, open-loop load, the replay of the outage, its verdict.
//!
//! A *play* is a scenario on one arm. It leaves a [`record::Recording`], which the judge reads afterwards; nothing that
//! is judged is computed while the load runs.
#![warn(missing_docs)]

pub mod alert;
pub mod clock;
pub mod marks;
pub mod measure;
pub mod record;
pub mod scenario;
pub mod schedule;
