//! Real faults on a real shop, a few seconds long, and the judge of its clients on one that lies.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod drive;
mod end;
mod fake_shop;
mod faults;
mod report;
mod short_play;

use std::future::Future;
use std::path::Path;
use std::time::Duration;

use tokio::time::{Instant, sleep};

fn program() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_forebay-chaos"))
}

/// Asks until the answer is yes, for at most twenty seconds.
async fn eventually<F: Future<Output = bool>>(what: &str, holds: impl Fn() -> F) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !holds().await {
        assert!(Instant::now() < deadline, "never: {what}");
        sleep(Duration::from_millis(20)).await;
    }
}
