//! The session that a process keeps for itself, past its pool.

use std::{sync::Arc, time::Duration};

use forebay_pool::Addresses;
use sqlx::{Connection as _, PgConnection, Row as _, postgres::PgConnectOptions};
use tokio::sync::{Mutex, MutexGuard};

/// How long it may take to connect.
const DIAL_LIMIT: Duration = Duration::from_secs(3);

/// Whether a session that begins now could write. What is set for the role or the database is not in force in one that is
/// open for long, so it is looked up.
const TAKES_WRITES: &str = r"
    select not pg_is_in_recovery() and not coalesce(
        (select split_part(setting, '=', 2)::bool from pg_db_role_setting, unnest(setconfig) as setting
         where setting like 'default\_transaction\_read\_only=%'
         and setrole in (0, (select oid from pg_roles where rolname = session_user))
         and setdatabase in (0, (select oid from pg_database where datname = current_database()))
         order by setrole = 0, setdatabase = 0 limit 1),
        (select setting::bool and source not in ('user', 'database', 'database user') from pg_settings
         where name = 'default_transaction_read_only'))";

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
    /// How many connections were there before the present one.
    generation: u64,
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
        let inner = Inner { options, addresses: Addresses::default(), connection, generation: 0 };
        Self { inner: Arc::new(Mutex::new(inner)) }
    }

    /// Waits until nobody else uses it.
    pub async fn hold(&self) -> Held<'_> {
        Held(self.inner.lock().await)
    }

    /// A round trip, on the connection of the last one or on a new one: says whether a new session could write. Dropped
    /// half-way it closes the connection.
    ///
    /// # Errors
    ///
    /// The server's, or that there is none.
    pub async fn look(&self) -> sqlx::Result<bool> {
        let mut held = self.hold().await;
        let mut connection = held.take().await?;
        let takes_writes = sqlx::raw_sql(TAKES_WRITES).fetch_one(&mut connection).await?.try_get(0)?;
        connection.ping().await?;
        held.keep(connection);
        Ok(takes_writes)
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
            None => {
                self.0.generation += 1;
                let Inner { options, addresses, .. } = &mut *self.0;
                addresses.connect(options, DIAL_LIMIT).await
            }
        }
    }

    /// Which connection it is that was taken: what was set on one before is gone.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.0.generation
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
