//! The session that a process keeps for itself, past its pool.

use std::{sync::Arc, time::Duration};

use forebay_pool::Addresses;
use sqlx::{Connection as _, PgConnection, postgres::PgConnectOptions};
use tokio::sync::{Mutex, MutexGuard};

/// How long it may take to connect.
const DIAL_LIMIT: Duration = Duration::from_secs(3);

/// The readiness probe's own session, never one of the pool's. Whoever is not there when it is lost is not looked for: the
/// next use connects anew, under the same `application_name`. A clone is the same session.
#[derive(Clone, Debug)]
pub struct ProbeSession {
    inner: Arc<Mutex<Inner>>,
}

#[derive(Debug)]
struct Inner {
    options: PgConnectOptions,
    addresses: Addresses,
    connection: Option<PgConnection>,
}

/// The session, while nobody else uses it.
#[derive(Debug)]
pub struct Held<'a>(MutexGuard<'a, Inner>);

impl ProbeSession {
    /// Connects by `options` when it is first used.
    #[must_use]
    pub fn new(options: PgConnectOptions) -> Self {
        Self::keeping(None, options)
    }

    /// Goes on with `connection`; `options` are for when it is lost.
    #[must_use]
    pub fn of(connection: PgConnection, options: PgConnectOptions) -> Self {
        Self::keeping(Some(connection), options)
    }

    fn keeping(connection: Option<PgConnection>, options: PgConnectOptions) -> Self {
        let inner = Inner { options, addresses: Addresses::default(), connection };
        Self { inner: Arc::new(Mutex::new(inner)) }
    }

    /// Waits until nobody else uses it.
    pub async fn hold(&self) -> Held<'_> {
        Held(self.inner.lock().await)
    }

    /// A round trip, on the connection of the last one or on a new one. Dropped half-way it closes the connection.
    ///
    /// # Errors
    ///
    /// The server's, or that there is none.
    pub async fn look(&self) -> sqlx::Result<()> {
        let mut held = self.hold().await;
        let mut connection = held.take().await?;
        connection.ping().await?;
        held.keep(connection);
        Ok(())
    }
}

impl Held<'_> {
    /// Takes its connection out, or connects; whoever does not [`keep`](Self::keep) it closes it.
    ///
    /// # Errors
    ///
    /// Why there is none to be had.
    pub async fn take(&mut self) -> sqlx::Result<PgConnection> {
        match self.0.connection.take() {
            Some(connection) => Ok(connection),
            None => self.0.addresses.connect(&self.0.options, DIAL_LIMIT).await,
        }
    }

    /// Puts back what was taken out, in good order.
    pub fn keep(&mut self, connection: PgConnection) {
        self.0.connection = Some(connection);
    }

    /// From now on a new connection has this `application_name`.
    pub fn rename(&mut self, application_name: &str) {
        self.0.options = self.0.options.clone().application_name(application_name);
    }
}
