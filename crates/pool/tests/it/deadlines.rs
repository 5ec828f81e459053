//! What a request's deadline does at each stage: the door, the wait, the begin, each statement, and the commit.

use std::time::Duration;

use forebay_pool::{AcquireError, Admission, Class, Config, PoolError, ShedReason, TxOptions, classify};
use sqlx::Executor as _;

use crate::{Site, admission, eventually, rules};

/// A request whose time has run out since it came in.
fn late() -> Admission {
    Admission::within(Class::Critical, Duration::ZERO)
}

/// For so long that the machine may be slow.
fn soon() -> Admission {
    Admission::within(Class::Normal, Duration::from_secs(1))
}

fn config() -> Config {
    Config { rules: rules(), ..Config::named("test") }
}

/// A pool that has a connection.
async fn warm(config: Config) -> Site {
    let site = Site::with(config).await;
    drop(site.pool.acquire(&admission(Class::Normal)).await.expect("free"));
    site.until("one is idle", |snapshot| snapshot.idle == 1).await;
    site
}

async fn pass(admission: &Admission) {
    while !admission.remaining().is_zero() {
        tokio::task::yield_now().await;
    }
}

async fn nothing_runs_beside(site: &Site) {
    let mut outside = site.outside().await;
    let busy = "select count(*) from pg_stat_activity where state = 'active' and query like '%pg_sleep%' \
                and pid <> pg_backend_pid()";
    eventually("nothing runs", async || {
        sqlx::query_scalar::<_, i64>(busy).fetch_one(&mut outside).await.expect("answers") == 0
    })
    .await;
}

fn is_too_late(error: &sqlx::Error) -> bool {
    matches!(classify(error), Some(PoolError::TooLate))
}

#[tokio::test]
async fn a_request_that_comes_too_late_gets_nothing_though_a_connection_is_idle() {
    let site = warm(config()).await;
    for error in [site.pool.admit(&late()).err(), site.pool.acquire(&late()).await.err()] {
        assert!(matches!(error, Some(AcquireError::Shed { reason: ShedReason::Deadline, .. })), "{error:?}");
    }
    assert!(site.pool.try_acquire(&late()).is_none());
    let begun = late();
    begun.begin();
    let error = site.pool.acquire(&begun).await.expect_err("it is too late");
    assert!(matches!(&error, AcquireError::Timeout(timeout) if timeout.continuation), "{error}");
}

#[tokio::test]
async fn a_begin_tells_the_server_how_long_the_request_has() {
    let site = warm(config()).await;
    let limit = async |admission: Admission, options: Option<TxOptions>| -> i32 {
        let mut tx = site.pool.begin_with(&admission, options).await.expect("begins");
        let shown = "select setting::int from pg_settings where name = 'statement_timeout'";
        sqlx::query_scalar(shown).fetch_one(&mut *tx).await.expect("answers")
    };
    let within = |seconds| Admission::within(Class::Normal, Duration::from_secs(seconds));
    let of =
        |seconds| Some(TxOptions { statement_timeout: Some(Duration::from_secs(seconds)), ..TxOptions::default() });
    assert!((1..=3_000).contains(&limit(within(3), None).await), "what is left");
    assert_eq!(limit(within(3), of(1)).await, 1_000, "the transaction's own is less");
    assert!((1..=3_000).contains(&limit(within(3), of(60)).await), "the transaction's own is more");
    assert!((1..=3_000).contains(&limit(within(3), of(0)).await), "the transaction's own is none");
    assert_eq!(limit(within(60), None).await, 5_000, "the session's");
    assert_eq!(limit(Admission::without_deadline(Class::Normal), None).await, 5_000, "the session's");
    assert_eq!(limit(Admission::without_deadline(Class::Normal), of(0)).await, 0, "none");
}

#[tokio::test]
async fn a_statement_is_given_up_and_stopped_at_the_requests_deadline() {
    let site = warm(Config { session: Vec::new(), ..config() }).await;
    let admission = Admission::without_deadline(Class::Normal).or_sooner(Duration::from_secs(1));
    let mut lease = site.pool.acquire(&admission).await.expect("free");
    let error = lease.execute("select pg_sleep(600)").await.expect_err("it is given up");
    assert!(matches!(classify(&error), Some(PoolError::Silent { .. })), "{error}");
    assert!(admission.remaining().is_zero());
    drop(lease);
    nothing_runs_beside(&site).await;
    site.until("its connection is clean", |snapshot| snapshot.idle == 1).await;
}

#[tokio::test]
async fn in_a_transaction_the_server_itself_stops_what_comes_to_the_deadline() {
    let site = warm(config()).await;
    let admission = soon();
    let mut tx = site.pool.begin_with(&admission, None).await.expect("begins");
    let error = tx.execute("select pg_sleep(600)").await.expect_err("it is stopped");
    let code = error.as_database_error().and_then(|error| error.code().map(String::from));
    assert_eq!(code.as_deref(), Some("57014"), "{error}");
}

#[tokio::test]
async fn after_the_deadline_nothing_is_begun_and_what_lacks_a_statement_is_not_stored() {
    let site = warm(config()).await;
    site.pool.execute("create table kept (id int)").await.expect("created");
    let admission = soon();
    let mut lease = site.pool.acquire(&admission).await.expect("free");
    let mut tx = lease.begin().await.expect("in time");
    tx.execute("insert into kept values (1)").await.expect("in time");
    pass(&admission).await;
    let error = tx.execute("insert into kept values (2)").await.expect_err("too late");
    assert!(is_too_late(&error), "{error}");
    let error = tx.commit().await.expect_err("half of it is missing");
    assert!(matches!(classify(&error), Some(PoolError::Aborted)), "{error}");
    assert!(is_too_late(&lease.execute("select 1").await.expect_err("too late")));
    assert!(is_too_late(&lease.begin().await.expect_err("too late")));
    drop(lease);
    let kept: i64 = sqlx::query_scalar("select count(*) from kept").fetch_one(&site.pool).await.expect("answers");
    assert_eq!((kept, site.pool.snapshot().totals.opened), (0, 1));
}

#[tokio::test]
async fn what_was_done_in_time_is_stored_after_the_deadline() {
    let site = warm(config()).await;
    site.pool.execute("create table kept (id int)").await.expect("created");
    let admission = soon();
    let mut tx = site.pool.begin_with(&admission, None).await.expect("in time");
    tx.execute("insert into kept values (1)").await.expect("in time");
    pass(&admission).await;
    tx.commit().await.expect("nothing is missing");
    let kept: i64 = sqlx::query_scalar("select count(*) from kept").fetch_one(&site.pool).await.expect("answers");
    assert_eq!(kept, 1);
}
