//! A home for a data folder, one-statement connections, and waiting for a condition.

use std::{
    future::Future,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    str::FromStr as _,
    time::Duration,
};

use forebay_embedded::{Options, Server, StartError};
use rustix::process::{Pid, Signal, kill_process};
use sqlx::{Connection as _, PgConnection, postgres::PgConnectOptions};

/// A temporary folder that the server's account may pass through.
pub(crate) fn home() -> tempfile::TempDir {
    let home = tempfile::tempdir().unwrap();
    std::fs::set_permissions(home.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    home
}

pub(crate) fn options(data_dir: impl Into<PathBuf>) -> Options {
    Options { durable: false, ..Options::new(data_dir) }
}

pub(crate) async fn start(data_dir: &Path) -> Result<Server, StartError> {
    Server::start(options(data_dir), |_| {}).await
}

/// Runs one statement on a connection of its own and gives its only value.
pub(crate) async fn ask(server: &Server, sql: &'static str) -> String {
    let options = PgConnectOptions::from_str(&server.url("postgres")).unwrap();
    let mut connection = PgConnection::connect_with(&options).await.unwrap();
    let said: (String,) = sqlx::query_as(sql).fetch_one(&mut connection).await.unwrap();
    connection.close().await.unwrap();
    said.0
}

pub(crate) async fn tell(server: &Server, sql: &'static str) {
    let options = PgConnectOptions::from_str(&server.url("postgres")).unwrap();
    let mut connection = PgConnection::connect_with(&options).await.unwrap();
    sqlx::raw_sql(sql).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
}

/// Polls until `holds`, at most `limit`.
pub(crate) async fn eventually<F: Future<Output = bool>>(what: &str, limit: Duration, holds: impl Fn() -> F) {
    let polls = async {
        while !holds().await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    assert!(tokio::time::timeout(limit, polls).await.is_ok(), "not within {limit:?}: {what}");
}

pub(crate) fn kill(pid: u32) {
    signal(pid, Signal::KILL);
}

pub(crate) fn signal(pid: u32, signal: Signal) {
    kill_process(Pid::from_raw(pid.try_into().unwrap()).unwrap(), signal).unwrap();
}

/// Whether a process lives (one that has ended and was not waited for does not).
pub(crate) fn lives(pid: u32) -> bool {
    match std::fs::read_to_string(format!("/proc/{pid}/stat")) {
        Ok(stat) => !stat.rsplit(')').next().unwrap_or_default().trim_start().starts_with('Z'),
        Err(_) => false,
    }
}
