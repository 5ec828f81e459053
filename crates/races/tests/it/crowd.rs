use forebay_races::Class;
use sqlx::server::{self, Manners};
use tokio::runtime::spawn;

use crate::schedules::Pace::{Hasty, Patient};
use crate::schedules::explore;
use crate::world::{World, all, chance, config, linger, rules, work};

const THREE: Manners = Manners { most: 3, revokes: false, cuts: true };

fn class(number: u32) -> Class {
    if number == 0 { Class::Critical } else { Class::Normal }
}

#[test]
fn everybody_in_a_crowd_is_served_and_nothing_is_lost() {
    explore(&[Patient, Hasty], THREE, |pace| async move {
        let world = World::new(config(rules()));
        let crowd = (0..4).map(|holder| {
            let world = world.clone();
            spawn(async move {
                for _ in 0..2 {
                    let answer = world.visit(class(holder), holder).await;
                    assert!(answer.is_ok() || pace == Hasty, "{answer:?}");
                }
            })
        });
        all(crowd.collect()).await;
        world.settle().await;
    });
}

#[test]
fn a_caller_that_goes_away_leaves_its_place_and_its_connection() {
    explore(&[Patient, Hasty], THREE, |_| async {
        let world = World::new(config(rules()));
        let crowd = (0..5).map(|holder| {
            let world = world.clone();
            spawn(async move {
                if holder % 2 == 0 {
                    return drop(world.visit(class(holder), holder).await);
                }
                for _ in 0..3 {
                    if let Some(Ok(lease)) = world.ask_and_leave(class(holder)).await {
                        linger(chance(3)).await;
                        drop(lease);
                    }
                }
            })
        });
        all(crowd.collect()).await;
        world.settle().await;
    });
}

#[test]
fn what_a_dropped_statement_or_transaction_leaves_is_gone_before_the_next_holder_comes() {
    // One place is the control connection's.
    explore(&[Patient, Hasty], Manners { most: 4, revokes: false, cuts: true }, |_| async {
        let mut config = config(rules());
        (config.control, config.rules.ceiling) = (true, 4);
        let world = World::new(config);
        let crowd = (0..4).map(|holder| {
            let world = world.clone();
            spawn(async move {
                let Ok(mut lease) = world.acquire(class(holder)).await else { return };
                match holder {
                    0 => drop(tokio::either(Box::pin(work(&mut lease, holder, 20)), linger(chance(6))).await),
                    1 => {
                        if let Ok(mut tx) = lease.begin().await {
                            let hidden = chance(2) == 0;
                            let statement =
                                sqlx::raw_sql(if hidden { "do 'set work_mem to 1'" } else { "set work_mem to 1" });
                            let _cut =
                                tokio::either(sqlx::Executor::execute(&mut *tx, statement), linger(chance(6))).await;
                        }
                    }
                    _ => work(&mut lease, holder, chance(3)).await.expect("the server answers"),
                }
                server::leave(holder);
            })
        });
        all(crowd.collect()).await;
        world.settle().await;
    });
}
