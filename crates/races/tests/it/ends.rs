use std::time::Duration;

use forebay_races::{AcquireError, Class, Resize};
use sqlx::server::{self, Manners};
use tokio::runtime::spawn;
use tokio::time::sleep;

use crate::schedules::Pace::{Hasty, Patient};
use crate::schedules::explore;
use crate::world::{World, all, chance, config, is_revoked, linger, rules, work};

#[test]
fn bounds_that_move_in_the_middle_of_traffic_lose_nothing() {
    explore(&[Patient, Hasty], Manners { most: 4, revokes: false, cuts: true }, |pace| async move {
        let world = World::new(config(rules()));
        world.move_bounds();
        let mover = {
            let world = world.clone();
            spawn(async move {
                for _ in 0..4 {
                    linger(chance(6)).await;
                    let (ceiling, limit) = (2 + chance(3), 1 + chance(3));
                    let resize = Resize { ceiling: Some(ceiling), limit: Some(limit), min_idle: Some(chance(3)) };
                    world.pool.resize(resize).expect("bounds that hold");
                    if chance(2) == 0 {
                        world.pool.flush_idle();
                    }
                }
                let back = Resize { ceiling: Some(3), limit: Some(2), min_idle: Some(0) };
                world.pool.resize(back).expect("bounds that hold");
            })
        };
        let crowd = (0..4).map(|holder| {
            let world = world.clone();
            spawn(async move {
                let answer = world.visit(Class::Normal, holder).await;
                assert!(answer.is_ok() || pace == Hasty, "{answer:?}");
            })
        });
        all(crowd.chain([mover]).collect()).await;
        world.settle().await;
    });
}

#[test]
fn a_pool_that_closes_answers_everybody_and_ends_with_the_last_lease() {
    explore(&[Patient, Hasty], Manners { most: 3, revokes: false, cuts: true }, |pace| async move {
        let world = World::new(config(rules()));
        let crowd = (0..5).map(|holder| {
            let world = world.clone();
            spawn(async move {
                linger(chance(4)).await;
                match world.acquire(Class::Normal).await {
                    Ok(mut lease) => {
                        work(&mut lease, holder, chance(3)).await.expect("a lease that is out stays");
                        server::leave(holder);
                    }
                    Err(AcquireError::Closed { .. }) => {}
                    Err(error) => assert!(pace == Hasty, "{error:?}"),
                }
            })
        });
        let closers = (0..2).map(|_| {
            let world = world.clone();
            spawn(async move {
                linger(chance(12)).await;
                world.pool.close().await;
                let closed = world.pool.snapshot();
                assert_eq!((closed.open(), closed.waiting), (0, 0), "{closed:?}");
            })
        });
        all(crowd.chain(closers).collect()).await;
        world.end().await;
    });
}

/// Whatever a holder does when the time is over, it is told, and nothing of it is left.
#[test]
fn a_drain_takes_back_what_is_late_in_the_middle_of_anything() {
    explore(&[Patient, Hasty], Manners { most: 4, revokes: true, cuts: true }, |_| async {
        let mut config = config(rules());
        (config.control, config.rules.ceiling) = (true, 4);
        let world = World::new(config);
        let crowd = (0..4).map(|holder| {
            let world = world.clone();
            spawn(async move {
                let Ok(mut lease) = world.acquire(Class::Normal).await else { return };
                // Until it is taken back.
                while let Ok(()) = work(&mut lease, holder, chance(9)).await {
                    linger(chance(3)).await;
                    sleep(Duration::from_millis(chance(2).into())).await;
                }
                let again = work(&mut lease, holder, 0).await;
                assert!(is_revoked(&again.expect_err("it was told before")));
                server::leave(holder);
            })
        });
        let drainer = {
            let world = world.clone();
            spawn(async move {
                sleep(Duration::from_millis(chance(20).into())).await;
                let drained = world.pool.drain(Duration::from_millis(10)).await;
                assert!(drained.late.len() <= 3, "{drained:?}");
            })
        };
        all(crowd.chain([drainer]).collect()).await;
        world.pool.close().await;
        world.end().await;
    });
}

#[test]
fn callers_have_an_answer_while_the_server_refuses_connections() {
    explore(&[Patient, Hasty], Manners { most: 3, revokes: false, cuts: true }, |_| async {
        server::refuse(true);
        let world = World::new(config(rules()));
        let crowd = (0..4).map(|holder| {
            let world = world.clone();
            spawn(async move { drop(world.visit(Class::Normal, holder).await) })
        });
        let repair = spawn(async {
            sleep(Duration::from_millis(chance(2_000).into())).await;
            server::refuse(false);
        });
        all(crowd.chain([repair]).collect()).await;
        // The breaker may be open still.
        while world.visit(Class::Normal, 9).await.is_err() {
            sleep(Duration::from_millis(100)).await;
        }
        world.settle().await;
    });
}
