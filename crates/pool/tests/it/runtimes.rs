//! A pool that lives longer than the runtime it was made on, as one in a `static` does under `#[tokio::test]`.

use std::future::Future;
use std::time::Duration;

use forebay_embedded::testing::{TestDatabase, database};
use forebay_pool::{AcquireError, Admission, Class, Config, Mode, Pool, Resize, Rules, Snapshot, overlay};
use futures_util::FutureExt;
use sqlx::Executor;
use sqlx::postgres::PgPoolOptions;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::Barrier;
use tokio::time::{Instant, timeout};

use crate::rules;

/// Far longer than anything here takes.
const BOUND: Duration = Duration::from_secs(20);

/// One that only `block_on` polls, as `#[tokio::test]` makes it.
fn lone() -> Runtime {
    Builder::new_current_thread().enable_all().build().expect("a runtime")
}

/// One with threads of its own.
fn wide() -> Runtime {
    Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime")
}

const KINDS: [fn() -> Runtime; 2] = [lone, wide];

fn run<T>(runtime: &Runtime, work: impl Future<Output = T>) -> T {
    runtime.block_on(async { timeout(BOUND, work).await.expect("it ends") })
}

fn server() -> TestDatabase {
    lone().block_on(database())
}

fn pool_on(runtime: &Runtime, database: &TestDatabase, rules: Rules) -> Pool {
    let _here = runtime.enter();
    let rules = Rules { mode: Mode::Off, ..rules };
    Pool::connect(database.options(), Config { rules, ..Config::named("test") }).expect("these rules hold")
}

fn soon() -> Admission {
    Admission::within(Class::Normal, Duration::from_secs(5))
}

async fn ask(pool: &Pool) -> i32 {
    let mut lease = pool.acquire(&soon()).await.expect("there is room");
    sqlx::query_scalar("select 1").fetch_one(&mut *lease).await.expect("answers")
}

async fn until(pool: &Pool, what: &str, holds: impl Fn(&Snapshot) -> bool) {
    let end = Instant::now() + BOUND;
    while !holds(&pool.snapshot()) {
        assert!(Instant::now() < end, "still not so: {what}; {:?}", pool.snapshot());
        tokio::task::yield_now().await;
    }
}

async fn close(pool: &Pool) {
    let drained = timeout(BOUND, pool.close()).await.expect("it ends");
    assert_eq!(drained.open, 0, "{drained:?}");
}

#[test]
fn a_pool_whose_runtime_is_gone_serves_and_closes_on_another() {
    let database = server();
    for (first, second) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
        let (one, other) = (KINDS[first](), KINDS[second]());
        let pool = pool_on(&one, &database, Rules { min_idle: 2, ..rules() });
        let stock = run(&one, async {
            ask(&pool).await;
            until(&pool, "two are idle", |snapshot| snapshot.idle >= 2).await;
            PgPoolOptions::new().connect_with(database.options()).await.expect("connects")
        });
        drop(one);
        run(&other, async {
            assert_eq!(ask(&pool).await, 1);
            // sqlx's pool checks by a ping, which may pass without the runtime: now and then the first statement fails.
            let mut beside: Result<i32, sqlx::Error> = Err(sqlx::Error::PoolClosed);
            for _ in 0..5 {
                beside = beside.or(sqlx::query_scalar("select 1").fetch_one(&stock).await);
            }
            assert_eq!(beside.expect("sqlx's pool answers too"), 1);
            until(&pool, "two are idle again", |snapshot| snapshot.idle >= 2).await;
            close(&pool).await;
        });
        assert_eq!(pool.snapshot().totals.open_failed, 0, "the server is not to blame");
    }
}

#[test]
fn a_pool_whose_runtime_is_gone_closes_on_another_without_having_served_there() {
    let database = server();
    for kind in KINDS {
        let one = kind();
        let pool = pool_on(&one, &database, Rules { min_idle: 2, ..rules() });
        run(&one, ask(&pool));
        drop(one);
        run(&lone(), close(&pool));
    }
}

#[test]
fn ten_runtimes_one_after_another_use_one_pool() {
    let database = server();
    let first = lone();
    let pool = pool_on(&first, &database, rules());
    run(&first, ask(&pool));
    drop(first);
    for _ in 0..10 {
        let runtime = lone();
        run(&runtime, async {
            let asked = (0..4).map(|_| ask(&pool));
            assert_eq!(futures_util::future::join_all(asked).await, [1; 4]);
        });
    }
    run(&lone(), close(&pool));
}

