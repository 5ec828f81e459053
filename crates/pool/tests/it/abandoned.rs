//! What becomes of statements that nobody waits for any more, and of servers that do not answer.

use std::time::Duration;

use forebay_pool::{Class, Config, Lease, Pool, PoolError, Rules, classify};
use futures_util::StreamExt;
use sqlx::{Executor, PgConnection};
use tokio::time::timeout;

use crate::{Site, admission, eventually, rules};

async fn pid(lease: &mut Lease) -> i32 {
    sqlx::query_scalar("select pg_backend_pid()").fetch_one(&mut **lease).await.expect("answers")
}

/// Begins a statement of ten seconds and drops it once the server is at it.
async fn abandon(outside: &mut PgConnection, lease: &mut Lease, sql: &'static str) -> i32 {
    let pid = pid(lease).await;
    let mut slow = Box::pin(sqlx::query(sql).execute(&mut **lease));
    while !is_active(outside, pid).await {
        let early = timeout(Duration::from_millis(1), &mut slow).await;
        assert!(early.is_err(), "it takes longer");
    }
    pid
}

async fn is_active(outside: &mut PgConnection, pid: i32) -> bool {
    sqlx::query_scalar(
        "select count(*) = 1 from pg_stat_activity where pid = $1 and query like '%pg_sleep(10)%' and state = 'active'",
    )
    .bind(pid)
    .fetch_one(outside)
    .await
    .expect("answers")
}

#[tokio::test]
async fn an_abandoned_statement_is_cancelled_and_its_connection_used_again() {
    let site = Site::new(rules()).await;
    let mut outside = site.outside().await;
    let mut lease = site.pool.acquire(&admission(Class::Normal)).await.expect("free");
    let pid = abandon(&mut outside, &mut lease, "select pg_sleep(10)").await;
    drop(lease);
    site.until("clean again", |snapshot| snapshot.quarantined == 0 && snapshot.idle == 1).await;
    assert!(!is_active(&mut outside, pid).await, "the server works on it no more");
    let mut next = site.pool.acquire(&admission(Class::Normal)).await.expect("free");
    assert_eq!(self::pid(&mut next).await, pid, "the same connection serves on");
    assert_eq!(site.pool.snapshot().totals.opened, 1);
}

#[tokio::test]
async fn a_statement_abandoned_on_a_lease_is_cancelled_by_the_leases_next_one() {
    let site = Site::new(rules()).await;
    let mut outside = site.outside().await;
    let mut lease = site.pool.acquire(&admission(Class::Normal)).await.expect("free");
    let before = abandon(&mut outside, &mut lease, "select pg_sleep(10)").await;
    assert_eq!(pid(&mut lease).await, before);
    assert!(!is_active(&mut outside, before).await);
}

#[tokio::test]
async fn a_statement_abandoned_in_a_transaction_that_goes_on_is_waited_for() {
    let site = Site::new(rules()).await;
    site.pool.execute("create table t (n int)").await.expect("done");
    let mut tx = site.pool.begin().await.expect("begins");
    let insert = sqlx::query("insert into t select 1 from pg_sleep(0.2)").execute(&mut *tx);
    timeout(Duration::from_millis(50), insert).await.expect_err("it takes longer");
    let count: i64 = sqlx::query_scalar("select count(*) from t").fetch_one(&mut *tx).await.expect("it still stands");
    assert_eq!(count, 1);
    tx.commit().await.expect("committed");
}

#[tokio::test]
async fn without_a_control_connection_the_place_is_kept_until_the_server_has_noticed() {
    let database = forebay_embedded::testing::database().await;
    let config = Config { rules: rules(), control: false, ..Config::named("test") };
    let pool = Pool::connect(database.options(), config).expect("these rules hold");
    let site = Site { pool, database };
    let mut outside = site.outside().await;
    let mut lease = site.pool.acquire(&admission(Class::Normal)).await.expect("free");
    let pid = abandon(&mut outside, &mut lease, "select pg_sleep(10)").await;
    drop(lease);
    assert_eq!(site.pool.snapshot().quarantined, 1);
    site.until("its place is free", |snapshot| snapshot.open() == 0).await;
    let noticed = async { while is_active(&mut outside, pid).await {} };
    timeout(Duration::from_secs(5), noticed).await.expect("the server works on it no more");
}

#[tokio::test]
async fn the_control_connection_is_one_of_those_below_the_ceiling() {
    let site = Site::new(Rules { initial_limit: 4, ceiling: 4, ..rules() }).await;
    let mut outside = site.outside().await;
    let mut held = Vec::new();
    for _ in 0..3 {
        held.push(site.pool.acquire(&admission(Class::Critical)).await.expect("free"));
    }
    let fourth = timeout(Duration::from_millis(300), site.pool.acquire(&admission(Class::Critical))).await;
    assert!(!matches!(fourth, Ok(Ok(_))), "three leases and the control connection are four");
    let sessions = "select count(*) from pg_stat_activity where datname = current_database() and application_name = $1";
    for (name, expected) in [("test", 3), ("test control", 1)] {
        let count: i64 = sqlx::query_scalar(sessions).bind(name).fetch_one(&mut outside).await.expect("answers");
        assert_eq!(count, expected, "{name}");
    }
    assert_eq!(site.pool.snapshot().ceiling, 4);
    drop(held);
    site.pool.close().await;
    eventually("it is closed with the pool", async || {
        let left: i64 =
            sqlx::query_scalar(sessions).bind("test control").fetch_one(&mut outside).await.expect("answers");
        left == 0
    })
    .await;
}

