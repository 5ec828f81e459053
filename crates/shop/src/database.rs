//! The database that the shop uses: its own server's, or the one it was told of.

use std::{path::Path, str::FromStr as _, sync::LazyLock, time::Duration};

use forebay_embedded::{Options, Server, StartError};
use forebay_pool::Addresses;
use secrecy::{ExposeSecret as _, SecretString};
use sqlx::{
    AssertSqlSafe, ConnectOptions as _, Connection as _, PgConnection,
    migrate::{MigrateError, Migrator},
    postgres::PgConnectOptions,
};

use crate::Config;

/// How long the server may take to let us in.
const DIAL_LIMIT: Duration = Duration::from_secs(10);
/// After so long somebody wants to know what is waited for.
const QUIET: Duration = Duration::from_secs(1);
/// One server for all that this process does beside its pool.
static ADDRESSES: LazyLock<Addresses> = LazyLock::new(Addresses::default);

/// The database's name on an embedded server.
const NAME: &str = "forebay";

/// A database that answers.
#[derive(Debug)]
pub struct Database {
    /// How to reach it.
    pub options: PgConnectOptions,
    /// Ours to stop, if we started it.
    pub server: Option<Server>,
}

/// Why there is no database.
#[derive(Debug, thiserror::Error)]
pub enum DatabaseError {
    /// The embedded server did not start.
    #[error("{0}")]
    Start(#[from] StartError),
    /// `shop serve` was not told of one.
    #[error("DATABASE_URL is not set, and a service that runs alone starts no database of its own")]
    NoUrl,
    /// `DATABASE_URL` cannot be read. Its text is not shown: it may hold a password.
    #[error(
        "DATABASE_URL is no address of a Postgres server (example: postgres://user:password@localhost:5432/shop): {0}"
    )]
    Url(sqlx::Error),
    /// The server does not answer.
    #[error("cannot connect to the database at {at}: {source}")]
    Connect {
        /// Host and port, without the password.
        at: String,
        /// What happened.
        source: sqlx::Error,
    },
}

impl Database {
    /// Starts the embedded server in `folder`, or connects to what `DATABASE_URL` names.
    ///
    /// # Errors
    ///
    /// See [`DatabaseError`].
    pub async fn open(
        config: &Config,
        folder: &Path,
        progress: impl Fn(&str) + Send + Sync,
    ) -> Result<Self, DatabaseError> {
        let database = match &config.database_url {
            Some(url) => Self { options: options(url)?, server: None },
            None => {
                Self::embedded(Options { port: config.pg_port, ..Options::new(folder.join("pg")) }, &progress).await?
            }
        };
        let connection = database.connect(&database.options, &progress).await?;
        // It answered; how it takes our goodbye does not matter.
        _ = connection.close().await;
        Ok(database)
    }

    async fn embedded(options: Options, progress: &(impl Fn(&str) + Sync)) -> Result<Self, DatabaseError> {
        let server = Server::start(options, |step| progress(step)).await?;
        let options = |database: &str| {
            let url = server.url(database);
            PgConnectOptions::from_str(&url)
                .map(PgConnectOptions::disable_statement_logging)
                .map_err(DatabaseError::Url)
        };
        let (maintenance, options) = (options("postgres")?, options(NAME)?);
        let database = Self { options, server: Some(server) };
        let mut connection = database.connect(&maintenance, progress).await?;
        let failed = |source| DatabaseError::Connect { at: "the embedded server".to_owned(), source };
        create_if_missing(&mut connection).await.map_err(failed)?;
        Ok(database)
    }

    /// Connects to it by `options`; `progress` hears of it when that takes long.
    pub(crate) async fn connect(
        &self,
        options: &PgConnectOptions,
        progress: impl Fn(&str),
    ) -> Result<PgConnection, DatabaseError> {
        let at = address(options);
        let mut dialing = std::pin::pin!(dial(options));
        let dialed = match tokio::time::timeout(QUIET, &mut dialing).await {
            Ok(dialed) => dialed,
            Err(_elapsed) => {
                let left = DIAL_LIMIT.saturating_sub(QUIET).as_secs();
                progress(&format!("waiting for the database at {at} to answer, {left} s more"));
                dialing.await
            }
        };
        dialed.map_err(|source| DatabaseError::Connect { at, source })
    }
}

