use std::time::Duration;

use forebay_pool_core::{Class, Mode, Resize, Return, Rules};
use proptest::prelude::*;

use crate::world::World;

#[derive(Clone, Debug)]
enum Step {
    Acquire { critical: bool, continuation: bool, within_ms: u64 },
    Release { pick: usize, state: Return },
    Cancel { pick: usize },
    Open { well: bool, chance: f64 },
    Check { well: bool },
    Clean { well: bool },
    Close,
    ToggleHoldIdle { pick: usize },
    RevocationsFail { fail: bool },
    Advance { ms: u64 },
    Resize { min_idle: Option<u32>, ceiling: Option<u32>, limit: Option<u32> },
    FlushIdle,
}

fn step() -> impl Strategy<Value = Step> {
    let state = prop_oneof![8 => Just(Return::Clean), 2 => Just(Return::Dirty), 1 => Just(Return::Broken)];
    prop_oneof![
        12 => (any::<bool>(), prop::bool::weighted(0.2), 0u64..3_000)
            .prop_map(|(critical, continuation, within_ms)| Step::Acquire { critical, continuation, within_ms }),
        8 => (any::<usize>(), state).prop_map(|(pick, state)| Step::Release { pick, state }),
        2 => any::<usize>().prop_map(|pick| Step::Cancel { pick }),
        8 => (prop::bool::weighted(0.8), 0.0f64..1.0).prop_map(|(well, chance)| Step::Open { well, chance }),
        3 => prop::bool::weighted(0.8).prop_map(|well| Step::Check { well }),
        3 => prop::bool::weighted(0.8).prop_map(|well| Step::Clean { well }),
        3 => Just(Step::Close),
        3 => any::<usize>().prop_map(|pick| Step::ToggleHoldIdle { pick }),
        1 => any::<bool>().prop_map(|fail| Step::RevocationsFail { fail }),
        6 => prop_oneof![0u64..50, 0u64..2_000, 0u64..70_000].prop_map(|ms| Step::Advance { ms }),
        1 => (prop::option::of(0u32..4), prop::option::of(2u32..12), prop::option::of(0u32..12))
            .prop_map(|(min_idle, ceiling, limit)| Step::Resize { min_idle, ceiling, limit }),
        1 => Just(Step::FlushIdle),
    ]
}

fn rules() -> impl Strategy<Value = Rules> {
    let mode = prop_oneof![1 => Just(Mode::Off), 1 => Just(Mode::ReportOnly), 3 => Just(Mode::Enforce)];
    (0u32..3, 1u32..6, 6u32..12, 1u32..20, mode).prop_map(|(min_idle, initial_limit, ceiling, queue_capacity, mode)| {
        Rules { min_idle, initial_limit, ceiling, queue_capacity, mode, ..Rules::default() }
    })
}

fn run(world: &mut World, step: &Step) {
    let pick = |from: usize, of: usize| (of > 0).then(|| from % of.max(1));
    match *step {
        Step::Acquire { critical, continuation, within_ms } => {
            let class = if critical { Class::Critical } else { Class::Normal };
            world.acquire(class, continuation, within_ms);
        }
        Step::Release { pick: from, state } => {
            if let Some(index) = pick(from, world.leased.len()) {
                world.release(world.leased[index].slot, state);
            }
        }
        Step::Cancel { pick: from } => {
            if let Some(index) = pick(from, world.waiting.len()) {
                world.cancel(world.waiting[index].id);
            }
        }
        Step::Open { well, chance } => world.open_one(well, chance),
        Step::Check { well } => world.check_one(well),
        Step::Clean { well } => world.clean_one(well),
        Step::Close => world.close_one(),
        Step::ToggleHoldIdle { pick: from } => {
            if let Some(index) = pick(from, world.leased.len()) {
                world.hold_idle(index);
            }
        }
        Step::RevocationsFail { fail } => world.let_revocations_fail(fail),
        Step::Advance { ms } => world.advance(Duration::from_millis(ms)),
        Step::Resize { min_idle, ceiling, limit } => {
            let _refused_whole = world.ledger.resize(world.now, Resize { min_idle, ceiling, limit });
            world.act();
        }
        Step::FlushIdle => {
            world.ledger.flush_idle(world.now);
            world.act();
        }
    }
}

