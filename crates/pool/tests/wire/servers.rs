//! What servers do: end sessions, run out of room, die, stand still, and refuse to write.

use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use forebay_embedded::testing::database;
use forebay_embedded::{Options, Server};
use forebay_pool::{Admission, Class, Config};
use futures_util::future::join_all;
use rustix::process::{Pid, Signal, kill_process};
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection};
use tokio::time::timeout;

use crate::{
    LIMIT, PLACES, Site, admission, answer, config, eventually, options_of, pid_of, rules, shared, so, trusting, wary,
};

async fn say(connection: &mut PgConnection, sql: String) {
    connection.execute(sqlx::raw_sql(AssertSqlSafe(sql))).await.expect("done");
}

#[tokio::test]
async fn a_session_ended_under_its_lease_is_replaced() {
    for site in [Site::new(rules()).await, Site::unix(rules()).await] {
        let mut outside = site.outside().await;
        let mut lease = site.lease().await;
        let pid = pid_of(&mut lease).await;
        say(&mut outside, format!("select pg_terminate_backend({pid})")).await;
        answer(&mut lease).await.expect_err("its backend is gone");
        drop(lease);
        site.is_at_full_strength().await;
    }
}

#[tokio::test]
async fn a_session_ended_under_a_running_statement_is_replaced() {
    let site = Site::new(rules()).await;
    let mut outside = site.outside().await;
    let mut lease = site.lease().await;
    let pid = pid_of(&mut lease).await;
    let connection = site.proxy.connection_to(pid).expect("it goes through the proxy");
    let end = async {
        eventually("it runs", || so(connection.is_busy())).await;
        say(&mut outside, format!("select pg_terminate_backend({pid})")).await;
    };
    let long = sqlx::query("select pg_sleep(30)").execute(&mut *lease);
    let (answer, ()) = tokio::join!(long, end);
    let error = answer.expect_err("its backend is gone");
    assert_eq!(error.as_database_error().and_then(|error| error.code()).as_deref(), Some("57P01"), "{error}");
    drop(lease);
    site.is_at_full_strength().await;
}

/// A pool, without a control connection, of a role of its own that may have so many sessions.
async fn of_a_role_with(sessions: u32) -> Site {
    let direct = database().await.options();
    let role = format!("narrow_{}", direct.get_database().expect("it has a name"));
    let mut outside = PgConnection::connect_with(&direct).await.expect("the server runs");
    say(&mut outside, format!("create role {role} login connection limit {sessions}")).await;
    Site::tcp(shared().await, direct.username(&role), Config { control: false, ..config() }).await
}

#[tokio::test]
async fn a_neighbour_that_takes_all_sessions_is_named_and_outlasted() {
    let room = rules().ceiling;
    let site = of_a_role_with(room).await;
    let mut neighbours = Vec::new();
    for _ in 0..room {
        neighbours.push(site.outside().await);
    }
    let soon = Admission::within(Class::Normal, Duration::from_millis(500));
    let error = site.pool.acquire(&soon).await.expect_err("there is no room");
    assert!(error.to_string().contains("too many connections"), "{error}");
    for neighbour in neighbours {
        neighbour.close().await.expect("closed");
    }
    site.is_at_full_strength().await;
}

