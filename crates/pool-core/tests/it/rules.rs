use std::sync::mpsc::{self, Sender};
use std::time::Duration;

use forebay_pool_core::{
    Acquired, Class, Event, Knee, Mode, Refusal, Resize, Return, Rules, ShedReason, Sizer, Staffing,
};

use crate::world::World;

fn rules() -> Rules {
    Rules { min_idle: 0, initial_limit: 10, ceiling: 20, ..Rules::default() }
}

fn is_shed(answer: &Acquired) -> bool {
    matches!(answer, Acquired::Refused(Refusal::Shed { .. }))
}

/// Fills every place of a limit that stays where it is with leases that run statements.
fn full() -> World {
    let mut world = World::with_open(rules(), 12);
    world.ledger.resize(world.now, Resize { limit: Some(10), ..Resize::default() }).expect("within bounds");
    for _ in 0..10 {
        assert!(matches!(world.ask(Class::Normal, 1_000), Acquired::Leased(_)));
    }
    world
}

#[test]
fn when_the_first_normal_request_is_shed_critical_work_still_gets_a_connection_at_once() {
    let mut world = full();
    let mut waited = 0;
    while !is_shed(&world.ask(Class::Normal, 1_000)) {
        waited += 1;
        assert!(waited < 1_000, "the queue has no bound");
    }
    assert!(matches!(world.ask(Class::Critical, 1_000), Acquired::Leased(_)), "the reserve is free");
}

#[test]
fn work_that_has_begun_is_never_shed() {
    let mut world = full();
    while !is_shed(&world.ask(Class::Normal, 1_000)) {}
    for _ in 0..50 {
        assert!(!is_shed(&world.acquire(Class::Normal, true, 1_000)));
    }
}

#[test]
fn a_waiter_that_was_let_in_is_shed_when_the_database_stands_still() {
    let mut world = full();
    let Acquired::Waiting(id) = world.ask(Class::Normal, 5_000) else { panic!("there is room in the queue") };
    world.advance(Duration::from_millis(99));
    assert!(!world.refused.contains_key(&id));
    world.advance(Duration::from_millis(2));
    let refusal = world.refused[&id];
    assert!(matches!(refusal, Refusal::Shed { reason: ShedReason::Sojourn, .. }), "{refusal:?}");
}

#[test]
fn a_waiter_whose_deadline_passes_is_told_how_long_it_waited() {
    let mut world = full();
    let Acquired::Waiting(id) = world.ask(Class::Normal, 20) else { panic!("there is room in the queue") };
    world.advance(Duration::from_millis(30));
    let Refusal::Timeout { waited, continuation } = world.refused[&id] else { panic!("its deadline passed") };
    assert_eq!((waited, continuation), (Duration::from_millis(20), false));
}

#[test]
fn a_request_that_cannot_finish_in_time_is_shed_at_the_door() {
    let mut world = full();
    let answer = world.ask(Class::Normal, 1);
    assert!(matches!(answer, Acquired::Refused(Refusal::Shed { reason: ShedReason::Deadline, .. })), "{answer:?}");
}

#[test]
fn a_request_whose_deadline_has_passed_is_given_no_idle_connection() {
    let mut world = World::with_open(rules(), 2);
    let answer = world.ask(Class::Critical, 0);
    let Acquired::Refused(Refusal::Shed { reason, retry_after, .. }) = answer else { panic!("{answer:?}") };
    assert_eq!(reason, ShedReason::Deadline);
    assert!(retry_after < Duration::from_secs(1), "it says nothing of how full it is: {retry_after:?}");
    let answer = world.acquire(Class::Normal, true, 0);
    assert!(matches!(answer, Acquired::Refused(Refusal::Timeout { continuation: true, .. })), "{answer:?}");
    world.ledger.set_rules(world.now, Rules { mode: Mode::Off, ..rules() }).expect("they hold");
    let answer = world.ask(Class::Normal, 0);
    assert!(matches!(answer, Acquired::Refused(Refusal::Timeout { continuation: false, .. })), "{answer:?}");
}

