use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use crate::loan::{Held, Loan};
use crate::shared::Shared;
use crate::{LeaseConn, Pool, Tx, TxOptions};

/// A connection on loan. Dropping it gives the connection back, at once and without a round trip: clean it goes to the
/// next caller, otherwise the pool cleans it in the background first.
///
/// It derefs to [`LeaseConn`], which is what statements run on: `&mut *lease`.
#[derive(Debug)]
pub struct Lease {
    connection: LeaseConn,
}

impl Lease {
    pub(crate) const fn new(loan: Arc<Loan>, shared: Arc<Shared>) -> Self {
        Self { connection: LeaseConn { loan: Held::new(loan), shared } }
    }

    /// Begins a transaction on this lease.
    ///
    /// Dropping the future, or the transaction, at any point leaves nothing behind: it is rolled back before the
    /// connection is used again.
    ///
    /// # Errors
    /// What the server answers, or [`crate::PoolError`] inside [`sqlx::Error::Io`]; [`crate::PoolError::ByText`] where one
    /// is open that was begun by the text of a statement.
    pub async fn begin(&mut self) -> Result<Tx<'_>, sqlx::Error> {
        Tx::begin_on(&mut self.connection, None).await
    }

    /// The same with these options instead of those of the lease's class. They travel with the BEGIN.
    ///
    /// # Errors
    /// As [`Lease::begin`].
    pub async fn begin_with(&mut self, options: &TxOptions) -> Result<Tx<'_>, sqlx::Error> {
        Tx::begin_on(&mut self.connection, Some(options)).await
    }

    /// The pool it belongs to.
    #[must_use]
    pub fn pool(&self) -> Pool {
        Pool::of(Arc::clone(&self.connection.shared))
    }
}

impl Deref for Lease {
    type Target = LeaseConn;

    fn deref(&self) -> &LeaseConn {
        &self.connection
    }
}

impl DerefMut for Lease {
    fn deref_mut(&mut self) -> &mut LeaseConn {
        &mut self.connection
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if let Some(loan) = self.connection.loan.give_back() {
            self.connection.shared.release(loan);
        }
    }
}
