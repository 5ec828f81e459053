//! The binary as a child process, on ports and a folder of its own.

use std::{
    future::Future,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    str::FromStr as _,
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};
use sqlx::{ConnectOptions as _, PgConnection, postgres::PgConnectOptions};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, BufReader, Lines},
    process::{Child, ChildStdout, Command},
};

use crate::client::Http;

/// Nothing here should take so long, also on a machine that does other things.
pub(crate) const LIMIT: Duration = Duration::from_secs(90);

/// A folder that the database's account may pass through.
pub(crate) fn home() -> tempfile::TempDir {
    let home = tempfile::tempdir().unwrap();
    std::fs::set_permissions(home.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    home
}

/// The binary, with a small seed, its data in `home`, free ports, and no quotas: a test is one client.
pub(crate) fn shop(home: &Path, settings: &[(&str, &str)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_shop"));
    command
        .current_dir(home)
        .env_remove("DATABASE_URL")
        .env("FOREBAY_DATA", home.join("data"))
        .env("FOREBAY_SEED", "small")
        .env("FOREBAY_HTTP", "127.0.0.1:0")
        .env("FOREBAY_ADMIN", "127.0.0.1:0")
        .envs(["REGISTER", "LOGIN", "REFRESH", "CARTS", "ORDERS"].map(|name| (format!("FOREBAY_QUOTA_{name}"), "off")))
        .envs(settings.iter().copied())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    command
}

/// The binary that serves one service alone, on the database at `url`.
pub(crate) fn service(home: &Path, service: &str, url: &str, settings: &[(&str, &str)]) -> Command {
    let mut command = shop(home, settings);
    command.args(["serve", service]).env("DATABASE_URL", url);
    command
}

/// A shop that is open, or one service of it.
#[derive(Debug)]
pub(crate) struct Shop {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
    pub(crate) address: String,
    pub(crate) http: Http,
    pub(crate) admin: Http,
    /// Where `admin` asks.
    pub(crate) admin_address: String,
    data: PathBuf,
}

impl Shop {
    pub(crate) async fn open(home: &Path, settings: &[(&str, &str)]) -> Self {
        Self::start(home, shop(home, settings)).await
    }

    /// Runs `command` until it says that it is open.
    pub(crate) async fn start(home: &Path, mut command: Command) -> Self {
        let mut child = command.spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let opening = async {
            while let Some(line) = lines.next_line().await.unwrap() {
                if let Some(addresses) = addresses(&line) {
                    return Some(addresses);
                }
            }
            None
        };
        let Some((address, admin_address)) =
            tokio::time::timeout(LIMIT, opening).await.expect("the shop opens in time")
        else {
            panic!("the shop did not open: {}", all(child.stderr.take().unwrap()).await);
        };
        let (http, admin) = (Http::new(&address), Http::new(&admin_address));
        Self { child, lines, address, http, admin, admin_address, data: home.join("data/pg") }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id().unwrap()
    }

    pub(crate) fn send(&self, signal: Signal) {
        let pid = i32::try_from(self.pid()).unwrap();
        kill_process(Pid::from_raw(pid).unwrap(), signal).unwrap();
    }

    /// Its exit status, and what it said on standard output since it opened.
    pub(crate) async fn ended(mut self) -> (ExitStatus, String) {
        let ending = async {
            let mut said = String::new();
            while let Some(line) = self.lines.next_line().await.unwrap() {
                said.push_str(&line);
                said.push('\n');
            }
            (self.child.wait().await.unwrap(), said)
        };
        tokio::time::timeout(LIMIT, ending).await.expect("the shop ends in time")
    }

    /// A connection of our own to its database.
    pub(crate) async fn database(&self) -> PgConnection {
        self.try_database().await.unwrap()
    }

    /// The same, which may be going or coming.
    pub(crate) async fn try_database(&self) -> sqlx::Result<PgConnection> {
        let socket = self.data.with_file_name("pg.run");
        let url = format!("postgres://forebay@localhost/forebay?host={}", socket.display());
        PgConnectOptions::from_str(&url).unwrap().connect().await
    }
}

/// Waits until no process of Postgres runs on `home`'s data folder.
pub(crate) async fn nobody_left(home: &Path) {
    let data = home.join("data/pg");
    let gone = || async { forebay_embedded::testing::processes_on(&data).await.is_empty() };
    eventually("no process is left on the data folder", gone).await;
}

/// Polls until `holds`.
pub(crate) async fn eventually<F: Future<Output = bool>>(what: &str, mut holds: impl FnMut() -> F) {
    let polls = async {
        while !holds().await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    assert!(tokio::time::timeout(LIMIT, polls).await.is_ok(), "not within {LIMIT:?}: {what}");
}

/// Runs the binary to its end: status, standard output, standard error.
pub(crate) async fn run(mut command: Command) -> (ExitStatus, String, String) {
    let mut child = command.spawn().unwrap();
    let (out, err) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
    let ending = async { tokio::join!(all(out), all(err), child.wait()) };
    let (out, err, status) = tokio::time::timeout(LIMIT, ending).await.expect("the command ends in time");
    (status.unwrap(), out, err)
}

async fn all(mut pipe: impl AsyncRead + Unpin) -> String {
    let mut text = String::new();
    pipe.read_to_string(&mut text).await.unwrap();
    text
}

/// The two addresses in the line that says that the shop is open.
fn addresses(line: &str) -> Option<(String, String)> {
    let mut parts = line.split_once(" is open: ")?.1.split("http://").skip(1);
    let mut address = || Some(parts.next()?.trim_end_matches([')', ' ']).split(' ').next()?.to_owned());
    Some((address()?, address()?))
}
