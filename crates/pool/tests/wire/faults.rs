//! What networks do to connections that are open.

use std::time::Duration;

use forebay_pool::{Config, PoolError, classify};
use forebay_wire::{Connection, Dials, Flow, Side};
use tokio::time::timeout;

use crate::{LIMIT, Site, answer, config, eventually, pid_of, rules, so, trusting, wary};

/// Through a sieve: what the pool hands out answers, since it was checked.
async fn serves_without_an_error(site: &Site) {
    for _ in 0..8 {
        answer(&mut site.lease().await).await.expect("a connection that was checked answers");
    }
}

async fn in_both_ways(work: impl AsyncFn(Site)) {
    work(Site::new(wary()).await).await;
    work(Site::unix(wary()).await).await;
}

async fn all_gone(connections: &[Connection]) {
    eventually("the connections have ended", || so(connections.iter().all(|one| !one.is_open()))).await;
}

#[tokio::test]
async fn connections_reset_while_idle_reach_nobody() {
    in_both_ways(async |site| {
        let connections = site.fill().await;
        connections.iter().for_each(Connection::reset);
        all_gone(&connections).await;
        serves_without_an_error(&site).await;
        site.is_at_full_strength().await;
    })
    .await;
}

#[tokio::test]
async fn connections_hung_up_while_idle_reach_nobody() {
    in_both_ways(async |site| {
        let connections = site.fill().await;
        connections.iter().for_each(Connection::hang_up);
        all_gone(&connections).await;
        serves_without_an_error(&site).await;
        site.is_at_full_strength().await;
    })
    .await;
}

#[tokio::test]
async fn connections_that_fell_into_a_black_hole_while_idle_reach_nobody() {
    in_both_ways(async |site| {
        for connection in site.fill().await {
            connection.set_flow(Side::Frontend, Flow::Swallow);
            connection.set_flow(Side::Backend, Flow::Swallow);
        }
        serves_without_an_error(&site).await;
        site.is_at_full_strength().await;
    })
    .await;
}

#[tokio::test]
async fn an_unchecked_dead_connection_fails_one_statement_and_is_replaced() {
    for end in [Connection::reset, Connection::hang_up] {
        let site = Site::new(trusting()).await;
        let connections = site.fill().await;
        connections.iter().for_each(end);
        all_gone(&connections).await;
        let mut lease = site.lease().await;
        let error = answer(&mut lease).await.expect_err("nobody is there");
        assert!(matches!(error, sqlx::Error::Io(_)), "{error}");
        drop(lease);
        site.is_at_full_strength().await;
    }
}

#[tokio::test]
async fn a_connection_that_breaks_in_the_middle_of_a_statement_gives_its_place_back() {
    for end in [Connection::reset, Connection::hang_up] {
        let site = Site::new(rules()).await;
        let mut lease = site.lease().await;
        let pid = pid_of(&mut lease).await;
        let connection = site.proxy.connection_to(pid).expect("it goes through the proxy");
        let slow = tokio::spawn(async move {
            let answer = sqlx::query("select pg_sleep(30)").execute(&mut *lease).await;
            (lease, answer)
        });
        eventually("it runs", || so(connection.is_busy())).await;
        end(&connection);
        let (lease, answer) = slow.await.expect("it ends");
        assert!(matches!(answer, Err(sqlx::Error::Io(_))), "{answer:?}");
        drop(lease);
        site.is_at_full_strength().await;
    }
}

#[tokio::test]
async fn a_connection_that_breaks_during_commit_leaves_the_outcome_unknown() {
    let site = Site::new(rules()).await;
    sqlx::query("create table t (n int)").execute(&site.pool).await.expect("done");
    let mut lease = site.lease().await;
    let pid = pid_of(&mut lease).await;
    let connection = site.proxy.connection_to(pid).expect("it goes through the proxy");
    let mut tx = lease.begin().await.expect("begins");
    sqlx::query("insert into t values (1)").execute(&mut *tx).await.expect("inserted");
    connection.set_flow(Side::Backend, Flow::Freeze);
    let committing = tx.commit();
    let broken = async {
        eventually("COMMIT has left", || so(connection.is_busy())).await;
        let mut outside = site.outside().await;
        let stored = async {
            let count = "select count(*) from t";
            while sqlx::query_scalar::<_, i64>(count).fetch_one(&mut outside).await.expect("answers") == 0 {}
        };
        timeout(LIMIT, stored).await.expect("the server commits");
        connection.reset();
    };
    let (answer, ()) = tokio::join!(committing, broken);
    let error = answer.expect_err("its answer never came");
    assert!(matches!(classify(&error), Some(PoolError::OutcomeUnknown)), "{error}");
    drop(lease);
    site.is_at_full_strength().await;
}

