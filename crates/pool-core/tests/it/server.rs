//! What the ledger makes of what it learns about the server.

use std::time::Duration;

use forebay_pool_core::{
    Acquired, Breaker, Class, CloseReason, Event, Health, OpenFailure, Refusal, Resize, Return, Rules,
};

use crate::world::{Attempt, World};

fn rules() -> Rules {
    Rules { min_idle: 0, initial_limit: 10, ceiling: 20, lifetime: None, ..Rules::default() }
}

fn flushes(world: &World) -> usize {
    world.events.iter().filter(|event| matches!(event, Event::Flushed { .. })).count()
}

/// Two connections break under their leases.
fn lose_two(world: &mut World) {
    world.ask(Class::Normal, 1_000);
    world.ask(Class::Normal, 1_000);
    for lent in world.leased.clone() {
        world.release(lent.slot, Return::Broken);
    }
}

#[test]
fn two_lost_connections_have_a_third_asked_and_a_live_server_keeps_the_rest() {
    let mut world = World::with_open(rules(), 8);
    lose_two(&mut world);
    assert_eq!(world.checking.len(), 1);
    assert!(world.checking[0].role);
    world.check(Health::Well);
    world.advance(Duration::from_secs(2));
    assert_eq!((flushes(&world), world.idle.len()), (0, 6));
}

#[test]
fn who_is_refused_while_the_only_connection_is_asked_does_not_fill_an_idle_pool() {
    // To open one takes longer than the caller has who is refused.
    let mut world = World::new(Rules { min_idle: 3, ..rules() });
    while world.open() > world.idle.len() {
        world.open_those_under_way(Duration::from_millis(10));
    }
    world.ledger.resize(world.now, Resize { min_idle: Some(0), ..Resize::default() }).expect("as it was");
    for state in [Return::Clean, Return::Broken, Return::Broken] {
        world.ask(Class::Normal, 1_000);
        world.advance(Duration::from_millis(30));
        world.release(world.leased[0].slot, state);
    }
    world.advance(Duration::from_millis(200));
    assert_eq!((world.idle.len(), world.checking.len()), (0, 1));
    assert!(matches!(world.ask(Class::Normal, 5), Acquired::Refused(_)), "too late for anything");
    world.check(Health::Well);
    for _ in 0..20 {
        world.open_all();
        world.advance(Duration::from_millis(100));
    }
    assert!(world.open() <= 4, "{}", world.open());
    world.jump(3 * world.ledger.rules().idle_timeout);
    for _ in 0..20 {
        world.advance(Duration::from_millis(200));
        world.close_all();
    }
    assert_eq!(world.openings.len(), 0, "nobody is refused any more");
}

#[test]
fn a_confirmed_loss_replaces_all_of_before_step_by_step_and_nobody_gets_one_unasked() {
    let mut world = World::with_open(rules(), 8);
    lose_two(&mut world);
    world.check(Health::Lost);
    assert_eq!(flushes(&world), 1);
    assert!(world.closed_for(CloseReason::Flushed) <= 1, "not all at once");
    assert!(matches!(world.ask(Class::Normal, 1_000), Acquired::Waiting(_)), "not one of before");
    assert!(world.checking.iter().all(|checking| checking.role), "only after it was asked");
    world.check(Health::Well);
    world.advance(Duration::from_millis(300));
    assert_eq!(world.idle.len(), 0, "all idle ones are gone");
    assert_eq!(world.snapshot().era, 1);
}

#[test]
fn a_standby_behind_a_refused_write_replaces_all_and_at_most_once_a_minute() {
    let mut world = World::with_open(rules(), 4);
    for round in 1..=2 {
        world.ask(Class::Normal, 1_000);
        world.open_all();
        world.check_one(true);
        world.release(world.leased[0].slot, Return::Dirty);
        world.clean(Health::WrongRole);
        assert_eq!((flushes(&world), world.closed_for(CloseReason::WrongRole)), (1, round));
        world.advance(Duration::from_secs(5));
    }
}

#[test]
fn one_lost_connection_is_no_reason_to_ask() {
    let mut world = World::with_open(rules(), 8);
    world.ask(Class::Normal, 1_000);
    world.release(world.leased[0].slot, Return::Broken);
    world.advance(Duration::from_secs(2));
    world.ask(Class::Normal, 1_000);
    world.check_one(true);
    world.release(world.leased[0].slot, Return::Broken);
    assert!(world.checking.is_empty());
}

