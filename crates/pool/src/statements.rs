//! What each kind of statement has done: how often it ran, for how long, and how it failed.

use std::collections::HashMap;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use crate::statement::OTHER;
use crate::waits::reached;

/// What the statements of one summary have done since the pool was made. Of all clones, leases and call sites together.
///
/// ```
/// # fn example(pool: &forebay_pool::Pool) {
/// use forebay_pool::Failure;
/// let mut all = pool.statements();
/// all.sort_by_key(|statement| std::cmp::Reverse(statement.took));
/// for statement in all.iter().take(3) {
///     println!("{}: {:?} in all, {} timed out", statement.summary, statement.took, statement.failed(Failure::Timeout));
/// }
/// # }
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct StatementUse {
    /// What they do and to what, such as `SELECT catalog.products`: OpenTelemetry's `db.query.summary`. Never a value.
    pub summary: Arc<str>,
    /// For how long they ran, summed: from the moment at which the connection was theirs to their end, without the time in
    /// which the server waited for the reader of its rows.
    pub took: Duration,
    /// The longest that one ran.
    pub longest: Duration,
    counts: [u64; BUCKETS],
    failed: [u64; Failure::ALL.len()],
}

/// How a statement ended that did not end well.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Failure {
    /// The server refused it.
    Server,
    /// It had no more time: by the server's limit, by the pool's, or at its deadline.
    Timeout,
    /// Its future or its stream was dropped before its end.
    Dropped,
    /// Its connection was lost or taken away.
    Connection,
    /// The driver refused its arguments or its answer.
    Client,
}

impl Failure {
    /// Every one.
    pub const ALL: [Self; 5] = [Self::Server, Self::Timeout, Self::Dropped, Self::Connection, Self::Client];

    /// Its name in metrics.
    ///
    /// ```
    /// let names = forebay_pool::Failure::ALL.map(forebay_pool::Failure::name);
    /// assert_eq!(names, ["server", "timeout", "dropped", "connection", "client"]);
    /// ```
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Server => "server",
            Self::Timeout => "timeout",
            Self::Dropped => "dropped",
            Self::Connection => "connection",
            Self::Client => "client",
        }
    }
}

/// A statement that has ended, as an [`crate::Observer`] is told.
///
/// ```
/// use forebay_pool::{Observer, Ran};
///
/// #[derive(Debug)]
/// struct Slow;
///
/// impl Observer for Slow {
///     fn ran(&self, ran: &Ran<'_>) {
///         if ran.took.as_secs() >= 1 {
///             eprintln!("{} took {:?}", ran.summary, ran.took);
///         }
///     }
/// }
/// ```
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Ran<'s> {
    /// What it does and to what, such as `SELECT catalog.products`; never a value. `other` where the pool has no room for more.
    pub summary: &'s str,
    /// For how long it ran.
    pub took: Duration,
    /// How it failed, if it did.
    pub failure: Option<Failure>,
}

const BUCKETS: usize = StatementUse::BOUNDS.len() + 1;

impl StatementUse {
    /// How long the statements of each bucket ran at most; those of one more ran longer.
    pub const BOUNDS: [Duration; 16] = {
        const MICROS: [u64; 16] = [
            100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000,
            2_500_000, 5_000_000, 10_000_000,
        ];
        let mut bounds = [Duration::ZERO; 16];
        let mut at = 0;
        while at < MICROS.len() {
            bounds[at] = Duration::from_micros(MICROS[at]);
            at += 1;
        }
        bounds
    };

