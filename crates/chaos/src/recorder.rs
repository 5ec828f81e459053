//! Where everything that is observed during a play is written down.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::time::Instant;

use crate::record::Recording;

/// A recording in the making, shared by the users, the sampler and the director. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Recorder {
    start: Instant,
    recording: Arc<Mutex<Recording>>,
}

impl Recorder {
    /// A recording whose second 0 is `start`.
    #[must_use]
    pub fn new(start: Instant) -> Self {
        Self { start, recording: Arc::default() }
    }

    /// Seconds of play now.
    #[must_use]
    pub fn now(&self) -> f64 {
        let now = Instant::now();
        match now.checked_duration_since(self.start) {
            Some(after) => after.as_secs_f64(),
            None => -self.start.duration_since(now).as_secs_f64(),
        }
    }

    /// The moment at which second `at` of the play begins.
    #[must_use]
    pub fn moment(&self, at: f64) -> Instant {
        self.start + std::time::Duration::from_secs_f64(at.max(0.0))
    }

    /// Reads or adds to the recording. Must be quick: users wait for it.
    pub fn with<T>(&self, act: impl FnOnce(&mut Recording) -> T) -> T {
        act(&mut self.recording.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
