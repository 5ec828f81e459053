use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;
use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgQueryResult, PgRow, PgStatement, PgTypeInfo};
use sqlx::{Either, Execute, Executor, PgConnection, Postgres, SqlStr};

use super::connecting::give_back;
use super::permit::{Permit, Running};

/// A connection of sqlx's pool, out with a permit. Dropping it returns both, as sqlx does: in the background, with a ping.
///
/// It derefs to [`PgConnection`]. Statements run on `&mut checkout` are seen, and hold no suspicion however long they take; of
/// those on `&mut *checkout` only the beginning is.
///
/// ```no_run
/// # async fn example(mut connection: forebay_pool::overlay::Checkout) -> Result<(), Box<dyn std::error::Error>> {
/// // Seen for as long as it runs.
/// sqlx::query("select 1").execute(&mut connection).await?;
/// // What takes a `&mut PgConnection` gets it as before.
/// sqlx::query("select 1").execute(&mut *connection).await?;
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct Checkout {
    out: Option<(PoolConnection<Postgres>, Permit)>,
}

impl Checkout {
    pub(super) const fn new(connection: PoolConnection<Postgres>, permit: Permit) -> Self {
        Self { out: Some((connection, permit)) }
    }

    fn run(&mut self) -> (&mut PgConnection, Running) {
        let (connection, permit) = self.out.as_mut().expect("it is returned only on drop");
        (connection, permit.run())
    }
}

impl Deref for Checkout {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        let (connection, _) = self.out.as_ref().expect("it is returned only on drop");
        connection
    }
}

impl DerefMut for Checkout {
    fn deref_mut(&mut self) -> &mut PgConnection {
        let (connection, permit) = self.out.as_mut().expect("it is returned only on drop");
        permit.touch();
        connection
    }
}

impl Drop for Checkout {
    fn drop(&mut self) {
        let Some((connection, permit)) = self.out.take() else { return };
        let desk = Arc::clone(&permit.desk);
        desk.spawn(give_back(connection, permit));
    }
}

async fn until_answered<T>(answer: impl Future<Output = T> + Send, running: Running) -> T {
    let answer = answer.await;
    drop(running);
    answer
}

/// As on the connection itself, and seen.
impl<'c> Executor<'c> for &'c mut Checkout {
    type Database = Postgres;

    fn fetch_many<'e, 'q, E>(self, query: E) -> BoxStream<'e, Result<Either<PgQueryResult, PgRow>, sqlx::Error>>
    where
        'c: 'e,
        'q: 'e,
        E: 'q + Execute<'q, Postgres>,
    {
        let (connection, running) = self.run();
        let seen = move |step| {
            let _running = &running;
            step
        };
        Box::pin(connection.fetch_many(query).map(seen))
    }

    fn fetch_optional<'e, 'q, E>(self, query: E) -> BoxFuture<'e, Result<Option<PgRow>, sqlx::Error>>
    where
        'c: 'e,
        'q: 'e,
        E: 'q + Execute<'q, Postgres>,
    {
        let (connection, running) = self.run();
        let answer = connection.fetch_optional(query);
        Box::pin(until_answered(answer, running))
    }

    fn prepare_with<'e>(
        self,
        sql: SqlStr,
        parameters: &'e [PgTypeInfo],
    ) -> BoxFuture<'e, Result<PgStatement, sqlx::Error>>
    where
        'c: 'e,
    {
        let (connection, running) = self.run();
        let answer = connection.prepare_with(sql, parameters);
        Box::pin(until_answered(answer, running))
    }

    fn describe<'e>(self, sql: SqlStr) -> BoxFuture<'e, Result<sqlx::Describe<Postgres>, sqlx::Error>>
    where
        'c: 'e,
    {
        let (connection, running) = self.run();
        let answer = connection.describe(sql);
        Box::pin(until_answered(answer, running))
    }
}
