//! The report job of the postmortem: it borrows a connection, opens a transaction, reads a little, and sleeps.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use forebay_platform::db::{Conn, Db};
use forebay_pool::{AcquireError, Admission, Class, PoolError, classify};
use tokio::task::JoinSet;

use super::{Gauges, HoldersOrder};

/// A job whose lease was taken back, or that was refused one, comes again after this long.
pub(crate) const AGAIN: Duration = Duration::from_secs(1);

#[derive(Debug, thiserror::Error)]
enum HoldError {
    #[error("no lease: {0}")]
    Acquire(#[from] AcquireError),
    #[error("{0}")]
    Statement(#[from] sqlx::Error),
}

/// Starts the jobs one by one and runs them until dropped.
pub(super) async fn all(db: Db, gauges: Arc<Gauges>, order: HoldersOrder) {
    let mut jobs = JoinSet::new();
    let mut starts = tokio::time::interval(Duration::from_millis(order.every_ms.max(1)));
    let sleep = order.sleep_ms.map(Duration::from_millis);
    for _ in 0..order.count {
        starts.tick().await;
        jobs.spawn(report_job(db.clone(), Arc::clone(&gauges), sleep));
    }
    while jobs.join_next().await.is_some() {}
}

/// Holds and sleeps for ever; one that never gives back holds once.
async fn report_job(db: Db, gauges: Arc<Gauges>, sleep: Option<Duration>) {
    loop {
        let Err(error) = hold(&db, &gauges, sleep).await;
        let wait = match error {
            HoldError::Acquire(AcquireError::Timeout(_)) => Duration::ZERO,
            HoldError::Acquire(_) => AGAIN,
            HoldError::Statement(error) => {
                tracing::warn!(%error, "the report job lost its connection, comes again in a second");
                if matches!(classify(&error), Some(PoolError::Revoked { .. })) {
                    gauges.taken_back.fetch_add(1, Ordering::Relaxed);
                }
                AGAIN
            }
        };
        if sleep.is_none() {
            return;
        }
        tokio::time::sleep(wait).await;
    }
}

/// Report after report on one lease, each in a transaction that mostly sleeps.
///
/// The lease is not given back in between. Sixty real seconds are fifteen minutes of the postmortem's clock at the usual
/// speed; whoever returns a lease during the spike queues behind thousands, and the pool would heal in the middle of
/// the outage.
async fn hold(db: &Db, gauges: &Gauges, sleep: Option<Duration>) -> Result<Infallible, HoldError> {
    let mut lease = db.acquire(&Admission::without_deadline(Class::Normal)).await?;
    let _holding = gauges.hold();
    loop {
        let mut tx = lease.begin().await?;
        read_a_little(&mut tx.conn()).await?;
        match sleep {
            Some(sleep) => tokio::time::sleep(sleep).await,
            None => std::future::pending().await,
        }
        tx.commit().await?;
    }
}

async fn read_a_little(conn: &mut Conn<'_>) -> Result<(), sqlx::Error> {
    sqlx::query("select count(*) from catalog.categories").execute(conn).await.map(drop)
}