#[test]
fn several_runtimes_at_once_use_one_pool() {
    let database = server();
    let first = lone();
    let pool = pool_on(&first, &database, rules());
    drop(first);
    let done = Barrier::new(6);
    std::thread::scope(|scope| {
        for _ in 0..6 {
            scope.spawn(|| {
                let runtime = lone();
                run(&runtime, async {
                    for _ in 0..20 {
                        assert_eq!(ask(&pool).await, 1);
                    }
                    // A statement that runs over a connection of a runtime that ends fails, so all end together.
                    done.wait().await;
                });
            });
        }
    });
    run(&lone(), async {
        assert_eq!(ask(&pool).await, 1);
        close(&pool).await;
    });
}

#[test]
fn a_wait_on_a_living_runtime_ends_in_time_when_that_of_the_pool_goes() {
    let database = server();
    for kind in KINDS {
        let (one, other) = (kind(), wide());
        let pool = pool_on(&one, &database, rules());
        pool.resize(Resize { limit: Some(1), ..Resize::default() }).expect("within bounds");
        let held = run(&other, pool.acquire(&soon())).expect("free");
        let hasty = Admission::within(Class::Normal, Duration::from_millis(300));
        let hasty = other.spawn(pool.acquire(&hasty));
        let patient = other.spawn(pool.acquire(&soon()));
        run(&other, until(&pool, "both wait", |snapshot| snapshot.waiting == 2));
        drop(one);
        let late = run(&other, hasty).expect("it does not panic").expect_err("nothing comes back in time");
        assert!(matches!(late, AcquireError::Timeout(_)), "{late}");
        drop(held);
        drop(run(&other, patient).expect("it does not panic").expect("the one that came back"));
        run(&other, close(&pool));
    }
}

#[test]
fn a_statement_goes_on_when_the_runtime_of_the_pool_goes() {
    let database = server();
    for kind in KINDS {
        let (one, other) = (kind(), wide());
        let pool = pool_on(&one, &database, rules());
        let working = other.spawn({
            let pool = pool.clone();
            async move { (&pool).execute("select pg_sleep(0.5)").await }
        });
        run(&other, until(&pool, "it runs", |snapshot| snapshot.leased == 1));
        drop(one);
        run(&other, working).expect("it does not panic").expect("answers");
        // And its own end is still seen to.
        let hasty = Admission::within(Class::Normal, Duration::from_millis(300));
        let late = run(&other, async {
            let mut lease = pool.acquire(&hasty).await.expect("free");
            sqlx::query("select pg_sleep(30)").execute(&mut *lease).await
        });
        late.expect_err("it is ended at its deadline");
        run(&other, close(&pool));
    }
}

#[test]
fn what_a_runtime_was_doing_for_the_pool_when_it_went_is_done_by_another() {
    let database = server();
    for kind in KINDS {
        let one = kind();
        let pool = pool_on(&one, &database, rules());
        run(&one, async {
            // Dirty, and to be cleaned.
            let mut lease = pool.acquire(&soon()).await.expect("free");
            (&mut *lease).execute("begin").await.expect("done");
            let mut other = pool.acquire(&soon()).await.expect("free");
            let asking = (&mut *other).execute("select pg_sleep(30)");
            timeout(Duration::from_millis(50), asking).await.expect_err("it is left");
            drop((lease, other));
            // And two are to be opened.
            for _ in 0..4 {
                drop(pool.acquire(&soon()).now_or_never());
            }
        });
        drop(one);
        let other = lone();
        run(&other, async {
            let all = (0..4).map(|_| ask(&pool));
            assert_eq!(futures_util::future::join_all(all).await, [1; 4]);
            until(&pool, "nothing is under way", |snapshot| snapshot.open() == snapshot.idle).await;
            close(&pool).await;
        });
    }
}

