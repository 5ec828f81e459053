use forebay_races::{Class, Mode, Rules};
use sqlx::server::Manners;
use tokio::runtime::spawn;

use crate::schedules::Pace::Patient;
use crate::schedules::explore;
use crate::world::{World, all, chance, config, linger, rules};

/// Of two places one is the reserve's, and one may wait.
#[test]
fn whoever_is_refused_without_the_lock_is_counted_and_nobody_is_when_there_is_room_again() {
    explore(&[Patient], Manners { most: 2, revokes: false, cuts: false }, |_| async move {
        let narrow = Rules { mode: Mode::Enforce, initial_limit: 1, ceiling: 2, queue_capacity: 1, ..rules() };
        let world = World::new(config(narrow));
        let held = world.insist().await;
        let waits = world.clone();
        let waiting = spawn(async move { drop(waits.acquire(Class::Normal).await) });
        let crowd = (0..3).map(|_| {
            let world = world.clone();
            spawn(async move {
                for _ in 0..5 {
                    world.admit(Class::Normal);
                    linger(chance(3)).await;
                }
            })
        });
        let crowd: Vec<_> = crowd.collect();
        linger(chance(30)).await;
        drop(held);
        waiting.await.expect("nobody aborts it");
        all(crowd).await;
        assert!(world.admit(Class::Normal), "everything is free");
        assert_eq!(world.pool.snapshot().totals.shed_of(Class::Normal), u64::from(world.refused()));
        world.settle().await;
    });
}
