use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

/// How long those waited who got a connection: how many waited how long, since the pool was made.
///
/// ```
/// # fn example(pool: &forebay_pool::Pool) {
/// let waits = pool.waits();
/// println!("{} got a connection, half of them within {:?}", waits.count(), waits.quantile(0.5));
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waits {
    counts: [u64; BUCKETS],
}

/// The same while it is counted. Nobody acts on it, so that no order matters.
#[derive(Debug)]
pub(crate) struct Counts([AtomicU64; BUCKETS]);

/// Microseconds below this have a bucket each.
const EXACT: u64 = 8;
/// Up to two minutes; what is longer is counted as that.
const BUCKETS: usize = 200;

impl Counts {
    pub(crate) fn count(&self, waited: Duration) {
        self.0[bucket(waited)].fetch_add(1, Relaxed);
    }

    pub(crate) fn read(&self) -> Waits {
        Waits { counts: std::array::from_fn(|index| self.0[index].load(Relaxed)) }
    }
}

impl Default for Counts {
    fn default() -> Self {
        Self(std::array::from_fn(|_| AtomicU64::new(0)))
    }
}

impl Waits {
    /// Those that have come since `earlier` was read.
    ///
    /// ```
    /// # fn example(pool: &forebay_pool::Pool) {
    /// let before = pool.waits();
    /// let since = pool.waits().since(&before);
    /// assert!(since.count() <= pool.waits().count());
    /// # }
    /// ```
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        Self { counts: std::array::from_fn(|index| self.counts[index].saturating_sub(earlier.counts[index])) }
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// The wait that this share of them (0.95, say) did not exceed: exact for those that did not wait, else at most an eighth
    /// too long. None where there is nobody.
    #[must_use]
    pub fn quantile(&self, share: f64) -> Option<Duration> {
        reached(&self.counts, share).map(upper)
    }
}

/// The bucket in which this share of all that are counted is reached; none where there is nobody.
pub(crate) fn reached(counts: &[u64], share: f64) -> Option<usize> {
    let total: u64 = counts.iter().sum();
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share of a count")]
    let rank = ((total as f64 * share.clamp(0.0, 1.0)).ceil() as u64).clamp(1, total.max(1));
    let mut seen = 0;
    counts.iter().position(|count| {
        seen += count;
        seen >= rank
    })
}

/// Eight to each power of two.
fn bucket(waited: Duration) -> usize {
    let micros = u64::try_from(waited.as_micros()).unwrap_or(u64::MAX);
    if micros < EXACT {
        return usize::try_from(micros).unwrap_or(0);
    }
    let shift = micros.ilog2() - EXACT.ilog2();
    let index = EXACT * u64::from(shift) + (micros >> shift);
    usize::try_from(index).unwrap_or(BUCKETS).min(BUCKETS - 1)
}

/// The longest wait that is counted here.
fn upper(index: usize) -> Duration {
    let index = index as u64;
    if index < EXACT {
        return Duration::from_micros(index);
    }
    let (shift, step) = (index / EXACT - 1, index % EXACT);
    Duration::from_micros(((EXACT + step + 1) << shift) - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_wait_is_counted_where_it_is_found_again() {
        for micros in (0..100).chain([127, 128, 1_000, 123_456, 60_000_000, 130_000_000]) {
            let counts = Counts::default();
            counts.count(Duration::from_micros(micros));
            let told = u64::try_from(counts.read().quantile(0.5).unwrap().as_micros()).unwrap();
            assert!(micros <= told && told <= micros + micros / 8, "{micros} as {told}");
        }
        let counts = Counts::default();
        counts.count(Duration::MAX);
        assert!(counts.read().quantile(1.0).unwrap() > Duration::from_secs(120));
    }

    #[test]
    fn a_share_of_those_that_came_since_is_told() {
        let counts = Counts::default();
        assert_eq!(counts.read().quantile(0.5), None);
        (0..1_000).for_each(|_| counts.count(Duration::from_secs(9)));
        let before = counts.read();
        (0..90).for_each(|_| counts.count(Duration::ZERO));
        (0..10).for_each(|_| counts.count(Duration::from_micros(5)));
        let since = counts.read().since(&before);
        assert_eq!(since.count(), 100);
        assert_eq!(since.quantile(0.5), Some(Duration::ZERO));
        assert_eq!(since.quantile(0.95), Some(Duration::from_micros(5)));
    }
}
