use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use forebay_pool::{AcquireError, Admission, Snapshot, Timeout, describe};
use sqlx::pool::PoolConnection;
use sqlx::{PgPool, Postgres};

/// sqlx's own pool, as it is. Only what it does not tell is counted around it.
#[derive(Clone, Debug)]
pub(super) struct Stock {
    pool: Arc<RwLock<PgPool>>,
    told: Arc<Told>,
}

#[derive(Debug, Default)]
struct Told {
    waiting: AtomicU32,
    granted: AtomicU64,
    timed_out: AtomicU64,
}

/// Counts one caller as waiting until dropped.
struct Waiting<'t>(&'t Told);

impl<'t> Waiting<'t> {
    fn new(told: &'t Told) -> Self {
        told.waiting.fetch_add(1, Ordering::Relaxed);
        Self(told)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Stock {
    pub(super) fn new(pool: PgPool) -> Self {
        Self { pool: Arc::new(RwLock::new(pool)), told: Arc::default() }
    }

    fn pool(&self) -> PgPool {
        self.pool.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    #[cfg(feature = "fault-seam")]
    pub(super) fn replace(&self, pool: PgPool) -> PgPool {
        std::mem::replace(&mut *self.pool.write().unwrap_or_else(PoisonError::into_inner), pool)
    }

    pub(super) async fn acquire(&self, admission: &Admission) -> Result<PoolConnection<Postgres>, AcquireError> {
        let begun = tokio::time::Instant::now();
        let waiting = Waiting::new(&self.told);
        let outcome = self.pool().acquire().await;
        drop(waiting);
        match outcome {
            Ok(connection) => {
                self.told.granted.fetch_add(1, Ordering::Relaxed);
                admission.begin();
                Ok(connection)
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
        snapshot.waiting = self.told.waiting.load(Ordering::Relaxed);
        snapshot.totals.granted = self.told.granted.load(Ordering::Relaxed);
        snapshot.totals.timed_out = self.told.timed_out.load(Ordering::Relaxed);
        snapshot
    }

    pub(super) async fn close(&self) {
        self.pool().close().await;
    }
}
