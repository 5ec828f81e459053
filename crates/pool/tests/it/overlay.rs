//! Admission in front of a pool of sqlx's own.

use std::panic::Location;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{Request, Response, StatusCode};
use axum::routing::get;
use forebay_embedded::testing::database;
use forebay_pool::http::AdmissionLayer;
use forebay_pool::overlay::{Checkout, Config, Watched};
use forebay_pool::{AcquireError, Admission, Class, Event, Holder, Mode, Observer, Snapshot};
use futures_util::FutureExt;
use sqlx::postgres::PgPoolOptions;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tower::ServiceExt;

use crate::{LIMIT, admission};

/// How often sqlx was asked, seen from its own hooks.
#[derive(Clone, Debug, Default)]
struct Touched(Arc<AtomicU64>);

impl Touched {
    fn count(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    /// sqlx's pool of three, which counts every connection that it hands out or opens.
    async fn pool(&self) -> sqlx::PgPool {
        let (opened, reused) = (self.clone(), self.clone());
        let options = PgPoolOptions::new().max_connections(3).acquire_timeout(Duration::from_secs(60));
        let options = options.after_connect(move |_, _| {
            opened.0.fetch_add(1, Ordering::Relaxed);
            async { Ok(()) }.boxed()
        });
        let options = options.before_acquire(move |_, _| {
            reused.0.fetch_add(1, Ordering::Relaxed);
            async { Ok(true) }.boxed()
        });
        options.connect_with(database().await.options()).await.expect("the server runs")
    }
}

async fn watched(config: Config) -> Watched {
    Watched::new(Touched::default().pool().await, config).expect("three permits are enough")
}

fn config() -> Config {
    Config { acquire_timeout: Duration::from_secs(20), ..Config::named("test") }
}

async fn until(pool: &Watched, what: &str, holds: impl Fn(&Snapshot) -> bool) {
    let end = Instant::now() + LIMIT;
    while !holds(&pool.snapshot()) {
        assert!(Instant::now() < end, "still not so: {what}; {:?}", pool.snapshot());
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// Takes both places below the reserve, and fills the queue until a newcomer is refused.
async fn fill(pool: &Watched) -> (Vec<Checkout>, Vec<tokio::task::JoinHandle<()>>) {
    let mut held = Vec::new();
    for _ in 0..2 {
        held.push(pool.acquire(&admission(Class::Normal)).await.expect("free"));
    }
    let mut waiting = Vec::new();
    while pool.admit(&admission(Class::Normal)).is_ok() {
        assert!(waiting.len() < 10_000, "the queue has no bound");
        let acquire = pool.acquire(&admission(Class::Normal));
        waiting.push(tokio::spawn(async move { drop(acquire.await) }));
        tokio::task::yield_now().await;
    }
    (held, waiting)
}

#[tokio::test]
async fn the_overlay_refuses_before_sqlx_is_asked_and_keeps_a_connection_for_critical_work() {
    let touched = Touched::default();
    let pool = Watched::new(touched.pool().await, config()).expect("three permits are enough");
    let (_held, _waiting) = fill(&pool).await;
    let before = touched.count();
    let error = pool.acquire(&admission(Class::Normal)).now_or_never().expect("at once").expect_err("no place");
    assert!(matches!(error, AcquireError::Shed { class: Class::Normal, .. }), "{error}");
    assert_eq!(touched.count(), before, "a refused request touches no connection");
    let mut paid = pool.acquire(&admission(Class::Critical)).await.expect("the reserve is free");
    let one: i32 = sqlx::query_scalar("select 1").fetch_one(&mut *paid).await.expect("answers");
    assert_eq!(one, 1);
}

#[tokio::test]
async fn a_waiter_of_the_overlay_is_shed_long_before_sqlx_would_time_out() {
    let pool = watched(config()).await;
    let (_held, waiting) = fill(&pool).await;
    let error = pool.acquire(&admission(Class::Normal)).await.expect_err("no place");
    assert!(matches!(error, AcquireError::Shed { .. }), "{error}");
    // Nobody gives anything back, sqlx would let them wait for a minute, and the test would not last so long.
    for waiter in waiting {
        waiter.await.expect("not cancelled");
    }
    assert_eq!(pool.snapshot().waiting, 0);
}

#[tokio::test]
async fn a_time_out_of_the_overlay_names_who_held_for_longest() {
    let pool = watched(Config { mode: Mode::Off, ..config() }).await;
    let here = line!() + 1;
    let _first = pool.acquire(&admission(Class::Normal)).await.expect("free");
    let _second = pool.acquire(&admission(Class::Normal)).await.expect("free");
    let soon = Admission::within(Class::Normal, Duration::from_millis(30));
    let error = pool.acquire(&soon).await.expect_err("both are out");
    let AcquireError::Timeout(timeout) = &error else { panic!("{error}") };
    let longest: &Location<'_> = timeout.longest[0].site;
    assert_eq!((longest.file(), longest.line()), (file!(), here));
    assert_eq!(pool.holders()[0].site.line(), here);
    assert!(error.to_string().contains("overlay.rs"), "{error}");
}

#[tokio::test]
async fn an_overlays_acquire_dropped_at_any_moment_leaks_nothing() {
    let pool = watched(config()).await;
    for round in 0..200_u32 {
        let held = pool.acquire(&admission(Class::Normal));
        let mut acquire = Box::pin(pool.acquire(&admission(Class::Normal)));
        let held = tokio::time::timeout(Duration::from_micros(u64::from(round * 7 % 500)), held).await;
        for _ in 0..round % 5 {
            if (&mut acquire).now_or_never().is_some() {
                acquire = Box::pin(pool.acquire(&admission(Class::Normal)));
            }
            tokio::task::yield_now().await;
        }
        drop((held, acquire));
    }
    until(&pool, "nothing is out", |snapshot| snapshot.leased == 0 && snapshot.waiting == 0).await;
    let mut held = Vec::new();
    for _ in 0..2 {
        held.push(pool.acquire(&admission(Class::Normal)).await.expect("both places are there"));
    }
    held.push(pool.acquire(&admission(Class::Critical)).await.expect("and so is the reserve"));
    assert!(pool.pool().size() <= 3);
}

#[tokio::test]
async fn callers_of_the_overlay_that_give_up_while_sqlx_connects_do_not_make_it_connect_again() {
    let touched = Touched::default();
    let pool = Watched::new(touched.pool().await, config()).expect("three permits are enough");
    let _first = pool.acquire(&admission(Class::Normal)).await.expect("the one that is open");
    let opened = touched.count();
    for _ in 0..20 {
        // Polled once, sqlx has begun to open the second connection, and the caller leaves.
        drop(pool.acquire(&admission(Class::Normal)).now_or_never());
        until(&pool, "the abandoned acquire has ended", |snapshot| snapshot.leased == 1).await;
    }
    assert_eq!(pool.pool().size(), 2, "the first of them opened it, and the others found it");
    assert!(touched.count() > opened, "sqlx was asked");
}

/// Passes on what becomes a suspect.
#[derive(Debug)]
struct Suspects(mpsc::UnboundedSender<Holder>);

impl Observer for Suspects {
    fn event(&self, event: &Event, holder: Option<&Holder>) {
        if let (Event::Suspected { .. }, Some(holder)) = (event, holder) {
            // A test that has ended listens no more.
            let _listens = self.0.send(holder.clone());
        }
    }
}

#[tokio::test]
async fn what_is_out_and_unused_is_named_and_a_statement_that_is_seen_is_not() {
    let (told, mut suspects) = mpsc::unbounded_channel();
    let config = Config { suspect_after: Duration::from_millis(100), ..config() };
    let pool = Watched::observed(Touched::default().pool().await, config, Box::new(Suspects(told))).expect("enough");
    let mut busy = pool.acquire(&admission(Class::Normal)).await.expect("free");
    sqlx::query("select pg_sleep(0.6)").execute(&mut busy).await.expect("it may take its time");
    assert!(suspects.try_recv().is_err(), "its statement was seen to run");
    drop(busy);
    let here = line!() + 1;
    let _forgotten = pool.acquire(&admission(Class::Normal)).await.expect("free");
    let named = suspects.recv().await.expect("it is told of");
    assert_eq!((named.site.file(), named.site.line()), (file!(), here));
    assert_eq!(pool.snapshot().suspects, 1);
}

#[tokio::test]
async fn a_permit_is_free_again_when_sqlx_has_its_connection_back_and_not_before() {
    let pool = watched(config()).await;
    let mut lease = pool.acquire(&admission(Class::Normal)).await.expect("free");
    let cut = tokio::time::timeout(Duration::from_millis(50), sqlx::query("select pg_sleep(1)").execute(&mut lease));
    assert!(cut.await.is_err());
    drop(lease);
    tokio::task::yield_now().await;
    assert_eq!(pool.snapshot().leased, 1, "sqlx still reads what the abandoned statement answers");
    until(&pool, "it is back", |snapshot| snapshot.leased == 0).await;
}

#[tokio::test]
async fn transactions_of_sqlx_run_on_what_the_overlay_hands_out() {
    use sqlx::Connection;
    let pool = watched(config()).await;
    let mut connection = pool.acquire(&admission(Class::Normal)).await.expect("free");
    let mut tx = connection.begin().await.expect("begins");
    sqlx::query("create table t (n int)").execute(&mut *tx).await.expect("created");
    tx.commit().await.expect("committed");
    let count: i64 = sqlx::query_scalar("select count(*) from t").fetch_one(&mut connection).await.expect("answers");
    assert_eq!(count, 0);
}

#[tokio::test]
async fn what_sqlx_cannot_open_is_unavailable_with_its_cause_and_a_closed_pool_is_closed() {
    let options = database().await.options().database("there_is_none_of_this_name");
    let pool = Watched::new(PgPoolOptions::new().max_connections(3).connect_lazy_with(options), config());
    let pool = pool.expect("three permits are enough");
    let error = pool.acquire(&admission(Class::Normal)).await.expect_err("no such database");
    let AcquireError::Unavailable { cause: Some(cause), .. } = &error else { panic!("{error}") };
    assert!(cause.contains("there_is_none_of_this_name"), "{cause}");
    assert_eq!(pool.snapshot().leased, 0);
    pool.pool().close().await;
    let error = pool.acquire(&admission(Class::Normal)).await.expect_err("closed");
    assert!(matches!(error, AcquireError::Closed { .. }), "{error}");
}

#[tokio::test]
async fn closing_the_overlay_refuses_newcomers_and_waits_for_what_is_out() {
    let pool = watched(config()).await;
    let held = pool.acquire(&admission(Class::Normal)).await.expect("free");
    let mut closing = Box::pin(pool.close());
    assert!((&mut closing).now_or_never().is_none(), "one is out");
    let error = pool.acquire(&admission(Class::Critical)).await.expect_err("closed");
    assert!(matches!(error, AcquireError::Closed { .. }), "{error}");
    drop(held);
    closing.await;
    until(&pool, "no permit is left", |snapshot| snapshot.open() == 0).await;
}

#[tokio::test]
async fn an_overlay_that_cannot_hold_says_everything_that_is_wrong() {
    let pool = Touched::default().pool().await;
    let config = Config { permits: Some(4), acquire_timeout: Duration::MAX, ..Config::named("test") };
    let error = Watched::new(pool.clone(), config).expect_err("it has three");
    assert_eq!(error.faults.len(), 2, "{error}");
    let config = Config { permits: Some(1), ..Config::named("test") };
    assert_eq!(Watched::new(pool, config).expect_err("no reserve").faults.len(), 1);
}

#[tokio::test]
async fn the_door_stands_in_front_of_a_watched_pool_too() {
    let pool = watched(config()).await;
    let admit = |_: &Request<Body>| admission(Class::Normal);
    let refuse = |error: &AcquireError| {
        let mut answer = Response::new(Body::from(error.to_string()));
        *answer.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
        answer
    };
    let layer = AdmissionLayer::watched(pool.clone(), admit, refuse);
    let router = Router::new().route("/", get(|| async { "hello" })).layer(layer);
    let request = || Request::get("/").body(Body::empty()).expect("a request");
    assert_eq!(router.clone().oneshot(request()).await.expect("infallible").status(), StatusCode::OK);
    let (_held, _waiting) = fill(&pool).await;
    let refused = router.oneshot(request()).await.expect("infallible");
    assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
}
