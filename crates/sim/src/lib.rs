//! A world in virtual time that drives the production ledger, and rival limiters beside it.
//!
//! Nothing here waits and nothing reads a clock: the [`world`] jumps from event to event, an hour of a pool's life takes
//! seconds, and the same seed gives the same bytes. The pool under test is a [`pool::Pool`]: ours is the
//! [`forebay_pool_core::Ledger`] behind the same calls in the same order as its shell's ([`ours`]), the rivals are ports
//! ([`rival`]). What happens to them is a [`scenario::Scenario`]; what came of it a [`measure::Record`].
//!
//! Moments are a [`std::time::Duration`] since the world began.

#![warn(missing_docs)]

pub mod chance;
pub mod client;
pub mod contender;
pub mod database;
pub mod experiment;
pub mod fleet;
pub mod lab;
pub mod load;
pub mod measure;
pub mod ours;
pub mod pool;
pub mod report;
pub mod rival;
pub mod scenario;
pub mod world;
