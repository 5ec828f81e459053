//! A process's part of the server's connections, published in its probe's `application_name`.
//!
//! Membership lives in Postgres itself: a claim is there for as long as its session, and a crash gives it back. Whoever
//! wants one takes a lock, publishes it, looks at all the others, and withdraws where they do not fit together. It is
//! published before anybody looks, because the lock holds within one database and the connections are the server's: two
//! that start at the same moment on two databases may refuse each other, but never fit both.

use std::{future::Future, pin::Pin, time::Duration};

use forebay_platform::{
    admin::{Bounds, ProbeSession, refused},
    db::Db,
    problem::{Code, FieldError, Problem},
};
use forebay_pool::{Resize, describe};
use sqlx::{AssertSqlSafe, Connection as _, PgConnection, postgres::PgConnectOptions};
use tokio::sync::Mutex;

use crate::{
    budget::{DoesNotFit, Fleet, STARTING, Share},
    reason::grant,
};

/// Only one process claims at a time; the number is this project's own.
const LOCK: i64 = 0x466f_7265_6261_7901;
/// For the lock, when a process starts. Each holds it for a few round trips.
const PATIENCE: Duration = Duration::from_secs(5);
/// For the lock, when a pool grows: shorter than the probe's own patience, which waits meanwhile.
pub(crate) const PATIENCE_OF_GROWTH: Duration = Duration::from_millis(500);
/// Between two looks whether less would do.
const GIVE_BACK_EVERY: Duration = Duration::from_secs(1);

/// Why nothing was claimed.
#[derive(Debug, thiserror::Error)]
pub enum ClaimError {
    /// There is not so much left.
    #[error(transparent)]
    DoesNotFit(#[from] DoesNotFit),
    /// Somebody holds the lock.
    #[error(
        "another process has been claiming its connections for {} s (advisory lock {LOCK}; pg_locks shows whose). Start again",
        PATIENCE.as_secs()
    )]
    Busy,
    /// The server did not say.
    #[error("cannot ask the database for its connections: {}{}", describe(.0), allowance(.0))]
    Sql(#[from] sqlx::Error),
}

/// What this process may open, for as long as its probe's session lives. After a restart of the server the session comes
/// back with the claim as it was, unchecked: everybody's does.
#[derive(Debug)]
pub struct Claim {
    session: ProbeSession,
    /// What is published now. Locked before the session.
    share: Mutex<Share>,
    db: Db,
}

/// A claim that was granted, for a pool that does not exist yet.
#[derive(Debug)]
pub struct Granted {
    session: ProbeSession,
    share: Share,
}

/// How to open the session that will claim. If this machine goes away without a word, the server notices within half a
/// minute.
pub fn options(base: &PgConnectOptions) -> PgConnectOptions {
    let keepalives = [("tcp_keepalives_idle", "10"), ("tcp_keepalives_interval", "5"), ("tcp_keepalives_count", "3")];
    base.clone().application_name(STARTING).options(keepalives)
}

impl Granted {
    /// Claims `share` over `connection`, which was opened by `options`. Dropped half-way, it claims nothing.
    ///
    /// # Errors
    ///
    /// See [`ClaimError`].
    pub async fn ask(
        mut connection: PgConnection,
        options: &PgConnectOptions,
        share: Share,
    ) -> Result<Self, ClaimError> {
        publish(&mut connection, None, share, PATIENCE).await?;
        let session = ProbeSession::of(connection, options.clone().application_name(&share.claim()));
        Ok(Self { session, share })
    }

    /// Watches over the pool that opens what was granted.
    pub fn of(self, db: Db) -> Claim {
        Claim { session: self.session, share: Mutex::new(self.share), db }
    }
}

impl Claim {
    /// The session that carries it.
    pub fn session(&self) -> ProbeSession {
        self.session.clone()
    }

    /// Changes the pool's bounds. A larger pool is claimed first; a smaller one is given back once its connections are
    /// closed.
    async fn resize(&self, bounds: Resize) -> Result<(), Problem> {
        let mut share = self.share.lock().await;
        // Behind a bouncer none of the pool's is claimed.
        if share.ceiling > 0
            && let Some(ceiling) = bounds.ceiling.filter(|ceiling| *ceiling > share.ceiling)
        {
            self.grow(&mut share, ceiling).await.map_err(not_granted)?;
        }
        self.db.resize(bounds).map_err(refused)
    }

    async fn grow(&self, share: &mut Share, ceiling: u32) -> Result<(), ClaimError> {
        let larger = Share { ceiling, ..*share };
        let mut held = self.session.hold().await;
        let mut connection = held.take().await?;
        let granted = publish(&mut connection, Some(*share), larger, PATIENCE_OF_GROWTH).await;
        if let Ok(()) | Err(ClaimError::DoesNotFit(_)) = granted {
            held.keep(connection);
        }
        granted?;
        held.rename(&larger.claim());
        *share = larger;
        Ok(())
    }

