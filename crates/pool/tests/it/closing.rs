//! What `close` does with the connections that nobody watches.

use std::time::Duration;

use forebay_pool::{Class, Config, Drained};
use sqlx::Executor;
use sqlx::postgres::{PgListener, PgPoolOptions};
use tokio::time::timeout;

use crate::{Site, admission, rules};

/// Far longer than any close may take.
const BOUND: Duration = Duration::from_secs(20);

async fn close(site: &Site) -> Drained {
    timeout(BOUND, site.pool.close()).await.expect("it ends")
}

async fn listen(pool: &sqlx::PgPool) -> PgListener {
    let mut listener = PgListener::connect_with(pool).await.expect("connects");
    listener.listen("news").await.expect("listens");
    listener
}

#[tokio::test]
async fn close_tells_a_listener_on_a_side_door_and_ends_with_it() {
    let site = Site::new(rules()).await;
    let door = site.pool.side_door(&admission(Class::Normal), 1).await.expect("there is room");
    let mut listener = listen(&door).await;
    let listening = tokio::spawn(async move { listener.recv().await });
    let drained = close(&site).await;
    assert_eq!((drained.late.len(), drained.open), (0, 0), "{drained:?}");
    let told = listening.await.expect("it does not panic").expect_err("it is told");
    assert!(matches!(told, sqlx::Error::PoolClosed), "{told}");
    // The door itself is still there, and of no use.
    assert!(door.is_closed());
}

#[tokio::test]
async fn close_does_not_wait_for_ever_for_a_listener_that_hears_nothing() {
    let site = Site::new(rules()).await;
    let door = site.pool.side_door(&admission(Class::Normal), 2).await.expect("there is room");
    let listener = listen(&door).await;
    let drained = close(&site).await;
    assert_eq!((drained.late.len(), drained.open), (0, 2), "{drained:?}");
    drop(listener);
    drop(door);
    site.until("the places are free", |snapshot| snapshot.open() == 0).await;
    // sqlx's pool waits for as long as such a listener lives.
    let stock = PgPoolOptions::new().max_connections(1).connect_with(site.database.options()).await.expect("connects");
    let listener = listen(&stock).await;
    timeout(Duration::from_secs(2), stock.close()).await.expect_err("it waits");
    drop(listener);
}

#[tokio::test]
async fn close_counts_a_detached_connection_that_lives_on_and_a_second_close_says_the_same() {
    let config = Config { close_timeout: Duration::from_millis(50), rules: rules(), ..Config::named("test") };
    let site = Site::with(config).await;
    let lease = site.pool.acquire(&admission(Class::Normal)).await.expect("free");
    let mut detached = lease.detach().await.expect("it goes");
    assert_eq!(close(&site).await.open, 1);
    assert_eq!(close(&site).await.open, 1);
    (&mut *detached).execute("select 1").await.expect("it is its holder's");
    drop(detached);
    site.until("closed", |snapshot| snapshot.open() == 0).await;
    assert_eq!(close(&site).await.open, 0);
}

#[tokio::test]
async fn close_waits_for_a_lease_beside_a_side_door_and_then_for_neither() {
    let site = Site::new(rules()).await;
    let door = site.pool.side_door(&admission(Class::Normal), 1).await.expect("there is room");
    let mut lease = site.pool.acquire(&admission(Class::Normal)).await.expect("free");
    // A raw connection is a lease's: nobody sees what is done on it, and it is waited for.
    lease.raw().await.expect("here").execute("select 1").await.expect("answers");
    let pool = site.pool.clone();
    let closing = tokio::spawn(async move { pool.close().await });
    site.until("all else is closed", |snapshot| snapshot.idle == 0 && snapshot.opening == 0).await;
    door.close_event().await;
    assert!(!closing.is_finished(), "the lease is out");
    drop(lease);
    let drained = timeout(BOUND, closing).await.expect("it ends").expect("it does not panic");
    assert_eq!(drained.open, 0, "nobody used the door");
}

#[tokio::test]
async fn a_side_door_that_is_dropped_on_a_thread_without_a_runtime_gives_its_places_back() {
    let site = Site::new(rules()).await;
    let door = site.pool.side_door(&admission(Class::Normal), 2).await.expect("there is room");
    let (inner, idle) = (sqlx::PgPool::clone(&door), site.pool.snapshot().idle);
    std::thread::spawn(move || drop(door)).join().expect("it does not panic");
    assert!(inner.is_closed());
    site.until("the places are free", |snapshot| snapshot.open() == snapshot.idle && snapshot.idle >= idle).await;
}

#[tokio::test]
async fn a_lease_that_is_leaked_is_taken_back_before_the_pool_is_closed() {
    let rules = forebay_pool::Rules {
        suspect_after: Duration::from_millis(50),
        revoke_after: Some(Duration::from_millis(100)),
        ..rules()
    };
    let site = Site::new(rules).await;
    let lease = site.pool.acquire(&admission(Class::Normal)).await.expect("free");
    let leak = tokio::spawn(async move {
        let _held = lease;
        std::future::pending::<()>().await;
    });
    assert_eq!(close(&site).await.open, 0);
    leak.abort();
}
