//! `sim` runs the experiments and writes what they found into a folder.

use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use clap::builder::PossibleValuesParser;
use forebay_sim::experiment::{ABLATION, ALL, Experiment};
use forebay_sim::lab::Lab;

/// Plays pools in virtual time: ours, by the production ledger, and its rivals.
#[derive(Debug, Parser)]
#[command(version)]
struct Cli {
    /// Which experiments; `all` runs each of them but `ablation`.
    #[arg(required = true, value_parser = PossibleValuesParser::new(ALL.map(|one| one.name).into_iter().chain([ABLATION.name, "all"])))]
    experiments: Vec<String>,
    /// Each number is over so many seeds: 20 by default, 4 in `ablation`.
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    seeds: Option<u64>,
    /// Folder for the reports.
    #[arg(long, default_value = "sim-report")]
    out: PathBuf,
}

fn main() -> ExitCode {
    let Cli { experiments, seeds, out } = Cli::parse();
    let named = |name: &str| experiments.iter().any(|one| one == name);
    let wanted = |experiment: &&Experiment| named(experiment.name) || named("all") && experiment.name != ABLATION.name;
    for experiment in ALL.iter().chain([&ABLATION]).filter(wanted) {
        let lab = Lab { seeds: seeds.unwrap_or(experiment.seeds()), progress: true };
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
