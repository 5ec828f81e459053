//! Measures the pool against its rivals, in one interleaved run: in every round each pool takes its turn, in an order
//! drawn anew, so that whatever else the machine does meets all of them alike. Ratios are taken within a round.
//!
//! A [`Row`] is one question. Its turns write [`book::Figure`]s; [`targets`] judge them; [`report`] and [`plot`] show them.

#![warn(missing_docs)]

pub mod book;
pub mod command;
mod error;
pub mod machine;
pub mod patterns;
mod peer;
mod plan;
pub mod plot;
mod pools;
pub mod precedence;
pub mod report;
pub mod requests;
mod rows;
mod run;
mod stage;
pub mod targets;
mod web;
mod work;

pub use error::BenchError;
use peer::{Held, Peer, Refused};
pub use plan::{Plan, Row};
pub use run::run;
use work::Statement;
