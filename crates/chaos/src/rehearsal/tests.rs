//! A rehearsal is the same by its seed, ours holds in it, and a pool of ours that is broken does not.

use forebay_pool::{Config, Knee, Mode, Rules};

use super::*;
use crate::scenario::bound::Measure;
use crate::scenario::{Window, shipped};
use crate::verdict::Outcome;

fn shipped_scenario(name: &str) -> Scenario {
    shipped::named(name).scenario(20.0, true)
}

/// Ours by other rules, in the place of ours.
fn broken(rules: impl FnOnce(Rules) -> Rules) -> StandIn {
    let rules = rules(Config::named("broken").rules);
    let contender = stand_in::ours(rules, || Box::new(Knee::default()));
    StandIn { contender, ..StandIn::of(Arm::Resilient) }
}

fn judged(name: &str, ours: StandIn) -> Verdict {
    let scenario = shipped_scenario(name);
    let others = shipped::named(name).arms.into_iter().filter(|arm| *arm != Arm::Resilient);
    let cast: Vec<StandIn> = others.map(StandIn::of).chain([ours]).collect();
    rehearse(&scenario, &cast, 1..=1).verdict
}

#[test]
fn the_same_seeds_give_the_same_bytes_and_others_do_not() {
    let scenario = shipped_scenario("thundering-herd");
    let figures =
        |seeds| serde_json::to_string(&rehearse(&scenario, &cast(&[Arm::Legacy, Arm::Resilient]), seeds).arms);
    let first = figures(3..=4).expect("plain data");
    assert_eq!(first, figures(3..=4).expect("plain data"));
    assert_ne!(first, figures(4..=5).expect("plain data"));
}

#[test]
fn the_incident_falls_on_legacy_and_not_on_ours() {
    let verdict = judged("incident", StandIn::of(Arm::Resilient));
    assert_eq!((verdict.outcome, verdict.reasons), (Outcome::Held, Vec::new()));
}

#[test]
fn ours_without_refusal_fails_the_overload() {
    let held = judged("overload", StandIn::of(Arm::Resilient));
    assert_eq!((held.outcome, held.reasons), (Outcome::Held, Vec::new()));
    let failed = judged("overload", broken(|rules| Rules { mode: Mode::Off, ..rules }));
    assert_eq!(failed.outcome, Outcome::Failed, "{failed:?}");
}

#[test]
fn ours_that_takes_nothing_back_fails_the_leak() {
    let held = judged("leak", StandIn::of(Arm::Resilient));
    assert_eq!((held.outcome, held.reasons), (Outcome::Held, Vec::new()));
    let failed = judged("leak", broken(|rules| Rules { revoke_after: None, ..rules }));
    assert_eq!(failed.outcome, Outcome::Failed, "{failed:?}");
}

#[test]
fn of_nobody_nothing_is_proved() {
    assert_eq!(rehearse(&shipped_scenario("incident"), &[], 1..=2).verdict.outcome, Outcome::Invalid);
}

#[test]
fn a_calm_day_affects_nobody_and_is_recorded_request_by_request() {
    let mut calm = shipped_scenario("thundering-herd");
    calm.phases.truncate(1);
    calm.judged = Window::new(0.0, 10.0);
    for arm in [Arm::Legacy, Arm::Stock60, Arm::Resilient] {
        let stand_in = StandIn::of(arm);
        let schedule = Schedule::draw(&calm, stand_in::capacity(), 1);
        let record = world::run(&stand_in.world(&calm, &schedule), &mut *stand_in.pool(&calm, 1), 1);
        let recording = recorded::of(arm, &record);
        let intended: usize = schedule.journeys.iter().map(|journey| journey.steps.len()).sum();
        assert_eq!((recording.done.len(), recording.attempts.len()), (intended, intended), "{arm:?}");
        assert_eq!(recording.unfinished, Vec::<u32>::new());
        assert_eq!(Measure::UsersAffected.value(&schedule, &recording, &calm), Some(0.0));
        // The last requests of some are a hair too late to be within the ten seconds.
        assert!(Measure::Goodput.value(&schedule, &recording, &calm).is_some_and(|percent| percent > 98.0));
    }
}

#[test]
fn the_action_saves_legacy_in_virtual_time_too() {
    let mut scenario = shipped_scenario("incident");
    let after = scenario.action.expect("somebody acts") + 30.0;
    scenario.judged = Window::new(after, after + 20.0);
    let affected = |scenario: &Scenario| {
        let played = rehearse(scenario, &cast(&[Arm::Legacy]), 1..=1);
        played.arms[0].values(Measure::UsersAffected)[0].expect("somebody came")
    };
    let acted = affected(&scenario);
    let left_alone = affected(&Scenario { action: None, ..scenario });
    assert!(acted < 5.0 && left_alone > 50.0, "{acted} % with the action, {left_alone} % without");
}