#[test]
fn whoever_met_two_dead_connections_waits_for_a_new_one() {
    let mut world = World::with_open(Rules { ceiling: 6, initial_limit: 5, ..rules() }, 6);
    world.advance(Duration::from_secs(5));
    world.ask(Class::Normal, 5_000);
    world.check_one(false);
    world.check_one(false);
    assert_eq!(world.checks_failed, 2);
    let asked_for_the_server = world.checking.iter().filter(|checking| checking.role).count();
    assert_eq!(world.checking.len(), asked_for_the_server, "no third one for the same caller");
    world.close_all();
    assert!(!world.openings.is_empty());
    world.open_one(true, 0.0);
    assert_eq!(world.leased.len(), 1);
}

#[test]
fn at_the_ceiling_one_that_nobody_asked_gives_way_to_a_new_one() {
    let mut world = World::with_open(Rules { ceiling: 6, initial_limit: 5, ..rules() }, 6);
    world.advance(Duration::from_secs(5));
    world.ask(Class::Normal, 5_000);
    world.check_one(false);
    world.check_one(false);
    world.close_all();
    // The server has no room for what was lost: the four left are all there may be.
    while let Some(checking) = world.checking.first() {
        assert!(checking.role);
        world.check(Health::Well);
    }
    world.attempt(Attempt::Fail(OpenFailure::NoRoom), 0.0);
    world.close_all();
    for _ in 0..10 {
        world.advance(Duration::from_millis(100));
        world.open_all();
        world.check_one(true);
        world.close_all();
    }
    assert_eq!(world.leased.len(), 1, "{:?}", world.snapshot());
}

#[test]
fn the_breaker_tells_when_it_opens_and_when_it_closes() {
    let mut world = World::new(rules());
    world.ask(Class::Normal, 60_000);
    for _ in 0..6 {
        world.open_one(false, 1.0);
        world.advance(Duration::from_millis(500));
    }
    assert_eq!(world.snapshot().breaker, Breaker::HalfOpen, "an attempt is under way");
    let told = |world: &World, wanted: fn(&Event) -> bool| world.events.iter().filter(|event| wanted(event)).count();
    assert_eq!(told(&world, |event| matches!(event, Event::BreakerOpened { .. })), 1);
    world.open_one(true, 0.0);
    assert_eq!(world.snapshot().breaker, Breaker::Closed);
    assert_eq!(told(&world, |event| matches!(event, Event::BreakerClosed)), 1);
}

#[test]
fn while_nothing_lives_it_is_tried_again_within_half_a_second_with_a_second_each() {
    let mut world = World::new(rules());
    world.ask(Class::Normal, 600_000);
    for _ in 0..50 {
        let opening = world.openings.first().expect("it is tried again");
        assert!(opening.limit() <= Duration::from_secs(1));
        world.open_one(false, 1.0);
        world.advance(Duration::from_millis(500));
    }
}

#[test]
fn wrong_credentials_are_tried_ever_more_seldom_while_nobody_calls() {
    let mut world = World::new(rules());
    world.ask(Class::Normal, 600_000);
    for _ in 0..10 {
        world.attempt(Attempt::Fail(OpenFailure::Misconfigured), 1.0);
        while world.openings.is_empty() {
            world.advance(Duration::from_millis(100));
        }
    }
    world.attempt(Attempt::Fail(OpenFailure::Misconfigured), 1.0);
    world.advance(Duration::from_secs(25));
    assert!(world.openings.is_empty(), "half a minute between two attempts");
    let Acquired::Refused(Refusal::Unavailable { retry_after, .. }) = world.ask(Class::Normal, 1_000) else {
        panic!("nothing can be opened")
    };
    assert!(retry_after <= Duration::from_secs(3), "whoever calls has it tried: {retry_after:?}");
    assert_eq!(world.openings.len(), 1);
}

#[test]
fn live_connections_serve_on_while_no_other_can_be_opened() {
    let mut world = World::with_open(rules(), 2);
    for _ in 0..4 {
        world.ask(Class::Normal, 60_000);
    }
    for _ in 0..20 {
        world.attempt(Attempt::Fail(OpenFailure::Other), 1.0);
        world.advance(Duration::from_secs(5));
    }
    assert_eq!(world.snapshot().breaker, Breaker::Closed);
    world.ledger.resize(world.now, Resize::default()).expect("nothing changes");
    world.release(world.leased[0].slot, Return::Clean);
    assert!(matches!(world.ask(Class::Normal, 1_000), Acquired::Leased(_)));
}