#[test]
fn what_ends_on_a_thread_without_a_runtime_is_seen_to_by_the_next_runtime() {
    let database = server();
    let one = lone();
    let pool = pool_on(&one, &database, rules());
    let (dirty, detached, door) = run(&one, async {
        let mut dirty = pool.acquire(&soon()).await.expect("free");
        (&mut *dirty).execute("begin").await.expect("done");
        let detached = pool.acquire(&soon()).await.expect("free").detach().await.expect("here");
        (dirty, detached, pool.side_door(&soon(), 1).await.expect("there is room"))
    });
    drop(one);
    drop((dirty, detached, door));
    run(&lone(), async {
        assert_eq!(ask(&pool).await, 1);
        until(&pool, "nothing is under way", |snapshot| snapshot.open() == snapshot.idle).await;
        close(&pool).await;
    });
}

#[test]
fn a_runtime_that_nobody_polls_keeps_nobody_waiting() {
    let database = server();
    let (one, other) = (lone(), lone());
    let pool = pool_on(&one, &database, Rules { min_idle: 2, ..rules() });
    // It lives on with two connections, one that is being opened, and one to be cleaned.
    run(&one, async {
        ask(&pool).await;
        until(&pool, "two are idle", |snapshot| snapshot.idle >= 2).await;
        let mut lease = pool.acquire(&soon()).await.expect("free");
        (&mut *lease).execute("begin").await.expect("done");
        drop(lease);
        for _ in 0..4 {
            drop(pool.acquire(&soon()).now_or_never());
        }
    });
    run(&other, async {
        let all = (0..4).map(|_| ask(&pool));
        assert_eq!(futures_util::future::join_all(all).await, [1; 4]);
        // Nothing comes back, and the wait ends.
        pool.resize(Resize { limit: Some(1), ..Resize::default() }).expect("within bounds");
        let held = pool.acquire(&soon()).await.expect("free");
        let hasty = Admission::within(Class::Normal, Duration::from_millis(200));
        let late = pool.acquire(&hasty).await.expect_err("nothing comes back");
        assert!(matches!(late, AcquireError::Timeout(_)), "{late}");
        drop(held);
        close(&pool).await;
    });
    drop(one);
}

#[test]
fn two_runtimes_that_are_polled_in_turn_use_one_pool() {
    let database = server();
    let (one, other) = (lone(), lone());
    let pool = pool_on(&one, &database, rules());
    for _ in 0..5 {
        assert_eq!((run(&one, ask(&pool)), run(&other, ask(&pool))), (1, 1));
    }
    run(&other, close(&pool));
}

#[test]
fn who_waits_on_a_thread_without_a_runtime_is_told_when_the_pool_has_none() {
    let database = server();
    let one = wide();
    let pool = pool_on(&one, &database, rules());
    let lease = bare(pool.acquire(&soon())).expect("the pool's own runtime opens it");
    drop(lease);
    drop(one);
    let error = bare(pool.acquire(&soon())).expect_err("nobody is there");
    assert!(matches!(error, AcquireError::Unavailable { .. }), "{error}");
    assert!(error.to_string().contains("tokio runtime"), "{error}");
    run(&lone(), async {
        assert_eq!(ask(&pool).await, 1);
        close(&pool).await;
    });
}

/// Polls outside of any runtime, until the answer is there or the bound has passed.
fn bare<T: Send>(work: impl Future<Output = T> + Send) -> T {
    let waker = std::task::Waker::noop();
    let mut work = std::pin::pin!(work);
    let end = Instant::now() + BOUND;
    loop {
        if let std::task::Poll::Ready(answer) = work.as_mut().poll(&mut std::task::Context::from_waker(waker)) {
            return answer;
        }
        assert!(Instant::now() < end, "it does not end");
        std::thread::yield_now();
    }
}

#[test]
fn a_watched_pool_whose_runtime_is_gone_serves_and_ends_waits_on_another() {
    let database = server();
    for kind in KINDS {
        let (one, other) = (kind(), lone());
        let watched = run(&one, async {
            let pool =
                PgPoolOptions::new().max_connections(2).connect_with(database.options()).await.expect("connects");
            overlay::Watched::new(pool, overlay::Config { mode: Mode::Off, ..overlay::Config::named("test") })
        })
        .expect("these rules hold");
        drop(one);
        run(&other, async {
            let held = watched.acquire(&soon()).await.expect("free");
            let hasty = Admission::within(Class::Normal, Duration::from_millis(200));
            let late = watched.acquire(&hasty).await.expect_err("the other is for critical work");
            assert!(matches!(late, AcquireError::Timeout(_)), "{late}");
            drop(held);
            drop(watched.acquire(&soon()).await.expect("free"));
            watched.close().await;
        });
    }
}
