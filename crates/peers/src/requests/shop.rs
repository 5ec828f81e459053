use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use forebay_embedded::Server;
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio::time::timeout;

use super::Build;
use super::journey::Goods;
use crate::BenchError;
use crate::machine::{Resident, Used, time_of_server};

/// To make a database and fill it, or to stop, on a machine that does other things too.
const LIMIT: Duration = Duration::from_secs(120);

/// A shop that was started for a run, with an embedded server and a folder of its own.
#[derive(Debug)]
pub(super) struct Shop {
    child: Child,
    postmaster: u32,
    pub(super) address: SocketAddr,
    pub(super) goods: Goods,
    home: TempDir,
}

/// What a shop has used so far.
#[derive(Clone, Copy, Debug)]
pub(super) struct Processor {
    pub(super) shop: Used,
    pub(super) postgres: Duration,
}

impl Shop {
    pub(super) async fn start(build: &Build) -> Result<Self, BenchError> {
        Self::open(build, None).await
    }

    /// On a server that is there.
    pub(super) async fn start_on(build: &Build, server: &Server) -> Result<Self, BenchError> {
        Self::open(build, Some(server)).await
    }

    async fn open(build: &Build, server: Option<&Server>) -> Result<Self, BenchError> {
        let home = home()?;
        let log = fs::File::create(home.path().join("log")).map_err(BenchError::io("making the log"))?;
        let mut command = Command::new(&build.program);
        command
            .current_dir(home.path())
            .env_remove("DATABASE_URL")
            .env("FOREBAY_DATA", home.path().join("data"))
            .env("FOREBAY_SEED", "small")
            .env("FOREBAY_HTTP", "127.0.0.1:0")
            .env("FOREBAY_ADMIN", "127.0.0.1:0")
            .env("FOREBAY_PAYMENT_LATENCY_MS", "0")
            .envs(server.map(|server| ("DATABASE_URL", server.url("postgres"))))
            .envs(build.settings.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log)
            .kill_on_drop(true);
        let what = format!("starting {}", build.program.display());
        let mut child = command.spawn().map_err(BenchError::io(what))?;
        let lines = child.stdout.take().map(|out| BufReader::new(out).lines());
        let mut lines = lines.ok_or_else(|| BenchError::turn("the shop has no output"))?;
        let Ok(Some(address)) = timeout(LIMIT, open_at(&mut lines)).await else {
            let said = fs::read_to_string(home.path().join("log")).unwrap_or_default();
            return Err(BenchError::turn(format!("{} did not open: {said}", build.name)));
        };
        // What it says from now on has to go somewhere.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        let postmaster = match server {
            Some(server) => server.pid(),
            None => postmaster(&home.path().join("data/pg"))?,
        };
        let goods = Goods::of(address).await?;
        Ok(Self { child, postmaster, address, goods, home })
    }

    pub(super) fn processor(&self) -> Result<Processor, BenchError> {
        let shop = self.child.id().and_then(Used::by);
        let postgres = time_of_server(self.postmaster);
        let both = shop.zip(postgres).map(|(shop, postgres)| Processor { shop, postgres });
        both.ok_or_else(|| BenchError::turn("the shop or its database has ended"))
    }

    /// Of its process, without its database.
    pub(super) fn resident(&self) -> Result<Resident, BenchError> {
        self.child.id().and_then(Resident::of).ok_or_else(|| BenchError::turn("the shop has ended"))
    }

    /// Asks it to end, and waits until its database has ended too.
    pub(super) async fn stop(mut self) -> Result<(), BenchError> {
        let pid = self.child.id().and_then(|pid| Pid::from_raw(i32::try_from(pid).ok()?));
        if let Some(pid) = pid {
            kill_process(pid, Signal::TERM).map_err(|error| BenchError::io("stopping the shop")(error.into()))?;
        }
        let ended = timeout(LIMIT, self.child.wait()).await;
        ended.map_err(|_late| BenchError::turn("a shop did not stop"))?.map_err(BenchError::io("stopping the shop"))?;
        self.home.close().map_err(BenchError::io("removing the shop's folder"))
    }
}

/// A folder for a shop, through which the database's account passes.
pub(super) fn home() -> Result<TempDir, BenchError> {
    let home = TempDir::new().map_err(BenchError::io("making a folder"))?;
    let open = fs::Permissions::from_mode(0o755);
    fs::set_permissions(home.path(), open).map_err(BenchError::io("opening the folder"))?;
    Ok(home)
}

/// Where the public listener is, once it says so.
async fn open_at(lines: &mut Lines<BufReader<ChildStdout>>) -> Option<SocketAddr> {
    while let Ok(Some(line)) = lines.next_line().await {
        if let Some((_, rest)) = line.split_once(" is open: http://") {
            return rest.split([' ', ')']).next()?.parse().ok();
        }
    }
    None
}

fn postmaster(data: &Path) -> Result<u32, BenchError> {
    let file = fs::read_to_string(data.join("postmaster.pid")).map_err(BenchError::io("reading postmaster.pid"))?;
    let pid = file.lines().next().and_then(|line| line.trim().parse().ok());
    pid.ok_or_else(|| BenchError::turn("postmaster.pid names no process"))
}

/// Has a shop's program fill the database of that address with the full seed.
pub(crate) async fn filled(program: &Path, url: &str) -> Result<(), BenchError> {
    let home = home()?;
    let mut command = Command::new(program);
    command.arg("seed").env("DATABASE_URL", url).env("FOREBAY_SEED", "full").env("FOREBAY_DATA", home.path());
    command.kill_on_drop(true);
    let filled = timeout(LIMIT, command.output()).await;
    let filled = filled.map_err(|_late| BenchError::turn(format!("the seed did not end within {LIMIT:?}")))?;
    let filled = filled.map_err(BenchError::io(format!("starting {}", program.display())))?;
    if filled.status.success() { Ok(()) } else { Err(BenchError::turn(String::from_utf8_lossy(&filled.stderr))) }
}

/// Of the server programs that the shops embed.
pub(super) fn postgres_version() -> Result<String, BenchError> {
    let program = forebay_embedded::find_programs()?.postgres;
    let said = std::process::Command::new(program).arg("--version").output();
    let said = said.map_err(BenchError::io("asking postgres for its version"))?.stdout;
    Ok(String::from_utf8_lossy(&said).trim().trim_start_matches("postgres (PostgreSQL) ").to_owned())
}