#[test]
fn a_cancelled_waiter_gives_its_place_to_the_next() {
    let mut world = full();
    let Acquired::Waiting(first) = world.ask(Class::Normal, 1_000) else { panic!() };
    let Acquired::Waiting(second) = world.ask(Class::Normal, 1_000) else { panic!() };
    world.cancel(first);
    world.release(world.leased[0].slot, Return::Clean);
    assert!(!world.waiting.iter().any(|queued| queued.id == second), "the second was served");
}

#[test]
fn a_lease_that_runs_nothing_gives_its_place_away_and_then_loses_its_connection() {
    let mut world = full();
    world.hold_idle(0);
    let held = world.leased[0].slot;
    world.advance(Duration::from_millis(1_150));
    assert!(matches!(world.events.last(), Some(Event::Suspected { slot, .. }) if *slot == held), "{:?}", world.events);
    world.ask(Class::Normal, 1_000);
    world.check_one(true);
    assert_eq!(world.leased.len(), 11, "its place is free");
    world.advance(Duration::from_millis(3_990));
    assert!(world.leased.iter().all(|lent| lent.slot != held), "taken back");
    assert_eq!(world.cleaning, [held]);
}

#[test]
fn a_holder_that_runs_statements_is_never_a_suspect() {
    let mut world = full();
    world.advance(Duration::from_secs(60));
    assert_eq!(world.suspects(), 0);
    assert_eq!(world.leased.len(), 10);
}

#[test]
fn leaked_leases_never_shrink_the_pool_into_an_outage() {
    let mut world = World::with_open(rules(), 12);
    // Three in four leases leak; a controller that counted them as use would shrink below the number leaked.
    for _ in 0..40 {
        for _ in 0..4 {
            if let Acquired::Leased(_) = world.ask(Class::Normal, 1_000) {
                let last = world.leased.len() - 1;
                world.hold_idle(last);
            }
        }
        if let Some(lent) = world.leased.last().copied() {
            world.release(lent.slot, Return::Clean);
        }
        world.advance(Duration::from_secs(1));
        world.open_all();
        while !world.cleaning.is_empty() {
            world.clean_one(true);
        }
    }
    assert!(world.ledger.snapshot(world.now).limit >= 10, "{:?}", world.ledger.snapshot(world.now));
    assert!(!is_shed(&world.ask(Class::Normal, 1_000)));
}

#[test]
fn more_traffic_makes_the_limit_grow_before_anybody_is_refused_and_calm_makes_it_shrink() {
    grows_and_shrinks(Box::<Staffing>::default());
    grows_and_shrinks(Box::<Knee>::default());
}

fn grows_and_shrinks(sizer: Box<dyn Sizer>) {
    let mut world = World::open_with(Rules { ceiling: 60, ..rules() }, 12, sizer);
    let (mut asked, mut hold) = (0, std::collections::VecDeque::new());
    // 400 requests a second that hold for 50 ms each: 20 Erlang, where the limit begins at 10.
    for tick in 0..400 {
        let answer = world.ask(Class::Normal, 1_000);
        asked += 1;
        assert!(!is_shed(&answer), "refused at request {asked}: {:?}", world.ledger.snapshot(world.now));
        hold.push_back(tick + 20);
        world.open_one(true, 0.0);
        world.advance(Duration::from_micros(2_500));
        while hold.front().is_some_and(|end| *end <= tick) && !world.leased.is_empty() {
            hold.pop_front();
            world.release(world.leased[0].slot, Return::Clean);
        }
    }
    let grown = world.ledger.snapshot(world.now).limit;
    assert!((20..=40).contains(&grown), "{grown}");
    while let Some(lent) = world.leased.first().copied() {
        world.release(lent.slot, Return::Clean);
    }
    world.advance(Duration::from_secs(60));
    assert_eq!(world.ledger.snapshot(world.now).limit, 10);
}

