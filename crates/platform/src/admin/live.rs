//! The pool as it happens: a sample each second, kept for a quarter of an hour, and one event for all who watch.

use std::{
    collections::VecDeque,
    convert::Infallible,
    fmt::Write as _,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use axum::{
    body::{Body, Bytes},
    extract::State,
    response::{IntoResponse as _, Response},
};
use forebay_pool::Waits;
use futures_util::stream;
use http::header::CONTENT_TYPE;
use serde::Serialize;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, watch},
    time::{Instant, MissedTickBehavior, interval},
};

use super::Admin;
use crate::{
    db::{Db, DbSnapshot},
    problem::{Code, Problem},
};

/// Between two samples.
const EVERY: Duration = Duration::from_secs(1);
/// A quarter of an hour.
const SAMPLES: usize = 15 * 60;
/// Connections of the listener that are left for probes, scrapes and orders, however many watch.
const LEFT: usize = 16;

/// What is told to whoever watches. A clone tells the same.
#[derive(Clone, Debug)]
pub struct Live(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    db: Db,
    places: Arc<Semaphore>,
    kept: Mutex<Recorded>,
    /// Changed each second.
    told: watch::Sender<Told>,
}

/// The last second.
#[derive(Clone, Debug, Default)]
struct Told {
    number: u64,
    event: Bytes,
}

/// What is known of the seconds before.
#[derive(Debug, Default)]
struct Recorded {
    samples: VecDeque<Sample>,
    before: Option<Before>,
    /// The event of all samples, made when somebody first asks for it in a second.
    history: Option<Told>,
    /// The last happening that all know who watch.
    happening: u64,
}

/// Where the counters stood.
#[derive(Debug)]
struct Before {
    at: Instant,
    busy_seconds: f64,
    granted: u64,
    shed: u64,
    waits: Option<Waits>,
}

/// One second.
#[derive(Clone, Copy, Debug, Serialize)]
struct Sample {
    /// When it ended, in milliseconds of Unix time.
    at: u64,
    limit: u32,
    /// The mean of the second, suspects among them: at one moment it would miss what is shorter than a second.
    in_use: f64,
    idle: u32,
    suspects: u32,
    waiting: u32,
    granted: u64,
    shed: u64,
    /// Of those who got a connection in it.
    wait_p50_ms: Option<f64>,
    wait_p95_ms: Option<f64>,
}

#[derive(Serialize)]
struct Second<'s> {
    number: u64,
    sample: Sample,
    /// Of its history only what is new.
    pool: &'s DbSnapshot,
}

#[derive(Serialize)]
struct History {
    number: u64,
    samples: Columns,
    pool: DbSnapshot,
}

/// The samples, the oldest first: with each name once they are a third as long.
#[derive(Default, Serialize)]
struct Columns {
    at: Vec<u64>,
    limit: Vec<u32>,
    in_use: Vec<f64>,
    idle: Vec<u32>,
    suspects: Vec<u32>,
    waiting: Vec<u32>,
    granted: Vec<u64>,
    shed: Vec<u64>,
    wait_p50_ms: Vec<Option<f64>>,
    wait_p95_ms: Vec<Option<f64>>,
}

impl Live {
    /// Tells of this pool, on a listener of so many connections. Most of them can be used for it, and never the last 16, or
    /// half of them where they are few.
    #[must_use]
    pub fn new(db: Db, connections: usize) -> Self {
        let places = connections.saturating_sub(LEFT).max(connections / 2);
        let (places, told) = (Arc::new(Semaphore::new(places.min(Semaphore::MAX_PERMITS))), watch::Sender::default());
        Self(Arc::new(Inner { db, places, kept: Mutex::default(), told }))
    }

