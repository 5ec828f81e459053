//! `promises` holds the shop to what is promised of it.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use forebay_peers::BenchError;
use forebay_peers::requests::{Build, memory, observing, pgbench, queries, seed};

/// Holds the shop to what is promised of it, on this machine. Exit code: 0 kept; 1 not kept; 3 it could not be measured.
#[derive(Debug, Parser)]
#[command(name = "bench")]
struct Cli {
    #[command(subcommand)]
    promise: Promise,
}

#[derive(Debug, Subcommand)]
enum Promise {
    /// At most 40 MiB in memory after many mixed requests, logins among them, and no more after as many again
    Memory {
        #[command(flatten)]
        shop: Program,
        /// How many requests, and how many again.
        #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u32).range(1_000..=10_000_000))]
        requests: u32,
    },
    /// What the metrics cost: at most 40 ns a lease; a page of all of them within 5 ms while the pool is full, for at most 0.5 % of a
    /// core where it is asked for every 5 s
    Observing {
        #[command(flatten)]
        shop: Program,
        /// How often a pool that tells and one that does not take their turns.
        #[arg(long, default_value_t = 21, value_parser = clap::value_parser!(u32).range(3..=1_000))]
        rounds: u32,
        /// Pages.
        #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(100..=100_000))]
        pages: u32,
    },
    /// A product by its id for at most three times the processor time that `pgbench` takes for its statements
    Pgbench {
        #[command(flatten)]
        shop: Program,
        /// How often each takes its turn.
        #[arg(long, default_value_t = 7, value_parser = clap::value_parser!(u32).range(3..=1_000))]
        rounds: u32,
        /// Products in a turn.
        #[arg(long, default_value_t = 20_000, value_parser = clap::value_parser!(u32).range(1_000..=10_000_000))]
        products: u32,
    },
    /// The full seed from nothing within 15 seconds
    Seed {
        #[command(flatten)]
        shop: Program,
        /// How often.
        #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
        rounds: u32,
    },
    /// Each of the fourteen queries within its time on the full seed, and none that reads a large table whole
    Queries {
        #[command(flatten)]
        shop: Program,
        /// How often a client goes through the shop.
        #[arg(long, default_value_t = 500, value_parser = clap::value_parser!(u32).range(10..=100_000))]
        rounds: u32,
    },
}

/// The shop in question.
#[derive(Args, Debug)]
struct Program {
    /// The shop's program.
    #[arg(long, default_value = "target/release/shop")]
    shop: PathBuf,
    /// What the report calls it. [default: its path]
    #[arg(long)]
    name: Option<String>,
    /// A setting for it.
    #[arg(long, value_name = "NAME=VALUE", value_parser = Build::setting)]
    set: Vec<(String, String)>,
}

impl Program {
    fn build(self) -> Result<Build, BenchError> {
        Build::of(self.shop, self.name, self.set)
    }
}

/// Not one that clap uses.
const ENVIRONMENT: u8 = 3;

fn main() -> ExitCode {
    match measure(Cli::parse().promise) {
        Ok((report, kept)) => {
            say(&report);
            if kept { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(error) => {
            _ = writeln!(std::io::stderr(), "{error}");
            ExitCode::from(ENVIRONMENT)
        }
    }
}

/// The report, and whether the promise is kept.
#[tokio::main]
async fn measure(promise: Promise) -> Result<(String, bool), BenchError> {
    match promise {
        Promise::Memory { shop, requests } => {
            let report = memory::run(&shop.build()?, requests as usize, say).await?;
            Ok((report.markdown(), report.judged().holds()))
        }
        Promise::Observing { shop, rounds, pages } => {
            let report = observing::run(&shop.build()?, rounds, pages, say).await?;
            Ok((report.markdown(), report.holds()))
        }
        Promise::Pgbench { shop, rounds, products } => {
            let report = pgbench::run(&shop.build()?, rounds, products as usize, say).await?;
            Ok((report.markdown(), report.holds()))
        }
        Promise::Seed { shop, rounds } => {
            let report = seed::run(&shop.build()?, rounds, say).await?;
            Ok((report.markdown(), report.holds()))
        }
        Promise::Queries { shop, rounds } => {
            let report = queries::run(&shop.build()?, rounds, say).await?;
            Ok((report.markdown(), report.holds()))
        }
    }
}

/// A closed pipe ends nothing: the run goes on to its report.
fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    _ = writeln!(out, "{line}");
    _ = out.flush();
}
