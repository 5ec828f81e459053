use std::time::Duration;

use super::limited::{Limit, Sample};

/// Hands a limit the average of a second instead of each sample: `WindowedLimit` of Netflix's concurrency-limits
/// (`concurrency-limits-core/.../limit/WindowedLimit.java`, with its `AverageSampleWindow`). Windows of less than ten
/// samples are dropped, and so are samples below 100 us.
#[derive(Debug)]
pub struct Windowed<L> {
    inner: L,
    width: Duration,
    ends: Duration,
    sum: Duration,
    count: u32,
    in_flight: u32,
    dropped: bool,
}

impl<L> Windowed<L> {
    const LEAST_SAMPLES: u32 = 10;
    const LEAST_RTT: Duration = Duration::from_micros(100);

    /// A second wide, as the library's default.
    #[must_use]
    pub const fn new(inner: L) -> Self {
        Self::of_width(inner, Duration::from_secs(1))
    }

    /// Of another width; the library allows 100 ms and more.
    #[must_use]
    pub const fn of_width(inner: L, width: Duration) -> Self {
        Self { inner, width, ends: Duration::ZERO, sum: Duration::ZERO, count: 0, in_flight: 0, dropped: false }
    }
}

impl<L: Limit> Limit for Windowed<L> {
    fn limit(&self) -> u32 {
        self.inner.limit()
    }

    fn on_sample(&mut self, now: Duration, sample: Sample) {
        if sample.rtt < Self::LEAST_RTT {
            return;
        }
        self.sum += sample.rtt;
        self.count += 1;
        self.in_flight = self.in_flight.max(sample.in_flight);
        self.dropped |= sample.dropped;
        if now <= self.ends {
            return;
        }
        self.ends = now + self.width;
        let (sum, count) = (std::mem::take(&mut self.sum), std::mem::take(&mut self.count));
        let in_flight = std::mem::take(&mut self.in_flight);
        let dropped = std::mem::take(&mut self.dropped);
        if count >= Self::LEAST_SAMPLES {
            self.inner.on_sample(now, Sample { begun: sample.begun, rtt: sum / count, in_flight, dropped });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rival::Aimd;
    use crate::rival::vegas::tests::sample;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn a_window_counts_as_one_sample_with_the_average_latency() {
        let mut limit = Windowed::new(Aimd { timeout: 50 * MS, ..Aimd::default() });
        limit.on_sample(MS, sample(10, 20));
        for at in 2..=1_001_u32 {
            limit.on_sample(at * MS, sample(if at % 2 == 0 { 10 } else { 80 }, 20));
            assert_eq!(limit.limit(), 20, "at {at}");
        }
        limit.on_sample(1_002 * MS, sample(10, 20));
        assert_eq!(limit.limit(), 21, "the average is 45 ms, which is in time");
    }

    #[test]
    fn a_window_of_few_samples_is_dropped() {
        let mut limit = Windowed::new(Aimd::default());
        for second in 0..20_u32 {
            (0..9).for_each(|_| limit.on_sample(second * 1_100 * MS + MS, sample(10, 20)));
        }
        assert_eq!(limit.limit(), 20);
    }
}
