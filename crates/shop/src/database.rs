//! The database that the shop uses: its own server's, or the one it was told of.

use std::{
    path::{Path, PathBuf},
    str::FromStr as _,
    sync::LazyLock,
    time::Duration,
};

use forebay_embedded::{Options, Server, StartError};
use forebay_pool::Addresses;
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _, PgConnection, postgres::PgConnectOptions};

use crate::{Config, reason::Reason};

/// How long the server may take to let us in.
pub(crate) const DIAL_LIMIT: Duration = Duration::from_secs(10);
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
    /// No shop was ever started in the data folder.
    #[error("there is no shop in {} yet: start it first (`shop up`), or name its folder (FOREBAY_DATA) or database (DATABASE_URL)", .0.display())]
    Nothing(PathBuf),
    /// `shop serve` was not told of one.
    #[error("DATABASE_URL is not set, and a service that runs alone starts no database of its own")]
    NoUrl,
    /// The embedded server gave an address that the driver does not read.
    #[error("the embedded server cannot be addressed: {0}")]
    Url(sqlx::Error),
    /// The server does not answer, or does not let us in.
    #[error("cannot connect to the database at {at}: {reason}")]
    Connect {
        /// Host and port, without the password.
        at: String,
        /// Why, and what to do.
        reason: Reason,
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
            Some(address) => Self { options: address.options(), server: None },
            None => {
                Self::embedded(Options { port: config.pg_port, ..Options::new(folder.join("pg")) }, &progress).await?
            }
        };
        let connection = database.connect(&database.options, &progress).await?;
        // It answered; how it takes our goodbye does not matter.
        _ = connection.close().await;
        Ok(database)
    }

    /// The same, or the embedded server that another process runs in `folder`, which then stays as it is.
    ///
    /// # Errors
    ///
    /// See [`DatabaseError`]; [`DatabaseError::Nothing`] where there is no data in `folder`.
    pub async fn open_or_join(
        config: &Config,
        folder: &Path,
        progress: impl Fn(&str) + Send + Sync,
    ) -> Result<Self, DatabaseError> {
        let data = folder.join("pg");
        if config.database_url.is_some() {
            return Self::open(config, folder, progress).await;
        }
        if !data.join("PG_VERSION").exists() {
            return Err(DatabaseError::Nothing(folder.to_owned()));
        }
        match forebay_embedded::url_of_running(&data, NAME)? {
            Some(url) => Ok(Self { options: options_of(&url)?, server: None }),
            None => Self::open(config, folder, progress).await,
        }
    }

    /// How to reach the database of the settings, where its server runs by itself or for a shop; starts none.
    ///
    /// # Errors
    ///
    /// [`DatabaseError::Nothing`] where no server runs for `folder`; otherwise see [`DatabaseError`].
    pub(crate) fn that_runs(config: &Config, folder: &Path) -> Result<PgConnectOptions, DatabaseError> {
        if let Some(address) = &config.database_url {
            return Ok(address.options());
        }
        let data = folder.join("pg");
        let running =
            if data.join("PG_VERSION").exists() { forebay_embedded::url_of_running(&data, NAME)? } else { None };
        options_of(&running.ok_or_else(|| DatabaseError::Nothing(folder.to_owned()))?)
    }

    async fn embedded(options: Options, progress: &(impl Fn(&str) + Sync)) -> Result<Self, DatabaseError> {
        let server = Server::start(options, |step| progress(step)).await?;
        let (maintenance, options) = (options_of(&server.url("postgres"))?, options_of(&server.url(NAME))?);
        let database = Self { options, server: Some(server) };
        let mut connection = database.connect(&maintenance, progress).await?;
        let failed = |error| {
            let reason = Reason::of(&error, &maintenance);
            DatabaseError::Connect { at: "the embedded server".to_owned(), reason }
        };
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
        dialed.map_err(|error| DatabaseError::Connect { at, reason: Reason::of(&error, options) })
    }
}

/// Of the embedded server.
fn options_of(url: &str) -> Result<PgConnectOptions, DatabaseError> {
    PgConnectOptions::from_str(url).map(PgConnectOptions::disable_statement_logging).map_err(DatabaseError::Url)
}

/// Connects, in ten seconds at most.
///
/// # Errors
///
/// The server's or the network's.
pub(crate) async fn dial(options: &PgConnectOptions) -> sqlx::Result<PgConnection> {
    ADDRESSES.connect(options, DIAL_LIMIT).await
}

/// Host and port, or the socket's folder.
pub(crate) fn address(options: &PgConnectOptions) -> String {
    match options.get_socket() {
        Some(socket) => socket.display().to_string(),
        None if options.get_host().contains(':') => format!("[{}]:{}", options.get_host(), options.get_port()),
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
