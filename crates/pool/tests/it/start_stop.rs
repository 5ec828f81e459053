//! How a pool begins, what is done with each of its sessions before anybody has it, and how it ends.

use std::collections::HashSet;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use forebay_pool::{
    AcquireError, Admission, Class, Config, Connector, InvalidConfig, Mode, NotReady, Pool, PoolError, Resize, Rules,
    classify,
};
use futures_util::future::BoxFuture;
use sqlx::postgres::PgConnectOptions;
use sqlx::{Executor, PgConnection};

use crate::{Site, admission, eventually, rules};

#[tokio::test]
async fn a_pool_is_ready_when_its_minimum_is_open() {
    let site = Site::new(Rules { min_idle: 3, ..rules() }).await;
    site.pool.ready(Duration::from_secs(20)).await.expect("the server has room");
    let snapshot = site.pool.snapshot();
    assert!(snapshot.leased == 0 && snapshot.idle >= 3, "{snapshot:?}");
}

#[tokio::test]
async fn a_ceiling_above_what_the_server_gives_is_told_at_the_start_with_both_numbers() {
    let site = Site::new(Rules { ceiling: 1_000, ..rules() }).await;
    let mut outside = site.outside().await;
    outside
        .execute("do $$ begin execute format('alter database %I connection limit 20', current_database()); end $$")
        .await
        .expect("done");
    let error = site.pool.ready(Duration::from_secs(20)).await.expect_err("it has not so much room");
    let NotReady::Bounds(InvalidConfig { faults }) = &error else { panic!("{error}") };
    assert_eq!(faults.len(), 2, "{faults:?}");
    assert!(faults[0].starts_with("ceiling is 1000, and the server has room for "), "{faults:?}");
    assert_eq!(faults[1], "ceiling is 1000, and its database has room for 20 connections");
}

#[tokio::test]
async fn a_pool_without_a_server_says_at_the_start_why_it_is_not_ready() {
    let nowhere = "postgres://nobody@127.0.0.1:1/none".parse().expect("a url");
    let pool = Pool::connect(nowhere, Config { rules: rules(), ..Config::named("test") }).expect("these rules hold");
    let error = pool.ready(Duration::from_secs(60)).await.expect_err("there is no server");
    assert!(matches!(&error, NotReady::Acquire(AcquireError::Unavailable { .. })), "{error}");
    assert!(error.to_string().contains("refused"), "{error}");
}

/// Counts what it is asked for, and sets a search path.
#[derive(Debug, Default)]
struct Counting {
    dials: Arc<AtomicU32>,
    prepared: Arc<AtomicU32>,
}

impl Connector for Counting {
    fn options(&self, configured: PgConnectOptions) -> BoxFuture<'_, Result<PgConnectOptions, sqlx::Error>> {
        self.dials.fetch_add(1, Ordering::Relaxed);
        Box::pin(async move { Ok(configured.application_name("by the connector")) })
    }

    fn prepare<'c>(&'c self, connection: &'c mut PgConnection) -> BoxFuture<'c, Result<(), sqlx::Error>> {
        self.prepared.fetch_add(1, Ordering::Relaxed);
        Box::pin(async move { connection.execute("set search_path to elsewhere").await.map(drop) })
    }
}

async fn setting(pool: &Pool, name: &str) -> String {
    sqlx::query_scalar("select current_setting($1)").bind(name).fetch_one(pool).await.expect("answers")
}

#[tokio::test]
async fn a_connector_dials_with_its_own_options_and_prepares_every_session_also_after_a_reset() {
    let site = Site::new(rules()).await;
    let (connector, config) = (Counting::default(), Config { rules: rules(), ..Config::named("test") });
    let (dials, prepared) = (Arc::clone(&connector.dials), Arc::clone(&connector.prepared));
    let pool = Pool::builder(site.database.options(), config).connector(connector).connect().expect("these rules hold");
    assert_eq!(setting(&pool, "application_name").await, "by the connector");
    assert_eq!(setting(&pool, "search_path").await, "elsewhere");
    assert_eq!(setting(&pool, "statement_timeout").await, "5s", "what was configured is kept");
    assert!(dials.load(Ordering::Relaxed) >= 1);
    assert_eq!(prepared.load(Ordering::Relaxed), 1);
    // Its holder leaves something behind, so that the session is reset: what was prepared goes too, and is prepared anew.
    (&pool).execute("set search_path to nowhere").await.expect("done");
    assert_eq!(setting(&pool, "search_path").await, "elsewhere");
    // Whoever comes while the session is reset may get one that was opened meanwhile.
    assert!(prepared.load(Ordering::Relaxed) >= 2);
    pool.close().await;
}

