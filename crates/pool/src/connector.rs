use std::fmt;
use std::future::ready;

use futures_util::future::BoxFuture;
use sqlx::PgConnection;
use sqlx::postgres::PgConnectOptions;

/// What happens around the opening of each connection. Both steps count against `open_timeout`, and what they answer with
/// an error is an opening that failed: it is tried again later, as after any other failure.
///
/// ```
/// use forebay_pool::Connector;
/// use futures_util::future::BoxFuture;
/// use sqlx::postgres::PgConnectOptions;
/// use sqlx::{Executor, PgConnection};
///
/// /// Passwords that are good for minutes, and a search path.
/// #[derive(Debug)]
/// struct Rotating;
///
/// impl Connector for Rotating {
///     fn options(&self, configured: PgConnectOptions) -> BoxFuture<'_, Result<PgConnectOptions, sqlx::Error>> {
///         Box::pin(async move {
///             let password = std::fs::read_to_string("/run/secrets/db").map_err(sqlx::Error::Io)?;
///             Ok(configured.password(password.trim()))
///         })
///     }
///
///     fn prepare<'c>(&'c self, connection: &'c mut PgConnection) -> BoxFuture<'c, Result<(), sqlx::Error>> {
///         Box::pin(async move { connection.execute("set search_path to shop, public").await.map(drop) })
///     }
/// }
/// ```
pub trait Connector: fmt::Debug + Send + Sync {
    /// The options for the next connection, asked before each dial, the control connection's too: so credentials may
    /// change while the pool lives. `configured` are those the pool was made with, its name and settings included.
    ///
    /// It is also asked once a second while the pool pauses after a dial that failed, for a second at most: other options
    /// than those are tried at once. So the same credentials should be the same text each time.
    ///
    /// # Errors
    /// Why there are none; no dial is made.
    fn options(&self, configured: PgConnectOptions) -> BoxFuture<'_, Result<PgConnectOptions, sqlx::Error>> {
        Box::pin(ready(Ok(configured)))
    }

    /// Prepares a session before anybody has it: once when it is opened, and again whenever it was reset because its last
    /// holder had left something behind (a reset takes away what was prepared too). A setting that never changes costs less in
    /// [`crate::Config::session`].
    ///
    /// A transaction must not be left open: the pool asks the server, in one round trip for each time, and closes the
    /// connection.
    ///
    /// Behind a bouncer that pools transactions ([`crate::Bouncer::Transaction`]) it is not asked: there is no session to
    /// prepare.
    ///
    /// # Errors
    /// What the server answers; the connection is closed.
    fn prepare<'c>(&'c self, connection: &'c mut PgConnection) -> BoxFuture<'c, Result<(), sqlx::Error>> {
        let _ = connection;
        Box::pin(ready(Ok(())))
    }

    /// Whether [`prepare`](Self::prepare) does anything. Whoever says no saves the question that follows it.
    fn prepares(&self) -> bool {
        true
    }
}

/// Connects with the options as they are.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct AsConfigured;

impl Connector for AsConfigured {
    fn prepares(&self) -> bool {
        false
    }
}
