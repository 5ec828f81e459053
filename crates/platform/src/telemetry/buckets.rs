//! A histogram with fixed bounds: a few additions for each value, and a trace for each bucket.

use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU32, AtomicU64, Ordering},
    },
    time::{SystemTime, UNIX_EPOCH},
};

use metrics::HistogramFn;

use crate::trace::Trace;

/// Upper bounds in seconds: 0.5 ms to 10 s.
const SECONDS: &[f64] = &[0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];
/// Those that the OpenTelemetry conventions name for the durations of requests.
const OF_REQUESTS: &[f64] = &[0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0];
/// Those that they name for the durations of statements.
const OF_STATEMENTS: &[f64] = &[0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0];
/// As many buckets as any of these has, that without a bound with them.
const MOST: usize = 15;
const _: () = assert!(SECONDS.len() < MOST && OF_REQUESTS.len() < MOST && OF_STATEMENTS.len() < MOST);

/// How often values fell into which bucket, and their sum.
#[derive(Debug)]
pub(super) struct Buckets {
    bounds: &'static [f64],
    counts: [AtomicU64; MOST],
    /// In billionths, since whole numbers are added without trying twice.
    billionths: AtomicU64,
    /// One bit a bucket: whether the next trace that is recorded is to be its exemplar.
    wanting: AtomicU32,
    exemplars: Mutex<Vec<(usize, Exemplar)>>,
}

/// One of the values in a bucket, and the trace of the request that it was measured in.
#[derive(Clone, Copy, Debug)]
pub(super) struct Exemplar {
    pub(super) trace: Trace,
    pub(super) value: f64,
    /// Seconds since 1970.
    pub(super) at: f64,
}

/// What is to be told of a histogram.
#[derive(Debug)]
pub(super) struct Reading {
    /// Of each bucket its upper bound, how many values are not above it, and one of those that are in it alone. The last bound is
    /// infinite, and its number is that of all values.
    pub(super) buckets: Vec<(f64, u64, Option<Exemplar>)>,
    pub(super) sum: f64,
}

impl Buckets {
    /// An empty histogram of this name, which decides the bounds.
    pub(super) fn of(name: &str) -> Self {
        let bounds = match name {
            "http_server_request_duration_seconds" => OF_REQUESTS,
            "db_client_operation_duration_seconds" => OF_STATEMENTS,
            _ => SECONDS,
        };
        Self {
            bounds,
            counts: Default::default(),
            billionths: AtomicU64::new(0),
            wanting: AtomicU32::new(u32::MAX),
            exemplars: Mutex::default(),
        }
    }

    /// All that was recorded. Each bucket's next trace takes the place of its exemplar.
    pub(super) fn read(&self) -> Reading {
        let exemplars = self.exemplars.lock().unwrap_or_else(PoisonError::into_inner);
        let mut below = 0;
        let buckets = self.bounds.iter().copied().chain([f64::INFINITY]).enumerate().map(|(bucket, bound)| {
            below += self.counts[bucket].load(Ordering::Relaxed);
            (bound, below, exemplars.iter().find(|(of, _)| *of == bucket).map(|(_, exemplar)| *exemplar))
        });
        let buckets = buckets.collect();
        self.wanting.store(u32::MAX, Ordering::Relaxed);
        Reading { buckets, sum: self.billionths.load(Ordering::Relaxed) as f64 / 1e9 }
    }

    fn note(&self, bucket: usize, exemplar: Exemplar) {
        // Whoever finds it taken leaves it: another value will do.
        let Ok(mut exemplars) = self.exemplars.try_lock() else { return };
        match exemplars.iter_mut().find(|(of, _)| *of == bucket) {
            Some((_, old)) => *old = exemplar,
            None => exemplars.push((bucket, exemplar)),
        }
        self.wanting.fetch_and(!(1 << bucket), Ordering::Relaxed);
    }
}

impl HistogramFn for Buckets {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "what is no time counts as none")]
    fn record(&self, value: f64) {
        // All are looked at, since that has no branch that a processor could take wrongly.
        let bucket = self.bounds.iter().filter(|bound| value > **bound).count();
        self.counts[bucket].fetch_add(1, Ordering::Relaxed);
        self.billionths.fetch_add((value * 1e9) as u64, Ordering::Relaxed);
        if self.wanting.load(Ordering::Relaxed) & (1 << bucket) != 0
            && let Some(trace) = Trace::current().filter(|trace| trace.is_sampled())
        {
            let at = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
            self.note(bucket, Exemplar { trace, value, at });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trace::{Context, TRACEPARENT};

    fn sent(id: u128, flags: &str) -> Context {
        let sent = format!("00-{id:032x}-b7ad6b7169203331-{flags}").parse().unwrap();
        Context::of(&http::HeaderMap::from_iter([(TRACEPARENT, sent)]))
    }

    fn trace(id: u128) -> Context {
        sent(id, "01")
    }

    fn told(buckets: &Buckets) -> Vec<Option<String>> {
        buckets.read().buckets.iter().map(|(.., exemplar)| exemplar.map(|told| told.trace.to_string())).collect()
    }

    #[test]
    fn values_that_are_no_times_harm_nobody() {
        let buckets = Buckets::of("a_test_seconds");
        for value in [f64::NAN, f64::NEG_INFINITY, -1.0, 0.0, 0.0005, 10.0, 10.1, f64::INFINITY] {
            buckets.record(value);
        }
        let Reading { buckets, sum } = buckets.read();
        assert_eq!(buckets.len(), SECONDS.len() + 1);
        assert_eq!((buckets[0].1, buckets[13].1, buckets[14].1), (5, 6, 8));
        assert!(sum.is_finite() && sum >= 0.0, "{sum}");
    }

    #[test]
    fn a_bucket_shows_the_first_trace_after_each_reading() {
        let buckets = Buckets::of("a_test_seconds");
        buckets.record(0.003);
        assert!(told(&buckets).iter().all(Option::is_none), "nobody said which trace it was");
        sent(9, "00").sync_scope(|| buckets.record(0.003));
        assert!(told(&buckets).iter().all(Option::is_none), "a trace that nobody records leads nowhere");
        let record = |id, value| trace(id).sync_scope(|| buckets.record(value));
        record(1, 0.003);
        record(2, 0.004);
        record(3, 11.0);
        let first = told(&buckets);
        assert_eq!(first[3].as_deref(), Some("00000000000000000000000000000001"));
        assert_eq!(first[14].as_deref(), Some("00000000000000000000000000000003"));
        assert_eq!(told(&buckets)[3], first[3], "it stays until there is another");
        record(4, 0.004);
        assert_eq!(told(&buckets)[3].as_deref(), Some("00000000000000000000000000000004"));
    }

    #[test]
    fn an_exemplar_is_a_value_of_its_own_bucket() {
        let buckets = Buckets::of("http_server_request_duration_seconds");
        let values = [0.001, 0.005, 0.06, 0.8, 7.0, 60.0];
        values.iter().for_each(|value| trace(7).sync_scope(|| buckets.record(*value)));
        let mut above = f64::NEG_INFINITY;
        let mut seen = 0;
        for (bound, _, exemplar) in buckets.read().buckets {
            if let Some(exemplar) = exemplar {
                assert!(exemplar.value > above && exemplar.value <= bound, "{exemplar:?} in {above} to {bound}");
                seen += 1;
            }
            above = bound;
        }
        assert_eq!(seen, values.len() - 1, "two are in one bucket");
    }
}
