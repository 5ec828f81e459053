use std::time::Duration;

use forebay_pool_core::{Class, CloseReason, OpenReason, Return, Rules};

use crate::world::World;

const SECOND: Duration = Duration::from_secs(1);

fn rules() -> Rules {
    Rules { min_idle: 4, initial_limit: 4, ceiling: 20, lifetime: Some(Duration::from_secs(100)), ..Rules::default() }
}

/// Opens whatever is to be opened, with births spread evenly.
fn open_all(world: &mut World) {
    let mut chance = 0.0;
    while !world.openings.is_empty() {
        world.open_one(true, chance);
        chance += 0.25;
    }
}

#[test]
fn an_aged_connection_is_replaced_between_80_and_100_percent_of_its_life_by_one_opened_first() {
    let mut world = World::new(rules());
    open_all(&mut world);
    world.advance(Duration::from_secs(79));
    assert!(world.openings.is_empty(), "too young");
    world.advance(SECOND * 2);
    assert_eq!(world.openings.len(), 1);
    assert_eq!(world.openings[0].reason(), OpenReason::Replacement);
    assert_eq!((world.idle.len(), world.closing.len()), (4, 0), "the old one serves until the new one is there");
    world.open_one(true, 0.5);
    assert_eq!((world.idle.len(), world.closing.len()), (4, 1));
    for _ in 0..30 {
        world.advance(SECOND);
        world.open_all();
        world.close_all();
    }
    assert_eq!(world.closed_for(CloseReason::Aged), 4, "all of the first ones");
    assert_eq!(world.idle.len(), 4);
}

#[test]
fn connections_born_together_do_not_go_together() {
    let mut world = World::new(Rules { min_idle: 10, openings_at_once: 10, ..rules() });
    while !world.openings.is_empty() {
        world.open_one(true, 0.0);
    }
    world.advance(Duration::from_secs(80));
    for gone in 1..=5 {
        world.open_all();
        assert_eq!(world.closed_for(CloseReason::Aged), gone, "one a second");
        world.advance(SECOND);
    }
}

#[test]
fn at_the_ceiling_the_old_one_goes_before_the_new_one_comes() {
    let mut world = World::new(Rules { min_idle: 4, ceiling: 4, initial_limit: 3, ..rules() });
    world.open_all();
    world.advance(Duration::from_millis(80_500));
    assert_eq!((world.closing.len(), world.openings.len()), (1, 0));
    world.close_one();
    assert_eq!(world.openings.len(), 1);
}

#[test]
fn a_lease_outlives_its_connections_time_and_nobody_has_the_connection_after_it() {
    let mut world = World::new(rules());
    world.open_all();
    world.ask(Class::Normal, 1_000);
    let held = world.leased[0].slot;
    for _ in 0..110 {
        world.advance(SECOND);
        world.open_all();
        world.close_all();
    }
    assert!(world.leased.iter().any(|lent| lent.slot == held), "no lease is ended for its connection's age");
    world.release(held, Return::Clean);
    assert!(world.closing.contains(&held));
}

#[test]
fn a_replacement_that_cannot_be_opened_leaves_the_old_one_in_service() {
    let mut world = World::new(rules());
    world.open_all();
    world.advance(Duration::from_secs(81));
    world.open_one(false, 0.0);
    assert_eq!((world.idle.len(), world.closing.len()), (4, 0));
    world.advance(SECOND * 2);
    assert_eq!(world.openings.len(), 1, "it is tried again");
}

#[test]
fn what_nobody_would_miss_goes_without_a_replacement() {
    let mut world = World::with_open(Rules { min_idle: 1, idle_timeout: Duration::from_secs(1_000), ..rules() }, 4);
    world.advance(Duration::from_millis(80_500));
    assert_eq!((world.closing.len(), world.openings.len()), (1, 0));
}

#[test]
fn a_spike_is_forgotten_and_a_plateau_kept() {
    let ten = |world: &mut World, seconds: u64| {
        let asked: Vec<_> = (0..10).map(|_| world.ask(Class::Normal, 1_000)).collect();
        assert_eq!(asked.len(), 10);
        while !world.openings.is_empty() || !world.checking.is_empty() {
            world.open_all();
            world.check_one(true);
        }
        world.advance(Duration::from_secs(seconds));
        while let Some(lent) = world.leased.first().copied() {
            world.release(lent.slot, Return::Clean);
        }
    };
    let rules = Rules { min_idle: 1, initial_limit: 12, lifetime: None, ..rules() };
    let mut world = World::new(rules.clone());
    world.open_all();
    ten(&mut world, 20);
    world.advance(Duration::from_secs(75));
    world.close_all();
    assert_eq!(world.idle.len(), 1, "a spike of 20 s");
    let mut world = World::new(rules);
    world.open_all();
    ten(&mut world, 200);
    world.advance(Duration::from_secs(75));
    world.close_all();
    assert_eq!(world.idle.len(), 10, "a plateau of 200 s outlives the idle time-out");
    world.advance(Duration::from_secs(120));
    world.close_all();
    assert_eq!(world.idle.len(), 1, "and not for ever");
}

#[test]
fn idle_connections_are_closed_one_by_one() {
    let mut world = World::with_open(Rules { min_idle: 0, lifetime: None, ..rules() }, 5);
    world.advance(Duration::from_secs(60));
    assert_eq!(world.closed_for(CloseReason::Idle), 1);
    world.advance(Duration::from_millis(250));
    assert_eq!(world.closed_for(CloseReason::Idle), 3);
}

#[test]
fn a_lifetime_shortened_at_run_time_counts_for_those_that_exist() {
    let mut world = World::new(rules());
    world.open_all();
    let shorter = Rules { lifetime: Some(SECOND * 5), ..rules() };
    world.change(|ledger, now| ledger.set_rules(now, shorter).expect("they hold"));
    world.advance(Duration::from_millis(5_500));
    assert_eq!(world.openings.len(), 1);
}

#[test]
fn a_lifetime_that_is_given_at_run_time_counts_for_those_that_had_none() {
    let mut world = World::new(Rules { lifetime: None, ..rules() });
    open_all(&mut world);
    world.advance(Duration::from_secs(1_000));
    assert_eq!(world.closed_for(CloseReason::Aged), 0);
    let young = Rules { lifetime: Some(Duration::from_secs(10)), ..world.ledger.rules() };
    world.change(|ledger, now| ledger.set_rules(now, young).expect("they hold"));
    for _ in 0..20 {
        world.advance(SECOND);
        world.open_all();
        world.close_all();
    }
    assert!(world.closed_for(CloseReason::Aged) >= 4, "all of the first ones");
}
