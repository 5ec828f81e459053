//! What can happen to those who connect.

use std::time::Duration;

use forebay_pool::{AcquireError, Admission, Class, Resize, Rules};
use forebay_wire::{Connection, Dials, Kind, Side};
use futures_util::future::join_all;
use tokio::time::timeout;

use crate::{LIMIT, PLACES, Site, admission, answer, eventually, rules, so};

impl Site {
    async fn dials(&self, dials: Dials) {
        self.proxy.set_dials(dials).await.expect("it listens");
    }

    /// Asks until the pool says that there is no hope at all.
    async fn is_unavailable(&self) -> AcquireError {
        let asking = async {
            loop {
                match self.pool.acquire(&admission()).await.expect_err("nobody can connect") {
                    AcquireError::Timeout(_) => {}
                    error => return error,
                }
            }
        };
        timeout(LIMIT, asking).await.unwrap_or_else(|_| panic!("it hopes on: {:?}", self.pool.snapshot()))
    }
}

/// Fails every dial until the pool despairs, lets them through again, and sees the pool come back.
async fn despairs_and_comes_back(fault: Dials, cause: &str) {
    let site = Site::new(rules()).await;
    site.dials(fault).await;
    let error = site.is_unavailable().await;
    let AcquireError::Unavailable { cause: Some(said), retry_after, .. } = &error else { panic!("{error}") };
    assert!(said.contains(cause), "{said}");
    assert!(*retry_after < Duration::from_secs(5), "{retry_after:?}");
    let before = site.pool.snapshot().totals.open_failed;
    site.dials(Dials::Forward).await;
    answer(&mut site.lease().await).await.expect("the server is back");
    // The pause before an attempt is half a second at most while nothing is alive: one was under way, and the next came
    // through.
    let since = site.pool.snapshot().totals.open_failed - before;
    assert!(since <= 2, "{since} more attempts failed after the server was back");
    site.is_at_full_strength().await;
}

#[tokio::test]
async fn after_refusals_the_pool_comes_back() {
    despairs_and_comes_back(Dials::Refuse, "refused").await;
}

#[tokio::test]
async fn after_resets_the_pool_comes_back() {
    despairs_and_comes_back(Dials::Reset, "").await;
}

#[tokio::test]
async fn after_a_server_without_room_the_pool_comes_back() {
    despairs_and_comes_back(Dials::NO_ROOM, "refuse this session").await;
}

#[tokio::test]
async fn after_a_server_that_starts_up_the_pool_comes_back() {
    despairs_and_comes_back(Dials::Fail("57P03"), "refuse this session").await;
}

#[tokio::test]
async fn after_a_server_that_never_answers_the_pool_comes_back() {
    despairs_and_comes_back(Dials::Silence, "no connection within").await;
}

#[tokio::test]
async fn while_nobody_can_connect_attempts_are_few() {
    let site = Site::new(Rules { min_idle: 4, ..rules() }).await;
    site.dials(Dials::Reset).await;
    let callers = join_all((0..100).map(|_| site.pool.acquire(&admission()))).await;
    assert!(callers.iter().all(Result::is_err), "nobody can connect");
    let (dials, failed) = (site.proxy.counts().dials, site.pool.snapshot().totals.open_failed);
    assert!(dials <= failed + 1, "{dials} dials, {failed} of them known to have failed");
    assert!(dials <= 20, "{dials} dials for a hundred callers");
    assert!(site.proxy.most_dials_at_once() <= 2);
}

#[tokio::test]
async fn a_slow_handshake_is_waited_for_and_two_are_under_way_at_once() {
    let site = Site::without_control(rules()).await;
    site.dials(Dials::Delay(Duration::from_millis(150))).await;
    let leases = join_all((0..PLACES).map(|_| site.pool.acquire(&admission()))).await;
    assert!(leases.iter().all(Result::is_ok), "{leases:?}");
    assert_eq!(site.proxy.most_dials_at_once(), 2);
    assert_eq!(site.pool.snapshot().totals.open_failed, 0);
    drop(leases);
    site.is_at_full_strength().await;
}

#[tokio::test]
async fn the_control_connection_waits_for_its_turn_to_dial() {
    let site = Site::new(rules()).await;
    site.dials(Dials::Delay(Duration::from_millis(150))).await;
    drop(join_all((0..PLACES).map(|_| site.pool.acquire(&admission()))).await);
    site.settled().await;
    assert_eq!(site.proxy.most_dials_at_once(), 2);
}

