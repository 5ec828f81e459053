//! Behind real bouncers: a pool that was told of none refuses them, and one that was told gives right answers and harms
//! nobody.

mod program;

use std::time::Duration;

use forebay_pool::{Admission, Bouncer, Class, Config, Pool, PoolError, Rules, classify};
use futures_util::future::join_all;
use futures_util::{StreamExt as _, TryStreamExt as _};
use sqlx::postgres::{PgConnectOptions, PgListener};
use sqlx::{Connection as _, Executor as _, PgConnection};
use tokio::time::timeout;

use self::program::Bouncer as Program;
use crate::{LIMIT, config, rules};

const IGNORE_ALL: &str = "ignore_startup_parameters = options,extra_float_digits";

fn pool(options: PgConnectOptions, bouncer: Bouncer) -> Pool {
    Pool::connect(options, Config { bouncer, ..config() }).expect("these rules hold")
}

fn behind(program: &Program) -> Pool {
    pool(program.options(), Bouncer::Transaction)
}

/// What a pool says that cannot start.
async fn refusal(options: PgConnectOptions, bouncer: Bouncer) -> String {
    let pool = pool(options, bouncer);
    pool.ready(Duration::from_secs(2)).await.expect_err("it must not start").to_string()
}

fn needs_session(error: &sqlx::Error) -> bool {
    matches!(classify(error), Some(PoolError::NeedsSession { .. }))
}

#[tokio::test]
async fn a_pool_that_was_told_of_no_bouncer_refuses_every_kind_and_names_the_setting() {
    for pool_mode in ["session", "transaction", "statement"] {
        for settings in ["", IGNORE_ALL] {
            let program = Program::pgbouncer(pool_mode, settings).await;
            let refusal = refusal(program.options(), Bouncer::None).await;
            assert!(refusal.contains("set the pool's `bouncer` to"), "{pool_mode}, {settings:?}: {refusal}");
        }
    }
}

#[tokio::test]
async fn a_write_that_pgpool_leaves_in_a_transaction_is_committed_before_its_answer() {
    let program = Program::pgpool().await;
    let pool = pool(program.options(), Bouncer::None);
    let mut outside = PgConnection::connect_with(&program.direct).await.expect("the server runs");
    outside.execute("create table t (n int8 primary key)").await.expect("done");
    for number in 1..=4_i64 {
        let stored = sqlx::query("insert into t values ($1)").bind(number).execute(&pool).await.expect("stored");
        let seen: i64 = sqlx::query_scalar("select count(*) from t").fetch_one(&mut outside).await.expect("read");
        assert_eq!((stored.rows_affected(), seen), (1, number));
        let again = sqlx::query("insert into t values ($1)").bind(number).execute(&pool).await;
        again.expect_err("there is one");
    }
    let mut tx = pool.begin().await.expect("begun");
    sqlx::query("insert into t values ($1)").bind(5_i64).execute(&mut *tx).await.expect("stored");
    tx.rollback().await.expect("rolled back");
    let deleted = sqlx::query("delete from t where n < $1").bind(9_i64).execute(&pool).await.expect("deleted");
    let left: i64 = sqlx::query_scalar("select count(*) from t").fetch_one(&mut outside).await.expect("read");
    assert_eq!((deleted.rows_affected(), left), (4, 0));
}

#[tokio::test]
async fn behind_pgpool_no_write_waits_for_a_commit_whatever_ran_before_it() {
    let program = Program::pgpool().await;
    let mut outside = PgConnection::connect_with(&program.direct).await.expect("the server runs");
    outside.execute("set lock_timeout = '1s'").await.expect("done");
    for bouncer in [Bouncer::None, Bouncer::Session] {
        outside.execute("drop table if exists t; create table t (n int8)").await.expect("done");
        let mut stored = async || -> i64 {
            sqlx::query_scalar("select count(*) from t").fetch_one(&mut outside).await.expect("read")
        };
        let pool = pool(program.options(), bouncer);
        let insert = "insert into t values ($1)";
        // What begins no transaction there says nothing of what does: a query that looks like a write, and a write that was
        // prepared in a transaction of ours.
        let with = "with one as (select $1::int8 as n) select n from one";
        sqlx::query(with).bind(1_i64).fetch_one(&pool).await.expect("answers");
        let mut tx = pool.begin().await.expect("begun");
        sqlx::query(insert).bind(1_i64).execute(&mut *tx).await.expect("stored");
        tx.commit().await.expect("committed");
        sqlx::query(insert).bind(2_i64).execute(&pool).await.expect("stored");
        assert_eq!(stored().await, 2, "{bouncer:?}");
        // Each on a connection of its own.
        let admission = Admission::within(Class::Normal, LIMIT);
        let mut leases = Vec::new();
        for number in 3..=5_i64 {
            let mut lease = pool.acquire(&admission).await.expect("free");
            sqlx::query(insert).bind(number).execute(&mut *lease).await.expect("stored");
            assert_eq!(stored().await, number, "{bouncer:?}");
            sqlx::query("update t set n = n where n = $1").bind(number).execute(&mut *lease).await.expect("stored");
            leases.push(lease);
        }
        drop(leases);
        let locked = sqlx::query("select n from t where n > $1 for update").bind(0_i64).fetch_all(&pool).await;
        assert_eq!(locked.expect("answers").len(), 5);
        outside.execute("update t set n = n").await.expect("nobody holds a lock");
    }
}

