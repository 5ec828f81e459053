//! What a pool's idle connections keep of this process's memory. In a program of its own: others' tests would be counted.

use std::time::Duration;

use forebay_embedded::testing::{TestDatabase, database};
use forebay_pool::{Admission, Class, Config, Lease, Mode, Pool, Rules, Sizing};
use futures_util::future::join_all;
use futures_util::{FutureExt as _, StreamExt as _};
use sqlx::postgres::PgPoolOptions;
use sqlx::{AssertSqlSafe, Executor as _, PgConnection};
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};

const CONNECTIONS: usize = 3;
const MIB: usize = 1 << 20;
/// Above what the allocator keeps for itself.
const LARGE: usize = 40 * MIB;
/// What all may keep together, and all else that happens.
const KEPT: usize = 60 * MIB;
const ANSWER: &str = "select repeat('x', 40 * 1024 * 1024)";

/// Bytes of this process that lie in memory.
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux tells");
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("how much is there");
    let kib = line.split_whitespace().nth(1).and_then(|number| number.parse::<usize>().ok());
    kib.expect("a number") * 1_024
}

fn admission() -> Admission {
    Admission::within(Class::Normal, Duration::from_secs(60))
}

async fn site() -> (Pool, TestDatabase) {
    let database = database().await;
    let rules =
        Rules { min_idle: 0, initial_limit: 3, ceiling: 8, mode: Mode::Off, revoke_after: None, ..Rules::default() };
    let mut config = Config { rules, ..Config::named("memory") };
    config.session.push(("statement_timeout".to_owned(), "60000".to_owned()));
    config.cleanup_timeout = Duration::from_secs(20);
    (Pool::connect(database.options(), config).expect("these rules hold"), database)
}

async fn all(pool: &Pool) -> Vec<Lease> {
    let leases = join_all((0..CONNECTIONS).map(|_| pool.acquire(&admission()))).await;
    leases.into_iter().map(|lease| lease.expect("free")).collect()
}

