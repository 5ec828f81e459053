//! `requests` measures what a request costs one build of the shop against another.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use forebay_peers::BenchError;
use forebay_peers::requests::{Build, Plan, Report, run};

/// Measures what a request costs the shop in processor time, by this build and by another, in one interleaved run: one
/// product, a list of them, a login, an order. Exit code: 0 not slower; 1 slower beyond the noise of the run; 3 it could not be measured.
#[derive(Debug, Parser)]
#[command(name = "bench requests")]
struct Cli {
    /// The shop's program in question.
    #[arg(long, default_value = "target/release/shop")]
    shop: PathBuf,
    /// What the report calls it. [default: its path]
    #[arg(long)]
    name: Option<String>,
    /// A setting for it alone, such as one that the other build does not know.
    #[arg(long, value_name = "NAME=VALUE", value_parser = Build::setting)]
    set: Vec<(String, String)>,
    /// The program to compare it with.
    #[arg(long)]
    against: PathBuf,
    /// What the report calls that one. [default: its path]
    #[arg(long)]
    against_name: Option<String>,
    /// A setting for that one alone.
    #[arg(long, value_name = "NAME=VALUE", value_parser = Build::setting)]
    set_against: Vec<(String, String)>,
    /// How much of what the other takes this one may take.
    #[arg(long, default_value_t = 1.0, value_name = "RATIO")]
    at_most: f64,
    /// Five short rounds: to see that it works.
    #[arg(long)]
    quick: bool,
    /// Turns of each shop in each case. [default: 30, or 5 with --quick]
    #[arg(long, value_parser = clap::value_parser!(u32).range(3..=1_000))]
    rounds: Option<u32>,
    /// Seed of the order of turns.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

/// Not one that clap uses.
const ENVIRONMENT: u8 = 3;

fn main() -> ExitCode {
    match measure(Cli::parse()) {
        Ok(report) => {
            say(&report.markdown());
            if report.judged().into_iter().all(|judged| judged.holds(report.at_most())) {
                ExitCode::SUCCESS
            } else {
                ExitCode::FAILURE
            }
        }
        Err(error) => {
            _ = writeln!(std::io::stderr(), "{error}");
            ExitCode::from(ENVIRONMENT)
        }
    }
}

fn measure(cli: Cli) -> Result<Report, BenchError> {
    let (rounds, products) = if cli.quick { (5, 1_000) } else { (30, 5_000) };
    let plan = Plan { rounds: cli.rounds.unwrap_or(rounds), seed: cli.seed, products, at_most: cli.at_most };
    let ours = Build::of(cli.shop, cli.name, cli.set)?;
    let other = Build::of(cli.against, cli.against_name, cli.set_against)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime =
        runtime.map_err(|error| BenchError::Io { what: "starting the clients' threads".to_owned(), error })?;
    runtime.block_on(run(&plan, &ours, &other, say))
}

/// A closed pipe ends nothing: the run goes on to its report.
fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    _ = writeln!(out, "{line}");
    _ = out.flush();
}
