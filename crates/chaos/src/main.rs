//! `forebay-chaos replay`: plays the outage on the legacy pool and on ours, and judges both.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use forebay_chaos::arm::{Arm, CHILD};
use forebay_chaos::play::{PlayError, Theatre};
use forebay_chaos::progress::Progress;
use forebay_chaos::replay::{self, Options, Programme, ReplayError};
use forebay_chaos::scenario::{FASTEST, QUICK_SPEED};
use forebay_chaos::stop::Stop;

/// There is nothing to judge.
const INVALID: u8 = 2;
/// The machine lacks something.
const ENVIRONMENT: u8 = 3;
/// Ctrl-C.
const INTERRUPTED: u8 = 130;

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
    /// 3 the machine lacks something, 130 interrupted.
    Replay(ReplayArgs),
    /// The child process of a play.
    #[command(name = CHILD, hide = true)]
    ShopUnderFaults,
}

#[derive(Args, Debug)]
struct ReplayArgs {
    /// Shorter base and tail, at twenty times the postmortem's speed unless --speed says otherwise.
    #[arg(long)]
    quick: bool,
    /// Seed of the schedule: the same seed plays the same users.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Seconds of the postmortem per second of play, 1 to 20. Service times and time-outs stay real. [default: 15]
    #[arg(long, value_parser = speed)]
    speed: Option<f64>,
    /// What to play.
    #[arg(long, value_enum, default_value = "incident")]
    scenario: Programme,
    /// Play the controls instead: each cause of the incident left out once.
    #[arg(long, conflicts_with_all = ["scenario", "arm"])]
    controls: bool,
    /// Play one arm alone.
    #[arg(long, value_enum)]
    arm: Option<Arm>,
    /// Folder for report.json and report.md.
    #[arg(long, default_value = "replay-report")]
    out: PathBuf,
}

fn speed(text: &str) -> Result<f64, String> {
    let speed: f64 = text.parse().map_err(|error: std::num::ParseFloatError| error.to_string())?;
    if (1.0..=FASTEST).contains(&speed) {
        return Ok(speed);
    }
    Err(format!("must lie between 1 and {FASTEST}: faster, the minutes before the spike would not hold their marks"))
}

impl ReplayArgs {
    fn options(self) -> Options {
        let Self { quick, seed, speed, scenario, controls, arm, out } = self;
        Options {
            programme: if controls { Programme::Controls } else { scenario },
            seed,
            speed: speed.unwrap_or(if quick { QUICK_SPEED } else { 15.0 }),
            quick,
            arm,
            out,
            command: std::env::args().skip(1).fold("forebay-chaos".to_owned(), |all, next| all + " " + &next),
        }
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
        Command::Replay(args) => runtime.block_on(replay(args.options())),
    }
}

async fn replay(options: Options) -> ExitCode {
    let theatre = match theatre() {
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

fn theatre() -> std::io::Result<Theatre> {
    Ok(Theatre { program: std::env::current_exe()?, progress: Progress::default(), stop: Stop::on_signals()? })
}

fn fail(error: &dyn std::fmt::Display, code: u8) -> ExitCode {
    eprintln!("forebay-chaos: {error}");
    ExitCode::from(code)
}
