//! A burst of refusals in one line a class and second: how many, why, and under which trace the first is found.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use forebay_pool::{Class, ShedReason};
use tokio::time::{MissedTickBehavior, interval};

use super::Db;
use crate::trace::Trace;

/// How often what was refused is told.
const EVERY: Duration = Duration::from_secs(1);

const REASONS: usize = ShedReason::ALL.len();

/// What was refused of each class since it was told last.
static OF_PROCESS: [Burst; Class::ALL.len()] = [const { Burst::new() }; Class::ALL.len()];

/// Whoever is refused pays for a count, and the first of a burst for more.
#[derive(Debug)]
struct Burst {
    by_reason: [AtomicU64; REASONS],
    begun: AtomicBool,
    first: Mutex<Option<Trace>>,
}

/// A burst as it is told.
#[derive(Debug)]
struct Told {
    by_reason: [u64; REASONS],
    first: Option<Trace>,
}

fn bursts() -> impl Iterator<Item = (Class, &'static Burst)> {
    Class::ALL.iter().copied().zip(&OF_PROCESS)
}

/// Notes that the request which this task serves was shed.
pub(super) fn note(class: Class, reason: ShedReason) {
    if let Some((_, burst)) = bursts().find(|(known, _)| *known == class) {
        burst.note(reason, Trace::current());
    }
}

/// Tells once a second of what was refused, until it is dropped; [`tell_rest`] tells of what was refused after that.
pub async fn tell(db: Db) {
    let mut ticks = interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        tell_rest(&db);
    }
}

/// Tells of what was refused since that was told last: for a process that ends.
pub fn tell_rest(db: &Db) {
    for (class, burst) in bursts() {
        if let Some(told) = burst.take() {
            told.log(class, db);
        }
    }
}

impl Burst {
    const fn new() -> Self {
        Self {
            by_reason: [const { AtomicU64::new(0) }; REASONS],
            begun: AtomicBool::new(false),
            first: Mutex::new(None),
        }
    }

    fn note(&self, reason: ShedReason, trace: Option<Trace>) {
        if let Some(nth) = ShedReason::ALL.iter().position(|known| *known == reason) {
            self.by_reason[nth].fetch_add(1, Ordering::Relaxed);
        }
        if !self.begun.load(Ordering::Relaxed) && !self.begun.swap(true, Ordering::Relaxed) {
            *self.first.lock().unwrap_or_else(PoisonError::into_inner) = trace;
        }
    }

    fn take(&self) -> Option<Told> {
        if !self.begun.swap(false, Ordering::Relaxed) {
            return None;
        }
        let first = self.first.lock().unwrap_or_else(PoisonError::into_inner).take();
        let by_reason = self.by_reason.each_ref().map(|count| count.swap(0, Ordering::Relaxed));
        // One that was counted a moment ago may be in the line before.
        (by_reason.iter().sum::<u64>() > 0).then_some(Told { by_reason, first })
    }
}

impl Told {
    fn log(&self, class: Class, db: &Db) {
        let pool = db.snapshot();
        tracing::warn!(
            class = class.name(),
            count = self.by_reason.iter().sum::<u64>(),
            reasons = %Reasons(&self.by_reason),
            trace_id = self.first.map(tracing::field::display),
            limit = pool.limit,
            in_use = pool.in_use,
            waiting = pool.waiting,
            "requests were shed"
        );
    }
}

/// `predicted_wait 120, sojourn 3`.
struct Reasons<'t>(&'t [u64; REASONS]);

