use std::sync::Arc;

use async_stream::stream;
use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;
use futures_util::{StreamExt, TryStreamExt};
use sqlx::postgres::{PgQueryResult, PgRow, PgStatement, PgTypeInfo};
use sqlx::{Either, Execute, Executor, Postgres, SqlStr};

use crate::loan::{Held, Statement, Transaction};
use crate::shared::Shared;
use crate::statement::{Effect, Form, Request, Trace};
use crate::statements::Kind;
use crate::{PoolError, TxOptions};

/// What statements run on: an [`Executor`] by `&mut`, watched. The pool knows when a statement runs on it and when it is
/// held idle, and what a statement's text says it will leave behind.
///
/// A statement whose future is dropped is cancelled on the server before the connection is used again, unless it is
/// inside a transaction that goes on: there the next statement waits for its end.
///
/// The server may be silent for no longer than `statement_timeout` and 250 ms: then the statement fails with
/// [`crate::PoolError::Silent`]; so it does at the deadline of the [`crate::Admission`] that the lease was taken with. While the rows of a [`fetch`](Executor::fetch) are not asked for, the lease is held idle.
///
/// ```no_run
/// # async fn example(mut lease: forebay_pool::Lease) -> Result<(), Box<dyn std::error::Error>> {
/// use forebay_pool::LeaseConn;
///
/// async fn is_empty(connection: &mut LeaseConn, cart: i64) -> Result<bool, sqlx::Error> {
///     let lines = sqlx::query_scalar("select not exists (select from lines where cart_id = $1)");
///     lines.bind(cart).fetch_one(connection).await
/// }
///
/// // On a lease, and inside a transaction.
/// is_empty(&mut *lease, 1).await?;
/// let mut tx = lease.begin().await?;
/// is_empty(&mut *tx, 1).await?;
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct LeaseConn {
    pub(crate) loan: Held,
    pub(crate) shared: Arc<Shared>,
}

impl LeaseConn {
    /// Gives back the memory that large statements and answers have left in the driver's buffers; what was read last stays
    /// until something else is read. Nothing is sent. The pool does it by itself when the lease ends, where a MiB or more
    /// has passed at once.
    pub fn shrink_buffers(&mut self) {
        self.loan.shrink_buffers();
    }

    /// Takes the connection out for this statement, unless it is too late for it.
    async fn start(&self, request: &mut Request) -> Result<Statement<'_>, sqlx::Error> {
        let shares = self.shared.config.bouncer.shares_sessions();
        if shares {
            self.make_shareable(request)?;
        }
        let mut statement =
            self.ready(self.loan.take_in_time(request.text(), shares)?, request.effect(), request.form()).await?;
        statement.counts(&self.shared, request.kind());
        if shares {
            self.wrap(&mut statement, request).await?;
        } else if !statement.commits() && request.may_write_alone() && self.loan.transaction() == Transaction::None {
            statement.doubt();
        }
        Ok(statement)
    }

    /// Begins a transaction for a statement of two messages that is in none.
    async fn wrap(&self, statement: &mut Statement<'_>, request: &Request) -> Result<(), sqlx::Error> {
        if !request.is_one_message() && self.loan.transaction() == Transaction::None {
            let statement_timeout = self.loan.limit_within(None)?;
            let options = TxOptions { statement_timeout, ..TxOptions::default() };
            let begin = options.begin(self.shared.local_settings().as_deref());
            self.loan.within(statement.wrap(begin)).await??;
        }
        Ok(())
    }

    /// Makes of it what a session that serves others too can run, or refuses it.
    fn make_shareable(&self, request: &mut Request) -> Result<(), PoolError> {
        let effect = request.effect();
        if effect.trace >= Trace::Session {
            self.shared.needs_session("a statement that changes its session")?;
        }
        request.leave_nothing();
        if effect.opens || effect.ends {
            request.put_into_one_message();
        }
        Ok(())
    }

    async fn ready<'s>(
        &'s self,
        mut statement: Statement<'s>,
        effect: Effect,
        form: Form,
    ) -> Result<Statement<'s>, sqlx::Error> {
        if self.shared.unsure.get() {
            // Somebody has to look how long the server takes.
            self.shared.settle();
        }
        self.loan.within(statement.begin(&self.shared)).await??;
        statement.expect(effect, form);
        Ok(statement)
    }

    /// Runs a statement to its end, and hands out each step of its answer.
    async fn run(
        &self,
        mut request: Request,
        mut take: impl FnMut(Either<PgQueryResult, PgRow>),
    ) -> Result<(), sqlx::Error> {
        let mut statement = self.start(&mut request).await?;
        let reading = async {
            let mut steps = statement.connection().fetch_many(request);
            while let Some(step) = steps.try_next().await? {
                if let Either::Right(row) = &step {
                    self.loan.came(row);
                }
                take(step);
            }
            Ok(())
        };
        let answer = self.loan.within(reading).await;
        self.finish(statement, answer).await
    }

    /// Ends a statement, and says how it ended. What the pool has done to its backend is told in the pool's words.
    async fn finish<T>(
        &self,
        mut statement: Statement<'_>,
        answer: Result<Result<T, sqlx::Error>, PoolError>,
    ) -> Result<T, sqlx::Error> {
        let mut answer = answer.unwrap_or_else(|silent| Err(silent.into()));
        if answer.is_err() && self.loan.is_ended() {
            answer = Err(self.loan.revocation().into());
        }
        statement.settle(&self.shared.catalog, answer.as_ref().err()).await;
        if !statement.is_trusted() {
            let end = self.loan.within(statement.end(answer.is_ok())).await;
            let end = end.unwrap_or_else(|silent| Err(silent.into()));
            answer = answer.and_then(|value| end.map(|()| value));
        }
        answer
    }

    /// Runs a command of the pool's own, of which it keeps account itself.
    pub(crate) async fn command(&self, sql: SqlStr, kind: Kind) -> Result<(), sqlx::Error> {
        let mut statement = self.ready(self.loan.take()?, Effect::NONE, Form::NONE).await?;
        statement.counts(&self.shared, kind);
        let answer = self.loan.within(statement.connection().execute(sqlx::raw_sql(sql))).await;
        self.finish(statement, answer).await.map(drop)
    }

    /// Reads what a statement that was cut short left unread, and rolls back what was abandoned.
    pub(crate) async fn catch_up(&self) -> Result<(), sqlx::Error> {
        let statement = self.ready(self.loan.take()?, Effect::NONE, Form::NONE).await?;
        self.finish(statement, Ok(Ok(()))).await
    }
}

