use std::ops::Deref;
use std::panic::Location;
use std::sync::{Arc, PoisonError};
// Nobody acts on how long a lease was idle: it is no matter who comes first.
use std::sync::atomic::AtomicU64 as Nanos;
use std::sync::atomic::Ordering;
use std::task::Waker;
use std::time::{Duration, Instant};

use forebay_pool_core::{Class, SlotId};
use sqlx::SqlStr;
use tokio::task;

use crate::connect::{Backend, Session};
use crate::error::PoolError;
use crate::statement::{Effect, Trace};
use crate::sync::{AtomicU64, Mutex, MutexGuard};
use crate::{Admission, Sql};

mod running;
mod watch;

pub(crate) use running::{Statement, command, drain, in_step};

/// One lease's hold on a connection, shared by its holder and the pool.
///
/// The connection lies in here between statements, so that the pool can take it back from a holder that runs none; a
/// statement takes it out, and puts it back when it ends or is dropped.
#[derive(Debug)]
pub(crate) struct Loan {
    pub(crate) slot: SlotId,
    pub(crate) borrower: Borrower,
    pub(crate) acquired: Instant,
    pub(crate) backend: Backend,
    /// Moves with every row of an answer: odd while the consumer has its turn, even while the server has.
    turn: AtomicU64,
    /// For how long no statement ran between others, or the server waited for the reader of its rows, in nanoseconds.
    idle: Nanos,
    /// For how long statements ran, in nanoseconds.
    ran: Nanos,
    /// How many.
    statements: Nanos,
    /// Since when the consumer of an answer has had its turn, in nanoseconds since the lease began.
    paused: Nanos,
    desk: Mutex<Desk>,
}

/// A holder's part of a loan, until it gives the connection back.
#[derive(Debug)]
pub(crate) struct Held(Option<Arc<Loan>>);

impl Held {
    pub(crate) const fn new(loan: Arc<Loan>) -> Self {
        Self(Some(loan))
    }

    pub(crate) const fn give_back(&mut self) -> Option<Arc<Loan>> {
        self.0.take()
    }

    pub(crate) fn share(&self) -> Arc<Loan> {
        Arc::clone(self.get())
    }

    const fn get(&self) -> &Arc<Loan> {
        self.0.as_ref().expect("it is given back only on drop")
    }
}

impl Deref for Held {
    type Target = Loan;

    fn deref(&self) -> &Loan {
        self.get()
    }
}

/// Who asks for a connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Borrower {
    pub(crate) class: Class,
    pub(crate) site: &'static Location<'static>,
    /// The task that polls, if one does.
    pub(crate) task: Option<task::Id>,
    /// When what they do is of no use any more.
    pub(crate) deadline: Instant,
}

impl Borrower {
    /// The task is the present one.
    pub(crate) fn here(admission: &Admission, site: &'static Location<'static>) -> Self {
        Self { class: admission.class(), site, task: task::try_id(), deadline: admission.deadline() }
    }
}

#[derive(Debug)]
struct Desk {
    place: Place,
    transaction: Transaction,
    /// The outermost savepoint whose transaction was dropped without an end.
    savepoint: Option<u32>,
    answer: Answer,
    trace: Trace,
    /// Whether the server said that it cannot write: before anyone else has it, it is asked whether it ever will.
    read_only: bool,
    /// How long the server may be silent within one statement.
    limit: Option<Duration>,
    /// Whether the server refused something for the sake of another transaction: to do it again may help.
    conflict: bool,
    /// Whether a statement ended by the server's time limit.
    timed_out: bool,
    /// The last statement of its holder's.
    runs: Option<Sql>,
}

#[derive(Debug)]
enum Place {
    Here {
        session: Box<Session>,
        since: Instant,
    },
    /// A statement has it. Its turn as it was seen last, and since when it is so.
    Running {
        seen: (u64, Instant),
        /// When it is of no use any more.
        until: Option<Instant>,
        waker: Option<Waker>,
        given_up: Option<Duration>,
        /// Whether a large row has come.
        bulky: bool,
    },
    /// Somebody has it raw: what they do is not seen.
    Raw,
    /// A statement has it, but its backend was ended: what comes back is closed.
    Ended {
        held_idle: Duration,
    },
    Revoked {
        held_idle: Duration,
    },
    Returned,
}

