//! The report for people.

use std::fmt::Write;

use super::Report;
use super::table::{cells, sign};
use crate::record::LimitMove;
use crate::summary::{Refused, Summary};

/// So many lines about refusals are shown.
const MOST_REFUSED: usize = 60;

/// The whole page.
#[must_use]
pub fn page(report: &Report) -> String {
    let mut page = String::new();
    // Writing into a String cannot fail.
    _ = write_page(&mut page, report);
    page
}

fn write_page(page: &mut String, report: &Report) -> std::fmt::Result {
    let Report { host, calibration, verdict, .. } = report;
    writeln!(page, "# Replay: {}\n", verdict.outcome.name())?;
    writeln!(page, "`{}` ({}), seed {}, {}", report.command, report.version, report.seed, report.began)?;
    writeln!(page, "on {} cores ({}), {} MiB, Linux {}.\n", host.cores, host.processor, host.memory_mib, host.kernel)?;
    for reason in &verdict.reasons {
        writeln!(page, "- **{reason}**")?;
    }
    writeln!(page, "\n## Verdict\n")?;
    let mut head = vec![""];
    head.extend(verdict.columns.iter().map(String::as_str));
    head.extend(["required", "result"]);
    table(page, &head, verdict.rows.iter().map(cells))?;
    if !report.postmortem.is_empty() {
        writeln!(page, "\n## The postmortem, line by line\n")?;
        let rows = report.postmortem.iter().map(|row| {
            let held = if row.held.is_none() { "not looked at" } else { sign(row.held) };
            vec![row.line.to_string(), row.evidence.clone(), held.to_owned()]
        });
        table(page, &["line", "evidence", "held or not"], rows)?;
    }
    for play in &report.plays {
        write_play(page, play)?;
    }
    writeln!(page, "\n## Calibration\n")?;
    writeln!(
        page,
        "{:.2} leases per request, {:.1} ms base hold: legacy capacity {:.0} requests/s. Check at {:.0}/s: {:.0}/s \
         served, {:.2} % errors.",
        calibration.measured.leases_per_request,
        calibration.measured.base_hold_s * 1e3,
        calibration.capacity,
        calibration.check_offered,
        calibration.check_served,
        calibration.check_errors_percent,
    )?;
    writeln!(page, "\n## Method\n")?;
    report.method.iter().try_for_each(|line| writeln!(page, "- {line}"))
}

fn write_play(page: &mut String, play: &Summary) -> std::fmt::Result {
    writeln!(page, "\n## {} on {}\n", play.scenario.name, play.arm.name())?;
    if !play.marks.is_empty() {
        let rows = play.marks.iter().map(|mark| {
            vec![mark.clock.clone(), mark.says.to_string(), mark.evidence.clone(), sign(Some(mark.held)).to_owned()]
        });
        table(page, &["clock", "mark", "evidence", "result"], rows)?;
        writeln!(page)?;
    }
    writeln!(page, "Latency in the judged window, ms; successes from the intended start, the others per attempt:\n")?;
    let rows = play.latencies.iter().map(|one| {
        let mut row = vec![one.operation.name().to_owned(), one.outcome.to_string(), one.count.to_string()];
        row.extend([one.p50_ms, one.p90_ms, one.p95_ms, one.p99_ms, one.max_ms].map(|ms| format!("{ms:.1}")));
        row
    });
    table(page, &["operation", "outcome", "count", "p50", "p90", "p95", "p99", "max"], rows)?;
    write_sizes(page, play)?;
    write_refused(page, play)?;
    let found = &play.correctness;
    writeln!(page, "\n{} orders placed, {} paid, {} answered 202.", found.orders, found.paid, play.accepted_202)
}

fn write_sizes(page: &mut String, play: &Summary) -> std::fmt::Result {
    if play.decisions.is_empty() {
        let sizes: Vec<String> = play.sizes.iter().map(|change| format!("{} {}", change.clock, change.limit)).collect();
        return writeln!(page, "\nPool limit: {}.", sizes.join(", "));
    }
    writeln!(page, "\nWhat the pool decided about its limit:\n")?;
    let rows = play.decisions.iter().map(|decision| {
        let LimitMove { from, to, reason, times, .. } = &decision.moved;
        let times = if *times > 1 { format!(", {times} tries") } else { String::new() };
        vec![decision.clock.clone(), from.to_string(), to.to_string(), format!("{reason}{times}")]
    });
    table(page, &["clock", "from", "to", "why"], rows)
}

fn write_refused(page: &mut String, play: &Summary) -> std::fmt::Result {
    if play.refused.is_empty() {
        return Ok(());
    }
    let all: usize = play.refused.iter().map(|refused| refused.count).sum();
    writeln!(page, "\n{all} requests were refused; what the pool had is as it was seen up to 0.1 s before:\n")?;
    let rows = play.refused.iter().take(MOST_REFUSED).map(|refused| {
        let Refused { clock, at, why, count, limit, free, idle, opening, waiting } = refused;
        let mut row = vec![clock.clone(), format!("{at:.1}"), why.name().to_owned(), count.to_string()];
        row.extend([limit, free, idle, opening, waiting].map(u32::to_string));
        row
    });
    table(page, &["clock", "second", "why", "refused", "limit", "places free", "idle", "opening", "waiting"], rows)?;
    match play.refused.len().saturating_sub(MOST_REFUSED) {
        0 => Ok(()),
        more => writeln!(page, "\nAnd {more} more lines, which are in `report.json`."),
    }
}

fn table(page: &mut String, head: &[&str], rows: impl Iterator<Item = Vec<String>>) -> std::fmt::Result {
    writeln!(page, "| {} |", head.join(" | "))?;
    writeln!(page, "|{}", "---|".repeat(head.len()))?;
    for row in rows {
        let row: Vec<String> = row.iter().map(|cell| cell.replace('|', "\\|")).collect();
        writeln!(page, "| {} |", row.join(" | "))?;
    }
    Ok(())
}
