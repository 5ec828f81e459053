use std::time::Duration;

use super::limited::{Limit, Sample};
use super::whole;
use crate::chance::{Chance, Purpose, stream, uniform};

/// Envoy's adaptive concurrency filter
/// (`source/extensions/filters/http/adaptive_concurrency/controller/gradient_controller.cc`).
///
/// Every window: `limit * g + sqrt(limit * g)` with `g = clamp(min_rtt * (1 + buffer) / sample_rtt, 0.5, 2)`. To learn
/// `min_rtt` the limit is pinned to its minimum until enough requests that began since then have ended; this is repeated
/// after an interval with jitter, and as soon as five windows in a row ended at the minimum.
#[derive(Debug)]
pub struct Envoy {
    limit: u32,
    /// The least limit, which is also the one under which `min_rtt` is learnt.
    pub min: u32,
    /// The most.
    pub max: u32,
    /// The percentile of latency that stands for a window.
    pub percentile: f64,
    /// How much above `min_rtt` is no queue.
    pub buffer: f64,
    /// How often the limit moves.
    pub window: Duration,
    /// How often `min_rtt` is learnt.
    pub learn_every: Duration,
    /// How much longer that may be by chance.
    pub jitter: f64,
    /// How many requests are needed to learn it.
    pub requests: usize,
    min_rtt: f64,
    /// The limit to come back to while `min_rtt` is learnt.
    deferred: Option<u32>,
    epoch: Duration,
    samples: Vec<f64>,
    next_window: Option<Duration>,
    next_learning: Option<Duration>,
    at_minimum: u32,
    chance: Chance,
}

impl Envoy {
    /// The filter's defaults, with the windows of its documentation's example: 100 ms and 60 s.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let window = Duration::from_millis(100);
        Self {
            limit: 3,
            min: 3,
            max: 1_000,
            percentile: 0.5,
            buffer: 0.25,
            window,
            learn_every: Duration::from_secs(60),
            jitter: 0.15,
            requests: 50,
            min_rtt: 0.0,
            deferred: Some(3),
            epoch: Duration::ZERO,
            samples: Vec::new(),
            next_window: Some(window),
            next_learning: None,
            at_minimum: 0,
            chance: stream(seed, Purpose::Pool),
        }
    }

    /// Within other bounds.
    #[must_use]
    pub fn between(self, min: u32, max: u32) -> Self {
        Self { limit: min, min, max, deferred: Some(min), ..self }
    }

    fn learn(&mut self, now: Duration) {
        if self.deferred.is_some() {
            return;
        }
        self.deferred = Some(self.limit);
        self.set(now, self.min);
        self.samples.clear();
        self.epoch = now;
    }

    fn learnt(&mut self, now: Duration) {
        self.min_rtt = self.take_percentile();
        let limit = self.deferred.unwrap_or(self.min);
        self.set(now, limit);
        self.deferred = None;
        let jitter = 1.0 + self.jitter * uniform(&mut self.chance);
        self.next_learning = Some(now + self.learn_every.mul_f64(jitter));
        self.next_window = Some(now + self.window);
    }

    fn end_window(&mut self, now: Duration) {
        // While min_rtt is learnt there are no windows; they begin again afterwards.
        self.next_window = None;
        if self.deferred.is_some() {
            return;
        }
        if !self.samples.is_empty() {
            let sample_rtt = self.take_percentile();
            let gradient = (self.min_rtt * (1.0 + self.buffer) / sample_rtt).clamp(0.5, 2.0);
            let limit = f64::from(self.limit) * gradient;
            let limit = whole(limit + limit.sqrt());
            self.set(now, limit.min(self.max).max(self.min));
        }
        self.next_window = Some(now + self.window);
    }

    fn set(&mut self, now: Duration, limit: u32) {
        let stays_at_minimum = self.deferred.is_none() && self.limit == self.min && limit == self.min;
        self.at_minimum = if stays_at_minimum { self.at_minimum + 1 } else { 0 };
        self.limit = limit;
        if self.at_minimum >= 5 {
            self.next_learning = Some(now);
        }
    }

    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "an index into a window's samples"
    )]
    fn take_percentile(&mut self) -> f64 {
        let mut samples = std::mem::take(&mut self.samples);
        let at = ((samples.len() - 1) as f64 * self.percentile) as usize;
        let value = *samples.select_nth_unstable_by(at, f64::total_cmp).1;
        // As the original: whole microseconds.
        (value * 1e6).floor() / 1e6
    }
}

