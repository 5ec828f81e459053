//! The report in words and tables.

use std::fmt::Write as _;

use crate::Row;
use crate::book::{Book, Figure, Report, Spread};
use crate::targets::{Bound, Judgement};

impl Report {
    /// Whether the run proves anything of what it asked: for each target a round of ours and of its rival that is not void.
    #[must_use]
    pub fn proves(&self) -> bool {
        !self.judgements.is_empty() && self.judgements.iter().all(|judgement| judgement.held().is_some())
    }

    /// As markdown.
    #[must_use]
    pub fn markdown(&self) -> String {
        let mut page = "# The pool and its rivals\n\n".to_owned();
        page += &self.method();
        page += "\n## What had to be reached\n\n";
        page += &targets(&self.judgements);
        for row in self.plan.rows.iter().copied() {
            _ = write!(page, "\n## {}\n", row.title());
            page += &tables(&self.book, row);
        }
        page += &voided(&self.book);
        page
    }

    fn method(&self) -> String {
        let (machine, plan) = (&self.machine, &self.plan);
        let packages: Vec<String> =
            machine.packages.iter().map(|(name, version)| format!("{name} {version}")).collect();
        format!(
            "Machine: {} cores ({}), {} GiB, Linux {}, Postgres {} on the same machine, reached by its unix socket; load \
             before the run {:.2}. {}. {}\n\nMethod: {} rounds, seed {}; in each round every pool takes its turn in an order drawn \
             anew, on connections opened for that turn and warmed up, uncounted, for {} ms; closed loops are counted for {} ms, \
             overload lasts {:.1} s. Figures are the median of the rounds with least..most; ratios are taken within a \
             round.\n",
            machine.cores,
            machine.processor,
            machine.memory_gib,
            machine.kernel,
            machine.postgres,
            machine.load_before,
            packages.join(", "),
            machine.precedence.described(),
            plan.rounds,
            plan.seed,
            plan.warm_up.as_millis(),
            plan.window.as_millis(),
            plan.during.as_secs_f64(),
        )
    }
}

fn targets(judgements: &[Judgement]) -> String {
    let mut table = "| what | must | found | |\n|---|---|---|---|\n".to_owned();
    for judgement in judgements {
        let must = match judgement.bound {
            Bound::AtMost(most) => format!("≤ {}", number(most)),
            Bound::AtLeast(least) => format!("≥ {}", number(least)),
        };
        let verdict = match (judgement.held(), judgement.multiple()) {
            (None, _) => "**not proved**".to_owned(),
            (Some(true), _) => "held".to_owned(),
            (Some(false), Some(multiple)) => format!("**missed**: {}x the bound", number(multiple)),
            (Some(false), None) => "**missed**".to_owned(),
        };
        let found = judgement.found.map_or_else(|| "-".to_owned(), spread);
        _ = writeln!(table, "| {}: {} | {must} | {found} | {verdict} |", judgement.row.name(), judgement.says);
    }
    table
}

/// For each case a table: a pool in each line, a metric in each column.
fn tables(book: &Book, row: Row) -> String {
    let mut text = String::new();
    for note in book.notes.iter().filter(|note| note.row == row) {
        _ = write!(text, "\n{}\n", note.text);
    }
    for case in book.distinct(row, |figure| &figure.case) {
        let here: Vec<&Figure> =
            book.figures.iter().filter(|figure| figure.row == row && figure.case == case).collect();
        let (mut metrics, mut pools) = (Vec::new(), Vec::new());
        for figure in &here {
            if !metrics.contains(&figure.metric.as_str()) {
                metrics.push(&figure.metric);
            }
            if !pools.contains(&figure.pool.as_str()) {
                pools.push(&figure.pool);
            }
        }
        pools.sort_by_key(|pool| crate::pools::names::rank(pool));
        _ = write!(text, "\n| {case} | {} |\n|---|{}\n", metrics.join(" | "), "---|".repeat(metrics.len()));
        for pool in pools {
            let cells = metrics.iter().map(|metric| {
                let figure = here.iter().find(|figure| figure.pool == pool && figure.metric == *metric);
                figure.map_or_else(|| "-".to_owned(), |figure| cell(figure))
            });
            _ = writeln!(text, "| {pool} | {} |", cells.collect::<Vec<_>>().join(" | "));
        }
    }
    text
}

fn cell(figure: &Figure) -> String {
    let valid = figure.samples.iter().filter(|sample| sample.valid).count();
    match (figure.spread(), figure.spread_of_all()) {
        (Some(found), _) if valid == figure.samples.len() => spread(found),
        (Some(found), _) => format!("{} ({valid} of {} rounds)", spread(found), figure.samples.len()),
        (None, Some(found)) => format!("void ({})", spread(found)),
        (None, None) => "-".to_owned(),
    }
}

fn voided(book: &Book) -> String {
    if book.voided.is_empty() {
        return String::new();
    }
    let mut text = "\n## Turns that prove nothing\n\n".to_owned();
    for void in &book.voided {
        let (row, round) = (void.row.name(), void.round + 1);
        _ = writeln!(text, "- {row}, {}, {}, round {round}: {}", void.case, void.pool, void.reason);
    }
    text
}

/// A median with what lies around it.
#[must_use]
pub fn spread(spread: Spread) -> String {
    let Spread { median, min, max } = spread;
    if min == max { number(median) } else { format!("{} ({}..{})", number(median), number(min), number(max)) }
}

/// Three digits that matter, and thousands set apart.
fn number(value: f64) -> String {
    let digits = match value.abs() {
        0.0 => 0,
        small if small < 0.995 => 3,
        small if small < 9.995 => 2,
        small if small < 99.95 => 1,
        _ => 0,
    };
    let text = format!("{value:.digits$}");
    let text = if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
    let (whole, rest) = text.split_at(text.find('.').unwrap_or(text.len()));
    let (sign, whole) = whole.strip_prefix('-').map_or(("", whole), |whole| ("-", whole));
    let first = whole.len() % 3;
    let mut groups: Vec<&str> = Vec::new();
    groups.extend((first > 0).then(|| &whole[..first]));
    groups.extend((first..whole.len()).step_by(3).map(|at| &whole[at..at + 3]));
    format!("{sign}{}{rest}", groups.join(","))
}

#[cfg(test)]
mod tests {
    use super::number;

    #[test]
    fn numbers_keep_the_digits_that_matter() {
        let cases = [
            (0.0, "0"),
            (0.0123, "0.012"),
            (0.97, "0.97"),
            (1.15, "1.15"),
            (12.34, "12.3"),
            (187.4, "187"),
            (31_719.0, "31,719"),
            (1_234_567.0, "1,234,567"),
            (-1_500.0, "-1,500"),
        ];
        for (value, text) in cases {
            assert_eq!(number(value), text);
        }
    }
}
