//! What the connections of a pool know of the server's catalog, and what makes them look again.

use std::sync::PoisonError;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use sqlx::postgres::PgDatabaseError;

use crate::sync::{AtomicU64, Mutex};

/// Counts the changes of the server's catalog that statements have met.
///
/// A connection keeps prepared statements, and types by their names. When a type or a table was made again, these are wrong
/// on all connections alike, and each would fail for as long as it lives. So the first failure begins a new era, and every
/// connection forgets what it knows of an older one before its next statement.
#[derive(Debug, Default)]
pub(crate) struct Catalog {
    era: AtomicU64,
    begun: Mutex<Option<Instant>>,
}

/// What a server's error says of what its connection knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sign {
    /// Its session lacks a prepared statement. Others do not.
    Lost,
    /// A prepared statement does not fit its tables any more.
    Plan,
    /// Something that is known by its number is not there any more.
    Gone,
    /// Types do not go together: one of them may be that of before, or the statement is wrong.
    Mismatch,
}

impl Sign {
    pub(crate) fn of(error: &PgDatabaseError) -> Option<Self> {
        match (error.code(), error.routine()) {
            ("26000", _) => Some(Self::Lost),
            ("0A000", Some("RevalidateCachedQuery")) => Some(Self::Plan),
            ("42704", Some("lookup_type_cache")) => Some(Self::Gone),
            // Errors of this class are not translated.
            ("XX000", _) if error.message().starts_with("cache lookup failed for ") => Some(Self::Gone),
            ("42804" | "42846" | "42883", _) => Some(Self::Mismatch),
            _ => None,
        }
    }

    /// How long after an era's beginning this sign does not begin another; `None`: it never does.
    const fn pause(self) -> Option<Duration> {
        match self {
            Self::Lost => None,
            Self::Plan | Self::Gone => Some(Duration::from_secs(2)),
            Self::Mismatch => Some(Duration::from_secs(10)),
        }
    }
}

impl Catalog {
    pub(crate) fn era(&self) -> u64 {
        self.era.load(Ordering::Relaxed)
    }

    /// A statement met this sign. Says whether a new era begins with it.
    pub(crate) fn note(&self, now: Instant, sign: Sign) -> bool {
        let Some(pause) = sign.pause() else { return false };
        let mut begun = self.begun.lock().unwrap_or_else(PoisonError::into_inner);
        if begun.is_some_and(|at| now.saturating_duration_since(at) < pause) {
            return false;
        }
        *begun = Some(now);
        self.era.fetch_add(1, Ordering::Relaxed);
        true
    }
}
