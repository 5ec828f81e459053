use std::io;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::stream::{self, BoxStream, TryStreamExt};
use real::error::{DatabaseError, ErrorKind};
use real::postgres::{PgQueryResult, PgRow, PgStatement, PgTypeInfo};
use real::{Describe, Either, Error, Execute, Executor, Postgres, SqlStr};
use shuttle::rand::{Rng, thread_rng};
use tokio::time::{Instant, sleep, sleep_until};

use crate::Connection;
use crate::server::{self, Fate};

/// A connection to [`server`]. Statements of a holder are `select by(HOLDER, MILLISECONDS)`, one or several with semicolons
/// between them.
#[derive(Debug)]
pub struct PgConnection {
    pid: i32,
    /// When the answer to the statement that has left will be there, while it was not read.
    unread: Option<Instant>,
}

impl PgConnection {
    pub(crate) async fn open() -> Result<Self, Error> {
        pause().await;
        let pid = server::open()?;
        let connection = Self { pid, unread: None };
        pause().await;
        Ok(connection)
    }

    /// The statement leaves.
    fn send(&mut self, sql: &str) {
        assert!(self.unread.is_none(), "{sql:?} is sent on {}, where an answer was not read", self.pid);
        self.unread = Some(Instant::now() + server::receive(self.pid, sql));
    }

    /// The answer is read.
    async fn read(&mut self) -> Result<(), Error> {
        let Some(until) = self.unread else { return Ok(()) };
        shuttle::future::yield_now().await;
        let mut sleep = pin!(sleep_until(until));
        let answer = std::future::poll_fn(|context| match server::fate(self.pid, context.waker()) {
            Fate::Ended => Poll::Ready(Err(Error::Io(io::ErrorKind::ConnectionReset.into()))),
            Fate::Cancelled => Poll::Ready(Err(Error::Database(Box::new(Cancelled)))),
            Fate::Rests | Fate::Works => sleep.as_mut().poll(context).map(Ok),
        })
        .await;
        self.unread = None;
        server::answered(self.pid);
        answer
    }

    pub(crate) async fn run(&mut self, sql: &str) -> Result<(), Error> {
        self.send(sql);
        self.read().await
    }

    /// What the server says to a question of the pool.
    pub(crate) fn tell(&self, question: &str) -> Vec<i64> {
        if question.contains("pg_backend_pid") {
            return vec![self.pid.into(), self.pid.into(), 0, 1, 0];
        }
        let number = question.strip_prefix("select ").and_then(|rest| rest.strip_suffix("::int8"));
        vec![number.map_or(0, |number| number.parse().expect("a number"))]
    }
}

impl Drop for PgConnection {
    fn drop(&mut self) {
        server::hang_up(self.pid);
    }
}

/// The way there: sometimes it takes time.
async fn pause() {
    shuttle::future::yield_now().await;
    if thread_rng().r#gen() {
        sleep(Duration::from_millis(1)).await;
    }
}

impl Connection for PgConnection {
    async fn close(self) -> Result<(), Error> {
        pause().await;
        Ok(())
    }

    async fn ping(&mut self) -> Result<(), Error> {
        self.run("").await
    }

    async fn flush(&mut self) -> Result<(), Error> {
        self.read().await
    }

    fn cached_statements_size(&self) -> usize {
        0
    }

    async fn clear_cached_statements(&mut self) -> Result<(), Error> {
        Ok(())
    }
}

impl<'c> Executor<'c> for &'c mut PgConnection {
    type Database = Postgres;

    /// No statement has rows, but it has an answer.
    fn fetch_many<'e, 'q, E>(self, query: E) -> BoxStream<'e, Result<Either<PgQueryResult, PgRow>, Error>>
    where
        'c: 'e,
        'q: 'e,
        E: 'q + Execute<'q, Postgres>,
    {
        let sql = query.sql();
        let statements: Vec<String> = sql.as_str().rsplit(';').map(|one| one.trim().to_owned()).collect();
        Box::pin(stream::try_unfold((self, statements), |(connection, mut left)| async move {
            let Some(statement) = left.pop() else { return Ok(None) };
            connection.run(&statement).await?;
            Ok(Some((Either::Left(PgQueryResult::default()), (connection, left))))
        }))
    }

    fn fetch_optional<'e, 'q, E>(self, query: E) -> BoxFuture<'e, Result<Option<PgRow>, Error>>
    where
        'c: 'e,
        'q: 'e,
        E: 'q + Execute<'q, Postgres>,
    {
        let mut steps = self.fetch_many(query);
        Box::pin(async move {
            while steps.try_next().await?.is_some() {}
            Ok(None)
        })
    }

    fn prepare_with<'e>(self, _: SqlStr, _: &'e [PgTypeInfo]) -> BoxFuture<'e, Result<PgStatement, Error>>
    where
        'c: 'e,
    {
        unimplemented!("no test prepares")
    }

    fn describe<'e>(self, _: SqlStr) -> BoxFuture<'e, Result<Describe<Postgres>, Error>>
    where
        'c: 'e,
    {
        unimplemented!("no test describes")
    }
}

/// The server's answer to a statement that was cancelled.
#[derive(Debug)]
struct Cancelled;

impl std::fmt::Display for Cancelled {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.message())
    }
}

impl std::error::Error for Cancelled {}

impl DatabaseError for Cancelled {
    fn message(&self) -> &str {
        "canceling statement due to user request"
    }

    fn as_error(&self) -> &(dyn std::error::Error + Send + Sync + 'static) {
        self
    }

    fn as_error_mut(&mut self) -> &mut (dyn std::error::Error + Send + Sync + 'static) {
        self
    }

    fn into_error(self: Box<Self>) -> Box<dyn std::error::Error + Send + Sync + 'static> {
        self
    }

    fn kind(&self) -> ErrorKind {
        ErrorKind::Other
    }
}
