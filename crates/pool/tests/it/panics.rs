//! Somebody who is told of the pool panics: what was on its way to a caller comes back.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use forebay_embedded::testing::{TestDatabase, database};
use forebay_pool::{Class, Config, Observer, Pool, Rules, Sizing};
use futures_util::FutureExt;
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

use crate::{admission, rules};

/// Panics once when it is told of something after it was armed.
#[derive(Clone, Debug, Default)]
struct Startled(Arc<AtomicBool>);

impl Startled {
    fn arm(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    fn is_told(&self) {
        assert!(!self.0.swap(false, Ordering::Relaxed), "startled");
    }
}

#[derive(Debug)]
struct ByLeases(Startled);

impl Observer for ByLeases {
    fn acquired(&self, _: Class, _: Duration) {
        self.0.is_told();
    }
}

#[derive(Debug)]
struct ByHandovers(Startled);

impl Observer for ByHandovers {
    fn handed_over(&self, _: Class, _: Duration) {
        self.0.is_told();
    }
}

struct ByWarnings(Startled);

impl Subscriber for ByWarnings {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.is_event()
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        if *event.metadata().level() == Level::WARN {
            self.0.is_told();
        }
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

/// A pool of one connection, which is open. Nothing that is lost is taken back.
async fn pool_of_one(observer: impl Observer + 'static) -> (Pool, TestDatabase) {
    let database = database().await;
    let rules = Rules { initial_limit: 1, ceiling: 2, sizing: Sizing::Fixed, revoke_after: None, ..rules() };
    let config = Config { rules, ..Config::named("test") };
    let pool = Pool::builder(database.options(), config).observer(observer).connect().expect("these rules hold");
    drop(pool.acquire(&admission(Class::Normal)).await.expect("it opens one"));
    (pool, database)
}

async fn assert_is_whole(pool: &Pool) {
    let snapshot = pool.snapshot();
    assert_eq!((snapshot.leased, snapshot.waiting), (0, 0), "{snapshot:?}");
    drop(pool.acquire(&admission(Class::Normal)).await.expect("it is free"));
}

#[tokio::test]
async fn a_lease_whose_observer_panics_goes_back() {
    let startled = Startled::default();
    let (pool, _database) = pool_of_one(ByLeases(startled.clone())).await;
    startled.arm();
    let asked = AssertUnwindSafe(pool.acquire(&admission(Class::Normal))).catch_unwind().await;
    assert!(asked.is_err(), "it panics");
    assert_is_whole(&pool).await;
    startled.arm();
    let tried = std::panic::catch_unwind(AssertUnwindSafe(|| pool.try_acquire(&admission(Class::Normal))));
    assert!(tried.is_err(), "it panics");
    assert_is_whole(&pool).await;
}

#[tokio::test]
async fn a_lease_that_was_waited_for_goes_back_when_its_observer_panics() {
    let startled = Startled::default();
    let (pool, _database) = pool_of_one(ByHandovers(startled.clone())).await;
    let held = pool.acquire(&admission(Class::Normal)).await.expect("it is free");
    let mut waiting = pool.acquire(&admission(Class::Normal));
    assert!((&mut waiting).now_or_never().is_none(), "one is out, and may be");
    drop(held);
    startled.arm();
    assert!(AssertUnwindSafe(waiting).catch_unwind().await.is_err(), "it panics");
    assert_is_whole(&pool).await;
}

#[tokio::test]
async fn whoever_panics_as_it_begins_to_wait_leaves_the_queue() {
    let startled = Startled::default();
    let (pool, _database) = pool_of_one(forebay_pool::Unobserved).await;
    let _subscriber = tracing::subscriber::set_default(ByWarnings(startled.clone()));
    let one = pool.clone();
    let task = tokio::spawn(async move {
        let held = one.acquire(&admission(Class::Normal)).await.expect("it is free");
        startled.arm();
        let mut nested = Box::pin(AssertUnwindSafe(one.acquire(&admission(Class::Normal))).catch_unwind());
        assert!(nested.as_mut().await.is_err(), "it is warned of: whoever holds one waits for another");
        drop(nested);
        assert_eq!(one.snapshot().waiting, 0, "it has left");
        drop(held);
    });
    task.await.expect("it is in order");
    assert_is_whole(&pool).await;
}
