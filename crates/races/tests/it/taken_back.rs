use std::time::Duration;

use forebay_races::{Class, Rules};
use futures_util::StreamExt;
use sqlx::server::{self, Manners};
use sqlx::{AssertSqlSafe, Executor};
use tokio::runtime::spawn;
use tokio::time::sleep;

use crate::schedules::Pace::{Hasty, Patient};
use crate::schedules::explore;
use crate::world::{World, all, chance, config, is_revoked, linger, rules, work};

fn strict() -> Rules {
    let after = Duration::from_millis(100);
    Rules { suspect_after: after, revoke_after: Some(2 * after), ..rules() }
}

/// A while around the times at which the pool looks at leases.
async fn doze() {
    sleep(Duration::from_millis(u64::from(chance(5)) * 100)).await;
    linger(chance(4)).await;
}

/// A holder that ran no statement for long loses its connection to others, or does not; the server notices if it uses it
/// all the same.
#[test]
fn who_lost_its_connection_is_told_and_never_uses_it_again() {
    explore(&[Patient, Hasty], Manners { most: 3, revokes: true, cuts: true }, |pace| async move {
        let world = World::new(config(strict()));
        // The limit makes way for suspects.
        world.move_bounds();
        let dozers = (0..3).map(|holder| {
            let world = world.clone();
            spawn(async move {
                let Ok(mut lease) = world.acquire(Class::Normal).await else { return };
                let mut lost = false;
                for _ in 0..3 {
                    match work(&mut lease, holder, chance(3)).await {
                        Ok(()) => assert!(!lost, "{holder} ran a statement though it had been told"),
                        Err(error) => {
                            assert!(is_revoked(&error), "{error:?}");
                            lost = true;
                        }
                    }
                    doze().await;
                }
                server::leave(holder);
            })
        });
        let visitors = (3..6).map(|holder| {
            let world = world.clone();
            spawn(async move {
                doze().await;
                let answer = world.acquire(Class::Normal).await;
                assert!(answer.is_ok() || pace == Hasty, "{answer:?}");
                let Ok(mut lease) = answer else { return };
                let answer = work(&mut lease, holder, 0).await;
                assert!(answer.is_ok() || pace == Hasty, "{answer:?}");
                server::leave(holder);
            })
        });
        all(dozers.chain(visitors).collect()).await;
        world.settle().await;
    });
}

/// Between the answers to two statements it is the holder that is waited for. Its backend is ended then, since the
/// connection is out.
#[test]
fn who_dozes_in_the_middle_of_an_answer_loses_it() {
    explore(&[Patient, Hasty], Manners { most: 4, revokes: true, cuts: true }, |_| async {
        let mut config = config(strict());
        (config.control, config.rules.ceiling) = (true, 4);
        let world = World::new(config);
        world.move_bounds();
        let readers = (0..4).map(|holder| {
            let world = world.clone();
            spawn(async move {
                let Ok(mut lease) = world.acquire(Class::Normal).await else { return };
                let statement = format!("select by({holder}, 0)");
                let text = AssertSqlSafe([statement.as_str(); 3].join("; "));
                let mut steps = lease.fetch_many(sqlx::raw_sql(text));
                while let Some(step) = steps.next().await {
                    if let Err(error) = step {
                        assert!(is_revoked(&error), "{error:?}");
                        break;
                    }
                    doze().await;
                }
                drop(steps);
                server::leave(holder);
            })
        });
        all(readers.collect()).await;
        world.settle().await;
    });
}

/// Whoever was told something else had been idle for long enough just before. The server notices when a statement is cut.
#[test]
fn who_runs_a_statement_keeps_its_connection_however_long_it_takes() {
    explore(&[Patient], Manners { most: 4, revokes: true, cuts: false }, |_| async {
        let mut config = config(strict());
        (config.control, config.rules.ceiling) = (true, 4);
        let world = World::new(config);
        world.move_bounds();
        let holders = (0..3).map(|holder| {
            let world = world.clone();
            spawn(async move {
                let Ok(mut lease) = world.acquire(Class::Normal).await else { return };
                for _ in 0..3 {
                    let idle = 100 * chance(4);
                    sleep(Duration::from_millis(idle.into())).await;
                    if let Err(error) = work(&mut lease, holder, 100 * chance(9)).await {
                        assert!(is_revoked(&error) && idle >= 200, "{error:?} after {idle} ms");
                        break;
                    }
                }
                server::leave(holder);
            })
        });
        all(holders.collect()).await;
        world.settle().await;
    });
}
