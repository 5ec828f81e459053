//! `shop up`: from nothing to a shop that answers, and back.

use std::{
    io::{self, Write as _},
    net::SocketAddr,
    path::{Path, PathBuf},
};

use forebay_checkout::Payments;
use forebay_embedded::StartError;
use forebay_platform::{
    admit::Admit,
    config::ConfigFaults,
    db::{Db, PoolMetrics},
    serve::Drained,
    telemetry::Metrics,
};
use forebay_pool::{Pool, Staffing};
use tokio::{
    net::TcpListener,
    signal::unix::{Signal, SignalKind, signal},
};

use crate::{
    App, Config, budget,
    database::{Database, DatabaseError, MigrationFailed, migrate},
    place, seed,
    signing_key::{self, KeyError},
};

/// Why the shop does not run, with what to do about it.
#[derive(Debug, thiserror::Error)]
pub enum UpError {
    /// The settings.
    #[error("{0}")]
    Config(#[from] ConfigFaults),
    /// A port that is taken, or an address that is not ours.
    #[error("{}", busy(*.address, .variable, .source))]
    Listen {
        /// Where.
        address: SocketAddr,
        /// The setting that names it.
        variable: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// The data folder.
    #[error("cannot use the data folder {}: {source}. Name another with FOREBAY_DATA", path.display())]
    Folder {
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The database.
    #[error("{}", no_database(.0))]
    Database(#[from] DatabaseError),
    /// A migration.
    #[error("{0}")]
    Migration(#[from] MigrationFailed),
    /// The seed.
    #[error(
        "filling the shop failed: {0}. Start again: what is half filled is filled anew. FOREBAY_SEED=none leaves it empty"
    )]
    Seed(#[from] seed::SeedError),
    /// The signing key.
    #[error("{0}")]
    Key(#[from] KeyError),
    /// The connections that would be opened.
    #[error("{0}")]
    Budget(#[from] budget::CheckError),
    /// The pool's own rules.
    #[error("{0}")]
    Pool(#[from] forebay_pool::InvalidConfig),
    /// The public listener.
    #[error("serving ended: {0}")]
    Serve(io::Error),
    /// A signal, while `shop migrate` or `shop seed` was at work.
    #[error("stopped before it was done. Start again: what is done stays, what is half done is undone")]
    Interrupted,
    /// The embedded server ended while the shop ran.
    #[error("Postgres ended while the shop ran ({status}); its log is {}. Start again: it recovers by itself", log.display())]
    PostgresEnded {
        /// How.
        status: String,
        /// Its log.
        log: PathBuf,
    },
}

fn busy(address: SocketAddr, variable: &str, source: &io::Error) -> String {
    match source.kind() {
        io::ErrorKind::AddrInUse => {
            let other = SocketAddr::new(address.ip(), address.port().saturating_add(1));
            format!(
                "{address} is in use, perhaps by another shop: stop that one, or choose another address, such as {variable}={other}"
            )
        }
        io::ErrorKind::PermissionDenied => {
            format!(
                "no permission to listen on {address}: choose a port above 1023, such as {variable}={}:8080",
                address.ip()
            )
        }
        _ => format!("cannot listen on {address} ({source}): choose another address with {variable}"),
    }
}

fn no_database(error: &DatabaseError) -> String {
    match error {
        DatabaseError::Start(StartError::NoPrograms { .. }) => format!(
            "{error}.\nThere are three ways out:\n\
             \x20 1. install that package (`bin/up` does it where it may), and start again;\n\
             \x20 2. `docker run -d -p 5432:5432 -e POSTGRES_PASSWORD=shop postgres:17`, then the third way with \
             postgres://postgres:shop@localhost:5432/postgres;\n\
             \x20 3. set DATABASE_URL=postgres://user:password@host:5432/database to use a server that runs elsewhere"
        ),
        DatabaseError::Connect { .. } => {
            format!("{error}. Is it running, and is DATABASE_URL right? Without DATABASE_URL the shop starts its own")
        }
        _ => error.to_string(),
    }
}

/// Says one line to the person who started the shop. Logs go elsewhere: to standard error.
pub fn say(line: &str) {
    // Whoever piped us into `head` has read enough; that is no reason to stop.
    _ = writeln!(io::stdout(), "{line}");
}

/// A shop that is about to serve.
#[derive(Debug)]
struct Prepared {
    app: App,
    database: Database,
}

/// Opens the database, migrates, seeds, serves until the first signal, drains, and stops what it started.
///
/// # Errors
///
/// See [`UpError`].
pub async fn up(config: Config, mut signals: Signals) -> Result<(), UpError> {
    let http = listen(config.http, "FOREBAY_HTTP").await?;
    let admin = listen(config.admin, "FOREBAY_ADMIN").await?;
    let prepared = tokio::select! {
        prepared = prepare(&config) => prepared?,
        () = signals.next() => {
            say("stopped before it was up");
            return Ok(());
        }
    };
    let Prepared { app, database } = prepared;
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let shutdown = async move { _ = stopped.await };
    announce(&http, &admin);
    let mut serving = std::pin::pin!(app.serve(http, admin, shutdown));
    let mut fault = None;
    let drained = tokio::select! {
        ended = &mut serving => ended,
        cause = end_of(&database, &mut signals) => {
            say(&format!("draining for at most {} s; once more Ctrl-C stops at once", config.drain.as_secs_f32()));
            fault = cause;
            // The listener may have ended by itself meanwhile.
            _ = stop.send(());
            tokio::select! {
                ended = serving => ended,
                () = signals.next() => Ok(Drained::CutOff),
            }
        }
    }
    .map_err(UpError::Serve)?;
    close(database, &mut signals).await;
    say(if drained == Drained::Complete { "stopped" } else { "stopped; some requests were cut off" });
    fault.map_or(Ok(()), Err)
}

/// A signal, or the end of the embedded server, which is a fault.
async fn end_of(database: &Database, signals: &mut Signals) -> Option<UpError> {
    let Some(server) = &database.server else {
        signals.next().await;
        return None;
    };
    tokio::select! {
        () = signals.next() => None,
        status = server.ended() => {
            let status = status.map_or_else(|| "unknown".to_owned(), |status| status.to_string());
            Some(UpError::PostgresEnded { status, log: server.log_file() })
        }
    }
}

/// Stops the embedded server; a further signal leaves it to its guardian.
async fn close(database: Database, signals: &mut Signals) {
    let Some(server) = database.server else { return };
    tokio::select! {
        stopped = server.shutdown() => if let Err(error) = stopped { tracing::error!(%error, "Postgres did not stop") },
        () = signals.next() => {}
    }
}

async fn prepare(config: &Config) -> Result<Prepared, UpError> {
    let (database, folder) = open(config).await?;
    schema(config, &database).await?;
    let Config { pool, time_limits, payment, reservation_ttl, drain, .. } = config;
    budget::check(&database.options, pool.rules.ceiling).await?;
    let signing_key = match &config.signing_key_file {
        Some(path) => signing_key::read(path)?,
        None => signing_key::read_or_make(&folder.join("signing-key.pem"))?,
    };
    // Before the pool, so that it is measured from its first connection on.
    Metrics::of_process();
    let db = Db::forebay(Pool::connect_with(
        database.options.clone(),
        pool.clone(),
        Box::new(Staffing::default()),
        Box::new(PoolMetrics),
    )?);
    let app = App {
        admit: Admit::new(&db, *time_limits),
        db,
        signing_key,
        payments: Payments::simulated(database.options.clone(), payment.latency, payment.decline_percent),
        reservation_ttl: *reservation_ttl,
        probe: database.options.clone(),
        drain: *drain,
        admin_extra: axum::Router::new(),
    };
    Ok(Prepared { app, database })
}

/// The database, and the folder for what is kept beside it.
async fn open(config: &Config) -> Result<(Database, PathBuf), UpError> {
    let asked = config.data_dir.as_deref();
    let path = asked.unwrap_or(Path::new(".forebay")).to_owned();
    let place =
        place::choose(asked, config.database_url.is_none()).map_err(|source| UpError::Folder { path, source })?;
    if let Some(note) = &place.note {
        say(note);
    }
    let database = Database::open(config, &place.folder, say).await?;
    Ok((database, place.folder))
}

async fn schema(config: &Config, database: &Database) -> Result<(), UpError> {
    say("bringing the schema up to date");
    migrate(&database.options).await?;
    if let Some(scale) = config.seed {
        seed(&database.options, scale, say).await?;
    }
    Ok(())
}

/// `shop migrate`: brings the schemas up to date.
///
/// # Errors
///
/// See [`UpError`].
pub async fn migrate_only(config: Config, mut signals: Signals) -> Result<(), UpError> {
    let migrated = on_database(&config, &mut signals, async |database| Ok(migrate(&database.options).await?)).await?;
    say(&format!("the schema is up to date: {} migrations", migrated.known));
    Ok(())
}

/// `shop seed`: brings the schemas up to date and fills them.
///
/// # Errors
///
/// See [`UpError`].
pub async fn seed_only(config: Config, mut signals: Signals) -> Result<(), UpError> {
    on_database(&config, &mut signals, async |database| schema(&config, database).await).await?;
    say(match config.seed {
        Some(_) => "the shop is filled",
        None => "the schema is up to date; FOREBAY_SEED=none fills nothing",
    });
    Ok(())
}

/// Opens the database, does `work` on it unless a signal comes first, and stops what it started.
async fn on_database<T>(
    config: &Config,
    signals: &mut Signals,
    work: impl AsyncFnOnce(&Database) -> Result<T, UpError>,
) -> Result<T, UpError> {
    let (database, _) = tokio::select! {
        opened = open(config) => opened?,
        () = signals.next() => return Err(UpError::Interrupted),
    };
    let done = tokio::select! {
        done = work(&database) => done,
        () = signals.next() => Err(UpError::Interrupted),
    };
    close(database, signals).await;
    done
}

async fn listen(address: SocketAddr, variable: &'static str) -> Result<TcpListener, UpError> {
    TcpListener::bind(address).await.map_err(|source| UpError::Listen { address, variable, source })
}

fn announce(http: &TcpListener, admin: &TcpListener) {
    let at = |listener: &TcpListener| listener.local_addr().map_or_else(|_| "?".to_owned(), |at| at.to_string());
    let (http, admin) = (at(http), at(admin));
    say(&format!(
        "\nThe shop is open: http://{http} (metrics, probes, pool: http://{admin})\n\n  \
         curl 'http://{http}/v1/products?limit=3&sort=popular'\n  \
         curl -H 'content-type: application/json' -d '{{\"email\":\"user00001@example.test\",\"password\":\"correct-horse-battery\"}}' http://{http}/v1/auth/login\n  \
         curl http://{admin}/pool\n\nREADME.md goes on from here. Ctrl-C stops it."
    ));
}

/// SIGINT and SIGTERM, from the moment this is made.
#[derive(Debug)]
pub struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    /// Takes the signals over from now on: they no longer end the process by themselves.
    ///
    /// # Errors
    ///
    /// The system's.
    pub fn take() -> io::Result<Self> {
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    /// The next of them.
    pub async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}
