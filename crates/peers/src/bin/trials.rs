//! `trials` puts the pool's controllers to the test on a real Postgres, against rivals in the same run.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use forebay_peers::{Plan, Row, command};

/// Puts admission and size to the test on a Postgres of its own, against rivals in the same run: e1 steady capacity, e2
/// spike, e3 incident, e5 size regret, e6 tracking, e8 priority, e9 herd, http. Exit code: 0 measured, whatever was reached; 2 the
/// run proves nothing of some target; 3 the machine lacks something.
#[derive(Debug, Parser)]
#[command(name = "trials")]
struct Cli {
    /// Which. [default: all]
    #[arg(value_enum)]
    trials: Vec<Row>,
    /// One round, fewer sizes, shorter courses.
    #[arg(long)]
    quick: bool,
    /// Seed of the order of turns and of the arrivals.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Rounds. [default: 3, or 1 with --quick; e5 takes two more]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: Option<u32>,
    /// Folder for report.md, report.json and the plots.
    #[arg(long, default_value = "trials-report")]
    out: PathBuf,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let mut plan = if cli.quick { Plan::quick_trials(cli.seed) } else { Plan::trials(cli.seed) };
    if !cli.trials.is_empty() {
        plan.rows = cli.trials;
    }
    if let Some(rounds) = cli.rounds {
        (plan.rounds, plan.rounds_for_a_bound) = (rounds, rounds + 2);
    }
    command::run(&plan, &cli.out)
}