impl Limit for Envoy {
    fn limit(&self) -> u32 {
        self.limit
    }

    fn on_sample(&mut self, now: Duration, sample: Sample) {
        if sample.dropped || sample.begun < self.epoch {
            return;
        }
        self.samples.push(sample.rtt.as_secs_f64());
        if self.deferred.is_some() && self.samples.len() >= self.requests {
            self.learnt(now);
        }
    }

    fn next_timer(&self) -> Option<Duration> {
        [self.next_window, self.next_learning].into_iter().flatten().min()
    }

    fn timer(&mut self, now: Duration) {
        if self.next_learning.is_some_and(|at| at <= now) {
            self.next_learning = None;
            self.learn(now);
        }
        if self.next_window.is_some_and(|at| at <= now) {
            self.end_window(now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn feed(limit: &mut Envoy, at: Duration, rtt: Duration, times: usize) {
        (0..times).for_each(|_| {
            limit.on_sample(at, Sample { begun: at.saturating_sub(rtt), rtt, in_flight: 1, dropped: false });
        });
    }

    /// Past the first learning, at 100 ms.
    fn taught(rtt: Duration) -> Envoy {
        let mut limit = Envoy { jitter: 0.0, ..Envoy::new(1) };
        feed(&mut limit, 100 * MS, rtt, 50);
        limit
    }

    #[test]
    fn the_limit_is_pinned_until_enough_requests_have_taught_the_least_latency() {
        let mut limit = Envoy::new(1).between(7, 1_000);
        feed(&mut limit, 50 * MS, 13 * MS, 49);
        assert_eq!((limit.limit(), limit.deferred), (7, Some(7)));
        feed(&mut limit, 50 * MS, 13 * MS, 1);
        assert_eq!(limit.deferred, None);
        assert!((limit.min_rtt - 0.013).abs() < 1e-9);
    }

    #[test]
    fn latency_within_the_buffer_lets_it_grow_and_beyond_it_the_limit_shrinks_by_half_at_most() {
        let mut limit = taught(10 * MS);
        for window in 2..12_u32 {
            let before = limit.limit();
            feed(&mut limit, window * 100 * MS - MS, 12 * MS, 5);
            limit.timer(window * 100 * MS);
            assert!(limit.limit() > before);
        }
        let before = limit.limit();
        feed(&mut limit, 1_299 * MS, 1_000 * MS, 5);
        limit.timer(1_300 * MS);
        let half = f64::from(before) / 2.0;
        assert_eq!(limit.limit(), whole(half + half.sqrt()));
    }

    #[test]
    fn it_learns_again_after_the_interval_and_ignores_what_began_before() {
        let mut limit = taught(10 * MS);
        feed(&mut limit, 150 * MS, 10 * MS, 5);
        limit.timer(200 * MS);
        let grown = limit.limit();
        limit.timer(60_100 * MS);
        assert_eq!(limit.limit(), 3);
        feed(&mut limit, 60_105 * MS, 10 * MS, 100);
        assert_eq!(limit.limit(), 3, "those began before");
        feed(&mut limit, 60_200 * MS, 10 * MS, 50);
        assert_eq!(limit.limit(), grown);
    }

    #[test]
    fn five_windows_at_the_minimum_make_it_learn_at_once() {
        let mut limit = taught(10 * MS);
        for window in 2..7_u32 {
            feed(&mut limit, window * 100 * MS - MS, 1_000 * MS, 5);
            limit.timer(window * 100 * MS);
        }
        assert_eq!(limit.next_timer(), Some(600 * MS));
        limit.timer(600 * MS);
        assert!(limit.deferred.is_some());
    }
}
