//! Statements whose callers have left, and errors that come late.

use std::time::Duration;

use forebay_pool::{Config, PoolError, classify};
use forebay_wire::Connection;
use sqlx::PgConnection;

use crate::{LIMIT, Site, answer, config, eventually, pid_of, rules, so, trusting};

/// Runs something long on a lease and leaves when the server is busy with it; its connection and its backend.
async fn abandon(site: &Site) -> (Connection, i32) {
    let mut lease = site.lease().await;
    let pid = pid_of(&mut lease).await;
    let connection = site.proxy.connection_to(pid).expect("it goes through the proxy");
    {
        let long = sqlx::query("select pg_sleep(30)").execute(&mut *lease);
        tokio::pin!(long);
        let before = connection.counts();
        tokio::select! {
            answer = &mut long => panic!("it takes half a minute: {answer:?}"),
            () = eventually("it runs", || so(connection.counts().since(&before).messages(forebay_wire::Side::Frontend, b'E') == 1)) => {}
        }
    }
    (connection, pid)
}

/// Polls until no backend of this process id runs a statement.
async fn stops(outside: &mut PgConnection, pid: i32) {
    let end = tokio::time::Instant::now() + LIMIT;
    loop {
        let active: i64 =
            sqlx::query_scalar("select count(*) from pg_stat_activity where pid = $1 and state = 'active'")
                .bind(pid)
                .fetch_one(&mut *outside)
                .await
                .expect("answers");
        if active == 0 {
            return;
        }
        assert!(tokio::time::Instant::now() < end, "the server works on");
    }
}

#[tokio::test]
async fn an_abandoned_statement_stops_on_the_server_and_its_place_comes_back() {
    let site = Site::new(rules()).await;
    let (_, pid) = abandon(&site).await;
    stops(&mut site.outside().await, pid).await;
    site.is_at_full_strength().await;
}

#[tokio::test]
async fn abandoned_statements_never_run_on_top_of_the_limit() {
    let site = Site::new(rules()).await;
    let mut outside = site.outside().await;
    for _ in 0..3 {
        abandon(&site).await;
        let snapshot = site.pool.snapshot();
        // Connections that are being opened ask something of their own.
        let running: i64 = sqlx::query_scalar(
            "select count(*) from pg_stat_activity where application_name = 'wire' and datname = current_database() \
             and state = 'active' and query like '%pg_sleep%'",
        )
        .fetch_one(&mut outside)
        .await
        .expect("answers");
        let counted = i64::from(snapshot.leased + snapshot.quarantined + snapshot.closing);
        assert!(running <= counted, "{running} run, and the pool counts {counted}: {snapshot:?}");
    }
    site.is_at_full_strength().await;
}

#[tokio::test]
async fn an_abandoned_statement_is_cancelled_and_its_connection_used_again() {
    let unhurried = Config { rules: trusting(), cleanup_timeout: LIMIT, ..config() };
    let site = Site::with(unhurried).await;
    let (connection, pid) = abandon(&site).await;
    site.until("it is clean", |snapshot| snapshot.quarantined == 0 && snapshot.idle == 1).await;
    assert_eq!(pid_of(&mut site.lease().await).await, pid);
    assert!(connection.is_open());
    site.is_at_full_strength().await;
}

#[tokio::test]
async fn an_error_that_comes_after_the_last_row_is_never_the_next_callers() {
    let site = Site::new(trusting()).await;
    let mut lease = site.lease().await;
    let connection = site.proxy.connection_to(pid_of(&mut lease).await).expect("it goes through the proxy");
    // Prepared now: the error would else come before there is a row.
    answer(&mut lease).await.expect("answers");
    drop(lease);
    for _ in 0..10 {
        let mut lease = site.lease().await;
        connection.send_late_error();
        // Whether the row or the error is the answer is the driver's choice.
        _ = answer(&mut lease).await;
        drop(lease);
        assert_eq!(answer(&mut site.lease().await).await.expect("nobody cancelled this one"), 1);
    }
    let totals = site.pool.snapshot().totals;
    assert_eq!((totals.opened, totals.quarantined), (1, 0));
}

#[tokio::test]
async fn an_error_that_comes_after_a_statement_was_abandoned_is_never_the_next_callers() {
    let site = Site::new(trusting()).await;
    for _ in 0..5 {
        let mut lease = site.lease().await;
        let connection = site.proxy.connection_to(pid_of(&mut lease).await).expect("it goes through the proxy");
        sqlx::query("select pg_sleep(0.05)").execute(&mut *lease).await.expect("prepared");
        connection.send_late_error();
        let short = sqlx::query("select pg_sleep(0.05)").execute(&mut *lease);
        let cut = tokio::time::timeout(Duration::from_millis(10), short).await;
        assert!(cut.is_err(), "it takes longer");
        drop(lease);
        assert_eq!(answer(&mut site.lease().await).await.expect("nobody cancelled this one"), 1);
        site.until("it is clean", |snapshot| snapshot.quarantined == 0).await;
    }
    site.is_at_full_strength().await;
}

#[tokio::test]
async fn a_late_error_in_a_transaction_fails_its_commit() {
    let site = Site::with(config()).await;
    sqlx::query("create table t (n int)").execute(&site.pool).await.expect("done");
    let mut lease = site.lease().await;
    let connection = site.proxy.connection_to(pid_of(&mut lease).await).expect("it goes through the proxy");
    let mut tx = lease.begin().await.expect("begins");
    connection.send_late_error();
    // As one message, so that the row is there and the error comes after it.
    _ = sqlx::raw_sql("insert into t values (1)").execute(&mut *tx).await;
    let error = tx.commit().await.expect_err("a statement of it failed");
    assert!(matches!(classify(&error), Some(PoolError::Aborted)), "{error}");
    drop(lease);
    let stored: i64 = sqlx::query_scalar("select count(*) from t").fetch_one(&site.pool).await.expect("answers");
    assert_eq!(stored, 0);
    site.is_at_full_strength().await;
}
