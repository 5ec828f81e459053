//! `sim` runs the experiments and writes what they found into a folder.

use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use clap::builder::PossibleValuesParser;
use forebay_sim::experiment::ALL;
use forebay_sim::lab::Lab;

/// Plays pools in virtual time: ours, by the production ledger, and its rivals.
#[derive(Debug, Parser)]
#[command(version)]
struct Cli {
    /// Which experiments; `all` runs each of them.
    #[arg(required = true, value_parser = PossibleValuesParser::new(ALL.map(|one| one.name).into_iter().chain(["all"])))]
    experiments: Vec<String>,
    /// Each number is over so many seeds.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..))]
    seeds: u64,
    /// Folder for the reports.
    #[arg(long, default_value = "sim-report")]
    out: PathBuf,
}

fn main() -> ExitCode {
    let Cli { experiments, seeds, out } = Cli::parse();
    let lab = Lab { seeds, progress: true };
    let wanted = |name: &str| experiments.iter().any(|one| one == name || one == "all");
    for experiment in ALL.iter().filter(|experiment| wanted(experiment.name)) {
        eprintln!("{}: {}", experiment.name, experiment.question);
        let report = experiment.run(&lab);
        let written = report.write(&out).and_then(|()| writeln!(io::stdout(), "{}", report.markdown()));
        if let Err(error) = written {
            eprintln!("the report cannot be written to {}: {error}", out.display());
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}