/// How much of the last statement's answer is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    Drained,
    CutShort,
    /// Somebody had the connection raw: even how many answers are to come is not known.
    Raw,
    /// The connection failed in a way it cannot recover from.
    Broken,
}

/// A connection that must be cleaned before anyone else may have it.
#[derive(Debug)]
pub(crate) struct Soiled {
    pub(crate) session: Box<Session>,
    /// Where it was not read to its end, the statement may still run.
    pub(crate) answer: Answer,
    /// Whether a transaction is open: ROLLBACK elsewhere would write a warning into the server's log.
    pub(crate) in_transaction: bool,
    pub(crate) trace: Trace,
    /// Whether to ask the server if it has become a standby.
    pub(crate) read_only: bool,
}

impl Soiled {
    const fn is_clean(&self) -> bool {
        let read = matches!(self.answer, Answer::Drained);
        let restored = !self.in_transaction && !self.read_only && matches!(self.trace, Trace::None);
        read && restored && self.session.residue.is_small()
    }
}

/// How a connection was left, where a statement finds it.
#[derive(Clone, Copy, Debug)]
struct Before {
    answer: Answer,
    transaction: Transaction,
    savepoint: Option<u32>,
}

/// How a loan ended.
#[derive(Debug)]
pub(crate) enum Returned {
    Clean(Box<Session>),
    Dirty(Soiled),
    /// The same, and the server was cut off in the middle of a statement, by the holder or by its own time limit.
    Interrupted(Soiled),
    /// Clean, but the server's time limit ended a statement.
    TimedOut(Box<Session>),
    /// The connection is of no use; its backend may not know.
    Broken,
}

/// What the pool took back from a holder.
#[derive(Debug)]
pub(crate) enum Taken {
    Session(Soiled),
    /// An answer that nobody reads on has the connection: its backend has to be ended.
    Backend(Backend),
}

impl Taken {
    pub(crate) const fn backend(&self) -> Backend {
        match self {
            Self::Session(soiled) => soiled.session.backend,
            Self::Backend(backend) => *backend,
        }
    }
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
    /// It was begun by the text of a statement, and only text ends it before the lease ends.
    ByText,
}

/// What a lease has done.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Used {
    /// For how long none of its statements ran.
    pub(crate) idle: Duration,
    /// For how long they ran.
    pub(crate) ran: Duration,
    /// How many there were, with those that begin and end transactions.
    pub(crate) statements: u64,
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// What the server needs on top of its own limit until its error has arrived here.
const GRACE: Duration = Duration::from_millis(250);

impl Loan {
    /// The turn's bit that says that the pool has ended the backend.
    const ENDED: u64 = 1 << 63;

    pub(crate) fn new(
        slot: SlotId,
        borrower: Borrower,
        acquired: Instant,
        session: Box<Session>,
        limit: Option<Duration>,
    ) -> Self {
        let backend = session.backend;
        let desk = Desk {
            place: Place::Here { session, since: acquired },
            transaction: Transaction::None,
            savepoint: None,
            answer: Answer::Drained,
            trace: Trace::None,
            read_only: false,
            limit,
            conflict: false,
            timed_out: false,
            runs: None,
        };
        let [idle, ran, statements, paused] = [const { Nanos::new(0) }; 4];
        let (turn, desk) = (AtomicU64::new(0), Mutex::new(desk));
        Self { slot, borrower, acquired, backend, turn, idle, ran, statements, paused, desk }
    }

    fn desk(&self) -> MutexGuard<'_, Desk> {
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    // --- transactions -----------------------------------------------------------------------------------------

    pub(crate) fn transaction(&self) -> Transaction {
        self.desk().transaction
    }

    pub(crate) fn set_transaction(&self, transaction: Transaction) {
        self.desk().transaction = transaction;
    }

    /// The savepoint, and all inside of it, is to be rolled back before anything else.
    pub(crate) fn abandon_savepoint(&self, level: u32) {
        let mut desk = self.desk();
        desk.savepoint = Some(desk.savepoint.map_or(level, |outer| outer.min(level)));
    }

