//! What becomes of a pool whose process stood still for a while: stopped, suspended, or with every thread of its runtime busy
//! with something else.

use std::process::Stdio;
use std::str::FromStr as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use forebay_embedded::testing::database;
use forebay_pool::{Admission, Class, Config, Pool, PoolError, Rules, Snapshot, Totals, classify};
use rustix::process::{Pid, Signal, kill_process};
use sqlx::postgres::PgConnectOptions;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStderr, ChildStdin, Command};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

use crate::{Site, admission};

const LIMIT: Duration = Duration::from_secs(60);
/// Longer than anybody may hold a lease idle here, and than a server may be silent.
const PAUSE: Duration = Duration::from_secs(2);
const HOLDERS: u32 = 24;
const WORKERS: usize = 2;

fn config() -> Config {
    let rules = Rules {
        min_idle: HOLDERS + 8,
        initial_limit: HOLDERS + 8,
        ceiling: HOLDERS + 16,
        suspect_after: Duration::from_millis(500),
        revoke_after: Some(Duration::from_secs(1)),
        ..Rules::default()
    };
    let mut config = Config { rules, ..Config::named("test") };
    config.session.retain(|(key, _)| key != "statement_timeout");
    config.session.push(("statement_timeout".to_owned(), "1000".to_owned()));
    config
}

/// Work that goes on until it is told to end, and what went wrong meanwhile.
struct Work {
    ends: Arc<AtomicBool>,
    /// How many statements each holder has run.
    turns: Vec<Arc<AtomicU32>>,
    tasks: JoinSet<Option<String>>,
}

impl Work {
    /// Some hold a lease all the time, and pause between two statements for as long as a statement takes; others take a lease for
    /// each.
    async fn begin(pool: &Pool) -> Self {
        pool.ready(LIMIT).await.expect("the server has room");
        let turns = (0..HOLDERS).map(|_| Arc::default()).collect();
        let mut work = Self { ends: Arc::default(), turns, tasks: JoinSet::new() };
        for turns in &work.turns {
            let (pool, ends, turns) = (pool.clone(), Arc::clone(&work.ends), Arc::clone(turns));
            work.tasks.spawn(async move { hold(&pool, &ends, &turns).await });
        }
        for _ in 0..4 {
            let (pool, ends) = (pool.clone(), Arc::clone(&work.ends));
            work.tasks.spawn(async move { come_and_go(&pool, &ends).await });
        }
        let end = Instant::now() + LIMIT;
        while pool.snapshot().leased < HOLDERS || pool.snapshot().totals.released < 50 {
            assert!(Instant::now() < end, "{:?}", pool.snapshot());
            tokio::task::yield_now().await;
        }
        work
    }

    /// Waits until each holder has run a statement.
    async fn goes_on(&self) {
        let end = Instant::now() + LIMIT;
        for turns in &self.turns {
            let before = turns.load(Ordering::Relaxed);
            while turns.load(Ordering::Relaxed) == before && !self.ends_early() {
                assert!(Instant::now() < end, "somebody runs no statement any more");
                sleep(Duration::from_millis(1)).await;
            }
        }
    }

    /// Whether somebody met an error.
    fn ends_early(&self) -> bool {
        self.turns.iter().any(|turns| Arc::strong_count(turns) == 1)
    }

    async fn end(mut self) -> Vec<String> {
        self.ends.store(true, Ordering::Relaxed);
        let mut errors = Vec::new();
        while let Some(said) = timeout(LIMIT, self.tasks.join_next()).await.expect("they end") {
            errors.extend(said.expect("no panic"));
        }
        errors
    }
}

async fn hold(pool: &Pool, ends: &AtomicBool, turns: &AtomicU32) -> Option<String> {
    let mut lease = match pool.acquire(&Admission::without_deadline(Class::Normal)).await {
        Ok(lease) => lease,
        Err(error) => return Some(error.to_string()),
    };
    while !ends.load(Ordering::Relaxed) {
        if let Err(error) = sqlx::query("select pg_sleep(0.04)").execute(&mut *lease).await {
            return Some(error.to_string());
        }
        turns.fetch_add(1, Ordering::Relaxed);
        sleep(Duration::from_millis(40)).await;
    }
    None
}

