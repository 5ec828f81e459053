//! Ways past the watch: a raw connection, a detached one, and a side door for what knows only sqlx's pool.

use forebay_pool::{Class, PoolError, Rules, classify};
use futures_util::TryStreamExt;
use sqlx::Executor;
use sqlx::postgres::PgListener;

use crate::{Site, admission, rules};

#[tokio::test]
async fn rows_are_copied_in_and_out_over_the_raw_connection_of_a_lease() {
    let site = Site::new(rules()).await;
    site.pool.execute("create table t (n int)").await.expect("done");
    let mut lease = site.pool.acquire(&admission(Class::Normal)).await.expect("free");
    let mut raw = lease.raw().await.expect("here");
    let mut copy = raw.copy_in_raw("copy t from stdin").await.expect("begun");
    copy.send(b"1\n2\n".as_slice()).await.expect("sent");
    assert_eq!(copy.finish().await.expect("done"), 2);
    let out: Vec<_> = raw.copy_out_raw("copy t to stdout").await.expect("begun").try_collect().await.expect("read");
    assert_eq!(out.concat(), b"1\n2\n");
    drop(raw);
    let count: i64 = sqlx::query_scalar("select count(*) from t").fetch_one(&mut *lease).await.expect("goes on");
    assert_eq!(count, 2);
    drop(lease);
    site.until("reset", |snapshot| snapshot.idle == 1 && snapshot.totals.quarantined == 1).await;
    assert_eq!(site.pool.snapshot().totals.opened, 1);
}

#[tokio::test]
async fn a_copy_that_is_dropped_half_way_leaves_nothing_to_the_next_user() {
    let site = Site::new(rules()).await;
    site.pool.execute("create table t (n int)").await.expect("done");
    for into in [true, false] {
        let mut lease = site.pool.acquire(&admission(Class::Normal)).await.expect("free");
        let mut raw = lease.raw().await.expect("here");
        if into {
            let mut copy = raw.copy_in_raw("copy t from stdin").await.expect("begun");
            copy.send(b"1\n".as_slice()).await.expect("sent");
        } else {
            let many = "copy (select generate_series(1, 100000)) to stdout";
            let mut out = raw.copy_out_raw(many).await.expect("begun");
            out.try_next().await.expect("some").expect("some");
        }
        drop(raw);
        drop(lease);
        let count: i64 = sqlx::query_scalar("select count(*) from t").fetch_one(&site.pool).await.expect("answers");
        assert_eq!(count, 0);
    }
}

#[tokio::test]
async fn a_transaction_left_open_on_a_raw_connection_is_rolled_back() {
    let site = Site::new(rules()).await;
    site.pool.execute("create table t (n int)").await.expect("done");
    let mut lease = site.pool.acquire(&admission(Class::Normal)).await.expect("free");
    let mut raw = lease.raw().await.expect("here");
    raw.execute("begin; insert into t values (1)").await.expect("done");
    drop(raw);
    drop(lease);
    site.until("reset", |snapshot| snapshot.idle == 1).await;
    let count: i64 = sqlx::query_scalar("select count(*) from t").fetch_one(&site.pool).await.expect("answers");
    assert_eq!((count, site.pool.snapshot().totals.opened), (0, 1));
}

#[tokio::test]
async fn a_transaction_that_failed_on_the_raw_connection_is_not_committed_in_silence() {
    let site = Site::new(rules()).await;
    site.pool.execute("create table t (n int primary key)").await.expect("done");
    for fails in [true, false] {
        let mut tx = site.pool.begin().await.expect("begins");
        (&mut *tx).execute("insert into t values (1)").await.expect("inserted");
        let mut raw = tx.raw().await.expect("here");
        if fails {
            raw.execute("insert into t values (1)").await.expect_err("a duplicate");
        }
        drop(raw);
        match tx.commit().await {
            Err(error) => assert!(fails && matches!(classify(&error), Some(PoolError::Aborted)), "{error}"),
            Ok(()) => assert!(!fails),
        }
    }
}

#[tokio::test]
async fn a_detached_connection_is_no_lease_but_counts_until_it_is_dropped() {
    let site = Site::new(Rules { suspect_after: std::time::Duration::from_millis(100), ..rules() }).await;
    let lease = site.pool.acquire(&admission(Class::Normal)).await.expect("free");
    let mut detached = lease.detach().await.expect("here");
    let snapshot = site.pool.snapshot();
    assert_eq!((snapshot.leased, snapshot.open()), (0, 1));
    detached.execute("select pg_sleep(0.3)").await.expect("nobody takes it back");
    assert_eq!(site.pool.snapshot().totals.suspected, 0);
    drop(detached);
    site.until("closed", |snapshot| snapshot.open() == 0).await;
    let kept = site.pool.acquire(&admission(Class::Normal)).await.expect("free").detach().await.expect("here");
    let mut connection = kept.into_inner();
    site.until("not counted", |snapshot| snapshot.open() == 0).await;
    connection.execute("select 1").await.expect("it lives on");
}

#[tokio::test]
async fn a_listener_lives_on_a_side_door_that_counts_below_the_ceiling() {
    let site = Site::new(rules()).await;
    let door = site.pool.side_door(&admission(Class::Normal), 2).await.expect("there is room");
    assert_eq!(site.pool.snapshot().open(), 2);
    let mut listener = PgListener::connect_with(&door).await.expect("connects");
    listener.listen("news").await.expect("listens");
    site.pool.execute("select pg_notify('news', 'good')").await.expect("told");
    assert_eq!(listener.recv().await.expect("heard").payload(), "good");
    drop(listener);
    door.close().await;
    site.until("the places are free", |snapshot| snapshot.open() == snapshot.idle).await;
}

#[tokio::test]
async fn a_side_door_that_the_ceiling_has_no_room_for_takes_nothing() {
    let site = Site::new(Rules { initial_limit: 2, ceiling: 4, ..rules() }).await;
    let soon = forebay_pool::Admission::within(Class::Normal, std::time::Duration::from_millis(200));
    site.pool.side_door(&soon, 9).await.expect_err("there are three places");
    site.until("all are free", |snapshot| snapshot.open() == snapshot.idle).await;
}
