use std::time::Duration;

use super::limited::{Limit, Sample};
use super::whole;

/// `Gradient2Limit` of Netflix's concurrency-limits (`concurrency-limits-core/.../limit/Gradient2Limit.java`):
/// `limit * clamp(1.5 * long / short, 0.5, 1) + 4`, smoothed by 0.2, where `short` is the latency of this sample and `long`
/// its exponential mean over 600 of them. It is meant for samples of a [`super::Windowed`].
#[derive(Clone, Copy, Debug)]
pub struct Gradient2 {
    limit: f64,
    min: f64,
    max: f64,
    long: f64,
    seen: u32,
}

impl Default for Gradient2 {
    /// The library's: 20 at the start, between 20 and 200.
    fn default() -> Self {
        Self { limit: 20.0, min: 20.0, max: 200.0, long: 0.0, seen: 0 }
    }
}

impl Gradient2 {
    const TOLERANCE: f64 = 1.5;
    const QUEUE: f64 = 4.0;
    const SMOOTHING: f64 = 0.2;
    const WINDOW: f64 = 600.0;
    /// So many samples are averaged plainly before the exponential mean begins.
    const WARM_UP: u32 = 10;

    /// Begins with this limit, within these bounds.
    #[must_use]
    pub fn between(self, initial: u32, min: u32, max: u32) -> Self {
        Self { limit: f64::from(initial), min: f64::from(min), max: f64::from(max), ..self }
    }

    fn learn(&mut self, short: f64) {
        if self.seen < Self::WARM_UP {
            self.seen += 1;
            self.long += (short - self.long) / f64::from(self.seen);
        } else {
            self.long += (short - self.long) * 2.0 / (Self::WINDOW + 1.0);
        }
    }
}

impl Limit for Gradient2 {
    fn limit(&self) -> u32 {
        whole(self.limit)
    }

    fn on_sample(&mut self, _now: Duration, sample: Sample) {
        let short = sample.rtt.as_secs_f64();
        self.learn(short);
        let long = self.long;
        if long / short > 2.0 {
            self.long *= 0.95;
        }
        if f64::from(sample.in_flight) < self.limit / 2.0 {
            return;
        }
        let gradient = (Self::TOLERANCE * long / short).clamp(0.5, 1.0);
        let limit = self.limit * gradient + Self::QUEUE;
        let limit = self.limit * (1.0 - Self::SMOOTHING) + limit * Self::SMOOTHING;
        self.limit = limit.min(self.max).max(self.min);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rival::vegas::tests::sample;

    fn feed(limit: &mut Gradient2, rtt_ms: u64, times: u32) {
        (0..times).for_each(|_| limit.on_sample(Duration::ZERO, sample(rtt_ms, limit.limit())));
    }

    #[test]
    fn steady_latency_lets_it_grow_by_the_queue_it_allows() {
        let mut limit = Gradient2::default();
        feed(&mut limit, 10, 1);
        assert!((limit.limit - 20.8).abs() < 1e-9, "0.2 of 4 more: {}", limit.limit);
        feed(&mut limit, 10, 1_000);
        assert_eq!(limit.limit(), 200);
    }

    #[test]
    fn latency_within_the_tolerance_is_no_queue_and_beyond_it_the_limit_shrinks_by_at_most_a_tenth_at_once() {
        let mut limit = Gradient2::default().between(100, 20, 200);
        feed(&mut limit, 10, 10);
        let before = limit.limit;
        feed(&mut limit, 14, 1);
        assert!(limit.limit > before);
        let before = limit.limit;
        feed(&mut limit, 1_000, 1);
        assert!((limit.limit - (before * 0.9 + 0.8)).abs() < 1e-9, "half, smoothed by 0.2, and the queue");
    }

    #[test]
    fn it_does_not_move_while_less_than_half_of_it_is_used() {
        let mut limit = Gradient2::default();
        limit.on_sample(Duration::ZERO, sample(10, 9));
        assert_eq!(limit.limit(), 20);
    }

    #[test]
    fn the_baseline_learns_a_long_overload() {
        let mut limit = Gradient2::default().between(100, 20, 200);
        feed(&mut limit, 10, 50);
        feed(&mut limit, 40, 100);
        let shrunk = limit.limit;
        feed(&mut limit, 40, 1_000);
        assert!(limit.limit > shrunk + 50.0, "{shrunk} {}", limit.limit);
    }
}
