use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::{Held, Peer, Refused, Statement};

/// A pool behind a limit on requests that refuses all others at once, as a tower limit with load shedding does. Whoever
/// sets it must know how fast the database is.
#[derive(Clone, Debug)]
pub(crate) struct Limited<P> {
    peer: P,
    requests: Arc<Semaphore>,
    after: Option<Duration>,
}

/// How many requests a good hand lets in before connections of the best size: a quarter more, so that the next one waits when
/// a connection comes back, and nobody waits for long.
pub(crate) const fn let_in(size: u32) -> u32 {
    size + size.div_ceil(4)
}

/// A lease, and the request's place.
#[derive(Debug)]
pub(crate) struct LimitedLease<L> {
    // First, so that the connection is back before the place is.
    lease: L,
    _place: OwnedSemaphorePermit,
}

impl<P> Limited<P> {
    /// This pool for so many requests, those that wait for a connection included.
    pub(crate) fn new(peer: P, requests: u32) -> Self {
        Self { peer, requests: Arc::new(Semaphore::new(requests as usize)), after: None }
    }

    /// The same, and all who are refused are told to come back after this time.
    pub(crate) fn telling(self, after: Duration) -> Self {
        Self { after: Some(after), ..self }
    }
}

impl<P: Peer> Peer for Limited<P> {
    type Lease = LimitedLease<P::Lease>;

    async fn acquire(&self, within: Duration) -> Result<Self::Lease, Refused> {
        let place =
            Arc::clone(&self.requests).try_acquire_owned().map_err(|_full| Refused::Busy { after: self.after })?;
        let lease = self.peer.acquire(within).await?;
        Ok(LimitedLease { lease, _place: place })
    }

    async fn close(self) {
        self.peer.close().await;
    }
}

impl<L: Held> Held for LimitedLease<L> {
    async fn run(&mut self, statement: Statement) -> sqlx::Result<()> {
        self.lease.run(statement).await
    }
}
