//! The pool on a real Postgres, seen from the wire: what it costs in messages, and what becomes of it when networks and
//! servers fail.

mod abandoned;
mod bouncers;
mod credentials;
mod dials;
mod faults;
mod refused;
mod servers;
mod trips;

use std::path::PathBuf;
use std::str::FromStr as _;
use std::time::Duration;

use forebay_embedded::Server;
use forebay_embedded::testing::{database, server};
use forebay_pool::{Admission, Class, Config, Fixed, Lease, Mode, Pool, Rules, Snapshot};
use forebay_wire::{Connection, Proxy, Upstream};
use futures_util::future::join_all;
use sqlx::postgres::PgConnectOptions;
use sqlx::{Connection as _, PgConnection};
use tokio::time::{Instant, sleep, timeout};

/// How long anything may take before a test says that it never comes.
const LIMIT: Duration = Duration::from_secs(20);
/// Leases at once, in all of these tests.
const PLACES: u32 = 4;

/// A pool whose every byte goes through a proxy.
struct Site {
    proxy: Proxy,
    pool: Pool,
    /// Past the proxy.
    direct: PgConnectOptions,
    /// Through it.
    through: PgConnectOptions,
    /// Whether the pool has a control connection.
    control: bool,
    _folder: Option<tempfile::TempDir>,
}

impl Site {
    /// Over TCP, on the shared server, with a database of its own.
    async fn new(rules: Rules) -> Self {
        Self::with(Config { rules, ..config() }).await
    }

    async fn with(config: Config) -> Self {
        Self::tcp(shared().await, database().await.options(), config).await
    }

    /// The same, and no connection but those for statements.
    async fn without_control(rules: Rules) -> Self {
        Self::with(Config { rules, control: false, ..config() }).await
    }

    /// Over TCP, on this server.
    async fn tcp(server: &Server, direct: PgConnectOptions, config: Config) -> Self {
        let proxy = Proxy::tcp(upstream(server)).await.expect("a free port");
        let through = options(&direct).host("127.0.0.1").port(proxy.port());
        Self::at(proxy, direct, through, config, None)
    }

    /// Over a unix socket on this side too.
    async fn unix(rules: Rules) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join(".s.PGSQL.5432");
        let proxy = Proxy::unix(&path, upstream(shared().await)).await.expect("a free path");
        let direct = database().await.options();
        let through = options(&direct).socket(folder.path()).port(5432);
        Self::at(proxy, direct, through, Config { rules, ..config() }, Some(folder))
    }

    fn at(
        proxy: Proxy,
        direct: PgConnectOptions,
        through: PgConnectOptions,
        config: Config,
        folder: Option<tempfile::TempDir>,
    ) -> Self {
        let control = config.control;
        let pool = Pool::builder(through.clone(), config).sizer(Fixed).connect().expect("these rules hold");
        Self { proxy, pool, direct, through, control, _folder: folder }
    }

    /// A connection without a pool, through the same proxy.
    async fn bare(&self) -> PgConnection {
        PgConnection::connect_with(&self.through).await.expect("the server runs")
    }

    /// A connection past pool and proxy.
    async fn outside(&self) -> PgConnection {
        PgConnection::connect_with(&self.direct).await.expect("the server runs")
    }

    /// A lease, however often it takes: the pool may be in the middle of finding out.
    async fn lease(&self) -> Lease {
        let tries = async {
            loop {
                match self.pool.acquire(&admission()).await {
                    Ok(lease) => return lease,
                    Err(_) => sleep(Duration::from_millis(5)).await,
                }
            }
        };
        timeout(LIMIT, tries).await.unwrap_or_else(|_| panic!("no lease: {:?}", self.pool.snapshot()))
    }

    /// Opens all connections there can be leases on, so that they lie idle.
    async fn fill(&self) -> Vec<Connection> {
        drop(join_all((0..PLACES).map(|_| self.lease())).await);
        self.until("all are idle", |snapshot| snapshot.idle >= PLACES && snapshot.opening == 0).await;
        self.proxy.connections()
    }

    /// Waits until the pool's numbers are as they should be.
    async fn until(&self, what: &str, holds: impl Fn(&Snapshot) -> bool) -> Snapshot {
        eventually(what, || {
            let snapshot = self.pool.snapshot();
            holds(&snapshot).then_some(snapshot).ok_or_else(|| Box::new(snapshot))
        })
        .await
    }

    /// Waits until everything that was asked for is connected, the control connection too.
    async fn settled(&self) {
        self.until("nothing is opening", |snapshot| snapshot.opening == 0).await;
        let live = || u64::from(self.pool.snapshot().open()) + u64::from(self.control);
        eventually("the control connection is there", || {
            let ready = self.proxy.connections().iter().map(|one| one.counts().ready).sum::<u64>();
            (ready >= live()).then_some(()).ok_or(ready)
        })
        .await;
    }

    /// Whatever has happened: every place can be leased at once and answers, nothing is lost, and never were more than
    /// two openings under way, the control connection's among them, nor more connections open than the ceiling allows.
    async fn is_at_full_strength(&self) {
        let end = Instant::now() + LIMIT;
        loop {
            let mut leases = join_all((0..PLACES).map(|_| self.lease())).await;
            let answers = join_all(leases.iter_mut().map(answer)).await;
            if answers.iter().all(Result::is_ok) {
                let snapshot = self.pool.snapshot();
                assert_eq!((snapshot.leased, snapshot.limit), (PLACES, PLACES), "{snapshot:?}");
                break;
            }
            assert!(Instant::now() < end, "{answers:?}; {:?}", self.pool.snapshot());
        }
        let rests =
            |s: &Snapshot| s.leased + s.suspects + s.quarantined + s.checking + s.closing + s.opening + s.waiting == 0;
        let snapshot = self.until("nothing is out or under way", rests).await;
        assert_eq!(snapshot.ceiling, rules().ceiling);
        let dials = self.proxy.most_dials_at_once();
        assert!(dials <= 2, "{dials} dials at once");
        let most = self.proxy.most_connections_at_once();
        assert!(most <= rules().ceiling as usize, "{most} connections at once");
    }
}

