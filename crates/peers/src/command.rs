//! What both commands do once they know their plan.

use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;

use crate::book::Report;
use crate::{Plan, plot};

/// Not one that clap uses.
const PROVES_NOTHING: u8 = 2;
const ENVIRONMENT: u8 = 3;

/// Measures what the plan says and leaves the report in `out`. Exit code: 0 measured, whatever was reached; 2 the run
/// proves nothing of some target; 3 the machine lacks something.
pub fn run(plan: &Plan, out: &Path) -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&error),
    };
    let report = match runtime.block_on(crate::run(plan, say)) {
        Ok(report) => report,
        Err(error) => return fail(&error),
    };
    if let Err(error) = write(out, &report) {
        return fail(&format!("writing the report into {}: {error}", out.display()));
    }
    say(&report.markdown());
    say(&format!("The report is in {}", out.display()));
    if report.proves() {
        return ExitCode::SUCCESS;
    }
    say("The run proves nothing of the targets marked \"not proved\": see the turns that are void.");
    ExitCode::from(PROVES_NOTHING)
}

fn write(folder: &Path, report: &Report) -> Result<(), Box<dyn std::error::Error>> {
    std::fs::create_dir_all(folder)?;
    std::fs::write(folder.join("report.md"), report.markdown())?;
    std::fs::write(folder.join("report.json"), serde_json::to_string(report)? + "\n")?;
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
    _ = writeln!(std::io::stderr(), "{error}");
    ExitCode::from(ENVIRONMENT)
}