/// A pool whose server ends statements by itself much later than the pool gives up.
async fn impatient() -> Site {
    let site = Site::new(rules()).await;
    let mut config = Config { rules: rules(), ..Config::named("impatient") };
    config.session.push(("statement_timeout".to_owned(), "100".to_owned()));
    let pool = Pool::connect(site.database.options(), config).expect("these rules hold");
    Site { pool, ..site }
}

#[tokio::test]
async fn a_server_that_does_not_answer_is_waited_for_no_longer_than_a_statement_may_take() {
    let site = impatient().await;
    // What the server was told when the connection opened is what the pool goes by.
    let mut lease = site.pool.acquire(&admission(Class::Normal)).await.expect("free");
    (&mut *lease).execute("set statement_timeout = 0").await.expect("set");
    let error = sqlx::query("select pg_sleep(10)").execute(&mut *lease).await.expect_err("given up");
    assert!(matches!(classify(&error), Some(PoolError::Silent { .. })), "{error}");
    let error = (&mut *lease).fetch_one("select pg_sleep(10)").await.expect_err("given up");
    assert!(matches!(classify(&error), Some(PoolError::Silent { .. })), "{error}");
    let error = (&mut *lease).fetch_all("select pg_sleep(10)").await.expect_err("given up");
    assert!(matches!(classify(&error), Some(PoolError::Silent { .. })), "{error}");
    let one: i32 = sqlx::query_scalar("select 1").fetch_one(&mut *lease).await.expect("it was cancelled");
    assert_eq!(one, 1);
    drop(lease);
    site.until("reset", |snapshot| snapshot.idle == 1).await;
    assert_eq!(site.pool.snapshot().totals.opened, 1);
}

#[tokio::test]
async fn an_answer_that_comes_row_by_row_is_no_silence() {
    let site = impatient().await;
    let mut lease = site.pool.acquire(&admission(Class::Normal)).await.expect("free");
    (&mut *lease).execute("set statement_timeout = 0").await.expect("set");
    // Rows wide enough that the server sends each as it is made.
    let mut rows = (&mut *lease).fetch("select repeat('x', 20000), pg_sleep(0.1) from generate_series(1, 8)");
    let mut count = 0;
    while let Some(row) = rows.next().await {
        row.expect("a row");
        count += 1;
    }
    assert_eq!(count, 8);
}

#[tokio::test]
async fn a_half_read_answer_is_held_idle_and_its_backend_is_ended() {
    let rules =
        Rules { suspect_after: Duration::from_millis(200), revoke_after: Some(Duration::from_millis(400)), ..rules() };
    let site = Site::new(rules).await;
    let mut outside = site.outside().await;
    let mut lease = site.pool.acquire(&admission(Class::Normal)).await.expect("free");
    let pid = pid(&mut lease).await;
    let mut rows = (&mut *lease).fetch("select repeat('x', 20000) from generate_series(1, 100000)");
    rows.next().await.expect("a row").expect("a row");
    site.until("suspected", |snapshot| snapshot.suspects == 1).await;
    site.until("taken back", |snapshot| snapshot.totals.revoked == 1 && snapshot.open() == 0).await;
    // The server has been told before the place is free; the process takes a moment to end.
    let gone = "select not exists (select from pg_stat_activity where pid = $1)";
    eventually("its backend has ended", async || {
        sqlx::query_scalar(gone).bind(pid).fetch_one(&mut outside).await.expect("answers")
    })
    .await;
    let error = loop {
        match rows.next().await.expect("it did not end") {
            Ok(_) => {}
            Err(error) => break error,
        }
    };
    assert!(matches!(classify(&error), Some(PoolError::Revoked { .. })), "{error}");
    drop(rows);
    let error = sqlx::query("select 1").execute(&mut *lease).await.expect_err("it was taken back");
    assert!(matches!(classify(&error), Some(PoolError::Revoked { .. })), "{error}");
}

#[tokio::test]
async fn an_answer_that_is_read_slowly_is_not_taken_back() {
    let rules =
        Rules { suspect_after: Duration::from_millis(200), revoke_after: Some(Duration::from_millis(400)), ..rules() };
    let site = Site::new(rules).await;
    let mut lease = site.pool.acquire(&admission(Class::Normal)).await.expect("free");
    let mut rows = (&mut *lease).fetch("select generate_series(1, 10)");
    let mut read = 0;
    while let Some(row) = rows.next().await {
        row.expect("a row");
        read += 1;
        tokio::time::sleep(Duration::from_millis(60)).await;
    }
    assert_eq!((read, site.pool.snapshot().totals.revoked), (10, 0));
}
