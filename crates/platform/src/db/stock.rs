use std::ops::{Deref, DerefMut};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use forebay_pool::{AcquireError, Admission, Snapshot, Timeout, Usage, describe};
use sqlx::pool::PoolConnection;
use sqlx::{PgPool, Postgres};
use tokio::time::Instant;

/// sqlx's own pool, as it is. Only what it does not tell is counted around it.
#[derive(Clone, Debug)]
pub(super) struct Stock {
    pool: Arc<RwLock<PgPool>>,
    told: Arc<Told>,
}

#[derive(Debug)]
struct Told {
    seconds: Mutex<Seconds>,
    granted: AtomicU64,
    timed_out: AtomicU64,
}

/// What is in use and waited for, and for how long.
#[derive(Debug)]
struct Seconds {
    leased: u32,
    waiting: u32,
    capacity: u32,
    usage: Usage,
    since: Instant,
}

impl Seconds {
    fn usage(&self, now: Instant) -> Usage {
        let level = Usage { busy: self.leased.into(), waiting: self.waiting.into(), capacity: self.capacity.into() };
        let mut usage = self.usage;
        usage.add(&level, now.saturating_duration_since(self.since));
        usage
    }
}

impl Told {
    fn new(capacity: u32) -> Self {
        let since = Instant::now();
        let seconds = Seconds { leased: 0, waiting: 0, capacity, usage: Usage::default(), since };
        Self { seconds: Mutex::new(seconds), granted: AtomicU64::new(0), timed_out: AtomicU64::new(0) }
    }

    fn change(&self, change: impl FnOnce(&mut Seconds)) {
        let mut seconds = self.seconds.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        (seconds.usage, seconds.since) = (seconds.usage(now), now);
        change(&mut seconds);
    }

    fn waiting_and_usage(&self) -> (u32, Usage) {
        let seconds = self.seconds.lock().unwrap_or_else(PoisonError::into_inner);
        (seconds.waiting, seconds.usage(Instant::now()))
    }
}

/// Counts one caller as waiting until dropped.
struct Waiting<'t>(&'t Told);

impl<'t> Waiting<'t> {
    fn new(told: &'t Told) -> Self {
        told.change(|seconds| seconds.waiting += 1);
        Self(told)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.change(|seconds| seconds.waiting -= 1);
    }
}

/// A connection of the stock pool, counted as leased until dropped.
#[derive(Debug)]
pub(super) struct Counted {
    connection: PoolConnection<Postgres>,
    told: Arc<Told>,
}

impl Counted {
    fn new(connection: PoolConnection<Postgres>, told: &Arc<Told>) -> Self {
        told.change(|seconds| seconds.leased += 1);
        Self { connection, told: Arc::clone(told) }
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.told.change(|seconds| seconds.leased -= 1);
    }
}

impl Deref for Counted {
    type Target = PoolConnection<Postgres>;

    fn deref(&self) -> &Self::Target {
        &self.connection
    }
}

impl DerefMut for Counted {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.connection
    }
}

impl Stock {
    pub(super) fn new(pool: PgPool) -> Self {
        let told = Arc::new(Told::new(pool.options().get_max_connections()));
        Self { pool: Arc::new(RwLock::new(pool)), told }
    }

    fn pool(&self) -> PgPool {
        self.pool.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    #[cfg(feature = "fault-seam")]
    pub(super) fn replace(&self, pool: PgPool) -> PgPool {
        let capacity = pool.options().get_max_connections();
        self.told.change(|seconds| seconds.capacity = capacity);
        std::mem::replace(&mut *self.pool.write().unwrap_or_else(PoisonError::into_inner), pool)
    }

    pub(super) async fn acquire(&self, admission: &Admission) -> Result<Counted, AcquireError> {
        let begun = Instant::now();
        let waiting = Waiting::new(&self.told);
        let outcome = self.pool().acquire().await;
        drop(waiting);
        match outcome {
            Ok(connection) => {
                self.told.granted.fetch_add(1, Ordering::Relaxed);
                admission.begin();
                Ok(Counted::new(connection, &self.told))
            }
            Err(error) => Err(self.refusal(error, admission, begun.elapsed())),
        }
    }

    fn refusal(&self, error: sqlx::Error, admission: &Admission, waited: Duration) -> AcquireError {
        match error {
            sqlx::Error::PoolTimedOut => {
                self.told.timed_out.fetch_add(1, Ordering::Relaxed);
                AcquireError::Timeout(Box::new(Timeout {
                    waited,
                    continuation: admission.has_begun(),
                    snapshot: self.snapshot(),
                    longest: Vec::new(),
                    last_open_error: None,
                }))
            }
            sqlx::Error::PoolClosed => AcquireError::Closed { continuation: admission.has_begun() },
            error => AcquireError::Unavailable {
                since: waited,
                cause: Some(describe(&error).to_string().into()),
                retry_after: Duration::from_secs(1),
                continuation: admission.has_begun(),
            },
        }
    }

    pub(super) fn snapshot(&self) -> Snapshot {
        let pool = self.pool();
        let idle = u32::try_from(pool.num_idle()).unwrap_or(u32::MAX);
        let mut snapshot = Snapshot::default();
        snapshot.limit = pool.options().get_max_connections();
        snapshot.ceiling = snapshot.limit;
        snapshot.min_idle = pool.options().get_min_connections();
        snapshot.idle = idle;
        snapshot.leased = pool.size().saturating_sub(idle);
        (snapshot.waiting, snapshot.totals.usage) = self.told.waiting_and_usage();
        snapshot.totals.granted = self.told.granted.load(Ordering::Relaxed);
        snapshot.totals.timed_out = self.told.timed_out.load(Ordering::Relaxed);
        snapshot
    }

    pub(super) async fn close(&self) {
        self.pool().close().await;
    }
}
