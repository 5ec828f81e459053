use std::time::{Duration, Instant};

use crate::{Class, SlotId, WaiterId};

/// The right to open one connection. Only the ledger mints it, and it is used up by [`crate::Ledger::opened`] or
/// [`crate::Ledger::open_failed`]: the count of connections can never run ahead of what was allowed.
#[derive(Debug)]
#[must_use = "an opening that is never answered holds its place for ever"]
pub struct Opening {
    pub(crate) slot: SlotId,
    pub(crate) limit: Duration,
    /// On the clock that shows only the time in which the pool ran.
    pub(crate) begun: Instant,
    pub(crate) reason: OpenReason,
    /// The connection whose place this one takes, once it is open.
    pub(crate) replaces: Option<SlotId>,
}

impl Opening {
    /// The place the connection will have.
    #[must_use]
    pub const fn slot(&self) -> SlotId {
        self.slot
    }

    /// How long the attempt may take.
    #[must_use]
    pub const fn limit(&self) -> Duration {
        self.limit
    }

    /// What it is opened for.
    #[must_use]
    pub const fn reason(&self) -> OpenReason {
        self.reason
    }
}

/// What a connection is opened for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum OpenReason {
    /// Somebody with a place waits for one.
    Waiter,
    /// There are fewer than the minimum, or none at all and the server is tried again.
    Minimum,
    /// Every place below the reserve is taken, so the reserve's connections are opened.
    Reserve,
    /// An aged one is to be replaced.
    Replacement,
}

impl OpenReason {
    /// Every reason.
    pub const ALL: [Self; 4] = [Self::Waiter, Self::Minimum, Self::Reserve, Self::Replacement];

    /// The reason's name in metrics and logs.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Waiter => "waiter",
            Self::Minimum => "minimum",
            Self::Reserve => "reserve",
            Self::Replacement => "replacement",
        }
    }
}

/// Why a connection is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CloseReason {
    /// Nobody needed it for too long.
    Idle,
    /// It reached its lifetime.
    Aged,
    /// All connections of its time are replaced: the server changed, or a person asked for it.
    Flushed,
    /// There are more than may exist.
    Surplus,
    /// It did not answer a check.
    Unwell,
    /// It answered, but its server has not the role that is wanted any more.
    WrongRole,
    /// It came back dirty and did not become clean.
    Dirty,
    /// It was lost under its lease.
    Broken,
    /// Its holder kept it.
    Detached,
    /// What it lived on in this process is gone: the server is not to blame.
    Stranded,
    /// The pool is closed.
    PoolClosed,
}

impl CloseReason {
    /// Every reason.
    pub const ALL: [Self; 11] = [
        Self::Idle,
        Self::Aged,
        Self::Flushed,
        Self::Surplus,
        Self::Unwell,
        Self::WrongRole,
        Self::Dirty,
        Self::Broken,
        Self::Detached,
        Self::Stranded,
        Self::PoolClosed,
    ];

    /// The reason's name in metrics and logs.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Aged => "aged",
            Self::Flushed => "flushed",
            Self::Surplus => "surplus",
            Self::Unwell => "unwell",
            Self::WrongRole => "wrong_role",
            Self::Dirty => "dirty",
            Self::Broken => "broken",
            Self::Detached => "detached",
            Self::Stranded => "stranded",
            Self::PoolClosed => "pool_closed",
        }
    }
}

/// Why a request was shed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ShedReason {
    /// It would have waited longer than its class may.
    PredictedWait,
    /// It could not have finished before its deadline.
    Deadline,
    /// The wait queue is at its capacity.
    QueueFull,
    /// It was let in, and then waited twice as long as its class may.
    Sojourn,
}

impl ShedReason {
    /// Every reason.
    pub const ALL: [Self; 4] = [Self::PredictedWait, Self::Deadline, Self::QueueFull, Self::Sojourn];

    /// The reason's name in metrics, logs and problem bodies.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::PredictedWait => "predicted_wait",
            Self::Deadline => "deadline",
            Self::QueueFull => "queue_full",
            Self::Sojourn => "sojourn",
        }
    }
}