#[tokio::test]
#[ignore = "takes the minute for which the pool believes what the server has room for"]
async fn a_neighbour_that_takes_most_sessions_holds_the_pool_back_for_a_minute() {
    let room = rules().ceiling;
    let site = of_a_role_with(room).await;
    let mut neighbours = Vec::new();
    for _ in 1..room {
        neighbours.push(site.outside().await);
    }
    answer(&mut site.lease().await).await.expect("one session is left");
    let held = site.lease().await;
    let soon = Admission::within(Class::Normal, Duration::from_millis(500));
    site.pool.acquire(&soon).await.expect_err("there is no second");
    assert_eq!(site.pool.snapshot().ceiling, 1);
    drop((held, neighbours));
    let end = tokio::time::Instant::now() + Duration::from_secs(90);
    while site.pool.snapshot().ceiling == 1 {
        assert!(tokio::time::Instant::now() < end, "{:?}", site.pool.snapshot());
        answer(&mut site.lease().await).await.expect("the one serves on");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let leases = join_all((0..PLACES).map(|_| site.lease())).await;
    assert_eq!(leases.len(), PLACES as usize, "what can be opened is learned one by one");
}

#[tokio::test]
async fn sessions_ended_on_a_server_that_is_well_cost_no_others() {
    let site = Site::new(trusting()).await;
    site.fill().await;
    let mut outside = site.outside().await;
    let (mut first, mut second, mut third) = (site.lease().await, site.lease().await, site.lease().await);
    let survivor = pid_of(&mut third).await;
    for lease in [&mut first, &mut second] {
        let pid = pid_of(lease).await;
        say(&mut outside, format!("select pg_terminate_backend({pid})")).await;
        answer(lease).await.expect_err("its backend is gone");
    }
    drop((first, second, third));
    site.until("two are closed, and the rest was asked", |snapshot| snapshot.closing + snapshot.checking == 0).await;
    site.is_at_full_strength().await;
    assert_eq!(site.pool.snapshot().totals.closed, 2, "the others stay");
    assert!(site.proxy.connection_to(survivor).is_some());
}

/// A server that a test may break.
struct Fragile {
    home: tempfile::TempDir,
    server: Server,
}

impl Fragile {
    async fn start() -> Self {
        let home = tempfile::tempdir().expect("a temporary folder");
        let open = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(home.path(), open).expect("it is ours");
        let server = started(&home).await;
        Self { home, server }
    }

    async fn site(&self, rules: forebay_pool::Rules) -> Site {
        let config = Config { rules, ..config() };
        Site::tcp(&self.server, options_of(&self.server), config).await
    }

    fn postmaster(&self) -> Pid {
        as_pid(self.server.pid())
    }

    /// Signals the server's processes, the postmaster first so that it starts no others.
    fn signal_all(&self, signal: Signal) {
        kill_process(self.postmaster(), signal).expect("it lives");
        for child in children_of(self.server.pid()) {
            // One may have ended since it was listed.
            _ = kill_process(as_pid(child), signal);
        }
    }
}

async fn started(home: &tempfile::TempDir) -> Server {
    let options = Options { durable: false, ..Options::new(home.path().join("pg")) };
    Server::start(options, |_| {}).await.expect("a test needs Postgres")
}

fn as_pid(pid: u32) -> Pid {
    Pid::from_raw(i32::try_from(pid).expect("a process id")).expect("a process id")
}

fn children_of(parent: u32) -> Vec<u32> {
    let path = format!("/proc/{parent}/task/{parent}/children");
    let children = std::fs::read_to_string(path).expect("the system lists children");
    children.split_whitespace().map(|pid| pid.parse().expect("a process id")).collect()
}

#[tokio::test]
async fn a_server_that_is_killed_and_started_again_is_used_again() {
    let fragile = Fragile::start().await;
    let site = fragile.site(wary()).await;
    site.fill().await;
    let mut held = site.lease().await;
    kill_process(fragile.postmaster(), Signal::KILL).expect("it lives");
    fragile.server.ended().await;
    // Its sessions notice a moment later.
    timeout(LIMIT, async { while answer(&mut held).await.is_ok() {} }).await.expect("it notices");
    drop(held);
    let soon = Admission::within(Class::Normal, Duration::from_millis(300));
    site.pool.acquire(&soon).await.expect_err("there is no server");
    let Fragile { home, server } = fragile;
    server.shutdown().await.expect("it has ended");
    let again = started(&home).await;
    site.is_at_full_strength().await;
    again.shutdown().await.expect("it stops");
}

#[tokio::test]
async fn a_server_that_is_restarted_politely_is_used_again() {
    let Fragile { home, server } = Fragile::start().await;
    let site = Site::tcp(&server, options_of(&server), Config { rules: wary(), ..config() }).await;
    site.fill().await;
    server.shutdown().await.expect("it stops");
    let again = started(&home).await;
    site.is_at_full_strength().await;
    again.shutdown().await.expect("it stops");
}

#[tokio::test]
async fn a_server_that_stands_still_and_goes_on_is_used_again() {
    let fragile = Fragile::start().await;
    let site = fragile.site(wary()).await;
    site.fill().await;
    fragile.signal_all(Signal::STOP);
    let soon = Admission::within(Class::Normal, Duration::from_millis(700));
    site.pool.acquire(&soon).await.expect_err("nothing answers");
    fragile.signal_all(Signal::CONT);
    site.is_at_full_strength().await;
    fragile.server.shutdown().await.expect("it stops");
}

#[tokio::test]
async fn a_statement_on_a_server_that_stands_still_for_a_moment_is_answered_late() {
    let fragile = Fragile::start().await;
    let site = fragile.site(rules()).await;
    let mut lease = site.lease().await;
    let pid = pid_of(&mut lease).await;
    let connection = site.proxy.connection_to(pid).expect("it goes through the proxy");
    fragile.signal_all(Signal::STOP);
    let thaw = async {
        eventually("it left", || so(connection.is_busy())).await;
        fragile.signal_all(Signal::CONT);
    };
    let (said, ()) = tokio::join!(answer(&mut lease), thaw);
    assert_eq!(said.expect("late, and right"), 1);
    drop(lease);
    site.is_at_full_strength().await;
    fragile.server.shutdown().await.expect("it stops");
}

#[tokio::test]
async fn a_statement_on_a_server_that_stands_still_ends_on_the_client() {
    let fragile = Fragile::start().await;
    let site = fragile.site(rules()).await;
    let mut lease = site.lease().await;
    answer(&mut lease).await.expect("it answers");
    fragile.signal_all(Signal::STOP);
    let error = answer(&mut lease).await.expect_err("nothing answers");
    assert!(!matches!(error, sqlx::Error::WorkerCrashed), "it was the test's own limit that ended it");
    drop(lease);
    fragile.signal_all(Signal::CONT);
    site.is_at_full_strength().await;
    fragile.server.shutdown().await.expect("it stops");
}

#[tokio::test]
async fn a_server_told_to_refuse_writes_is_asked_for_its_role_and_keeps_its_connections() {
    let fragile = Fragile::start().await;
    let site = fragile.site(rules()).await;
    let mut outside = site.outside().await;
    say(&mut outside, "create table t (n int)".to_owned()).await;
    site.fill().await;
    let before = site.pool.snapshot().totals;
    say(&mut outside, "alter system set default_transaction_read_only = on".to_owned()).await;
    say(&mut outside, "select pg_reload_conf()".to_owned()).await;
    let refused = async || sqlx::query("insert into t values (1)").execute(&site.pool).await.err();
    let first = async {
        loop {
            if let Some(error) = refused().await {
                return error.as_database_error().and_then(|error| error.code()).map(|code| code.into_owned());
            }
        }
    };
    let code = timeout(LIMIT, first).await.expect("writes are refused");
    assert_eq!(code.as_deref(), Some("25006"));
    for _ in 0..20 {
        refused().await.expect("every write is");
    }
    site.until("all were asked", |snapshot| snapshot.quarantined == 0).await;
    let after = site.pool.snapshot().totals;
    assert_eq!((after.opened, after.closed), (before.opened, before.closed), "it is no standby: they stay");
    for undo in ["set default_transaction_read_only = off", "alter system reset default_transaction_read_only"] {
        say(&mut outside, undo.to_owned()).await;
    }
    say(&mut outside, "select pg_reload_conf()".to_owned()).await;
    timeout(LIMIT, async { while refused().await.is_some() {} }).await.expect("writes are taken again");
    drop(site.pool.acquire(&admission()).await.expect("free"));
    site.is_at_full_strength().await;
    fragile.server.shutdown().await.expect("it stops");
}
