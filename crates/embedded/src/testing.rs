//! A throw-away server shared by all tests of a process, with a fresh database for each test.

use std::{
    str::FromStr as _,
    sync::atomic::{AtomicU32, Ordering},
};

use sqlx::{Connection as _, PgConnection, postgres::PgConnectOptions};
use tokio::sync::OnceCell;

use crate::{Server, StartError};

static SERVER: OnceCell<Server> = OnceCell::const_new();
static NEXT: AtomicU32 = AtomicU32::new(1);

/// An empty database of its own. It goes with the server, when the process ends.
#[derive(Clone, Debug)]
pub struct TestDatabase {
    url: String,
}

impl TestDatabase {
    /// Its address.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Its address as sqlx takes it.
    ///
    /// # Panics
    ///
    /// Never: the address is one that sqlx reads.
    pub fn options(&self) -> PgConnectOptions {
        PgConnectOptions::from_str(&self.url).expect("sqlx reads the address of an embedded server")
    }
}

/// The shared server: not durable, 200 connections, removed when the process ends, however it ends. It lives past
/// the runtime of the test that happened to start it.
///
/// # Panics
///
/// It cannot be started; the message says what to do.
pub async fn server() -> &'static Server {
    match SERVER.get_or_try_init(start).await {
        Ok(server) => server,
        Err(error) => panic!("a test needs Postgres: {error}"),
    }
}

/// A fresh, empty database on the shared server.
///
/// # Panics
///
/// The server cannot be started or refuses; the message says why.
pub async fn database() -> TestDatabase {
    let server = server().await;
    let name = format!("test_{}", NEXT.fetch_add(1, Ordering::Relaxed));
    if let Err(error) = create(server, &name).await {
        panic!("a test needs a database: {error}; the server's log is {}", server.log_file().display());
    }
    TestDatabase { url: server.url(&name) }
}

async fn start() -> Result<Server, StartError> {
    let settings =
        [("max_connections", "200"), ("shared_buffers", "32MB"), ("max_wal_size", "256MB"), ("log_statement", "none")];
    let settings = settings.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    Server::start_temporary(settings, |_| {}).await
}

async fn create(server: &Server, name: &str) -> sqlx::Result<()> {
    let options = PgConnectOptions::from_str(&server.url("postgres"))?;
    let mut connection = PgConnection::connect_with(&options).await?;
    sqlx::raw_sql(sqlx::AssertSqlSafe(format!("CREATE DATABASE {name}"))).execute(&mut connection).await?;
    connection.close().await
}
