//! `peers` measures the pool against its rivals and writes `report.md`, `report.json` and plots.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser;
use forebay_peers::book::Report;
use forebay_peers::{Plan, Row, plot};

/// Not one that clap uses.
const PROVES_NOTHING: u8 = 2;
const ENVIRONMENT: u8 = 3;

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

impl Cli {
    fn plan(&self) -> Plan {
        let mut plan = if self.quick { Plan::quick(self.seed) } else { Plan::full(self.seed) };
        if !self.rows.is_empty() {
            plan.rows.clone_from(&self.rows);
        }
        plan.rounds = self.rounds.unwrap_or(plan.rounds);
        plan
    }
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&error),
    };
    let report = match runtime.block_on(forebay_peers::run(&cli.plan(), say)) {
        Ok(report) => report,
        Err(error) => return fail(&error),
    };
    if let Err(error) = write(&cli.out, &report) {
        return fail(&format!("writing the report into {}: {error}", cli.out.display()));
    }
    say(&report.markdown());
    say(&format!("The report is in {}", cli.out.display()));
    if report.proves() {
        return ExitCode::SUCCESS;
    }
    say("The run proves nothing of the targets marked \"not proved\": see the turns that are void.");
    ExitCode::from(PROVES_NOTHING)
}

fn write(folder: &Path, report: &Report) -> Result<(), Box<dyn std::error::Error>> {
    std::fs::create_dir_all(folder)?;
    std::fs::write(folder.join("report.md"), report.markdown())?;
    std::fs::write(folder.join("report.json"), serde_json::to_string_pretty(report)? + "\n")?;
    for (name, svg) in plot::all(&report.book)? {
        std::fs::write(folder.join(name), svg)?;
    }
    Ok(())
}

/// A closed pipe ends nothing: the run goes on to its report.
fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    _ = writeln!(out, "{line}");
    _ = out.flush();
}

fn fail(error: &dyn std::fmt::Display) -> ExitCode {
    _ = writeln!(std::io::stderr(), "bench: {error}");
    ExitCode::from(ENVIRONMENT)
}
