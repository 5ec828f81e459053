//! `forebay-chaos replay` plays the outage on the legacy pool and on ours, and judges both; `forebay-chaos drive` puts a
//! load on a shop that runs, and judges what its clients saw.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use forebay_chaos::arm::{Arm, CHILD};
use forebay_chaos::drive::arrivals::Mix;
use forebay_chaos::drive::judgement::Failures;
use forebay_chaos::drive::target::Target;
use forebay_chaos::drive::{self, DriveError, PATIENCE, PUNCTUAL, Plan};
use forebay_chaos::play::{PlayError, Theatre};
use forebay_chaos::progress::Progress;
use forebay_chaos::rehearsal;
use forebay_chaos::replay::{self, Options, Programme, ReplayError};
use forebay_chaos::report::{Report, ReportError};
use forebay_chaos::scenario::filed::Filed;
use forebay_chaos::scenario::{FASTEST, QUICK_SPEED, listing, shipped};
use forebay_chaos::stop::Stop;

/// There is nothing to judge.
const INVALID: u8 = 2;
/// The machine lacks something.
const ENVIRONMENT: u8 = 3;
/// Ctrl-C.
const INTERRUPTED: u8 = 130;
/// The name of every scenario at once.
const ALL: &str = "all";
/// Seeds in virtual time, if nobody says otherwise.
const VIRTUAL_SEEDS: u64 = 20;

/// Breaks the shop on purpose and judges what happens.
#[derive(Debug, Parser)]
#[command(version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Plays the outage of the postmortem on both pools. Exit code: 0 held, 1 verdict failed, 2 invalid run,
    /// 3 there is no such scenario or the machine lacks something, 130 interrupted.
    Replay(ReplayArgs),
    /// Plays a scenario: the same as `replay --scenario`.
    Run(RunArgs),
    /// Lists the scenarios, or with --check says what is wrong with one.
    Scenarios(ScenariosArgs),
    /// Writes the report of a replay again, from its report.json: as a page and as text. Exit code: 0 written, 3 there is no
    /// such report, or it cannot be written.
    Report(ReportArgs),
    /// Puts a steady load on a running shop through its public address, reads every order back, and judges what clients
    /// saw. Exit code: 0 held, 1 verdict failed, 2 the run proves nothing, 3 there is no such shop or the machine lacks
    /// something, 130 interrupted before there was a verdict. Ctrl-C ends the load early, and it is judged.
    Drive(DriveArgs),
    /// The child process of a play.
    #[command(name = CHILD, hide = true)]
    ShopUnderFaults,
}

#[derive(Args, Debug)]
struct ReplayArgs {
    /// What to play: a scenario's name, as `scenarios` lists them, or its file.
    #[arg(long, default_value = "incident", value_name = "NAME|FILE")]
    scenario: String,
    /// Play the controls instead: each cause of the incident left out once.
    #[arg(long, conflicts_with_all = ["scenario", "arm", "is_virtual"])]
    controls: bool,
    #[command(flatten)]
    how: HowArgs,
}

#[derive(Args, Debug)]
struct RunArgs {
    /// What to play: a scenario's name, as `scenarios` lists them, or its file.
    #[arg(value_name = "NAME|FILE")]
    scenario: String,
    #[command(flatten)]
    how: HowArgs,
}

#[derive(Args, Debug)]
struct ScenariosArgs {
    /// Check these files and say all that is wrong with them, with line and column. Exit code: 0 all can be played, 1 not all.
    #[arg(long)]
    check: bool,
    /// Files instead of the scenarios that come along.
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,
}

#[derive(Args, Debug)]
struct HowArgs {
    /// Play it in virtual time: seconds instead of minutes, over many seeds, without a server. `all` is every scenario that comes
    /// along.
    #[arg(long = "virtual", conflicts_with_all = ["after", "admin_port"])]
    is_virtual: bool,
    /// In virtual time: how many seeds, from --seed on. [default: 20]
    #[arg(long, requires = "is_virtual", value_parser = clap::value_parser!(u64).range(1..=100_000), value_name = "N")]
    seeds: Option<u64>,
    /// Shorter base and tail, at twenty times the postmortem's speed unless --speed says otherwise.
    #[arg(long)]
    quick: bool,
    /// Seed of the schedule: the same seed plays the same users.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Seconds of the postmortem per second of play, 1 to 20. Service times and time-outs stay real. [default: 15]
    #[arg(long, value_parser = speed)]
    speed: Option<f64>,
    /// Play one arm alone.
    #[arg(long, value_enum)]
    arm: Option<Arm>,
    /// Seconds of base load after each play, for what ends some minutes after what it is about, as alerts do.
    #[arg(long, default_value_t = 0.0, value_parser = after, value_name = "SECONDS")]
    after: f64,
    /// Port of this machine on which the admin listener of the shop that is played on answers. [default: any that is free]
    #[arg(long, default_value_t = 0, hide_default_value = true, value_name = "PORT")]
    admin_port: u16,
    /// Folder for report.html, report.json and report.md.
    #[arg(long, default_value = "replay-report")]
    out: PathBuf,
}

