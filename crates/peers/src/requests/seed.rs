//! How long it takes to fill a shop that has nothing yet.

use std::time::Duration;

use tokio::process::Command;
use tokio::time::{Instant, timeout};

use super::Build;
use super::shop::{self, home};
use crate::BenchError;
use crate::book::Spread;
use crate::machine::Machine;
use crate::precedence::Precedence;
use crate::report::spread;

/// What it may take, in seconds.
const MOST: f64 = 15.0;
const LIMIT: Duration = Duration::from_secs(300);

/// What was measured.
#[derive(Clone, Debug)]
pub struct Report {
    machine: Machine,
    name: String,
    /// Seconds of each run.
    seconds: Vec<f64>,
}

/// Has the shop make a database and fill it with the full seed, so many times from nothing.
///
/// # Errors
/// It does not.
pub async fn run(build: &Build, rounds: u32, progress: impl Fn(&str)) -> Result<Report, BenchError> {
    let machine = Machine::here(shop::postgres_version()?, Precedence::Nobody);
    let mut seconds = Vec::new();
    for round in 1..=rounds {
        let taken = fill(build).await?.as_secs_f64();
        progress(&format!("round {round} of {rounds}: {taken:.1} s"));
        seconds.push(taken);
    }
    Ok(Report { machine, name: build.name.clone(), seconds })
}

async fn fill(build: &Build) -> Result<Duration, BenchError> {
    let home = home()?;
    let mut command = Command::new(&build.program);
    command
        .arg("seed")
        .current_dir(home.path())
        .env_remove("DATABASE_URL")
        .env("FOREBAY_DATA", home.path().join("data"))
        .env("FOREBAY_SEED", "full")
        .envs(build.settings.iter().map(|(name, value)| (name, value)))
        .kill_on_drop(true);
    let began = Instant::now();
    let filled = timeout(LIMIT, command.output()).await.map_err(|_late| BenchError::turn("the seed takes for ever"))?;
    let filled = filled.map_err(BenchError::io(format!("starting {}", build.program.display())))?;
    let taken = began.elapsed();
    if !filled.status.success() {
        return Err(BenchError::turn(String::from_utf8_lossy(&filled.stderr)));
    }
    home.close().map_err(BenchError::io("removing the shop's folder"))?;
    Ok(taken)
}

impl Report {
    fn spread(&self) -> Option<Spread> {
        Spread::of(self.seconds.iter().copied())
    }

    /// Whether no run took longer than it may.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.spread().is_some_and(|Spread { max, .. }| max < MOST)
    }

    /// As text.
    #[must_use]
    pub fn markdown(&self) -> String {
        let machine = self.machine.line(" with fsync");
        let verdict = if self.holds() { "held" } else { "**missed**" };
        format!(
            "# The full seed: {}\n\n\
             {machine}\n\n\
             **Method.** `shop seed` from an empty folder, {} times: makes a database, brings the schema up to date, fills it, and stops the server.\n\n\
             {} s, median with least..most; each under {MOST} s: {verdict}.\n",
            self.name,
            self.seconds.len(),
            self.spread().map_or_else(|| "-".to_owned(), spread),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_run_has_to_be_quick_enough() {
        let holds = |seconds: &[f64]| {
            let machine = Machine::here(String::new(), Precedence::Nobody);
            Report { machine, name: String::new(), seconds: seconds.to_vec() }.holds()
        };
        assert!(holds(&[9.0, 14.9]));
        assert!(!holds(&[9.0, 15.0]) && !holds(&[]));
    }
}