#[test]
fn the_limit_stays_where_a_person_puts_it() {
    let mut world = full();
    world.ledger.resize(world.now, Resize { limit: Some(4), ..Resize::default() }).expect("within bounds");
    world.advance(Duration::from_secs(5));
    assert_eq!(world.ledger.snapshot(world.now).limit, 4);
    assert_eq!(world.leased.len(), 10, "no lease is ended by it");
}

#[test]
fn lowering_the_ceiling_closes_idle_connections_at_once_and_leases_as_they_come_back() {
    let mut world = full();
    world.ledger.resize(world.now, Resize { ceiling: Some(11), ..Resize::default() }).expect("within bounds");
    world.act();
    assert_eq!(world.closing.len(), 1);
    world.ledger.resize(world.now, Resize { ceiling: Some(6), ..Resize::default() }).expect("within bounds");
    world.act();
    while !world.closing.is_empty() {
        world.close_one();
    }
    while world.open() > 6 {
        world.release(world.leased[0].slot, Return::Clean);
        while !world.closing.is_empty() {
            world.close_one();
        }
    }
    assert_eq!(world.open(), 6);
}

#[test]
fn bounds_that_cannot_hold_are_refused_with_every_fault_and_change_nothing() {
    let mut world = full();
    let faults =
        world.ledger.resize(world.now, Resize { ceiling: Some(1), min_idle: Some(9), limit: Some(3) }).unwrap_err();
    assert_eq!(faults.len(), 2, "{faults:?}");
    assert_eq!(world.ledger.snapshot(world.now).limit, 10);
}

#[test]
fn idle_connections_go_from_the_cold_end_and_checks_do_not_keep_them() {
    let mut world = World::with_open(Rules { min_idle: 1, ..rules() }, 6);
    for _ in 0..100 {
        // One connection in use now and then, checked each time since it rested for more than a second.
        world.ask(Class::Normal, 1_000);
        world.check_one(true);
        if let Some(lent) = world.leased.first().copied() {
            world.release(lent.slot, Return::Clean);
        }
        world.advance(Duration::from_secs(2));
        while !world.closing.is_empty() {
            world.close_one();
        }
    }
    assert_eq!(world.open(), 1, "only the warm one is left");
}

#[test]
fn while_nothing_can_be_opened_callers_are_told_at_once_and_the_pool_keeps_trying() {
    let mut world = World::new(Rules { min_idle: 0, ..rules() });
    let Acquired::Waiting(id) = world.ask(Class::Normal, 60_000) else { panic!("nothing is known yet") };
    for _ in 0..6 {
        world.open_one(false, 1.0);
        world.advance(Duration::from_millis(500));
    }
    assert!(matches!(world.refused[&id], Refusal::Unavailable { .. }));
    let answer = world.ask(Class::Normal, 60_000);
    assert!(matches!(answer, Acquired::Refused(Refusal::Unavailable { .. })), "{answer:?}");
    assert_eq!(world.openings.len(), 1, "one attempt is under way, with nobody waiting");
    world.open_one(true, 0.0);
    assert!(matches!(world.ask(Class::Normal, 1_000), Acquired::Leased(_)));
}

#[test]
fn a_server_without_room_lowers_the_ceiling_to_what_exists() {
    let mut world = World::with_open(rules(), 3);
    for _ in 0..4 {
        world.ask(Class::Normal, 60_000);
    }
    let opening = world.openings.pop().expect("one is missing");
    world.ledger.open_failed(world.now, opening, forebay_pool_core::OpenFailure::NoRoom, 0.0);
    world.act();
    assert_eq!(world.ledger.snapshot(world.now).ceiling, 3);
    world.advance(Duration::from_secs(61));
    assert_eq!(world.ledger.snapshot(world.now).ceiling, 4, "one more is tried later");
    for risen in 5..8 {
        world.acquire(Class::Normal, true, 60_000);
        world.advance(Duration::from_millis(200));
        assert_eq!(world.openings.len(), 1, "{:?}", world.snapshot());
        world.open_one(true, 0.0);
        assert_eq!(world.ledger.snapshot(world.now).ceiling, risen, "it rises with each that could be opened");
    }
}