    /// What was open at this savepoint is rolled back to it.
    pub(crate) fn rolled_back_to(&self) {
        let mut desk = self.desk();
        desk.savepoint = None;
        if desk.transaction == Transaction::Failed {
            desk.transaction = Transaction::Open;
        }
    }

    /// A statement failed.
    pub(crate) fn fail(&self) {
        self.desk().fail();
    }

    /// Whether the transaction was refused for the sake of another one, so that to repeat it may help.
    pub(crate) fn met_conflict(&self) -> bool {
        self.desk().conflict
    }

    /// Whether something has to be done on the connection before a statement can be given to it.
    pub(crate) fn is_behind(&self) -> bool {
        let desk = self.desk();
        desk.answer != Answer::Drained || desk.savepoint.is_some()
    }

    /// The limit of a transaction's statements, where it names `named`: no longer than until the deadline. `None` leaves the
    /// session's.
    ///
    /// # Errors
    /// The deadline has passed.
    pub(crate) fn limit_within(&self, named: Option<Duration>) -> Result<Option<Duration>, PoolError> {
        /// What the server can be told; a deadline beyond is none.
        const LONGEST: Duration = Duration::from_millis(i32::MAX.unsigned_abs() as u64);
        let left = self.borrower.deadline.saturating_duration_since(crate::clock::now());
        if left.is_zero() {
            return Err(PoolError::TooLate);
        }
        let limit = named.or(self.desk().limit).filter(|limit| !limit.is_zero()).unwrap_or(LONGEST);
        Ok(if left < limit { Some(left) } else { named })
    }

    /// How long the server may be silent, in place of the limit until now, which is returned.
    pub(crate) fn set_limit(&self, limit: Option<Duration>) -> Option<Duration> {
        std::mem::replace(&mut self.desk().limit, limit)
    }

    // --- its end ----------------------------------------------------------------------------------------------

    /// Takes the connection back, unless a statement runs on it, or one has run since it was seen idle for so long.
    pub(crate) fn revoke(&self, now: Instant, idle_for: Duration) -> Option<Taken> {
        let mut desk = self.desk();
        let since = self.idle_since(&mut desk, now)?;
        if now.saturating_duration_since(since) < idle_for {
            return None;
        }
        self.revoke_idle(&mut desk, now)
    }

    fn revoke_idle(&self, desk: &mut Desk, now: Instant) -> Option<Taken> {
        let held_idle = now.saturating_duration_since(self.idle_since(desk, now)?);
        if matches!(desk.place, Place::Here { .. }) {
            return desk.leave(Place::Revoked { held_idle }).map(Taken::Session);
        }
        self.turn.fetch_or(Self::ENDED, Ordering::Relaxed);
        desk.place = Place::Ended { held_idle };
        Some(Taken::Backend(self.backend))
    }

    /// Takes the connection back whatever its holder does with it: what runs on it is ended. Whom to wake for it.
    pub(crate) fn seize(&self, now: Instant) -> (Option<Taken>, Option<Waker>) {
        // Under one lock: a statement that ended between two looks would be seen by neither.
        let mut desk = self.desk();
        if let Some(taken) = self.revoke_idle(&mut desk, now) {
            return (Some(taken), None);
        }
        let waker = match &mut desk.place {
            Place::Running { waker, .. } => waker.take(),
            Place::Raw => None,
            _ => return (None, None),
        };
        self.turn.fetch_or(Self::ENDED, Ordering::Relaxed);
        desk.place = Place::Ended { held_idle: Duration::ZERO };
        (Some(Taken::Backend(self.backend)), waker)
    }

