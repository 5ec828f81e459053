//! What keeps a server from letting anybody in, and how soon it is noticed that it does again.

use std::future::ready;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use forebay_embedded::{Options, Server};
use forebay_pool::{AcquireError, Connector};
use futures_util::future::BoxFuture;
use sqlx::{AssertSqlSafe, Executor as _};

use super::*;

/// Shorter than the pauses that there are between attempts while nobody calls.
const SOON: Duration = Duration::from_secs(4);

/// A server of its own that asks for passwords, and a role.
struct Strict {
    server: Server,
    port: u16,
    home: tempfile::TempDir,
}

impl Strict {
    async fn start() -> Self {
        let home = tempfile::tempdir().expect("a temporary folder");
        let open = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(home.path(), open).expect("it is ours");
        let port = std::net::TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).expect("free").port();
        let options = Options { durable: false, port: Some(port), ..Options::new(home.path().join("pg")) };
        let server = Server::start(options, |_| {}).await.expect("a test needs Postgres");
        let strict = Self { server, port, home };
        strict.say("create role guest login password 'right'").await;
        strict
    }

    async fn say(&self, sql: &str) {
        let options = PgConnectOptions::from_str(&self.server.url("postgres")).expect("an address");
        let mut connection = PgConnection::connect_with(&options).await.expect("the server runs");
        connection.execute(sqlx::raw_sql(AssertSqlSafe(sql.to_owned()))).await.expect("done");
        connection.close().await.expect("closed");
    }

    /// Who may come over TCP, as pg_hba.conf says it.
    async fn admit(&self, how: &str) {
        let file = self.home.path().join("pg/pg_hba.conf");
        std::fs::write(file, format!("local all all trust\nhost all all 127.0.0.1/32 {how}\n")).expect("it is ours");
        self.say("select pg_reload_conf()").await;
    }

    fn guest(&self, password: &str) -> PgConnectOptions {
        let options = PgConnectOptions::new_without_pgpass().host("127.0.0.1").port(self.port);
        options.username("guest").password(password).database("postgres")
    }

    fn pool(&self, options: PgConnectOptions, rules: Rules) -> Pool {
        Pool::connect(options, Config { rules, ..config() }).expect("these rules hold")
    }
}

/// Calls as long as it is refused; says how the last refusal was explained.
async fn call(pool: &Pool) -> Result<(), String> {
    match pool.acquire(&Admission::within(Class::Normal, Duration::from_millis(100))).await {
        Ok(_) => Ok(()),
        Err(AcquireError::Unavailable { cause, .. }) => Err(cause.map(|cause| cause.to_string()).unwrap_or_default()),
        Err(other) => Err(other.to_string()),
    }
}

/// Callers come all the time, and so many attempts fail.
async fn call_in_vain(pool: &Pool, attempts: u64) {
    let calls = async {
        while pool.snapshot().totals.open_failed < attempts {
            call(pool).await.expect_err("nobody is let in");
            sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(LIMIT, calls).await.unwrap_or_else(|_| panic!("too few attempts: {:?}", pool.snapshot()));
}

async fn served_soon(pool: &Pool) {
    let calls = async {
        while call(pool).await.is_err() {
            sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(SOON, calls).await.unwrap_or_else(|_| panic!("still refused: {:?}", pool.snapshot()));
}

#[tokio::test]
async fn a_password_that_is_right_again_is_found_soon_while_callers_come() {
    let strict = Strict::start().await;
    let pool = strict.pool(strict.guest("changed"), rules());
    call_in_vain(&pool, 8).await;
    assert!(call(&pool).await.expect_err("wrong").contains("password authentication failed"));
    strict.say("alter role guest password 'changed'").await;
    served_soon(&pool).await;
    pool.close().await;
    strict.server.shutdown().await.expect("it stops");
}

#[tokio::test]
async fn a_role_that_may_come_in_again_is_let_in_soon_while_callers_come() {
    let strict = Strict::start().await;
    strict.admit("reject").await;
    let pool = strict.pool(strict.guest("right"), rules());
    call_in_vain(&pool, 8).await;
    strict.admit("scram-sha-256").await;
    served_soon(&pool).await;
    pool.close().await;
    strict.server.shutdown().await.expect("it stops");
}

#[tokio::test]
async fn a_database_that_is_made_late_is_found_soon_while_callers_come() {
    let strict = Strict::start().await;
    let pool = strict.pool(strict.guest("right").database("late"), rules());
    call_in_vain(&pool, 8).await;
    assert!(call(&pool).await.expect_err("not there").contains("does not exist"));
    strict.say("create database late").await;
    served_soon(&pool).await;
    pool.close().await;
    strict.server.shutdown().await.expect("it stops");
}

/// Has a password that somebody changes.
#[derive(Clone, Debug, Default)]
struct Rotating {
    password: Arc<Mutex<String>>,
    asked: Arc<AtomicU32>,
    /// Which answer never comes.
    hangs_at: Option<u32>,
}

impl Connector for Rotating {
    fn options(&self, configured: PgConnectOptions) -> BoxFuture<'_, Result<PgConnectOptions, sqlx::Error>> {
        if self.hangs_at == Some(self.asked.fetch_add(1, Ordering::Relaxed)) {
            return Box::pin(std::future::pending());
        }
        let password = self.password.lock().expect("whole").clone();
        Box::pin(ready(Ok(configured.password(&password))))
    }
}

/// How soon a pool that nobody calls notices that its connector has another password.
async fn rotate(rotating: Rotating) {
    let strict = Strict::start().await;
    *rotating.password.lock().expect("whole") = "wrong".to_owned();
    let config = Config { rules: Rules { min_idle: 1, ..rules() }, control: false, ..config() };
    let pool = Pool::builder(strict.guest(""), config).connector(rotating.clone()).connect().expect("these rules hold");
    let failures = || pool.snapshot().totals.open_failed;
    eventually("it pauses for long", || so(failures() >= 4)).await;
    "right".clone_into(&mut rotating.password.lock().expect("whole"));
    let opened = async {
        while pool.snapshot().idle == 0 {
            sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(SOON, opened).await.unwrap_or_else(|_| panic!("nothing was opened: {:?}", pool.snapshot()));
    pool.close().await;
    strict.server.shutdown().await.expect("it stops");
}

#[tokio::test]
async fn another_password_of_the_connector_is_tried_at_once_though_nobody_calls() {
    rotate(Rotating::default()).await;
}

#[tokio::test]
async fn a_connector_that_does_not_answer_is_asked_again() {
    // After four attempts it was asked between them too: some answer in between never comes.
    rotate(Rotating { hangs_at: Some(2), ..Rotating::default() }).await;
}
