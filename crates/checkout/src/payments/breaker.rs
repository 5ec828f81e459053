//! Whether the provider is worth asking: no order begins that could only wait for somebody who does not answer.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// After so many questions in a row without an answer nobody new is let to ask.
const TRIPS_AFTER: u32 = 5;
/// Then somebody is, alone, to see whether it answers again.
const OPEN_FOR: Duration = Duration::from_secs(2);

const STATE: &str = "payments_breaker_state";

/// Decides on a state of its own, behind a lock that is never held across an await.
#[derive(Debug, Default)]
pub(super) struct Breaker {
    state: Mutex<State>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// All may ask. So many questions in a row had no answer.
    Closed { unanswered: u32 },
    /// Nobody may before that; then one, and all others wait for what comes of it.
    Open { until: Instant },
    /// That one asks.
    HalfOpen,
}

impl Default for State {
    fn default() -> Self {
        Self::Closed { unanswered: 0 }
    }
}

/// The right to ask once. Dropped without [`Pass::spend`] it says nothing of the provider, and another may try.
#[derive(Debug)]
pub(crate) struct Pass {
    breaker: Arc<Breaker>,
    is_probe: bool,
}

/// The provider does not answer at present. Nothing was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the payment provider does not answer")]
pub(crate) struct Unavailable {
    /// When it is worth to come back.
    pub(crate) retry_after: Duration,
}

impl Breaker {
    pub(super) fn pass(self: &Arc<Self>, now: Instant) -> Result<Pass, Unavailable> {
        let mut state = self.lock();
        let is_probe = match *state {
            State::Closed { .. } => false,
            State::Open { until } if until <= now => {
                change(&mut state, State::HalfOpen);
                true
            }
            State::Open { until } => return Err(Unavailable { retry_after: until - now }),
            State::HalfOpen => return Err(Unavailable { retry_after: OPEN_FOR }),
        };
        Ok(Pass { breaker: Arc::clone(self), is_probe })
    }

    /// The provider answered, or did not, whoever asked.
    pub(super) fn note(&self, answered: bool, now: Instant) {
        let mut state = self.lock();
        let open = State::Open { until: now + OPEN_FOR };
        let next = match *state {
            _ if answered => State::default(),
            State::Closed { unanswered } if unanswered + 1 < TRIPS_AFTER => {
                State::Closed { unanswered: unanswered + 1 }
            }
            State::Closed { .. } | State::HalfOpen => open,
            State::Open { .. } => return,
        };
        change(&mut state, next);
    }

    /// What it holds is right after every step.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pass {
    /// What came of it.
    pub(super) fn spend(mut self, answered: bool, now: Instant) {
        self.is_probe = false;
        self.breaker.note(answered, now);
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        let mut state = self.breaker.lock();
        if self.is_probe && *state == State::HalfOpen {
            change(&mut state, State::Open { until: Instant::now() });
        }
    }
}

pub(super) fn describe_metrics() {
    metrics::describe_gauge!(STATE, "Who may ask the payment provider: 0 all, 1 one who tries, 2 nobody for a moment");
    metrics::gauge!(STATE).set(0.0);
}

fn change(state: &mut State, next: State) {
    if std::mem::discriminant(state) != std::mem::discriminant(&next) {
        match next {
            State::Closed { .. } => tracing::info!("the payment provider answers again"),
            State::Open { .. } => tracing::warn!("the payment provider does not answer: new orders are refused"),
            State::HalfOpen => tracing::debug!("somebody tries whether the payment provider answers again"),
        }
        metrics::gauge!(STATE).set(match next {
            State::Closed { .. } => 0.0,
            State::HalfOpen => 1.0,
            State::Open { .. } => 2.0,
        });
    }
    *state = next;
}