    /// Gives back what a pool that was made smaller does not use any more, once a second; never returns. Dropping the
    /// future stops it.
    pub async fn keep_small(&self) {
        loop {
            tokio::time::sleep(GIVE_BACK_EVERY).await;
            // The next look tries again.
            _ = self.give_back().await;
        }
    }

    async fn give_back(&self) -> sqlx::Result<()> {
        let mut share = self.share.lock().await;
        let Some(pool) = self.db.pool() else { return Ok(()) };
        // The rules' ceiling: the snapshot's is lower while the server is full, and the pool comes back to the rules'.
        let ceiling = pool.rules().ceiling.max(pool.snapshot().open());
        let smaller = Share { ceiling, ..*share };
        if smaller.ceiling < share.ceiling {
            let mut held = self.session.hold().await;
            let mut connection = held.take().await?;
            rename(&mut connection, &smaller.claim()).await?;
            held.keep(connection);
            held.rename(&smaller.claim());
            *share = smaller;
        }
        Ok(())
    }
}

impl Bounds for Claim {
    fn resize(&self, bounds: Resize) -> Pin<Box<dyn Future<Output = Result<(), Problem>> + Send + '_>> {
        Box::pin(self.resize(bounds))
    }
}

/// What to do where the server does not let us look at its sessions.
fn allowance(error: &sqlx::Error) -> String {
    let denied = error.as_database_error().and_then(|answer| grant(answer.message(), "the role in DATABASE_URL"));
    denied.map_or_else(String::new, |grant| {
        format!(". Every process of the shop looks there before it opens a pool. {grant}")
    })
}

pub(crate) fn not_granted(error: ClaimError) -> Problem {
    match error {
        ClaimError::DoesNotFit(arithmetic) => {
            Problem::invalid(vec![FieldError::new("/max", "not-possible", arithmetic.while_serving().to_string())])
        }
        ClaimError::Busy => Problem::new(Code::DependencyUnavailable).detail("another process is claiming; try again"),
        ClaimError::Sql(error) => {
            tracing::warn!(error = %describe(&error), "the connections of a larger pool could not be claimed");
            Problem::new(Code::DependencyUnavailable).detail("the database does not say whether they fit; try again")
        }
    }
}

/// Publishes `share` in the place of `before`, unless it does not fit. A claimant that hangs loses its session, and with
/// it the lock.
async fn publish(
    connection: &mut PgConnection,
    before: Option<Share>,
    share: Share,
    patience: Duration,
) -> Result<(), ClaimError> {
    let mut tx = connection.begin().await?;
    lock(&mut tx, patience).await?;
    rename(&mut tx, &share.claim()).await?;
    match Fleet::read(&mut tx, before.map_or(0, |before| before.total())).await?.fits(share) {
        Ok(()) => Ok(tx.commit().await?),
        Err(does_not_fit) => {
            // Now: the end of the transaction gives the lock back first, and the next would still see the claim.
            rename(&mut tx, &before.map_or_else(|| STARTING.to_owned(), |before| before.claim())).await?;
            tx.rollback().await?;
            Err(does_not_fit.into())
        }
    }
}

pub(crate) async fn rename(connection: &mut PgConnection, application_name: &str) -> sqlx::Result<()> {
    let set = sqlx::query("SELECT set_config('application_name', $1, false)").bind(application_name);
    set.execute(connection).await.map(|_| ())
}

/// Waits until nobody else of this database claims or grows, in a transaction, which keeps the lock to its end.
pub(crate) async fn lock(transaction: &mut PgConnection, patience: Duration) -> Result<(), ClaimError> {
    let limits = format!(
        "SET LOCAL lock_timeout = {0}; SET LOCAL statement_timeout = {0}; \
         SET LOCAL idle_in_transaction_session_timeout = {0}",
        patience.as_millis()
    );
    sqlx::raw_sql(AssertSqlSafe(limits)).execute(&mut *transaction).await?;
    sqlx::query("SELECT pg_advisory_xact_lock($1)").bind(LOCK).execute(transaction).await.map_err(busy)?;
    Ok(())
}

/// A wait for the lock that was too long, by either of its limits.
fn busy(error: sqlx::Error) -> ClaimError {
    let code = error.as_database_error().and_then(|error| error.code());
    if matches!(code.as_deref(), Some("55P03" | "57014")) { ClaimError::Busy } else { error.into() }
}

#[cfg(test)]
mod tests;
