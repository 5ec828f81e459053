use std::time::Instant;

/// The only reading of a clock: tokio's, so that a test may stop it.
pub(crate) fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}
