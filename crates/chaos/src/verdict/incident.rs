//! The incident: the legacy arm must fall as it fell, ours must stand.

use super::{Outcome, Row, Verdict, correctness_row, information, leftovers_row};
use crate::arm::Arm;
use crate::marks::{legacy, resilient, seconds};
use crate::schedule::Operation;
use crate::summary::Summary;

/// A platform with fewer errors in its worst ten seconds was never down: the error alert asks for as much.
const WORST_ERRORS_PERCENT: f64 = 5.0;

/// Judges the plays of the incident; one arm alone is judged by its own marks.
#[must_use]
pub fn judge(plays: &[Summary]) -> Verdict {
    let columns = plays.iter().map(|play| play.arm.name().to_owned()).collect();
    let mut verdict = Verdict::new(columns, rows(plays));
    for play in plays {
        let outcome = if play.arm == Arm::Legacy { Outcome::Invalid } else { Outcome::Failed };
        for mark in play.marks.iter().filter(|mark| !mark.held) {
            let text = format!("{} {}: {} ({})", play.arm.name(), mark.clock, mark.says, mark.evidence);
            verdict.sink(outcome, text);
        }
    }
    verdict.common(plays);
    verdict
}

fn rows(plays: &[Summary]) -> Vec<Row> {
    let row = |what, required, cell: &dyn Fn(&Summary) -> (String, bool)| {
        let (cells, held): (Vec<String>, Vec<bool>) = plays.iter().map(cell).unzip();
        Row::judged(what, cells, required, held.into_iter().all(|held| held))
    };
    let mut rows = vec![
        row("users affected", ">= 75 % / < 5 %", &|play| {
            let percent = play.affected();
            let held = match play.arm {
                Arm::Legacy => percent >= legacy::AFFECTED_PERCENT,
                _ => percent < resilient::AFFECTED_PERCENT,
            };
            (format!("{percent:.1} %"), held)
        }),
        row("marks held", "all", &|play| {
            let held = play.marks.iter().filter(|mark| mark.held).count();
            (format!("{held} of {}", play.marks.len()), held == play.marks.len())
        }),
        row("pool alert before the error alert", "> 0, or no error alert", &|play| {
            let text = match (play.alerts.lead(), play.alerts.errors) {
                (Some(lead), _) => format!("{lead:.0} s ({:.1} min)", lead * play.scenario.clock.speed / 60.0),
                (None, None) => "no error alert".to_owned(),
                (None, Some(_)) => "no pool alert".to_owned(),
            };
            (text, play.alerts.are_in_order())
        }),
        row("goodput in the judged stretch", "- / >= 90 %", &|play| {
            let percent = play.goodput.percent();
            (format!("{percent:.1} %"), play.arm == Arm::Legacy || percent >= resilient::GOODPUT_PERCENT)
        }),
        row("accepted p95, list / login / order", "- / < 250 ms each", &|play| {
            let p95 = [Operation::List, Operation::Login, Operation::Order].map(|one| play.accepted_p95_s(one));
            let text = p95.map(seconds).join(" / ");
            let held = p95.iter().all(|p95| p95.is_some_and(|p95| p95 < resilient::ACCEPTED_P95_S));
            (text, play.arm == Arm::Legacy || held)
        }),
        row(
            "restored after the 3:00 action",
            "by 3:15 / nothing to restore",
            &|play| match (play.arm, play.recovery_s) {
                (Arm::Legacy, Some(after)) => (format!("{after:.1} s of real time"), true),
                (Arm::Legacy, None) => ("not".to_owned(), false),
                _ => {
                    let worst = play.worst_errors_percent();
                    (format!("worst 10 s: {worst:.1} % errors"), worst < WORST_ERRORS_PERCENT)
                }
            },
        ),
        correctness_row(plays),
        leftovers_row(plays),
    ];
    rows.extend(information(plays));
    rows
}
