use std::sync::Arc;
use std::time::{Duration, Instant};

use forebay_pool_core::{Activity, Refusal, Return, WaiterId};
use tokio::sync::oneshot;

use super::desk::{Desk, Use};
use crate::clock::now;

/// The right to have one of the pool's connections out. Dropping it gives the right back.
pub(super) struct Permit {
    pub(super) desk: Arc<Desk>,
    used: Arc<Use>,
    stage: Stage,
}

/// How far the holder of a permit has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Nobody has looked at it yet.
    Granted,
    /// sqlx was asked.
    Asked,
    /// A connection was handed out.
    Lent,
}

impl Permit {
    pub(super) const fn new(desk: Arc<Desk>, used: Arc<Use>) -> Self {
        Self { desk, used, stage: Stage::Granted }
    }

    /// sqlx is asked for a connection: from here on its time counts as held.
    pub(super) fn ask(&mut self) {
        self.stage = Stage::Asked;
    }

    /// The connection is there.
    pub(super) fn lend(&mut self) {
        self.stage = Stage::Lent;
        self.touch();
    }

    /// The connection was just used.
    pub(super) fn touch(&self) {
        self.used.set(Activity::HeldIdle { since: now() });
    }

    /// A statement runs until the answer is dropped.
    pub(super) fn run(&self) -> Running {
        self.used.set(Activity::Running);
        Running(Arc::clone(&self.used))
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let how = if self.stage == Stage::Granted { Return::Unused } else { Return::Clean };
        self.desk.release(&self.used, how);
        if self.stage == Stage::Lent {
            self.desk.observer.released(self.used.class, now().saturating_duration_since(self.used.since));
        }
    }
}

impl std::fmt::Debug for Permit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Permit").field("used", &self.used).field("stage", &self.stage).finish_non_exhaustive()
    }
}

/// A statement that is seen to run.
#[derive(Debug)]
pub(super) struct Running(Arc<Use>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.set(Activity::HeldIdle { since: now() });
    }
}

/// A place in the queue. Dropping it gives the place up, or the permit if it was granted meanwhile.
pub(super) struct QueuedPermit {
    desk: Arc<Desk>,
    id: WaiterId,
    told: oneshot::Receiver<Result<Permit, Refusal>>,
}

impl QueuedPermit {
    pub(super) const fn new(desk: Arc<Desk>, id: WaiterId, told: oneshot::Receiver<Result<Permit, Refusal>>) -> Self {
        Self { desk, id, told }
    }

    /// Waits for the answer. The desk gives one by the deadline that the ledger was asked with; where its watch does not run,
    /// the wait ends a little later.
    pub(super) async fn answer(mut self, since: Instant, deadline: Instant) -> Result<Permit, Refusal> {
        const GRACE: Duration = Duration::from_millis(50);
        let told = tokio::time::timeout_at((deadline + GRACE).into(), &mut self.told).await;
        if let Ok(Ok(answer)) = told {
            return answer;
        }
        let waited: Duration = now().saturating_duration_since(since);
        Err(Refusal::Timeout { waited, continuation: false })
    }
}

impl Drop for QueuedPermit {
    fn drop(&mut self) {
        self.desk.forget(self.id);
    }
}