#[test]
fn while_every_place_is_taken_the_reserves_connections_are_open() {
    let mut world = World::with_open(rules(), 10);
    world.ledger.resize(world.now, Resize { limit: Some(10), ..Resize::default() }).expect("within bounds");
    for _ in 0..10 {
        assert!(matches!(world.ask(Class::Normal, 1_000), Acquired::Leased(_)));
    }
    world.open_all();
    assert_eq!(world.idle.len(), 1, "one for critical work");
    assert!(matches!(world.ask(Class::Critical, 1_000), Acquired::Leased(_)));
}

#[test]
fn a_full_queue_gives_way_to_more_important_work_and_begun_work_is_not_shed() {
    let mut world = World::with_open(Rules { queue_capacity: 3, mode: Mode::Off, ..rules() }, 11);
    world.ledger.resize(world.now, Resize { limit: Some(10), ..Resize::default() }).expect("within bounds");
    for _ in 0..10 {
        world.ask(Class::Normal, 10_000);
    }
    world.acquire(Class::Normal, true, 10_000);
    let normal: Vec<_> = (0..3).map(|_| world.ask(Class::Normal, 10_000)).collect();
    assert!(is_shed(&world.ask(Class::Normal, 10_000)), "the queue is full");
    let critical = forebay_pool_core::Ask::new(Class::Critical, world.now + Duration::from_secs(10));
    assert_eq!(world.ledger.admit(world.now, critical), Ok(()), "the door lets it in");
    world.act();
    assert!(world.refused.is_empty(), "and nobody gives way to a question");
    assert!(matches!(world.ask(Class::Critical, 10_000), Acquired::Waiting(_)), "the youngest normal one gave way");
    let Acquired::Waiting(youngest) = normal[2] else { panic!("it waited") };
    assert!(matches!(world.refused[&youngest], Refusal::Shed { reason: ShedReason::QueueFull, .. }));
    for _ in 0..3 {
        assert!(matches!(world.acquire(Class::Normal, true, 10_000), Acquired::Waiting(_)));
    }
    let answer = world.acquire(Class::Normal, true, 10_000);
    assert!(matches!(answer, Acquired::Refused(Refusal::Timeout { continuation: true, .. })), "{answer:?}");
}

#[test]
fn a_server_without_room_does_not_make_the_pool_close_what_it_has() {
    let mut world = World::with_open(rules(), 8);
    for _ in 0..10 {
        world.ask(Class::Normal, 60_000);
    }
    assert_eq!(world.openings.len(), 2);
    let refused = world.openings.pop().expect("two are under way");
    world.ledger.open_failed(world.now, refused, forebay_pool_core::OpenFailure::NoRoom, 0.0);
    world.act();
    for _ in 0..4 {
        world.release(world.leased[0].slot, Return::Clean);
    }
    assert!(world.closing.is_empty(), "eight live connections fit into what the server has room for");
    world.open_one(true, 0.0);
    assert!(world.closing.is_empty(), "the one that arrives proves that there is room for it");
}

#[test]
fn an_old_failure_does_not_make_the_pool_unavailable_before_a_new_one() {
    let mut world = World::with_open(Rules { min_idle: 0, ..rules() }, 1);
    world.ask(Class::Normal, 1_000);
    world.ask(Class::Normal, 1_000);
    world.open_one(false, 1.0);
    world.release(world.leased[0].slot, Return::Clean);
    world.advance(Duration::from_secs(30));
    world.change(forebay_pool_core::Ledger::flush_idle);
    world.close_all();
    let answer = world.ask(Class::Normal, 1_000);
    assert!(!matches!(answer, Acquired::Refused(_)), "{answer:?}");
}