#[tokio::test]
async fn behind_pgpool_a_write_that_nobody_waits_for_any_more_leaves_no_transaction_open() {
    let program = Program::pgpool().await;
    let mut outside = PgConnection::connect_with(&program.direct).await.expect("the server runs");
    outside.execute("create table t (n int8)").await.expect("done");
    let cases = [Bouncer::None, Bouncer::Session].map(|bouncer| [(bouncer, "runs"), (bouncer, "has answered")]);
    for (bouncer, when) in cases.into_iter().flatten() {
        let rules = Rules { ceiling: 4, initial_limit: 2, ..rules() };
        let pool = Pool::connect(program.options(), Config { rules, bouncer, ..config() }).expect("these rules hold");
        let admission = Admission::within(Class::Normal, LIMIT);
        // pgpool-II begins a transaction for the first write of a connection, which on the first connection was a trial.
        let _first = pool.acquire(&admission).await.expect("free");
        let mut lease = pool.acquire(&admission).await.expect("free");
        if when == "runs" {
            let slow = sqlx::query("insert into t select $1 from pg_sleep(30)").bind(1_i64).execute(&mut *lease);
            timeout(Duration::from_millis(200), slow).await.expect_err("it sleeps");
        } else {
            let rows = "insert into t select generate_series($1, 99) returning n";
            let mut rows = sqlx::query(rows).bind(1_i64).fetch(&mut *lease);
            rows.next().await.expect("some").expect("some");
        }
        drop(lease);
        let mut lease = pool.acquire(&admission).await.expect("free again");
        let count = "select count(*) from t where n > $1";
        let count: i64 = sqlx::query_scalar(count).bind(0_i64).fetch_one(&mut *lease).await.expect("answers");
        let open = "select count(*) from pg_stat_activity \
                    where datname = current_database() and state like 'idle in transaction%'";
        let open: i64 = sqlx::query_scalar(open).fetch_one(&mut outside).await.expect("read");
        assert_eq!((count, open), (0, 0), "{bouncer:?}, while it {when}");
    }
}

#[tokio::test]
async fn a_bouncer_that_pools_statements_is_refused_whatever_was_said() {
    let program = Program::pgbouncer("statement", IGNORE_ALL).await;
    let refusal = refusal(program.options(), Bouncer::Transaction).await;
    assert!(refusal.contains("statement pooling"), "{refusal}");
}

#[tokio::test]
async fn four_thousand_answers_are_those_of_the_statements_that_were_asked() {
    // One session for two clients, so that whatever can get mixed up does.
    let program = Program::pgbouncer("transaction", "default_pool_size = 1").await;
    let pools = [behind(&program), behind(&program)];
    let callers = pools.iter().zip([3_i64, 5]).flat_map(|(pool, factor)| {
        let text = format!("select $1::int8 * {factor}");
        (0..4_i64).map(move |caller| ask(pool, text.clone(), factor, caller))
    });
    let wrong: usize = join_all(callers).await.into_iter().sum();
    assert_eq!(wrong, 0);
}

/// Asks five hundred times; says how often the answer was another's.
async fn ask(pool: &Pool, text: String, factor: i64, caller: i64) -> usize {
    let mut wrong = 0;
    for number in (0..500).map(|number| caller * 500 + number) {
        let text = sqlx::AssertSqlSafe(text.clone());
        let answer: i64 = sqlx::query_scalar(text).bind(number).fetch_one(pool).await.expect("answers");
        wrong += usize::from(answer != number * factor);
    }
    wrong
}

