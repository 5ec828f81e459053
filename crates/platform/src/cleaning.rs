//! Deletes what is past its time, in small batches that stand in nobody's way.

use std::fmt::Debug;
use std::time::Duration;

use forebay_pool::{AcquireError, Admission, Class};
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at};

use crate::db::{Db, Lease};

/// How many rows a statement deletes at most: some milliseconds of work.
pub const BATCH: i64 = 500;

const EVERY: Duration = Duration::from_secs(600);

/// No batch takes longer.
const LONGEST_BATCH: Duration = Duration::from_secs(10);

/// Why a cleaning stopped half-way; the next one goes on.
#[derive(Debug, thiserror::Error)]
pub enum CleaningError {
    /// No lease.
    #[error("no connection: {0}")]
    Acquire(#[from] AcquireError),
    /// A batch was not deleted.
    #[error("a batch was not deleted: {}", forebay_pool::describe(.0))]
    Store(#[from] sqlx::Error),
}

/// Batch after batch of one kind of rows, each on a lease of its own of class background, until one finds fewer than
/// [`BATCH`]. As one statement each is a transaction of its own: dropped or killed at any point, whole batches are gone, and
/// whoever begins anew finds the rest.
///
/// ```no_run
/// # async fn example(db: &forebay_platform::db::Db) -> Result<u64, forebay_platform::cleaning::CleaningError> {
/// use forebay_platform::cleaning::{BATCH, Batches};
///
/// let mut batches = Batches::of(db);
/// while let Some(mut lease) = batches.next().await? {
///     let one = sqlx::query("delete from old where id in (select id from old limit $1 for update skip locked)");
///     batches.note(one.bind(BATCH).execute(&mut lease.conn()).await?.rows_affected());
/// }
/// # Ok(batches.deleted()) }
/// ```
#[derive(Debug)]
pub struct Batches<'db> {
    db: &'db Db,
    deleted: u64,
    is_over: bool,
}

impl<'db> Batches<'db> {
    /// None deleted yet.
    #[must_use]
    pub fn of(db: &'db Db) -> Self {
        Self { db, deleted: 0, is_over: false }
    }

    /// The lease for the next batch; none once there is nothing left. Give it back before asking for another.
    ///
    /// # Errors
    /// There is none to be had within ten seconds, in which the batch must be done too.
    pub async fn next(&mut self) -> Result<Option<Lease>, CleaningError> {
        if self.is_over {
            return Ok(None);
        }
        Ok(Some(self.db.acquire(&Admission::within(Class::Background, LONGEST_BATCH)).await?))
    }

    /// How many rows the batch has deleted.
    pub fn note(&mut self, deleted: u64) {
        self.deleted += deleted;
        self.is_over = deleted < BATCH.unsigned_abs();
    }

    /// How many rows all of them have deleted.
    #[must_use]
    pub fn deleted(&self) -> u64 {
        self.deleted
    }
}

/// When to clean: every ten minutes, for the first time at some moment of the first ten, so that those who start together do
/// not clean together.
#[must_use]
pub fn times() -> Interval {
    let mut times = interval_at(Instant::now() + EVERY.mul_f64(rand::random()), EVERY);
    times.set_missed_tick_behavior(MissedTickBehavior::Delay);
    times
}

/// Logs what one cleaning did, if it did anything.
pub fn report<T: Debug + Default + PartialEq>(done: Result<T, CleaningError>) {
    match done {
        Ok(done) if done == T::default() => {}
        Ok(done) => tracing::info!(?done, "deleted what was past its time"),
        Err(error) => tracing::warn!(%error, "cleaning stopped half-way; the next one goes on"),
    }
}