#[derive(Args, Debug)]
struct ReportArgs {
    /// Print the JSON Schema of report.json instead.
    #[arg(long, conflicts_with_all = ["record", "out"])]
    schema: bool,
    /// The report.json of a replay, or the folder that holds it.
    #[arg(default_value = "replay-report")]
    record: PathBuf,
    /// Folder for report.html, report.json and report.md. [default: where the record is]
    #[arg(long)]
    out: Option<PathBuf>,
}

#[derive(Args, Debug)]
struct DriveArgs {
    /// The shop's public address.
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8080")]
    at: Target,
    /// How long journeys arrive.
    #[arg(long, default_value = "30", value_parser = seconds)]
    seconds: f64,
    /// Journeys a second. Each makes one to five requests, and none waits for another.
    #[arg(long, default_value = "50", value_parser = rate)]
    rate: f64,
    /// What they do.
    #[arg(long, value_enum, default_value = "shop")]
    mix: Mix,
    /// The verdict fails if more of the requests failed, repetitions included. [default: any may]
    #[arg(long, value_name = "PERCENT", value_parser = percent)]
    max_failed: Option<f64>,
    /// The verdict fails if a first attempt was answered with anything but 2xx, or not at all.
    #[arg(long, conflicts_with = "max_failed")]
    no_failed_request: bool,
    /// File for the report as JSON.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Seed of the journeys: the same seed sends the same ones.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

fn seconds(text: &str) -> Result<f64, String> {
    between(text, 1.0, 86_400.0)
}

fn after(text: &str) -> Result<f64, String> {
    between(text, 0.0, 3_600.0)
}

fn rate(text: &str) -> Result<f64, String> {
    between(text, 0.1, 10_000.0)
}

fn percent(text: &str) -> Result<f64, String> {
    between(text.trim_end_matches('%').trim_end(), 0.0, 100.0)
}

fn between(text: &str, least: f64, most: f64) -> Result<f64, String> {
    let number: f64 = text.parse().map_err(|error: std::num::ParseFloatError| error.to_string())?;
    if (least..=most).contains(&number) { Ok(number) } else { Err(format!("must lie between {least} and {most}")) }
}

impl ReportArgs {
    fn write(self) -> Result<String, ReportError> {
        if self.schema {
            return Ok(Report::schema().trim_end().to_owned());
        }
        let report = Report::read(&self.record)?;
        let beside = if self.record.is_dir() { Some(self.record.as_path()) } else { self.record.parent() };
        let folder = self.out.or_else(|| beside.map(Path::to_owned)).unwrap_or_default();
        let [.., page] = report.write(&folder)?;
        Ok(page.display().to_string())
    }
}

impl DriveArgs {
    fn plan(self) -> Plan {
        let Self { at, seconds, rate, mix, max_failed, no_failed_request, out, seed } = self;
        let failures = match (max_failed, no_failed_request) {
            (_, true) => Failures::NoFirstAttempt,
            (Some(most), false) => Failures::Percent(most),
            (None, false) => Failures::Any,
        };
        let (punctual, patience, command) = (PUNCTUAL, PATIENCE, command());
        Plan { at, seconds, rate, mix, failures, seed, out, punctual, patience, command }
    }
}

/// The command line, for a report.
fn command() -> String {
    std::env::args().skip(1).fold("forebay-chaos".to_owned(), |all, next| all + " " + &next)
}

fn speed(text: &str) -> Result<f64, String> {
    let speed: f64 = text.parse().map_err(|error: std::num::ParseFloatError| error.to_string())?;
    if (1.0..=FASTEST).contains(&speed) {
        return Ok(speed);
    }
    Err(format!("must lie between 1 and {FASTEST}: faster, the minutes before the spike would not hold their marks"))
}

impl HowArgs {
    fn speed(&self) -> f64 {
        self.speed.unwrap_or(if self.quick { QUICK_SPEED } else { 15.0 })
    }