    /// How many have ended, however.
    #[must_use]
    pub fn calls(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// How many of them ended so.
    #[must_use]
    pub const fn failed(&self, failure: Failure) -> u64 {
        self.failed[failure as usize]
    }

    /// How many of them did not end well.
    ///
    /// ```
    /// # fn example(pool: &forebay_pool::Pool) {
    /// for statement in pool.statements().iter().filter(|statement| statement.failures() > 0) {
    ///     println!("{}: {} of {} failed", statement.summary, statement.failures(), statement.calls());
    /// }
    /// # }
    /// ```
    #[must_use]
    pub fn failures(&self) -> u64 {
        self.failed.iter().sum()
    }

    /// How many ended within each of [`Self::BOUNDS`] that was not within the one before; the last one is the rest.
    ///
    /// ```
    /// # fn example(pool: &forebay_pool::Pool) {
    /// use forebay_pool::StatementUse;
    /// for statement in pool.statements() {
    ///     for (bound, count) in StatementUse::BOUNDS.iter().zip(statement.counts()) {
    ///         println!("{}: {count} took {bound:?} at most", statement.summary);
    ///     }
    /// }
    /// # }
    /// ```
    #[must_use]
    pub const fn counts(&self) -> &[u64; 17] {
        &self.counts
    }

    /// For how long this share of them (0.95, say) ran at most: the bound of its bucket, or the longest of all, if that is less.
    /// None where none has ended.
    #[must_use]
    pub fn quantile(&self, share: f64) -> Option<Duration> {
        let index = reached(&self.counts, share)?;
        Some(Self::BOUNDS.get(index).copied().unwrap_or(self.longest).min(self.longest))
    }
}

/// Which summary a text has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Kind(u16);

impl Kind {
    pub(crate) const OTHER: Self = Self(0);
    pub(crate) const BEGIN: Self = Self(1);
    pub(crate) const COMMIT: Self = Self(2);
    pub(crate) const ROLLBACK: Self = Self(3);
    pub(crate) const SAVEPOINT: Self = Self(4);
    pub(crate) const RELEASE: Self = Self(5);
    /// Those that are there from the start, in their order.
    const FIRST: [&str; 6] = [OTHER, "BEGIN", "COMMIT", "ROLLBACK", "SAVEPOINT", "RELEASE"];
}

/// The uses of all summaries.
#[derive(Debug)]
pub(crate) struct Statements {
    /// By [`Kind`]. Who counts takes no lock, and who is counted for the first time writes its place once.
    tallies: [OnceLock<Box<Tally>>; Self::MOST],
    kinds: Mutex<HashMap<Arc<str>, Kind>>,
}

/// Alone on its lines of the cache. Nobody acts on it, so that no order matters.
#[derive(Debug)]
#[repr(align(64))]
struct Tally {
    summary: Arc<str>,
    nanos: AtomicU64,
    longest: AtomicU64,
    counts: [AtomicU64; BUCKETS],
    failed: [AtomicU64; Failure::ALL.len()],
}

impl Default for Statements {
    fn default() -> Self {
        let statements = Self { tallies: [const { OnceLock::new() }; Self::MOST], kinds: Mutex::default() };
        for summary in Kind::FIRST {
            statements.kind(summary);
        }
        statements
    }
}

impl Statements {
    /// Summaries that are told apart. A program has a hundred or two, unless its texts are generated: the rest of them are
    /// [`Kind::OTHER`].
    const MOST: usize = 256;

    /// What it is called.
    pub(crate) fn summary(&self, kind: Kind) -> &str {
        self.tallies[usize::from(kind.0)].get().map_or(OTHER, |tally| &tally.summary)
    }

    /// Which one this is. Asked once for each text that is known.
    pub(crate) fn kind(&self, summary: &str) -> Kind {
        let mut kinds = self.kinds.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(kind) = kinds.get(summary) {
            return *kind;
        }
        let Some(kind) = u16::try_from(kinds.len()).ok().filter(|next| usize::from(*next) < Self::MOST).map(Kind)
        else {
            return Kind::OTHER;
        };
        let summary: Arc<str> = summary.into();
        let tally = Tally {
            summary: Arc::clone(&summary),
            nanos: AtomicU64::new(0),
            longest: AtomicU64::new(0),
            counts: [const { AtomicU64::new(0) }; BUCKETS],
            failed: [const { AtomicU64::new(0) }; Failure::ALL.len()],
        };
        self.tallies[usize::from(kind.0)].get_or_init(|| Box::new(tally));
        kinds.insert(summary, kind);
        kind
    }