async fn at_rest(pool: &Pool) {
    let end = Instant::now() + Duration::from_secs(60);
    while pool.snapshot().leased + pool.snapshot().quarantined > 0 {
        assert!(Instant::now() < end, "{:?}", pool.snapshot());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Does something large on each connection, and asks what is kept when all are idle.
async fn nothing_is_kept(pool: &Pool, what: &str, work: impl AsyncFn(&mut Lease)) {
    drop(all(pool).await);
    let before = resident();
    for mut lease in all(pool).await {
        work(&mut lease).await;
    }
    at_rest(pool).await;
    let kept = resident().saturating_sub(before) / MIB;
    eprintln!("{what}: {kept} MiB are kept");
    assert!(kept < KEPT / MIB, "{what}: {kept} MiB are kept");
}

/// One test at a time: they share what is measured.
static TURN: Mutex<()> = Mutex::const_new(());

#[tokio::test]
async fn idle_connections_keep_nothing_of_large_answers() {
    let _turn = TURN.lock().await;
    let (pool, database) = site().await;
    nothing_is_kept(&pool, "fetched", async |lease| {
        sqlx::query(ANSWER).fetch_one(&mut **lease).await.expect("answers");
    })
    .await;
    nothing_is_kept(&pool, "not looked at", async |lease| {
        sqlx::query(ANSWER).execute(&mut **lease).await.expect("answers");
    })
    .await;
    nothing_is_kept(&pool, "by the simple protocol", async |lease| {
        sqlx::raw_sql(ANSWER).fetch_all(&mut **lease).await.expect("answers");
    })
    .await;
    nothing_is_kept(&pool, "in a transaction", async |lease| {
        let mut tx = lease.begin().await.expect("begins");
        sqlx::query(ANSWER).fetch_one(&mut *tx).await.expect("answers");
        tx.commit().await.expect("committed");
    })
    .await;

    let theirs = PgPoolOptions::new().max_connections(3).connect_with(database.options()).await.expect("connects");
    let before = resident();
    for lease in join_all((0..CONNECTIONS).map(|_| theirs.acquire())).await {
        sqlx::query(ANSWER).fetch_one(&mut *lease.expect("free")).await.expect("answers");
    }
    eprintln!("fetched on sqlx's pool: {} MiB are kept", resident().saturating_sub(before) / MIB);
}

#[tokio::test]
async fn idle_connections_keep_nothing_of_large_answers_that_were_not_read() {
    let _turn = TURN.lock().await;
    let (pool, _database) = site().await;
    nothing_is_kept(&pool, "half read", async |lease| {
        let mut rows = lease.fetch("select repeat('x', 40 * 1024 * 1024) from generate_series(1, 2)");
        rows.next().await.expect("a row").expect("a row");
    })
    .await;
    nothing_is_kept(&pool, "given up", async |lease| {
        let work = sqlx::query(ANSWER).fetch_one(&mut **lease);
        let _early = timeout(Duration::from_millis(2), work).await;
    })
    .await;
    nothing_is_kept(&pool, "raw", async |lease| {
        let mut raw = lease.raw().await.expect("free");
        let connection: &mut PgConnection = &mut raw;
        sqlx::query(ANSWER).fetch_one(connection).await.expect("answers");
    })
    .await;
}

#[tokio::test]
async fn idle_connections_keep_nothing_of_large_statements() {
    let _turn = TURN.lock().await;
    let (pool, _database) = site().await;
    let text = "x".repeat(LARGE);
    nothing_is_kept(&pool, "an argument", async |lease| {
        sqlx::query("select length($1)").bind(&text).execute(&mut **lease).await.expect("answers");
    })
    .await;
    let sql = format!("select length('{text}')");
    nothing_is_kept(&pool, "a text", async |lease| {
        sqlx::query(AssertSqlSafe(sql.as_str())).execute(&mut **lease).await.expect("answers");
    })
    .await;
}

#[tokio::test]
async fn a_lease_gives_back_its_buffers_when_it_is_told_to() {
    let _turn = TURN.lock().await;
    let (pool, _database) = site().await;
    let mut lease = pool.acquire(&admission()).await.expect("free");
    let before = resident();
    sqlx::query(ANSWER).execute(&mut *lease).await.expect("answers");
    lease.shrink_buffers();
    sqlx::query("select 1").execute(&mut *lease).await.expect("answers");
    let kept = resident().saturating_sub(before);
    assert!(kept < LARGE / 2, "{} MiB are kept", kept / MIB);
}

#[tokio::test]
async fn ten_thousand_callers_who_wait_take_four_megabytes() {
    const CALLERS: usize = 10_000;
    let _turn = TURN.lock().await;
    let database = database().await;
    let capacity = u32::try_from(CALLERS).expect("few");
    let rules = Rules { queue_capacity: capacity, initial_limit: 1, ceiling: 60, mode: Mode::Off, ..Rules::default() };
    let rules = Rules { sizing: Sizing::Fixed, revoke_after: None, suspect_after: Rules::LONGEST, ..rules };
    let pool =
        Pool::connect(database.options(), Config { rules, ..Config::named("memory") }).expect("these rules hold");
    let held = pool.acquire(&admission()).await.expect("free");
    let before = resident();
    let mut waiting: Vec<_> = (0..CALLERS).map(|_| pool.acquire(&admission())).collect();
    for caller in &mut waiting {
        assert!(tokio::task::unconstrained(caller).now_or_never().is_none(), "one is out, and may be");
    }
    let taken = resident().saturating_sub(before);
    eprintln!("{CALLERS} callers wait: {} KiB", taken / 1_024);
    assert_eq!(pool.snapshot().waiting, capacity);
    assert!(taken <= 4 * MIB, "{} KiB are taken", taken / 1_024);
    drop((waiting, held));
}
