//! What the pool tells of the statements that ran: of each kind, how many, for how long, and how they ended.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use forebay_pool::{Class, Config, Failure, Observer, Pool, Ran, SiteUse, StatementUse};
use futures_util::StreamExt;
use sqlx::{AssertSqlSafe, Executor};
use tokio::time::{Instant, sleep_until, timeout};

use crate::{Site, admission, rules};

const SHORT: Duration = Duration::from_millis(20);

fn of<'l>(list: &'l [StatementUse], summary: &str) -> &'l StatementUse {
    list.iter().find(|of| &*of.summary == summary).unwrap_or_else(|| panic!("{summary} is not in {list:?}"))
}

/// Each summary with how often it ran and how often it failed.
fn counts(pool: &Pool) -> Vec<(String, u64, u64)> {
    pool.statements().iter().map(|of| (of.summary.to_string(), of.calls(), of.failures())).collect()
}

fn one(pool: &Pool) -> SiteUse {
    let [site] = &pool.sites()[..] else { panic!("there is one: {:?}", pool.sites()) };
    site.clone()
}

#[tokio::test]
async fn statements_that_do_the_same_are_counted_together_whatever_their_values() {
    let site = Site::new(rules()).await;
    site.pool.execute("create table t (n int)").await.expect("done");
    for n in 0..10 {
        let insert = AssertSqlSafe(format!("insert into t values ({n})"));
        (&site.pool).execute(insert).await.expect("done");
        sqlx::query("select * from T where n = $1").bind(n).fetch_all(&site.pool).await.expect("answers");
    }
    let two = "begin; update t set n = n + 1; commit";
    (&site.pool).execute(two).await.expect("done");
    let wanted = [("CREATE t", 1), ("INSERT t", 10), ("SELECT t", 10), ("BEGIN UPDATE t COMMIT", 1)];
    assert_eq!(counts(&site.pool), wanted.map(|(summary, calls)| (summary.to_owned(), calls, 0)));
}

#[tokio::test]
async fn a_transaction_is_counted_with_what_begins_and_ends_it() {
    let site = Site::new(rules()).await;
    let mut lease = site.pool.acquire(&admission(Class::Normal)).await.expect("free");
    let mut tx = lease.begin().await.expect("begins");
    let mut part = tx.begin().await.expect("begins");
    part.execute("select pg_sleep(0.02)").await.expect("answers");
    part.rollback().await.expect("rolled back");
    tx.begin().await.expect("begins").commit().await.expect("kept");
    tx.commit().await.expect("committed");
    let dropped = lease.begin().await.expect("begins");
    drop(dropped);
    lease.execute("select 1").await.expect("answers");
    drop(lease);
    let list = site.pool.statements();
    let calls = |summary| of(&list, summary).calls();
    assert_eq!((calls("BEGIN"), calls("COMMIT"), calls("SAVEPOINT")), (2, 1, 2));
    assert_eq!(
        (calls("ROLLBACK"), calls("RELEASE"), calls("SELECT")),
        (1, 2, 2),
        "what the pool undoes by itself is not counted"
    );
    let select = of(&list, "SELECT");
    assert!(select.longest >= SHORT && select.took >= select.longest, "{select:?}");
    let told = one(&site.pool);
    assert_eq!(told.statements, 10);
    let sum: Duration = list.iter().map(|of| of.took).sum();
    assert!(told.ran >= sum && told.ran + told.idle <= told.held, "{told:?} with {sum:?} of statements");
}

#[tokio::test]
async fn each_failure_is_told_by_its_cause() {
    let mut config = Config { rules: rules(), ..Config::named("test") };
    config.session.push(("statement_timeout".to_owned(), "200".to_owned()));
    let site = Site::with(config).await;
    let mut lease = site.pool.acquire(&admission(Class::Normal)).await.expect("free");
    lease.execute("select 1 / 0").await.expect_err("nobody can");
    lease.execute("select pg_sleep(10)").await.expect_err("it takes longer than it may");
    timeout(SHORT, lease.execute("select pg_sleep(0.1), 2")).await.expect_err("dropped");
    lease.execute("select 3").await.expect("answers");
    let many = sqlx::query("select 4");
    let many = (0..70_000).fold(many, |many, n| many.bind(n));
    many.execute(&mut *lease).await.expect_err("the driver refuses so many");
    let list = site.pool.statements();
    let failed = Failure::ALL.map(|failure| (failure.name(), of(&list, "SELECT").failed(failure)));
    assert_eq!(failed, [("server", 1), ("timeout", 1), ("dropped", 1), ("connection", 0), ("client", 1)]);
    assert_eq!(of(&list, "SELECT").calls(), 5);
    let ending = lease.execute("select pg_terminate_backend(pg_backend_pid()) from pg_class").await;
    ending.expect_err("its connection is ended");
    drop(lease);
    let list = site.pool.statements();
    let lost = of(&list, "SELECT pg_class");
    assert_eq!((lost.calls(), lost.failed(Failure::Connection)), (1, 1), "{lost:?}");
}

