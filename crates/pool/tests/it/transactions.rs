use std::time::Duration;

use forebay_pool::{Class, PoolError, classify};

use crate::{Site, admission, rules};

async fn site_with_table() -> Site {
    let site = Site::new(rules()).await;
    sqlx::query("create table t (n int primary key)").execute(&site.pool).await.expect("done");
    site
}

async fn count(site: &Site) -> i64 {
    sqlx::query_scalar("select count(*) from t").fetch_one(&site.pool).await.expect("answers")
}

#[tokio::test]
async fn what_is_committed_stays_and_what_is_dropped_goes() {
    let site = site_with_table().await;
    let mut kept = site.pool.begin().await.expect("begins");
    sqlx::query("insert into t values (1)").execute(&mut *kept).await.expect("inserted");
    kept.commit().await.expect("committed");
    let mut dropped = site.pool.begin().await.expect("begins");
    sqlx::query("insert into t values (2)").execute(&mut *dropped).await.expect("inserted");
    drop(dropped);
    let mut taken_back = site.pool.begin().await.expect("begins");
    sqlx::query("insert into t values (3)").execute(&mut *taken_back).await.expect("inserted");
    taken_back.rollback().await.expect("rolled back");
    assert_eq!(count(&site).await, 1);
}

#[tokio::test]
async fn a_transaction_dropped_on_a_lease_is_over_before_the_leases_next_statement() {
    let site = site_with_table().await;
    let mut lease = site.pool.acquire(&admission(Class::Normal)).await.expect("free");
    let mut tx = lease.begin().await.expect("begins");
    sqlx::query("insert into t values (1)").execute(&mut *tx).await.expect("inserted");
    drop(tx);
    let inside: i64 = sqlx::query_scalar("select count(*) from t").fetch_one(&mut *lease).await.expect("answers");
    assert_eq!(inside, 0);
    let mut again = lease.begin().await.expect("begins");
    sqlx::query("insert into t values (2)").execute(&mut *again).await.expect("inserted");
    again.commit().await.expect("committed");
    drop(lease);
    assert_eq!(count(&site).await, 1);
}

#[tokio::test]
async fn a_begin_dropped_at_any_moment_never_reaches_the_next_user() {
    let site = site_with_table().await;
    for round in 0..100_i32 {
        let mut lease = site.pool.acquire(&admission(Class::Normal)).await.expect("free");
        let cut = tokio::time::timeout(Duration::from_micros(u64::from(round.unsigned_abs()) * 7), lease.begin()).await;
        drop(cut);
        drop(lease);
        let mut next = site.pool.acquire(&admission(Class::Normal)).await.expect("free");
        sqlx::query("insert into t values ($1)").bind(round).execute(&mut *next).await.expect("inserted");
    }
    assert_eq!(count(&site).await, 100, "every plain insert was its own transaction");
}

#[tokio::test]
async fn committing_a_failed_transaction_is_an_error_and_not_a_silent_loss() {
    let site = site_with_table().await;
    let mut tx = site.pool.begin().await.expect("begins");
    sqlx::query("insert into t values (1)").execute(&mut *tx).await.expect("inserted");
    sqlx::query("insert into t values (1)").execute(&mut *tx).await.expect_err("a duplicate");
    let error = tx.commit().await.expect_err("nothing was stored");
    assert!(matches!(classify(&error), Some(PoolError::Aborted)), "{error}");
    assert_eq!(count(&site).await, 0);
    assert_eq!(site.pool.snapshot().totals.quarantined, 0);
}

#[tokio::test]
async fn a_refused_commit_says_what_the_server_said() {
    let site = site_with_table().await;
    sqlx::raw_sql("create table late (n int references t deferrable initially deferred)")
        .execute(&site.pool)
        .await
        .expect("done");
    let mut tx = site.pool.begin().await.expect("begins");
    sqlx::query("insert into late values (7)").execute(&mut *tx).await.expect("not checked yet");
    let error = tx.commit().await.expect_err("there is no such row");
    assert_eq!(error.as_database_error().and_then(|error| error.code()).as_deref(), Some("23503"));
    assert_eq!(site.pool.snapshot().totals.quarantined, 0);
}

/// Leaves a transaction with a statement that was cut short and fails later, unread.
async fn with_a_late_error(tx: &mut forebay_pool::Tx<'_>) {
    let late = sqlx::query("select pg_sleep(0.5), 1 / (random() * 0)::int").execute(&mut **tx);
    tokio::time::timeout(Duration::from_millis(10), late).await.expect_err("it was cut short");
}

#[tokio::test]
async fn a_late_error_is_not_taken_for_the_answer_to_the_end_of_the_transaction() {
    let site = site_with_table().await;
    for end in ["commit", "rollback", "drop"] {
        let mut lease = site.pool.acquire(&admission(Class::Normal)).await.expect("free");
        let mut tx = lease.begin().await.expect("begins");
        sqlx::query("insert into t values (1)").execute(&mut *tx).await.expect("inserted");
        with_a_late_error(&mut tx).await;
        match end {
            "commit" => {
                let error = tx.commit().await.expect_err("it had failed");
                assert!(matches!(classify(&error), Some(PoolError::Aborted)), "{error}");
            }
            "rollback" => tx.rollback().await.expect("rolled back"),
            _ => drop(tx),
        }
        let inside: i64 =
            sqlx::query_scalar("select count(*) from t").fetch_one(&mut *lease).await.expect("no aborted one");
        assert_eq!(inside, 0, "{end}");
        drop(lease);
        assert_eq!(count(&site).await, 0, "{end}");
    }
    assert_eq!(site.pool.snapshot().totals.opened, 1, "one connection served all of it");
}

#[tokio::test]
async fn a_late_error_outside_a_transaction_is_not_the_next_statements_answer() {
    let site = site_with_table().await;
    let mut lease = site.pool.acquire(&admission(Class::Normal)).await.expect("free");
    let late = sqlx::query("select pg_sleep(0.5), 1 / (random() * 0)::int").execute(&mut *lease);
    tokio::time::timeout(Duration::from_millis(10), late).await.expect_err("it was cut short");
    let one: i32 = sqlx::query_scalar("select 1").fetch_one(&mut *lease).await.expect("its own answer");
    assert_eq!(one, 1);
}
