use forebay_pool::{Acquire, AcquireError, Admission};
use sqlx::pool::PoolConnection;
use sqlx::{Acquire as _, Postgres};

use super::Conn;
use super::conn::Inner;
use super::stock::Stock;

/// A connection on loan from either pool; released on drop.
#[derive(Debug)]
pub struct Lease {
    #[cfg(not(feature = "fault-seam"))]
    held: Held,
    #[cfg(feature = "fault-seam")]
    held: super::seam::Late,
}

#[derive(Debug)]
pub(super) enum Held {
    Forebay(forebay_pool::Lease),
    Stock(PoolConnection<Postgres>),
}

pub(super) enum Acquiring {
    Forebay(Acquire),
    Stock(Stock, Admission),
}

impl Acquiring {
    pub(super) async fn wait(self) -> Result<Held, AcquireError> {
        match self {
            Self::Forebay(acquire) => acquire.await.map(Held::Forebay),
            Self::Stock(stock, admission) => stock.acquire(&admission).await.map(Held::Stock),
        }
    }
}

impl Lease {
    #[cfg(not(feature = "fault-seam"))]
    pub(super) const fn new(held: Held) -> Self {
        Self { held }
    }

    #[cfg(feature = "fault-seam")]
    pub(super) fn new(held: Held, late: Option<std::time::Duration>) -> Self {
        Self { held: super::seam::Late::new(held, late) }
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
}
