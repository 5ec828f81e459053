use std::time::Duration;

use forebay_pool_core::Rules;
use forebay_sim::contender::Contender;
use forebay_sim::rival::Fixed;
use forebay_sim::scenario::{Change, Scenario};
use forebay_sim::world;

use crate::short::{X, secs, spike};
use forebay_sim::load::Profile;

/// A light load, and twelve holders from the second second on.
fn leak(again: Option<Duration>) -> Scenario {
    let changes = vec![(secs(2), Change::Leak { holders: 12, again })];
    Scenario { changes, ..Scenario::plain(Profile::steady(0.3 * X), secs(15)) }
}

#[test]
fn holders_who_never_give_back_keep_their_places_in_a_pool_that_does_not_watch() {
    let contender = Contender::new("", |_| Fixed::unbounded(20));
    let record = world::run(&leak(None), &mut *contender.build(1), 1);
    assert!(record.between(secs(4), secs(15)).iter().all(|bin| bin.leased >= 12));
}

#[test]
fn ours_takes_the_connections_of_such_holders_back_after_five_seconds() {
    let record = world::run(&leak(None), &mut *Contender::ours("", Rules::default()).build(1), 1);
    let quietest = |from, to| record.between(secs(from), secs(to)).iter().map(|bin| bin.leased).min().unwrap();
    assert!(quietest(4, 6) >= 12);
    assert!(quietest(9, 15) < 12);
}

#[test]
fn holders_who_come_back_are_taken_back_again_and_hurt_nobody() {
    let record = world::run(&leak(Some(secs(1))), &mut *Contender::ours("", Rules::default()).build(1), 1);
    let tally = record.all("all");
    assert_eq!(tally.lost, 0, "only holders lose a lease");
    assert!(tally.good * 100 >= tally.requests * 99, "{} of {}", tally.good, tally.requests);
}

#[test]
fn a_frozen_database_is_survived_and_the_pool_recovers() {
    let changes = vec![(secs(4), Change::Capacity(0.0)), (secs(6), Change::Capacity(1.0))];
    let scenario = Scenario { changes, end: secs(15), ..spike(0.5) };
    let record = world::run(&scenario, &mut *Contender::ours("", Rules::default()).build(1), 1);
    assert!(record.goodput(secs(4), secs(6)) < 0.02 * X);
    assert!(record.recovery(secs(6)).unwrap() <= secs(2), "{:?}", record.recovery(secs(6)));
}
