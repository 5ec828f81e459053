//! The days after: where a bigger pool fails and ours does not.

use super::{Outcome, Row, Verdict, correctness_row, information, leftovers_row};
use crate::arm::Arm;
use crate::marks::{resilient, seconds};
use crate::scenario::Kind;
use crate::schedule::Operation;
use crate::summary::Summary;

/// Judges a sequel: the stock pool of 60 must fail what ours passes, or there is nothing to show.
#[must_use]
pub fn judge(plays: &[Summary]) -> Verdict {
    let columns = plays.iter().map(|play| play.arm.name().to_owned()).collect();
    let overload = plays.first().is_some_and(|play| play.scenario.kind == Kind::Overload);
    let mut rows = if overload { overload_rows(plays) } else { leak_rows(plays) };
    rows.extend([correctness_row(plays), leftovers_row(plays)]);
    rows.extend(information(plays));
    let mut verdict = Verdict::new(columns, rows);
    for row in rows_that_failed(&verdict) {
        verdict.sink(Outcome::Failed, row);
    }
    for play in plays {
        let passes = requirement(play);
        if play.arm == Arm::Stock60 && passes {
            verdict.sink(Outcome::Invalid, "the stock pool of 60 did not fail, so this run shows nothing".to_owned());
        }
        if play.arm == Arm::Resilient && !passes {
            verdict.sink(Outcome::Failed, "our pool does not meet what the sequel requires".to_owned());
        }
        for mark in play.marks.iter().filter(|mark| !mark.held) {
            verdict.sink(Outcome::Failed, format!("{}: {} ({})", play.arm.name(), mark.says, mark.evidence));
        }
    }
    verdict.common(plays);
    verdict
}

/// Comparisons that went against us.
fn rows_that_failed(verdict: &Verdict) -> Vec<String> {
    let failed = verdict.rows.iter().filter(|row| row.held == Some(false) && row.required == "ours above stock 60");
    failed.map(|row| format!("{}: {}", row.what, row.cells.join(" / "))).collect()
}

/// What ours must do and a bigger pool cannot.
fn requirement(play: &Summary) -> bool {
    match play.scenario.kind {
        Kind::Overload => accepted_is_quick(play),
        _ => play.affected() < resilient::AFFECTED_PERCENT,
    }
}

/// The highest accepted p95 of a list under overload.
const ACCEPTED_P95_S: f64 = 1.0;

fn accepted_is_quick(play: &Summary) -> bool {
    play.accepted_p95_s(Operation::List).is_some_and(|p95| p95 < ACCEPTED_P95_S)
}

fn orders_bought(play: &Summary) -> f64 {
    if play.orders_lost.total == 0 { 0.0 } else { 100.0 - play.orders_lost.percent() }
}

/// A row that ours must pass and the stock pool of 60 must not.
fn row(what: &str, required: &str, plays: &[Summary], cell: impl Fn(&Summary) -> (String, bool)) -> Row {
    let (cells, held): (Vec<String>, Vec<bool>) = plays.iter().map(cell).unzip();
    let passes_where_60_fails = plays.iter().zip(held).all(|(play, held)| match play.arm {
        Arm::Resilient => held,
        Arm::Stock60 => !held,
        Arm::Legacy => true,
    });
    Row::judged(what, cells, required, passes_where_60_fails)
}

/// A share in percent that must be larger in our arm than on the stock pool of 60.
fn more(what: &str, plays: &[Summary], share: impl Fn(&Summary) -> f64) -> Row {
    let of = |arm: Arm| plays.iter().find(|play| play.arm == arm).map(&share);
    let held = of(Arm::Resilient).zip(of(Arm::Stock60)).is_none_or(|(ours, stock)| ours > stock);
    let cells = plays.iter().map(|play| format!("{:.1} %", share(play))).collect();
    Row::judged(what, cells, "ours above stock 60", held)
}

fn leak_rows(plays: &[Summary]) -> Vec<Row> {
    vec![
        row("users affected", "ours < 5 %, stock 60 not", plays, |play| {
            (format!("{:.1} %", play.affected()), play.affected() < resilient::AFFECTED_PERCENT)
        }),
        row("goodput", "ours >= 90 %, stock 60 not", plays, |play| {
            (format!("{:.1} %", play.goodput.percent()), play.goodput.percent() >= resilient::GOODPUT_PERCENT)
        }),
    ]
}

fn overload_rows(plays: &[Summary]) -> Vec<Row> {
    let shed = |play: &Summary, operation: Operation| {
        let found = play.latencies.iter().find(|one| one.operation == operation && one.outcome == "shed");
        found.map_or_else(|| "-".to_owned(), |one| format!("{} after {:.1} ms", one.count, one.p95_ms))
    };
    vec![
        row("accepted p95 of a list", "ours < 1 s, stock 60 not", plays, |play| {
            (seconds(play.accepted_p95_s(Operation::List)), accepted_is_quick(play))
        }),
        more("goodput within 1 s", plays, |play| play.prompt.percent()),
        more("orders bought, of all scheduled", plays, orders_bought),
        Row::information(
            "goodput within 10 s",
            plays.iter().map(|play| format!("{:.1} %", play.goodput.percent())).collect(),
        ),
        Row::information("users affected", plays.iter().map(|play| format!("{:.1} %", play.affected())).collect()),
        Row::information("lists shed, p95", plays.iter().map(|play| shed(play, Operation::List)).collect()),
        Row::information("orders shed, p95", plays.iter().map(|play| shed(play, Operation::Order)).collect()),
    ]
}
