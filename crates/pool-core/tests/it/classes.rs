//! Who goes first, how long each class waits, and what background work may have.

use std::collections::BTreeMap;
use std::time::Duration;

use forebay_pool_core::{Acquired, Class, Mode, Refusal, Resize, Return, Rules, Sample, ShedReason, Sizer, Target};

use crate::world::World;

/// So many connections, as a limit that stays where it is.
fn world(limit: u32, mode: Mode) -> World {
    let rules = Rules { min_idle: 0, initial_limit: limit, ceiling: limit * 2, mode, ..Rules::default() };
    let mut world = World::with_open(rules, limit + limit.div_ceil(10));
    world.ledger.resize(world.now, Resize { limit: Some(limit), ..Resize::default() }).expect("within bounds");
    world
}

fn fill(world: &mut World) {
    while world.in_use() < world.snapshot().limit as usize {
        assert!(matches!(world.ask(Class::High, 60_000), Acquired::Leased(_)));
    }
}

#[test]
fn background_work_has_a_fifth_of_the_limit_and_others_have_the_rest() {
    let mut world = world(10, Mode::Off);
    for _ in 0..5 {
        world.ask(Class::Background, 60_000);
    }
    assert_eq!((world.in_use(), world.waiting.len()), (2, 3), "two of ten");
    for _ in 0..8 {
        assert!(matches!(world.ask(Class::Low, 60_000), Acquired::Leased(_)), "others are not held back by it");
    }
    let first = world.leased[0].slot;
    world.release(first, Return::Clean);
    assert_eq!((world.in_use(), world.waiting.len()), (10, 2), "one goes, the next one comes");
}

#[test]
fn background_work_that_waits_for_its_share_asks_for_no_more_connections() {
    let mut world = world(10, Mode::Off);
    let open = world.open();
    for _ in 0..50 {
        world.ask(Class::Background, 60_000);
    }
    assert_eq!((world.open(), world.openings.len()), (open, 0));
    world.advance(Duration::from_secs(1));
    assert_eq!(world.snapshot().recommended_limit, 10, "nor for a higher limit");
}

#[test]
fn nobody_starves_and_the_more_important_go_first() {
    let mut world = world(1, Mode::Off);
    fill(&mut world);
    for _ in 0..200 {
        for class in Class::ALL.iter().filter(|class| **class != Class::Critical) {
            world.ask(*class, 600_000);
        }
    }
    // Critical work may use the reserve: two at once.
    let mut granted: BTreeMap<&str, u32> = BTreeMap::new();
    for _ in 0..100 {
        let before: Vec<_> = world.waiting.clone();
        let slot = world.leased[0].slot;
        world.release(slot, Return::Clean);
        for gone in before.iter().filter(|queued| !world.waiting.iter().any(|left| left.id == queued.id)) {
            *granted.entry(gone.class.name()).or_default() += 1;
        }
    }
    assert_eq!(granted["background"], 5, "one in twenty: {granted:?}");
    assert!(granted["high"] >= 90, "{granted:?}");
    assert!(granted["normal"] + granted["low"] >= 3, "those between get a turn: {granted:?}");
}

#[test]
fn the_lower_of_two_classes_has_one_turn_in_twenty_and_not_that_of_those_between() {
    let mut world = world(10, Mode::Off);
    fill(&mut world);
    for _ in 0..200 {
        world.ask(Class::Normal, 600_000);
        world.ask(Class::High, 600_000);
    }
    for _ in 0..100 {
        let slot = world.leased[0].slot;
        world.release(slot, Return::Clean);
    }
    let left = |class| world.waiting.iter().filter(|queued| queued.class == class).count();
    assert_eq!((left(Class::High), left(Class::Normal)), (200 - 95, 200 - 5));
}

#[test]
fn each_class_waits_as_long_as_its_importance_allows() {
    let mut waited = Vec::new();
    for class in [Class::High, Class::Normal, Class::Low] {
        let mut world = world(10, Mode::Enforce);
        fill(&mut world);
        let Acquired::Waiting(id) = world.ask(class, 60_000) else { panic!("there is room in the queue") };
        let mut elapsed = Duration::ZERO;
        while !world.refused.contains_key(&id) {
            world.advance(Duration::from_millis(1));
            elapsed += Duration::from_millis(1);
        }
        assert!(matches!(world.refused[&id], Refusal::Shed { reason: ShedReason::Sojourn, .. }));
        waited.push(elapsed.as_millis());
    }
    // Twice the budget of 100, 50 and 25 ms.
    assert_eq!(waited, [200, 100, 50]);
}

