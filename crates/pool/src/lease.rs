use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use async_stream::stream;
use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;
use sqlx::postgres::{PgQueryResult, PgRow, PgStatement, PgTypeInfo};
use sqlx::{Either, Execute, Executor, Postgres, SqlStr};

use crate::loan::Loan;
use crate::pool::Shared;
use crate::{Pool, Tx};

/// A connection on loan. Dropping it gives the connection back, at once and without a round trip: clean it goes to the
/// next caller, otherwise the pool cleans it in the background first.
///
/// It derefs to [`LeaseConn`], which is what statements run on: `&mut *lease`.
#[derive(Debug)]
pub struct Lease {
    connection: LeaseConn,
    shared: Arc<Shared>,
}

impl Lease {
    pub(crate) const fn new(loan: Arc<Loan>, shared: Arc<Shared>) -> Self {
        Self { connection: LeaseConn { loan }, shared }
    }

    /// Begins a transaction on this lease.
    ///
    /// Dropping the future, or the transaction, at any point leaves nothing behind: it is rolled back before the
    /// connection is used again.
    ///
    /// # Errors
    /// What the server answers, or [`crate::PoolError`] inside [`sqlx::Error::Io`].
    pub async fn begin(&mut self) -> Result<Tx<'_>, sqlx::Error> {
        Tx::begin_on(self).await
    }

    /// The pool it belongs to.
    #[must_use]
    pub fn pool(&self) -> Pool {
        Pool::of(Arc::clone(&self.shared))
    }
}

impl Deref for Lease {
    type Target = LeaseConn;

    fn deref(&self) -> &LeaseConn {
        &self.connection
    }
}

impl DerefMut for Lease {
    fn deref_mut(&mut self) -> &mut LeaseConn {
        &mut self.connection
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.shared.release(&self.connection.loan);
    }
}

/// What statements run on. It is an [`Executor`] by `&mut`, watched: the pool knows when a statement runs on it and
/// when it is held idle.
#[derive(Debug)]
pub struct LeaseConn {
    pub(crate) loan: Arc<Loan>,
}

impl<'c> Executor<'c> for &'c mut LeaseConn {
    type Database = Postgres;

    fn fetch_many<'e, 'q, E>(self, query: E) -> BoxStream<'e, Result<Either<PgQueryResult, PgRow>, sqlx::Error>>
    where
        'c: 'e,
        'q: 'e,
        E: 'q + Execute<'q, Postgres>,
    {
        Box::pin(stream! {
            let mut statement = match self.loan.take() {
                Ok(statement) => statement,
                Err(error) => {
                    yield Err(error.into());
                    return;
                }
            };
            let mut failure = statement.begin().await.err();
            if failure.is_none() {
                let mut steps = statement.connection().fetch_many(query);
                while let Some(step) = steps.next().await {
                    match step {
                        Ok(step) => yield Ok(step),
                        Err(error) => {
                            failure = Some(error);
                            break;
                        }
                    }
                }
            }
            statement.settle(failure.as_ref()).await;
            // The connection is back before the last word is out: a consumer stops polling at an error.
            drop(statement);
            if let Some(error) = failure {
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
        Box::pin(async move {
            let mut statement = self.loan.take()?;
            statement.begin().await?;
            let answer = statement.connection().fetch_optional(query).await;
            statement.settle(answer.as_ref().err()).await;
            answer
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
            let mut statement = self.loan.take()?;
            statement.begin().await?;
            let answer = statement.connection().prepare_with(sql, parameters).await;
            statement.settle(answer.as_ref().err()).await;
            answer
        })
    }

    fn describe<'e>(self, sql: SqlStr) -> BoxFuture<'e, Result<sqlx::Describe<Postgres>, sqlx::Error>>
    where
        'c: 'e,
    {
        Box::pin(async move {
            let mut statement = self.loan.take()?;
            statement.begin().await?;
            let answer = statement.connection().describe(sql).await;
            statement.settle(answer.as_ref().err()).await;
            answer
        })
    }
}
