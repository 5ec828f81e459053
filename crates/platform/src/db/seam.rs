//! Faults around a lease, compiled only where the feature `fault-seam` is on.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::lease::Held;

/// The faults in force, shared by all clones of a [`super::Db`].
#[derive(Debug, Default)]
pub(super) struct Seam {
    late_return_ms: AtomicU64,
}

impl Seam {
    pub(super) fn set_late_return(&self, late: Option<Duration>) {
        let ms = late.map_or(0, |late| u64::try_from(late.as_millis()).unwrap_or(u64::MAX));
        self.late_return_ms.store(ms, Ordering::Relaxed);
    }

    pub(super) fn late_return(&self) -> Option<Duration> {
        match self.late_return_ms.load(Ordering::Relaxed) {
            0 => None,
            ms => Some(Duration::from_millis(ms)),
        }
    }
}

/// Gives its lease back later than it is dropped, by a task of its own: the response is not delayed, and a client that
/// leaves changes nothing.
#[derive(Debug)]
pub(super) struct Late {
    held: Option<Held>,
    late: Option<Duration>,
}

impl Late {
    pub(super) const fn new(held: Held, late: Option<Duration>) -> Self {
        Self { held: Some(held), late }
    }

    pub(super) const fn get(&mut self) -> &mut Held {
        self.held.as_mut().expect("it is taken only on drop")
    }
}

impl Drop for Late {
    fn drop(&mut self) {
        if let (Some(held), Some(late)) = (self.held.take(), self.late)
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            runtime.spawn(async move {
                tokio::time::sleep(late).await;
                drop(held);
            });
        }
    }
}
