//! Parts of transactions, their options, and their repetition.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use forebay_pool::{Class, Config, Isolation, Pool, PoolError, Tx, TxOptions, classify};
use sqlx::{Executor, PgConnection};
use tokio::sync::Barrier;
use tokio::time::timeout;

use crate::{Site, admission, eventually, rules};

async fn site_with_table() -> Site {
    let site = Site::new(rules()).await;
    site.pool.execute("create table t (n int primary key, hits int not null default 0)").await.expect("done");
    site
}

async fn insert(tx: &mut Tx<'_>, n: i32) -> Result<(), sqlx::Error> {
    sqlx::query("insert into t values ($1)").bind(n).execute(&mut **tx).await.map(drop)
}

async fn kept(site: &Site) -> Vec<i32> {
    sqlx::query_scalar("select n from t order by n").fetch_all(&site.pool).await.expect("answers")
}

#[tokio::test]
async fn a_part_ends_on_its_own() {
    let site = site_with_table().await;
    let mut tx = site.pool.begin().await.expect("begins");
    insert(&mut tx, 1).await.expect("inserted");
    let mut kept_part = tx.begin().await.expect("begins");
    insert(&mut kept_part, 2).await.expect("inserted");
    let mut inner = kept_part.begin().await.expect("begins");
    insert(&mut inner, 3).await.expect("inserted");
    inner.rollback().await.expect("rolled back");
    kept_part.commit().await.expect("kept");
    let mut dropped = tx.begin().await.expect("begins");
    insert(&mut dropped, 4).await.expect("inserted");
    let mut inner = dropped.begin().await.expect("begins");
    insert(&mut inner, 5).await.expect("inserted");
    inner.commit().await.expect("kept as far as the outer one is");
    drop(dropped);
    insert(&mut tx, 6).await.expect("inserted");
    let last = tx.begin().await.expect("begins");
    drop(last);
    tx.commit().await.expect("committed");
    assert_eq!(kept(&site).await, [1, 2, 6]);
    assert_eq!(site.pool.snapshot().totals.quarantined, 0);
}

#[tokio::test]
async fn a_part_that_fails_does_not_fail_the_whole() {
    let site = site_with_table().await;
    let mut tx = site.pool.begin().await.expect("begins");
    insert(&mut tx, 1).await.expect("inserted");
    for end in ["rollback", "commit", "drop"] {
        let mut part = tx.begin().await.expect("begins");
        insert(&mut part, 1).await.expect_err("a duplicate");
        match end {
            "rollback" => part.rollback().await.expect("rolled back"),
            "commit" => {
                let error = part.commit().await.expect_err("it had failed");
                assert!(matches!(classify(&error), Some(PoolError::Aborted)), "{error}");
            }
            _ => drop(part),
        }
    }
    insert(&mut tx, 2).await.expect("the whole still stands");
    tx.commit().await.expect("committed");
    assert_eq!(kept(&site).await, [1, 2]);
}

#[tokio::test]
async fn a_part_dropped_at_any_moment_leaves_the_whole_as_it_was() {
    let site = site_with_table().await;
    let mut tx = site.pool.begin().await.expect("begins");
    insert(&mut tx, 0).await.expect("inserted");
    for round in 1..100_i32 {
        let work = async {
            let mut part = tx.begin().await?;
            insert(&mut part, round).await?;
            std::future::pending::<Result<(), sqlx::Error>>().await
        };
        let micros = u64::from(round.unsigned_abs()) * 10;
        timeout(Duration::from_micros(micros), work).await.expect_err("it is cut short");
    }
    insert(&mut tx, 100).await.expect("the whole still stands");
    tx.commit().await.expect("committed");
    assert_eq!(kept(&site).await, [0, 100]);
}

#[tokio::test]
async fn options_travel_with_the_begin_and_end_with_the_transaction() {
    let site = site_with_table().await;
    let options = TxOptions {
        isolation: Some(Isolation::Serializable),
        read_only: true,
        statement_timeout: Some(Duration::from_millis(1_234)),
        lock_timeout: Some(Duration::from_millis(77)),
        ..TxOptions::default()
    };
    let shown = "select current_setting('transaction_isolation'), current_setting('transaction_read_only'), \
                 current_setting('statement_timeout'), current_setting('lock_timeout')";
    let mut lease = site.pool.acquire(&admission(Class::Normal)).await.expect("free");
    let mut tx = lease.begin_with(&options).await.expect("begins");
    let row: (String, String, String, String) = sqlx::query_as(shown).fetch_one(&mut *tx).await.expect("answers");
    assert_eq!(row, ("serializable".into(), "on".into(), "1234ms".into(), "77ms".into()));
    tx.rollback().await.expect("rolled back");
    let row: (String, String, String, String) = sqlx::query_as(shown).fetch_one(&mut *lease).await.expect("answers");
    assert_eq!(row, ("read committed".into(), "off".into(), "5s".into(), "2s".into()));
}

#[tokio::test]
async fn a_class_has_options_of_its_own_and_the_pools_patience_follows_them() {
    let database = forebay_embedded::testing::database().await;
    let mut config = Config { rules: rules(), ..Config::named("test") };
    let patient = TxOptions { statement_timeout: Some(Duration::from_secs(20)), ..TxOptions::default() };
    config.transactions = vec![(Class::Critical, patient)];
    config.session.push(("statement_timeout".to_owned(), "50".to_owned()));
    let pool = Pool::connect(database.options(), config).expect("these rules hold");
    let slow = "select pg_sleep(0.6)";
    let mut tx = pool.begin_with(&admission(Class::Critical), None).await.expect("begins");
    sqlx::query(slow).execute(&mut *tx).await.expect("neither the server nor the pool ends it");
    tx.commit().await.expect("committed");
    let mut tx = pool.begin_with(&admission(Class::Normal), None).await.expect("begins");
    let error = sqlx::query(slow).execute(&mut *tx).await.expect_err("the server ends it");
    assert_eq!(error.as_database_error().and_then(|error| error.code()).as_deref(), Some("57014"));
}

