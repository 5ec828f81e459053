use std::time::Duration;

use forebay_pool_core::{Acquired, Class, Health, Knee, Refusal, Return, Rules, Snapshot};

use crate::cases::{Step, holds_for_all};
use crate::world::{Attempt, World};

const PAUSE: Duration = Duration::from_millis(5_500);

/// Rules under which nothing depends on what others count: how long connections are idle, and how old they are.
fn rules() -> Rules {
    let never = Rules::LONGEST;
    Rules { idle_timeout: never, check_after_idle: never, lifetime: None, ..Rules::default() }
}

/// The same with nobody who gives up by a clock of his own, and no server that fails.
fn without_the_clocks_of_others(step: &Step) -> Option<Step> {
    let year = u64::try_from(Rules::LONGEST.as_millis()).expect("it fits");
    Some(match step.clone() {
        Step::Acquire { class, continuation, .. } => Step::Acquire { class, continuation, within_ms: year },
        Step::Release { pick, state: Return::Broken | Return::Detached } => {
            Step::Release { pick, state: Return::Clean }
        }
        Step::Open { chance, .. } => Step::Open { outcome: Attempt::Open, chance },
        Step::Clean { .. } => Step::Clean { health: Health::Well },
        Step::Check { .. } | Step::Jump { .. } | Step::StandStill { .. } | Step::GoBack { .. } | Step::SetRules(_) => {
            return None;
        }
        other => other,
    })
}

/// What was decided.
fn decided(world: &World) -> Snapshot {
    let mut snapshot = world.snapshot();
    // Somebody who waits does so also while the pool stands still.
    (snapshot.oldest_wait, snapshot.totals.stood_still) = (Duration::ZERO, Duration::ZERO);
    snapshot
}

#[test]
fn a_pause_changes_no_decision() {
    holds_for_all(|case| {
        let rules = Rules {
            idle_timeout: Rules::LONGEST,
            check_after_idle: Rules::LONGEST,
            lifetime: None,
            ..case.rules.clone()
        };
        let [mut running, mut paused] = [(); 2].map(|()| World::with_sizer(rules.clone(), Box::<Knee>::default()));
        for (nth, step) in case.steps.iter().filter_map(without_the_clocks_of_others).take(40).enumerate() {
            step.run(&mut running);
            if nth % 5 == 0 {
                paused.stand_still(PAUSE);
            }
            step.run(&mut paused);
            assert_eq!(decided(&running), decided(&paused), "after {step:?}");
            assert_eq!(running.events, paused.events);
        }
    });
}

#[test]
fn a_lease_held_idle_across_a_pause_is_taken_back_after_its_time_without_it() {
    let mut world = World::with_open(rules(), 1);
    let Acquired::Leased(slot) = world.ask(Class::Normal, 60_000) else { panic!("it is free") };
    world.hold_idle(0);
    world.advance(Duration::from_millis(4_800));
    assert!(world.ledger.is_suspect(slot));
    world.stand_still(PAUSE);
    world.advance(Duration::from_millis(100));
    assert_eq!(world.snapshot().totals.revoked, 0);
    world.advance(Duration::from_millis(200));
    assert_eq!(world.snapshot().totals.revoked, 1);
}

#[test]
fn nobody_is_suspected_of_holding_a_lease_idle_while_the_pool_stood_still() {
    let mut world = World::with_open(rules(), 1);
    assert!(matches!(world.ask(Class::Normal, 60_000), Acquired::Leased(_)));
    world.hold_idle(0);
    for _ in 0..10 {
        world.advance(Duration::from_millis(90));
        world.stand_still(PAUSE);
    }
    assert_eq!(world.snapshot().totals.suspected, 0, "it used nine tenths of a second");
    world.advance(Duration::from_millis(200));
    assert_eq!(world.snapshot().totals.suspected, 1);
}

#[test]
fn a_waiter_is_shed_for_no_pause_and_its_own_deadline_ends_its_wait_all_the_same() {
    let mut world = World::with_open(Rules { initial_limit: 1, ..rules() }, 1);
    assert!(matches!(world.ask(Class::Normal, 60_000), Acquired::Leased(_)));
    let [Acquired::Waiting(patient), Acquired::Waiting(hasty)] = [60_000, 3_000].map(|ms| world.ask(Class::Normal, ms))
    else {
        panic!("there is room in the queue")
    };
    world.stand_still(PAUSE);
    assert!(matches!(world.refused[&hasty], Refusal::Timeout { waited, .. } if waited == PAUSE));
    assert!(!world.refused.contains_key(&patient));
}

#[test]
fn a_bound_on_waiting_is_one_on_the_time_in_which_the_pool_ran() {
    let mut world = World::with_open(Rules { initial_limit: 1, ..rules() }, 1);
    assert!(matches!(world.ask(Class::Normal, 60_000), Acquired::Leased(_)));
    let Acquired::Waiting(id) = world.acquire_within(Class::Normal, true, 1_000, 60_000) else {
        panic!("there is room in the queue")
    };
    world.stand_still(PAUSE);
    world.advance(Duration::from_millis(990));
    assert!(!world.refused.contains_key(&id));
    world.advance(Duration::from_millis(20));
    assert!(matches!(world.refused[&id], Refusal::Timeout { .. }));
}

#[test]
fn a_pause_is_no_hold_time_and_no_opening_time() {
    let mut world = World::with_open(rules(), 2);
    let Acquired::Leased(slot) = world.ask(Class::Normal, 60_000) else { panic!("it is free") };
    world.advance(Duration::from_millis(3));
    world.stand_still(PAUSE);
    world.release(slot, Return::Clean);
    assert_eq!(world.snapshot().mean_hold, Duration::from_millis(3));
    let mut world = World::with_open(rules(), 0);
    assert!(matches!(world.ask(Class::Normal, 60_000), Acquired::Waiting(_)));
    world.stand_still(PAUSE);
    world.open_all();
    assert!(world.snapshot().predicted_wait < Duration::from_millis(50), "{:?}", world.snapshot());
}

#[test]
fn a_connection_that_was_idle_during_a_pause_is_asked_before_it_is_lent() {
    let mut world = World::with_open(Rules { check_after_idle: Duration::from_secs(1), ..rules() }, 1);
    world.stand_still(PAUSE);
    assert!(matches!(world.ask(Class::Normal, 60_000), Acquired::Waiting(_)));
    assert_eq!(world.checking.len(), 1, "its server may be gone since");
}
