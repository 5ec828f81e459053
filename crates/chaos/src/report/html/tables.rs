//! The report's tables.

use maud::{Markup, html};

use super::axis::{clocks, face, second_of};
use super::series::{Group, milliseconds};
use super::words::{is_untried, plain};
use crate::arm::Arm;
use crate::marks::Mark;
use crate::report::Report;
use crate::report::table::{cells, sign};
use crate::summary::{Second, Summary};

/// More lines are in `report.json`.
const MOST_LINES: usize = 40;
/// Seconds over which the state at a mark is told.
const AROUND_S: f64 = 3.0;

/// A table of numbers in a box of its own, which scrolls where the screen is narrow.
fn table(name: &str, head: &[&str], rows: &[Vec<Markup>]) -> Markup {
    of_class("numeric", name, head, rows)
}

/// A table of sentences, which stand below each other where the screen is narrow.
fn prose(name: &str, head: &[&str], rows: &[Vec<Markup>]) -> Markup {
    of_class("prose", name, head, rows)
}

fn of_class(class: &str, name: &str, head: &[&str], rows: &[Vec<Markup>]) -> Markup {
    let counts = |column: usize| !rows.is_empty() && rows.iter().filter_map(|row| row.get(column)).all(is_number);
    html! {
        div.scroll tabindex="0" role="region" aria-label=(format!("Table: {name}")) {
            table class=(class) {
                thead { tr {
                    @for (number, cell) in head.iter().enumerate() {
                        th.n[class == "numeric" && number > 0 && counts(number)] scope="col" { (cell) }
                    }
                } }
                tbody {
                    @for row in rows {
                        tr {
                            @for (number, (cell, head)) in row.iter().zip(head).enumerate() {
                                @if number == 0 { th scope="row" { (cell) } }
                                @else { td.n[class == "numeric" && counts(number)] data-head=(head) { (cell) } }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// Whether a cell begins with a digit.
fn is_number(cell: &Markup) -> bool {
    cell.0.starts_with(|first: char| first.is_ascii_digit())
}

/// Plain text as a cell.
fn text(text: impl AsRef<str>) -> Markup {
    html! { (text.as_ref()) }
}

/// Whether something holds, in a word that is coloured.
fn held(held: Option<bool>, unknown: &str) -> Markup {
    let class = match held {
        Some(true) => "held",
        Some(false) => "failed-word",
        None => "unknown",
    };
    html! { span class=(class) { @if held.is_none() { (unknown) } @else { (sign(held)) } } }
}

/// The verdict's table.
pub(super) fn verdict(report: &Report) -> Markup {
    let mut head = vec!["what"];
    head.extend(report.verdict.columns.iter().map(String::as_str));
    head.extend(["required", "result"]);
    let rows: Vec<Vec<Markup>> = report
        .verdict
        .rows
        .iter()
        .map(|row| {
            let mut all: Vec<Markup> = cells(row).iter().map(|cell| text(plain(cell))).collect();
            all.pop();
            all.push(held(row.held, ""));
            all
        })
        .collect();
    prose("The verdict", &head, &rows)
}

/// The postmortem's sentences beside what was found.
pub(super) fn postmortem(report: &Report) -> Markup {
    let rows: Vec<Vec<Markup>> = report
        .postmortem
        .iter()
        .map(|sentence| {
            vec![text(&sentence.line), text(plain(&sentence.evidence)), held(sentence.held, "not looked at")]
        })
        .collect();
    prose("The postmortem, line by line", &["the postmortem says", "the replay found", "result"], &rows)
}

/// The marks with a clock: what was expected and seen, and how the other arms were at that moment.
pub(super) fn marks(group: &Group<'_>) -> Option<Markup> {
    let clocks = clocks(&group.plays);
    if clocks.is_empty() {
        return None;
    }
    let lines: Vec<Markup> = (1..)
        .zip(&clocks)
        .map(|(number, clock)| {
            html! {
                tr {
                    th scope="row" { span.number { (number) } " " (clock) }
                    td data-head="expected" {
                        @for play in &group.plays { @for mark in at(play, clock) {
                            p { (play.arm.name()) ": " (plain(&mark.says)) }
                        } }
                    }
                    @for play in &group.plays {
                        td data-head=(format!("seen on {}", play.arm.name())) {
                            @for mark in at(play, clock) { p { (held(Some(mark.held), "")) " " (plain(&mark.evidence)) } }
                            @if let Some(state) = state(play, clock) { p.state { (state) } }
                        }
                    }
                }
            }
        })
        .collect();
    Some(html! {
        div.scroll tabindex="0" role="region" aria-label="Table: marks" {
            table.marks {
                thead { tr {
                    th scope="col" { "clock" }
                    th scope="col" { "expected" }
                    @for play in &group.plays { th scope="col" { "seen on " (play.arm.name()) } }
                } }
                tbody { @for line in &lines { (line) } }
            }
        }
    })
}

fn at<'a>(play: &'a Summary, clock: &'a str) -> impl Iterator<Item = &'a Mark> {
    play.marks.iter().filter(move |mark| mark.clock == clock)
}

/// How the shop was in the seconds up to a mark.
fn state(play: &Summary, clock: &str) -> Option<String> {
    let until = second_of(&play.scenario, clock)?;
    let seconds: Vec<&Second> =
        play.seconds.iter().filter(|one| (until - AROUND_S..until).contains(&f64::from(one.at))).collect();
    let last = seconds.last()?;
    let sum = |of: fn(&Second) -> usize| seconds.iter().map(|second| of(second)).sum::<usize>();
    let bad = sum(|one| one.shed + one.failed);
    let all = bad + sum(|one| one.ok);
    let percent = if all == 0 { 0.0 } else { bad as f64 * 100.0 / all as f64 };
    Some(format!(
        "Before: {percent:.0} % errors, {} of {} connections in use, {} waiting",
        last.in_use, last.limit, last.waiting
    ))
}

/// What was required of a whole play.
pub(super) fn requirements(play: &Summary) -> Option<Markup> {
    let rows: Vec<Vec<Markup>> = play
        .marks
        .iter()
        .filter(|mark| mark.clock.is_empty())
        .map(|mark| vec![text(plain(&mark.says)), text(plain(&mark.evidence)), result(mark)])
        .collect();
    let name = format!("What was required of {}", play.arm.name());
    (!rows.is_empty()).then(|| prose(&name, &["required", "seen", "result"], &rows))
}

/// The result of a mark, and that it was not tried where that is so.
fn result(mark: &Mark) -> Markup {
    html! {
        (held(Some(mark.held), ""))
        @if is_untried(mark) { ": nobody was refused in the judged stretch, so this was not tried" }
    }
}

/// Latencies, each outcome by itself.
pub(super) fn latencies(play: &Summary) -> Markup {
    let rows: Vec<Vec<Markup>> = play
        .latencies
        .iter()
        .map(|one| {
            let mut row = vec![text(one.operation.name()), text(outcome(&one.outcome)), text(one.count.to_string())];
            row.extend([one.p50_ms, one.p95_ms, one.p99_ms, one.max_ms].map(|ms| text(milliseconds(ms))));
            row
        })
        .collect();
    let name = format!("Latency on {}", play.arm.name());
    table(&name, &["operation", "answer", "count", "50 %", "95 %", "99 %", "longest"], &rows)
}

fn outcome(outcome: &str) -> &str {
    match outcome {
        "success" => "served",
        "shed" => "refused",
        other => other,
    }
}

/// What the pool decided about its limit.
pub(super) fn decisions(play: &Summary) -> Option<Markup> {
    if play.decisions.is_empty() {
        return None;
    }
    let rows: Vec<Vec<Markup>> = play
        .decisions
        .iter()
        .take(MOST_LINES)
        .map(|decision| {
            let moved = &decision.moved;
            let times = if moved.times > 1 { format!(", {} tries", moved.times) } else { String::new() };
            vec![
                text(face(&play.scenario, moved.at)),
                text(moved.from.to_string()),
                text(moved.to.to_string()),
                text(format!("{}{times}", moved.reason)),
            ]
        })
        .collect();
    Some(html! {
        (table("What the pool decided about its limit", &["clock", "from", "to", "why"], &rows))
        (more(play.decisions.len()))
    })
}

/// What was refused, and what the pool had a moment before.
pub(super) fn refused(play: &Summary) -> Option<Markup> {
    if play.refused.is_empty() {
        return None;
    }
    let rows: Vec<Vec<Markup>> = play
        .refused
        .iter()
        .take(MOST_LINES)
        .map(|one| {
            let mut row = vec![text(face(&play.scenario, one.at)), text(one.why.name()), text(one.count.to_string())];
            row.extend([one.limit, one.free, one.idle, one.waiting].map(|count| text(count.to_string())));
            row
        })
        .collect();
    let head = ["clock", "why", "refused", "limit", "places free", "idle", "waiting"];
    Some(html! { (table("What was refused", &head, &rows)) (more(play.refused.len())) })
}

fn more(lines: usize) -> Markup {
    let more = lines.saturating_sub(MOST_LINES);
    html! { @if more > 0 { p { "And " (more) " more, which are in " code { "report.json" } "." } } }
}

/// What was counted in the database afterwards.
pub(super) fn correctness(plays: &[Summary]) -> Markup {
    let rows: Vec<Vec<Markup>> = plays
        .iter()
        .map(|play| {
            let found = &play.correctness;
            let mut row = vec![text(format!("{} on {}", play.scenario.name, play.arm.name()))];
            let counts = [
                found.orders,
                found.paid,
                found.oversold,
                found.duplicates,
                found.paid_without_order,
                found.stray_reservations,
            ];
            row.extend(counts.map(|count| text(count.to_string())));
            row.push(held(Some(found.holds() && play.left_behind.is_empty()), ""));
            row
        })
        .collect();
    let head =
        ["play", "orders", "paid", "oversold", "duplicates", "paid without order", "units held for nobody", "result"];
    table("What was counted in the database", &head, &rows)
}

/// The settings by which the played shop differs.
pub(super) fn departures(report: &Report) -> Markup {
    let rows: Vec<Vec<Markup>> = report
        .departures
        .iter()
        .map(|one| vec![text(&one.setting), text(&one.shipped), text(&one.played), text(&one.why)])
        .collect();
    prose("Settings that differ from the shop as shipped", &["setting", "as shipped", "in this replay", "why"], &rows)
}

/// Whether our arm was played.
pub(super) fn has_ours(group: &Group<'_>) -> bool {
    group.plays.iter().any(|play| play.arm == Arm::Resilient)
}
