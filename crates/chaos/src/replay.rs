//! A whole run: preflight, calibration, the plays, the verdict, the report.

use std::path::PathBuf;
use std::sync::Arc;

use crate::arm::Arm;
use crate::calibrate::calibrate;
use crate::calibration::Calibration;
use crate::host::Host;
use crate::play::{PlayError, Theatre, play};
use crate::postmortem::sentences;
use crate::preflight::{self, PreflightError};
use crate::report::{METHOD, Report, SCHEMA_VERSION, table};
use crate::scenario::{QUICK_SPEED, Scenario};
use crate::schedule::Schedule;
use crate::summary::Summary;
use crate::verdict::{Verdict, controls, incident, sequels};

/// What to play.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Programme {
    /// The postmortem on legacy and ours.
    Incident,
    /// Holders that keep coming and never give back, on three arms.
    Leak,
    /// 1,500 requests a second, on three arms.
    Overload,
    /// Each cause of the incident left out once.
    #[value(skip)]
    Controls,
}

/// Requests a second of the overload.
const OVERLOAD_PER_SECOND: f64 = 1_500.0;

/// How to play it.
#[derive(Clone, Debug)]
pub struct Options {
    /// What.
    pub programme: Programme,
    /// Seed of the schedule.
    pub seed: u64,
    /// Seconds of the postmortem per second.
    pub speed: f64,
    /// Shorter base and tail.
    pub quick: bool,
    /// Seconds of base load after each play.
    pub after_s: f64,
    /// One arm alone.
    pub arm: Option<Arm>,
    /// Where the report goes.
    pub out: PathBuf,
    /// The command line, for the report.
    pub command: String,
}

/// Why a run has no verdict.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// The machine.
    #[error(transparent)]
    Preflight(#[from] PreflightError),
    /// A play.
    #[error(transparent)]
    Play(#[from] PlayError),
    /// The report cannot be written.
    #[error("writing the report: {0}")]
    Report(#[from] std::io::Error),
}

impl Options {
    /// The plays in order.
    #[must_use]
    pub fn plays(&self) -> Vec<(Scenario, Arm)> {
        let (speed, quick) = (self.speed, self.quick);
        let on = |scenario: Scenario, arms: &[Arm]| arms.iter().map(|arm| (scenario.clone(), *arm)).collect::<Vec<_>>();
        let plays = match self.programme {
            Programme::Incident => on(Scenario::incident(speed, quick), &[Arm::Legacy, Arm::Resilient]),
            Programme::Leak => on(Scenario::leak(), &[Arm::Legacy, Arm::Stock60, Arm::Resilient]),
            Programme::Overload => {
                on(Scenario::overload(OVERLOAD_PER_SECOND), &[Arm::Legacy, Arm::Stock60, Arm::Resilient])
            }
            Programme::Controls => vec![
                (Scenario::spike_alone(QUICK_SPEED), Arm::Legacy),
                (Scenario::holders_alone(QUICK_SPEED), Arm::Legacy),
                (Scenario::without_action(QUICK_SPEED), Arm::Legacy),
                (Scenario::incident(QUICK_SPEED, true), Arm::Stock60),
            ],
        };
        let plays = plays.into_iter().filter(|(_, arm)| self.arm.is_none_or(|only| only == *arm));
        plays.map(|(scenario, arm)| (scenario.followed_by(self.after_s), arm)).collect()
    }

    fn judge(&self, plays: &[Summary]) -> Verdict {
        match self.programme {
            Programme::Incident => incident::judge(plays),
            Programme::Controls => controls::judge(plays),
            Programme::Leak | Programme::Overload => sequels::judge(plays),
        }
    }
}

/// Plays, judges and reports.
///
/// # Errors
/// See [`ReplayError`].
pub async fn run(options: &Options, theatre: &Theatre) -> Result<Verdict, ReplayError> {
    let began = time::OffsetDateTime::now_utc();
    preflight::check(options.programme == Programme::Overload)?;
    let host = Host::here();
    let Options { seed, speed, .. } = options;
    let progress = theatre.progress;
    progress.line(format!("replay: {:?}, seed {seed}, speed {speed}x, {} cores", options.programme, host.cores));
    let calibration = calibrate(theatre, *seed).await?;
    tell_calibration(theatre, &calibration);
    let mut plays = Vec::new();
    for (scenario, arm) in options.plays() {
        let schedule = Arc::new(Schedule::draw(&scenario, calibration.capacity, *seed));
        let summary = play(theatre, &scenario, arm, &schedule).await?;
        tell_end(theatre, &summary);
        plays.push(summary);
    }
    let mut verdict = options.judge(&plays);
    verdict.check_calibration(&calibration);
    let report = Report {
        schema_version: SCHEMA_VERSION,
        version: env!("CARGO_PKG_VERSION"),
        command: options.command.clone(),
        began: began.format(&time::format_description::well_known::Rfc3339).unwrap_or_default(),
        seed: *seed,
        host,
        method: METHOD.to_vec(),
        calibration,
        verdict,
        postmortem: if options.programme == Programme::Incident { sentences(&plays) } else { Vec::new() },
        plays,
    };
    let files = report.write(&options.out)?;
    tell_verdict(theatre, &report);
    progress.line(format!("\nreport   {}, {}", files[0].display(), files[1].display()));
    Ok(report.verdict)
}

fn tell_calibration(theatre: &Theatre, calibration: &Calibration) {
    let Calibration { measured, capacity, check_offered, check_served, check_errors_percent } = calibration;
    theatre.progress.step(format!(
        "{:.2} leases per request, {:.1} ms base hold: legacy capacity {capacity:.0}/s; base {:.0}/s, spike {:.0}/s",
        measured.leases_per_request,
        measured.base_hold_s * 1e3,
        capacity * crate::scenario::BASE_LOAD,
        capacity * crate::scenario::SPIKE_LOAD,
    ));
    theatre
        .progress
        .step(format!("check at {check_offered:.0}/s: {check_served:.0}/s served, {check_errors_percent:.1} % errors"));
}

fn tell_end(theatre: &Theatre, summary: &Summary) {
    theatre.progress.step(format!(
        "users affected {:.1} %, goodput {:.1} %, orders lost {} of {}, late arrivals {:.3} %",
        summary.affected(),
        summary.goodput.percent(),
        summary.orders_lost.part,
        summary.orders_lost.total,
        summary.late.percent(),
    ));
}

fn tell_verdict(theatre: &Theatre, report: &Report) {
    let progress = theatre.progress;
    if !report.postmortem.is_empty() {
        progress.line("\nTHE POSTMORTEM, LINE BY LINE");
    }
    for sentence in &report.postmortem {
        progress.line(format!(" {:<6} {}", table::sign(sentence.held), sentence.line));
        progress.line(format!("        {}", sentence.evidence));
    }
    progress.line("");
    for line in table::lines(&report.verdict) {
        progress.line(line);
    }
    for reason in &report.verdict.reasons {
        progress.line(format!(" ! {reason}"));
    }
    progress.line(format!("\n{}", report.verdict.outcome.name()));
}
