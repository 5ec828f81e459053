use std::time::Duration;

use bb8::{ManageConnection, PooledConnection, RunError};
use sqlx::postgres::PgConnectOptions;
use sqlx::{Connection as _, PgConnection};

use crate::{Held, Peer, Refused, Statement};

/// bb8 over the same connections.
#[derive(Clone, Debug)]
pub(crate) struct Bb8 {
    pool: bb8::Pool<Manager>,
}

/// Opens connections, and tests them where the pool wants it.
#[derive(Debug)]
pub(crate) struct Manager {
    options: PgConnectOptions,
}

impl ManageConnection for Manager {
    type Connection = PgConnection;
    type Error = sqlx::Error;

    async fn connect(&self) -> sqlx::Result<PgConnection> {
        PgConnection::connect_with(&self.options).await
    }

    async fn is_valid(&self, connection: &mut PgConnection) -> sqlx::Result<()> {
        connection.ping().await
    }

    fn has_broken(&self, _connection: &mut PgConnection) -> bool {
        false
    }
}

impl Bb8 {
    /// A pool of this size without a test; by default callers wait 30 s.
    pub(crate) fn new(options: &PgConnectOptions, size: u32, wait: Option<Duration>) -> Self {
        let builder = bb8::Pool::builder().max_size(size).test_on_check_out(false);
        let builder = match wait {
            Some(wait) => builder.connection_timeout(wait),
            None => builder,
        };
        Self { pool: builder.build_unchecked(Manager { options: options.clone() }) }
    }
}

impl Bb8 {
    /// As it comes: ten connections, 30 s to wait, a test before each lease.
    pub(crate) fn by_default(options: &PgConnectOptions) -> Self {
        Self { pool: bb8::Pool::builder().build_unchecked(Manager { options: options.clone() }) }
    }
}

impl Peer for Bb8 {
    /// Owned, since tasks outlive a borrow; that costs one clone of an `Arc`.
    type Lease = PooledConnection<'static, Manager>;

    async fn acquire(&self, _within: Duration) -> Result<Self::Lease, Refused> {
        self.pool.get_owned().await.map_err(|error| match error {
            RunError::TimedOut => Refused::Busy { after: None },
            RunError::User(error) => Refused::Failed(error.to_string()),
        })
    }

    /// It has no close: its connections go with it.
    async fn close(self) {}
}

impl Held for PooledConnection<'static, Manager> {
    async fn run(&mut self, statement: Statement) -> sqlx::Result<()> {
        statement.on(&mut **self).await
    }
}
