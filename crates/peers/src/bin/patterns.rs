//! `patterns` measures for how long badly written statements hold a connection.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use forebay_peers::patterns;

/// Measures for how long a connection is held by statements that are written badly, and by the same work written well, on a full shop; prints
/// the table and the plans. Exit code: 0 measured; 3 it could not be.
#[derive(Debug, Parser)]
#[command(name = "patterns")]
struct Cli {
    /// The shop's program, which fills the database.
    #[arg(long, default_value = "target/release/shop")]
    shop: PathBuf,
    /// Turns of each way.
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    rounds: u32,
}

/// Not one that clap uses.
const ENVIRONMENT: u8 = 3;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let cli = Cli::parse();
    match patterns::run(&cli.shop, cli.rounds, |line| say(&mut std::io::stderr(), line)).await {
        Ok(report) => {
            say(&mut std::io::stdout(), &report.markdown());
            ExitCode::SUCCESS
        }
        Err(error) => {
            say(&mut std::io::stderr(), &error.to_string());
            ExitCode::from(ENVIRONMENT)
        }
    }
}

/// A closed pipe ends nothing.
fn say(out: &mut dyn Write, line: &str) {
    _ = writeln!(out, "{line}");
}