impl fmt::Display for Reasons<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counted = ShedReason::ALL.iter().zip(self.0).filter(|(_, count)| **count > 0);
        for (nth, (reason, count)) in counted.enumerate() {
            write!(f, "{}{} {count}", if nth == 0 { "" } else { ", " }, reason.name())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use forebay_pool::{Admission, Config, Pool, Rules};
    use serde_json::Value;

    use super::*;
    use crate::{security::tests::Sink, trace::Context};

    /// A pool whose server does not exist.
    fn nowhere() -> Db {
        let rules = Rules { ceiling: 4, initial_limit: 2, min_idle: 0, ..Rules::default() };
        let config = Config { rules, ..Config::named("nowhere") };
        Db::forebay(Pool::connect("postgres://forebay@127.0.0.1:1/x".parse().unwrap(), config).unwrap())
    }

    /// The lines that are written from here on by this thread.
    struct Lines {
        written: Arc<Mutex<Vec<u8>>>,
        _until_the_end: tracing::subscriber::DefaultGuard,
    }

    impl Lines {
        fn begin() -> Self {
            let written = Arc::<Mutex<Vec<u8>>>::default();
            let sink = Arc::clone(&written);
            let log = tracing_subscriber::fmt().json().flatten_event(true);
            let log = log.with_writer(move || Sink(Arc::clone(&sink))).finish();
            Self { written, _until_the_end: tracing::subscriber::set_default(log) }
        }

        fn of(&self, message: &str) -> Vec<Value> {
            let text = String::from_utf8(self.written.lock().unwrap().clone()).unwrap();
            let lines = text.lines().map(|line| serde_json::from_str(line).unwrap());
            lines.filter(|line: &Value| line["message"] == message).collect()
        }
    }

    fn fields(line: &Value) -> Vec<&str> {
        let own = ["timestamp", "level", "target", "message"];
        let all = line.as_object().unwrap().keys().map(String::as_str);
        all.filter(|field| !own.contains(field)).collect()
    }

    #[test]
    fn a_burst_is_told_once_with_its_reasons_and_its_first_trace() {
        let burst = Burst::new();
        assert!(burst.take().is_none());
        let traces = [(); 3].map(|()| Context::begin().trace());
        burst.note(ShedReason::Sojourn, Some(traces[0]));
        for trace in &traces[1..] {
            burst.note(ShedReason::PredictedWait, Some(*trace));
        }
        let told = burst.take().unwrap();
        assert_eq!(told.first, Some(traces[0]));
        assert_eq!(Reasons(&told.by_reason).to_string(), "predicted_wait 2, sojourn 1");
        assert!(burst.take().is_none());
        burst.note(ShedReason::QueueFull, None);
        assert_eq!(burst.take().map(|told| Reasons(&told.by_reason).to_string()).as_deref(), Some("queue_full 1"));
    }

    #[tokio::test]
    async fn a_line_of_refusals_says_which_class_how_many_why_and_how_the_pool_stood() {
        let (db, lines, first) = (nowhere(), Lines::begin(), Context::begin().trace());
        let mut by_reason = [0; REASONS];
        by_reason[0] = 3;
        Told { by_reason, first: Some(first) }.log(Class::Critical, &db);
        Told { by_reason, first: None }.log(Class::Normal, &db);
        let lines = lines.of("requests were shed");
        let [line, untraced] = &lines[..] else { panic!("two lines: {lines:?}") };
        assert_eq!(fields(line), ["class", "count", "in_use", "limit", "reasons", "trace_id", "waiting"]);
        assert_eq!((&line["class"], &line["count"]), (&Class::Critical.name().into(), &3.into()), "{line}");
        assert_eq!(line["reasons"], format!("{} 3", ShedReason::ALL[0].name()), "{line}");
        assert_eq!(line["trace_id"], first.to_string(), "{line}");
        assert_eq!((&line["limit"], &line["in_use"], &line["waiting"]), (&2.into(), &0.into(), &0.into()), "{line}");
        assert!(untraced.get("trace_id").is_none(), "{untraced}");
    }

    #[tokio::test]
    async fn what_was_refused_last_is_told_when_the_process_ends() {
        let (db, lines) = (nowhere(), Lines::begin());
        note(Class::Background, ShedReason::QueueFull);
        tell_rest(&db);
        let told = lines.of("requests were shed");
        assert!(told.iter().any(|line| line["class"] == Class::Background.name()), "{told:?}");
    }

    #[tokio::test]
    async fn a_line_of_a_failed_acquire_says_where_why_and_how_the_pool_stood() {
        let (db, lines) = (nowhere().named("catalog"), Lines::begin());
        let admission = Admission::within(Class::Normal, Duration::from_millis(200));
        let line = line!() + 1;
        let error = db.acquire(&admission).await.unwrap_err();
        let told = [lines.of("no database connection"), lines.of("acquire timed out")].concat();
        let [told] = &told[..] else { panic!("one line: {told:?}") };
        let mut wanted = vec!["error", "idle", "in_use", "kind", "limit", "service", "site", "waiting"];
        if told["message"] == "no database connection" {
            wanted.insert(1, "holders");
        }
        assert_eq!(fields(told), wanted);
        assert_eq!((&told["service"], &told["kind"]), (&"catalog".into(), &error.kind().into()), "{told}");
        assert!(told["site"].as_str().unwrap().contains(&format!("sheds.rs:{line}:")), "{told}");
        assert_eq!(told["error"], error.to_string(), "{told}");
    }
}
