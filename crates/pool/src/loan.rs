use std::panic::Location;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use forebay_pool_core::{Activity, Class, SlotId};
use sqlx::{Connection, PgConnection};

use crate::error::{Holder, PoolError};

/// One lease's hold on a connection, shared by its holder and the pool.
///
/// The connection lies in here between statements, so that the pool can take it back from a holder that runs none; a
/// statement takes it out, and puts it back when it ends or is dropped.
#[derive(Debug)]
pub(crate) struct Loan {
    pub(crate) slot: SlotId,
    pub(crate) class: Class,
    pub(crate) site: &'static Location<'static>,
    pub(crate) acquired: Instant,
    desk: Mutex<Desk>,
}

#[derive(Debug)]
struct Desk {
    place: Place,
    transaction: Transaction,
    /// Whether the last answer was read to its end.
    drained: bool,
    /// Whether the connection failed in a way it cannot recover from.
    broken: bool,
}

#[derive(Debug)]
enum Place {
    Here { connection: PgConnection, since: Instant },
    WithStatement,
    Revoked { held_idle: Duration },
    Returned,
}

/// A connection that must be cleaned before anyone else may have it.
#[derive(Debug)]
pub(crate) struct Soiled {
    pub(crate) connection: PgConnection,
    /// Whether a transaction is open: ROLLBACK elsewhere would write a warning into the server's log.
    pub(crate) in_transaction: bool,
}

/// How a loan ended.
#[derive(Debug)]
pub(crate) enum Returned {
    Clean(PgConnection),
    Dirty(Soiled),
    Broken,
}

/// What the server thinks of a transaction on this connection, as far as it went through us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Transaction {
    None,
    /// BEGIN may have left.
    Open,
    /// A statement in it failed: COMMIT would store nothing.
    Failed,
    /// Its [`crate::Tx`] was dropped without an end: rolled back before anything else.
    Abandoned,
}

impl Loan {
    pub(crate) fn new(
        slot: SlotId,
        class: Class,
        site: &'static Location<'static>,
        acquired: Instant,
        connection: PgConnection,
    ) -> Self {
        let desk = Desk {
            place: Place::Here { connection, since: acquired },
            transaction: Transaction::None,
            drained: true,
            broken: false,
        };
        Self { slot, class, site, acquired, desk: Mutex::new(desk) }
    }

    fn desk(&self) -> MutexGuard<'_, Desk> {
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn transaction(&self) -> Transaction {
        self.desk().transaction
    }

    pub(crate) fn set_transaction(&self, transaction: Transaction) {
        self.desk().transaction = transaction;
    }

    pub(crate) fn activity(&self) -> Activity {
        match self.desk().place {
            Place::Here { since, .. } => Activity::HeldIdle { since },
            _ => Activity::Running,
        }
    }

    pub(crate) fn holder(&self, now: Instant) -> Holder {
        let held_idle = match self.activity() {
            Activity::HeldIdle { since } => now.saturating_duration_since(since),
            Activity::Running => Duration::ZERO,
        };
        let held = now.saturating_duration_since(self.acquired);
        Holder { site: self.site, class: self.class, held, held_idle }
    }

    /// Takes the connection back, unless a statement has it.
    pub(crate) fn revoke(&self, now: Instant) -> Option<Soiled> {
        let mut desk = self.desk();
        let Place::Here { since, .. } = desk.place else { return None };
        let held_idle = now.saturating_duration_since(since);
        let in_transaction = desk.transaction != Transaction::None;
        match std::mem::replace(&mut desk.place, Place::Revoked { held_idle }) {
            Place::Here { connection, .. } => Some(Soiled { connection, in_transaction }),
            _ => None,
        }
    }

    /// Ends the loan, unless the connection was taken back before.
    pub(crate) fn end(&self) -> Option<Returned> {
        let mut desk = self.desk();
        let in_transaction = desk.transaction != Transaction::None;
        let (broken, drained) = (desk.broken, desk.drained);
        match std::mem::replace(&mut desk.place, Place::Returned) {
            Place::Here { .. } | Place::WithStatement if broken => Some(Returned::Broken),
            Place::Here { connection, .. } if drained && !in_transaction => Some(Returned::Clean(connection)),
            Place::Here { connection, .. } => Some(Returned::Dirty(Soiled { connection, in_transaction })),
            Place::WithStatement => Some(Returned::Broken),
            Place::Revoked { .. } | Place::Returned => None,
        }
    }

