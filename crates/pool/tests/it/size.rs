use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use forebay_embedded::testing::database;
use forebay_pool::{Class, Config, Mode, Pool, Resize, Rules, Sample, Sizer, Sizing, Target};
use futures_util::StreamExt;
use sqlx::{Connection, Executor, PgConnection};

use crate::{Site, admission, eventually, rules};

/// Keeps the limit, wants to know of locks, and notes the most that it was told.
#[derive(Debug)]
struct Curious(Arc<Mutex<Option<f64>>>);

impl Sizer for Curious {
    fn tick(&mut self, _now: Instant, sample: &Sample) -> Target {
        let mut seen = self.0.lock().expect("nobody panics with it");
        *seen = seen.map_or(sample.lock_waits, |most| Some(sample.lock_waits.map_or(most, |share| share.max(most))));
        Target { limit: sample.limit, reason: "curious" }
    }

    fn wants_lock_waits(&self) -> bool {
        true
    }
}

#[tokio::test]
async fn while_the_limit_is_used_up_the_sizer_is_told_how_many_statements_wait_for_locks() {
    let database = database().await;
    let seen = Arc::new(Mutex::new(None));
    let config = Config { rules: Rules { mode: Mode::Off, ..rules() }, ..Config::named("test") };
    let sizer = Curious(Arc::clone(&seen));
    let pool = Pool::builder(database.options(), config).sizer(sizer).connect().expect("these rules hold");
    (&pool).execute("create table counter (n int); insert into counter values (0)").await.expect("done");
    let admission = admission(Class::Normal);
    let mut holder = pool.begin().await.expect("begins");
    holder.execute("update counter set n = n + 1").await.expect("updates");
    let waiters: Vec<_> = (0..3)
        .map(|_| {
            let (pool, admission) = (pool.clone(), admission.clone());
            tokio::spawn(async move {
                let mut lease = pool.acquire(&admission).await.expect("there is room");
                lease.execute("update counter set n = n + 1").await.map(drop)
            })
        })
        .collect();
    let told = || seen.lock().expect("nobody panics with it").unwrap_or(0.0);
    let waiting = async {
        // A mean of three looks, in each of which the holder may be seen to run, too.
        while told() < 0.5 {
            holder.execute("select 1").await.expect("it goes on");
        }
    };
    tokio::time::timeout(Duration::from_secs(20), waiting).await.expect("it is told");
    holder.commit().await.expect("commits");
    for waiter in waiters {
        waiter.await.expect("it ends").expect("updates");
    }
    pool.close().await;
}

#[tokio::test]
async fn locks_that_sessions_of_others_wait_for_are_not_the_pools() {
    let database = database().await;
    let stranger = || async {
        let options = database.options().application_name("somebody else");
        PgConnection::connect_with(&options).await.expect("there is room")
    };
    let mut holder = stranger().await;
    holder.execute("create table counter (n int); insert into counter values (0)").await.expect("done");
    holder.execute("begin; update counter set n = n + 1").await.expect("updates");
    let mut waiters = Vec::new();
    for _ in 0..3 {
        let mut waiter = stranger().await;
        waiters.push(tokio::spawn(async move { waiter.execute("update counter set n = n + 1").await.map(drop) }));
    }
    let waiting =
        "select count(*) from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()";
    eventually("three wait for a lock", async || {
        sqlx::query_scalar::<_, i64>(waiting).fetch_one(&mut holder).await.expect("it is told") >= 3
    })
    .await;

    let seen = Arc::new(Mutex::new(None));
    let config = Config { rules: Rules { mode: Mode::Off, initial_limit: 1, ..rules() }, ..Config::named("test") };
    let sizer = Curious(Arc::clone(&seen));
    let pool = Pool::builder(database.options(), config).sizer(sizer).connect().expect("these rules hold");
    let told = async {
        while seen.lock().expect("nobody panics with it").is_none() {
            pool.execute("select pg_sleep(0.01)").await.expect("it goes on");
        }
    };
    tokio::time::timeout(Duration::from_secs(20), told).await.expect("it is told");
    assert_eq!(*seen.lock().expect("nobody panics with it"), Some(0.0));

    holder.execute("commit").await.expect("commits");
    for waiter in waiters {
        waiter.await.expect("it ends").expect("updates");
    }
    pool.close().await;
}

/// Keeps the limit, and adds up what came back finished and what did not.
#[derive(Debug)]
struct Adding(Arc<Mutex<(u32, u32)>>);