#[test]
fn a_burst_that_is_too_much_is_a_standing_queue_until_it_has_passed() {
    let mut world = world(10, Mode::Enforce);
    fill(&mut world);
    let line = |world: &mut World| {
        let before = world.waiting.len();
        let mut refused = 0;
        while refused < 10 {
            refused += u32::from(matches!(world.ask(Class::Normal, 60_000), Acquired::Refused(_)));
        }
        world.waiting.len() - before
    };
    // One comes back in each millisecond, held for ten.
    let serve_until = |world: &mut World, waiting: usize| {
        while world.waiting.len() > waiting {
            world.advance(Duration::from_millis(1));
            let slot = world.leased[0].slot;
            world.release(slot, Return::Clean);
        }
    };
    // Until that is known.
    for _ in 0..200 {
        world.advance(Duration::from_millis(1));
        let slot = world.leased[0].slot;
        world.release(slot, Return::Clean);
        fill(&mut world);
    }
    let burst = line(&mut world);
    assert!((45..=55).contains(&burst), "as many as are served within 50 ms: {burst}");
    serve_until(&mut world, burst / 2);
    assert_eq!(line(&mut world), 0, "half of them are still more than keep ten busy");
    serve_until(&mut world, 0);
    let few = line(&mut world);
    assert!((1..=6).contains(&few), "as many as keep ten busy: {few}");
    let calm = |world: &mut World, millis| {
        serve_until(world, 0);
        while let Some(lent) = world.leased.first() {
            world.release(lent.slot, Return::Clean);
        }
        world.advance(Duration::from_millis(millis));
        fill(world);
    };
    calm(&mut world, 40);
    let some = line(&mut world);
    assert!((15..=25).contains(&some), "as many as nobody waited for in the meantime: {some}");
    calm(&mut world, 100);
    let whole = line(&mut world);
    assert!(whole >= 45, "after a tenth of a second a whole burst again: {whole}");
}

#[test]
fn those_who_are_refused_at_a_shut_door_make_the_queue_a_standing_one_too() {
    let mut world = world(10, Mode::Enforce);
    fill(&mut world);
    for _ in 0..200 {
        world.advance(Duration::from_millis(1));
        let slot = world.leased[0].slot;
        world.release(slot, Return::Clean);
        fill(&mut world);
    }
    let reason = loop {
        world.ask(Class::Normal, 60_000);
        if let Some(reason) = world.ledger.shut(world.now, Class::Normal) {
            break reason;
        }
    };
    let queued = world.waiting.len();
    assert!(queued >= 45, "as many as a burst may bring: {queued}");
    world.change(|ledger, now| ledger.refused_outside(now, Class::Normal, reason, 10));
    while world.waiting.len() > queued / 2 {
        world.advance(Duration::from_millis(1));
        let slot = world.leased[0].slot;
        world.release(slot, Return::Clean);
    }
    assert!(matches!(world.ask(Class::Normal, 60_000), Acquired::Refused(_)), "half of them keep ten more than busy");
}

#[test]
fn who_is_refused_before_it_is_known_how_fast_leases_come_back_makes_no_queue_a_standing_one() {
    let mut world = world(10, Mode::Enforce);
    fill(&mut world);
    for _ in 0..1_000 {
        world.ask(Class::Normal, 60_000);
    }
    // They come back a hundred times as fast as was assumed.
    for _ in 0..40 {
        world.advance(Duration::from_micros(10));
        let slot = world.leased[0].slot;
        world.release(slot, Return::Clean);
    }
    for _ in 0..1_000 {
        assert!(matches!(world.ask(Class::Normal, 60_000), Acquired::Waiting(_)), "fifty milliseconds' worth are few");
    }
}

#[test]
fn those_who_are_refused_are_told_to_come_back_one_after_the_other() {
    let mut world = world(10, Mode::Enforce);
    fill(&mut world);
    let mut told = Vec::new();
    for _ in 0..2_000 {
        if let Acquired::Refused(Refusal::Shed { retry_after, .. }) = world.ask(Class::Normal, 60_000) {
            told.push(retry_after);
        }
    }
    assert!(told.len() > 1_000 && told.is_sorted());
    assert!(told[0] >= Duration::from_millis(200) && told[told.len() - 1] <= Duration::from_secs(30));
    // A hold of 10 ms is assumed at first: ten places serve 1,000 a second, and half of it is given away.
    let apart = told[1_000] - told[0];
    assert_eq!(apart, Duration::from_secs(2));
}

/// Leaves the limit where it is, which is a guess or is not.
#[derive(Debug)]
struct Still {
    guesses: bool,
}

impl Sizer for Still {
    fn tick(&mut self, _now: std::time::Instant, sample: &Sample) -> Target {
        Target { limit: sample.limit, reason: "still" }
    }

    fn guesses(&self) -> bool {
        self.guesses
    }
}

#[test]
fn below_a_limit_that_is_a_guess_a_standing_queue_may_bring_a_whole_burst() {
    // A guess that cannot be raised is as good as any other limit.
    for (guesses, ceiling, whole) in [(true, 20, true), (false, 20, false), (true, 11, false)] {
        let rules = Rules { min_idle: 0, initial_limit: 10, ceiling, ..Rules::default() };
        let mut world = World::open_with(rules, 11, Box::new(Still { guesses }));
        let serve_one = |world: &mut World| {
            world.advance(Duration::from_millis(1));
            let slot = world.leased[0].slot;
            world.release(slot, Return::Clean);
        };
        fill(&mut world);
        for _ in 0..200 {
            serve_one(&mut world);
            fill(&mut world);
        }
        let refused = (0..100).filter(|_| matches!(world.ask(Class::Normal, 60_000), Acquired::Refused(_))).count();
        assert!(refused >= 10, "more than a burst: {refused}");
        while world.waiting.len() > 20 {
            serve_one(&mut world);
        }
        let answer = world.ask(Class::Normal, 60_000);
        assert_eq!(matches!(answer, Acquired::Waiting(_)), whole, "{guesses}, {ceiling}: {answer:?}");
    }
}
