use std::error::Error;

use forebay_pool::{Acquire, AcquireError, Admission, describe};
use sqlx::{Acquire as _, Postgres};

use super::Conn;
use super::conn::Inner;
use super::stock::{Counted, Stock};
use crate::timing::Using;

/// A connection on loan from either pool; released on drop.
#[derive(Debug)]
pub struct Lease {
    #[cfg(not(feature = "fault-seam"))]
    held: Held,
    #[cfg(feature = "fault-seam")]
    held: super::seam::Late,
    _using: Using,
}

#[derive(Debug)]
pub(super) enum Held {
    Forebay(forebay_pool::Lease),
    Stock(Counted),
}

pub(super) enum Acquiring {
    Forebay(Acquire),
    Stock(Stock, Admission),
}

impl Acquiring {
    pub(super) async fn wait(self) -> Result<Held, AcquireError> {
        match self {
            Self::Forebay(acquire) => acquire.await.map(Held::Forebay),
            // sqlx's future has 9 kB, with TLS in it. Without the box every handler's had them too, and was copied with them.
            Self::Stock(stock, admission) => Box::pin(stock.acquire(&admission)).await.map(Held::Stock),
        }
    }
}

impl Lease {
    #[cfg(not(feature = "fault-seam"))]
    pub(super) const fn new(held: Held, using: Using) -> Self {
        Self { held, _using: using }
    }

    #[cfg(feature = "fault-seam")]
    pub(super) fn new(held: Held, using: Using, late: Option<std::time::Duration>) -> Self {
        Self { held: super::seam::Late::new(held, late), _using: using }
    }

    #[cfg(not(feature = "fault-seam"))]
    const fn held(&mut self) -> &mut Held {
        &mut self.held
    }

    #[cfg(feature = "fault-seam")]
    fn held(&mut self) -> &mut Held {
        self.held.get()
    }

    /// Begins a transaction, which is rolled back when it is dropped without an end.
    ///
    /// # Errors
    /// What the server or the pool answers.
    pub async fn begin(&mut self) -> Result<Tx<'_>, sqlx::Error> {
        Ok(match self.held() {
            Held::Forebay(lease) => Tx::Forebay(lease.begin().await?),
            Held::Stock(connection) => Tx::Stock(connection.begin().await?),
        })
    }

    /// What statements run on outside a transaction.
    pub fn conn(&mut self) -> Conn<'_> {
        Conn(match self.held() {
            Held::Forebay(lease) => Inner::Forebay(lease),
            Held::Stock(connection) => Inner::Stock(connection),
        })
    }
}

/// A transaction on a [`Lease`]: ours, or sqlx's own.
#[derive(Debug)]
#[must_use = "a transaction that is dropped is rolled back"]
pub enum Tx<'l> {
    /// On our pool.
    Forebay(forebay_pool::Tx<'l>),
    /// On a stock pool.
    Stock(sqlx::Transaction<'l, Postgres>),
}

impl Tx<'_> {
    /// What statements of the transaction run on.
    pub fn conn(&mut self) -> Conn<'_> {
        Conn(match self {
            Self::Forebay(tx) => Inner::Forebay(tx),
            Self::Stock(tx) => Inner::Stock(tx),
        })
    }

    /// Makes it permanent.
    ///
    /// # Errors
    /// What the server or the pool answers.
    pub async fn commit(self) -> Result<(), sqlx::Error> {
        match self {
            Self::Forebay(tx) => tx.commit().await,
            Self::Stock(tx) => tx.commit().await,
        }
    }

    /// Takes it back now.
    ///
    /// # Errors
    /// What the server or the pool answers.
    pub async fn rollback(self) -> Result<(), sqlx::Error> {
        match self {
            Self::Forebay(tx) => tx.rollback().await,
            Self::Stock(tx) => tx.rollback().await,
        }
    }

    /// Ends as `outcome` asks: what went well is committed. A refusal, the caller's or the server's, is rolled back before it is
    /// answered, so that its connection goes back clean. Where the connection itself failed (the error's source is the
    /// driver's, and not the server's), the transaction is dropped, and the pool sees to what is left.
    ///
    /// # Errors
    /// That of `outcome`, or what the server or the pool answers to the COMMIT.
    pub async fn end<T, E>(self, outcome: Result<T, E>) -> Result<T, E>
    where
        E: Error + From<sqlx::Error> + 'static,
    {
        match &outcome {
            Ok(_) => self.commit().await?,
            Err(error) if is_of_the_connection(error) => drop(self),
            Err(_) => {
                if let Err(error) = self.rollback().await {
                    tracing::debug!(error = %describe(&error), "a refused transaction was not rolled back; the pool sees to it");
                }
            }
        }
        outcome
    }
}

fn is_of_the_connection(error: &(dyn Error + 'static)) -> bool {
    let failed = error.source().and_then(|source| source.downcast_ref::<sqlx::Error>());
    failed.is_some_and(|failed| failed.as_database_error().is_none())
}

#[cfg(test)]
mod tests {
    use forebay_pool::PoolError;

    use super::*;

    #[derive(Debug, thiserror::Error)]
    enum Refusal {
        #[error("a rule of ours")]
        Ours,
        #[error("the store")]
        Store(#[from] sqlx::Error),
    }

    #[test]
    fn what_is_not_the_servers_word_is_the_connections_end() {
        assert!(!is_of_the_connection(&Refusal::Ours));
        assert!(is_of_the_connection(&Refusal::Store(PoolError::Lost.into())));
        assert!(is_of_the_connection(&Refusal::Store(sqlx::Error::WorkerCrashed)));
    }
}