#[tokio::test]
async fn the_time_of_a_dropped_statement_ends_with_it_and_is_nobody_elses() {
    let site = Site::new(rules()).await;
    site.pool.execute("create table slow (n int); create table quick (n int)").await.expect("done");
    let mut lease = site.pool.acquire(&admission(Class::Normal)).await.expect("free");
    let mut tx = lease.begin().await.expect("begins");
    timeout(SHORT, tx.execute("select pg_sleep(0.3) from (select count(*) from slow) x")).await.expect_err("dropped");
    let began = Instant::now();
    tx.execute("select * from quick").await.expect("answers, when the other one has ended");
    let waited = began.elapsed();
    tx.commit().await.expect("committed");
    drop(lease);
    let list = site.pool.statements();
    let (slow, quick) = (of(&list, "SELECT slow"), of(&list, "SELECT quick"));
    assert_eq!((slow.failed(Failure::Dropped), quick.failures()), (1, 0));
    assert!(slow.took >= SHORT && slow.took + quick.took < waited, "{slow:?} {quick:?} {waited:?}");
    let told = site.pool.sites();
    assert!(told[0].ran >= waited, "the connection was busy all the while: {told:?}");
}

#[tokio::test]
async fn the_time_in_which_rows_wait_for_their_reader_is_idle() {
    let site = Site::new(rules()).await;
    let mut lease = site.pool.acquire(&admission(Class::Normal)).await.expect("free");
    let mut rows = lease.fetch("select g from generate_series(1, 3) g");
    while let Some(row) = rows.next().await {
        row.expect("a row");
        sleep_until(Instant::now() + 2 * SHORT).await;
    }
    drop(rows);
    let mut rows = lease.fetch("values (1), (2)");
    rows.next().await.expect("there are two").expect("a row");
    sleep_until(Instant::now() + 2 * SHORT).await;
    drop(rows);
    drop(lease);
    let list = site.pool.statements();
    let (read, left) = (of(&list, "SELECT"), of(&list, "VALUES"));
    assert_eq!((read.failures(), left.failed(Failure::Dropped)), (0, 1));
    let told = one(&site.pool);
    assert!(told.idle >= 8 * SHORT, "{told:?}");
    assert!(told.ran >= read.took + left.took && told.ran + told.idle <= told.held, "{told:?} {list:?}");
}

#[tokio::test]
async fn what_is_done_with_a_raw_connection_is_neither_idle_nor_a_statement() {
    let site = Site::new(rules()).await;
    site.pool.execute("create table t (n int)").await.expect("done");
    let mut lease = site.pool.acquire(&admission(Class::Normal)).await.expect("free");
    let mut raw = lease.raw().await.expect("given");
    let mut copy = raw.copy_in_raw("copy t from stdin").await.expect("begins");
    copy.send(b"1\n2\n".as_slice()).await.expect("sent");
    sleep_until(Instant::now() + 2 * SHORT).await;
    assert_eq!(copy.finish().await.expect("stored"), 2);
    drop(raw);
    drop(lease);
    assert_eq!(counts(&site.pool), [("CREATE t".to_owned(), 1, 0)]);
    let told = site.pool.sites().into_iter().find(|site| site.statements == 0).expect("it ran none");
    assert!(told.held >= told.idle + told.ran + 2 * SHORT, "{told:?}");
}

#[tokio::test]
async fn what_is_only_prepared_has_not_run() {
    let site = Site::new(rules()).await;
    let mut lease = site.pool.acquire(&admission(Class::Normal)).await.expect("free");
    lease.prepare(sqlx::SqlSafeStr::into_sql_str("select 1")).await.expect("prepared");
    assert_eq!(counts(&site.pool), []);
}

type Ended = (String, Option<Failure>);

#[derive(Debug, Default)]
struct Told(Arc<Mutex<Vec<Ended>>>);

impl Observer for Told {
    fn ran(&self, ran: &Ran<'_>) {
        self.0.lock().expect("nobody panics").push((ran.summary.to_owned(), ran.failure));
    }
}

#[tokio::test]
async fn an_observer_is_told_of_each_statement() {
    let database = forebay_embedded::testing::database().await;
    let told = Told::default();
    let list = Arc::clone(&told.0);
    let config = Config { rules: rules(), ..Config::named("test") };
    let pool = Pool::builder(database.options(), config).observer(told).connect().expect("these rules hold");
    pool.execute("select 1").await.expect("answers");
    pool.execute("select * from nowhere").await.expect_err("there is none");
    pool.begin().await.expect("begins").commit().await.expect("committed");
    let told = list.lock().expect("nobody panics").clone();
    let wanted = [("SELECT", None), ("SELECT nowhere", Some(Failure::Server)), ("BEGIN", None), ("COMMIT", None)];
    assert_eq!(told, wanted.map(|(summary, failure)| (summary.to_owned(), failure)));
}