#[test]
fn a_try_that_finds_nothing_leaves_no_trace() {
    let mut world = full();
    let before = world.ledger.snapshot(world.now);
    let ask = forebay_pool_core::Ask::new(Class::Normal, world.now + Duration::from_secs(1));
    assert_eq!(world.ledger.try_acquire(world.now, ask), None);
    assert_eq!(world.ledger.snapshot(world.now), before);
}

#[test]
fn durations_that_no_clock_can_add_are_faults() {
    let endless = Rules { suspect_after: Duration::MAX, idle_timeout: Duration::MAX, ..rules() };
    assert_eq!(endless.faults().len(), 3, "{:?}", endless.faults());
}

#[test]
fn a_limit_and_its_reserve_fit_into_any_ceiling_without_flapping() {
    for ceiling in 2..200 {
        let mut world = World::new(Rules { initial_limit: 1, ceiling, mode: Mode::Off, ..rules() });
        for _ in 0..400 {
            world.ask(Class::Normal, 100_000);
        }
        for _ in 0..60 {
            world.advance(Duration::from_millis(20));
        }
        let snapshot = world.ledger.snapshot(world.now);
        assert!(snapshot.limit + snapshot.reserve <= ceiling, "{snapshot:?}");
        assert!(snapshot.limit + snapshot.reserve + 1 >= ceiling, "{snapshot:?}");
        assert_eq!(snapshot.totals.limit_lowered, 0, "{snapshot:?}");
    }
}

/// Wants ever fewer: what a controller does that takes the calm of leaked leases for idleness.
#[derive(Debug)]
struct Shrinking;

impl Sizer for Shrinking {
    fn tick(&mut self, _now: std::time::Instant, sample: &forebay_pool_core::Sample) -> forebay_pool_core::Target {
        forebay_pool_core::Target { limit: sample.limit.saturating_sub(1).max(2), reason: "shrinking" }
    }
}

#[test]
fn a_limit_below_the_number_of_leaked_leases_still_serves() {
    let rules = Rules { initial_limit: 2, revoke_after: None, ..rules() };
    let mut world = World::with_sizer(rules, Box::new(Shrinking));
    // Four leases leak, where two may be out at once.
    for leaked in 0..4 {
        world.ask(Class::Normal, 1_000);
        world.open_all();
        world.check_one(true);
        world.hold_idle(leaked);
        world.advance(Duration::from_millis(1_200));
    }
    let snapshot = world.ledger.snapshot(world.now);
    assert_eq!((snapshot.suspects, snapshot.limit), (4, 2));
    // One that counts them as use has no place left, for ever: that was its outage.
    assert!(snapshot.leased + snapshot.suspects >= snapshot.limit + snapshot.reserve);
    // Here they are outside of the limit and inside the ceiling.
    for _ in 0..100 {
        world.ask(Class::Normal, 1_000);
        world.open_all();
        world.check_one(true);
        let served = world.leased.last().copied().expect("served");
        assert!(!served.suspect);
        world.release(served.slot, Return::Clean);
    }
}

/// Tells of leases that go on and on.
#[derive(Debug)]
struct Counting(Sender<u32>);

impl Sizer for Counting {
    fn tick(&mut self, _now: std::time::Instant, sample: &forebay_pool_core::Sample) -> forebay_pool_core::Target {
        self.0.send(sample.going_on).expect("the test listens");
        forebay_pool_core::Target { limit: sample.limit, reason: "counting" }
    }
}

