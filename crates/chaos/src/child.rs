//! The child process: the shop's library on one arm's pool, with the faults around it.

use std::io;
use std::net::Ipv4Addr;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router};
use forebay_auth::SigningKey;
use forebay_checkout::Payments;
use forebay_platform::admin::{Guard, Names, ProbeSession};
use forebay_platform::admit::{Admit, TimeLimits};
use forebay_platform::db::{Db, PoolMetrics};
use forebay_platform::serve::{Drained, Limits};
use forebay_pool::Pool;
use forebay_shop::{App, Services};
use serde::Deserialize;
use sqlx::PgPool;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, Stdin};
use tokio::net::TcpListener;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::arm::{Arm, ChildConfig, POOL_SESSIONS, Ports};
use crate::calibration::{LATE_RETURN_S, LEGACY_POOL};
use crate::fault::{Faults, HoldersOrder};
use crate::log_count::LogCount;

/// The legacy acquire time-out. sqlx's own is 30 s, by which time clients have left and no time-out is ever logged.
pub(crate) const LEGACY_ACQUIRE_TIMEOUT: Duration = Duration::from_secs(5);
pub(crate) const RESERVATION_TTL: Duration = Duration::from_secs(15 * 60);
pub(crate) const PAYMENT_LATENCY: Duration = Duration::from_millis(80);
pub(crate) const DRAIN: Duration = Duration::from_secs(8);
/// Of clients: the crowd's. It is the pool that is judged, so no connection of theirs is ended for being idle or one too many.
pub(crate) const CONNECTIONS: usize = 65_536;
pub(crate) const IDLE: Duration = Duration::from_secs(3600);

