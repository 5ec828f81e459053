//! The arms of a comparison, and the child process that each runs in.

use std::fs::File;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use http::Method;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::{ChildStdin, Command};
use tokio::time::{Instant, sleep, timeout};

use crate::client::{Ask, Caller};
use crate::processes::Process;
use crate::record::Reply;

/// The name of the hidden subcommand.
pub const CHILD: &str = "shop-under-faults";
/// `application_name` of the pool's sessions.
pub const POOL_SESSIONS: &str = "shop";
/// How long a child may take to answer.
const READY_WITHIN: Duration = Duration::from_secs(30);
/// How long a child may take to drain and end.
const END_WITHIN: Duration = Duration::from_secs(15);

/// What stands between handlers and database. Nothing else differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum Arm {
    /// The postmortem's platform: stock sqlx pool of 10, acquire time-out 5 s.
    Legacy,
    /// The team's first fix: the same with 60.
    Stock60,
    /// Our pool and admission, with their defaults.
    Resilient,
}

impl Arm {
    /// Its name on the command line and in scenarios.
    #[must_use]
    pub const fn key(self) -> &'static str {
        match self {
            Self::Legacy => "legacy",
            Self::Stock60 => "stock60",
            Self::Resilient => "resilient",
        }
    }

    /// Its name in reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Legacy => "legacy",
            Self::Stock60 => "stock 60",
            Self::Resilient => "resilient",
        }
    }
}

/// What the child is told on its standard input, as one line.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ChildConfig {
    /// Which pool.
    pub arm: Arm,
    /// The database's address.
    pub database_url: String,
    /// The seed of the key that signs access tokens.
    pub signing_seed: [u8; 32],
    /// The admin listener's port; 0 is any that is free.
    pub admin_port: u16,
}

/// Where the child listens, as it says on its standard output.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Ports {
    /// The public API.
    pub http: SocketAddr,
    /// The admin listener.
    pub admin: SocketAddr,
}

/// Why there is no child.
#[derive(Debug, thiserror::Error)]
pub enum ChildError {
    /// It cannot be started or spoken to.
    #[error("the shop's process: {0}")]
    Io(#[from] io::Error),
    /// It ended before it was ready.
    #[error("the shop's process ended or stayed silent before it was ready; its log ends with:\n{0}")]
    NotReady(String),
}

/// The shop in a process of its own. It ends when this is dropped, and also when this process is killed: its standard
/// input closes then.
#[derive(Debug)]
pub struct Child {
    process: tokio::process::Child,
    stdin: Option<ChildStdin>,
    log: PathBuf,
    /// Where it listens.
    pub ports: Ports,
    /// Its process.
    pub identity: Process,
}

impl Child {
    /// Starts the hidden subcommand of `program` and waits until it is ready.
    ///
    /// # Errors
    /// See [`ChildError`].
    pub async fn start(program: &Path, config: &ChildConfig, log: &Path) -> Result<Self, ChildError> {
        let mut process = Command::new(program)
            .arg(CHILD)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(File::create(log)?)
            // Ctrl-C goes to the parent alone, which stops the child in order.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()?;
        let mut stdin = process.stdin.take().ok_or_else(|| io::Error::other("no standard input"))?;
        let stdout = process.stdout.take().ok_or_else(|| io::Error::other("no standard output"))?;
        let mut told = serde_json::to_vec(config).map_err(io::Error::from)?;
        told.push(b'\n');
        stdin.write_all(&told).await?;
        let mut line = String::new();
        let not_ready = || ChildError::NotReady(last_lines(log));
        timeout(READY_WITHIN, BufReader::new(stdout).read_line(&mut line)).await.map_err(|_silent| not_ready())??;
        let ports: Ports = serde_json::from_str(&line).map_err(|_no_ports| not_ready())?;
        let identity = process.id().and_then(Process::of).ok_or_else(not_ready)?;
        let child = Self { process, stdin: Some(stdin), log: log.to_owned(), ports, identity };
        child.ready().await?;
        Ok(child)
    }

    async fn ready(&self) -> Result<(), ChildError> {
        let (admin, deadline) = (Caller::new(self.ports.admin), Instant::now() + READY_WITHIN);
        while admin.attempt(&Ask::get("/readyz")).await.reply != Reply::Success {
            if Instant::now() > deadline {
                return Err(ChildError::NotReady(last_lines(&self.log)));
            }
            sleep(Duration::from_millis(50)).await;
        }
        Ok(())
    }

    /// Sends an order to the admin listener; says whether it was obeyed.
    pub async fn order(&self, method: Method, path: &str, body: &serde_json::Value) -> bool {
        Caller::new(self.ports.admin).attempt(&Ask::json(method, path, body)).await.reply.is_success()
    }

    /// Lets it drain and end; kills it when it does not.
    ///
    /// # Errors
    /// It cannot be waited for.
    pub async fn stop(mut self) -> io::Result<()> {
        drop(self.stdin.take());
        if timeout(END_WITHIN, self.process.wait()).await.is_err() {
            self.process.kill().await?;
        }
        Ok(())
    }
}

/// The end of a log file, for the message of an error.
fn last_lines(log: &Path) -> String {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(20)..].join("\n")
}