impl Sizer for Adding {
    fn tick(&mut self, _now: Instant, sample: &Sample) -> Target {
        let mut sums = self.0.lock().expect("nobody panics with it");
        *sums = (sums.0 + sample.completed, sums.1 + sample.interrupted);
        Target { limit: sample.limit, reason: "adding" }
    }
}

#[tokio::test]
async fn a_statement_that_is_cut_off_is_no_work_done_and_an_answer_or_a_transaction_that_is_left_is() {
    let database = database().await;
    let sums = Arc::new(Mutex::new((0, 0)));
    let config = Config { rules: Rules { mode: Mode::Off, ..rules() }, ..Config::named("test") };
    let pool = Pool::builder(database.options(), config).sizer(Adding(Arc::clone(&sums))).connect().expect("they hold");
    let admission = admission(Class::Normal);

    let mut lease = pool.acquire(&admission).await.expect("free");
    let mut rows = (&mut *lease).fetch("select generate_series(1, 100000)");
    rows.next().await.expect("a row").expect("a row");
    drop(rows);
    drop(lease);
    let mut left = pool.begin().await.expect("begins");
    left.execute("select 1").await.expect("answers");
    drop(left);
    let mut lease = pool.acquire(&admission).await.expect("free");
    let slow = lease.execute("select pg_sleep(10)");
    tokio::time::timeout(Duration::from_millis(20), slow).await.expect_err("it lasts longer");
    drop(lease);

    // The beat goes on as long as somebody has a lease.
    let told = async {
        while sums.lock().expect("nobody panics with it").1 == 0 {
            pool.begin().await.expect("begins").commit().await.expect("commits");
        }
    };
    tokio::time::timeout(Duration::from_secs(20), told).await.expect("it is told");
    let (finished, cut_off) = *sums.lock().expect("nobody panics with it");
    assert!(finished >= 2 && cut_off == 1, "{finished}, {cut_off}");
    pool.close().await;
}

#[tokio::test]
async fn a_lease_with_a_statement_that_the_servers_time_limit_ended_is_no_work_done() {
    let database = database().await;
    let sums = Arc::new(Mutex::new((0, 0)));
    let mut config = Config { rules: Rules { mode: Mode::Off, ..rules() }, ..Config::named("test") };
    config.session.push(("statement_timeout".to_owned(), "50".to_owned()));
    let pool = Pool::builder(database.options(), config).sizer(Adding(Arc::clone(&sums))).connect().expect("they hold");

    // One connection for all of it, which is not closed.
    for _ in 0..3 {
        let error = pool.execute("select pg_sleep(10)").await.expect_err("it lasts longer");
        assert_eq!(error.as_database_error().and_then(|error| error.code()).as_deref(), Some("57014"));
    }
    let mut given_up = pool.begin().await.expect("begins");
    given_up.execute("select pg_sleep(10)").await.expect_err("it lasts longer");
    given_up.rollback().await.expect("rolls back");
    pool.execute("select nonsense").await.expect_err("no such column");

    let told = async {
        while sums.lock().expect("nobody panics with it").1 < 4 {
            pool.execute("select 1").await.expect("answers");
        }
    };
    tokio::time::timeout(Duration::from_secs(20), told).await.expect("it is told");
    assert_eq!(sums.lock().expect("nobody panics with it").1, 4);
    let totals = pool.snapshot().totals;
    assert_eq!((totals.closed, totals.quarantined), (0, 0), "a connection outlives the limit, and is clean");
    pool.close().await;
}

#[tokio::test]
async fn a_fixed_limit_stays_under_load_and_a_person_moves_it_in_every_mode() {
    for sizing in [Sizing::Fixed, Sizing::Shadow, Sizing::Adaptive] {
        let site = Site::new(Rules { sizing, initial_limit: 2, mode: Mode::Off, ..rules() }).await;
        let admission = admission(Class::Normal);
        let loads = (0..6).map(|_| async {
            for _ in 0..50 {
                let mut lease = site.pool.acquire(&admission).await.expect("nobody is refused");
                lease.execute("select pg_sleep(0.002)").await.expect("it sleeps");
            }
        });
        futures_util::future::join_all(loads).await;
        let limit = site.pool.snapshot().limit;
        assert_eq!(limit > 2, sizing == Sizing::Adaptive, "{sizing:?}: {limit}");
        site.pool.resize(Resize { limit: Some(5), ..Resize::default() }).expect("these bounds hold");
        assert_eq!(site.pool.snapshot().limit, 5, "{sizing:?}");
        site.pool.close().await;
    }
}