    /// Whether answers are left unread.
    pub(crate) fn is_behind(&self) -> bool {
        !self.desk().drained
    }

    /// Takes the connection out for one statement.
    pub(crate) fn take(&self) -> Result<Statement<'_>, PoolError> {
        let mut desk = self.desk();
        match std::mem::replace(&mut desk.place, Place::WithStatement) {
            Place::Here { connection, .. } => {
                let behind = !std::mem::replace(&mut desk.drained, false);
                let connection = Some(connection);
                Ok(Statement { loan: self, connection, behind, failed: false, end: End::CutShort })
            }
            other => {
                let error = match other {
                    Place::Revoked { held_idle } => PoolError::Revoked { held_idle },
                    _ => PoolError::Lost,
                };
                desk.place = other;
                Err(error)
            }
        }
    }
}

/// The connection while a statement runs on it. However it ends, the connection goes back onto the desk; only
/// [`Statement::settle`] says that nothing of the answer is left unread.
#[derive(Debug)]
pub(crate) struct Statement<'l> {
    loan: &'l Loan,
    connection: Option<PgConnection>,
    /// Whether an earlier statement, cut short, has left answers unread.
    behind: bool,
    /// Whether the server answered with an error.
    failed: bool,
    end: End,
}

/// How a statement left its connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    CutShort,
    Drained,
    Broken,
}

impl Statement<'_> {
    pub(crate) fn connection(&mut self) -> &mut PgConnection {
        self.connection.as_mut().expect("it is put back only on drop")
    }

    /// Reads what an earlier statement left unread, so that a late error is not taken for this one's answer, and rolls
    /// back what a dropped transaction left open.
    pub(crate) async fn begin(&mut self) -> Result<(), sqlx::Error> {
        if std::mem::take(&mut self.behind) {
            match drain(self.connection()).await {
                Ok(late) => self.failed |= late,
                Err(error) => {
                    self.end = End::Broken;
                    return Err(error);
                }
            }
        }
        if self.loan.transaction() == Transaction::Abandoned {
            clean(self.connection(), true).await?;
            self.loan.set_transaction(Transaction::None);
        }
        Ok(())
    }

    /// Reads what is left of the answer. A server's error leaves its last message unread: reading it now costs no round
    /// trip, and leaving it would make the connection dirty.
    pub(crate) async fn settle(&mut self, error: Option<&sqlx::Error>) {
        match error {
            None => {}
            Some(sqlx::Error::Database(_)) => self.failed = true,
            Some(sqlx::Error::Io(_) | sqlx::Error::Protocol(_) | sqlx::Error::Tls(_) | sqlx::Error::WorkerCrashed) => {
                self.end = End::Broken;
                return;
            }
            Some(_) => {}
        }
        match drain(self.connection()).await {
            Ok(late) => {
                self.failed |= late;
                self.end = End::Drained;
            }
            Err(_) => self.end = End::Broken,
        }
    }
}

impl Drop for Statement<'_> {
    fn drop(&mut self) {
        let mut desk = self.loan.desk();
        let since = tokio::time::Instant::now().into_std();
        let connection = self.connection.take().expect("it is put back only here");
        desk.place = Place::Here { connection, since };
        desk.drained = self.end == End::Drained;
        desk.broken |= self.end == End::Broken;
        if self.failed && desk.transaction == Transaction::Open {
            desk.transaction = Transaction::Failed;
        }
    }
}

/// Reads until the server is ready; says whether a late error was among it.
async fn drain(connection: &mut PgConnection) -> Result<bool, sqlx::Error> {
    let mut late = false;
    loop {
        match connection.flush().await {
            Ok(()) => return Ok(late),
            // The first call hands out the late error, a second one goes on behind it.
            Err(sqlx::Error::Database(_)) => late = true,
            Err(error) => return Err(error),
        }
    }
}

/// Makes a connection that came back dirty usable again.
pub(crate) async fn clean(connection: &mut PgConnection, rollback: bool) -> Result<(), sqlx::Error> {
    drain(connection).await?;
    if rollback {
        sqlx::raw_sql("ROLLBACK").execute(&mut *connection).await?;
        drain(connection).await?;
    }
    Ok(())
}
