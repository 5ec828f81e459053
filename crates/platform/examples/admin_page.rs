//! The admin listener's page with something to see: a pool under load, of which a report leaks connections, and a statement that
//! takes long. On a server of its own, until it is ended.
//!
//!     cargo run --package forebay-platform --example admin_page
//!
//! `GET /leak` on its listener leaks one, `GET /stop` ends load and leaks. A second listener asks for the token that it names.

use std::{
    io::Write as _,
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use axum::{Router, routing::get};
use forebay_embedded::testing::database;
use forebay_platform::{
    admin::{Admin, Guard, Live, Names, Readiness},
    db::{Db, Lease, PoolMetrics},
    serve::{Limits, serve},
    telemetry::Metrics,
};
use forebay_pool::{Admission, Class, Config, Pool, Rules};
use sqlx::Executor as _;
use tokio::{net::TcpListener, sync::watch, task::JoinSet, time::sleep};

const TOKEN: &str = "watch-0123456789";

/// Callers at once: more than a pool of 8 has places for, so that some wait, and now and then one is refused.
const CALLERS: u64 = 12;

/// What somebody forgot to give back.
type Forgotten = Arc<Mutex<Vec<Lease>>>;

#[tokio::main]
async fn main() {
    let database = database().await;
    let rules = Rules { ceiling: 10, initial_limit: 4, min_idle: 2, queue_capacity: 4, ..Rules::default() };
    let metrics = Metrics::of_process();
    let pool =
        Pool::builder(database.options(), Config { rules, ..Config::named("example") }).observer(PoolMetrics::new());
    let db = Db::forebay(pool.connect().expect("these rules hold"));
    let (live, forgotten, loaded) = (Live::new(db.clone(), 128), Forgotten::default(), Arc::new(AtomicBool::new(true)));

    let mut tasks = JoinSet::new();
    tasks.spawn(live.clone().keep_up());
    for caller in 0..CALLERS {
        tasks.spawn(browse(db.clone(), Arc::clone(&loaded), Duration::from_millis(7 * caller)));
    }
    let extra = Router::new()
        .route(
            "/leak",
            get({
                let db = db.clone();
                async move || monthly_report(&db, &forgotten).await
            }),
        )
        .route("/stop", get(async move || loaded.store(false, Ordering::Relaxed)));
    let (_draining, hears) = watch::channel(false);
    let admin = Admin { db: db.clone(), readiness: Readiness::new(hears), metrics, bounds: Arc::new(db), live };
    let router = admin.router().merge(extra);
    let limits = Limits { connections: 128, ..Limits::default() };
    let mut addresses = Vec::new();
    for tokens in [None, Some(TOKEN.parse().expect("a token"))] {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
        let address: SocketAddr = listener.local_addr().expect("it listens");
        addresses.push(address);
        let guarded = Guard::new(address, Names::default(), tokens).over(router.clone());
        let forever = std::future::pending();
        tasks.spawn(async move { _ = serve("admin", listener, guarded, limits, forever, Duration::ZERO).await });
    }
    let line = format!("http://{} http://{} {TOKEN}\n", addresses[0], addresses[1]);
    std::io::stdout().write_all(line.as_bytes()).expect("somebody listens");
    while tasks.join_next().await.is_some() {}
}

/// Asks for a connection, uses it for a moment, and comes again.
async fn browse(db: Db, loaded: Arc<AtomicBool>, apart: Duration) {
    sleep(apart).await;
    while loaded.load(Ordering::Relaxed) {
        let class = if even() { Class::Normal } else { Class::Low };
        if let Ok(mut lease) = db.acquire(&Admission::within(class, Duration::from_millis(400))).await {
            let answered = sqlx::query("select pg_sleep(0.02), count(*) from pg_class where relname <> 'secret'");
            _ = answered.execute(&mut lease.conn()).await;
        }
        sleep(Duration::from_millis(20)).await;
    }
}

fn even() -> bool {
    rand::random()
}

/// Takes a connection, reads with it, and never gives it back.
async fn monthly_report(db: &Db, forgotten: &Forgotten) -> &'static str {
    let Ok(mut lease) = db.acquire(&Admission::within(Class::High, Duration::from_secs(5))).await else {
        return "no connection\n";
    };
    let report = "select relkind, sum(relpages) from pg_class where relname <> 'hidden' group by relkind";
    _ = lease.conn().execute(report).await;
    forgotten.lock().expect("nobody panics").push(lease);
    "leaked\n"
}