impl<'c> Executor<'c> for &'c mut LeaseConn {
    type Database = Postgres;

    fn execute<'e, 'q: 'e, E>(self, query: E) -> BoxFuture<'e, Result<PgQueryResult, sqlx::Error>>
    where
        'c: 'e,
        E: 'q + Execute<'q, Postgres>,
    {
        let request = Request::of(query, &self.shared);
        Box::pin(async move {
            let mut done = PgQueryResult::default();
            self.run(request, |step| done.extend(step.left())).await?;
            Ok(done)
        })
    }

    fn fetch_many<'e, 'q, E>(self, query: E) -> BoxStream<'e, Result<Either<PgQueryResult, PgRow>, sqlx::Error>>
    where
        'c: 'e,
        'q: 'e,
        E: 'q + Execute<'q, Postgres>,
    {
        let mut request = Request::of(query, &self.shared);
        Box::pin(stream! {
            let mut statement = match self.start(&mut request).await {
                Ok(statement) => statement,
                Err(error) => {
                    yield Err(error);
                    return;
                }
            };
            let mut steps = statement.connection().fetch_many(request);
            let end = loop {
                match self.loan.within(steps.next()).await {
                    Ok(None) => break Ok(Ok(())),
                    Ok(Some(Ok(step))) => {
                        if let Either::Right(row) = &step {
                            self.loan.came(row);
                        }
                        self.loan.pause();
                        yield Ok(step);
                        if let Err(revoked) = self.loan.resume() {
                            break Err(revoked);
                        }
                    }
                    Ok(Some(Err(error))) => break Ok(Err(error)),
                    Err(silent) => break Err(silent),
                }
            };
            drop(steps);
            // The connection is back before the last word is out: a consumer stops polling at an error.
            if let Err(error) = self.finish(statement, end).await {
                yield Err(error);
            }
        })
    }

    fn fetch_optional<'e, 'q, E>(self, query: E) -> BoxFuture<'e, Result<Option<PgRow>, sqlx::Error>>
    where
        'c: 'e,
        'q: 'e,
        E: 'q + Execute<'q, Postgres>,
    {
        let request = Request::of(query, &self.shared);
        Box::pin(async move {
            let mut first = None;
            self.run(request, |step| first = first.take().or_else(|| step.right())).await?;
            Ok(first)
        })
    }

    fn prepare_with<'e>(
        self,
        sql: SqlStr,
        parameters: &'e [PgTypeInfo],
    ) -> BoxFuture<'e, Result<PgStatement, sqlx::Error>>
    where
        'c: 'e,
    {
        Box::pin(async move {
            self.shared.needs_session("a prepared statement")?;
            let mut statement = self
                .ready(self.loan.take_in_time(&sql, false)?, Effect::NONE, Form::prepared(sql.as_str(), parameters))
                .await?;
            let answer = self.loan.within(statement.connection().prepare_with(sql, parameters)).await;
            self.finish(statement, answer).await
        })
    }

    fn describe<'e>(self, sql: SqlStr) -> BoxFuture<'e, Result<sqlx::Describe<Postgres>, sqlx::Error>>
    where
        'c: 'e,
    {
        Box::pin(async move {
            self.shared.needs_session("a prepared statement")?;
            let mut statement = self
                .ready(self.loan.take_in_time(&sql, false)?, Effect::NONE, Form::prepared(sql.as_str(), &[]))
                .await?;
            let answer = self.loan.within(statement.connection().describe(sql)).await;
            self.finish(statement, answer).await
        })
    }
}