/// Two transactions that read what the other writes: of such a pair the server refuses one.
async fn hits(
    pool: Pool,
    barrier: Arc<Barrier>,
    read: i32,
    write: i32,
    runs: Arc<AtomicU32>,
) -> Result<(), sqlx::Error> {
    let options = TxOptions { isolation: Some(Isolation::Serializable), ..TxOptions::default() };
    let first = AtomicU32::new(0);
    let work = pool.transaction_with(&admission(Class::Normal), Some(options), |tx| {
        let (runs, first, barrier) = (&runs, &first, &barrier);
        Box::pin(async move {
            runs.fetch_add(1, Ordering::Relaxed);
            let seen: i32 =
                sqlx::query_scalar("select hits from t where n = $1").bind(read).fetch_one(&mut **tx).await?;
            if first.fetch_add(1, Ordering::Relaxed) == 0 {
                // Whoever has failed never comes.
                let met = timeout(Duration::from_secs(10), barrier.wait()).await;
                met.expect("both have read");
            }
            sqlx::query("update t set hits = $2 + 1 where n = $1").bind(write).bind(seen).execute(&mut **tx).await?;
            Ok(())
        })
    });
    work.await
}

#[tokio::test]
async fn a_transaction_refused_for_the_sake_of_another_runs_again() {
    let site = site_with_table().await;
    site.pool.execute("insert into t values (1), (2)").await.expect("done");
    let (barrier, runs) = (Arc::new(Barrier::new(2)), Arc::new(AtomicU32::new(0)));
    // Spawned, so that it is seen to be fit for it.
    let one = tokio::spawn(hits(site.pool.clone(), Arc::clone(&barrier), 1, 2, Arc::clone(&runs)));
    let other = tokio::spawn(hits(site.pool.clone(), barrier, 2, 1, Arc::clone(&runs)));
    one.await.expect("no panic").expect("committed");
    other.await.expect("no panic").expect("committed");
    assert!(runs.load(Ordering::Relaxed) >= 3, "one of them was refused");
    let sum: i64 = sqlx::query_scalar("select sum(hits) from t").fetch_one(&site.pool).await.expect("answers");
    assert_eq!(sum, 3, "as if they had run one after the other");
}

#[tokio::test]
async fn work_that_fails_otherwise_is_rolled_back_and_not_repeated() {
    let site = site_with_table().await;
    let runs = AtomicU32::new(0);
    let failed: Result<(), sqlx::Error> = site
        .pool
        .transaction(|tx| {
            runs.fetch_add(1, Ordering::Relaxed);
            Box::pin(async move {
                insert(tx, 1).await?;
                insert(tx, 1).await
            })
        })
        .await;
    assert!(failed.expect_err("a duplicate").as_database_error().is_some());
    assert_eq!((runs.into_inner(), kept(&site).await), (1, vec![]));
    assert_eq!(site.pool.snapshot().totals.quarantined, 0, "rolled back before the lease ended");
    let swallowed: Result<(), sqlx::Error> = site
        .pool
        .transaction(|tx| {
            Box::pin(async move {
                insert(tx, 1).await?;
                insert(tx, 1).await.expect_err("a duplicate");
                Ok(())
            })
        })
        .await;
    let error = swallowed.expect_err("nothing was stored");
    assert!(matches!(classify(&error), Some(PoolError::Aborted)), "{error}");
}

#[tokio::test]
async fn repetitions_are_bounded() {
    let site = site_with_table().await;
    let runs = AtomicU32::new(0);
    let again = "do $$ begin raise exception 'again' using errcode = '40001'; end $$";
    let refused: Result<(), sqlx::Error> = site
        .pool
        .transaction_with(&admission(Class::Normal), None, |tx| {
            runs.fetch_add(1, Ordering::Relaxed);
            Box::pin(async move { tx.execute(again).await.map(drop) })
        })
        .await;
    assert_eq!(
        refused.expect_err("always").as_database_error().and_then(|error| error.code()).as_deref(),
        Some("40001")
    );
    assert_eq!(runs.into_inner(), 3);
}

/// Ends the backend of a transaction while its COMMIT runs: a deferred trigger makes that long.
async fn end_during_commit(outside: &mut PgConnection, pid: i32) {
    let committing = "select pg_terminate_backend(pid) from pg_stat_activity where pid = $1 and query = 'COMMIT' and state = 'active'";
    eventually("it commits", async || {
        sqlx::query(committing).bind(pid).execute(&mut *outside).await.expect("answers").rows_affected() > 0
    })
    .await;
}

#[tokio::test]
async fn a_loss_during_commit_is_an_unknown_outcome() {
    let site = site_with_table().await;
    sqlx::raw_sql(
        "create function slow() returns trigger language plpgsql as 'begin perform pg_sleep(10); return null; end'; \
         create constraint trigger slow after insert on t deferrable initially deferred for each row execute function slow()",
    )
    .execute(&site.pool)
    .await
    .expect("done");
    let mut outside = site.outside().await;
    let mut tx = site.pool.begin().await.expect("begins");
    insert(&mut tx, 1).await.expect("inserted");
    let pid: i32 = sqlx::query_scalar("select pg_backend_pid()").fetch_one(&mut *tx).await.expect("answers");
    let (committed, ()) = tokio::join!(tx.commit(), end_during_commit(&mut outside, pid));
    let error = committed.expect_err("its backend was ended");
    assert!(matches!(classify(&error), Some(PoolError::OutcomeUnknown)), "{error}");
}
