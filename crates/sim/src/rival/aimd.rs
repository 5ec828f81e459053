use std::time::Duration;

use super::limited::{Limit, Sample};
use super::whole;

/// Additive increase, multiplicative decrease: `AIMDLimit` of Netflix's concurrency-limits
/// (`concurrency-limits-core/.../limit/AIMDLimit.java`). One more for each answer in time while at least half of the limit
/// is in flight, a tenth less for each late or dropped one.
#[derive(Clone, Copy, Debug)]
pub struct Aimd {
    /// The limit.
    pub limit: u32,
    /// The least that it becomes.
    pub min: u32,
    /// The most.
    pub max: u32,
    /// What is left of it after a late answer.
    pub backoff: f64,
    /// What is late.
    pub timeout: Duration,
}

impl Default for Aimd {
    /// The library's: 20, between 20 and 200, times 0.9 after 5 s.
    fn default() -> Self {
        Self { limit: 20, min: 20, max: 200, backoff: 0.9, timeout: Duration::from_secs(5) }
    }
}

impl Limit for Aimd {
    fn limit(&self) -> u32 {
        self.limit
    }

    fn on_sample(&mut self, _now: Duration, sample: Sample) {
        let limit = if sample.dropped || sample.rtt > self.timeout {
            whole(f64::from(self.limit) * self.backoff)
        } else if sample.in_flight * 2 >= self.limit {
            self.limit + 1
        } else {
            self.limit
        };
        self.limit = limit.max(self.min).min(self.max);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rival::vegas::tests::sample;

    // The values are those of the original's AIMDLimitTest.
    #[test]
    fn it_grows_by_one_on_success_and_stops_at_its_maximum() {
        let mut limit = Aimd::default();
        limit.on_sample(Duration::ZERO, sample(1, 10));
        assert_eq!(limit.limit(), 21);
        let mut limit = Aimd { limit: 21, max: 21, min: 0, ..Aimd::default() };
        limit.on_sample(Duration::ZERO, sample(1, 21));
        assert_eq!(limit.limit(), 21);
    }

    #[test]
    fn it_shrinks_by_a_tenth_on_a_drop_and_on_a_late_answer() {
        let mut limit = Aimd { limit: 30, ..Aimd::default() };
        limit.on_sample(Duration::ZERO, Sample { dropped: true, ..sample(0, 0) });
        assert_eq!(limit.limit(), 27);
        limit.on_sample(Duration::ZERO, sample(5_001, 27));
        assert_eq!(limit.limit(), 24);
    }

    #[test]
    fn it_does_not_grow_while_less_than_half_of_it_is_used() {
        let mut limit = Aimd::default();
        limit.on_sample(Duration::ZERO, sample(1, 9));
        assert_eq!(limit.limit(), 20);
    }
}
