//! Looks at the arm from outside while it runs: its pool, its sessions, a commit, the CPU, its faults.

use std::time::Duration;

use forebay_pool::Usage;
use serde::Deserialize;
use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions, PgConnection};
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};

use crate::arm::POOL_SESSIONS;
use crate::client::{Ask, Caller};
use crate::processes::{family_ticks, own_ticks, ticks_per_second};
use crate::record::{CommitSample, CpuSample, FaultSample, LimitMove, PoolSample, SessionSample};
use crate::recorder::Recorder;

/// `application_name` of the replay's own sessions.
pub const OWN_SESSIONS: &str = "forebay-replay";
/// The table that the commit probe writes to.
pub const PROBE_TABLE: &str = "create table if not exists public.commit_probe (n bigint not null)";

const POOL_EVERY: Duration = Duration::from_millis(100);
const SESSIONS_EVERY: Duration = Duration::from_millis(250);
const COMMIT_EVERY: Duration = Duration::from_millis(100);
const CPU_EVERY: Duration = Duration::from_secs(1);
const FAULTS_EVERY: Duration = Duration::from_millis(500);

/// Whom to look at.
#[derive(Clone, Debug)]
pub struct Subject {
    /// The child's admin listener.
    pub admin: Caller,
    /// The arm's database.
    pub database: PgConnectOptions,
    /// The child's process id.
    pub shop_pid: u32,
    /// The postmaster's process id.
    pub postgres_pid: u32,
}

/// Samples until it is dropped.
#[derive(Debug)]
pub struct Sampler {
    tasks: JoinSet<()>,
}

impl Sampler {
    /// Starts looking at `subject`.
    #[must_use]
    pub fn start(subject: &Subject, recorder: &Recorder) -> Self {
        let mut tasks = JoinSet::new();
        tasks.spawn(pool(subject.admin.clone(), recorder.clone()));
        tasks.spawn(faults(subject.admin.clone(), recorder.clone()));
        tasks.spawn(sessions(subject.database.clone(), recorder.clone()));
        tasks.spawn(commits(subject.database.clone(), recorder.clone()));
        tasks.spawn(cpu(subject.clone(), recorder.clone()));
        Self { tasks }
    }

    /// Stops looking.
    pub async fn stop(mut self) {
        self.tasks.shutdown().await;
    }
}

/// A connection of the replay's own.
///
/// # Errors
/// Any error of connecting.
pub async fn connect(database: &PgConnectOptions) -> Result<PgConnection, sqlx::Error> {
    database.clone().application_name(OWN_SESSIONS).connect().await
}

fn every(period: Duration) -> tokio::time::Interval {
    let mut ticks = interval(period);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    ticks
}

/// The part of `GET /pool` that the judge reads.
#[derive(Debug, Deserialize)]
struct Pool {
    limit: u32,
    ceiling: u32,
    in_use: u32,
    idle: u32,
    opening: u32,
    waiting: u32,
    suspects: u32,
    longest_holders: Vec<Holder>,
    #[serde(default)]
    history: Vec<Happening>,
    totals: Totals,
}

/// Of the pool's history, the limits.
#[derive(Debug, Deserialize)]
struct Happening {
    number: u64,
    ago_ms: f64,
    times: u32,
    from: Option<u32>,
    to: Option<u32>,
    reason: Option<String>,
}

impl Happening {
    fn limit_move(self, now: f64) -> Option<LimitMove> {
        let Self { number, ago_ms, times, from, to, reason } = self;
        Some(LimitMove { number, at: now - ago_ms / 1_000.0, from: from?, to: to?, reason: reason?, times })
    }
}

#[derive(Debug, Deserialize)]
struct Holder {
    site: String,
}

#[derive(Debug, Deserialize)]
struct Totals {
    #[serde(default)]
    revoked: u64,
    busy_seconds: f64,
    waiting_seconds: f64,
    capacity_seconds: f64,
}

