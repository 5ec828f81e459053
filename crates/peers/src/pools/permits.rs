use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit};

use crate::{Peer, Refused};

/// A tokio semaphore that guards nothing: what any pool over it costs at the least.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Permits {
    semaphore: &'static Semaphore,
}

impl Permits {
    /// So many permits. A few bytes are never given back: borrowed permits are the cheapest, and tasks outlive a borrow.
    pub(crate) fn new(permits: usize) -> Self {
        Self { semaphore: Box::leak(Box::new(Semaphore::new(permits))) }
    }

    pub(crate) fn refuses(self) -> bool {
        self.semaphore.try_acquire().is_err()
    }
}

impl Peer for Permits {
    type Lease = SemaphorePermit<'static>;

    async fn acquire(&self, _within: Duration) -> Result<Self::Lease, Refused> {
        self.semaphore.acquire().await.map_err(|closed| Refused::Failed(closed.to_string()))
    }

    async fn close(self) {}
}
