//! What users leave behind on a connection does not reach the next one.

use forebay_pool::{Class, PoolError, classify};
use sqlx::Executor;

use crate::{Site, admission, rules};

async fn setting(site: &Site, name: &str) -> String {
    sqlx::query_scalar("select current_setting($1)").bind(name).fetch_one(&site.pool).await.expect("answers")
}

#[tokio::test]
async fn a_setting_a_role_a_lock_and_a_temporary_table_end_with_their_lease() {
    let site = Site::new(rules()).await;
    site.pool.execute("create role somebody").await.expect("done");
    for trace in [
        "set work_mem = '123kB'",
        "set role somebody",
        "select set_config('work_mem', '123kB', false)",
        "select pg_advisory_lock(7)",
        "create temporary table t (n int)",
        "prepare p as select 1",
        "listen x",
    ] {
        site.pool.execute(trace).await.expect(trace);
        site.until("reset", |snapshot| snapshot.idle == 1 && snapshot.quarantined == 0).await;
        // Also by the extended protocol, with a statement that stays prepared on sqlx's side.
        sqlx::query("select 1").execute(&site.pool).await.expect("the cache of prepared statements was emptied too");
        let left: i64 = sqlx::query_scalar(
            "select (select count(*) from pg_locks where locktype = 'advisory' and pid = pg_backend_pid()) \
             + (select count(*) from pg_class where relpersistence = 't' and relname = 't') \
             + (select count(*) from pg_prepared_statements where name = 'p') \
             + (select count(*) from pg_listening_channels()) \
             + (current_user = 'somebody')::int",
        )
        .fetch_one(&site.pool)
        .await
        .expect("answers");
        assert_eq!(left, 0, "{trace}");
        assert_ne!(setting(&site, "work_mem").await, "123kB", "{trace}");
        assert_eq!(setting(&site, "statement_timeout").await, "5s", "what the pool has set stays");
    }
    let totals = site.pool.snapshot().totals;
    assert_eq!((totals.opened, totals.quarantined), (1, 7), "reset, and only where something was left");
    site.pool.execute("drop role somebody").await.expect("done");
}

#[tokio::test]
async fn a_transaction_begun_by_text_does_not_reach_the_next_user() {
    let site = Site::new(rules()).await;
    site.pool.execute("create table t (n int)").await.expect("done");
    site.pool.execute("begin; insert into t values (1)").await.expect("done");
    sqlx::query("insert into t values (2)").execute(&site.pool).await.expect("a transaction of its own");
    let mut lease = site.pool.acquire(&admission(Class::Normal)).await.expect("free");
    (&mut *lease).execute("begin").await.expect("begun");
    (&mut *lease).execute("insert into t values (3)").await.expect("inserted");
    drop(lease);
    let kept: Vec<i32> = sqlx::query_scalar("select n from t").fetch_all(&site.pool).await.expect("answers");
    assert_eq!(kept, [2]);
    assert_eq!(site.pool.snapshot().totals.quarantined, 2);
    site.pool.execute("begin; insert into t values (4); commit").await.expect("done");
    assert_eq!(site.pool.snapshot().totals.quarantined, 2, "it was ended by text too");
}

#[tokio::test]
async fn text_and_ours_are_not_mixed() {
    let site = Site::new(rules()).await;
    let mut lease = site.pool.acquire(&admission(Class::Normal)).await.expect("free");
    (&mut *lease).execute("begin").await.expect("begun");
    let error = lease.begin().await.expect_err("one is open");
    assert!(matches!(classify(&error), Some(PoolError::ByText)), "{error}");
    (&mut *lease).execute("rollback").await.expect("ended");
    let mut tx = lease.begin().await.expect("begins");
    (&mut *tx).execute("commit").await.expect("ended");
    let error = tx.commit().await.expect_err("it is ended");
    assert!(matches!(classify(&error), Some(PoolError::ByText)), "{error}");
    drop(lease);
    assert_eq!(site.pool.snapshot().totals.quarantined, 0);
}

#[tokio::test]
async fn what_is_local_to_a_transaction_costs_nothing() {
    let site = Site::new(rules()).await;
    let mut tx = site.pool.begin().await.expect("begins");
    (&mut *tx).execute("set local work_mem = '123kB'").await.expect("set");
    (&mut *tx).execute("select set_config('lock_timeout', '1s', true)").await.expect("set");
    (&mut *tx).execute("select pg_advisory_xact_lock(7)").await.expect("locked");
    tx.commit().await.expect("committed");
    assert_ne!(setting(&site, "work_mem").await, "123kB");
    assert_eq!(site.pool.snapshot().totals.quarantined, 0);
}
