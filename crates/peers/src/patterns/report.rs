use std::fmt::Write as _;

use super::{Held, Measured, Way};
use crate::book::Spread;
use crate::machine::Machine;

/// What a run has to say.
#[derive(Clone, Debug)]
pub struct Report {
    pub(super) machine: Machine,
    pub(super) rounds: u32,
    pub(super) figures: Vec<Measured>,
}

impl Report {
    /// As text with tables and plans.
    #[must_use]
    pub fn markdown(&self) -> String {
        let Machine { cores, processor, kernel, postgres, load_before, .. } = &self.machine;
        let mut text = format!(
            "**Machine.** {cores} cores ({processor}), Linux {kernel}, Postgres {postgres}, reached by its unix socket; load before the run \
             {load_before}.\n\n\
             **Method.** {} rounds, both ways in each, in turn; milliseconds from the first statement to the answer to the last; medians with \
             least..most. *Ratio* is of the medians.\n\n\
             | pattern | badly | held, ms | well | held, ms | ratio |\n|---|---|---|---|---|---|\n",
            self.rounds
        );
        for Measured { pattern, slow, good } in &self.figures {
            let (slow, good) = (Spread::of(slow.millis.clone()), Spread::of(good.millis.clone()));
            let Some((slow, good)) = slow.zip(good) else { continue };
            let ratio = slow.median / good.median;
            let ([title, badly, well], [slow, good]) =
                ([pattern.title, pattern.slow.name, pattern.good.name], [slow, good].map(shown));
            _ = writeln!(text, "| {title} | {badly} | {slow} | {well} | {good} | {ratio:.1} |");
        }
        for Measured { pattern, slow, good } in &self.figures {
            _ = write!(text, "\n## {}\n\n{}\n", pattern.title, pattern.about);
            for (way, held) in [(&pattern.slow, slow), (&pattern.good, good)] {
                text += &plans(way, held);
            }
        }
        text
    }
}

fn shown(Spread { median, min, max }: Spread) -> String {
    format!("{median:.2} ({min:.2}..{max:.2})")
}

fn plans(way: &Way, held: &Held) -> String {
    if held.plans.is_empty() {
        return String::new();
    }
    format!("\n{}:\n\n```text\n{}\n```\n", way.name, held.plans.join("\n\n"))
}
