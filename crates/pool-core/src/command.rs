//! What a shell says to the ledger, and what it hears at once.

use std::time::Instant;

use crate::{Class, Refusal, SlotId, WaiterId};

/// One request for a connection.
#[derive(Clone, Copy, Debug)]
pub struct Ask {
    pub(crate) class: Class,
    pub(crate) deadline: Instant,
    /// Its wait for a connection ends then.
    pub(crate) latest: Instant,
    pub(crate) continuation: bool,
    pub(crate) home: u32,
}

impl Ask {
    /// A request that has not executed anything yet, and is of no use after `deadline`.
    #[must_use]
    pub const fn new(class: Class, deadline: Instant) -> Self {
        Self { class, deadline, latest: deadline, continuation: false, home: 0 }
    }

    /// The same, for somebody who waits for a connection until `latest` at most. That says nothing of when it must be done:
    /// who gets its connection by then may hold it until the deadline.
    #[must_use]
    pub fn waiting_until(self, latest: Instant) -> Self {
        Self { latest: latest.min(self.deadline), ..self }
    }

    /// The same, for a request that has already executed something: first in rank, and never shed.
    #[must_use]
    pub const fn continuing(self) -> Self {
        Self { continuation: true, ..self }
    }

    /// The same, for somebody at this home: its connections run only while somebody is there. Those of another home are
    /// checked before they are lent here, and those of its own come first. Zero is no home in particular.
    #[must_use]
    pub const fn at(self, home: u32) -> Self {
        Self { home, ..self }
    }
}

/// The answer to [`crate::Ledger::acquire`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Acquired {
    /// Here it is.
    Leased(SlotId),
    /// Wait for an [`crate::Action::Grant`] or an [`crate::Action::Refuse`] with this id.
    Waiting(WaiterId),
    /// No.
    Refused(Refusal),
}

/// In which state a lease comes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Return {
    /// Nothing is pending and no transaction is open: the next one may have it as it is.
    Clean,
    /// Clean, and nobody ever had it: its holder had left when it was granted. Says nothing about how long leases last.
    Unused,
    /// An answer was not read to its end, or a transaction is open.
    Dirty,
    /// Dirty, and nothing was got out of it: the server was still at it when its holder, or its own time limit, would not wait any
    /// longer.
    Interrupted,
    /// Clean, and nothing was got out of it either: the server's time limit ended a statement.
    TimedOut,
    /// The connection is lost.
    Broken,
    /// What the connection lived on in this process is gone: it is of no use, and the server is not to blame.
    Stranded,
    /// The holder keeps the connection for good: its place is free when [`crate::Ledger::closed`] says so.
    Detached,
}

/// How a connection was found when it was checked or cleaned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Health {
    /// Ready for the next one.
    Well,
    /// It answers, but its server has not the role that is wanted any more: a primary has become a standby.
    WrongRole,
    /// It does not answer, or not in time.
    Lost,
    /// What it lives on in this process is gone, or does not run: the server was not asked.
    OutOfReach,
}

/// What the holder of a lease is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activity {
    /// A statement runs.
    Running,
    /// No statement has run since then.
    HeldIdle {
        /// When the last statement ended, or when the lease began.
        since: Instant,
    },
}

/// New bounds at run time; what is `None` stays.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Resize {
    /// Connections kept open without traffic.
    pub min_idle: Option<u32>,
    /// The most connections that may exist.
    pub ceiling: Option<u32>,
    /// The limit, which then stays where it is put. Zero gives it back to the sizer.
    pub limit: Option<u32>,
}

/// Why a connection could not be opened, as far as it matters to the pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum OpenFailure {
    /// The server has no room (SQLSTATE 53300, 53400): the ceiling is lowered to what exists for a minute, and then rises
    /// by one with each connection that could be opened.
    NoRoom,
    /// Credentials or a setting are wrong: trying again soon is of no use, unless somebody waits for it.
    Misconfigured,
    /// The database is not there: somebody may be making it.
    NotYet,
    /// Anything else: refused, timed out, shutting down.
    Other,
}
