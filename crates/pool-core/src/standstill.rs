use std::time::{Duration, Instant};

/// A stretch of time in which the pool did not run: its process was stopped or suspended, or had no turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standstill {
    end: Instant,
    lasted: Duration,
}

impl Standstill {
    /// It ended then, and lasted for so long.
    #[must_use]
    pub const fn new(end: Instant, lasted: Duration) -> Self {
        Self { end, lasted }
    }

    /// For how long the pool did not run.
    #[must_use]
    pub const fn lasted(self) -> Duration {
        self.lasted
    }

    /// Since when something is so, if the standstill does not count: no later than its end.
    #[must_use]
    pub fn since(self, since: Instant) -> Instant {
        self.due(since).min(since.max(self.end))
    }

    /// When something is due, if the standstill does not count.
    pub(crate) fn due(self, at: Instant) -> Instant {
        at + self.lasted
    }
}
