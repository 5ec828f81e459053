//! The report: `report.json` for machines, `report.md` for people, the verdict for the terminal.

pub mod markdown;
pub mod table;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::calibration::Calibration;
use crate::host::Host;
use crate::postmortem::Sentence;
use crate::summary::Summary;
use crate::verdict::Verdict;

/// Changes when a reader of `report.json` would have to.
pub const SCHEMA_VERSION: u32 = 1;

/// How it was measured, for whoever doubts it.
pub const METHOD: [&str; 9] = [
    "Arms differ in the pool and its admission layer alone: same binary, handlers, journeys, faults and clients.",
    "Each arm has its own Postgres (fsync on) and its own process; generator, shop and Postgres share this machine.",
    "Open loop: journeys (1-6 requests, 0.5 s think time) arrive by a seeded Poisson schedule written before the run.",
    "Latency counts from the intended start. Success, shed and failed are never blended.",
    "A user is affected if an operation had no success within 10 s of its intended start, all attempts included; the \
     judged users arrive between 2:30 and 3:00, when the action is taken.",
    "Clients give an attempt 6 s and send 5xx and time-outs again three times at once, with the same Idempotency-Key.",
    "Every lease returns 45 ms late in all arms (the bad habit); seven report jobs sleep 60 s inside a transaction.",
    "Only phase lengths shrink with speed; service times and time-outs are real. The legacy acquire time-out is 5 s, not \
     sqlx's 30 s: clients would have left before any time-out is logged.",
    "Base load is 0.2x and spike load 2x of the legacy arm's capacity, which is calibrated before the run.",
];

/// Everything that a run leaves behind on purpose.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// See [`SCHEMA_VERSION`].
    pub schema_version: u32,
    /// This program's version.
    pub version: &'static str,
    /// How to get the same run again.
    pub command: String,
    /// When it began, RFC 3339 in UTC.
    pub began: String,
    /// The seed of the schedule.
    pub seed: u64,
    /// The machine.
    pub host: Host,
    /// How it was measured.
    pub method: Vec<&'static str>,
    /// The load.
    pub calibration: Calibration,
    /// The verdict.
    pub verdict: Verdict,
    /// The postmortem's sentences; empty where the incident was not played.
    pub postmortem: Vec<Sentence>,
    /// The plays.
    pub plays: Vec<Summary>,
}

impl Report {
    /// Writes `report.json` and `report.md` into `folder`, which is made where it is missing.
    ///
    /// # Errors
    /// The folder cannot be made or a file not be written.
    pub fn write(&self, folder: &Path) -> io::Result<[PathBuf; 2]> {
        fs::create_dir_all(folder)?;
        let (json, text) = (folder.join("report.json"), folder.join("report.md"));
        fs::write(&json, serde_json::to_vec_pretty(self)?)?;
        fs::write(&text, markdown::page(self))?;
        Ok([json, text])
    }
}
