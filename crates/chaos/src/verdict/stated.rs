//! The marks that a scenario's file states: what our arm must do, and what the others must show for that to mean something.

use super::{Outcome, Row, Verdict, correctness_row, information, leftovers_row};
use crate::arm::Arm;
use crate::measure::Share;
use crate::scenario::bound::{Against, Bound, Measure};
use crate::schedule::Operation;
use crate::summary::Summary;

/// Judges the plays by the marks of their scenario. One of ours that does not hold is a failure, one of another arm makes the
/// run show nothing.
#[must_use]
pub fn judge(plays: &[Summary]) -> Verdict {
    let columns = plays.iter().map(|play| play.arm.name().to_owned()).collect();
    let mut rows = rows(plays);
    rows.extend([correctness_row(plays), leftovers_row(plays)]);
    rows.extend(sheds(plays));
    rows.extend(information(plays));
    let mut verdict = Verdict::new(columns, rows);
    for (arm, reason) in broken(plays) {
        verdict.sink(if arm == Arm::Resilient { Outcome::Failed } else { Outcome::Invalid }, reason);
    }
    verdict.common(plays);
    verdict
}

fn marks(plays: &[Summary]) -> &[Bound] {
    plays.first().map_or(&[], |play| &play.scenario.marks)
}

fn value(plays: &[Summary], arm: Arm, measure: Measure) -> Option<Option<f64>> {
    plays.iter().find(|play| play.arm == arm).map(|play| play.measured(measure))
}

/// Whether the bound holds; `None` where the arm, or the one that it is compared with, was not played.
fn holds(plays: &[Summary], bound: &Bound) -> Option<bool> {
    let against = match bound.against {
        Against::Number(number) => Some(number),
        Against::Arm(arm) => value(plays, arm, bound.measure)?,
    };
    Some(bound.holds(value(plays, bound.arm, bound.measure)?, against))
}

fn broken(plays: &[Summary]) -> Vec<(Arm, String)> {
    let broken = marks(plays).iter().filter(|bound| holds(plays, bound) == Some(false));
    let reason = |bound: &Bound| {
        let found = bound.measure.told(value(plays, bound.arm, bound.measure).flatten());
        let reason =
            format!("{}: {}: {found}, where {} is required", bound.arm.name(), bound.measure.says(), bound.told());
        (bound.arm, reason)
    };
    broken.map(reason).collect()
}

/// A row for each measure that something is required of, and those that everybody wants to know.
fn rows(plays: &[Summary]) -> Vec<Row> {
    let always = [Measure::UsersAffected, Measure::Goodput];
    let stated = |measure: &Measure| marks(plays).iter().any(|bound| bound.measure == *measure);
    let shown = Measure::ALL.into_iter().filter(|measure| always.contains(measure) || stated(measure));
    let row = |measure: Measure| {
        let cells = plays.iter().map(|play| measure.told(play.measured(measure))).collect();
        let bounds: Vec<&Bound> = marks(plays).iter().filter(|bound| bound.measure == measure).collect();
        let held: Vec<bool> = bounds.iter().filter_map(|bound| holds(plays, bound)).collect();
        let required: Vec<String> =
            bounds.iter().map(|bound| format!("{} {}", bound.arm.name(), bound.told())).collect();
        let held = (!held.is_empty()).then(|| held.into_iter().all(|held| held));
        Row { what: measure.says().to_owned(), cells, required: required.join(", "), held }
    };
    shown.map(row).collect()
}

/// Who was refused, and after what time.
fn sheds(plays: &[Summary]) -> Vec<Row> {
    let shed = |play: &Summary, operation: Operation| {
        let found = play.latencies.iter().find(|one| one.operation == operation && one.outcome == "shed");
        found.map_or_else(|| "-".to_owned(), |one| format!("{} after {:.1} ms", one.count, one.p95_ms))
    };
    let row = |what, operation| Row::information(what, plays.iter().map(|play| shed(play, operation)).collect());
    let bought = |play: &Summary| {
        let Share { total, part } = play.orders_lost;
        format!("{} of {total}", total.saturating_sub(part))
    };
    vec![
        row("lists shed, p95", Operation::List),
        row("orders shed, p95", Operation::Order),
        Row::information("orders bought, of all scheduled", plays.iter().map(bought).collect()),
    ]
}
