use std::time::Duration;

use forebay_pool_core::{Mode, Rules};

/// Every knob of the overlay. What it does not name belongs to sqlx's pool, and is set there.
///
/// ```
/// use forebay_pool::overlay::Config;
/// let config = Config { permits: Some(8), ..Config::named("shop") };
/// assert_eq!(config.queue_capacity, 1024);
/// ```
#[derive(Clone, Debug)]
pub struct Config {
    /// The name in logs.
    pub name: String,
    /// How many connections may be out through the overlay at once, the reserve for critical work among them: a tenth, at
    /// least one. Default `None`: as many as the pool may have. Fewer leave room for what uses the pool directly.
    pub permits: Option<u32>,
    /// Callers that may wait at once, over all classes. Default 1024.
    pub queue_capacity: u32,
    /// Whether admission refuses, or only counts what it would refuse. Default [`Mode::Enforce`].
    pub mode: Mode,
    /// The base wait budget while no queue stands: a burst may wait this long. Default 50 ms.
    pub burst_wait: Duration,
    /// The longest wait, sqlx's own included, where the request's own deadline is not nearer. Default 1 s. The pool's
    /// `acquire_timeout` should be longer than connecting ever takes: when it ends first, sqlx throws away what it was opening.
    pub acquire_timeout: Duration,
    /// A connection out for so long without having been used is told of as a suspect. A statement that runs on
    /// `&mut *connection` is not seen and counts as no use: let this be longer than your longest. Default 10 s.
    pub suspect_after: Duration,
}

impl Config {
    /// The defaults, under this name.
    ///
    /// ```
    /// use forebay_pool::overlay::Config;
    /// assert_eq!(Config::named("shop").acquire_timeout, std::time::Duration::from_secs(1));
    /// ```
    #[must_use]
    pub fn named(name: impl Into<String>) -> Self {
        let Rules { queue_capacity, mode, burst_wait, .. } = Rules::default();
        Self {
            name: name.into(),
            permits: None,
            queue_capacity,
            mode,
            burst_wait,
            acquire_timeout: Duration::from_secs(1),
            suspect_after: Duration::from_secs(10),
        }
    }

    /// Its parts, none of them left out: the name, the longest wait, and the ledger's rules for a pool of `size`. Its connections
    /// are permits, all there from the start, and none is ever reaped, checked or taken back.
    pub(super) fn parts(self, size: u32) -> Result<(String, Duration, Rules), Vec<String>> {
        let Self { name, permits, queue_capacity, mode, burst_wait, acquire_timeout, suspect_after } = self;
        let permits = permits.unwrap_or(size);
        let mut faults = Vec::new();
        if permits > size {
            faults.push(format!("permits is {permits}, and the pool's max_connections only {size}"));
        }
        if permits < 2 {
            faults.push(format!(
                "there would be {permits} permits, and must be at least 2: one, and one for critical work"
            ));
        }
        if acquire_timeout > Rules::LONGEST {
            faults.push(format!("acquire_timeout is {acquire_timeout:?}, and must be a year at most"));
        }
        let rules = Rules {
            min_idle: permits,
            initial_limit: limit(permits),
            ceiling: permits,
            queue_capacity,
            mode,
            burst_wait,
            openings_at_once: permits.max(1),
            idle_timeout: Rules::LONGEST,
            lifetime: None,
            check_after_idle: Rules::LONGEST,
            suspect_after,
            revoke_after: None,
            ..Rules::default()
        };
        if faults.is_empty() {
            faults = rules.faults();
        }
        if faults.is_empty() { Ok((name, acquire_timeout, rules)) } else { Err(faults) }
    }
}

/// The largest limit that the ledger has room for within so many permits, the reserve on top of it.
fn limit(permits: u32) -> u32 {
    let with_a_tenth = u64::from(permits) * 10 / 11;
    u32::try_from(with_a_tenth).unwrap_or(u32::MAX).min(permits.saturating_sub(1)).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_and_its_reserve_fit_into_the_permits_and_leave_one_at_most() {
        for permits in 2..500 {
            let limit = limit(permits);
            let both = limit + (limit / 10).max(1);
            assert!((permits - 1..=permits).contains(&both), "{limit} of {permits}");
        }
    }
}