/// The ledger's numbers are those of the naive account, whatever happened.
fn agrees(world: &World) {
    let snapshot = world.ledger.snapshot(world.now);
    assert_eq!(snapshot.opening as usize, world.openings.len());
    assert_eq!(snapshot.checking as usize, world.checking.len());
    assert_eq!(snapshot.quarantined as usize, world.cleaning.len());
    assert_eq!(snapshot.closing as usize, world.closing.len());
    assert_eq!(snapshot.idle as usize, world.idle.len());
    assert_eq!(snapshot.suspects as usize, world.suspects());
    assert_eq!((snapshot.leased + snapshot.suspects) as usize, world.leased.len());
    assert_eq!(snapshot.waiting as usize, world.waiting.len());
    assert!(world.openings.len() <= 2, "no more than two at once");
    assert!(world.waiting.iter().all(|queued| queued.deadline >= world.now), "nobody waits past its deadline");
}

/// Nobody waits while there is a place and a connection for it.
fn wastes_nothing(world: &World) {
    let snapshot = world.ledger.snapshot(world.now);
    let used = world.in_use();
    for queued in &world.waiting {
        let places = snapshot.limit + if queued.uses_reserve() { snapshot.reserve } else { 0 };
        let has_place = used < places as usize;
        let being_checked = !world.checking.is_empty();
        assert!(!(has_place && !world.idle.is_empty() && !being_checked), "{queued:?} waits beside an idle connection");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 20_000, ..ProptestConfig::default() })]

    #[test]
    fn the_ledger_agrees_with_a_naive_account_after_any_events(
        rules in rules(),
        steps in prop::collection::vec(step(), 1..120),
    ) {
        let mut world = World::new(rules);
        for step in &steps {
            let before = world.ledger.snapshot(world.now);
            let granted_before = before.totals.granted;
            let open_before = world.open();
            run(&mut world, step);
            agrees(&world);
            wastes_nothing(&world);
            let after = world.ledger.snapshot(world.now);
            let ceiling = before.ceiling.max(after.ceiling) as usize;
            prop_assert!(world.open() <= ceiling.max(open_before), "opened above the ceiling");
            if after.totals.granted > granted_before && !matches!(step, Step::Advance { .. } | Step::Resize { .. }) {
                let most = before.limit.max(after.limit) + before.reserve.max(after.reserve);
                prop_assert!(world.in_use() <= most as usize, "granted above limit and reserve");
            }
        }
    }

    #[test]
    fn whatever_happened_everything_comes_to_rest(rules in rules(), steps in prop::collection::vec(step(), 1..120)) {
        let mut world = World::new(rules);
        for step in &steps {
            run(&mut world, step);
        }
        world.let_revocations_fail(false);
        while let Some(queued) = world.waiting.first().copied() {
            world.cancel(queued.id);
        }
        for _ in 0..200 {
            world.open_all();
            world.check_one(true);
            world.clean_one(true);
            world.close_one();
            if let Some(lent) = world.leased.first().copied() {
                world.release(lent.slot, Return::Clean);
            }
            world.advance(Duration::from_millis(500));
        }
        while !world.closing.is_empty() {
            world.close_one();
        }
        let snapshot = world.ledger.snapshot(world.now);
        prop_assert_eq!(snapshot.open(), snapshot.idle, "everything is idle or gone: {:?}", snapshot);
        prop_assert!(snapshot.idle >= snapshot.min_idle);
        world.ledger.close(world.now);
        world.act();
        while !world.closing.is_empty() {
            world.close_one();
        }
        prop_assert!(world.ledger.is_drained());
    }

    #[test]
    fn normal_work_never_takes_the_reserve(asks in prop::collection::vec((any::<bool>(), 0u64..100), 1..200)) {
        let rules = Rules { initial_limit: 8, ceiling: 20, mode: Mode::Off, ..Rules::default() };
        let mut world = World::with_open(rules, 10);
        for (critical, wait) in asks {
            let class = if critical { Class::Critical } else { Class::Normal };
            let before = world.ledger.snapshot(world.now);
            let used = world.in_use();
            let answer = world.ask(class, 1_000);
            let leased = matches!(answer, forebay_pool_core::Acquired::Leased(_));
            if class == Class::Normal && leased {
                prop_assert!(used < before.limit as usize);
            }
            world.open_all();
            world.advance(Duration::from_millis(wait));
            if world.leased.len() > 9 {
                world.release(world.leased[0].slot, Return::Clean);
            }
        }
    }
}