/// Leaves something open.
#[derive(Debug)]
struct Careless(&'static str);

impl Connector for Careless {
    fn prepare<'c>(&'c self, connection: &'c mut PgConnection) -> BoxFuture<'c, Result<(), sqlx::Error>> {
        Box::pin(async move {
            // What it has overlooked is an error of a statement, not of the hook.
            drop(connection.execute(self.0).await);
            Ok(())
        })
    }
}

#[tokio::test]
async fn a_connector_that_leaves_a_transaction_open_is_refused_by_name() {
    let site = Site::new(rules()).await;
    for careless in ["begin", "begin; select 1", "start transaction read only", "begin; select 1 / 0"] {
        let config = Config { rules: rules(), ..Config::named("test") };
        let builder = Pool::builder(site.database.options(), config).connector(Careless(careless));
        let pool = builder.connect().expect("these rules hold");
        let error = pool.ready(Duration::from_secs(5)).await.expect_err("no session may be used");
        assert!(error.to_string().contains("Connector::prepare left a transaction open"), "{careless}: {error}");
        pool.close().await;
    }
    for careful in ["begin; select 1; commit", "begin; rollback; set search_path to elsewhere", "select 1 / 0"] {
        let config = Config { rules: rules(), ..Config::named("test") };
        let builder = Pool::builder(site.database.options(), config).connector(Careless(careful));
        let pool = builder.connect().expect("these rules hold");
        sqlx::query("select 1").execute(&pool).await.unwrap_or_else(|error| panic!("{careful}: {error}"));
        pool.close().await;
    }
}

/// Begins a transaction in a session that it prepares again. It knows them by their backends.
#[derive(Debug, Default)]
struct Tiring(Mutex<HashSet<i32>>);

impl Connector for Tiring {
    fn prepare<'c>(&'c self, connection: &'c mut PgConnection) -> BoxFuture<'c, Result<(), sqlx::Error>> {
        Box::pin(async move {
            let pid = sqlx::query_scalar("select pg_backend_pid()").fetch_one(&mut *connection).await?;
            let is_new = self.0.lock().expect("no panic").insert(pid);
            connection.execute(if is_new { "select 1" } else { "begin" }).await.map(drop)
        })
    }
}

#[tokio::test]
async fn a_transaction_left_open_after_a_reset_closes_the_connection() {
    let database = forebay_embedded::testing::database().await;
    let config = Config { rules: rules(), ..Config::named("test") };
    let pool =
        Pool::builder(database.options(), config).connector(Tiring::default()).connect().expect("these rules hold");
    let backend = || async { sqlx::query_scalar::<_, i32>("select pg_backend_pid()").fetch_one(&pool).await };
    let before = backend().await.expect("answers");
    (&pool).execute("set work_mem = '123kB'").await.expect("done");
    assert_ne!(backend().await.expect("answers"), before);
    assert_eq!(setting(&pool, "work_mem").await, "4MB");
    pool.close().await;
}

/// Has no credentials.
#[derive(Debug)]
struct Locked;

impl Connector for Locked {
    fn options(&self, _: PgConnectOptions) -> BoxFuture<'_, Result<PgConnectOptions, sqlx::Error>> {
        Box::pin(async { Err(sqlx::Error::Configuration("the vault is locked".into())) })
    }
}

#[tokio::test]
async fn a_connector_without_credentials_is_an_opening_that_failed_with_its_words() {
    let site = Site::new(rules()).await;
    let config = Config { rules: rules(), ..Config::named("test") };
    let pool = Pool::builder(site.database.options(), config).connector(Locked).connect().expect("these rules hold");
    let error = pool.ready(Duration::from_secs(60)).await.expect_err("nobody can connect");
    assert!(error.to_string().contains("the vault is locked"), "{error}");
}

#[tokio::test]
async fn every_rule_can_be_changed_at_run_time() {
    let site = Site::new(Rules { min_idle: 2, ..rules() }).await;
    site.until("two are idle", |snapshot| snapshot.idle == 2).await;
    let rules = Rules {
        min_idle: 4,
        ceiling: 20,
        openings_at_once: 1,
        suspect_after: Duration::from_millis(50),
        revoke_after: Some(Duration::from_millis(100)),
        ..site.pool.rules()
    };
    site.pool.set_rules(rules.clone()).expect("they hold");
    assert_eq!(site.pool.rules(), rules);
    site.until("four are idle", |snapshot| snapshot.idle == 4 && snapshot.ceiling == 20).await;
    let mut lease = site.pool.acquire(&admission(Class::Normal)).await.expect("free");
    site.until("it was taken back", |snapshot| snapshot.totals.revoked == 1).await;
    let error = sqlx::query("select 1").execute(&mut *lease).await.expect_err("it was revoked");
    assert!(matches!(classify(&error), Some(PoolError::Revoked { .. })), "{error}");
    let faults = site.pool.set_rules(Rules { ceiling: 1, queue_capacity: 0, ..rules.clone() }).expect_err("two faults");
    assert_eq!(faults.faults.len(), 4, "{faults}");
    assert_eq!(site.pool.rules(), rules, "nothing has changed");
}

