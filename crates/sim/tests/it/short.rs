//! Scenarios that take milliseconds.

use std::time::Duration;

use forebay_sim::load::Profile;
use forebay_sim::scenario::{Phase, Scenario};

pub(crate) const X: f64 = forebay_sim::experiment::CAPACITY;

pub(crate) const fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// 0.5 X* for five seconds, the third of which brings so many times X*.
pub(crate) fn spike(times: f64) -> Scenario {
    let profile = Profile::steady(0.5 * X).until(secs(2)).then(times * X).until(secs(3)).then(0.5 * X);
    let phases = vec![
        Phase { name: "before", from: secs(0), to: secs(2) },
        Phase { name: "spike", from: secs(2), to: secs(3) },
        Phase { name: "after", from: secs(3), to: secs(5) },
    ];
    Scenario { phases, ..Scenario::plain(profile, secs(5)) }
}
