//! Stands in for sqlx where the pool is built for a test that chooses the order of things: sqlx's own types, but for the
//! connection and what is done with it alone. At its other end is a [`server`] that knows who may use it.

pub use real::*;

use std::future::Future;

use real::postgres::{PgConnectOptions, PgQueryResult};

mod connection;
pub mod server;

pub use connection::PgConnection;

/// What the pool asks of a connection besides statements.
pub trait Connection: Sized {
    /// Ends it as the protocol wants it.
    fn close(self) -> impl Future<Output = Result<(), Error>> + Send;
    /// Asks whether it answers.
    fn ping(&mut self) -> impl Future<Output = Result<(), Error>> + Send;
    /// Reads what is unread; a late error is handed out once.
    fn flush(&mut self) -> impl Future<Output = Result<(), Error>> + Send;
    /// There are none.
    fn cached_statements_size(&self) -> usize;
    /// There are none.
    fn clear_cached_statements(&mut self) -> impl Future<Output = Result<(), Error>> + Send;
    /// There are no buffers.
    fn shrink_buffers(&mut self) {}
}

/// How a connection is made.
pub trait ConnectOptions {
    /// Makes one.
    fn connect(&self) -> impl Future<Output = Result<PgConnection, Error>> + Send;
}

impl ConnectOptions for PgConnectOptions {
    fn connect(&self) -> impl Future<Output = Result<PgConnection, Error>> + Send {
        PgConnection::open()
    }
}

/// Statements without arguments.
#[derive(Debug)]
pub struct RawSql(SqlStr);

/// As sqlx's.
pub fn raw_sql(sql: impl SqlSafeStr) -> RawSql {
    RawSql(sql.into_sql_str())
}

impl SqlSafeStr for RawSql {
    fn into_sql_str(self) -> SqlStr {
        self.0
    }
}

impl RawSql {
    /// Runs it.
    ///
    /// # Errors
    /// What the server answers.
    pub async fn execute(self, connection: &mut PgConnection) -> Result<PgQueryResult, Error> {
        connection.run(self.0.as_str()).await?;
        Ok(PgQueryResult::default())
    }

    /// Asks one of the questions to which the pool wants an answer.
    ///
    /// # Errors
    /// What the server answers.
    pub async fn fetch_one(self, connection: &mut PgConnection) -> Result<PgRow, Error> {
        connection.run(self.0.as_str()).await?;
        Ok(PgRow(connection.tell(self.0.as_str())))
    }
}

/// What the pool asks to restore a session has two answers.
impl RawSql {
    /// Asks it.
    ///
    /// # Errors
    /// What the server answers.
    pub async fn fetch_all(self, connection: &mut PgConnection) -> Result<Vec<PgRow>, Error> {
        connection.run(self.0.as_str()).await?;
        Ok(vec![PgRow(vec![0]), PgRow(vec![0, 0, 0])])
    }
}

/// An answer, all of whose columns are numbers.
#[derive(Debug)]
pub struct PgRow(Vec<i64>);

/// Reads one.
pub trait Row {
    /// As sqlx's.
    ///
    /// # Errors
    /// There is no such column.
    fn try_get<T: Cell, I: Index>(&self, index: I) -> Result<T, Error>;

    /// No row of a holder's statement is ever looked at: there are none.
    ///
    /// # Errors
    /// Always.
    fn try_get_raw(&self, _: usize) -> Result<postgres::PgValueRef<'_>, Error> {
        Err(Error::RowNotFound)
    }

    /// There are none.
    fn columns(&self) -> &[postgres::PgColumn] {
        &[]
    }
}

impl Row for postgres::PgRow {
    fn try_get<T: Cell, I: Index>(&self, _: I) -> Result<T, Error> {
        Err(Error::RowNotFound)
    }
}

impl Row for PgRow {
    fn try_get<T: Cell, I: Index>(&self, index: I) -> Result<T, Error> {
        self.0.get(index.index()).map(|cell| T::of(*cell)).ok_or(Error::RowNotFound)
    }
}

/// Where in a row.
pub trait Index {
    /// Counted from zero.
    fn index(self) -> usize;
}

impl Index for usize {
    fn index(self) -> usize {
        self
    }
}

/// What a column can be read as.
pub trait Cell {
    /// From the number that it is.
    fn of(cell: i64) -> Self;
}

impl Cell for i64 {
    fn of(cell: i64) -> Self {
        cell
    }
}

impl Cell for i32 {
    fn of(cell: i64) -> Self {
        Self::try_from(cell).expect("backends are few")
    }
}

impl Cell for bool {
    fn of(cell: i64) -> Self {
        cell != 0
    }
}

impl<T: Cell> Cell for Option<T> {
    fn of(cell: i64) -> Self {
        Some(T::of(cell))
    }
}