#[tokio::test]
async fn a_drain_waits_for_those_who_come_back_and_names_those_who_do_not() {
    let site = Site::new(rules()).await;
    let prompt = site.pool.acquire(&admission(Class::Normal)).await.expect("free");
    let mut idle = site.pool.acquire(&admission(Class::Normal)).await.expect("free");
    let mut busy = site.pool.acquire(&admission(Class::Critical)).await.expect("free");
    let (line, _) = (line!() - 1, drop(prompt));
    let pool = site.pool.clone();
    let working = tokio::spawn(async move {
        let error = (&mut *busy).execute("select pg_sleep(4)").await.expect_err("it is ended");
        matches!(classify(&error), Some(PoolError::Revoked { .. }))
    });
    let mut outside = site.outside().await;
    let runs = "select exists (select from pg_stat_activity where query = 'select pg_sleep(4)' and state = 'active')";
    eventually("the statement runs", async || sqlx::query_scalar(runs).fetch_one(&mut outside).await.expect("answers"))
        .await;
    let drained = pool.drain(Duration::from_millis(50)).await;
    assert_eq!((drained.late.len(), drained.open), (2, 0), "{drained:?}");
    assert!(drained.late.iter().any(|holder| holder.site.line() == line && holder.class == Class::Critical));
    assert!(working.await.expect("it does not panic"), "the statement that ran knows why it ended");
    let error = sqlx::query("select 1").execute(&mut *idle).await.expect_err("it was taken back");
    assert!(matches!(classify(&error), Some(PoolError::Revoked { .. })), "{error}");
    let refused = pool.acquire(&admission(Class::Normal)).await.expect_err("it is closed");
    assert!(matches!(refused, AcquireError::Closed { .. }), "{refused}");
}

#[tokio::test]
async fn a_drain_of_a_pool_that_nobody_uses_is_clean() {
    let site = Site::new(Rules { min_idle: 2, ..rules() }).await;
    site.until("two are idle", |snapshot| snapshot.idle == 2).await;
    let drained = site.pool.drain(Duration::from_secs(20)).await;
    assert_eq!((drained.late.len(), drained.open), (0, 0));
}

#[tokio::test]
async fn a_detached_connection_is_left_alone_by_a_drain_and_counted() {
    let site = Site::new(rules()).await;
    let lease = site.pool.acquire(&admission(Class::Normal)).await.expect("free");
    let mut detached = lease.detach().await.expect("it goes");
    let drained = site.pool.drain(Duration::from_millis(10)).await;
    assert_eq!((drained.late.len(), drained.open), (0, 1));
    (&mut *detached).execute("select 1").await.expect("it is its holder's");
}

#[tokio::test]
async fn a_task_that_waits_for_a_second_lease_is_counted() {
    let site = Site::new(Rules { mode: Mode::Off, ..rules() }).await;
    site.pool.resize(Resize { limit: Some(4), ..Resize::default() }).expect("within bounds");
    let pool = site.pool.clone();
    let task = tokio::spawn(async move {
        let limit = pool.snapshot().limit + pool.snapshot().reserve;
        let mut held = Vec::new();
        // Critical work may take the reserve too; who comes after it waits, as nobody gives back.
        for _ in 0..limit {
            held.push(pool.acquire(&admission(Class::Critical)).await.expect("free"));
        }
        let before = pool.snapshot().totals.nested;
        let soon = Admission::within(Class::Critical, Duration::from_millis(20));
        soon.begin();
        let error = pool.acquire(&soon).await.expect_err("all of them are its own");
        (before, matches!(error, AcquireError::Timeout(_)), held.len())
    });
    let (before, timed_out, held) = task.await.expect("it does not panic");
    assert!(timed_out && held >= 5);
    // Those of before waited only for their connections to be opened, while they held others.
    assert_eq!(site.pool.snapshot().totals.nested, before + 1);
    let other = tokio::spawn({
        let pool = site.pool.clone();
        async move { pool.acquire(&admission(Class::Normal)).await.map(drop) }
    });
    other.await.expect("it does not panic").expect("free again");
    assert_eq!(site.pool.snapshot().totals.nested, before + 1, "who holds nothing is not counted");
}

#[tokio::test]
async fn what_the_server_answers_is_said_with_its_code_and_without_a_line_of_its_source() {
    let site = Site::new(rules()).await;
    let nowhere = site.database.options().database("not_there");
    let pool = Pool::connect(nowhere, Config { rules: rules(), ..Config::named("nowhere") }).expect("these rules hold");
    let refused = pool.acquire(&admission(Class::Normal)).await.expect_err("there is no such database");
    let (said, last) = (refused.to_string(), pool.last_open_error().expect("it was tried"));
    for text in [&*said, &*last] {
        assert!(text.contains("database \"not_there\" does not exist (SQLSTATE 3D000)"), "{text}");
        assert!(!text.contains("at line"), "{text}");
    }
}

#[tokio::test]
async fn options_of_an_address_hold_unless_the_pool_needs_another_value() {
    let site = Site::new(rules()).await;
    let url = format!("{}&options=-c%20geqo%3Doff%20-c%20idle_session_timeout%3D1234567", site.database.url());
    let pool = Pool::connect(url.parse().expect("a url"), Config { rules: rules(), ..Config::named("with options") });
    let pool = pool.expect("these rules hold");
    assert_eq!(setting(&pool, "geqo").await, "off");
    assert_eq!(setting(&pool, "idle_session_timeout").await, "0");
}
