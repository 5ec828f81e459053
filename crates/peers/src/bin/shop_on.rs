//! `shop-on` is the shop on either pool, ours or sqlx's own, with the same handlers: what `bin/bench requests` compares with itself.
//! It reads the shop's settings, `BENCH_POOL`, and `BENCH_METRICS`, which is `off` where nothing shall be observed; says where it is open as the shop does, and ends as it does.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::str::FromStr as _;
use std::sync::Arc;

use forebay_auth::SigningKey;
use forebay_checkout::Payments;
use forebay_checkout::payments::Simulator;
use forebay_embedded::{Options, Server};
use forebay_platform::admin::ProbeSession;
use forebay_platform::admit::Admit;
use forebay_platform::config::Env;
use forebay_platform::db::{Db, PoolMetrics};
use forebay_platform::quota::Quotas;
use forebay_platform::telemetry::Metrics;
use forebay_pool::Pool;
use forebay_shop::{App, Config, Purpose, Scale, Services, Signals};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use tokio::net::TcpListener;

type Failure = Box<dyn std::error::Error>;

/// What hands out connections.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Lender {
    Forebay,
    /// As its documentation starts it: 10 connections.
    Sqlx {
        /// Each connection is asked for an answer before it is lent, which is the default.
        pings: bool,
    },
}

const LENDERS: [(&str, Lender); 3] = [
    ("forebay", Lender::Forebay),
    ("sqlx", Lender::Sqlx { pings: true }),
    ("sqlx, no ping", Lender::Sqlx { pings: false }),
];

#[tokio::main]
async fn main() -> ExitCode {
    match Box::pin(serve()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            _ = writeln!(std::io::stderr(), "{error}");
            ExitCode::FAILURE
        }
    }
}

async fn serve() -> Result<(), Failure> {
    let env = Env::of_process();
    let config = Config::read(&env, Purpose::Up)?;
    let mut reader = env.reader();
    let lender = reader.word_or("BENCH_POOL", &LENDERS, Lender::Forebay);
    let observed = reader.word_or("BENCH_METRICS", &[("on", true), ("off", false)], true);
    reader.finish()?;
    forebay_platform::telemetry::install_logs(&config.log);
    if !observed {
        metrics::set_global_recorder(metrics::NoopRecorder)?;
    }
    let mut signals = Signals::take()?;
    let (http, admin) = (TcpListener::bind(config.http).await?, TcpListener::bind(config.admin).await?);
    let folder = config.data_dir.clone().unwrap_or_else(|| PathBuf::from(".forebay"));
    std::fs::create_dir_all(&folder)?;
    let server = Server::start(Options::new(folder.join("pg")), |_| {}).await?;
    let database = PgConnectOptions::from_str(&server.url("postgres"))?;
    forebay_shop::migrate(&database).await?;
    forebay_shop::seed(&database, config.seed.unwrap_or(Scale::Full), |_| {}).await?;
    let app = app(&config, lender, &database)?;
    let mut out = std::io::stdout();
    writeln!(out, "The shop is open: http://{}", http.local_addr()?)?;
    out.flush()?;
    _ = app.serve(http, admin, async move { signals.next().await }).await;
    server.shutdown().await?;
    Ok(())
}

/// As `shop up` makes it, but for the pool, and for the claim that only ours makes.
fn app(config: &Config, lender: Lender, database: &PgConnectOptions) -> Result<App, Failure> {
    Metrics::of_process();
    let db = match lender {
        Lender::Forebay => {
            let pool = Pool::builder(database.clone(), config.pool.clone());
            Db::forebay(pool.observer(PoolMetrics::new()).connect()?)
        }
        Lender::Sqlx { pings } => {
            let pool = PgPoolOptions::new().test_before_acquire(pings);
            Db::stock(pool.connect_lazy_with(database.clone()))
        }
    };
    let admit = Admit::new(&db, config.time_limits).quotas(Quotas::new(config.quotas.named()));
    let ledger = database.clone().application_name("forebay-payments");
    let payments = Payments::new(Arc::new(Simulator::new(ledger, config.payment.knobs)));
    let key = SigningKey::from_seed([7; 32]);
    Ok(App {
        services: Services::all(&db, &admit, key, payments, config.reservation_ttl)
            .keeping_pages()
            .telling(config.events.clone())
            .behind(config.edge.clone()),
        db,
        probe: ProbeSession::new(database.clone().application_name("forebay-probe")),
        claim: None,
        http_limits: config.http_limits,
        admin_limits: config.admin_limits,
        drain_delay: config.drain_delay,
        drain: config.drain,
        admin_guard: config.admin_guard.clone(),
        admin_extra: axum::Router::new(),
    })
}
