//! A free place is no queue: who has one waits for a connection only.

use std::time::Duration;

use forebay_pool_core::{Acquired, Class, Mode, OpenFailure, Refusal, Resize, Return, Rules, ShedReason};

use crate::cases::Draw;
use crate::world::{Attempt, World};

/// Longer than any of these tests.
const EVER: u64 = 100_000_000_000;
const OPENING: Duration = Duration::from_millis(8);

fn rules(limit: u32) -> Rules {
    Rules { initial_limit: limit, ceiling: (limit + limit.div_ceil(10)).max(2), lifetime: None, ..Rules::default() }
}

/// With so many open, each lent once, so that it is known for how long leases are held.
fn warm(rules: Rules, open: u32, hold: Duration) -> World {
    let mut world = World::with_open(Rules { min_idle: rules.min_idle.min(open), ..rules }, open);
    for _ in 0..open {
        lend_once(&mut world, hold);
    }
    world
}

fn lend_once(world: &mut World, hold: Duration) {
    world.ask(Class::Normal, EVER);
    world.check_one(true);
    world.advance(hold);
    let lent = *world.leased.last().expect("a connection was idle");
    world.release(lent.slot, Return::Clean);
}

/// So many come and hold what they get; all that is missing is opened.
fn all_are_served(world: &mut World, callers: u32, apart: Duration, opening: Duration) {
    for nth in 0..callers {
        let answer = world.ask(Class::Normal, EVER);
        assert!(!matches!(answer, Acquired::Refused(_)), "{nth} of {callers}: {answer:?}, {:?}", world.snapshot());
        world.advance(apart);
    }
    while !world.checking.is_empty() {
        world.check_one(true);
    }
    while !world.openings.is_empty() && !world.waiting.is_empty() {
        world.open_those_under_way(opening);
    }
    assert_eq!(world.refused.len(), 0, "{:?}", world.refused);
    assert_eq!((world.leased.len(), world.waiting.len()), (callers as usize, 0), "{:?}", world.snapshot());
}

#[test]
fn nine_callers_of_an_idle_pool_of_ten_are_served_however_long_leases_are_held() {
    for hold in [10, 100, 200, 500, 60_000].map(Duration::from_millis) {
        for apart in [0, 3].map(Duration::from_millis) {
            let mut world = warm(rules(10), 2, hold);
            world.open_those_under_way(OPENING);
            all_are_served(&mut world, 9, apart, OPENING);
        }
    }
}

#[test]
fn callers_who_come_one_by_one_and_hold_for_long_are_served_until_all_places_are_taken() {
    let hold = Duration::from_millis(1_500);
    let mut world = warm(rules(10), 2, hold);
    world.ledger.resize(world.now, Resize { limit: Some(10), ..Resize::default() }).expect("within bounds");
    lend_once(&mut world, hold);
    for nth in 0..10 {
        let answer = world.ask(Class::Normal, EVER);
        assert!(!matches!(answer, Acquired::Refused(_)), "{nth}: {answer:?}");
        world.check_one(true);
        world.open_those_under_way(Duration::from_millis(100));
    }
    assert_eq!(world.leased.len(), 10);
    let answer = world.ask(Class::Normal, EVER);
    assert!(matches!(answer, Acquired::Refused(Refusal::Shed { .. })), "the eleventh is one too many: {answer:?}");
}

#[test]
fn connections_that_are_to_be_checked_serve_as_many_as_they_are() {
    let hold = Duration::from_secs(3);
    let mut world = warm(rules(10), 8, hold);
    world.advance(Duration::from_millis(1_100));
    for nth in 0..8 {
        // They have ten seconds, of which they wait one at most.
        let answer = world.acquire_within(Class::Normal, false, 1_000, 10_000);
        assert!(!matches!(answer, Acquired::Refused(_)), "{nth}: {answer:?}");
    }
    while !world.checking.is_empty() {
        world.check_one(true);
    }
    assert_eq!(world.leased.len(), 8);
}

#[test]
fn whoever_may_wait_a_second_and_has_ten_is_not_refused_because_it_could_not_be_done_in_one() {
    let mut world = World::with_open(Rules { mode: Mode::Enforce, ..rules(10) }, 11);
    world.ledger.resize(world.now, Resize { limit: Some(10), ..Resize::default() }).expect("within bounds");
    for _ in 0..32 {
        lend_once(&mut world, Duration::from_millis(480));
    }
    for _ in 0..10 {
        world.ask(Class::Normal, EVER);
    }
    while world.leased.len() < 10 {
        world.check_one(true);
    }
    // One comes back in each 48 ms.
    for (wait, within, served) in [(500, 10_000, true), (500, 500, false), (10_000, 10_000, true)] {
        let answer = world.acquire_within(Class::Normal, false, wait, within);
        let waits = matches!(answer, Acquired::Waiting(_));
        assert_eq!(waits, served, "{wait} of {within}: {answer:?}");
        world.waiting.first().copied().into_iter().for_each(|queued| world.cancel(queued.id));
    }
}

#[test]
fn whoever_may_wait_for_less_than_its_class_is_told_so_by_a_time_out() {
    let mut world = World::with_open(rules(2), 3);
    world.ledger.resize(world.now, Resize { limit: Some(2), ..Resize::default() }).expect("within bounds");
    for _ in 0..2 {
        world.ask(Class::Normal, EVER);
    }
    let Acquired::Waiting(id) = world.acquire_within(Class::Normal, false, 20, 10_000) else { panic!("it waits") };
    world.advance(Duration::from_millis(21));
    let Refusal::Timeout { waited, .. } = world.refused[&id] else { panic!("{:?}", world.refused) };
    assert_eq!(waited, Duration::from_millis(20));
}

