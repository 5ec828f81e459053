//! The door: a tower layer that refuses a request before its body is read.
//!
//! It decides in `call`, not in `poll_ready`: a refused request is answered, never queued. What it decides by is the
//! pool's own rule ([`crate::Pool::admit`]), so that door and pool cannot disagree. With the feature `tickets` a refusal can carry a retry ticket.

mod future;
mod layer;
#[cfg(not(feature = "tickets"))]
mod no_tickets;
mod refusal;
mod service;
mod span;
mod timeout;

use std::time::Duration;

pub use future::AdmissionFuture;
pub use layer::AdmissionLayer;
pub use refusal::{RETRY_AFTER_MS, Shed, refusal};
pub use service::AdmissionService;
pub use timeout::{REQUEST_TIMEOUT_MS, request_timeout};

#[cfg(feature = "tickets")]
use crate::tickets::{Stub, Tickets};
#[cfg(not(feature = "tickets"))]
use no_tickets::{Stub, Tickets};

/// The `Retry-After` for a refusal: `base`, but one second at least and 15 at most, spread over once to twice itself, so that
/// clients that were refused together do not return together, and none too early. `chance` is drawn from `[0, 1)`.
///
/// ```
/// use std::time::Duration;
/// use forebay_pool::http::spread;
/// assert_eq!(spread(Duration::from_secs(4), 0.5), Duration::from_secs(6));
/// assert_eq!(spread(Duration::from_millis(10), 0.9), Duration::from_millis(1_900));
/// ```
#[must_use]
pub fn spread(base: Duration, chance: f64) -> Duration {
    let base = base.clamp(Duration::from_secs(1), Duration::from_secs(15));
    base.mul_f64(1.0 + chance.clamp(0.0, 1.0))
}

/// [`spread`] with a number of our own drawing.
///
/// ```
/// use std::time::Duration;
/// let wait = forebay_pool::http::retry_after(Duration::from_secs(2));
/// assert!((2.0..=4.0).contains(&wait.as_secs_f64()));
/// ```
#[must_use]
pub fn retry_after(base: Duration) -> Duration {
    spread(base, rand::random())
}
