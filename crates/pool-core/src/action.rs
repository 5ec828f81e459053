use std::time::{Duration, Instant};

use crate::{Class, SlotId, WaiterId};

/// The right to open one connection. Only the ledger mints it, and it is used up by [`crate::Ledger::opened`] or
/// [`crate::Ledger::open_failed`]: the count of connections can never run ahead of what was allowed.
#[derive(Debug)]
#[must_use = "an opening that is never answered holds its place for ever"]
pub struct Opening {
    pub(crate) slot: SlotId,
    pub(crate) limit: Duration,
    pub(crate) begun: Instant,
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
        /// When the next attempt is due.
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
    },
    /// Bring a dirty connection back to a clean state and answer with [`crate::Ledger::cleaned`].
    Clean(SlotId),
    /// Close the connection and answer with [`crate::Ledger::closed`].
    Close(SlotId),
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
}
