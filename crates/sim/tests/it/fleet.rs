use std::time::Duration;

use forebay_pool_core::{Knee, Rules};
use forebay_sim::contender::Contender;
use forebay_sim::database::Machine;
use forebay_sim::fleet::Fleet;
use forebay_sim::measure::Record;
use forebay_sim::ours::Ours;
use forebay_sim::pool::Pool;
use forebay_sim::scenario::{Change, Scenario};
use forebay_sim::world;

use crate::short::{secs, spike};

const SEED: u64 = 7;

/// So many of ours with this ceiling; the second half starts in the midst of the spike.
fn fleet(members: u64, ceiling: u32) -> Fleet {
    (0..members).fold(Fleet::new(), |fleet, member| {
        let rules = Rules { ceiling, ..Rules::default() };
        let starts = if member < members / 2 { Duration::ZERO } else { secs(2) + Duration::from_millis(500) };
        fleet.with(Box::new(Ours::new(rules, Box::new(Knee::default()), SEED + member)), starts, 1.0)
    })
}

fn play(scenario: &Scenario, mut pool: impl Pool) -> Record {
    world::run(scenario, &mut pool, SEED)
}

#[test]
fn a_fleet_of_one_does_what_its_only_member_does() {
    let (rules, scenario) = (Rules { ceiling: 20, ..Rules::default() }, spike(3.0));
    let alone = world::run(&scenario, &mut *Contender::ours("", rules.clone()).build(SEED), SEED);
    let ours = Ours::new(rules, Box::new(Knee::default()), SEED);
    let fleet = Fleet::new().with(Box::new(ours), Duration::ZERO, 1.0);
    assert_eq!(format!("{alone:?}"), format!("{:?}", play(&scenario, fleet)));
}

#[test]
fn the_same_seed_gives_the_same_record() {
    let record = || format!("{:?}", play(&spike(3.0), fleet(4, 10)));
    assert_eq!(record(), record());
}

#[test]
fn shares_are_never_more_than_the_whole_while_instances_come_and_leak() {
    let leak = Change::Leak { holders: 6, again: Some(Duration::from_millis(300)) };
    let scenario = Scenario { changes: vec![(secs(1), leak)], ..spike(10.0) };
    let record = play(&scenario, fleet(6, 8));
    assert!(record.most_sessions <= 6 * 8, "{}", record.most_sessions);
    assert!(record.goodput(secs(4), secs(5)) > 0.0);
}

#[test]
fn where_the_server_has_no_room_for_all_each_learns_it_and_goes_on() {
    let machine = Machine { max_sessions: 20, ..Machine::default() };
    let record = play(&Scenario { machine, ..spike(3.0) }, fleet(4, 60));
    assert!(record.most_sessions <= 20, "{}", record.most_sessions);
    let after = record.all("after");
    assert!(after.good * 10 > after.requests * 9, "{} of {}", after.good, after.requests);
}
