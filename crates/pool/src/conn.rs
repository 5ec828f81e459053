use std::sync::Arc;

use async_stream::stream;
use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;
use sqlx::postgres::{PgQueryResult, PgRow, PgStatement, PgTypeInfo};
use sqlx::{Either, Execute, Executor, Postgres, SqlStr};

use crate::loan::{Loan, Statement, Transaction};
use crate::pool::Shared;
use crate::statement::{Effect, Request, Trace};
use crate::{PoolError, TxOptions};

/// What statements run on: an [`Executor`] by `&mut`, watched. The pool knows when a statement runs on it and when it is
/// held idle, and what a statement's text says it will leave behind.
///
/// A statement whose future is dropped is cancelled on the server before the connection is used again, unless it is
/// inside a transaction that goes on: there the next statement waits for its end.
///
/// The server may be silent for no longer than `statement_timeout` and 250 ms: then the statement fails with
/// [`crate::PoolError::Silent`]; so it does at the deadline of the [`crate::Admission`] that the lease was taken with. While the rows of a [`fetch`](Executor::fetch) are not asked for, the lease is held idle.
#[derive(Debug)]
pub struct LeaseConn {
    pub(crate) loan: Arc<Loan>,
    pub(crate) shared: Arc<Shared>,
}

impl LeaseConn {
    /// Takes the connection out for this statement, unless it is too late for it.
    async fn start(&self, request: &mut Request) -> Result<Statement<'_>, sqlx::Error> {
        let shares = self.shared.config.bouncer.shares_sessions();
        if shares {
            self.make_shareable(request)?;
        }
        let mut statement = self.ready(self.loan.take_in_time(shares)?, request.effect()).await?;
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

    async fn ready<'s>(&'s self, mut statement: Statement<'s>, effect: Effect) -> Result<Statement<'s>, sqlx::Error> {
        self.loan.within(statement.begin(&self.shared.control)).await??;
        statement.expect(effect);
        Ok(statement)
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
        statement.settle(answer.as_ref().err()).await;
        if !statement.is_trusted() {
            let end = self.loan.within(statement.end(&self.shared.dialer, answer.is_ok())).await;
            let end = end.unwrap_or_else(|silent| Err(silent.into()));
            answer = answer.and_then(|value| end.map(|()| value));
        }
        answer
    }

    /// Runs a command of the pool's own, of which it keeps account itself.
    pub(crate) async fn command(&self, sql: SqlStr) -> Result<(), sqlx::Error> {
        let mut statement = self.ready(self.loan.take()?, Effect::NONE).await?;
        let answer = self.loan.within(statement.connection().execute(sqlx::raw_sql(sql))).await;
        self.finish(statement, answer).await.map(drop)
    }

    /// Reads what a statement that was cut short left unread, and rolls back what was abandoned.
    pub(crate) async fn catch_up(&self) -> Result<(), sqlx::Error> {
        let statement = self.ready(self.loan.take()?, Effect::NONE).await?;
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
        let mut request = Request::of(query, &self.shared.config);
        Box::pin(async move {
            let mut statement = self.start(&mut request).await?;
            let answer = self.loan.within(statement.connection().execute(request)).await;
            self.finish(statement, answer).await
        })
    }

    fn fetch_many<'e, 'q, E>(self, query: E) -> BoxStream<'e, Result<Either<PgQueryResult, PgRow>, sqlx::Error>>
    where
        'c: 'e,
        'q: 'e,
        E: 'q + Execute<'q, Postgres>,
    {
        let mut request = Request::of(query, &self.shared.config);
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
        let mut request = Request::of(query, &self.shared.config);
        Box::pin(async move {
            let mut statement = self.start(&mut request).await?;
            let answer = self.loan.within(statement.connection().fetch_optional(request)).await;
            self.finish(statement, answer).await
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
            let mut statement = self.ready(self.loan.take_in_time(false)?, Effect::NONE).await?;
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
            let mut statement = self.ready(self.loan.take_in_time(false)?, Effect::NONE).await?;
            let answer = self.loan.within(statement.connection().describe(sql)).await;
            self.finish(statement, answer).await
        })
    }
}
