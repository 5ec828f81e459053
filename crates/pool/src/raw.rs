use std::ops::{Deref, DerefMut};

use sqlx::PgConnection;

use crate::LeaseConn;
use crate::loan::Statement;

impl LeaseConn {
    /// The connection as sqlx knows it, for what no [`Executor`](sqlx::Executor) can do: COPY, migrations, a listener
    /// that lives no longer than the lease.
    ///
    /// ```no_run
    /// # async fn example(mut lease: forebay_pool::Lease) -> Result<(), sqlx::Error> {
    /// let mut connection = lease.raw().await?;
    /// let mut copy = connection.copy_in_raw("copy products from stdin (format csv)").await?;
    /// copy.send(b"1,a jug\n2,a bowl\n".as_slice()).await?;
    /// copy.finish().await?;
    /// # Ok(()) }
    /// ```
    ///
    /// The pool does not see what is done with it: not that it is held idle, not how long a statement takes, not what it
    /// leaves behind. So it is never taken back; what runs next on the lease, also a commit, asks first whether the
    /// connection is in step and its transaction still stands, which takes a round trip; and it is reset (`ROLLBACK`
    /// where needed, `DISCARD ALL`) when the lease ends, in the background. A COPY that was dropped half-way costs the
    /// connection.
    ///
    /// Dropping the future leaves nothing behind.
    ///
    /// # Errors
    /// As for a statement; [`crate::PoolError::NeedsSession`] behind a bouncer that pools transactions.
    pub async fn raw(&mut self) -> Result<Raw<'_>, sqlx::Error> {
        self.shared.needs_session("a raw connection")?;
        self.catch_up().await?;
        Ok(Raw { statement: self.loan.take_raw()? })
    }
}

/// A lease's connection as sqlx knows it. Dropping it gives the connection back to its lease.
///
/// ```no_run
/// # async fn example(mut lease: forebay_pool::Lease) -> Result<(), Box<dyn std::error::Error>> {
/// let mut connection = lease.raw().await?;
/// sqlx::migrate::Migrator::new(std::path::Path::new("migrations")).await?.run(&mut *connection).await?;
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct Raw<'l> {
    statement: Statement<'l>,
}

impl Deref for Raw<'_> {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        self.statement.connection_ref()
    }
}

impl DerefMut for Raw<'_> {
    fn deref_mut(&mut self) -> &mut PgConnection {
        self.statement.connection()
    }
}