#[test]
fn leases_that_are_out_for_over_a_second_and_ten_times_as_long_as_others_go_on_and_on() {
    let (teller, told) = mpsc::channel();
    let mut world = World::with_sizer(Rules { min_idle: 6, ..rules() }, Box::new(Counting(teller)));
    world.open_all();
    for _ in 0..5 {
        world.ask(Class::Normal, 1_000);
    }
    let last = |world: &mut World, millis| {
        world.advance(Duration::from_millis(millis));
        told.try_iter().last()
    };
    assert_eq!(last(&mut world, 900), Some(0));
    assert_eq!(last(&mut world, 300), Some(5));
    // One comes back: on average they are held for 1.2 s, and 12 s are long.
    world.release(world.leased[0].slot, Return::Clean);
    assert_eq!(last(&mut world, 5_000), Some(0));
    world.release(world.leased[0].slot, Return::Clean);
    assert_eq!(last(&mut world, 60_000), Some(3));
    world.hold_idle(0);
    assert_eq!(last(&mut world, 3_000), Some(2), "a suspect has no place");
}

/// Tells what it is told of leases that came back: finished and cut off.
#[derive(Debug)]
struct Telling(Sender<(u32, u32)>);

impl Sizer for Telling {
    fn tick(&mut self, _now: std::time::Instant, sample: &forebay_pool_core::Sample) -> forebay_pool_core::Target {
        self.0.send((sample.completed, sample.interrupted)).expect("the test listens");
        forebay_pool_core::Target { limit: sample.limit, reason: "telling" }
    }
}

#[test]
fn only_what_was_finished_is_told_to_the_sizer_as_work_done() {
    let cases = [
        (Return::Clean, (1, 0)),
        (Return::Dirty, (1, 0)),
        (Return::Interrupted, (0, 1)),
        (Return::TimedOut, (0, 1)),
        (Return::Broken, (0, 0)),
        (Return::Unused, (0, 0)),
    ];
    for (state, expected) in cases {
        let (teller, told) = mpsc::channel();
        let mut world = World::with_sizer(Rules { min_idle: 2, ..rules() }, Box::new(Telling(teller)));
        world.open_all();
        world.ask(Class::Normal, 1_000);
        world.release(world.leased[0].slot, state);
        world.advance(Duration::from_millis(40));
        let sum = told.try_iter().fold((0, 0), |sum, told| (sum.0 + told.0, sum.1 + told.1));
        assert_eq!(sum, expected, "{state:?}");
    }
}

#[test]
fn every_rule_moves_at_run_time_and_all_faults_are_told_at_once() {
    let mut world = full();
    let strict = Rules { suspect_after: Duration::from_millis(200), queue_capacity: 1, ..world.ledger.rules() };
    world.change(|ledger, now| ledger.set_rules(now, strict).expect("they hold"));
    world.hold_idle(0);
    world.advance(Duration::from_millis(350));
    assert_eq!(world.suspects(), 1, "also for leases that were out before");
    let wrong = Rules {
        ceiling: 1,
        queue_capacity: 0,
        openings_at_once: 0,
        lifetime: Some(Duration::ZERO),
        check_timeout: Duration::ZERO,
        ..world.ledger.rules()
    };
    let before = world.ledger.rules();
    let faults = world.ledger.set_rules(world.now, wrong).unwrap_err();
    assert_eq!(faults.len(), 6, "{faults:?}");
    assert_eq!(world.ledger.rules(), before);
}

#[test]
fn a_pool_whose_connections_were_slow_to_open_opens_more_all_the_same_when_it_refuses_for_want_of_them() {
    let mut world = World::new(Rules { min_idle: 2, ..rules() });
    world.advance(Duration::from_millis(900));
    world.open_all();
    for flood in 0..10 {
        let refused = (0..30).filter(|_| is_shed(&world.ask(Class::Normal, 1_000))).count();
        assert!(refused > 0, "or it shows nothing");
        assert!(!world.openings.is_empty() || world.snapshot().open() >= 10, "{flood}: {:?}", world.snapshot());
        world.advance(Duration::from_millis(300));
        world.open_all();
        while let Some(lent) = world.leased.first().copied() {
            world.release(lent.slot, Return::Clean);
        }
    }
    assert!(world.snapshot().open() >= 10, "{:?}", world.snapshot());
}
