//! What is asked of every pool: a connection within a time, and a statement on it.

use std::future::Future;
use std::time::Duration;

use sqlx::PgConnection;

use crate::work::{Statement, Step, Work};

/// A pool under measurement.
pub(crate) trait Peer: Clone + Send + Sync + 'static {
    /// What gives the connection back when it is dropped.
    type Lease: Send + 'static;

    /// A connection for a caller that waits no longer than `within`. A pool that takes no deadline per call has a limit
    /// of its own, or none; the caller drops the future then.
    fn acquire(&self, within: Duration) -> impl Future<Output = Result<Self::Lease, Refused>> + Send;

    /// The same for a caller that must not be lost to the others. Most pools know no such thing.
    fn acquire_first(&self, within: Duration) -> impl Future<Output = Result<Self::Lease, Refused>> + Send {
        self.acquire(within)
    }

    /// Closes what is idle, and waits for it where the pool can.
    fn close(self) -> impl Future<Output = ()> + Send;
}

/// Why there was no connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// The pool said no: at once, or when its own limit had passed.
    Busy {
        /// When to come back, where the pool says so.
        after: Option<Duration>,
    },
    /// Something broke.
    Failed(String),
}

/// A lease that statements run on.
pub(crate) trait Held: Send + 'static {
    /// Runs a statement and reads its row.
    fn run(&mut self, statement: Statement) -> impl Future<Output = sqlx::Result<()>> + Send;

    /// Does a piece of work, one step after another.
    fn work(&mut self, work: Work, seed: u64) -> impl Future<Output = sqlx::Result<()>> + Send {
        async move {
            for step in work.steps(seed) {
                match step {
                    Step::Run(statement) => self.run(statement).await?,
                    Step::Think(time) => tokio::time::sleep(time).await,
                }
            }
            Ok(())
        }
    }
}

/// A connection that is nobody's but the caller's.
impl Held for PgConnection {
    async fn run(&mut self, statement: Statement) -> sqlx::Result<()> {
        statement.on(self).await
    }
}
