//! Settles what a crash, a lost client or a silent provider left pending, and forgets old idempotency keys.

use forebay_platform::db::Db;
use forebay_pool::{AcquireError, Admission, Class};
use time::OffsetDateTime;
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::domain::Order;
use crate::error::Error;
use crate::payments::{Charge, Outcome, Unknown};
use crate::settlement::settle;
use crate::store::orders::{Overdue, Place};
use crate::{State, store};

/// A handler gets this long before its order is looked at. Too short would be waste, but never wrong.
const SETTLE_AFTER: time::Duration = time::Duration::seconds(15);
const EVERY: std::time::Duration = std::time::Duration::from_secs(5);
const DEADLINE: std::time::Duration = std::time::Duration::from_secs(2);
const BATCH: i64 = 100;

/// What one sweep did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// Orders that had been charged and are paid now.
    pub paid: u64,
    /// Orders that had been declined; their stock is free.
    pub failed: u64,
    /// Orders that were given up and can never be charged; their stock is free.
    pub expired: u64,
    /// Orders that wait on: not charged, not expired.
    pub waiting: u64,
    /// Idempotency keys past their time.
    pub keys_forgotten: u64,
}

/// A sweep that stopped half-way. What it settled stays settled; the next one goes on.
#[derive(Debug, thiserror::Error)]
pub enum SweepError {
    /// No lease.
    #[error("the sweep got no connection")]
    Acquire(#[from] AcquireError),
    /// A statement failed.
    #[error("a statement of the sweep failed")]
    Store(#[from] sqlx::Error),
}

/// Settles every order that is pending for longer than a handler takes, as of `now`. A `now` in the future counts
/// reservations as expired that still hold, and so settles everything.
///
/// Holds one lease at a time, and none while the provider is asked. May run in several processes at once.
///
/// # Errors
/// Where the database fails. Dropped at any point, each order is settled or as it was.
pub async fn sweep(state: &State, now: OffsetDateTime) -> Result<Swept, SweepError> {
    let mut swept = Swept::default();
    let mut place = Place::start();
    loop {
        let overdue = overdue(&state.db, now, &place).await?;
        let Some(last) = overdue.last() else { break };
        place = last.place();
        for order in &overdue {
            swept.count(settle_one(state, order, now).await?);
        }
    }
    swept.keys_forgotten = forget_keys(&state.db, now).await?;
    Ok(swept)
}

/// Sweeps every five seconds until the task is aborted.
pub fn spawn_sweeper(state: State) -> JoinHandle<()> {
    tokio::spawn(async move {
        let mut ticks = interval(EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            match sweep(&state, OffsetDateTime::now_utc()).await {
                Ok(Swept { paid: 0, failed: 0, expired: 0, .. }) => {}
                Ok(swept) => tracing::info!(?swept, "settled orders that were left pending"),
                Err(error) => tracing::warn!(%error, "the sweep stopped half-way"),
            }
        }
    })
}

impl Swept {
    fn count(&mut self, outcome: Option<Outcome>) {
        let counter = match outcome {
            Some(Outcome::Approved) => &mut self.paid,
            Some(Outcome::Declined) => &mut self.failed,
            Some(Outcome::Voided) => &mut self.expired,
            None => &mut self.waiting,
        };
        *counter += 1;
    }
}

async fn overdue(db: &Db, now: OffsetDateTime, after: &Place) -> Result<Vec<Overdue>, SweepError> {
    let mut lease = db.acquire(&admission()).await?;
    Ok(store::orders::overdue(&mut lease.conn(), now - SETTLE_AFTER, after, BATCH).await?)
}

async fn settle_one(state: &State, overdue: &Overdue, now: OffsetDateTime) -> Result<Option<Outcome>, SweepError> {
    match ask(state, overdue, now).await {
        Ok(Some(charge)) => write(&state.db, &overdue.order, &charge, now).await,
        Ok(None) => Ok(None),
        Err(unknown) => {
            tracing::warn!(order = %overdue.order.id, %unknown, "the provider does not say what became of a payment");
            Ok(None)
        }
    }
}

/// Past its reservation an order is given up, and the provider is told first.
async fn ask(state: &State, overdue: &Overdue, now: OffsetDateTime) -> Result<Option<Charge>, Unknown> {
    let bill = overdue.order.bill();
    if overdue.reserved_until <= now {
        return state.payments.void(&bill).await.map(Some);
    }
    state.payments.look_up(&bill).await
}

async fn write(db: &Db, order: &Order, charge: &Charge, now: OffsetDateTime) -> Result<Option<Outcome>, SweepError> {
    let mut lease = db.acquire(&admission()).await?;
    let mut tx = lease.begin().await?;
    match settle(&mut tx, order, charge, now).await {
        Ok(_) => tx.commit().await?,
        Err(Error::Store(error)) => return Err(error.into()),
        Err(error) => tracing::error!(order = %order.id, %error, "an order cannot be settled"),
    }
    Ok(Some(charge.outcome))
}

async fn forget_keys(db: &Db, now: OffsetDateTime) -> Result<u64, SweepError> {
    let mut lease = db.acquire(&admission()).await?;
    Ok(store::keys::forget(&mut lease.conn(), now).await?)
}

fn admission() -> Admission {
    Admission::new(Class::Normal, (Instant::now() + DEADLINE).into_std())
}