/// Why the child ended.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// Standard input or output, or a listener.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// What it was told makes no sense.
    #[error("the configuration on standard input: {0}")]
    Config(#[from] serde_json::Error),
    /// The database's address.
    #[error("the database's address: {0}")]
    Database(#[from] sqlx::Error),
    /// The pool's rules.
    #[error(transparent)]
    Pool(#[from] forebay_pool::InvalidConfig),
}

/// What the admin routes work on.
#[derive(Debug)]
struct Board {
    db: Db,
    database: PgConnectOptions,
    faults: Faults,
    log: LogCount,
    checkout: forebay_checkout::State,
    actions: AtomicU32,
}

/// Reads its configuration from standard input, says its ports, serves until standard input closes.
///
/// # Errors
/// See [`RunError`].
pub async fn run() -> Result<(), RunError> {
    let mut stdin = BufReader::new(tokio::io::stdin());
    let mut line = String::new();
    stdin.read_line(&mut line).await?;
    let config: ChildConfig = serde_json::from_str(&line)?;
    let log = LogCount::default();
    let lines = tracing_subscriber::fmt::layer().with_ansi(false).with_writer(io::stderr);
    tracing_subscriber::registry().with(log.clone()).with(lines.with_filter(LevelFilter::WARN)).init();
    let http = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let admin = TcpListener::bind((Ipv4Addr::LOCALHOST, config.admin_port)).await?;
    let ports = Ports { http: http.local_addr()?, admin: admin.local_addr()? };
    let app = app(&config, log)?;
    say(&ports).await?;
    if app.serve(http, admin, closed(stdin)).await == Drained::CutOff {
        tracing::warn!("some requests were cut off");
    }
    Ok(())
}

async fn say(ports: &Ports) -> Result<(), RunError> {
    let mut line = serde_json::to_vec(ports)?;
    line.push(b'\n');
    let mut stdout = tokio::io::stdout();
    stdout.write_all(&line).await?;
    Ok(stdout.flush().await?)
}

/// Completes when the parent closes our standard input, or is gone.
async fn closed(mut stdin: BufReader<Stdin>) {
    let mut rest = [0; 64];
    while stdin.read(&mut rest).await.is_ok_and(|read| read > 0) {}
}

fn app(config: &ChildConfig, log: LogCount) -> Result<App, RunError> {
    let database = PgConnectOptions::from_str(&config.database_url)?;
    let pooled = database.clone().application_name(POOL_SESSIONS);
    let db = db(config.arm, pooled.clone())?;
    db.set_late_return(Some(Duration::from_secs_f64(LATE_RETURN_S)));
    let admit = Admit::new(&db, TimeLimits::default());
    let signing_key = SigningKey::from_seed(config.signing_seed);
    let ledger = database.clone().application_name("shop-ledger");
    let payments = Payments::simulated(ledger, PAYMENT_LATENCY, 0);
    let verifier = signing_key.verifier();
    let checkout = forebay_checkout::State::new(db.clone(), admit.clone(), verifier, payments.clone(), RESERVATION_TTL);
    let services = Services::all(&db, &admit, signing_key, payments, RESERVATION_TTL);
    let limits = Limits { connections: CONNECTIONS, idle: IDLE, ..Limits::default() };
    let faults = Faults::new(db.clone());
    let board = Board { db: db.clone(), database: pooled, faults, log, checkout, actions: AtomicU32::new(0) };
    Ok(App {
        db,
        services,
        probe: ProbeSession::new(database.application_name("shop-probe")),
        claim: None,
        http_limits: limits,
        admin_limits: limits,
        drain_delay: Duration::ZERO,
        drain: DRAIN,
        admin_guard: Guard::new((Ipv4Addr::LOCALHOST, 0).into(), Names::default(), None),
        admin_extra: routes(Arc::new(board)),
    })
}

/// The one difference between the arms.
fn db(arm: Arm, database: PgConnectOptions) -> Result<Db, RunError> {
    match arm {
        Arm::Legacy => Ok(Db::stock(stock(database, LEGACY_POOL))),
        Arm::Stock60 => Ok(Db::stock(stock(database, 60))),
        Arm::Resilient => {
            let config = forebay_pool::Config::named(POOL_SESSIONS);
            Ok(Db::forebay(Pool::builder(database, config).observer(PoolMetrics::new()).connect()?))
        }
    }
}

fn stock(database: PgConnectOptions, size: u32) -> PgPool {
    PgPoolOptions::new().max_connections(size).acquire_timeout(LEGACY_ACQUIRE_TIMEOUT).connect_lazy_with(database)
}

fn routes(board: Arc<Board>) -> Router {
    Router::new()
        .route("/chaos", get(view))
        .route("/chaos/holders", post(start_holders).delete(stop_holders))
        .route("/chaos/replace-pool", post(replace_pool))
        .route("/chaos/sweep", post(sweep))
        .with_state(board)
}

async fn view(State(board): State<Arc<Board>>) -> Json<serde_json::Value> {
    let view = board.faults.view();
    Json(serde_json::json!({
        "active": view.active,
        "holding": view.holding,
        "taken_back": view.taken_back,
        "actions": board.actions.load(Ordering::Relaxed),
        "timeouts": board.log.timeouts(),
    }))
}

async fn start_holders(State(board): State<Arc<Board>>, Json(order): Json<HoldersOrder>) -> StatusCode {
    board.faults.start(order);
    StatusCode::NO_CONTENT
}

async fn stop_holders(State(board): State<Arc<Board>>) -> StatusCode {
    board.faults.stop();
    StatusCode::NO_CONTENT
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Replacement {
    size: u32,
    idle_in_transaction_ms: u64,
}

/// The action of 3:00. The old pool is left to drain: closing it would fail every waiter at once.
async fn replace_pool(State(board): State<Arc<Board>>, Json(order): Json<Replacement>) -> StatusCode {
    let timeout = order.idle_in_transaction_ms.to_string();
    let database = board.database.clone().options([("idle_in_transaction_session_timeout", timeout)]);
    match board.db.replace_stock(stock(database, order.size)) {
        Some(_drains_by_itself) => {
            board.actions.fetch_add(1, Ordering::Relaxed);
            StatusCode::NO_CONTENT
        }
        None => StatusCode::CONFLICT,
    }
}

/// Settles what is pending, as if all reservations had run out: a drain before the data is judged.
async fn sweep(State(board): State<Arc<Board>>) -> StatusCode {
    let after = time::OffsetDateTime::now_utc() + RESERVATION_TTL + Duration::from_secs(1);
    match forebay_checkout::sweep(&board.checkout, after).await {
        Ok(_) => StatusCode::NO_CONTENT,
        Err(error) => {
            tracing::error!(%error, "the sweep failed");
            StatusCode::INTERNAL_SERVER_ERROR
        }
    }
}
