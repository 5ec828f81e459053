//! Backends that outlive their postmaster, and a start that waits for them.

use std::{
    path::{Path, PathBuf},
    process::Command,
    str::FromStr as _,
    sync::Mutex,
    time::Duration,
};

use forebay_embedded::Server;
use rustix::process::{Signal, geteuid};
use sqlx::{Connection as _, PgConnection, postgres::PgConnectOptions};

use crate::support::{ask, eventually, home, kill, lives, options, signal, start, tell};

const REFUSED: &str = "FOREBAY_EMBEDDED_TEST_REFUSED";
const LIMIT: Duration = Duration::from_secs(20);

/// A data folder on which busy backends run without their postmaster.
struct Orphaned {
    _home: tempfile::TempDir,
    data: PathBuf,
    backends: Vec<u32>,
}

impl Orphaned {
    async fn with_backends(count: usize) -> Self {
        let home = home();
        let data = home.path().join("pg");
        let server = start(&data).await.unwrap();
        tell(&server, "CREATE TABLE kept AS SELECT 'committed' AS word").await;
        let mut backends = Vec::new();
        for _ in 0..count {
            backends.push(busy_backend(&server).await);
        }
        kill(server.pid());
        assert!(server.ended().await.is_some());
        assert!(backends.iter().all(|pid| lives(*pid)), "they do not look for their postmaster");
        Self { _home: home, data, backends }
    }

    /// Starts a server on the folder; what it said on the way.
    async fn start(&self) -> (Server, Vec<String>) {
        let said = Mutex::new(Vec::new());
        let server = Server::start(options(&self.data), |step| said.lock().unwrap().push(step.to_owned())).await;
        (server.unwrap(), said.into_inner().unwrap())
    }

    async fn is_whole_after(&self, server: Server) {
        assert!(!self.backends.iter().any(|pid| lives(*pid)), "{:?}", self.backends);
        assert_eq!(ask(&server, "SELECT word FROM kept").await, "committed");
        server.shutdown().await.unwrap();
    }
}

/// A backend in a loop that asks nobody, and so never learns that its postmaster is gone.
async fn busy_backend(server: &Server) -> u32 {
    let options = PgConnectOptions::from_str(&server.url("postgres")).unwrap();
    let mut connection = PgConnection::connect_with(&options).await.unwrap();
    let pid: i32 = sqlx::query_scalar("SELECT pg_backend_pid()").fetch_one(&mut connection).await.unwrap();
    let busy = tokio::spawn(async move {
        // It ends with its backend.
        _ = sqlx::raw_sql("DO $$ BEGIN LOOP END LOOP; END $$").execute(&mut connection).await;
    });
    let active = "SELECT count(*)::text FROM pg_stat_activity WHERE state = 'active' AND query LIKE 'DO %'";
    eventually("it is busy", LIMIT, async || !busy.is_finished() && ask(server, active).await != "0").await;
    pid.try_into().unwrap()
}

/// Runs a test of this file again as a root that lacks a capability.
fn again_without(capability: &str, test: &str, data: &Path) -> String {
    let mut command = Command::new("setpriv");
    command.arg(format!("--bounding-set=-{capability}")).arg(std::env::current_exe().unwrap());
    command.args(["--exact", "--nocapture", &format!("backends::{test}")]).env(REFUSED, data);
    let said = command.output().unwrap();
    let text = format!("{}{}", String::from_utf8_lossy(&said.stdout), String::from_utf8_lossy(&said.stderr));
    assert!(said.status.success() && text.contains("1 passed"), "{text}");
    text
}

#[tokio::test]
async fn a_server_killed_while_its_backends_are_busy_is_waited_for() {
    let orphaned = Orphaned::with_backends(2).await;
    let (server, said) = orphaned.start().await;
    let waiting = said.iter().find(|step| step.contains("waiting for the Postgres of an earlier run to end"));
    let waiting = waiting.unwrap_or_else(|| panic!("{said:?}"));
    assert!(orphaned.backends.iter().all(|pid| waiting.contains(&pid.to_string())), "{waiting}");
    orphaned.is_whole_after(server).await;
}

/// The root of most containers may not look at the processes of another account.
#[test]
fn it_is_waited_for_by_a_root_that_may_not_look_at_others() {
    if geteuid().is_root() {
        again_without("sys_ptrace", "a_server_killed_while_its_backends_are_busy_is_waited_for", Path::new(""));
    }
}

#[tokio::test]
async fn a_backend_that_stands_still_is_killed() {
    let orphaned = Orphaned::with_backends(1).await;
    signal(orphaned.backends[0], Signal::STOP);
    let (server, _) = orphaned.start().await;
    orphaned.is_whole_after(server).await;
}

/// Not a test of its own: what the next one runs, in a process that may not signal the backends.
#[tokio::test]
async fn is_refused_when_told() {
    #[expect(clippy::disallowed_methods, reason = "how this test's parent process speaks to it")]
    let Some(data) = std::env::var_os(REFUSED).filter(|data| !data.is_empty()) else {
        return;
    };
    eprintln!("refused: {}", start(Path::new(&data)).await.unwrap_err());
}

#[tokio::test]
async fn backends_that_cannot_be_stopped_are_named_with_what_to_do() {
    if !geteuid().is_root() {
        return;
    }
    let orphaned = Orphaned::with_backends(2).await;
    let data = orphaned.data.clone();
    let child = tokio::task::spawn_blocking(move || again_without("kill", "is_refused_when_told", &data));
    let text = child.await.unwrap();
    let [one, other] = orphaned.backends[..] else { unreachable!("two") };
    let either = [format!("(processes {one}, {other})"), format!("(processes {other}, {one})")];
    assert!(either.iter().any(|named| text.contains(named)) && text.contains("kill -9 "), "{text}");
    let (server, _) = orphaned.start().await;
    orphaned.is_whole_after(server).await;
}