    /// Looks at the pool once a second; never returns. Dropping the future stops it.
    pub async fn keep_up(self) {
        let mut ticks = interval(EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        loop {
            ticks.tick().await;
            self.look();
        }
    }

    /// Ends a second.
    fn look(&self) {
        let Inner { db, told, .. } = &*self.0;
        let (now, mut pool, waits) = (Instant::now(), db.snapshot(), db.waits());
        let mut kept = self.kept();
        let after = Before {
            at: now,
            busy_seconds: pool.totals.busy_seconds,
            granted: pool.totals.granted,
            shed: pool.shed.values().sum(),
            waits,
        };
        let sample = sample(&pool, kept.before.as_ref(), &after);
        kept.before = Some(after);
        if kept.samples.len() == SAMPLES {
            kept.samples.pop_front();
        }
        kept.samples.push_back(sample);
        kept.history = None;
        // The last one may have gone on since.
        let known = kept.happening;
        kept.happening = pool.history.last().map_or(known, |last| last.number);
        pool.history.retain(|happening| happening.number >= known);
        // Under the lock: who begins to watch has either this second in its history, or is told of it.
        told.send_modify(|told| {
            told.number += 1;
            let second = Second { number: told.number, sample, pool: &pool };
            told.event = if self.is_watched() { event("second", &second) } else { Bytes::new() };
        });
    }

    fn is_watched(&self) -> bool {
        self.0.told.receiver_count() > 0
    }

    fn kept(&self) -> MutexGuard<'_, Recorded> {
        self.0.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All that is known.
    fn history(&self) -> Told {
        let mut kept = self.kept();
        let number = self.0.told.borrow().number;
        if let Some(history) = kept.history.as_ref().filter(|history| history.number == number) {
            return history.clone();
        }
        let samples = kept.samples.iter().fold(Columns::default(), Columns::with);
        let event = event("history", &History { number, samples, pool: self.0.db.snapshot() });
        let history = Told { number, event };
        kept.history = Some(history.clone());
        history
    }

    /// Somebody watches from now on, if a place is left.
    fn watch(&self) -> Option<Watcher> {
        let place = Arc::clone(&self.0.places).try_acquire_owned().ok()?;
        let (live, seconds) = (self.clone(), self.0.told.subscribe());
        Some(Watcher { live, seconds, knows: None, _place: place })
    }
}

/// Somebody who watches.
#[derive(Debug)]
struct Watcher {
    live: Live,
    seconds: watch::Receiver<Told>,
    /// The second that was told last.
    knows: Option<u64>,
    _place: OwnedSemaphorePermit,
}

impl Watcher {
    /// The history first, then each second; and the history again where a slow reader has missed one.
    async fn next(&mut self) -> Option<Bytes> {
        let Some(mut knows) = self.knows else { return Some(self.tell(self.live.history())) };
        loop {
            self.seconds.changed().await.ok()?;
            let second = self.seconds.borrow_and_update().clone();
            if second.number > knows {
                knows += 1;
                let missed = second.number > knows || second.event.is_empty();
                return Some(self.tell(if missed { self.live.history() } else { second }));
            }
        }
    }