/// Why a caller gets no connection. One variant for each reaction it can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Refusal {
    /// Refused on purpose, early: nothing was executed, come back after `retry_after`.
    Shed {
        /// The class that was refused.
        class: Class,
        /// Why.
        reason: ShedReason,
        /// When there should be room again, before any jitter.
        retry_after: Duration,
    },
    /// The deadline passed first.
    Timeout {
        /// How long the caller had waited.
        waited: Duration,
        /// Whether the request had executed something before.
        continuation: bool,
    },
    /// Nothing is alive and opening fails.
    Unavailable {
        /// How long nothing could be opened.
        since: Duration,
        /// When the next attempt should have ended.
        retry_after: Duration,
    },
    /// The pool is closed.
    Closed,
}

/// What the shell has to do. Nothing is done twice, and the order is the order of decision.
#[derive(Debug)]
pub enum Action {
    /// Open a connection, in the background.
    Open(Opening),
    /// Ping an idle connection and answer with [`crate::Ledger::checked`].
    Check {
        /// Which.
        slot: SlotId,
        /// How long it may take.
        limit: Duration,
        /// Whether to ask also for its server's role: a primary may have become a standby.
        role: bool,
    },
    /// Bring a dirty connection back to a clean state and answer with [`crate::Ledger::cleaned`].
    Clean(SlotId),
    /// Close the connection and answer with [`crate::Ledger::closed`].
    Close {
        /// Which.
        slot: SlotId,
        /// Why.
        reason: CloseReason,
    },
    /// Hand the connection to the waiter.
    Grant {
        /// Who gets it.
        waiter: WaiterId,
        /// What it gets.
        slot: SlotId,
    },
    /// Tell the waiter why it gets nothing.
    Refuse {
        /// Who is refused.
        waiter: WaiterId,
        /// Why.
        refusal: Refusal,
    },
    /// Look what the holder of this lease is doing and answer with [`crate::Ledger::observed`].
    Observe(SlotId),
    /// Take the connection away from its holder and answer with [`crate::Ledger::revoked`].
    Revoke(SlotId),
    /// Ask the server how many of the sessions that run a statement wait for a lock, and answer with
    /// [`crate::Ledger::lock_waits`]. It comes once a second at most, while the limit is used up and the sizer wants to know.
    LookAtLocks,
    /// Nothing to do, but worth telling.
    Tell(Event),
}

/// Something that happened and that a person may want to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// The limit moved.
    LimitChanged {
        /// The limit before.
        from: u32,
        /// The limit now.
        to: u32,
        /// Why, as a short fixed word.
        reason: &'static str,
    },
    /// A lease runs no statement; its place was given to others.
    Suspected {
        /// The connection.
        slot: SlotId,
        /// For how long nothing has run.
        held_idle: Duration,
    },
    /// A suspect runs statements again and counts as in use again.
    Cleared {
        /// The connection.
        slot: SlotId,
    },
    /// Nothing is alive and nothing can be opened: callers are refused at once.
    BreakerOpened {
        /// For how long nothing could be opened.
        since: Duration,
    },
    /// A connection could be opened again.
    BreakerClosed,
    /// The server said that it has no room for more.
    CeilingLearned {
        /// How many exist.
        room: u32,
    },
    /// The server seems to have changed, and this was confirmed: all connections of before are replaced step by step.
    Flushed {
        /// How often this has happened.
        era: u32,
    },
}

impl Event {
    /// Its name in logs and listings.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::LimitChanged { .. } => "limit_changed",
            Self::Suspected { .. } => "suspected",
            Self::Cleared { .. } => "cleared",
            Self::BreakerOpened { .. } => "breaker_opened",
            Self::BreakerClosed => "breaker_closed",
            Self::CeilingLearned { .. } => "ceiling_learned",
            Self::Flushed { .. } => "flushed",
        }
    }

    /// Whether a sizer only tries a limit out: it does so several times a second.
    #[must_use]
    pub fn is_try(&self) -> bool {
        matches!(self, Self::LimitChanged { reason: "knee_try_more" | "knee_try_less", .. })
    }
}
