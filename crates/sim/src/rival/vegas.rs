use std::time::Duration;

use super::limited::{Limit, Sample};
use super::whole;
use crate::chance::{Chance, Purpose, stream, uniform};

/// `VegasLimit` of Netflix's concurrency-limits (`concurrency-limits-core/.../limit/VegasLimit.java`), after TCP Vegas
/// (Brakmo and Peterson, 1995): the queue is estimated as `limit * (1 - rtt_noload / rtt)`, with the least latency seen as
/// `rtt_noload`. Up to a threshold of it the limit grows fast, below alpha slowly, above beta it shrinks. The least latency
/// is forgotten after about 30 times the limit's samples: the sample of that moment takes its place.
#[derive(Debug)]
pub struct Vegas {
    limit: f64,
    max: f64,
    queue: Option<(f64, f64)>,
    probe_every: f64,
    noload: Option<f64>,
    samples: f64,
    jitter: f64,
    chance: Chance,
}

impl Vegas {
    /// The library's defaults: 20 at the start, at most 1000, alpha and beta 3 and 6 times the limit's logarithm.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let mut chance = stream(seed, Purpose::Pool);
        let jitter = draw_jitter(&mut chance);
        Self { limit: 20.0, max: 1000.0, queue: None, probe_every: 30.0, noload: None, samples: 0.0, jitter, chance }
    }

    /// Begins with this limit and never exceeds that one.
    #[must_use]
    pub fn between(self, initial: u32, max: u32) -> Self {
        Self { limit: f64::from(initial), max: f64::from(max), ..self }
    }

    /// The bounds between which the estimated queue is left as it is.
    #[must_use]
    pub fn queue(self, alpha: f64, beta: f64) -> Self {
        Self { queue: Some((alpha, beta)), ..self }
    }

    fn update(&mut self, rtt: f64, noload: f64, sample: Sample) {
        let step = log10(self.limit);
        let (alpha, beta) = self.queue.unwrap_or((3.0 * step, 6.0 * step));
        let queue = (self.limit * (1.0 - noload / rtt)).ceil();
        let limit = if sample.dropped {
            self.limit - step
        } else if f64::from(sample.in_flight) * 2.0 < self.limit {
            return;
        } else if queue <= step {
            self.limit + beta
        } else if queue < alpha {
            self.limit + step
        } else if queue > beta {
            self.limit - step
        } else {
            return;
        };
        self.limit = limit.min(self.max).max(1.0);
    }
}

/// The original's step: the whole part of the logarithm of the whole part, and at least 1.
fn log10(limit: f64) -> f64 {
    limit.floor().log10().floor().max(1.0)
}

fn draw_jitter(chance: &mut Chance) -> f64 {
    0.5 + 0.5 * uniform(chance)
}

impl Limit for Vegas {
    fn limit(&self) -> u32 {
        whole(self.limit)
    }

    fn on_sample(&mut self, _now: Duration, sample: Sample) {
        let rtt = sample.rtt.as_secs_f64();
        if rtt <= 0.0 {
            return;
        }
        self.samples += 1.0;
        if self.jitter * self.probe_every * self.limit <= self.samples {
            self.jitter = draw_jitter(&mut self.chance);
            self.samples = 0.0;
            self.noload = Some(rtt);
            return;
        }
        match self.noload.filter(|noload| rtt >= *noload) {
            Some(noload) => self.update(rtt, noload, sample),
            None => self.noload = Some(rtt),
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in crate::rival) fn sample(rtt_ms: u64, in_flight: u32) -> Sample {
        Sample { begun: Duration::ZERO, rtt: Duration::from_millis(rtt_ms), in_flight, dropped: false }
    }

    fn after(limit: Vegas, samples: &[(u64, u32)]) -> u32 {
        let mut limit = limit;
        samples.iter().for_each(|(rtt, in_flight)| limit.on_sample(Duration::ZERO, sample(*rtt, *in_flight)));
        limit.limit()
    }

    fn small() -> Vegas {
        Vegas::new(1).between(10, 20).queue(3.0, 6.0)
    }

    // The values are those of the original's VegasLimitTest.
    #[test]
    fn the_limit_moves_as_in_the_originals_tests() {
        assert_eq!(after(small(), &[(10, 10), (10, 11)]), 16, "no queue");
        assert_eq!(after(small(), &[(10, 10), (50, 11)]), 9, "a long queue");
        assert_eq!(after(small(), &[(10, 10), (14, 14)]), 10, "a queue within the bounds");
        let large = Vegas::new(1).between(10_000, 20_000);
        assert_eq!(after(large, &[(10_000, 5_000), (10_000, 6_000)]), 10_024);
    }

    #[test]
    fn it_does_not_grow_while_less_than_half_of_it_is_used() {
        assert_eq!(after(small(), &[(10, 10), (10, 4)]), 10);
    }

    #[test]
    fn after_a_while_the_present_latency_is_taken_for_that_of_an_idle_server() {
        let mut limit = Vegas::new(1).between(10, 10).queue(3.0, 6.0);
        limit.on_sample(Duration::ZERO, sample(10, 10));
        let mut probed = false;
        for _ in 0..300 {
            limit.on_sample(Duration::ZERO, sample(15, 10));
            probed |= limit.noload == Some(0.015);
        }
        assert!(probed, "the probe comes after at most 30 times the limit's samples");
    }
}