    fn tell(&mut self, told: Told) -> Bytes {
        self.knows = Some(told.number);
        told.event
    }
}

pub(super) async fn stream(State(admin): State<Admin>) -> Response {
    let Some(watcher) = admin.live.watch() else {
        let detail =
            "as many watch as may; GET /pool tells what is so at the moment, and FOREBAY_ADMIN_CONNECTIONS makes room";
        return Problem::new(Code::Overloaded).detail(detail).into_response();
    };
    let events = stream::unfold(watcher, async |mut watcher| {
        let event = watcher.next().await?;
        Some((Ok::<_, Infallible>(event), watcher))
    });
    ([(CONTENT_TYPE, "text/event-stream; charset=utf-8")], Body::from_stream(events)).into_response()
}

fn sample(pool: &DbSnapshot, before: Option<&Before>, after: &Before) -> Sample {
    let since = |counter: fn(&Before) -> u64| before.map_or(0, |before| counter(after).saturating_sub(counter(before)));
    let waits = after.waits.as_ref().zip(before.and_then(|before| before.waits.as_ref()));
    let waits = waits.map(|(after, before)| after.since(before));
    let wait = |share| waits.as_ref()?.quantile(share).map(|wait| rounded(wait.as_secs_f64() * 1_000.0));
    let at_once = pool.in_use + pool.suspects;
    let mean = before.filter(|_| pool.kind == "forebay").map(|before| {
        (after.busy_seconds - before.busy_seconds) / (after.at - before.at).as_secs_f64().max(f64::EPSILON)
    });
    Sample {
        at: unix_ms(),
        limit: pool.limit,
        in_use: rounded(mean.unwrap_or(at_once.into())),
        idle: pool.idle,
        suspects: pool.suspects,
        waiting: pool.waiting,
        granted: since(|counters| counters.granted),
        shed: since(|counters| counters.shed),
        wait_p50_ms: wait(0.5),
        wait_p95_ms: wait(0.95),
    }
}

impl Columns {
    fn with(mut self, sample: &Sample) -> Self {
        self.at.push(sample.at);
        self.limit.push(sample.limit);
        self.in_use.push(sample.in_use);
        self.idle.push(sample.idle);
        self.suspects.push(sample.suspects);
        self.waiting.push(sample.waiting);
        self.granted.push(sample.granted);
        self.shed.push(sample.shed);
        self.wait_p50_ms.push(sample.wait_p50_ms);
        self.wait_p95_ms.push(sample.wait_p95_ms);
        self
    }
}

/// To thousandths: nobody reads more of it.
fn rounded(value: f64) -> f64 {
    (value * 1_000.0).round() / 1_000.0
}

fn unix_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// An event of a stream of events; JSON has no line breaks.
fn event(name: &str, data: &impl Serialize) -> Bytes {
    let data = serde_json::to_string(data).expect("numbers, texts and lists are JSON");
    let mut text = String::with_capacity(name.len() + data.len() + 16);
    _ = write!(text, "event: {name}\ndata: {data}\n\n");
    text.into()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use forebay_embedded::testing::database;
    use forebay_pool::{Admission, Class, Config, Pool, Rules};
    use futures_util::FutureExt as _;
    use serde_json::Value;

    use super::*;

    async fn pool() -> Pool {
        let rules = Rules { ceiling: 4, initial_limit: 2, min_idle: 0, ..Rules::default() };
        Pool::connect(database().await.options(), Config { rules, ..Config::named("live-test") }).unwrap()
    }

    fn parsed(event: &Bytes) -> (String, Value) {
        let text = std::str::from_utf8(event).unwrap();
        let (name, data) = text.strip_prefix("event: ").unwrap().split_once('\n').unwrap();
        (name.to_owned(), serde_json::from_str(data.strip_prefix("data: ").unwrap().trim_end()).unwrap())
    }

    async fn told(watcher: &mut Watcher) -> (String, Value) {
        let event = tokio::time::timeout(Duration::from_secs(10), watcher.next()).await;
        parsed(&event.expect("it is told at once").unwrap())
    }

    #[tokio::test]
    async fn who_watches_is_told_the_history_and_then_each_second() {
        let pool = pool().await;
        let live = Live::new(Db::forebay(pool.clone()), 64);
        live.look();
        let lease = pool.acquire(&Admission::within(Class::Normal, Duration::from_secs(5))).await.unwrap();
        live.look();
        let mut watcher = live.watch().unwrap();
        let (name, history) = told(&mut watcher).await;
        assert_eq!((name.as_str(), history["number"].as_u64()), ("history", Some(2)));
        assert_eq!(history["samples"]["granted"], serde_json::json!([0, 1]));
        assert!(history["samples"]["wait_p50_ms"][1].is_number() && history["samples"]["wait_p50_ms"][0].is_null());
        assert!(history["pool"]["longest_holders"][0]["site"].as_str().unwrap().contains("live.rs"), "{history}");
        assert!(watcher.next().now_or_never().is_none(), "there is nothing new");
        drop(lease);
        live.look();
        let (name, second) = told(&mut watcher).await;
        assert_eq!((name.as_str(), second["number"].as_u64()), ("second", Some(3)));
        assert_eq!(second["pool"]["longest_holders"], serde_json::json!([]));
        assert_eq!(second["sample"]["granted"], 0);
    }

    #[tokio::test]
    async fn all_who_watch_are_told_the_same_bytes_and_who_missed_a_second_gets_the_history() {
        let live = Live::new(Db::forebay(pool().await), 64);
        let mut watchers = [live.watch().unwrap(), live.watch().unwrap()];
        let mut firsts = Vec::new();
        for watcher in &mut watchers {
            firsts.push(watcher.next().await.unwrap());
        }
        assert_eq!(firsts[0].as_ptr(), firsts[1].as_ptr(), "it was made once");
        live.look();
        let [quick, slow] = &mut watchers;
        let seconds = [quick.next().await.unwrap(), slow.next().await.unwrap()];
        assert_eq!(seconds[0].as_ptr(), seconds[1].as_ptr(), "it was made once");
        live.look();
        assert_eq!(told(quick).await.0, "second");
        live.look();
        assert_eq!(told(quick).await.0, "second");
        let (name, history) = told(slow).await;
        assert_eq!((name.as_str(), history["samples"]["at"].as_array().unwrap().len()), ("history", 3));
    }

    #[tokio::test]
    async fn no_more_is_kept_than_a_quarter_of_an_hour() {
        let live = Live::new(Db::forebay(pool().await), 64);
        for _ in 0..SAMPLES + 5 {
            live.look();
        }
        let history = live.history();
        let (_, told) = parsed(&history.event);
        assert_eq!(told["samples"]["at"].as_array().unwrap().len(), SAMPLES);
        assert!(history.event.len() < 100_000, "{} bytes", history.event.len());
        assert!(live.0.told.borrow().event.is_empty(), "nobody watches, so that nothing is written for them");
    }

    #[tokio::test]
    async fn places_are_left_for_those_who_do_not_watch() {
        let db = Db::forebay(pool().await);
        for (connections, watch) in [(16, 8), (128, 112), (1, 0), (0, 0)] {
            let live = Live::new(db.clone(), connections);
            let watchers: Vec<_> = std::iter::from_fn(|| live.watch()).take(200).collect();
            assert_eq!(watchers.len(), watch, "of {connections}");
            drop(watchers);
            assert_eq!(live.watch().is_some(), watch > 0, "who has gone makes room");
        }
    }

    #[tokio::test]
    async fn of_what_happened_only_the_new_is_told_again() {
        let pool = pool().await;
        let live = Live::new(Db::forebay(pool.clone()), 64);
        let mut watcher = live.watch().unwrap();
        let limit = |limit| forebay_pool::Resize { limit: Some(limit), ..forebay_pool::Resize::default() };
        pool.resize(limit(3)).unwrap();
        live.look();
        assert_eq!(told(&mut watcher).await.1["pool"]["history"].as_array().unwrap().len(), 1);
        pool.resize(limit(2)).unwrap();
        pool.resize(limit(3)).unwrap();
        live.look();
        let (name, second) = told(&mut watcher).await;
        let numbers: Vec<_> = second["pool"]["history"].as_array().unwrap().iter().map(|one| &one["number"]).collect();
        assert_eq!((name.as_str(), numbers), ("second", vec![&Value::from(1), &Value::from(2), &Value::from(3)]));
        live.look();
        let (_, second) = told(&mut watcher).await;
        assert_eq!(second["pool"]["history"].as_array().unwrap().len(), 1, "the last one may have gone on");
    }
}
