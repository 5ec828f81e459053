use std::time::Duration;

use forebay_races::{AcquireError, Class};
use sqlx::server::{self, Manners};
use tokio::runtime::spawn;
use tokio::time::{Instant, sleep};

use crate::schedules::Pace::{Hasty, Patient};
use crate::schedules::explore;
use crate::world::{World, all, chance, config, linger, rules, work};

/// Whoever sets the alarm to an earlier time than the one the driver sleeps until has to wake it.
#[test]
fn a_wait_ends_at_its_deadline_whoever_asked_before() {
    explore(&[Patient, Hasty], Manners { most: 2, revokes: false, cuts: true }, |pace| async move {
        let mut rules = rules();
        (rules.initial_limit, rules.ceiling) = (1, 2);
        let world = World::new(config(rules));
        // With both places taken nothing but the alarm answers, and nothing but a deadline sets it off.
        let mut held = world.insist().await;
        let waits = [700, 30, 1, 300].map(Duration::from_millis);
        let crowd = waits.into_iter().map(|limit| {
            let world = world.clone();
            spawn(async move {
                sleep(Duration::from_millis(chance(3).into())).await;
                linger(chance(3)).await;
                let asked = Instant::now().into_std();
                let answer = world.acquire_within(Class::Normal, limit).await;
                let waited = Instant::now().into_std() - asked;
                let timed_out = matches!(answer, Err(AcquireError::Timeout(_)));
                assert!(
                    timed_out && (waited == limit || pace == Hasty && waited > limit),
                    "{answer:?} after {waited:?}"
                );
            })
        });
        all(crowd.collect()).await;
        work(&mut held, 0, 1).await.expect("it is held");
        server::leave(0);
        drop(held);
        world.settle().await;
    });
}
