//! In virtual time, without a socket.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use http::StatusCode;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::sleep;

use super::*;

/// Counts requests, and answers them after 50 ms.
#[derive(Default)]
struct Issuer {
    requests: AtomicUsize,
    away: AtomicBool,
    /// Publishes the key `new` too.
    rotated: AtomicBool,
}

impl Issuer {
    async fn answer(&self) -> Result<KeySet, FetchError> {
        self.requests.fetch_add(1, Ordering::Relaxed);
        sleep(Duration::from_millis(50)).await;
        if self.away.load(Ordering::Relaxed) {
            return Err(FetchError::Status { status: StatusCode::BAD_GATEWAY, told: Duration::ZERO });
        }
        let ids = ["old", "new"].into_iter().take(1 + usize::from(self.rotated.load(Ordering::Relaxed)));
        Ok(KeySet::of(ids.map(|id| (id.to_owned(), [0; 32]))))
    }

    /// The second request is not answered.
    async fn answer_once(&self) -> Result<KeySet, FetchError> {
        if self.requests() > 0 { std::future::pending().await } else { self.answer().await }
    }

    fn requests(&self) -> usize {
        self.requests.load(Ordering::Relaxed)
    }
}

fn remote() -> Arc<Remote> {
    Arc::new(Remote::new("http://auth/keys".parse().unwrap()))
}

fn keep_fresh(remote: &Arc<Remote>, issuer: &Arc<Issuer>) -> JoinHandle<()> {
    let (remote, issuer) = (Arc::clone(remote), Arc::clone(issuer));
    tokio::spawn(async move { remote.keep_fresh_by(|| issuer.answer()).await })
}

/// With the first keys fetched.
async fn running() -> (Arc<Remote>, Arc<Issuer>) {
    let (remote, issuer) = (remote(), Arc::new(Issuer::default()));
    keep_fresh(&remote, &issuer);
    assert_eq!(outcome(&remote, "old").await, Ok(()));
    assert_eq!(issuer.requests(), 1);
    (remote, issuer)
}

async fn outcome(remote: &Remote, id: &str) -> Result<(), Missing> {
    remote.key(id).await.map(|_| ())
}

#[tokio::test(start_paused = true)]
async fn keys_are_asked_for_every_five_minutes() {
    let (_remote, issuer) = running().await;
    sleep(Duration::from_secs(3_600)).await;
    assert!((12..=16).contains(&issuer.requests()), "{}", issuer.requests());
}

#[tokio::test(start_paused = true)]
async fn while_the_issuer_is_away_it_is_asked_every_ten_seconds_and_the_keys_hold_for_a_day() {
    let (remote, issuer) = running().await;
    issuer.away.store(true, Ordering::Relaxed);
    sleep(Duration::from_secs(300)).await;
    let before = issuer.requests();
    sleep(Duration::from_secs(600)).await;
    let in_ten_minutes = issuer.requests() - before;
    assert!((55..=125).contains(&in_ten_minutes), "{in_ten_minutes}");
    sleep(Duration::from_secs(24 * 3_600 - 960)).await;
    assert_eq!(outcome(&remote, "old").await, Ok(()));
    sleep(Duration::from_secs(120)).await;
    assert_eq!(outcome(&remote, "old").await, Err(Missing::Keys));
    issuer.away.store(false, Ordering::Relaxed);
    sleep(Duration::from_secs(11)).await;
    assert_eq!(outcome(&remote, "old").await, Ok(()));
}

#[tokio::test(start_paused = true)]
async fn a_key_that_is_new_is_fetched_for_the_token_that_names_it() {
    let (remote, issuer) = running().await;
    issuer.rotated.store(true, Ordering::Relaxed);
    assert_eq!((outcome(&remote, "new").await, outcome(&remote, "old").await), (Ok(()), Ok(())));
    assert_eq!(issuer.requests(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_thousand_unknown_keys_at_once_cause_one_request() {
    let (remote, issuer) = running().await;
    let mut tokens = JoinSet::new();
    for number in 0..1_000 {
        let remote = Arc::clone(&remote);
        tokens.spawn(async move { outcome(&remote, &number.to_string()).await });
    }
    assert!(tokens.join_all().await.into_iter().all(|found| found == Err(Missing::Key)));
    assert_eq!(issuer.requests(), 2);
}

#[tokio::test(start_paused = true)]
async fn unknown_keys_cause_a_request_in_ten_seconds_and_no_more_also_while_the_issuer_is_away() {
    let (remote, issuer) = running().await;
    issuer.away.store(true, Ordering::Relaxed);
    let began = Instant::now();
    // Less than the keys need to be due.
    while began.elapsed() < Duration::from_secs(200) {
        assert_eq!(outcome(&remote, "unknown").await, Err(Missing::Key));
        sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(issuer.requests(), 1 + 20);
}

#[tokio::test(start_paused = true)]
async fn a_known_key_waits_for_nothing_and_an_unknown_one_for_a_second() {
    let remote = remote();
    let (keeper, issuer) = (Arc::clone(&remote), Issuer::default());
    tokio::spawn(async move { keeper.keep_fresh_by(|| issuer.answer_once()).await });
    assert_eq!(outcome(&remote, "old").await, Ok(()));
    let began = Instant::now();
    let unknown = tokio::spawn({
        let remote = Arc::clone(&remote);
        async move { outcome(&remote, "unknown").await }
    });
    tokio::task::yield_now().await;
    assert_eq!(outcome(&remote, "old").await, Ok(()));
    assert_eq!(began.elapsed(), Duration::ZERO);
    assert_eq!(unknown.await.unwrap(), Err(Missing::Key));
    assert_eq!(began.elapsed().as_secs(), 1);
}

#[tokio::test(start_paused = true)]
async fn without_any_keys_nobody_can_tell() {
    let (remote, issuer) = (remote(), Arc::new(Issuer::default()));
    assert_eq!(outcome(&remote, "old").await, Err(Missing::Keys), "nobody asks yet");
    issuer.away.store(true, Ordering::Relaxed);
    keep_fresh(&remote, &issuer);
    assert_eq!(outcome(&remote, "old").await, Err(Missing::Keys), "the issuer is away");
    issuer.away.store(false, Ordering::Relaxed);
    sleep(Duration::from_secs(11)).await;
    assert_eq!(outcome(&remote, "old").await, Ok(()));
}

#[tokio::test(start_paused = true)]
async fn who_stops_waiting_takes_nothing_from_the_others() {
    let (remote, issuer) = running().await;
    issuer.rotated.store(true, Ordering::Relaxed);
    let first = timeout(Duration::from_millis(10), outcome(&remote, "new"));
    let second = outcome(&remote, "new");
    let (first, second) = tokio::join!(first, second);
    assert!(first.is_err(), "it gave up");
    assert_eq!((second, issuer.requests()), (Ok(()), 2));
}

#[tokio::test(start_paused = true)]
async fn one_asks_and_another_takes_over_in_the_middle_of_a_request() {
    let (remote, issuer) = (remote(), Arc::new(Issuer::default()));
    let first = keep_fresh(&remote, &issuer);
    tokio::task::yield_now().await;
    keep_fresh(&remote, &issuer);
    sleep(Duration::from_millis(10)).await;
    assert_eq!(issuer.requests(), 1);
    first.abort();
    assert_eq!(outcome(&remote, "old").await, Ok(()));
    assert_eq!(issuer.requests(), 2);
}
