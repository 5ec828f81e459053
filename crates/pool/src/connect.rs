//! Opening one connection, and asking the server in the same breath who it is.

use std::sync::Arc;

use forebay_pool_core::Health;
use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, PgConnection, Row};
use tokio::runtime::{Handle, Id};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::connector::AsConfigured;
use crate::loan::drain;
use crate::residue::Residue;
use crate::sync::Mutex;
use crate::{Addresses, Bouncer, Connector, ServerRole};

mod proof;

/// Opens connections: no more at once than the rules allow, the control connection's dial among them.
#[derive(Debug)]
pub(crate) struct Dialer {
    /// With the pool's name and the session's settings, but for those that follow from the rules.
    pub(crate) options: PgConnectOptions,
    connector: Box<dyn Connector>,
    /// Whether the connector prepares sessions.
    prepares: bool,
    pub(crate) addresses: Addresses,
    pub(crate) bouncer: Bouncer,
    pub(crate) turns: Arc<Semaphore>,
    /// The last way to a server that was tried, and whether a write is committed by itself there.
    tried: Mutex<Option<(i64, bool)>>,
}

impl Dialer {
    pub(crate) fn new(
        options: PgConnectOptions,
        connector: Option<Box<dyn Connector>>,
        addresses: Addresses,
        bouncer: Bouncer,
        turns: Semaphore,
    ) -> Self {
        let turns = Arc::new(turns);
        let connector = connector.unwrap_or_else(|| Box::new(AsConfigured));
        let prepares = connector.prepares();
        Self { options, connector, prepares, addresses, bouncer, turns, tried: Mutex::default() }
    }

    /// Waits until one more may be opened; the place is kept until the value is dropped.
    pub(crate) async fn turn(&self) -> OwnedSemaphorePermit {
        Arc::clone(&self.turns).acquire_owned().await.expect("it is never closed")
    }

    /// What to dial with now.
    pub(crate) async fn options(&self) -> Result<PgConnectOptions, sqlx::Error> {
        let options = self.connector.options(self.options.clone()).await?;
        // A bouncer refuses what it does not know.
        Ok(if self.bouncer == Bouncer::None { options } else { options.extra_float_digits(None) })
    }

    /// Has the connector prepare the session, and makes sure that it was not left in a transaction: it would be the first
    /// user's.
    async fn ask_connector(&self, connection: &mut PgConnection) -> Result<(), sqlx::Error> {
        if !self.prepares {
            return Ok(());
        }
        self.connector.prepare(connection).await?;
        // What an error of the hook's own making left unread.
        drain(connection).await?;
        if is_in_transaction(connection).await? { Err(left_open()) } else { Ok(()) }
    }

    /// Lets so many be opened at once from now on. Those under way go on.
    pub(crate) async fn set_turns(&self, before: u32, now: u32) {
        self.turns.add_permits(now.saturating_sub(before) as usize);
        let fewer = before.saturating_sub(now);
        if fewer > 0 {
            self.turns.acquire_many(fewer).await.expect("it is never closed").forget();
        }
    }
}

/// One backend of the server: its process, and when it began, since the server gives the number of one that is gone to
/// another, which may be somebody else's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Backend {
    pub(crate) pid: i32,
    /// Microseconds on the server's clock; zero where the server does not tell, and then it is never told to stop anything.
    pub(crate) started: i64,
}

/// When a backend began, as a number; of a row of `pg_stat_get_activity`.
pub(crate) const STARTED: &str = "(extract(epoch from backend_start) * 1000000)::bigint";

/// An open connection, and the backend at its other end, to which a cancel is addressed. It lies in a box: it changes hands several
/// times a lease.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) connection: PgConnection,
    pub(crate) backend: Backend,
    /// Whether a write outside a transaction is committed by itself.
    pub(crate) commits: bool,
    pub(crate) residue: Residue,
    /// The runtime that its socket lives on: without it there is no connection.
    pub(crate) home: Id,
}

impl Session {
    /// Connects by these options, with these settings too, asks in one round trip for backend, role and whether the session
    /// is its own, and prepares it.
    pub(crate) async fn open(
        dialer: &Dialer,
        options: PgConnectOptions,
        settings: Vec<(String, String)>,
        wanted: ServerRole,
    ) -> Result<Box<Self>, sqlx::Error> {
        let choice = dialer.addresses.choose(&options).await?;
        let mark = format!("{:016x}", rand::random::<u64>());
        let mut connection = dialer.dial(choice.of(options), &settings, &mark).await?;
        let answer = sqlx::raw_sql(AssertSqlSafe(proof::question(&mark))).fetch_one(&mut connection).await?;
        drain(&mut connection).await?;
        let started: Option<i64> = answer.try_get(1)?;
        // One that works for others too is never told to stop.
        let started = started.filter(|_| !dialer.bouncer.shares_sessions()).unwrap_or(0);
        let backend = Backend { pid: answer.try_get(0)?, started };
        let standby = answer.try_get(2)?;
        dialer.prove(answer.try_get(3)?)?;
        let way = answer.try_get(4)?;
        match wanted {
            ServerRole::Primary if standby => Err(wrong_role("a standby", "a primary")),
            ServerRole::Standby if !standby => Err(wrong_role("a primary", "a standby")),
            _ => {
                let commits = standby || dialer.commits(way, &mut connection).await?;
                dialer.prepare(&mut connection, &settings).await?;
                choice.opened();
                Ok(Box::new(Self {
                    connection,
                    backend,
                    commits,
                    residue: Residue::default(),
                    home: Handle::current().id(),
                }))
            }
        }
    }

    /// Asks whether it answers and still has the role that is wanted: one round trip.
    pub(crate) async fn health(&mut self, wanted: ServerRole) -> Result<Health, sqlx::Error> {
        let answer = sqlx::raw_sql("select pg_is_in_recovery()").fetch_one(&mut self.connection).await?;
        drain(&mut self.connection).await?;
        let standby: bool = answer.try_get(0)?;
        let well = match wanted {
            ServerRole::Primary => !standby,
            ServerRole::Standby => standby,
            ServerRole::Any => true,
        };
        Ok(if well { Health::Well } else { Health::WrongRole })
    }
}

/// Asks the server: one round trip. A transaction that is open began before the question came.
async fn is_in_transaction(connection: &mut PgConnection) -> Result<bool, sqlx::Error> {
    let question = "select pg_catalog.now() <> pg_catalog.statement_timestamp()";
    let answer = sqlx::raw_sql(question).fetch_one(&mut *connection).await.and_then(|row| row.try_get(0));
    drain(connection).await?;
    match answer {
        Err(sqlx::Error::Database(error)) if error.code().as_deref() == Some("25P02") => Ok(true),
        answer => answer,
    }
}

fn left_open() -> sqlx::Error {
    let text = "Connector::prepare left a transaction open: have it commit or roll back before it returns";
    sqlx::Error::Configuration(text.into())
}

fn wrong_role(is: &str, wanted: &str) -> sqlx::Error {
    let text = format!("the server is {is}, and this pool wants {wanted} (Config::role)");
    sqlx::Error::Configuration(text.into())
}
