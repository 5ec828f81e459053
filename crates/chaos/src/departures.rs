//! In what the shop that is played on differs from the shop as it starts with nothing set.

use std::fmt::Display;
use std::time::Duration;

use forebay_platform::config::Env;
use forebay_pool::Mode;
use forebay_shop::{Config, Purpose};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::arm::POOL_SESSIONS;
use crate::calibration::{LATE_RETURN_S, LEGACY_POOL};
use crate::child::{CONNECTIONS, DRAIN, IDLE, LEGACY_ACQUIRE_TIMEOUT, PAYMENT_LATENCY, RESERVATION_TTL};

/// One setting that differs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Departure {
    /// What is set.
    pub setting: String,
    /// What it is when nothing is set.
    pub shipped: String,
    /// What it is in the replay.
    pub played: String,
    /// Why.
    pub why: String,
}

/// All of them; what is the same in both is left out, so that the list holds whatever becomes of the defaults.
#[must_use]
pub fn all() -> Vec<Departure> {
    Config::read(&Env::default(), Purpose::Up).map(|shipped| those_from(&shipped)).unwrap_or_default()
}

fn those_from(shipped: &Config) -> Vec<Departure> {
    let mut all = faults();
    let played = forebay_pool::Config::named(POOL_SESSIONS);
    let pools = [&shipped.pool, &played].map(|pool| {
        let rules = &pool.rules;
        let mode = if rules.mode == Mode::Enforce { "enforced" } else { "not enforced" };
        format!("up to {} connections, {mode}, acquire time-out {}", rules.ceiling, time(pool.acquire_timeout))
    });
    let ours = "our arm has the defaults";
    all.extend(differs("the pool of our arm", &pools[0], &pools[1], ours));
    let quotas = shipped.quotas.named().map(|(name, quota)| format!("{name} {quota}")).join(", ");
    let crowd = "all users come from one address";
    all.extend(differs("quotas of clients", &quotas, "off", crowd));
    let limits = shipped.http_limits;
    let judged = "the pool is judged, not the listener";
    all.extend(differs("connections from clients", &limits.connections, &CONNECTIONS, judged));
    all.extend(differs("idle connections of clients are closed after", &time(limits.idle), &time(IDLE), judged));
    let pages = "what comes from a kept page would count as served by the pool";
    all.extend(differs("pages that catalog keeps for when the pool refuses", &"on", "off", pages));
    let alone = "each arm has its server for itself";
    all.extend(differs("the server's connections are shared by a claim", &"on", "off", alone));
    let seed = "a short preparation";
    all.extend(differs("products", &"the full seed", "the small seed", seed));
    let latency = shipped.payment.knobs.latency;
    let payments = "a fixed time";
    all.extend(differs("the payment provider answers after", &time(latency), &time(PAYMENT_LATENCY), payments));
    let held = "as long as orders are not judged";
    all.extend(differs("reserved stock is held for", &time(shipped.reservation_ttl), &time(RESERVATION_TTL), held));
    let drain = "plays follow each other";
    all.extend(differs("a stop waits for requests for", &time(shipped.drain), &time(DRAIN), drain));
    all.extend(differs("log level", &"info", "warn", "its lines are counted, and cost the same in all arms"));
    all
}

/// What the replay breaks on purpose.
fn faults() -> Vec<Departure> {
    let late = time(Duration::from_secs_f64(LATE_RETURN_S));
    let acquire = time(LEGACY_ACQUIRE_TIMEOUT);
    let of = |setting: &str, shipped: &str, played: String, why: &str| Departure {
        setting: setting.to_owned(),
        shipped: shipped.to_owned(),
        played,
        why: why.to_owned(),
    };
    vec![
        of("a lease comes back, in all arms", "at once", format!("{late} late"), "the bad habit of the postmortem"),
        of(
            "the pool of the legacy arm",
            "Forebay's",
            format!("stock sqlx, {LEGACY_POOL} connections, first come first served, acquire time-out {acquire}"),
            "the postmortem's platform; with sqlx's own 30 s clients would leave before any time-out is logged",
        ),
    ]
}

fn differs(
    setting: &str,
    shipped: &(impl Display + ?Sized),
    played: &(impl Display + ?Sized),
    why: &str,
) -> Option<Departure> {
    let (shipped, played) = (shipped.to_string(), played.to_string());
    (shipped != played).then(|| Departure { setting: setting.to_owned(), shipped, played, why: why.to_owned() })
}

fn time(duration: Duration) -> String {
    match duration.as_millis() {
        ms if ms % 60_000 == 0 => format!("{} min", ms / 60_000),
        ms if ms % 1_000 == 0 => format!("{} s", ms / 1_000),
        ms => format!("{ms} ms"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_the_same_in_both_is_not_told() {
        assert_eq!(differs("drain", "10 s", "10 s", "because"), None);
        let told = all();
        assert!(told.iter().all(|departure| departure.shipped != departure.played), "{told:?}");
        let names = |word: &str| told.iter().any(|departure| departure.setting.contains(word));
        assert!(names("lease comes back") && names("quotas") && names("pages"), "{told:?}");
        assert!(!names("reserved stock"), "both hold it as long: {told:?}");
    }

    #[test]
    fn times_are_told_in_their_largest_whole_unit() {
        assert_eq!([45, 2_000, 900_000].map(|ms| time(Duration::from_millis(ms))), ["45 ms", "2 s", "15 min"]);
    }
}
