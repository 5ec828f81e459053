//! The report: `report.json` for machines, `report.html` to show around, `report.md` for a change request, the verdict for the
//! terminal.

mod folder;
pub mod html;
pub mod markdown;
pub mod table;

#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::calibration::Calibration;
use crate::departures::Departure;
use crate::host::Host;
use crate::postmortem::Sentence;
use crate::summary::Summary;
use crate::verdict::Verdict;

/// Changes when a reader of `report.json` would have to.
pub const SCHEMA_VERSION: u32 = 2;

/// How it was measured, for whoever doubts it.
pub const METHOD: [&str; 9] = [
    "Arms differ in the pool and its admission layer alone: same binary, handlers, journeys, faults and clients.",
    "Each arm has its own Postgres (fsync on) and its own process; generator, shop and Postgres share this machine.",
    "Open loop: journeys (1-6 requests, 0.5 s think time) arrive by a seeded Poisson schedule written before the run.",
    "Latency counts from the intended start. Success, refused and failed are never blended.",
    "A user is affected if an operation had no success within 10 s of its intended start, all attempts included; the \
     judged users arrive between 2:30 and 3:00, when the action is taken.",
    "Clients give an attempt 6 s and send 5xx and time-outs again up to three times, each time without a pause, with the same Idempotency-Key.",
    "Every lease returns 45 ms late in all arms (the bad habit); seven report jobs sleep 60 s inside a transaction.",
    "Only phase lengths shrink with speed; service times and time-outs are real. The legacy acquire time-out is 5 s, not \
     sqlx's 30 s: clients would have left before any time-out is logged.",
    "Base load is 0.2 times and spike load twice the legacy arm's capacity, which is calibrated before the run.",
];

/// What a report is called in its folder: for machines, in short, for people.
const FILES: [&str; 3] = ["report.json", "report.md", "report.html"];

/// Why there is no report.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// It cannot be written.
    #[error("the report cannot be written to {}: {source}. Nothing was left there. {}", folder.display(), way_out(source))]
    Write {
        /// Where.
        folder: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A chart cannot be drawn.
    #[error("a chart of the report cannot be drawn: {0}")]
    Chart(Box<dyn std::error::Error + Send + Sync>),
    /// It cannot be read.
    #[error("{} cannot be read: {source}. Name the report.json of a replay, or its folder", file.display())]
    Read {
        /// Which.
        file: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It is something else.
    #[error("{} is no report of a replay: {source}", file.display())]
    NoReport {
        /// Which.
        file: PathBuf,
        /// Why.
        source: serde_json::Error,
    },
    /// It is a report of another program.
    #[error("{} is a report of version {found}, and this program reads version {SCHEMA_VERSION}: use the program that wrote it", file.display())]
    Version {
        /// Which.
        file: PathBuf,
        /// Its version.
        found: u32,
    },
}

/// What to do about a folder that cannot be written to.
fn way_out(source: &io::Error) -> &'static str {
    match source.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
            "Make room there, or name another folder with --out"
        }
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            "Name a folder with --out that you may write to"
        }
        _ => "Name another folder with --out",
    }
}

/// The part of any report that says how to read the rest.
#[derive(Deserialize)]
struct Version {
    schema_version: u32,
}

/// Everything that a run leaves behind on purpose.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Report {
    /// Changes when a reader of this file would have to.
    #[schemars(extend("const" = SCHEMA_VERSION))]
    pub schema_version: u32,
    /// This program's version.
    pub version: Cow<'static, str>,
    /// How to get the same run again.
    pub command: String,
    /// When it began, RFC 3339 in UTC.
    pub began: String,
    /// The seed of the schedule.
    pub seed: u64,
    /// The machine.
    pub host: Host,
    /// The commit of the program's sources, with a `+` where they were changed since.
    pub commit: Option<String>,
    /// How it was measured.
    pub method: Vec<Cow<'static, str>>,
    /// In what the shop that was played on differs from the shop as it starts with nothing set.
    pub departures: Vec<Departure>,
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
    /// Reads what a run left behind: `report.json`, or the folder that holds it.
    ///
    /// # Errors
    /// There is no such file, or it is no report of this version.
    pub fn read(record: &Path) -> Result<Self, ReportError> {
        let file = if record.is_dir() { record.join(FILES[0]) } else { record.to_owned() };
        let text = fs::read_to_string(&file).map_err(|source| ReportError::Read { file: file.clone(), source })?;
        let no_report = |source| ReportError::NoReport { file: file.clone(), source };
        let Version { schema_version: found } = serde_json::from_str(&text).map_err(no_report)?;
        if found != SCHEMA_VERSION {
            return Err(ReportError::Version { file, found });
        }
        serde_json::from_str(&text).map_err(no_report)
    }

    /// What `report.json` holds, as JSON Schema: published in `docs/report.schema.json`.
    #[must_use]
    pub fn schema() -> String {
        format!("{:#}\n", schemars::schema_for!(Self).to_value())
    }

    /// Writes `report.json`, `report.md` and `report.html` into `folder`, which is made where it is missing. If it cannot, the
    /// folder holds what it held before.
    ///
    /// # Errors
    /// The folder cannot be made or a file not be written.
    pub fn write(&self, folder: &Path) -> Result<[PathBuf; 3], ReportError> {
        let json =
            serde_json::to_vec_pretty(self).map_err(io::Error::from).map_err(|source| unwritten(folder, source))?;
        let html = html::page(self).map_err(ReportError::Chart)?;
        let texts = [json, markdown::page(self).into_bytes(), html.into_bytes()];
        folder::write(folder, FILES.into_iter().zip(texts)).map_err(|source| unwritten(folder, source))?;
        Ok(FILES.map(|file| folder.join(file)))
    }
}

/// Sees to it before a run that its report can be written after it.
///
/// # Errors
/// It could not be written as things are.
pub fn try_folder(folder: &Path) -> Result<(), ReportError> {
    folder::try_out(folder).map_err(|source| unwritten(folder, source))
}

fn unwritten(folder: &Path, source: io::Error) -> ReportError {
    ReportError::Write { folder: folder.to_owned(), source }
}
