//! A whole run: preflight, calibration, the plays, the verdict, the report.

use std::borrow::Cow;
use std::path::PathBuf;
use std::sync::Arc;

use crate::arm::Arm;
use crate::calibrate::calibrate;
use crate::calibration::Calibration;
use crate::departures;
use crate::host::Host;
use crate::play::{PlayError, Theatre, play};
use crate::postmortem::sentences;
use crate::preflight::{self, PreflightError};
use crate::report::{self, METHOD, Report, ReportError, SCHEMA_VERSION, table};
use crate::scenario::filed::Filed;
use crate::scenario::{QUICK_SPEED, Scenario};
use crate::schedule::Schedule;
use crate::source;
use crate::summary::Summary;
use crate::verdict::{Verdict, controls, incident, stated};

/// What to play.
#[derive(Clone, Debug, PartialEq)]
pub enum Programme {
    /// A scenario, on the arms that it names.
    Scenario(Box<Filed>),
    /// Each cause of the incident left out once.
    Controls,
}

/// More than legacy's capacity is on any machine: ten leases of 45 ms.
const MOST_CAPACITY: f64 = 222.0;

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
    /// The scenario wants what nothing here can do.
    #[error("{0} cannot be played for real: {1}; --virtual plays it in virtual time")]
    Unplayable(String, &'static str),
    /// None of the scenario's arms is the one that was asked for.
    #[error("{0} is not played on {1}: it names {2}")]
    NoSuchArm(String, &'static str, String),
    /// The machine.
    #[error(transparent)]
    Preflight(#[from] PreflightError),
    /// A play.
    #[error(transparent)]
    Play(#[from] PlayError),
    /// The report cannot be written.
    #[error(transparent)]
    Report(#[from] ReportError),
}

impl Options {
    /// The plays in order.
    #[must_use]
    pub fn plays(&self) -> Vec<(Scenario, Arm)> {
        let (speed, quick) = (self.speed, self.quick);
        let on = |scenario: Scenario, arms: &[Arm]| arms.iter().map(|arm| (scenario.clone(), *arm)).collect::<Vec<_>>();
        let plays = match &self.programme {
            Programme::Scenario(filed) => on(filed.scenario(speed, quick), &filed.arms),
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
        match &self.programme {
            Programme::Scenario(filed) if filed.is_postmortem() => incident::judge(plays),
            Programme::Scenario(_) => stated::judge(plays),
            Programme::Controls => controls::judge(plays),
        }
    }

    /// Whether there is anything to play, and all of it can be.
    fn playable(&self) -> Result<(), ReplayError> {
        let Programme::Scenario(filed) = &self.programme else { return Ok(()) };
        if let Some(why) = filed.only_virtual() {
            return Err(ReplayError::Unplayable(filed.name.clone(), why));
        }
        filed.check_arm(self.arm).map_err(|(arm, named)| ReplayError::NoSuchArm(filed.name.clone(), arm, named))
    }

    /// What the report calls it.
    fn name(&self) -> &str {
        match &self.programme {
            Programme::Scenario(filed) => &filed.name,
            Programme::Controls => "controls",
        }
    }

    fn tells_the_postmortem(&self) -> bool {
        matches!(&self.programme, Programme::Scenario(filed) if filed.is_postmortem())
    }

    /// The most requests a second that any of the plays sends.
    fn peak(&self) -> f64 {
        let plays = self.plays();
        let phases = plays.iter().flat_map(|(scenario, _)| &scenario.phases);
        phases.map(|phase| phase.load.requests_per_second(MOST_CAPACITY)).fold(0.0, f64::max)
    }
}

/// Plays, judges and reports.
///
/// # Errors
/// See [`ReplayError`].
pub async fn run(options: &Options, theatre: &Theatre) -> Result<Verdict, ReplayError> {
    let began = time::OffsetDateTime::now_utc();
    options.playable()?;
    preflight::check(options.peak())?;
    report::try_folder(&options.out)?;
    let host = Host::here();
    let Options { seed, speed, .. } = options;
    let progress = theatre.progress;
    progress.line(format!("replay: {}, seed {seed}, speed {speed}x, {} cores", options.name(), host.cores));
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
        version: env!("CARGO_PKG_VERSION").into(),
        command: options.command.clone(),
        began: began.format(&time::format_description::well_known::Rfc3339).unwrap_or_default(),
        seed: *seed,
        host,
        commit: source::commit(),
        method: METHOD.map(Cow::Borrowed).to_vec(),
        departures: departures::all(),
        calibration,
        verdict,
        postmortem: if options.tells_the_postmortem() { sentences(&plays) } else { Vec::new() },
        plays,
    };
    tell_verdict(theatre, &report);
    let [json, text, page] = report.write(&options.out)?;
    progress.line(format!("\nreport   {}, {}, {}", page.display(), text.display(), json.display()));
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
