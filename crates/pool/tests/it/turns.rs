//! Tasks that ask again and again and never yield by themselves.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use forebay_pool::Class;
use forebay_pool::overlay::{self, Watched};
use sqlx::postgres::PgPoolOptions;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::Barrier;

use crate::{Site, admission, rules};

const TASKS: usize = 16;
const TURNS: usize = 10_000;

/// Has each task take its turns in a loop until one of them has had all; how many the least and the most served had.
async fn race<W: Future<Output = ()> + Send>(
    turns: usize,
    turn: impl Fn() -> W + Clone + Send + 'static,
) -> (usize, usize) {
    let counts: Arc<[AtomicUsize]> = (0..TASKS).map(|_| AtomicUsize::new(0)).collect();
    let (ready, over) = (Arc::new(Barrier::new(TASKS)), Arc::new(AtomicUsize::new(0)));
    let tasks = (0..TASKS).map(|task| {
        let (counts, ready, over, turn) = (Arc::clone(&counts), Arc::clone(&ready), Arc::clone(&over), turn.clone());
        tokio::spawn(async move {
            ready.wait().await;
            while over.load(Ordering::Relaxed) == 0 {
                turn().await;
                let had = 1 + counts[task].fetch_add(1, Ordering::Relaxed);
                over.fetch_or(usize::from(had >= turns), Ordering::Relaxed);
            }
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await.expect("it takes its turns");
    }
    let counts = counts.iter().map(|count| count.load(Ordering::Relaxed));
    (counts.clone().min().unwrap_or(0), counts.max().unwrap_or(0))
}

/// One thread each, so that no other program decides who runs.
fn runtimes() -> [(&'static str, Runtime); 2] {
    let built = |mut builder: Builder| builder.enable_all().build().expect("a runtime");
    let mut threaded = Builder::new_multi_thread();
    threaded.worker_threads(1);
    [("current thread", built(Builder::new_current_thread())), ("multi thread", built(threaded))]
}

/// tokio's threads let the task that was woken last go first, which adds a turn now and then.
fn assert_fair(runtime: &str, (least, most): (usize, usize)) {
    assert!(2 * least >= most, "{runtime}: {least} turns where another task had {most}");
}

#[test]
fn tasks_that_are_served_at_once_and_never_yield_are_served_alike() {
    for (name, runtime) in runtimes() {
        runtime.block_on(async {
            let site = Site::new(rules()).await;
            drop(site.pool.acquire(&admission(Class::Normal)).await.expect("it opens one"));
            let pool = site.pool.clone();
            let turn = move || {
                let pool = pool.clone();
                async move { drop(pool.acquire(&admission(Class::Normal)).await.expect("one is free")) }
            };
            assert_fair(name, race(TURNS, turn).await);
        });
    }
}

#[test]
fn tasks_that_are_refused_at_once_and_never_yield_are_refused_alike() {
    for (name, runtime) in runtimes() {
        runtime.block_on(async {
            let site = Site::new(rules()).await;
            site.pool.close().await;
            let pool = site.pool.clone();
            let turn = move || {
                let pool = pool.clone();
                async move { drop(pool.acquire(&admission(Class::Normal)).await.expect_err("it is closed")) }
            };
            assert_fair(name, race(TURNS, turn).await);
        });
    }
}

#[test]
fn tasks_that_an_overlay_refuses_at_once_and_that_never_yield_are_refused_alike() {
    for (name, runtime) in runtimes() {
        runtime.block_on(async {
            let database = forebay_embedded::testing::database().await;
            let pool = PgPoolOptions::new().max_connections(2).connect_lazy_with(database.options());
            let watched = Watched::new(pool, overlay::Config::named("test")).expect("two are enough");
            watched.close().await;
            let turn = move || {
                let watched = watched.clone();
                async move { drop(watched.acquire(&admission(Class::Normal)).await.expect_err("it is closed")) }
            };
            assert_fair(name, race(TURNS, turn).await);
        });
    }
}