#[test]
fn who_has_a_place_waits_for_an_opening_that_takes_longer_than_its_class_may_wait_in_line() {
    for class in [Class::Critical, Class::Normal, Class::Low] {
        let mut world = warm(rules(10), 1, Duration::from_millis(10));
        assert!(matches!(world.ask(Class::Normal, EVER), Acquired::Leased(_)));
        let Acquired::Waiting(id) = world.acquire_within(class, false, 1_000, 10_000) else { panic!("{class:?}") };
        world.open_those_under_way(Duration::from_millis(900));
        assert!(!world.refused.contains_key(&id), "{class:?}: {:?}", world.refused);
        assert_eq!(world.leased.len(), 2);
    }
}

#[test]
fn whoever_waits_for_a_place_and_then_has_one_is_not_shed_while_its_connection_is_opened() {
    let mut world = World::with_open(rules(10), 10);
    world.ledger.resize(world.now, Resize { limit: Some(10), ..Resize::default() }).expect("within bounds");
    for _ in 0..10 {
        world.ask(Class::Normal, EVER);
    }
    world.open_all();
    assert!(matches!(world.ask(Class::Critical, EVER), Acquired::Leased(_)), "it takes the reserve's");
    let Acquired::Waiting(id) = world.acquire_within(Class::Normal, false, 5_000, 10_000) else { panic!("it waits") };
    world.advance(Duration::from_millis(90));
    world.change(|ledger, now| {
        ledger.resize(now, Resize { ceiling: Some(20), limit: Some(12), ..Resize::default() }).expect("within bounds");
    });
    assert!(!world.openings.is_empty());
    world.open_those_under_way(Duration::from_millis(200));
    assert!(!world.refused.contains_key(&id), "{:?}", world.refused);
    assert_eq!(world.waiting.len(), 0);
}

#[test]
fn who_has_a_place_is_refused_when_its_connection_would_come_after_its_deadline() {
    let mut world = World::new(rules(10));
    world.open_those_under_way(Duration::from_millis(100));
    for _ in 0..2 {
        world.ask(Class::Normal, EVER);
    }
    let is_late =
        |answer: Acquired| matches!(answer, Acquired::Refused(Refusal::Shed { reason: ShedReason::Deadline, .. }));
    assert!(is_late(world.ask(Class::Normal, 20)), "it takes 100 ms");
    // One is opened for it all the same.
    assert_eq!(world.openings.len(), 1);
    world.advance(Duration::from_millis(60));
    assert!(is_late(world.ask(Class::Normal, 20)), "40 ms are left");
    world.advance(Duration::from_millis(30));
    assert!(matches!(world.ask(Class::Normal, 20), Acquired::Waiting(_)), "10 ms are left");
    assert!(is_late(world.ask(Class::Normal, 20)), "that one is not for it");
}

#[test]
fn one_opening_that_failed_does_not_make_a_free_place_a_queue_and_many_do() {
    let mut world = warm(rules(10), 2, Duration::from_secs(60));
    for _ in 0..3 {
        world.ask(Class::Normal, EVER);
    }
    for failures in 1..=5 {
        world.attempt(Attempt::Fail(OpenFailure::Other), 1.0);
        let answer = world.ask(Class::Normal, EVER);
        let refused = matches!(answer, Acquired::Refused(_));
        assert_eq!(refused, failures == 5, "after {failures}: {answer:?}");
        world.advance(Duration::from_secs(5));
    }
}

/// One moment in the life of a pool: how long leases were held until then, how many connections there are, how long nobody came,
/// and who comes now.
#[derive(Debug)]
struct Moment {
    rules: Rules,
    hold: Duration,
    open: u32,
    lent: u32,
    pause: Duration,
    opening: Duration,
    callers: u32,
    apart: Duration,
}

impl Moment {
    fn drawn(draw: &mut Draw) -> Self {
        let limit = draw.small(1, 201);
        let millis = |draw: &mut Draw, doublings: u32| Duration::from_millis(1 << draw.small(0, doublings));
        Self {
            rules: Rules { openings_at_once: draw.small(1, 5), ..rules(limit) },
            // Up to an hour and ten minutes.
            hold: [millis(draw, 13), millis(draw, 13), millis(draw, 23)][draw.pick() % 3],
            open: draw.small(1, limit + 1),
            lent: draw.small(0, 40),
            pause: [Duration::ZERO, millis(draw, 23), millis(draw, 11)][draw.pick() % 3],
            opening: millis(draw, 12),
            callers: draw.small(1, limit + 1),
            apart: [Duration::ZERO, millis(draw, 8)][draw.pick() % 2],
        }
    }

    fn play(&self) {
        let mut world = World::with_open(self.rules.clone(), self.open);
        // What takes hours need not be repeated.
        let lent = if self.hold < Duration::from_mins(1) { self.lent } else { 1 };
        for _ in 0..lent {
            lend_once(&mut world, self.hold);
        }
        world.advance(self.pause);
        world.close_all();
        let callers = self.callers.min(world.snapshot().limit);
        all_are_served(&mut world, callers, self.apart, self.opening);
    }
}

#[test]
fn nobody_is_refused_while_a_place_is_free_whatever_was_before() {
    for number in 0..300 {
        let moment = Moment::drawn(&mut Draw(number));
        let played = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| moment.play()));
        assert!(played.is_ok(), "number {number}: {moment:?}");
    }
}
