//! A throw-away server shared by all tests of a process, with a fresh database for each test.
//!
//! It is an embedded one. Built with the feature `testing-containers` and run with `FOREBAY_TEST_SERVER=container`, it is
//! a container of `FOREBAY_TEST_IMAGE` instead, with the same settings.

mod bouncer;
mod choice;
#[cfg(feature = "testing-containers")]
mod container;
mod server;

use std::{
    path::Path,
    str::FromStr as _,
    sync::atomic::{AtomicU32, Ordering},
};

use sqlx::{Connection as _, PgConnection, postgres::PgConnectOptions};
use tokio::sync::OnceCell;

pub use self::{bouncer::TestBouncer, server::TestServer};
use crate::{Account, leftovers::living_on};

/// A start that failed is not tried again: each test would wait as long as the first.
static SERVER: OnceCell<Result<TestServer, String>> = OnceCell::const_new();
/// The bouncer that all tests of a process share, where the environment asks for one.
static BOUNCER: OnceCell<Option<(TestBouncer, &'static str)>> = OnceCell::const_new();
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
        PgConnectOptions::from_str(&self.url).expect("sqlx reads the address of a test's server")
    }

    /// The way to it that a test's pool takes: straight, or through the bouncer that `FOREBAY_TEST_BOUNCER` names.
    ///
    /// # Panics
    ///
    /// The variable names no bouncer, or it cannot be started; the message says what to do.
    pub async fn way(&self) -> Way {
        let start = async || match bouncer::Kind::of_environment() {
            Ok(Some(kind)) => Some((kind.start().await, kind.setting())),
            Ok(None) => None,
            Err(mistake) => panic!("{mistake}"),
        };
        match BOUNCER.get_or_init(start).await {
            Some((bouncer, setting)) => Way { options: bouncer.options(&self.options()), setting },
            None => Way { options: self.options(), setting: "" },
        }
    }
}

/// A pool's way to a database.
#[derive(Clone, Debug)]
pub struct Way {
    /// Its address.
    pub options: PgConnectOptions,
    /// What the pool has to be told of what lies between, as its settings' text: nothing where nothing does.
    pub setting: &'static str,
}

/// The shared server, which is started for the first who asks: not durable, 200 connections, removed when the process
/// ends, however it ends. It lives past the runtime of the test that happened to start it.
///
/// # Panics
///
/// It cannot be started; the message says what to do.
pub async fn server() -> &'static TestServer {
    let start = async || TestServer::start().await.map_err(|error| error.to_string());
    match SERVER.get_or_init(start).await {
        Ok(server) => server,
        Err(error) => panic!("a test needs Postgres: {error}"),
    }
}

/// The Postgres processes that run on a data folder, whichever account they belong to.
///
/// # Panics
///
/// This machine does not show them.
pub async fn processes_on(data: &Path) -> Vec<u32> {
    let account = Account::choose(data).expect("the folder is ours");
    living_on(data, account.as_ref(), None).await.expect("processes can be listed")
}

/// A fresh, empty database on the shared server.
///
/// # Panics
///
/// The server cannot be started or refuses; the message says why.
pub async fn database() -> TestDatabase {
    database_like("template1").await
}

/// A database that is filled once in a process, and copied for each test that asks: migrations take longer than a copy.
///
/// ```no_run
/// use forebay_embedded::testing::Template;
/// use sqlx::{Connection, PgConnection};
///
/// static WITH_TABLE: Template = Template::new();
///
/// # async fn test() -> sqlx::Result<()> {
/// let database = WITH_TABLE.database(async |template| {
///     let mut connection = PgConnection::connect_with(&template.options()).await.unwrap();
///     sqlx::raw_sql("create table t (n int)").execute(&mut connection).await.unwrap();
///     connection.close().await.unwrap();
/// });
/// let mut connection = PgConnection::connect_with(&database.await.options()).await?;
/// sqlx::raw_sql("insert into t values (1)").execute(&mut connection).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Default)]
pub struct Template(OnceCell<String>);

impl Template {
    /// One that nobody has filled yet.
    pub const fn new() -> Self {
        Self(OnceCell::const_new())
    }

    /// A fresh database on the shared server, a copy of what `fill` makes for the first who asks. `fill` leaves no
    /// session open: Postgres copies no database that somebody uses.
    ///
    /// # Panics
    ///
    /// As [`database`] does, and when the template is still in use after 5 s.
    pub async fn database(&self, fill: impl AsyncFnOnce(TestDatabase)) -> TestDatabase {
        let made = async || {
            let template = database().await;
            let name = template.options().get_database().expect("it has a name").to_owned();
            fill(template).await;
            name
        };
        database_like(self.0.get_or_init(made).await).await
    }
}

async fn database_like(template: &str) -> TestDatabase {
    let server = server().await;
    let name = format!("test_{}", NEXT.fetch_add(1, Ordering::Relaxed));
    if let Err(error) = create(server, &name, template).await {
        panic!("a test needs a database: {error}; {}", server.log().await);
    }
    TestDatabase { url: server.url(&name) }
}

async fn create(server: &TestServer, name: &str, template: &str) -> sqlx::Result<()> {
    let options = PgConnectOptions::from_str(&server.url("postgres"))?;
    let mut connection = PgConnection::connect_with(&options).await?;
    let create = format!("CREATE DATABASE {name} TEMPLATE {template}");
    sqlx::raw_sql(sqlx::AssertSqlSafe(create)).execute(&mut connection).await?;
    connection.close().await
}
