use std::time::Duration;

use forebay_pool::{AcquireError, Class, PoolError, Resize, Rules, classify};
use futures_util::FutureExt;
use sqlx::Executor;

use crate::{Site, admission, rules};

#[tokio::test]
async fn one_connection_serves_one_after_another_and_nothing_is_cleaned_in_between() {
    let site = Site::new(rules()).await;
    for n in 0..50_i64 {
        let mut lease = site.pool.acquire(&admission(Class::Normal)).await.expect("free");
        let answer: i64 = sqlx::query_scalar("select $1::int8").bind(n).fetch_one(&mut *lease).await.expect("answers");
        assert_eq!(answer, n);
    }
    let totals = site.pool.snapshot().totals;
    assert_eq!((totals.granted, totals.opened, totals.quarantined), (50, 1, 0));
}

#[tokio::test]
async fn plain_queries_run_on_the_pool_itself() {
    let site = Site::new(rules()).await;
    let one: i32 = sqlx::query_scalar("select 1").fetch_one(&site.pool).await.expect("answers");
    let rows = sqlx::query("select generate_series(1, 3)").fetch_all(&site.pool).await.expect("answers");
    site.pool.execute("create table t (n int)").await.expect("done");
    assert_eq!((one, rows.len()), (1, 3));
    assert_eq!(site.pool.snapshot().leased, 0);
}

#[tokio::test]
async fn a_servers_error_leaves_the_connection_clean() {
    let site = Site::new(rules()).await;
    for _ in 0..10 {
        let error = sqlx::query("select 1 / 0").execute(&site.pool).await.expect_err("division by zero");
        assert_eq!(error.as_database_error().and_then(|error| error.code()).as_deref(), Some("22012"));
        let error = sqlx::query("select 1 / 0").fetch_optional(&site.pool).await.expect_err("division by zero");
        assert!(error.as_database_error().is_some());
    }
    let totals = site.pool.snapshot().totals;
    assert_eq!((totals.opened, totals.quarantined), (1, 0));
}

#[tokio::test]
async fn a_future_dropped_in_the_middle_of_a_statement_hands_nobody_a_busy_connection() {
    let site = Site::new(rules()).await;
    for round in 0..20 {
        let mut lease = site.pool.acquire(&admission(Class::Normal)).await.expect("free");
        // Far longer than a busy machine holds the timer up; the pool stops it.
        let slow = sqlx::query("select pg_sleep(10), 1").execute(&mut *lease);
        let cut = tokio::time::timeout(Duration::from_millis(round % 5), slow).await;
        assert!(cut.is_err());
        drop(lease);
        let one: i32 = sqlx::query_scalar("select 1").fetch_one(&site.pool).await.expect("answers");
        assert_eq!(one, 1);
    }
    site.until("all clean", |snapshot| snapshot.quarantined == 0).await;
    assert_eq!(site.pool.snapshot().leased, 0);
}

#[tokio::test]
async fn a_stream_left_half_read_is_cleaned_before_the_next_user() {
    use futures_util::StreamExt;
    let site = Site::new(rules()).await;
    let mut lease = site.pool.acquire(&admission(Class::Normal)).await.expect("free");
    let mut rows = (&mut *lease).fetch("select generate_series(1, 1000)");
    rows.next().await.expect("a row").expect("a row");
    drop(rows);
    let one: i32 = sqlx::query_scalar("select 1").fetch_one(&mut *lease).await.expect("the same lease goes on");
    assert_eq!(one, 1);
    drop(lease);
    assert_eq!(site.pool.snapshot().totals.quarantined, 0, "the second statement read the rest");
}

#[tokio::test]
async fn an_acquire_dropped_at_any_moment_loses_no_connection() {
    let site = Site::new(rules()).await;
    for round in 0..200_u32 {
        let held = site.pool.acquire(&admission(Class::Normal)).now_or_never();
        let mut acquire = site.pool.acquire(&admission(Class::Normal));
        for _ in 0..round % 7 {
            if (&mut acquire).now_or_never().is_some() {
                break;
            }
            tokio::task::yield_now().await;
        }
        drop((held, acquire));
    }
    site.until("nothing is out", |snapshot| snapshot.leased == 0 && snapshot.waiting == 0).await;
    let leases: Vec<_> =
        futures_util::future::join_all((0..4).map(|_| site.pool.acquire(&admission(Class::Normal)))).await;
    assert!(leases.iter().all(Result::is_ok), "all four places are there");
}