    fn plan(self, scenarios: Vec<Filed>) -> rehearsal::programme::Plan {
        let speed = self.speed();
        let Self { quick, seed, seeds, arm, out, .. } = self;
        let (seeds, command) = (seeds.unwrap_or(VIRTUAL_SEEDS), command());
        rehearsal::programme::Plan { scenarios, seed, seeds, speed, quick, arm, out, command }
    }

    /// Plays it for real, or in virtual time.
    fn play(self, scenario: &str, runtime: &tokio::runtime::Runtime) -> ExitCode {
        if self.is_virtual && scenario == ALL {
            return rehearse(&self.plan(shipped::all()));
        }
        match Filed::open(scenario) {
            Ok(filed) if self.is_virtual => rehearse(&self.plan(vec![filed])),
            Ok(filed) => {
                let port = self.admin_port;
                runtime.block_on(replay(port, self.options(Programme::Scenario(Box::new(filed)))))
            }
            Err(error) => fail(&error, ENVIRONMENT),
        }
    }

    fn options(self, programme: Programme) -> Options {
        let speed = self.speed();
        let Self { quick, seed, arm, after: after_s, out, .. } = self;
        Options { programme, seed, speed, quick, after_s, arm, out, command: command() }
    }
}

fn main() -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&error, ENVIRONMENT),
    };
    match Cli::parse().command {
        Command::ShopUnderFaults => match runtime.block_on(forebay_chaos::child::run()) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => fail(&error, 1),
        },
        Command::Scenarios(args) => scenarios(&args),
        Command::Replay(ReplayArgs { controls: true, how, .. }) => {
            runtime.block_on(replay(how.admin_port, how.options(Programme::Controls)))
        }
        Command::Replay(ReplayArgs { scenario, how, .. }) | Command::Run(RunArgs { scenario, how }) => {
            how.play(&scenario, &runtime)
        }
        Command::Report(args) => match args.write() {
            Ok(said) => {
                Progress::default().line(said);
                ExitCode::SUCCESS
            }
            Err(error) => fail(&error, ENVIRONMENT),
        },
        Command::Drive(args) => runtime.block_on(drive(&args.plan())),
    }
}

fn scenarios(args: &ScenariosArgs) -> ExitCode {
    let listing = listing::of(&args.files, args.check);
    listing.lines.iter().for_each(|line| Progress::default().line(line));
    ExitCode::from(u8::from(!listing.is_sound))
}

fn rehearse(plan: &rehearsal::programme::Plan) -> ExitCode {
    match rehearsal::programme::run(plan, Progress::default()) {
        Ok(outcome) => ExitCode::from(outcome.exit_code()),
        Err(error) => fail(&error, ENVIRONMENT),
    }
}

async fn drive(plan: &Plan) -> ExitCode {
    let stop = match Stop::on_signals() {
        Ok(stop) => stop,
        Err(error) => return fail(&error, ENVIRONMENT),
    };
    match drive::run(plan, &stop, Progress::default()).await {
        Ok(report) => ExitCode::from(report.judgement.outcome.exit_code()),
        Err(error @ DriveError::Interrupted) => fail(&error, INTERRUPTED),
        Err(error) => fail(&error, ENVIRONMENT),
    }
}

async fn replay(admin_port: u16, options: Options) -> ExitCode {
    let theatre = match theatre(admin_port) {
        Ok(theatre) => theatre,
        Err(error) => return fail(&error, ENVIRONMENT),
    };
    match replay::run(&options, &theatre).await {
        Ok(verdict) => ExitCode::from(verdict.outcome.exit_code()),
        Err(ReplayError::Play(PlayError::Interrupted)) => fail(&"interrupted: everything was stopped", INTERRUPTED),
        Err(error @ ReplayError::Play(PlayError::Unsettled | PlayError::Sql(_))) => fail(&error, INVALID),
        Err(error) => fail(&error, ENVIRONMENT),
    }
}

fn theatre(admin_port: u16) -> std::io::Result<Theatre> {
    let program = std::env::current_exe()?;
    Ok(Theatre { program, admin_port, progress: Progress::default(), stop: Stop::on_signals()? })
}

fn fail(error: &dyn std::fmt::Display, code: u8) -> ExitCode {
    eprintln!("forebay-chaos: {error}");
    ExitCode::from(code)
}
