use std::time::Duration;

use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{PgPool, Postgres};

use crate::{Held, Peer, Refused, Statement};

/// sqlx's own pool.
#[derive(Clone, Debug)]
pub(crate) struct Stock {
    pool: PgPool,
}

impl Stock {
    /// As it comes: ten connections, a ping before each lease and one after, 30 s to wait.
    pub(crate) fn by_default(options: &PgConnectOptions) -> Self {
        Self { pool: PgPoolOptions::new().connect_lazy_with(options.clone()) }
    }

    /// With its defaults, but this size.
    pub(crate) fn pinging(options: &PgConnectOptions, size: u32) -> Self {
        Self { pool: PgPoolOptions::new().max_connections(size).connect_lazy_with(options.clone()) }
    }

    /// The same without the ping before a lease. The one after it cannot be switched off.
    pub(crate) fn trusting(options: &PgConnectOptions, size: u32, wait: Option<Duration>) -> Self {
        let pool = PgPoolOptions::new().max_connections(size).test_before_acquire(false);
        let pool = wait.map_or(pool.clone(), |wait| pool.acquire_timeout(wait));
        Self { pool: pool.connect_lazy_with(options.clone()) }
    }

    pub(crate) const fn pool(&self) -> &PgPool {
        &self.pool
    }
}

impl Peer for Stock {
    type Lease = PoolConnection<Postgres>;

    async fn acquire(&self, _within: Duration) -> Result<Self::Lease, Refused> {
        self.pool.acquire().await.map_err(|error| match error {
            sqlx::Error::PoolTimedOut => Refused::Busy { after: None },
            error => Refused::Failed(error.to_string()),
        })
    }

    async fn close(self) {
        self.pool.close().await;
    }
}

impl Held for PoolConnection<Postgres> {
    async fn run(&mut self, statement: Statement) -> sqlx::Result<()> {
        statement.on(&mut **self).await
    }
}
