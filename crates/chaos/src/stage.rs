//! What an arm plays on: its own Postgres, migrated and seeded, and the shop's process in front of it.

use std::path::{Path, PathBuf};
use std::str::FromStr;

use forebay_embedded::Server;
use forebay_shop::Scale;
use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions, Connection};

use crate::arm::{Arm, Child, ChildConfig};
use crate::client::{Ask, Caller};
use crate::leftovers::Leftovers;
use crate::prepared::Prepared;
use crate::progress::Progress;
use crate::sampler::{PROBE_TABLE, connect};
use crate::schedule::Needs;
use crate::token::Mint;

const DATABASE: &str = "forebay_replay";
/// The seeded password is common, so one login shows what a token looks like.
const FIRST_USER: &str = r#"{"email":"user00001@example.test","password":"correct-horse-battery"}"#;

/// Why there is no stage.
#[derive(Debug, thiserror::Error)]
pub enum StageError {
    /// Postgres does not start.
    #[error(transparent)]
    Postgres(#[from] forebay_embedded::StartError),
    /// Postgres does not stop.
    #[error(transparent)]
    Stop(#[from] forebay_embedded::StopError),
    /// A statement of the preparation.
    #[error("preparing the database: {0}")]
    Sql(#[from] sqlx::Error),
    /// Migration or seed.
    #[error("preparing the database: {0}")]
    Shop(String),
    /// The shop's process.
    #[error(transparent)]
    Child(#[from] crate::arm::ChildError),
    /// The shop does not let anyone log in.
    #[error("the first user cannot log in: {0}")]
    Login(String),
    /// The system.
    #[error("{0}")]
    Io(#[from] std::io::Error),
}

/// A running arm.
#[derive(Debug)]
pub struct Stage {
    server: Server,
    /// The shop.
    pub child: Child,
    /// The arm's database.
    pub database: PgConnectOptions,
    seed: [u8; 32],
}

impl Stage {
    /// Starts everything, the shop's admin listener on this port, or on any that is free where it is 0. If the future is
    /// dropped, what was started is stopped.
    ///
    /// # Errors
    /// See [`StageError`].
    pub async fn start(arm: Arm, program: &Path, admin_port: u16, progress: Progress) -> Result<Self, StageError> {
        let settings = [("max_connections", "100"), ("fsync", "on"), ("full_page_writes", "on")];
        let settings = settings.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
        let server = Server::start_temporary(settings, |_| {}).await?;
        let database = database(&server).await?;
        let shop = |error: &dyn std::fmt::Display| StageError::Shop(error.to_string());
        forebay_shop::migrate(&database).await.map_err(|error| shop(&error))?;
        forebay_shop::seed(&database, Scale::Small, |_| {}).await.map_err(|error| shop(&error))?;
        let mut conn = connect(&database).await?;
        sqlx::query(PROBE_TABLE).execute(&mut conn).await?;
        conn.close().await?;
        let seed = rand::random();
        let config = ChildConfig { arm, database_url: server.url(DATABASE), signing_seed: seed, admin_port };
        let child = Child::start(program, &config, &log_of(&server)).await?;
        progress.step(format!("{}: Postgres and shop are up", arm.name()));
        Ok(Self { server, child, database, seed })
    }

    /// Puts into the database what the users of a schedule carry.
    ///
    /// # Errors
    /// See [`StageError`].
    pub async fn prepare(&self, needs: Needs, run: &str) -> Result<Prepared, StageError> {
        let mint = self.mint().await?;
        let mut conn = connect(&self.database).await?;
        let prepared = Prepared::insert(&mut conn, needs, &mint, run).await?;
        sqlx::query("checkpoint").execute(&mut conn).await?;
        conn.close().await?;
        Ok(prepared)
    }

    async fn mint(&self) -> Result<Mint, StageError> {
        let body: serde_json::Value = serde_json::from_str(FIRST_USER).map_err(std::io::Error::from)?;
        let login = Ask::json(http::Method::POST, "/v1/auth/login", &body);
        let answer = Caller::new(self.child.ports.http).attempt(&login).await;
        let failed = || StageError::Login(format!("{:?} {}", answer.reply, String::from_utf8_lossy(&answer.body)));
        let tokens: serde_json::Value = serde_json::from_slice(&answer.body).map_err(|_no_json| failed())?;
        let token = tokens.get("access_token").and_then(serde_json::Value::as_str).ok_or_else(failed)?;
        Mint::like(token, self.seed).ok_or_else(failed)
    }

    /// The postmaster's process id.
    #[must_use]
    pub fn postgres_pid(&self) -> u32 {
        self.server.pid()
    }

    /// Stops everything and says what is still there.
    ///
    /// # Errors
    /// Postgres or the shop cannot be stopped.
    pub async fn stop(self) -> Result<Vec<String>, StageError> {
        let leftovers = Leftovers::note(&self.child, &self.server);
        self.child.stop().await?;
        self.server.shutdown().await?;
        Ok(leftovers.still_there().await)
    }
}

async fn database(server: &Server) -> Result<PgConnectOptions, StageError> {
    let mut conn = PgConnectOptions::from_str(&server.url("postgres"))?.connect().await?;
    sqlx::query("create database forebay_replay").execute(&mut conn).await?;
    conn.close().await?;
    Ok(PgConnectOptions::from_str(&server.url(DATABASE))?)
}

/// Beside the server's data, so that it goes with it.
fn log_of(server: &Server) -> PathBuf {
    server.data_dir().with_file_name("shop.log")
}
