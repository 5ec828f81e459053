//! Tokio's own: they know no runtime, and a task is woken by its waker. What can come between two of their calls does so at
//! the pool's locks, but for [`Notify`]: who looks at the state without the lock that it changes under, and then listens,
//! has to be caught between the two.

pub use real::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};

use real::sync::futures::Notified;
use shuttle::sync::atomic::{AtomicBool, Ordering};

/// Tokio's, where another task may come before each call.
#[derive(Debug)]
pub struct Notify {
    real: real::sync::Notify,
    /// To read it is to let the schedule choose who goes on.
    point: AtomicBool,
}

impl Notify {
    /// Nobody listens, and nothing was told.
    #[must_use]
    pub fn new() -> Self {
        Self { real: real::sync::Notify::new(), point: AtomicBool::new(false) }
    }

    /// Listens from now on to [`Notify::notify_waiters`], and from the first poll on to the other.
    pub fn notified(&self) -> Notified<'_> {
        self.let_others();
        self.real.notified()
    }

    /// Tells one, or the next one.
    pub fn notify_one(&self) {
        self.let_others();
        self.real.notify_one();
    }

    /// Tells all who listen.
    pub fn notify_waiters(&self) {
        self.let_others();
        self.real.notify_waiters();
    }

    fn let_others(&self) {
        if !std::thread::panicking() {
            self.point.load(Ordering::SeqCst);
        }
    }
}

impl Default for Notify {
    fn default() -> Self {
        Self::new()
    }
}
