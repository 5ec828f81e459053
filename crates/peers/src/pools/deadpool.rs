use std::time::Duration;

use deadpool::Runtime;
use deadpool::managed::{self, Metrics, Object, PoolError, RecycleResult, Timeouts};
use sqlx::postgres::PgConnectOptions;
use sqlx::{Connection as _, PgConnection};

use crate::{BenchError, Held, Peer, Refused, Statement};

/// deadpool over the same connections.
#[derive(Clone, Debug)]
pub(crate) struct Deadpool {
    pool: managed::Pool<Manager>,
}

/// Opens connections, and takes them back without a query: deadpool-postgres' fast way of recycling.
#[derive(Debug)]
pub(crate) struct Manager {
    options: PgConnectOptions,
}

impl managed::Manager for Manager {
    type Type = PgConnection;
    type Error = sqlx::Error;

    async fn create(&self) -> sqlx::Result<PgConnection> {
        PgConnection::connect_with(&self.options).await
    }

    async fn recycle(&self, _connection: &mut PgConnection, _metrics: &Metrics) -> RecycleResult<sqlx::Error> {
        Ok(())
    }
}

impl Deadpool {
    /// A pool of this size, with a limit on the wait where one is given; by default it has none.
    pub(crate) fn new(options: &PgConnectOptions, size: u32, wait: Option<Duration>) -> Result<Self, BenchError> {
        let builder = managed::Pool::builder(Manager { options: options.clone() });
        let pool = builder.max_size(size as usize).wait_timeout(wait).runtime(Runtime::Tokio1).build();
        Ok(Self { pool: pool.map_err(BenchError::turn)? })
    }

    /// As it comes: its own size, and nobody's wait has an end.
    pub(crate) fn by_default(options: &PgConnectOptions) -> Result<Self, BenchError> {
        let pool = managed::Pool::builder(Manager { options: options.clone() }).build();
        Ok(Self { pool: pool.map_err(BenchError::turn)? })
    }

    /// Whether it refuses a caller that would not wait at all.
    pub(crate) async fn refuses(&self) -> bool {
        let at_once = Timeouts { wait: Some(Duration::ZERO), create: None, recycle: None };
        matches!(self.pool.timeout_get(&at_once).await, Err(PoolError::Timeout(_)))
    }
}

impl Peer for Deadpool {
    type Lease = Object<Manager>;

    async fn acquire(&self, _within: Duration) -> Result<Self::Lease, Refused> {
        self.pool.get().await.map_err(|error| match error {
            PoolError::Timeout(_) => Refused::Busy { after: None },
            error => Refused::Failed(error.to_string()),
        })
    }

    async fn close(self) {
        self.pool.close();
    }
}

impl Held for Object<Manager> {
    async fn run(&mut self, statement: Statement) -> sqlx::Result<()> {
        statement.on(&mut **self).await
    }
}
