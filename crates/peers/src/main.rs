//! `peers` measures the pool against its rivals and writes `report.md`, `report.json` and plots.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use forebay_peers::{Plan, Row, command};

/// Measures the pool against sqlx's, deadpool and bb8, on a Postgres of its own. Exit code: 0 measured, whatever was
/// reached; 2 the run proves nothing of some target; 3 the machine lacks something.
#[derive(Debug, Parser)]
#[command(name = "bench")]
struct Cli {
    /// Fewer rounds and cases, shorter turns.
    #[arg(long)]
    quick: bool,
    /// Measure these rows alone, such as `contended,overload`.
    #[arg(long, value_enum, value_delimiter = ',')]
    rows: Vec<Row>,
    /// Seed of the order of turns and of the arrivals.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Rounds. [default: 5, or 3 with --quick]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: Option<u32>,
    /// Folder for report.md, report.json and the plots.
    #[arg(long, default_value = "bench-report")]
    out: PathBuf,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let mut plan = if cli.quick { Plan::quick(cli.seed) } else { Plan::full(cli.seed) };
    if !cli.rows.is_empty() {
        plan.rows = cli.rows;
    }
    plan.rounds = cli.rounds.unwrap_or(plan.rounds);
    command::run(&plan, &cli.out)
}