async fn come_and_go(pool: &Pool, ends: &AtomicBool) -> Option<String> {
    while !ends.load(Ordering::Relaxed) {
        if let Err(error) = sqlx::query("select pg_sleep(0.005)").execute(pool).await {
            return Some(error.to_string());
        }
    }
    None
}

/// Nothing of the kind happened to anybody.
fn punished(totals: &Totals) -> [u64; 4] {
    let shed = Class::ALL.iter().map(|class| totals.shed_of(*class)).sum();
    [totals.suspected, totals.revoked, shed, totals.timed_out]
}

/// Keeps every thread of the runtime busy for so long.
#[expect(clippy::disallowed_methods, reason = "a runtime that is held up is what is tried")]
async fn block(pause: Duration) {
    let all = Arc::new(std::sync::Barrier::new(WORKERS));
    let blocking = (0..WORKERS).map(|_| {
        let all = Arc::clone(&all);
        tokio::spawn(async move {
            all.wait();
            std::thread::sleep(pause);
        })
    });
    futures_util::future::join_all(blocking.collect::<Vec<_>>()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_runtime_that_is_held_up_costs_nobody_a_lease_or_an_answer() {
    let site = Site::with(config()).await;
    let work = Work::begin(&site.pool).await;
    for _ in 0..3 {
        block(PAUSE).await;
        work.goes_on().await;
    }
    assert_eq!(work.end().await, Vec::<String>::new());
    assert_eq!(punished(&site.pool.snapshot().totals), [0; 4]);
    assert!(site.pool.snapshot().totals.stood_still > 2 * PAUSE, "{:?}", site.pool.snapshot());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_short_standstills_cost_nobody_a_lease_either() {
    let site = Site::with(config()).await;
    let work = Work::begin(&site.pool).await;
    for _ in 0..15 {
        block(Duration::from_millis(300)).await;
        work.goes_on().await;
    }
    assert_eq!(work.end().await, Vec::<String>::new());
    assert_eq!(punished(&site.pool.snapshot().totals), [0; 4]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lease_that_leaks_is_taken_back_though_the_pool_stands_still_meanwhile() {
    let site = Site::with(config()).await;
    let _leaked = site.pool.acquire(&admission(Class::Normal)).await.expect("free");
    block(PAUSE).await;
    assert_eq!(site.pool.snapshot().totals.revoked, 0, "not by that time");
    site.until("taken back", |snapshot| snapshot.totals.revoked == 1).await;
}

/// A runtime whose threads hardly ever have time for anything else, until it is dropped.
struct Busy(Arc<AtomicBool>);

impl Busy {
    fn begin(spell: Duration) -> Self {
        let busy = Self(Arc::new(AtomicBool::new(true)));
        let goes_on = Arc::clone(&busy.0);
        tokio::spawn(async move {
            while goes_on.load(Ordering::Relaxed) {
                block(spell).await;
            }
        });
        busy
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Relaxed);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_the_runtime_is_always_late_a_leak_is_taken_back_and_a_silent_server_given_up_all_the_same() {
    let mut config = config();
    config.session.retain(|(key, _)| key != "statement_timeout");
    config.session.push(("statement_timeout".to_owned(), "300".to_owned()));
    let site = Site::with(config).await;
    for spell in [15, 250] {
        let before = site.pool.snapshot().totals.revoked;
        let leaked = site.pool.acquire(&admission(Class::Normal)).await.expect("free");
        let mut waiting = site.pool.acquire(&admission(Class::Normal)).await.expect("free");
        sqlx::query("set statement_timeout = 0").execute(&mut *waiting).await.expect("set");
        let _busy = Busy::begin(Duration::from_millis(spell));
        let error = sqlx::query("select pg_sleep(60)").execute(&mut *waiting).await.expect_err("given up");
        assert!(matches!(classify(&error), Some(PoolError::Silent { .. })), "{error}");
        site.until("taken back", |snapshot| snapshot.totals.revoked > before).await;
        drop((leaked, waiting));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_are_opened_checked_or_cleaned_meanwhile_are_no_failures() {
    let rules = Rules { open_timeout: PAUSE / 2, check_after_idle: Duration::from_millis(1), ..config().rules };
    let config = Config { rules, acquire_timeout: LIMIT, ..config() };
    let site = Site::with(Config { rules: Rules { min_idle: 8, ..config.rules.clone() }, ..config }).await;
    block(PAUSE).await;
    let all_idle = |snapshot: &Snapshot| snapshot.idle == 8 && snapshot.opening == 0;
    site.until("opened", all_idle).await;
    assert!(site.pool.snapshot().predicted_wait < Duration::from_millis(100), "{:?}", site.pool.snapshot());

    let admission = Admission::without_deadline(Class::Normal);
    let asking: Vec<_> = (0..4).map(|_| tokio::spawn(site.pool.acquire(&admission))).collect();
    site.until("checked", |snapshot| snapshot.checking + snapshot.leased == 4).await;
    block(PAUSE).await;
    let mut leases = Vec::new();
    for lease in asking {
        leases.push(lease.await.expect("no panic").expect("checked"));
    }
    for lease in &mut leases {
        let slow = sqlx::query("select pg_sleep(30)").execute(&mut **lease);
        timeout(Duration::from_millis(20), slow).await.expect_err("it takes longer");
    }
    drop(leases);
    block(PAUSE).await;
    site.until("cleaned", all_idle).await;
    let Totals { opened, open_failed, closed, checks_failed, .. } = site.pool.snapshot().totals;
    assert_eq!((opened, open_failed, closed, checks_failed), (8, 0, 0, 0));
}

/// Another process with a pool at work, which can be stopped.
struct Stopped {
    child: Child,
    lines: Lines<BufReader<ChildStderr>>,
    input: ChildStdin,
}

impl Stopped {
    fn start(test: &str, url: &str) -> Self {
        let mut child = Command::new(std::env::current_exe().expect("this program"))
            .args(["--exact", test, "--nocapture"])
            .env(URL, url)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("it starts");
        let lines = BufReader::new(child.stderr.take().expect("piped")).lines();
        let input = child.stdin.take().expect("piped");
        Self { child, lines, input }
    }

    fn signal(&self, signal: Signal) {
        let pid = self.child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?)).expect("it runs");
        kill_process(pid, signal).expect("it is ours");
    }

    /// What it says after this word.
    async fn until(&mut self, word: &str) -> String {
        let saying = async {
            while let Some(line) = self.lines.next_line().await.expect("it can be read") {
                if let Some((_, rest)) = line.split_once(word) {
                    return rest.trim().to_owned();
                }
            }
            panic!("it ended without {word:?}");
        };
        timeout(LIMIT, saying).await.expect("it says so in time")
    }

    async fn pause(&self, pause: Duration) {
        self.signal(Signal::STOP);
        sleep(pause).await;
        self.signal(Signal::CONT);
    }
}

const URL: &str = "FOREBAY_TEST_STOPPED";
const AT_WORK: &str = "the pool is at work";
const OUTCOME: &str = "the outcome is";

#[tokio::test]
async fn a_process_that_is_stopped_costs_nobody_a_lease_or_an_answer() {
    let database = database().await;
    let mut process = Stopped::start("standstill::work_in_a_process_that_is_stopped", database.url());
    process.until(AT_WORK).await;
    for _ in 0..3 {
        process.pause(PAUSE).await;
        sleep(Duration::from_millis(300)).await;
    }
    process.input.write_all(b"enough\n").await.expect("it listens");
    assert_eq!(process.until(OUTCOME).await, "[] [0, 0, 0, 0]");
}

/// Not a test of its own: what the one above runs, in a process that can be stopped.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[expect(clippy::disallowed_methods, reason = "one process tells another where the database is")]
async fn work_in_a_process_that_is_stopped() {
    let Ok(url) = std::env::var(URL) else { return };
    let options = PgConnectOptions::from_str(&url).expect("an address");
    let pool = Pool::connect(options, config()).expect("these rules hold");
    let work = Work::begin(&pool).await;
    eprintln!("{AT_WORK}");
    let told = tokio::task::spawn_blocking(|| std::io::stdin().read_line(&mut String::new()));
    told.await.expect("no panic").expect("it is told when to end");
    let errors = work.end().await;
    eprintln!("{OUTCOME} {errors:?} {:?}", punished(&pool.snapshot().totals));
}