/// Connects, in ten seconds at most.
///
/// # Errors
///
/// The server's or the network's.
pub(crate) async fn dial(options: &PgConnectOptions) -> sqlx::Result<PgConnection> {
    ADDRESSES.connect(options, DIAL_LIMIT).await
}

/// How to reach the server that `DATABASE_URL` names. What it does not say comes from `PGPASSWORD` and the other
/// variables of libpq.
///
/// # Errors
///
/// It is no such address.
pub(crate) fn options(url: &SecretString) -> Result<PgConnectOptions, DatabaseError> {
    let options = PgConnectOptions::from_str(url.expose_secret()).map_err(DatabaseError::Url)?;
    Ok(options.disable_statement_logging())
}

/// Host and port, or the socket's folder.
pub(crate) fn address(options: &PgConnectOptions) -> String {
    match options.get_socket() {
        Some(socket) => socket.display().to_string(),
        None => format!("{}:{}", options.get_host(), options.get_port()),
    }
}

async fn create_if_missing(connection: &mut PgConnection) -> sqlx::Result<()> {
    let exists: bool = sqlx::query_scalar("SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)")
        .bind(NAME)
        .fetch_one(&mut *connection)
        .await?;
    if !exists {
        sqlx::raw_sql(AssertSqlSafe(format!("CREATE DATABASE {NAME}"))).execute(connection).await?;
    }
    Ok(())
}

/// How many migrations the schema has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Migrated {
    /// Over all services.
    pub known: usize,
}

/// A migration that did not go through.
#[derive(Debug, thiserror::Error)]
#[error(
    "the migrations of `{service}` failed: {source}. What was applied before stays; mend the cause and start again, nothing is applied twice"
)]
pub struct MigrationFailed {
    /// Whose.
    pub service: &'static str,
    /// What happened.
    pub source: MigrateError,
}

/// In the order in which they are applied.
fn migrators() -> [(&'static str, &'static Migrator); 3] {
    [
        ("catalog", &forebay_catalog::MIGRATOR),
        ("auth", &forebay_auth::MIGRATOR),
        ("checkout", &forebay_checkout::MIGRATOR),
    ]
}

/// The versions that this program knows of one service.
fn versions(migrator: &Migrator) -> impl Iterator<Item = i64> {
    let known = migrator.iter().filter(|migration| migration.migration_type.is_up_migration());
    known.map(|migration| migration.version)
}

/// Brings the three schemas up to date. Two processes at once take turns.
///
/// # Errors
///
/// Names the service whose migrations failed.
pub async fn migrate(options: &PgConnectOptions) -> Result<Migrated, MigrationFailed> {
    let mut known = 0;
    for (service, migrator) in migrators() {
        let failed = |source| MigrationFailed { service, source };
        let mut connection = dial(options).await.map_err(|error| failed(error.into()))?;
        migrator.run(&mut connection).await.map_err(failed)?;
        known += versions(migrator).count();
        // Nothing is lost with a connection that ends badly after its work.
        _ = connection.close().await;
    }
    Ok(Migrated { known })
}

/// How many of the migrations that this program knows the database lacks, and how many it knows. Those of a newer program
/// do not count.
///
/// # Errors
///
/// The server's.
pub(crate) async fn missing(connection: &mut PgConnection) -> sqlx::Result<(usize, usize)> {
    let known: Vec<i64> = migrators().into_iter().flat_map(|(_, migrator)| versions(migrator)).collect();
    let begun: bool =
        sqlx::query_scalar("SELECT to_regclass('_sqlx_migrations') IS NOT NULL").fetch_one(&mut *connection).await?;
    if !begun {
        return Ok((known.len(), known.len()));
    }
    let applied: Vec<i64> =
        sqlx::query_scalar("SELECT version FROM _sqlx_migrations WHERE success").fetch_all(connection).await?;
    Ok((known.iter().filter(|version| !applied.contains(version)).count(), known.len()))
}
