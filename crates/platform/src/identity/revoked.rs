//! Sessions that were ended while access tokens of theirs are still good.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::time::Instant;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{ACCESS_LIFE, LEEWAY};

/// No token of a session is good for longer once the session has ended.
const GOOD_FOR: Duration = ACCESS_LIFE.saturating_add(Duration::from_secs(LEEWAY));

/// The sessions whose tokens are refused, as far as this process knows. Cheap to clone; all clones are one set.
///
/// Each is kept for as long as a token of it may be good, from when it was first heard of, and forgotten then. So a set
/// is only ever added to by whoever knows more.
#[derive(Clone, Default)]
pub struct RevokedSessions {
    known: Arc<RwLock<Known>>,
}

#[derive(Default)]
struct Known {
    /// When each was first heard of.
    since: HashMap<Uuid, Instant>,
    /// Another one after each change.
    version: u64,
}

/// Sessions that have ended, while an access token of theirs may still be good.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = RevokedSessions)]
pub struct RevokedList {
    /// Their ids: the `sid` of the tokens.
    pub revoked: Vec<Uuid>,
}

impl RevokedSessions {
    /// The most that are known at once: beyond them the oldest are forgotten early. Some 0.8 MB as a document.
    pub const MOST: usize = 20_000;

    /// How long before now a session must have ended, for none of its tokens to be good any more.
    #[must_use]
    pub const fn good_for() -> Duration {
        GOOD_FOR
    }

    /// Whether tokens of this session are refused. Asks nobody.
    #[must_use]
    pub fn contains(&self, session: Uuid) -> bool {
        self.known.read().unwrap_or_else(PoisonError::into_inner).since.contains_key(&session)
    }

    /// Refuses these from now on, and forgets whose tokens have all expired.
    pub fn add(&self, sessions: impl IntoIterator<Item = Uuid>) {
        self.add_at(sessions, Instant::now());
    }

    fn add_at(&self, sessions: impl IntoIterator<Item = Uuid>, now: Instant) {
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        let before = known.since.len();
        known.since.retain(|_, since| now.saturating_duration_since(*since) <= GOOD_FOR);
        let kept = known.since.len();
        for session in sessions {
            known.since.entry(session).or_insert(now);
        }
        let added = known.since.len() > kept;
        known.trim();
        if added || kept < before {
            known.version += 1;
        }
    }

    /// All of them, in the order of their ids, with a number that is another one after each change.
    #[must_use]
    pub fn list(&self) -> (u64, RevokedList) {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        let mut revoked: Vec<_> = known.since.keys().copied().collect();
        revoked.sort_unstable();
        (known.version, RevokedList { revoked })
    }

    /// The number that [`list`](Self::list) would give.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.known.read().unwrap_or_else(PoisonError::into_inner).version
    }
}

impl Known {
    fn trim(&mut self) {
        let Some(surplus) = self.since.len().checked_sub(RevokedSessions::MOST).filter(|surplus| *surplus > 0) else {
            return;
        };
        let mut by_age: Vec<_> = self.since.iter().map(|(session, since)| (*since, *session)).collect();
        by_age.select_nth_unstable(surplus - 1);
        for (_, session) in &by_age[..surplus] {
            self.since.remove(session);
        }
        tracing::warn!(
            surplus,
            most = RevokedSessions::MOST,
            "more sessions were ended than are kept in mind: tokens of the oldest may be taken until they expire"
        );
    }
}

impl std::fmt::Debug for RevokedSessions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner).since.len();
        f.debug_struct("RevokedSessions").field("known", &known).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_is_refused_from_when_it_is_known_until_its_last_token_has_expired() {
        let (revoked, session, start) = (RevokedSessions::default(), Uuid::now_v7(), Instant::now());
        assert!(!revoked.contains(session));
        revoked.add_at([session], start);
        // Told again, it is not kept for longer.
        revoked.add_at([session], start + GOOD_FOR);
        assert!(revoked.contains(session));
        revoked.add_at([], start + GOOD_FOR + Duration::from_millis(1));
        assert!(!revoked.contains(session));
    }

    #[test]
    fn what_was_told_by_others_takes_nothing_away() {
        let (revoked, ours, theirs) = (RevokedSessions::default(), Uuid::now_v7(), Uuid::now_v7());
        revoked.add([ours]);
        revoked.add([theirs]);
        assert!(revoked.contains(ours) && revoked.contains(theirs));
    }

    #[test]
    fn the_version_changes_with_the_list_and_with_nothing_else() {
        let (revoked, start) = (RevokedSessions::default(), Instant::now());
        let session = Uuid::now_v7();
        let empty = revoked.version();
        revoked.add_at([session], start);
        let one = revoked.version();
        revoked.add_at([session], start);
        assert_eq!((revoked.version(), revoked.list().0, revoked.list().1.revoked), (one, one, vec![session]));
        revoked.add_at([], start + GOOD_FOR * 2);
        assert!(empty != one && revoked.version() != one);
    }

    #[test]
    fn beyond_the_bound_the_oldest_are_forgotten() {
        let (revoked, start) = (RevokedSessions::default(), Instant::now());
        let (old, young) = (Uuid::now_v7(), Uuid::now_v7());
        revoked.add_at([old], start);
        let many = std::iter::repeat_with(Uuid::now_v7).take(RevokedSessions::MOST - 1);
        revoked.add_at(many, start + Duration::from_secs(1));
        assert!(revoked.contains(old));
        revoked.add_at([young], start + Duration::from_secs(2));
        assert!(revoked.contains(young) && !revoked.contains(old));
        assert_eq!(revoked.list().1.revoked.len(), RevokedSessions::MOST);
    }
}
