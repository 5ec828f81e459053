//! Leases as handlers see them: one type with two variants, our pool and stock [`sqlx::PgPool`].
//!
//! The second variant exists so that a service can be run on the pool it would have without us, with nothing else
//! changed: same handlers, same statements, sqlx's own transaction.

mod conn;
mod lease;
mod metrics;
#[cfg(feature = "fault-seam")]
mod seam;
mod sheds;
mod snapshot;
mod stock;
mod work;

use std::future::Future;
use std::panic::Location;
use std::time::Duration;

use forebay_pool::{AcquireError, Admission, InvalidConfig, Pool, Resize, Snapshot, Usage, Waits};
use sqlx::PgPool;

pub use conn::Conn;
pub use lease::{Lease, Tx};
pub use metrics::PoolMetrics;
pub(crate) use metrics::describe_metrics;
pub use sheds::{tell as tell_of_sheds, tell_rest as tell_rest_of_sheds};
pub use snapshot::{CallSiteView, DbSnapshot, HappeningView, HolderView, StatementView, TakenBackView, TotalsView};
use stock::Stock;

use crate::timing::{Using, Waiting};

/// The database as a service sees it. A clone is cheap and leases from the same pool.
#[derive(Clone, Debug)]
pub struct Db {
    service: &'static str,
    source: Source,
    #[cfg(feature = "fault-seam")]
    seam: std::sync::Arc<seam::Seam>,
}

#[derive(Clone, Debug)]
enum Source {
    Forebay(Pool),
    Stock(Stock),
}

impl Db {
    /// Leases from our pool.
    #[must_use]
    pub fn forebay(pool: Pool) -> Self {
        Self::of(Source::Forebay(pool))
    }

    /// Leases from sqlx's own pool, as it is.
    #[must_use]
    pub fn stock(pool: PgPool) -> Self {
        Self::of(Source::Stock(Stock::new(pool)))
    }

    fn of(source: Source) -> Self {
        Self {
            service: "shop",
            source,
            #[cfg(feature = "fault-seam")]
            seam: std::sync::Arc::default(),
        }
    }

    /// The same pool under a service's name, which its log lines carry.
    #[must_use]
    pub fn named(&self, service: &'static str) -> Self {
        Self { service, ..self.clone() }
    }

    /// Our pool, if it is ours.
    #[must_use]
    pub const fn pool(&self) -> Option<&Pool> {
        match &self.source {
            Source::Forebay(pool) => Some(pool),
            Source::Stock(_) => None,
        }
    }

    /// Waits for a connection. Dropping the future loses nothing.
    ///
    /// # Errors
    /// One variant of [`AcquireError`] for each reaction; a failure is logged here, once, with the service's name.
    #[track_caller]
    pub fn acquire(&self, admission: &Admission) -> impl Future<Output = Result<Lease, AcquireError>> + Send + use<> {
        let site = Location::caller();
        let acquiring = match &self.source {
            Source::Forebay(pool) => lease::Acquiring::Forebay(pool.acquire(admission)),
            Source::Stock(stock) => lease::Acquiring::Stock(stock.clone(), admission.clone()),
        };
        let (this, waiting) = (self.clone(), Waiting::begin());
        async move {
            match acquiring.wait().await {
                Ok(held) => Ok(this.lease(held, waiting.over())),
                Err(error) => {
                    this.log_refusal(&error, site);
                    Err(error)
                }
            }
        }
    }

    #[cfg(feature = "fault-seam")]
    fn lease(&self, held: lease::Held, using: Using) -> Lease {
        Lease::new(held, using, self.seam.late_return())
    }

    #[cfg(not(feature = "fault-seam"))]
    #[expect(clippy::unused_self, reason = "the fault seam has a say in it")]
    fn lease(&self, held: lease::Held, using: Using) -> Lease {
        Lease::new(held, using)
    }