#[tokio::test]
async fn each_statement_is_committed_by_itself_and_one_that_fails_leaves_nothing() {
    let (pgbouncer, pgpool) =
        (Program::pgbouncer("transaction", "default_pool_size = 2").await, Program::pgpool().await);
    let [transaction, session, none] = [Bouncer::Transaction, Bouncer::Session, Bouncer::None];
    let cases = [(&pgbouncer, transaction), (&pgpool, transaction), (&pgpool, session), (&pgpool, none)];
    for (program, bouncer) in cases {
        let pool = pool(program.options(), bouncer);
        let mut outside = PgConnection::connect_with(&program.direct).await.expect("the server runs");
        let table = "drop table if exists t; create table t (n int8 primary key deferrable initially deferred)";
        outside.execute(table).await.expect("done");
        let insert = "insert into t values ($1) returning n";
        let mut lease = pool.acquire(&Admission::within(Class::Normal, LIMIT)).await.expect("free");

        let one: i64 = sqlx::query_scalar(insert).bind(1_i64).fetch_one(&mut *lease).await.expect("stored");
        let two = sqlx::query(insert).bind(2_i64).execute(&mut *lease).await.expect("stored");
        let rows: Vec<_> = sqlx::query(insert).bind(3_i64).fetch(&mut *lease).try_collect().await.expect("stored");
        assert_eq!((one, two.rows_affected(), rows.len()), (1, 1, 1));
        // Refused only at COMMIT.
        sqlx::query(insert).bind(1_i64).execute(&mut *lease).await.expect_err("there is one");
        sqlx::query("select 1 / $1").bind(0).execute(&mut *lease).await.expect_err("division by zero");
        // Dropped before its end, it is rolled back, if it has a transaction: it may have been committed by itself before.
        let mut half_read =
            sqlx::query("insert into t select generate_series($1, 99) returning n").bind(10_i64).fetch(&mut *lease);
        half_read.next().await.expect("some").expect("some");
        drop(half_read);
        sqlx::query(insert).bind(4_i64).execute(&mut *lease).await.expect("stored");
        // So is one that nobody waits for any more.
        let slow = sqlx::query("insert into t select $1 from pg_sleep(30)").bind(5_i64).execute(&mut *lease);
        timeout(Duration::from_millis(100), slow).await.expect_err("it sleeps");
        drop(lease);
        let mut lease = pool.acquire(&Admission::within(Class::Normal, LIMIT)).await.expect("free");
        // By its text, with and without a message for each.
        sqlx::query("begin").execute(&mut *lease).await.expect("begun");
        sqlx::query(insert).bind(5_i64).execute(&mut *lease).await.expect("stored");
        sqlx::query("rollback").execute(&mut *lease).await.expect("rolled back");
        (&mut *lease).execute("begin; insert into t values (6); commit").await.expect("stored");
        drop(lease);
        let mut tx = pool.begin().await.expect("begun");
        sqlx::query(insert).bind(7_i64).execute(&mut *tx).await.expect("stored");
        tx.commit().await.expect("committed");

        let stored: Vec<i64> =
            sqlx::query_scalar("select n from t order by n").fetch_all(&mut outside).await.expect("read");
        let (stored, half_read): (Vec<i64>, Vec<i64>) = stored.into_iter().partition(|n| *n < 10);
        assert_eq!(stored, [1, 2, 3, 4, 6, 7], "{bouncer:?}, {program:?}");
        let whole = bouncer != transaction && half_read.len() == 90;
        assert!(half_read.is_empty() || whole, "{bouncer:?}: {half_read:?}");
    }
}

#[tokio::test]
async fn no_statement_of_anybody_else_is_ended_when_many_run_into_their_deadlines() {
    let program = Program::pgbouncer("transaction", "default_pool_size = 40").await;
    let mut outside = PgConnection::connect_with(&program.direct).await.expect("the server runs");
    outside.execute("create table t (n int8)").await.expect("done");
    let mut lock = outside.begin().await.expect("begun");
    (&mut *lock).execute("lock table t").await.expect("locked");
    let rules = Rules { ceiling: 16, initial_limit: 16, ..rules() };
    let config = Config { rules, bouncer: Bouncer::Transaction, ..config() };
    let pool = Pool::connect(program.options(), config).expect("these rules hold");

    let request = async || {
        let admission = Admission::within(Class::Normal, Duration::from_millis(300));
        let Ok(mut lease) = pool.acquire(&admission).await else { return };
        let listed = sqlx::query("select n from t where n > $1").bind(0_i64).fetch_all(&mut *lease).await;
        listed.expect_err("it is locked");
    };
    let bystander = async || {
        let mut connection =
            PgConnection::connect_with(&program.options().extra_float_digits(None)).await.expect("free");
        for _ in 0..50 {
            let slept = sqlx::raw_sql("select pg_sleep(0.02)").execute(&mut connection).await;
            slept.expect("nobody ends it");
        }
    };
    let all = async { tokio::join!(join_all((0..64).map(|_| request())), join_all((0..8).map(|_| bystander()))) };
    timeout(LIMIT, all).await.expect("all of it ends");
    lock.rollback().await.expect("free again");
    let count: i64 =
        sqlx::query_scalar("select count(*) from t where n > $1").bind(0_i64).fetch_one(&pool).await.expect("free");
    assert_eq!(count, 0);
}