    /// One of this kind has ended.
    pub(crate) fn ended(&self, kind: Kind, took: Duration, failure: Option<Failure>) -> Ran<'_> {
        let Some(tally) = self.tallies[usize::from(kind.0)].get() else { return Ran { summary: OTHER, took, failure } };
        let nanos = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        tally.nanos.fetch_add(nanos, Relaxed);
        tally.counts[StatementUse::BOUNDS.partition_point(|bound| *bound < took)].fetch_add(1, Relaxed);
        if tally.longest.load(Relaxed) < nanos {
            tally.longest.fetch_max(nanos, Relaxed);
        }
        if let Some(failure) = failure {
            tally.failed[failure as usize].fetch_add(1, Relaxed);
        }
        Ran { summary: &tally.summary, took, failure }
    }

    /// Those that have run, in the order in which they were met first.
    pub(crate) fn list(&self) -> Vec<StatementUse> {
        let tallies = self.tallies.iter().map_while(OnceLock::get);
        tallies.map(|tally| tally.read()).filter(|of| of.calls() > 0).collect()
    }
}

impl Tally {
    fn read(&self) -> StatementUse {
        StatementUse {
            summary: Arc::clone(&self.summary),
            took: Duration::from_nanos(self.nanos.load(Relaxed)),
            longest: Duration::from_nanos(self.longest.load(Relaxed)),
            counts: std::array::from_fn(|at| self.counts[at].load(Relaxed)),
            failed: std::array::from_fn(|at| self.failed[at].load(Relaxed)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_kinds_than_there_is_room_for_are_counted_as_one() {
        let statements = Statements::default();
        let kinds: Vec<Kind> = (0..3 * Statements::MOST).map(|n| statements.kind(&format!("SELECT t{n}"))).collect();
        for kind in &kinds {
            statements.ended(*kind, Duration::from_millis(1), None);
        }
        let list = statements.list();
        assert_eq!(list.len(), Statements::MOST - Kind::FIRST.len() + 1);
        let total: u64 = list.iter().map(StatementUse::calls).sum();
        assert_eq!(total, kinds.len() as u64, "none is lost");
        let other = list.iter().find(|of| &*of.summary == OTHER).unwrap();
        assert_eq!(other.calls(), total - (list.len() as u64 - 1));
        assert_eq!(statements.kinds.lock().unwrap().len(), Statements::MOST);
        assert_eq!(statements.kind("SELECT t3"), kinds[3], "who is known stays so");
    }

    #[test]
    fn each_end_is_told_by_how_and_after_how_long() {
        let statements = Statements::default();
        for (failure, millis) in Failure::ALL.map(Some).into_iter().chain([None]).zip([1, 2, 3, 4, 5, 30_000]) {
            let ran = statements.ended(Kind::COMMIT, Duration::from_millis(millis), failure);
            assert_eq!((ran.summary, ran.failure), ("COMMIT", failure));
        }
        let [of] = &statements.list()[..] else { panic!("there is one") };
        assert_eq!((of.calls(), of.failures()), (6, 5));
        assert!(Failure::ALL.into_iter().all(|failure| of.failed(failure) == 1));
        assert_eq!((of.took, of.longest), (Duration::from_millis(30_015), Duration::from_secs(30)));
        assert_eq!(of.quantile(0.5), Some(Duration::from_micros(5_000)), "the bucket of 2.5 to 5 ms");
        assert_eq!(of.quantile(1.0), Some(of.longest));
    }

    #[test]
    fn a_bound_belongs_to_what_it_bounds() {
        for (at, bound) in StatementUse::BOUNDS.into_iter().enumerate() {
            let statements = Statements::default();
            statements.ended(Kind::BEGIN, bound, None);
            statements.ended(Kind::BEGIN, bound + Duration::from_nanos(1), None);
            let list = statements.list();
            assert_eq!((list[0].counts()[at], list[0].counts()[at + 1]), (1, 1));
        }
    }
}
