use std::ops::{Deref, DerefMut};

use sqlx::Executor;

use crate::loan::Transaction;
use crate::{Lease, LeaseConn, PoolError};

/// A transaction of ours. Dropped without [`Tx::commit`] it is rolled back: before the next statement of its lease, or in
/// the background when the lease has ended too.
///
/// That it is open is noted *before* BEGIN leaves, so that a future dropped half-way can never hand an open transaction
/// to the next user.
#[derive(Debug)]
pub struct Tx<'l> {
    on: On<'l>,
    ended: bool,
}

#[derive(Debug)]
enum On<'l> {
    Owned(Lease),
    Borrowed(&'l mut Lease),
}

impl<'l> Tx<'l> {
    pub(crate) async fn begin_on(lease: &'l mut Lease) -> Result<Self, sqlx::Error> {
        let mut tx = Self { on: On::Borrowed(lease), ended: false };
        tx.begin().await?;
        Ok(tx)
    }

    pub(crate) async fn begin_owned(lease: Lease) -> Result<Tx<'static>, sqlx::Error> {
        let mut tx = Tx { on: On::Owned(lease), ended: false };
        tx.begin().await?;
        Ok(tx)
    }

    async fn begin(&mut self) -> Result<(), sqlx::Error> {
        // What an earlier transaction of this lease left open goes first; then the mark, then BEGIN.
        if self.loan.transaction() != Transaction::None {
            self.loan.set_transaction(Transaction::Abandoned);
            self.catch_up().await?;
        }
        self.loan.set_transaction(Transaction::Open);
        self.deref_mut().execute(sqlx::raw_sql("BEGIN")).await.map(drop)
    }

    /// Makes it permanent.
    ///
    /// If the future is dropped half-way, whether it was stored is unknown.
    ///
    /// # Errors
    /// [`PoolError::Aborted`] when a statement had failed before: the server would answer COMMIT with success and store
    /// nothing. [`PoolError::OutcomeUnknown`] when the connection was lost during COMMIT. Otherwise what the server says,
    /// a deferred constraint for instance.
    pub async fn commit(mut self) -> Result<(), sqlx::Error> {
        // A statement cut short may have failed since.
        if self.loan.is_behind() {
            self.catch_up().await?;
        }
        if self.loan.transaction() == Transaction::Failed {
            self.end("ROLLBACK").await?;
            return Err(PoolError::Aborted.into());
        }
        match self.end("COMMIT").await {
            Err(sqlx::Error::Io(error)) if error.get_ref().is_none_or(|inner| !inner.is::<PoolError>()) => {
                Err(PoolError::OutcomeUnknown.into())
            }
            other => other,
        }
    }

    /// Takes it back now.
    ///
    /// # Errors
    /// What the server says; the connection is then cleaned or closed by the pool.
    pub async fn rollback(mut self) -> Result<(), sqlx::Error> {
        self.end("ROLLBACK").await
    }

    /// Reads what a statement that was cut short left unread, and ends what was abandoned.
    async fn catch_up(&mut self) -> Result<(), sqlx::Error> {
        let mut statement = self.loan.take()?;
        statement.begin().await?;
        statement.settle(None).await;
        Ok(())
    }

    async fn end(&mut self, word: &'static str) -> Result<(), sqlx::Error> {
        let answer = self.deref_mut().execute(sqlx::raw_sql(word)).await;
        // A COMMIT that the server refused has rolled back.
        if matches!(answer, Ok(_) | Err(sqlx::Error::Database(_))) {
            self.loan.set_transaction(Transaction::None);
            self.ended = true;
        }
        answer.map(drop)
    }
}

impl Drop for Tx<'_> {
    fn drop(&mut self) {
        if !self.ended {
            self.loan.set_transaction(Transaction::Abandoned);
        }
    }
}

impl Deref for Tx<'_> {
    type Target = LeaseConn;

    fn deref(&self) -> &LeaseConn {
        match &self.on {
            On::Owned(lease) => lease,
            On::Borrowed(lease) => lease,
        }
    }
}

impl DerefMut for Tx<'_> {
    fn deref_mut(&mut self) -> &mut LeaseConn {
        match &mut self.on {
            On::Owned(lease) => lease,
            On::Borrowed(lease) => lease,
        }
    }
}