    /// Ends the loan, unless the connection was taken back before.
    pub(crate) fn end(&self, now: Instant) -> Option<Returned> {
        let mut desk = self.desk();
        match desk.place {
            Place::Here { since, .. } => self.was_idle(since, now),
            Place::Running { .. } | Place::Raw => {
                desk.place = Place::Returned;
                return Some(Returned::Broken);
            }
            Place::Ended { .. } | Place::Revoked { .. } | Place::Returned => return None,
        }
        let (broken, timed_out) = (desk.answer == Answer::Broken, desk.timed_out);
        let soiled = desk.leave(Place::Returned)?;
        if broken {
            // The connection is closed after the unlock.
            drop(desk);
            return Some(Returned::Broken);
        }
        let servers_turn = self.turn.load(Ordering::Relaxed).is_multiple_of(2);
        Some(match soiled.answer {
            _ if soiled.is_clean() && timed_out => Returned::TimedOut(soiled.session),
            _ if soiled.is_clean() => Returned::Clean(soiled.session),
            _ if timed_out => Returned::Interrupted(soiled),
            Answer::CutShort if servers_turn => Returned::Interrupted(soiled),
            _ => Returned::Dirty(soiled),
        })
    }

    /// Takes the connection out for one command of ours, which is not ended at the deadline: a COMMIT would be lost.
    pub(crate) fn take(&self) -> Result<Statement<'_>, PoolError> {
        let now = crate::clock::now();
        self.take_out(now, None, |turn, _| Place::running(turn, now, None))
    }

    /// Takes the connection out for this statement, unless the deadline has passed. In a transaction, which one may be begun
    /// `for_it`, the server knows it too, and its error is waited for.
    pub(crate) fn take_in_time(&self, sql: &SqlStr, for_it: bool) -> Result<Statement<'_>, PoolError> {
        let (now, deadline) = (crate::clock::now(), self.borrower.deadline);
        if deadline <= now {
            // Whoever overlooks the error shall not store the rest without it.
            self.fail();
            return Err(PoolError::TooLate);
        }
        self.take_out(now, Some(Sql::of(sql)), |turn, transaction| {
            let grace = if for_it || transaction == Transaction::Open { GRACE } else { Duration::ZERO };
            Place::running(turn, now, Some(deadline + grace))
        })
    }

    /// Takes the connection out for somebody who does with it what they like.
    pub(crate) fn take_raw(&self) -> Result<Statement<'_>, PoolError> {
        let mut statement = self.take_out(crate::clock::now(), None, |_, _| Place::Raw)?;
        statement.is_raw();
        self.desk().trace = Trace::Unknown;
        Ok(statement)
    }

    fn take_out(
        &self,
        now: Instant,
        runs: Option<Sql>,
        place: impl FnOnce(u64, Transaction) -> Place,
    ) -> Result<Statement<'_>, PoolError> {
        let mut desk = self.desk();
        // An answer that was dropped half-read has left it odd.
        let turn = self.turn.load(Ordering::Relaxed).next_multiple_of(2);
        self.turn.store(turn, Ordering::Relaxed);
        match std::mem::replace(&mut desk.place, Place::Returned) {
            Place::Here { session, since } => {
                self.was_idle(since, now);
                if runs.is_some() {
                    desk.runs = runs;
                }
                desk.place = place(turn, desk.transaction);
                let answer = std::mem::replace(&mut desk.answer, Answer::CutShort);
                let before = Before { answer, transaction: desk.transaction, savepoint: desk.savepoint };
                Ok(Statement::new(self, session, before, now))
            }
            other => {
                desk.place = other;
                drop(desk);
                Err(self.revocation())
            }
        }
    }

    /// What a statement may do from the moment it leaves.
    fn expect(&self, effect: Effect) {
        let mut desk = self.desk();
        desk.trace = desk.trace.max(effect.trace);
        if effect.opens && desk.transaction == Transaction::None {
            desk.transaction = Transaction::ByText;
        }
    }
}

impl Place {
    const fn running(turn: u64, now: Instant, until: Option<Instant>) -> Self {
        Self::Running { seen: (turn, now), until, waker: None, given_up: None, bulky: false }
    }
}

impl Desk {
    fn fail(&mut self) {
        if self.transaction == Transaction::Open {
            self.transaction = Transaction::Failed;
        }
    }

    /// The connection leaves for good.
    fn leave(&mut self, place: Place) -> Option<Soiled> {
        match std::mem::replace(&mut self.place, place) {
            Place::Here { session, .. } => Some(Soiled {
                session,
                answer: self.answer,
                in_transaction: self.transaction != Transaction::None,
                trace: self.trace,
                read_only: self.read_only,
            }),
            _ => None,
        }
    }
}