async fn answer(lease: &mut Lease) -> Result<i32, sqlx::Error> {
    let one = sqlx::query_scalar("select 1").fetch_one(&mut **lease);
    timeout(LIMIT, one).await.unwrap_or(Err(sqlx::Error::WorkerCrashed))
}

async fn pid_of(lease: &mut Lease) -> i32 {
    sqlx::query_scalar("select pg_backend_pid()").fetch_one(&mut **lease).await.expect("answers")
}

/// The server of all tests here: its proxies reach it by its socket.
async fn shared() -> &'static Server {
    server().await.embedded().expect("the tests on the wire need an embedded server: unset FOREBAY_TEST_SERVER")
}

fn upstream(server: &Server) -> Upstream {
    Upstream::Unix(socket_of(server))
}

fn socket_of(server: &Server) -> PathBuf {
    server.socket_dir().join(".s.PGSQL.5432")
}

/// The same user and database, reached in another way.
fn options(direct: &PgConnectOptions) -> PgConnectOptions {
    let database = direct.get_database().expect("they name one");
    PgConnectOptions::new_without_pgpass().username(direct.get_username()).database(database)
}

fn options_of(server: &Server) -> PgConnectOptions {
    PgConnectOptions::from_str(&server.url("postgres")).expect("sqlx reads the address of an embedded server")
}

/// Callers wait, and are never shed, and a lease may be held while a test waits for something else: what is seen is the
/// pool's connections, neither its door nor its watch.
fn rules() -> Rules {
    Rules {
        min_idle: 0,
        initial_limit: PLACES,
        ceiling: 8,
        mode: Mode::Off,
        suspect_after: LIMIT * 3,
        revoke_after: None,
        ..Rules::default()
    }
}

/// Idle connections are always checked before they are leased.
fn wary() -> Rules {
    Rules { check_after_idle: Duration::ZERO, ..rules() }
}

/// Idle connections are never checked.
fn trusting() -> Rules {
    Rules { check_after_idle: Rules::LONGEST, ..rules() }
}

fn config() -> Config {
    Config { rules: rules(), acquire_timeout: Duration::from_secs(5), ..Config::named("wire") }
}

fn admission() -> Admission {
    Admission::within(Class::Normal, LIMIT)
}

/// Polls until there is a value, and says what was seen last where none comes.
async fn eventually<T, E: std::fmt::Debug>(what: &str, look: impl Fn() -> Result<T, E>) -> T {
    let end = Instant::now() + LIMIT;
    loop {
        match look() {
            Ok(value) => return value,
            Err(seen) => assert!(Instant::now() < end, "still not so: {what}; {seen:?}"),
        }
        sleep(Duration::from_millis(2)).await;
    }
}

fn so(holds: bool) -> Result<(), ()> {
    holds.then_some(()).ok_or(())
}
