//! Breaks the shop on purpose and judges what happens: faults, open-loop load, the replay of the outage, its verdict.
//!
//! A *play* is a scenario on one arm. It leaves a [`record::Recording`], which the judge reads afterwards; nothing that
//! is judged is computed while the load runs.
//!
//! From data to verdict: [`scenario`] says what happens when, [`schedule`] writes down every user beforehand,
//! [`stage`] starts an arm, [`crowd`] plays the users, [`director`] the faults, [`sampler`] looks on. [`measure`] and
//! [`marks`] are pure functions over the recording, [`verdict`] and [`report`] the end.
//!
//! [`rehearsal`] plays the same in virtual time, on the simulator's world, and leaves a recording for the same judge.
//!
//! [`drive`] stands beside the plays: a load on a shop that somebody else started, and may break.
#![warn(missing_docs)]

pub mod alert;
pub mod arm;
pub mod calibrate;
pub mod calibration;
pub mod child;
pub mod client;
pub mod clock;
pub mod correctness;
pub mod crowd;
pub mod departures;
pub mod director;
pub mod drive;
pub mod fault;
pub mod host;
pub mod leftovers;
pub mod log_count;
pub mod marks;
pub mod measure;
pub mod narrator;
pub mod play;
pub mod postmortem;
pub mod preflight;
pub mod prepared;
pub mod processes;
pub mod progress;
pub mod record;
pub mod recorder;
pub mod rehearsal;
pub mod replay;
pub mod report;
pub mod sampler;
pub mod scenario;
pub mod schedule;
pub mod source;
pub mod stage;
pub mod stop;
pub mod summary;
pub mod token;
pub mod verdict;