#[tokio::test]
async fn a_lease_held_idle_is_named_gives_its_place_away_and_its_holder_is_told() {
    let rules =
        Rules { suspect_after: Duration::from_millis(100), revoke_after: Some(Duration::from_millis(300)), ..rules() };
    let site = Site::new(rules).await;
    sqlx::query("create table t (n int)").execute(&site.pool).await.expect("done");
    let mut holder = site.pool.acquire(&admission(Class::Normal)).await.expect("free");
    let here = line!() - 1;
    let mut tx = holder.begin().await.expect("begins");
    sqlx::query("insert into t values (1)").execute(&mut *tx).await.expect("inserted");
    site.until("suspected", |snapshot| snapshot.suspects == 1).await;
    let named = site.pool.holders().remove(0);
    assert_eq!((named.site.file(), named.site.line()), (file!(), here));
    site.until("taken back and clean", |snapshot| snapshot.totals.revoked == 1 && snapshot.idle == 1).await;
    let error = sqlx::query("select 1").execute(&mut *tx).await.expect_err("it was taken back");
    assert!(matches!(classify(&error), Some(PoolError::Revoked { .. })), "{error}");
    drop(tx);
    drop(holder);
    let count: i64 = sqlx::query_scalar("select count(*) from t").fetch_one(&site.pool).await.expect("answers");
    assert_eq!(count, 0, "what was not committed is rolled back");
    assert_eq!(site.pool.snapshot().totals.opened, 1, "the same connection serves on");
}

#[tokio::test]
async fn a_running_statement_is_not_held_idle() {
    let rules =
        Rules { suspect_after: Duration::from_millis(50), revoke_after: Some(Duration::from_millis(100)), ..rules() };
    let site = Site::new(rules).await;
    sqlx::query("select pg_sleep(0.5)").execute(&site.pool).await.expect("it may take its time");
    assert_eq!(site.pool.snapshot().totals.suspected, 0);
    // And the watch still works, with bounds below its own interval.
    let _idle = site.pool.acquire(&admission(Class::Normal)).await.expect("free");
    site.until("taken back", |snapshot| snapshot.totals.revoked == 1).await;
}

#[tokio::test]
async fn a_wait_that_ends_in_vain_says_who_holds_the_connections() {
    let site = Site::new(Rules { mode: forebay_pool::Mode::Off, ..rules() }).await;
    let mut held = Vec::new();
    for _ in 0..4 {
        held.push(site.pool.acquire(&admission(Class::Normal)).await.expect("free"));
    }
    site.pool.resize(Resize { limit: Some(4), ..Resize::default() }).expect("as it is");
    let soon = forebay_pool::Admission::new(
        Class::Normal,
        (tokio::time::Instant::now() + Duration::from_millis(30)).into_std(),
    );
    let error = site.pool.acquire(&soon).await.expect_err("all are out");
    let AcquireError::Timeout(timeout) = &error else { panic!("{error}") };
    assert_eq!(timeout.longest.len(), 4);
    assert!(error.to_string().contains("leases.rs"), "{error}");
}

#[tokio::test]
async fn work_that_has_begun_is_ranked_first_and_never_shed() {
    let site = Site::new(rules()).await;
    site.pool.resize(Resize { limit: Some(2), ..Resize::default() }).expect("within bounds");
    let begun = admission(Class::Normal);
    drop(site.pool.acquire(&begun).await.expect("free"));
    assert!(begun.has_begun());
    let one = site.pool.acquire(&admission(Class::Normal)).await.expect("free");
    let _two = site.pool.acquire(&admission(Class::Normal)).await.expect("free");
    let normal = tokio::spawn(site.pool.acquire(&admission(Class::Normal)));
    site.until("one waits", |snapshot| snapshot.waiting == 1).await;
    // The continuation may use the reserve, so it does not even wait.
    let _three = site.pool.acquire(&begun).await.expect("the reserve is for work that has begun");
    drop(one);
    normal.await.expect("not cancelled").expect_err("shed while its place is taken by the continuation");
}
