use std::time::Duration;

use forebay_pool_core::{Acquired, Class, Knee, Mode, Return, Rules};

use crate::cases::{Case, holds_for_all};
use crate::world::World;

#[test]
fn the_ledger_agrees_with_a_naive_account_after_any_events() {
    holds_for_all(|case| {
        let mut world = World::with_sizer(case.rules.clone(), Box::<Knee>::default());
        for step in &case.steps {
            let (before, open_before) = (world.snapshot(), world.open());
            step.run(&mut world);
            world.agrees();
            world.wastes_nothing();
            world.stays_shut();
            world.uses_no_less_than(&before.totals.usage);
            let ceiling = before.ceiling.max(world.snapshot().ceiling) as usize;
            assert!(world.open() <= ceiling.max(open_before), "opened above the ceiling");
        }
    });
}

/// Ends everything that is under way, well.
fn settle(world: &mut World) {
    world.let_revocations_fail(false);
    while let Some(queued) = world.waiting.first().copied() {
        world.cancel(queued.id);
    }
    while let Some(lent) = world.leased.first().copied() {
        world.release(lent.slot, Return::Clean);
    }
    // Longer than any pause after a failure, in leaps: who was suspended is not woken in between.
    for _ in 0..40 {
        world.open_all();
        world.check_one(true);
        world.clean_one(true);
        world.close_one();
        world.advance(Duration::from_millis(20));
        world.jump(Duration::from_secs(1));
    }
    while !(world.closing.is_empty() && world.openings.is_empty() && world.checking.is_empty()) {
        world.close_all();
        world.open_all();
        world.check_one(true);
    }
}

#[test]
fn whatever_happened_everything_comes_to_rest() {
    holds_for_all(|case| {
        let Case { rules, steps } = case;
        let mut world = World::with_sizer(Rules { lifetime: None, ..rules.clone() }, Box::<Knee>::default());
        steps.iter().for_each(|step| step.run(&mut world));
        let rules = Rules { lifetime: None, ..world.ledger.rules() };
        world.change(|ledger, now| ledger.set_rules(now, rules).expect("as they were"));
        settle(&mut world);
        let snapshot = world.snapshot();
        assert_eq!(snapshot.open(), snapshot.idle, "everything is idle or gone: {snapshot:?}");
        assert!(snapshot.idle >= snapshot.min_idle.min(snapshot.ceiling), "{snapshot:?}");
        world.change(forebay_pool_core::Ledger::close);
        world.close_all();
        assert!(world.ledger.is_drained());
    });
}

#[test]
fn normal_work_never_takes_the_reserve() {
    holds_for_all(|case| {
        let rules = Rules { initial_limit: 8, ceiling: 20, mode: Mode::Off, ..Rules::default() };
        let mut world = World::with_open(rules, 10);
        for (nth, _) in case.steps.iter().enumerate() {
            let class = if nth % 3 == 0 { Class::Critical } else { Class::Normal };
            let (limit, used) = (world.snapshot().limit as usize, world.in_use());
            let leased = matches!(world.ask(class, 1_000), Acquired::Leased(_));
            assert!(class != Class::Normal || !leased || used < limit);
            world.open_all();
            if world.leased.len() > 9 {
                world.release(world.leased[0].slot, Return::Clean);
            }
        }
    });
}
