//! Whether a scenario's marks hold in virtual time: with every seed, not on average.

use super::figures::Figures;
use crate::arm::Arm;
use crate::scenario::Scenario;
use crate::scenario::bound::{Against, Bound, Measure};
use crate::verdict::{Outcome, Row, Verdict};

/// What everybody wants to know.
const ALWAYS: [Measure; 4] = [Measure::UsersAffected, Measure::Goodput, Measure::OrdersLost, Measure::ErrorsAtEnd];

pub(super) fn judge(scenario: &Scenario, arms: &[Figures]) -> Verdict {
    let stated = |measure: &Measure| scenario.marks.iter().any(|bound| bound.measure == *measure);
    let shown = Measure::ALL.into_iter().filter(|measure| ALWAYS.contains(measure) || stated(measure));
    let rows = shown.map(|measure| row(scenario, arms, measure)).collect();
    let mut verdict = Verdict::new(arms.iter().map(|arm| arm.name.clone()).collect(), rows);
    if arms.iter().all(|arm| arm.values(Measure::UsersAffected).is_empty()) {
        verdict.sink(Outcome::Invalid, "nothing was played".to_owned());
    }
    for bound in judged(scenario) {
        let Some(broken) = broken(arms, bound).filter(|broken| *broken > 0) else { continue };
        let outcome = if bound.arm == Arm::Resilient { Outcome::Failed } else { Outcome::Invalid };
        let (arm, says, told) = (bound.arm.name(), bound.measure.says(), bound.told());
        verdict.sink(outcome, format!("{arm}: {says} is not {told} with {broken} of the seeds"));
    }
    verdict
}

fn row(scenario: &Scenario, arms: &[Figures], measure: Measure) -> Row {
    let bounds: Vec<&Bound> = judged(scenario).filter(|bound| bound.measure == measure).collect();
    let broken: Vec<usize> = bounds.iter().filter_map(|bound| broken(arms, bound)).collect();
    let required: Vec<String> = bounds.iter().map(|bound| format!("{} {}", bound.arm.name(), bound.told())).collect();
    Row {
        what: measure.says().to_owned(),
        cells: arms.iter().map(|arm| arm.told(measure)).collect(),
        required: required.join(", "),
        held: (!broken.is_empty()).then(|| broken.iter().all(|broken| *broken == 0)),
    }
}

/// The marks but for those that virtual time is too coarse for.
fn judged(scenario: &Scenario) -> impl Iterator<Item = &Bound> {
    scenario.marks.iter().filter(|bound| !scenario.only_for_real.contains(&bound.measure))
}

/// With how many seeds the bound does not hold; `None` where the arm, or the one that it is compared with, was not played.
fn broken(arms: &[Figures], bound: &Bound) -> Option<usize> {
    let values = |arm: Arm| arms.iter().find(|figures| figures.arm == arm).map(|figures| figures.values(bound.measure));
    let of = values(bound.arm)?;
    let against: Vec<Option<f64>> = match bound.against {
        Against::Number(number) => vec![Some(number); of.len()],
        Against::Arm(arm) => values(arm)?.to_vec(),
    };
    Some(of.iter().zip(against).filter(|(value, against)| !bound.holds(**value, *against)).count())
}