/// The pool as the admin listener shows it; `None` when it does not answer.
pub async fn pool_now(admin: &Caller, at: f64) -> Option<PoolSample> {
    let answer = admin.attempt(&Ask::get("/pool")).await;
    let pool: Pool = serde_json::from_slice(&answer.body).ok()?;
    let Totals { revoked, busy_seconds: busy, waiting_seconds: waiting, capacity_seconds: capacity } = pool.totals;
    Some(PoolSample {
        at,
        limit: pool.limit,
        ceiling: pool.ceiling,
        in_use: pool.in_use + pool.suspects,
        idle: pool.idle,
        opening: pool.opening,
        waiting: pool.waiting,
        suspects: pool.suspects,
        usage: Usage { busy, waiting, capacity },
        revoked,
        holders: pool.longest_holders.into_iter().map(|holder| holder.site).collect(),
        moves: pool.history.into_iter().filter_map(|happening| happening.limit_move(at)).collect(),
    })
}

async fn pool(admin: Caller, recorder: Recorder) {
    let mut ticks = every(POOL_EVERY);
    loop {
        ticks.tick().await;
        if let Some(sample) = pool_now(&admin, recorder.now()).await {
            recorder.with(|recording| recording.pool.push(sample));
        }
    }
}

/// What the child says of its faults and its log.
#[derive(Debug, Deserialize)]
struct Faults {
    holding: u32,
    taken_back: u64,
    actions: u32,
    timeouts: [u64; 3],
}

async fn faults(admin: Caller, recorder: Recorder) {
    let mut ticks = every(FAULTS_EVERY);
    loop {
        ticks.tick().await;
        let answer = admin.attempt(&Ask::get("/chaos")).await;
        let Ok(Faults { holding, taken_back, actions, timeouts }) = serde_json::from_slice(&answer.body) else {
            continue;
        };
        let sample = FaultSample { at: recorder.now(), holding, taken_back, actions, timeouts };
        recorder.with(|recording| recording.faults.push(sample));
    }
}

const SESSIONS: &str = "select count(*), count(*) filter (where state = 'active'), \
     count(*) filter (where state like 'idle in transaction%') from pg_stat_activity \
     where datname = current_database() and application_name = $1";

async fn sessions(database: PgConnectOptions, recorder: Recorder) {
    let Ok(mut conn) = connect(&database).await else { return };
    let mut ticks = every(SESSIONS_EVERY);
    loop {
        ticks.tick().await;
        let counts: Result<(i64, i64, i64), _> =
            sqlx::query_as(SESSIONS).bind(POOL_SESSIONS).fetch_one(&mut conn).await;
        let Ok((total, active, idle)) = counts else { return };
        let [total, active, idle_in_transaction] = [total, active, idle].map(|n| u32::try_from(n).unwrap_or(0));
        let sample = SessionSample { at: recorder.now(), total, active, idle_in_transaction };
        recorder.with(|recording| recording.sessions.push(sample));
    }
}

async fn commits(database: PgConnectOptions, recorder: Recorder) {
    let Ok(mut conn) = connect(&database).await else { return };
    let mut ticks = every(COMMIT_EVERY);
    loop {
        ticks.tick().await;
        let at = recorder.now();
        // One statement is one transaction, so its time is that of the commit.
        if sqlx::query("insert into public.commit_probe values (1)").execute(&mut conn).await.is_err() {
            return;
        }
        let took = recorder.now() - at;
        recorder.with(|recording| recording.commits.push(CommitSample { at, took }));
    }
}

async fn cpu(subject: Subject, recorder: Recorder) {
    let read = || {
        [own_ticks(std::process::id()), own_ticks(subject.shop_pid), family_ticks(subject.postgres_pid)]
            .map(|ticks| ticks as f64 / ticks_per_second())
    };
    let mut ticks = every(CPU_EVERY);
    ticks.tick().await;
    let (mut before, mut then) = (read(), recorder.now());
    loop {
        ticks.tick().await;
        let (after, now) = (read(), recorder.now());
        let percent = |n: usize| (after[n] - before[n]) * 100.0 / (now - then);
        let sample = CpuSample { at: now, generator: percent(0), shop: percent(1), postgres: percent(2) };
        recorder.with(|recording| recording.cpu.push(sample));
        (before, then) = (after, now);
    }
}
