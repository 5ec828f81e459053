//! What is asked of every pool: a connection within a time, and a statement on it.

use std::future::Future;
use std::time::Duration;

use sqlx::{Executor, Postgres};

/// A pool under measurement.
pub(crate) trait Peer: Clone + Send + Sync + 'static {
    /// What gives the connection back when it is dropped.
    type Lease: Send + 'static;

    /// A connection for a caller that waits no longer than `within`. A pool that takes no deadline per call has a limit
    /// of its own, or none; the caller drops the future then.
    fn acquire(&self, within: Duration) -> impl Future<Output = Result<Self::Lease, Refused>> + Send;

    /// Closes what is idle, and waits for it where the pool can.
    fn close(self) -> impl Future<Output = ()> + Send;
}

/// Why there was no connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// The pool said no: at once, or when its own limit had passed.
    Busy,
    /// Something broke.
    Failed(String),
}

/// A lease that statements run on.
pub(crate) trait Held: Send + 'static {
    /// Runs a statement and reads its row.
    fn run(&mut self, statement: Statement) -> impl Future<Output = sqlx::Result<()>> + Send;
}

/// The statements of the benchmark. All are prepared once for each connection.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Statement {
    /// `select 1`
    One,
    /// One row of [`Statement::ITEMS`] by its key.
    Lookup(i64),
    /// Sleeps for so many milliseconds.
    Sleep(f64),
    /// Sleeps for so many milliseconds, then makes the server's processor work for so many loops.
    Service {
        /// Milliseconds of sleep.
        sleep_ms: f64,
        /// Loops of work.
        loops: i32,
    },
}

impl Statement {
    /// Rows in the table of lookups.
    pub(crate) const ITEMS: i64 = 100_000;

    /// Runs it and reads its row.
    ///
    /// # Errors
    /// sqlx's.
    pub(crate) async fn on<'c>(self, executor: impl Executor<'c, Database = Postgres>) -> sqlx::Result<()> {
        let query = match self {
            Self::One => sqlx::query("select 1"),
            Self::Lookup(id) => sqlx::query("select id, name, price from items where id = $1").bind(id),
            Self::Sleep(ms) => sqlx::query("select pg_sleep($1 / 1000)").bind(ms),
            Self::Service { sleep_ms, loops } => {
                sqlx::query("select pg_sleep($1 / 1000), burn($2)").bind(sleep_ms).bind(loops)
            }
        };
        query.fetch_one(executor).await.map(drop)
    }
}