    /// A failure is a line, with the pool and who holds it for longest; a shed one is not, since a burst of them would be a flood
    /// of lines ([`tell_of_sheds`]).
    fn log_refusal(&self, error: &AcquireError, site: &'static Location<'static>) {
        let (service, kind) = (self.service, error.kind());
        match error {
            AcquireError::Shed { .. } => tracing::trace!(service, %site, %error, "shed"),
            // Its text names the holders.
            AcquireError::Timeout(timeout) => {
                let Snapshot { limit, leased: in_use, idle, waiting, .. } = timeout.snapshot;
                tracing::warn!(service, %site, %error, kind, limit, in_use, idle, waiting, "acquire timed out");
            }
            _ => {
                let DbSnapshot { limit, in_use, idle, waiting, longest_holders, .. } = self.snapshot();
                let holders: Vec<_> = longest_holders.iter().take(3).map(ToString::to_string).collect();
                let holders = holders.join("; ");
                tracing::warn!(service, %site, %error, kind, limit, in_use, idle, waiting, holders, "no database connection");
            }
        }
    }

    /// The pool in numbers.
    #[must_use]
    pub fn snapshot(&self) -> DbSnapshot {
        match &self.source {
            Source::Forebay(pool) => DbSnapshot::of(pool),
            Source::Stock(stock) => DbSnapshot::new("stock", stock.snapshot()),
        }
    }

    /// How long those waited who got a connection, since the start. A stock pool does not tell.
    #[must_use]
    pub fn waits(&self) -> Option<Waits> {
        self.pool().map(Pool::waits)
    }

    /// What of the pool was used until now, and what there was.
    #[must_use]
    pub fn usage(&self) -> Usage {
        match &self.source {
            Source::Forebay(pool) => pool.snapshot().totals.usage,
            Source::Stock(stock) => stock.snapshot().totals.usage,
        }
    }

    /// Sets the gauges and counters that are read rather than told, at the moment of a scrape.
    pub fn export_metrics(&self) {
        metrics::export(&self.snapshot());
        if let Some(pool) = self.pool() {
            work::export(pool);
        }
    }

    /// Changes the pool's bounds at run time; no lease is ended by it.
    ///
    /// # Errors
    /// What is wrong with them, or that a stock pool has none that could be changed.
    pub fn resize(&self, resize: Resize) -> Result<(), InvalidConfig> {
        match &self.source {
            Source::Forebay(pool) => pool.resize(resize),
            Source::Stock(_) => Err(fixed()),
        }
    }

    /// Closes every idle connection; what is needed is opened anew.
    ///
    /// # Errors
    /// That a stock pool cannot do it.
    pub fn flush_idle(&self) -> Result<(), InvalidConfig> {
        match &self.source {
            Source::Forebay(pool) => {
                pool.flush_idle();
                Ok(())
            }
            Source::Stock(_) => Err(fixed()),
        }
    }

    /// Refuses new requests and waits until the leases are back, no longer than `limit`. Says how many were still out: ours
    /// takes them back then, and a line for each says where it was taken.
    pub async fn close(&self, limit: Duration) -> u32 {
        match &self.source {
            Source::Forebay(pool) => {
                let late = pool.drain(limit).await.late;
                for holder in &late {
                    let (service, site, held_ms) = (self.service, holder.site, holder.held.as_millis());
                    tracing::warn!(service, %site, held_ms, "a lease did not come back in time, and was taken back");
                }
                u32::try_from(late.len()).unwrap_or(u32::MAX)
            }
            Source::Stock(stock) => match tokio::time::timeout(limit, stock.close()).await {
                Ok(()) => 0,
                Err(_elapsed) => self.snapshot().in_use,
            },
        }
    }

    /// Lets every lease come back that much later, without delaying its response: a bad habit of some application.
    /// All clones share it.
    #[cfg(feature = "fault-seam")]
    pub fn set_late_return(&self, late: Option<Duration>) {
        self.seam.set_late_return(late);
    }

    /// Puts another stock pool in the place of the present one, and returns the old one, which lives on until its leases
    /// are back. Returns nothing where the pool is ours.
    #[cfg(feature = "fault-seam")]
    #[must_use]
    pub fn replace_stock(&self, pool: PgPool) -> Option<PgPool> {
        match &self.source {
            Source::Forebay(_) => None,
            Source::Stock(stock) => Some(stock.replace(pool)),
        }
    }
}

fn fixed() -> InvalidConfig {
    InvalidConfig { faults: vec!["a stock sqlx pool is fixed when it is made".to_owned()] }
}