#[tokio::test]
async fn a_statement_frozen_for_a_while_goes_on_when_it_thaws() {
    for side in [Side::Frontend, Side::Backend] {
        let site = Site::new(trusting()).await;
        site.fill().await;
        let mut lease = site.lease().await;
        let pid = pid_of(&mut lease).await;
        site.proxy.set_flow(side, Flow::Freeze);
        let frozen = site.proxy.counts();
        let thaw = async {
            let sent = || so(side == Side::Frontend || site.proxy.counts().since(&frozen).bytes > 0);
            eventually("it left", sent).await;
            site.proxy.set_flow(side, Flow::Pass);
        };
        let (answer, ()) = tokio::join!(answer(&mut lease), thaw);
        assert_eq!(answer.expect("late, and right"), 1);
        assert_eq!(pid_of(&mut lease).await, pid);
        drop(lease);
        assert_eq!(site.pool.snapshot().totals.quarantined, 0);
        site.is_at_full_strength().await;
    }
}

#[tokio::test]
async fn everything_frozen_and_thawed_comes_back() {
    let site = Site::new(wary()).await;
    site.fill().await;
    site.proxy.set_flows(Flow::Freeze);
    let hopeless = forebay_pool::Admission::within(forebay_pool::Class::Normal, Duration::from_millis(700));
    site.pool.acquire(&hopeless).await.expect_err("no check is answered, and no dial");
    site.proxy.set_flows(Flow::Pass);
    site.is_at_full_strength().await;
}

#[tokio::test]
async fn everything_in_a_black_hole_comes_back_when_it_closes() {
    let site = Site::new(wary()).await;
    site.fill().await;
    site.proxy.set_flows(Flow::Swallow);
    site.proxy.set_dials(Dials::Silence).await.expect("so");
    let hopeless = forebay_pool::Admission::within(forebay_pool::Class::Normal, Duration::from_millis(1_500));
    site.pool.acquire(&hopeless).await.expect_err("no check is answered, and no dial");
    site.proxy.set_flows(Flow::Pass);
    site.proxy.set_dials(Dials::Forward).await.expect("so");
    site.is_at_full_strength().await;
}

/// The server's own limit is the one that a black hole keeps from being heard.
fn hasty() -> Config {
    let mut config = config();
    for (key, value) in &mut config.session {
        if key == "statement_timeout" {
            "300".clone_into(value);
        }
    }
    config
}

#[tokio::test]
async fn a_statement_in_a_black_hole_ends_on_the_client() {
    for side in [Side::Frontend, Side::Backend] {
        let site = Site::with(hasty()).await;
        let mut lease = site.lease().await;
        let pid = pid_of(&mut lease).await;
        let connection = site.proxy.connection_to(pid).expect("it goes through the proxy");
        connection.set_flow(side, Flow::Swallow);
        let error = answer(&mut lease).await.expect_err("its answer never comes");
        assert!(!matches!(error, sqlx::Error::WorkerCrashed), "it was the test's own limit that ended it");
        drop(lease);
        site.is_at_full_strength().await;
    }
}

#[tokio::test]
async fn a_future_dropped_in_a_black_hole_gives_its_place_back() {
    for side in [Side::Frontend, Side::Backend] {
        let site = Site::new(rules()).await;
        let mut lease = site.lease().await;
        let pid = pid_of(&mut lease).await;
        let connection = site.proxy.connection_to(pid).expect("it goes through the proxy");
        connection.set_flow(side, Flow::Swallow);
        let cut = timeout(Duration::from_millis(20), answer(&mut lease)).await;
        assert!(cut.is_err(), "its answer never comes");
        drop(lease);
        site.is_at_full_strength().await;
        eventually("the connection was given up", || so(!connection.is_open() || connection.counts().ready == 1)).await;
    }
}
