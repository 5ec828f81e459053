use std::time::Duration;

use forebay_pool_core::{Class, Event};

use crate::{AcquireError, Holder, Ran};

/// Told what happens in a pool, as it happens. Every method does nothing by default and must return quickly: it runs on
/// the task that caused the event, outside the pool's lock.
pub trait Observer: std::fmt::Debug + Send + Sync {
    /// A lease was given after so long a wait.
    fn acquired(&self, class: Class, waited: Duration) {
        let _ = (class, waited);
    }

    /// A caller that had waited took its connection up so long after it was granted: how late its task was woken and polled.
    fn handed_over(&self, class: Class, latency: Duration) {
        let _ = (class, latency);
    }

    /// A request for a connection was refused.
    fn refused(&self, class: Class, error: &AcquireError) {
        let _ = (class, error);
    }

    /// A retry ticket was given to a request of this class that was refused, or one presented it.
    fn ticket(&self, class: Class, fate: TicketFate) {
        let _ = (class, fate);
    }

    /// A lease came back after so long.
    fn released(&self, class: Class, held: Duration) {
        let _ = (class, held);
    }

    /// A statement of a lease has ended, well or not, also a BEGIN, COMMIT or ROLLBACK of [`crate::Tx`]'s. What somebody did
    /// with a raw connection is not told.
    fn ran(&self, ran: &Ran<'_>) {
        let _ = ran;
    }

    /// An attempt to open a connection ended, well or not.
    fn opened(&self, took: Duration, error: Option<&sqlx::Error>) {
        let _ = (took, error);
    }

    /// The limit moved, a lease became a suspect or ceased to be one. `holder` is the lease it speaks of.
    fn event(&self, event: &Event, holder: Option<&Holder>) {
        let _ = (event, holder);
    }

    /// A lease held idle lost its connection.
    fn revoked(&self, holder: &Holder) {
        let _ = holder;
    }
}

/// What became of a retry ticket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TicketFate {
    /// It went out with a refusal.
    Issued,
    /// It was presented in its slot, and its request goes one class higher.
    Honoured,
    /// It was presented before its slot.
    Early,
    /// It was presented after its slot.
    Late,
    /// It had been used.
    Replayed,
    /// More were used in its slot than are remembered.
    Crowded,
    /// It is not of ours, or not this principal's, route's or class's.
    Forged,
}

impl TicketFate {
    /// Every fate.
    pub const ALL: [Self; 7] =
        [Self::Issued, Self::Honoured, Self::Early, Self::Late, Self::Replayed, Self::Crowded, Self::Forged];

    /// The fate's name in metrics and logs.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Issued => "issued",
            Self::Honoured => "honoured",
            Self::Early => "early",
            Self::Late => "late",
            Self::Replayed => "replayed",
            Self::Crowded => "crowded",
            Self::Forged => "forged",
        }
    }
}

/// Observes nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Unobserved;

impl Observer for Unobserved {}
