use forebay_pool::LeaseConn;
use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;
use sqlx::postgres::{PgQueryResult, PgRow, PgStatement, PgTypeInfo};
use sqlx::{Either, Execute, Executor, PgConnection, Postgres, SqlStr};

/// What a store function runs its statements on: `&mut *conn`.
#[derive(Debug)]
pub struct Conn<'c>(pub(super) Inner<'c>);

#[derive(Debug)]
pub(super) enum Inner<'c> {
    Forebay(&'c mut LeaseConn),
    Stock(&'c mut PgConnection),
}

impl<'a> Executor<'a> for &'a mut Conn<'_> {
    type Database = Postgres;

    fn fetch_many<'e, 'q, E>(self, query: E) -> BoxStream<'e, Result<Either<PgQueryResult, PgRow>, sqlx::Error>>
    where
        'a: 'e,
        'q: 'e,
        E: 'q + Execute<'q, Postgres>,
    {
        match &mut self.0 {
            Inner::Forebay(conn) => conn.fetch_many(query),
            Inner::Stock(conn) => conn.fetch_many(query),
        }
    }

    fn fetch_optional<'e, 'q, E>(self, query: E) -> BoxFuture<'e, Result<Option<PgRow>, sqlx::Error>>
    where
        'a: 'e,
        'q: 'e,
        E: 'q + Execute<'q, Postgres>,
    {
        match &mut self.0 {
            Inner::Forebay(conn) => conn.fetch_optional(query),
            Inner::Stock(conn) => conn.fetch_optional(query),
        }
    }

    fn prepare_with<'e>(
        self,
        sql: SqlStr,
        parameters: &'e [PgTypeInfo],
    ) -> BoxFuture<'e, Result<PgStatement, sqlx::Error>>
    where
        'a: 'e,
    {
        match &mut self.0 {
            Inner::Forebay(conn) => conn.prepare_with(sql, parameters),
            Inner::Stock(conn) => conn.prepare_with(sql, parameters),
        }
    }

    fn describe<'e>(self, sql: SqlStr) -> BoxFuture<'e, Result<sqlx::Describe<Postgres>, sqlx::Error>>
    where
        'a: 'e,
    {
        match &mut self.0 {
            Inner::Forebay(conn) => conn.describe(sql),
            Inner::Stock(conn) => conn.describe(sql),
        }
    }
}