#[tokio::test]
async fn what_needs_a_session_to_itself_is_refused_before_it_is_sent() {
    let program = Program::pgbouncer("transaction", "default_pool_size = 1").await;
    let pool = behind(&program);
    let admission = Admission::within(Class::Normal, LIMIT);
    let mut lease = pool.acquire(&admission).await.expect("free");
    for text in [
        "set role none",
        "listen x",
        "create temp table t (n int)",
        "select pg_advisory_lock(1)",
        "prepare p as select 1",
    ] {
        for error in [(&mut *lease).execute(text).await, sqlx::query(text).execute(&mut *lease).await] {
            let error = error.expect_err("it would be somebody else's");
            assert!(needs_session(&error), "{text}: {error}");
        }
    }
    // What its text does not show is not refused; nor is a session reset behind it, which serves others by then.
    (&mut *lease).execute("do $$ begin perform 1; end $$").await.expect("it may be harmless");
    assert!(needs_session(&lease.raw().await.expect_err("it would be somebody else's")));
    assert!(needs_session(
        &(&mut *lease).prepare(sqlx::SqlSafeStr::into_sql_str("select 1")).await.expect_err("a name")
    ));
    assert!(needs_session(&lease.detach().await.expect_err("it would be somebody else's")));
    assert!(needs_session(&pool.side_door(&admission, 1).await.expect_err("it would be somebody else's")));
    let mut tx = pool.begin().await.expect("begun");
    (&mut *tx)
        .execute("set local work_mem = '123kB'; select pg_advisory_xact_lock(1)")
        .await
        .expect("the transaction's own");
    tx.commit().await.expect("committed");
    assert_eq!((pool.snapshot().totals.quarantined, pool.snapshot().totals.opened), (0, 1));
}

const SETTINGS: &str = "select current_setting('application_name') || ' ' || current_setting('TimeZone') || ' ' \
    || current_setting('statement_timeout') || ' ' || current_setting('search_path') || $1";
const SET: &str = "wire UTC 5s a, b";

fn with_settings(bouncer: Bouncer) -> Config {
    let mut config = Config { bouncer, ..config() };
    config.session.push(("search_path".to_owned(), "a, b".to_owned()));
    config
}

#[tokio::test]
async fn the_session_settings_hold_in_each_transaction_and_nobody_else_has_them() {
    let program = Program::pgbouncer("transaction", "default_pool_size = 1").await;
    let pool = Pool::connect(program.options(), with_settings(Bouncer::Transaction)).expect("these rules hold");
    pool.ready(LIMIT).await.expect("it can serve");
    for _ in 0..2 {
        let plain: String = sqlx::query_scalar(SETTINGS).bind("").fetch_one(&pool).await.expect("answers");
        let mut tx = pool.begin().await.expect("begun");
        let inside: String = sqlx::query_scalar(SETTINGS).bind("").fetch_one(&mut *tx).await.expect("answers");
        tx.commit().await.expect("committed");
        assert_eq!((plain.as_str(), inside.as_str()), (SET, SET));
        let mut other = PgConnection::connect_with(&program.options().extra_float_digits(None)).await.expect("free");
        let seen =
            sqlx::raw_sql("select current_setting('statement_timeout')").fetch_one(&mut other).await.expect("answers");
        assert_eq!(sqlx::Row::get::<String, _>(&seen, 0), "0");
    }
}

/// Waits until its only connection lies idle.
async fn rests(pool: &Pool) {
    let idle = || crate::so(pool.snapshot().idle == 1 && pool.snapshot().open() == 1);
    crate::eventually("its connection is idle", idle).await;
}

#[tokio::test]
async fn behind_a_bouncer_that_pools_sessions_settings_cancels_and_listeners_work() {
    let program = Program::pgbouncer("session", "").await;
    let pool = Pool::connect(program.options(), with_settings(Bouncer::Session)).expect("these rules hold");
    pool.ready(LIMIT).await.expect("it can serve");
    // The second time after a reset.
    for _ in 0..2 {
        let mut lease = pool.acquire(&Admission::within(Class::Normal, LIMIT)).await.expect("free");
        let seen: String = sqlx::query_scalar(SETTINGS).bind("").fetch_one(&mut *lease).await.expect("answers");
        assert_eq!(seen, SET);
        (&mut *lease).execute("set search_path to c").await.expect("set");
        drop(lease);
        rests(&pool).await;
    }
    let sleeping = sqlx::query("select pg_sleep(4)").execute(&pool);
    timeout(Duration::from_millis(100), sleeping).await.expect_err("it sleeps");
    rests(&pool).await;
    assert_eq!(pool.snapshot().totals.opened, 1, "it was cancelled, and its connection is kept");
    let door = pool.side_door(&Admission::within(Class::Normal, LIMIT), 1).await.expect("a place");
    PgListener::connect_with(&door).await.expect("connects").listen("x").await.expect("listens");
    door.close().await;
}
