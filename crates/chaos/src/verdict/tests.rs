//! Each reason to doubt or to fail a run leads to its own exit code.

use super::*;
use crate::arm::Arm;
use crate::correctness::Correctness;
use crate::measure::Share;
use crate::record::Recording;
use crate::scenario::bound::Measure;
use crate::scenario::{Scenario, shipped};
use crate::schedule::{Needs, Schedule};
use crate::summary::Measured;

/// A play of which nothing is wrong: the marks hold and `affected` of 100 users are affected.
fn play(arm: Arm, scenario: &Scenario, affected: usize) -> Summary {
    let schedule = Schedule { journeys: Vec::new(), needs: Needs::default() };
    let mut play = Summary::of(arm, scenario, &schedule, &Recording::default(), Correctness::default(), Vec::new());
    play.late = Share { part: 0, total: 1_000 };
    play.users.affected = Share { part: affected, total: 100 };
    play.goodput = Share { part: 100 - affected, total: 100 };
    play.recovery_s = Some(20.0);
    play.orders_lost = Share { part: affected, total: 100 };
    play.marks.iter_mut().for_each(|mark| mark.held = true);
    let (affected, goodput) = (play.users.affected.percent(), play.goodput.percent());
    measured(&mut play, Measure::UsersAffected, affected);
    measured(&mut play, Measure::Goodput, goodput);
    measured(&mut play, Measure::HoldersTakenBack, 1.0);
    play
}

fn measured(play: &mut Summary, measure: Measure, value: f64) {
    play.measured.retain(|one| one.measure != measure);
    play.measured.push(Measured { measure, value: Some(value) });
}

fn incident_plays() -> Vec<Summary> {
    let scenario = Scenario::incident(15.0, false);
    vec![play(Arm::Legacy, &scenario, 85), play(Arm::Resilient, &scenario, 0)]
}

#[test]
fn a_run_in_which_everything_holds_exits_with_0() {
    let verdict = incident::judge(&incident_plays());
    assert_eq!((verdict.outcome.exit_code(), verdict.reasons), (0, Vec::new()));
}

#[test]
fn a_failed_mark_of_legacy_is_an_invalid_run_and_one_of_ours_a_failed_verdict() {
    for (arm, code) in [(0, 2), (1, 1)] {
        let mut plays = incident_plays();
        plays[arm].marks[0].held = false;
        assert_eq!(incident::judge(&plays).outcome.exit_code(), code);
    }
}

#[test]
fn a_late_generator_or_an_unexpected_answer_voids_the_run() {
    let mut late = incident_plays();
    late[1].late.part = 2;
    assert_eq!(incident::judge(&late).outcome, Outcome::Invalid);
    let mut rejected = incident_plays();
    rejected[0].rejected = 1;
    assert_eq!(incident::judge(&rejected).outcome, Outcome::Invalid);
}

#[test]
fn wrong_data_or_leftovers_fail_in_any_arm() {
    for arm in [0, 1] {
        let mut wrong = incident_plays();
        wrong[arm].correctness.duplicates = 1;
        assert_eq!(incident::judge(&wrong).outcome, Outcome::Failed);
        let mut left = incident_plays();
        left[arm].left_behind.push("process 7".to_owned());
        assert_eq!(incident::judge(&left).outcome, Outcome::Failed);
    }
}

#[test]
fn a_leak_that_a_pool_of_sixty_survives_shows_nothing() {
    let leak = shipped::named("leak").scenario(1.0, false);
    let plays = |of_60, ours| vec![play(Arm::Stock60, &leak, of_60), play(Arm::Resilient, &leak, ours)];
    assert_eq!(stated::judge(&plays(40, 0)).outcome, Outcome::Held);
    assert_eq!(stated::judge(&plays(4, 0)).outcome, Outcome::Invalid);
    assert_eq!(stated::judge(&plays(40, 9)).outcome, Outcome::Failed);
}

#[test]
fn a_control_that_contradicts_the_story_makes_the_run_invalid() {
    let (spike, both) = (Scenario::spike_alone(20.0), Scenario::without_action(20.0));
    let reasons = |alone| controls::judge(&[play(Arm::Legacy, &spike, alone), play(Arm::Legacy, &both, 90)]).reasons;
    assert!(!reasons(80).iter().any(|reason| reason.starts_with("the idle holders")), "{:?}", reasons(80));
    assert!(reasons(95).iter().any(|reason| reason.starts_with("the idle holders")), "{:?}", reasons(95));
    let holders = Scenario::holders_alone(20.0);
    assert_eq!(controls::judge(&[play(Arm::Legacy, &holders, 5)]).outcome, Outcome::Invalid);
    let sixty = Scenario::incident(20.0, true);
    assert_eq!(controls::judge(&[play(Arm::Stock60, &sixty, 0)]).outcome, Outcome::Held);
}

#[test]
fn a_programme_of_which_nothing_was_played_proves_nothing() {
    assert_eq!(incident::judge(&[]).outcome, Outcome::Invalid);
    assert_eq!(stated::judge(&[]).outcome, Outcome::Invalid);
}

#[test]
fn under_overload_ours_must_be_better_than_a_pool_of_sixty_and_not_only_quick() {
    let overload = shipped::named("overload").scenario(1.0, false);
    let plays = |of_60: f64, ours: f64| {
        let mut plays = vec![play(Arm::Stock60, &overload, 0), play(Arm::Resilient, &overload, 0)];
        for (play, bought) in plays.iter_mut().zip([of_60, ours]) {
            measured(play, Measure::GoodputWithin1s, bought);
        }
        plays
    };
    let worse = stated::judge(&plays(60.0, 50.0));
    assert!(worse.reasons.iter().any(|reason| reason.contains("goodput within 1 s")), "{:?}", worse.reasons);
    let better = stated::judge(&plays(50.0, 60.0));
    assert!(!better.reasons.iter().any(|reason| reason.contains("goodput within 1 s")), "{:?}", better.reasons);
}

#[test]
fn a_mark_that_compares_with_an_arm_that_was_not_played_is_not_judged_and_one_of_ours_is() {
    let leak = shipped::named("leak").scenario(1.0, false);
    let verdict = stated::judge(&[play(Arm::Resilient, &leak, 0)]);
    assert_eq!(verdict.outcome, Outcome::Held, "{:?}", verdict.reasons);
    let mut unnamed = play(Arm::Resilient, &leak, 0);
    unnamed.measured.retain(|one| one.measure != Measure::HoldersTakenBack);
    assert_eq!(stated::judge(&[unnamed]).outcome, Outcome::Failed);
}
