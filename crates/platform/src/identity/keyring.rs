//! Which keys hold, and when to ask for them again. Decides only: time and chance are arguments.

use std::sync::Arc;
use std::time::Duration;

use jsonwebtoken::DecodingKey;
use tokio::time::Instant;

use super::key_set::KeySet;

/// Keys are asked for again at the latest this long after they came.
const FRESH: Duration = Duration::from_secs(300);

/// Keys are good this long after they came, while no others can be had.
const GOOD: Duration = Duration::from_secs(24 * 3600);

/// Tokens with unknown keys cause one request in this time, however many they are and whoever sends them.
const DEMAND_EVERY: Duration = Duration::from_secs(10);

const FIRST_RETRY: Duration = Duration::from_millis(500);
const LAST_RETRY: Duration = Duration::from_secs(10);

/// The keys that came last, and the state of asking for the next.
#[derive(Debug)]
pub(super) struct Keyring {
    keys: KeySet,
    /// When they came.
    fetched: Option<Instant>,
    /// When to ask, if nobody demands it before.
    due: Instant,
    /// Of those that were due, in a row.
    failures: u32,
    demanded: Option<Instant>,
    /// Until then the issuer asked to be left alone.
    rest: Instant,
    phase: Phase,
    /// How many ended, well or not.
    attempts: u64,
    standing: Option<Standing>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Resting,
    Demanded,
    Asking,
}

/// How it stands after an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// The keys have just come.
    Current,
    /// They did not, and those of before hold.
    Kept,
    /// They did not, and there are none of before, or none young enough.
    Without,
}

/// Why there is no key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Missing {
    /// The keys are known, and this is none of them.
    Key,
    /// The keys are not known.
    Keys,
}

/// What became of looking for a key.
#[derive(Debug)]
pub(super) enum Search {
    /// Found, or not and nobody asks for it.
    Over(Result<Arc<DecodingKey>, Missing>),
    /// It may come with the next keys: look again when the [number of attempts](Keyring::attempts) is no longer this.
    Waits(u64),
}

impl Keyring {
    /// Knows no key; the first request is due at once.
    pub(super) fn empty(now: Instant) -> Self {
        Self {
            keys: KeySet::default(),
            fetched: None,
            due: now,
            failures: 0,
            demanded: None,
            rest: now,
            phase: Phase::Resting,
            attempts: 0,
            standing: None,
        }
    }

    /// The key with this id.
    pub(super) fn find(&self, id: &str, now: Instant) -> Result<Arc<DecodingKey>, Missing> {
        if self.holds(now) { self.keys.get(id).ok_or(Missing::Key) } else { Err(Missing::Keys) }
    }

    fn holds(&self, now: Instant) -> bool {
        self.fetched.is_some_and(|fetched| now.saturating_duration_since(fetched) <= GOOD)
    }

    /// As [`find`](Self::find); where there is no such key, the keys are demanded, unless somebody did so lately.
    pub(super) fn search(&mut self, id: &str, now: Instant) -> Search {
        match self.find(id, now) {
            Ok(key) => Search::Over(Ok(key)),
            Err(_) if self.is_coming(now) || self.demand(now) => Search::Waits(self.attempts),
            Err(missing) => Search::Over(Err(missing)),
        }
    }

    /// Whether the keys are asked for in any case, so that nobody has to demand it.
    fn is_coming(&self, now: Instant) -> bool {
        self.phase != Phase::Resting || self.due <= now
    }

    fn demand(&mut self, now: Instant) -> bool {
        let lately = self.demanded.is_some_and(|demanded| now.saturating_duration_since(demanded) < DEMAND_EVERY);
        let may = !lately && self.rest <= now;
        if may {
            (self.phase, self.demanded) = (Phase::Demanded, Some(now));
        }
        may
    }

    /// Whether somebody waits for a request that is not due yet.
    pub(super) fn is_demanded(&self) -> bool {
        self.phase == Phase::Demanded
    }

    /// When to ask, if nobody demands it before.
    pub(super) fn due(&self) -> Instant {
        self.due
    }

    /// The request goes out.
    pub(super) fn begin(&mut self) {
        self.phase = Phase::Asking;
    }

    /// The request has ended: with keys, or with how long the issuer asked to be left alone, which is zero where it did not.
    /// `chance`, from 0 to 1, spreads those who would come back together. How it stands now, where that is news.
    pub(super) fn end(&mut self, keys: Result<KeySet, Duration>, now: Instant, chance: f64) -> Option<Standing> {
        (self.phase, self.attempts) = (Phase::Resting, self.attempts.wrapping_add(1));
        let standing = match &keys {
            Ok(_) => Standing::Current,
            Err(_) if self.holds(now) => Standing::Kept,
            Err(_) => Standing::Without,
        };
        self.plan(keys, now, chance);
        (self.standing.replace(standing) != Some(standing)).then_some(standing)
    }

    fn plan(&mut self, keys: Result<KeySet, Duration>, now: Instant, chance: f64) {
        match keys {
            Ok(keys) => {
                (self.keys, self.fetched, self.failures) = (keys, Some(now), 0);
                self.due = now + FRESH.mul_f64(0.8 + 0.2 * chance);
            }
            // A demand that failed early leaves the schedule alone: or else forged tokens would cause retries.
            Err(told) if now < self.due => self.rest = now + told.min(FRESH),
            Err(told) => {
                self.failures = self.failures.saturating_add(1);
                self.rest = now + told.min(FRESH);
                self.due = self.rest + retry(self.failures).mul_f64(0.5 + 0.5 * chance);
            }
        }
    }

    /// How many requests ended.
    pub(super) fn attempts(&self) -> u64 {
        self.attempts
    }
}

/// Doubles with each failure in a row.
fn retry(failures: u32) -> Duration {
    FIRST_RETRY.saturating_mul(2_u32.saturating_pow(failures.saturating_sub(1))).min(LAST_RETRY)
}

#[cfg(test)]
mod tests;
