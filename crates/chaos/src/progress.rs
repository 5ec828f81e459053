//! What a person sees while it runs: plain lines on the postmortem's clock. No colour, no cursor movement, so that it
//! reads the same in a terminal, in a file and in CI.

use std::io::Write;

use crate::marks::Mark;

/// Writes lines to standard output. A closed pipe ends nothing: the run goes on to its report.
#[derive(Clone, Copy, Debug, Default)]
pub struct Progress {
    quiet: bool,
}

impl Progress {
    /// Says nothing, for tests.
    #[must_use]
    pub fn quiet() -> Self {
        Self { quiet: true }
    }

    /// One line.
    pub fn line(&self, text: impl AsRef<str>) {
        if self.quiet {
            return;
        }
        let mut out = std::io::stdout().lock();
        _ = writeln!(out, "{}", text.as_ref());
        _ = out.flush();
    }

    /// A step of the preparation.
    pub fn step(&self, text: impl AsRef<str>) {
        self.line(format!("         {}", text.as_ref()));
    }

    /// A mark, when its time has come.
    pub fn mark(&self, mark: &Mark) {
        let sign = if mark.held { "+" } else { "!" };
        self.line(format!(" {:>5} {sign} {}: {}", mark.clock, mark.says, mark.evidence));
    }
}
