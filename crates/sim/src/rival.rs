//! Other pools and limiters, ported from their documents and sources, each cited where it stands.
//!
//! All are given an advantage: their connections are open from the start, never age and never break. None of them knows
//! classes, and none takes a connection back from a holder that does not use it.

mod aimd;
mod codel;
mod connections;
mod envoy;
mod fixed;
mod gradient2;
mod limited;
mod line;
mod little;
mod vegas;
mod windowed;

pub use aimd::Aimd;
pub use codel::Codel;
pub use envoy::Envoy;
pub use fixed::Fixed;
pub use gradient2::Gradient2;
pub use limited::{Limit, Limited, Sample};
pub use little::Little;
pub use vegas::Vegas;
pub use windowed::Windowed;

/// The whole part of a limit, as a cast to `int` makes it in the originals.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to the range of the type")]
pub(crate) fn whole(limit: f64) -> u32 {
    limit.clamp(0.0, f64::from(u32::MAX)) as u32
}