#[tokio::test]
async fn a_handshake_too_slow_is_given_up_and_its_socket_closed() {
    let site = Site::new(Rules { open_timeout: Duration::from_millis(100), ..rules() }).await;
    site.dials(Dials::Delay(Duration::from_secs(3_600))).await;
    let soon = Admission::within(Class::Normal, Duration::from_millis(500));
    site.pool.acquire(&soon).await.expect_err("no handshake ends");
    assert!(site.pool.snapshot().totals.open_failed >= 1);
    site.dials(Dials::Forward).await;
    site.is_at_full_strength().await;
    eventually("none of the old dials is left", || so(site.proxy.connections().iter().all(is_ready))).await;
}

fn is_ready(connection: &Connection) -> bool {
    connection.counts().ready == 1
}

#[tokio::test]
async fn a_caller_that_gives_up_during_a_slow_handshake_destroys_nothing() {
    let site = Site::new(rules()).await;
    site.dials(Dials::Delay(Duration::from_millis(150))).await;
    let soon = Admission::within(Class::Normal, Duration::from_millis(20));
    site.pool.acquire(&soon).await.expect_err("too soon");
    drop(timeout(Duration::from_millis(20), site.pool.acquire(&admission())).await);
    let snapshot = site.until("what was begun is idle", |snapshot| snapshot.idle >= 1 && snapshot.opening == 0).await;
    assert_eq!((snapshot.totals.open_failed, snapshot.totals.closed), (0, 0));
    site.is_at_full_strength().await;
}

#[tokio::test]
async fn a_server_without_room_for_more_is_served_from_with_what_there_is() {
    let site = Site::without_control(rules()).await;
    let (mut first, mut second) = (site.lease().await, site.lease().await);
    site.dials(Dials::NO_ROOM).await;
    let soon = Admission::within(Class::Normal, Duration::from_millis(300));
    site.pool.acquire(&soon).await.expect_err("there is no third");
    let before = site.proxy.counts();
    assert_eq!(site.pool.snapshot().ceiling, 2, "what exists is what there is room for");
    for _ in 0..3 {
        let soon = Admission::within(Class::Normal, Duration::from_millis(50));
        site.pool.acquire(&soon).await.expect_err("there is no third");
    }
    assert_eq!(site.proxy.counts().since(&before).frames(Side::Frontend, Kind::Startup), 0, "it is not asked again");
    for lease in [&mut first, &mut second] {
        answer(lease).await.expect("those that live serve on");
    }
    drop((first, second));
    let snapshot = site.until("both are idle", |snapshot| snapshot.idle == 2).await;
    assert_eq!(snapshot.totals.closed, 0);
}

#[tokio::test]
async fn new_bounds_while_the_server_has_no_room_leave_the_control_connection_alone() {
    let site = Site::new(rules()).await;
    let mut held = site.lease().await;
    site.settled().await;
    site.dials(Dials::NO_ROOM).await;
    let soon = Admission::within(Class::Normal, Duration::from_millis(300));
    site.pool.acquire(&soon).await.expect_err("there is no second");
    let before = site.pool.snapshot();
    assert_eq!(before.ceiling, 2, "one lease and the control connection");
    site.pool.resize(Resize { min_idle: Some(0), ..Resize::default() }).expect("it changes nothing");
    assert_eq!(site.pool.snapshot().ceiling, before.ceiling);
    answer(&mut held).await.expect("it serves on");
    assert_eq!(site.proxy.connections().len(), 2, "the control connection too");
}

#[tokio::test]
async fn a_crowd_that_waits_for_the_server_opens_no_more_than_the_limit_when_it_comes() {
    let site = Site::new(rules()).await;
    site.dials(Dials::Refuse).await;
    site.is_unavailable().await;
    site.dials(Dials::Forward).await;
    let crowd = (0..200).map(|_| async { answer(&mut site.lease().await).await });
    assert!(join_all(crowd).await.iter().all(Result::is_ok));
    let (dials, limit) = (site.proxy.counts().dials, u64::from(site.pool.snapshot().limit));
    assert!(dials <= limit + 2, "{dials} dials, the limit is {limit}");
    site.is_at_full_strength().await;
}
