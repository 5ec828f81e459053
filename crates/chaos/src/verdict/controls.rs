//! Controls: what the incident needs to happen, each cause left out once.

use super::{Outcome, Row, Verdict, correctness_row, information, leftovers_row};
use crate::arm::Arm;
use crate::marks::resilient;
use crate::scenario::Kind;
use crate::summary::Summary;

/// What a control is expected to show.
struct Expectation {
    says: &'static str,
    holds: bool,
    measured: String,
}

fn expectation(play: &Summary, plays: &[Summary]) -> Expectation {
    let affected = play.affected();
    let measured = format!("{affected:.1} % of users affected");
    match (play.scenario.kind, play.arm) {
        (Kind::SpikeAlone, _) => {
            let both = plays.iter().find(|other| other.scenario.kind == Kind::WithoutAction).map(Summary::affected);
            Expectation {
                says: "the idle holders make it worse: without them fewer users are affected than with them",
                holds: both.is_none_or(|both| affected < both),
                measured,
            }
        }
        (Kind::HoldersAlone, _) => Expectation {
            says: "without the spike the idle holders hurt nobody: less than 1 % affected",
            holds: affected < 1.0,
            measured,
        },
        (Kind::WithoutAction, _) => {
            let worst = worst_at_the_end(play);
            Expectation {
                says: "with nobody at the controls it is still down at 3:15: more than 5 % errors",
                holds: worst > 5.0,
                measured: format!("{worst:.0} % errors in the last 10 s"),
            }
        }
        (_, Arm::Stock60) => Expectation {
            says: "a plain pool of 60 survives this day, as the team's own fix did: less than 5 % affected",
            holds: affected < resilient::AFFECTED_PERCENT,
            measured,
        },
        _ => Expectation { says: "nothing is expected of this play", holds: false, measured },
    }
}

fn worst_at_the_end(play: &Summary) -> f64 {
    let end = play.scenario.peak().to;
    let last = play.seconds.iter().filter(|second| (end - 10.0..end).contains(&f64::from(second.at)));
    let (failed, all) = last.fold((0, 0), |(failed, all), second| {
        let bad = second.failed + second.shed;
        (failed + bad, all + bad + second.ok)
    });
    if all == 0 { 100.0 } else { failed as f64 * 100.0 / all as f64 }
}

/// Judges the controls. One that does not show what it should means that the replay proves less than it says.
#[must_use]
pub fn judge(plays: &[Summary]) -> Verdict {
    let columns = plays.iter().map(|play| format!("{} on {}", play.scenario.name, play.arm.name())).collect();
    let expectations: Vec<Expectation> = plays.iter().map(|play| expectation(play, plays)).collect();
    let mut rows: Vec<Row> = expectations.iter().enumerate().map(|(n, one)| row(n, one, plays.len())).collect();
    rows.extend([correctness_row(plays), leftovers_row(plays)]);
    rows.extend(information(plays));
    let mut verdict = Verdict::new(columns, rows);
    for expectation in expectations.iter().filter(|expectation| !expectation.holds) {
        verdict.sink(Outcome::Invalid, format!("{}: {}", expectation.says, expectation.measured));
    }
    verdict.common(plays);
    verdict
}

fn row(column: usize, expectation: &Expectation, columns: usize) -> Row {
    let mut cells = vec![String::new(); columns];
    cells[column].clone_from(&expectation.measured);
    let (what, required) = expectation.says.split_once(": ").unwrap_or((expectation.says, ""));
    Row::judged(what, cells, required, expectation.holds)
}
