use forebay_sim::experiment::onset::{ALERT, cases, worst_minute};

/// How many seeds are played. `.ci/long` has more played, by `FOREBAY_SEEDS`.
const SEEDS: u64 = 20;

#[expect(clippy::disallowed_methods, reason = "the knob of a test run, not of the library")]
fn seeds() -> u64 {
    let Ok(value) = std::env::var("FOREBAY_SEEDS") else { return SEEDS };
    value.parse().unwrap_or_else(|_| panic!("FOREBAY_SEEDS is {value:?}, and must be a number"))
}

#[test]
fn no_error_alert_rings_as_the_spike_of_the_incident_begins() {
    for case in &cases()[..2] {
        for seed in 1..=seeds() {
            let percent = worst_minute(&case.play(seed));
            assert!(percent <= ALERT, "{}, seed {seed}: {percent} % of the answers were refusals", case.name);
        }
    }
}
