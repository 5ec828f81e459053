//! A run in virtual time: scenario after scenario, told and written down.

use std::fs;
use std::io;
use std::path::PathBuf;

use serde::Serialize;
use tokio::time::Instant;

use super::{Rehearsal, cast, rehearse};
use crate::arm::Arm;
use crate::progress::Progress;
use crate::report::table;
use crate::scenario::filed::Filed;
use crate::verdict::Outcome;

/// Changes when a reader of `virtual.json` would have to.
pub const SCHEMA_VERSION: u32 = 1;

/// What to play in virtual time, and how.
#[derive(Clone, Debug)]
pub struct Plan {
    /// One after another.
    pub scenarios: Vec<Filed>,
    /// The first seed.
    pub seed: u64,
    /// How many seeds.
    pub seeds: u64,
    /// Seconds of the postmortem per second.
    pub speed: f64,
    /// Shorter base and tail.
    pub quick: bool,
    /// One arm alone.
    pub arm: Option<Arm>,
    /// The folder of `virtual.json`.
    pub out: PathBuf,
    /// The command line, for the record.
    pub command: String,
}

/// Why there is no result.
#[derive(Debug, thiserror::Error)]
pub enum RehearsalError {
    /// None of the scenario's arms is the one that was asked for.
    #[error("{0} is not played on {1}: it names {2}")]
    NoSuchArm(String, &'static str, String),
    /// The record cannot be written.
    #[error("writing {0}: {1}", file.display(), error)]
    Record {
        /// Where it was to be.
        file: PathBuf,
        /// Why not.
        error: io::Error,
    },
}

/// What a run in virtual time leaves behind.
#[derive(Clone, Debug, Serialize)]
struct Record<'r> {
    schema_version: u32,
    version: &'static str,
    command: &'r str,
    rehearsals: &'r [Rehearsal],
}

/// Plays all of it, tells it, writes `virtual.json`, and says whether all marks held.
///
/// # Errors
/// See [`RehearsalError`].
pub fn run(plan: &Plan, progress: Progress) -> Result<Outcome, RehearsalError> {
    for filed in &plan.scenarios {
        filed.check_arm(plan.arm).map_err(|(arm, named)| RehearsalError::NoSuchArm(filed.name.clone(), arm, named))?;
    }
    let mut rehearsals = Vec::new();
    for filed in &plan.scenarios {
        let arms: Vec<Arm> =
            filed.arms.iter().copied().filter(|arm| plan.arm.is_none_or(|only| only == *arm)).collect();
        let began = Instant::now();
        let last = plan.seed.saturating_add(plan.seeds - 1);
        let rehearsal = rehearse(&filed.scenario(plan.speed, plan.quick), &cast(&arms), plan.seed..=last);
        tell(&rehearsal, &filed.about, began.elapsed().as_secs_f64(), progress);
        rehearsals.push(rehearsal);
    }
    let Plan { out, command, .. } = plan;
    let record =
        Record { schema_version: SCHEMA_VERSION, version: env!("CARGO_PKG_VERSION"), command, rehearsals: &rehearsals };
    let file = out.join("virtual.json");
    let text = serde_json::to_vec_pretty(&record).map_err(io::Error::from);
    let written = text.and_then(|text| fs::create_dir_all(out).and_then(|()| fs::write(&file, text)));
    written.map_err(|error| RehearsalError::Record { file: file.clone(), error })?;
    let outcome = rehearsals.iter().map(|rehearsal| rehearsal.verdict.outcome).max().unwrap_or(Outcome::Invalid);
    progress.line(format!("record   {}\n\n{}", file.display(), outcome.name()));
    Ok(outcome)
}

fn tell(rehearsal: &Rehearsal, about: &str, took: f64, progress: Progress) {
    let Rehearsal { scenario, seeds: [first, last], verdict, .. } = rehearsal;
    let name = scenario.name.to_uppercase();
    progress.line(format!("{name} in virtual time, seeds {first} to {last}, {took:.1} s: {about}"));
    table::lines(verdict).iter().for_each(|line| progress.line(line));
    verdict.reasons.iter().for_each(|reason| progress.line(format!(" ! {reason}")));
    progress.line(format!(" {}\n", verdict.outcome.name()));
}
