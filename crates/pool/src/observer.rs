use std::time::Duration;

use forebay_pool_core::{Class, Event};

use crate::{AcquireError, Holder, Ran};

/// Told what happens in a pool, as it happens. Every method does nothing by default and must return quickly: it runs on
/// the task that caused the event, outside the pool's lock.
///
/// ```
/// use std::sync::atomic::{AtomicU64, Ordering};
/// use std::time::Duration;
/// use forebay_pool::{Class, Observer};
///
/// #[derive(Debug, Default)]
/// struct Waited {
///     micros: AtomicU64,
/// }
///
/// impl Observer for Waited {
///     fn acquired(&self, _: Class, waited: Duration) {
///         self.micros.fetch_add(waited.as_micros() as u64, Ordering::Relaxed);
///     }
/// }
/// ```
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

/// Observes nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Unobserved;

impl Observer for Unobserved {}
