use std::time::{Duration, Instant};

use super::Ledger;
use super::tick::Ticker;
use crate::command::Activity;
use crate::slots::Phase;
use crate::{Action, Event, SlotId};

/// Who holds a connection without using it.
impl Ledger {
    /// What the holder is doing, as [`Action::Observe`] asked.
    pub fn observed(&mut self, now: Instant, slot: SlotId, activity: Activity) {
        let Some(mut hold) = self.slots.hold(slot) else { return };
        let was_suspect = hold.suspect;
        let idle = match activity {
            Activity::Running => Duration::ZERO,
            Activity::HeldIdle { since } => now.saturating_duration_since(since),
        };
        hold.suspect = idle >= self.rules.suspect_after;
        let next =
            if hold.suspect { self.rules.revoke_after.unwrap_or(Duration::MAX) } else { self.rules.suspect_after };
        hold.look_at = if hold.suspect && !was_suspect {
            now
        } else {
            now + next.saturating_sub(idle).min(self.rules.suspect_after).max(Ticker::SWEEP)
        };
        self.note(now);
        self.slots.shift(slot, Phase::Leased(hold));
        if hold.suspect && !was_suspect {
            self.totals.suspected += 1;
            self.actions.push_back(Action::Tell(Event::Suspected { slot, held_idle: idle }));
        } else if was_suspect && !hold.suspect {
            self.totals.cleared += 1;
            self.actions.push_back(Action::Tell(Event::Cleared { slot }));
        }
        if hold.suspect && self.rules.revoke_after.is_some_and(|bound| idle >= bound) {
            self.actions.push_back(Action::Revoke(slot));
        }
        self.pump(now);
    }

    /// The shell tried to take the connection of this lease back, as [`Action::Revoke`] asked. `taken` is false when
    /// the holder had begun a statement in the meantime.
    pub fn revoked(&mut self, now: Instant, slot: SlotId, taken: bool) {
        if self.slots.hold(slot).is_none() {
            return;
        }
        if taken {
            self.totals.revoked += 1;
            self.quarantine(now, slot);
            self.pump(now);
        } else {
            self.observed(now, slot, Activity::Running);
        }
    }

    /// Takes every lease back whose holder runs no statement, whatever its rules say: the pool is closed and has waited long
    /// enough. The shell answers with [`Ledger::revoked`].
    pub fn take_all_back(&mut self) {
        let leased: Vec<_> = self.slots.leased().map(|(slot, _)| slot).collect();
        self.actions.extend(leased.into_iter().map(Action::Revoke));
    }

    /// Whether this lease is one whose place was given to others.
    #[must_use]
    pub fn is_suspect(&self, slot: SlotId) -> bool {
        self.slots.hold(slot).is_some_and(|hold| hold.suspect)
    }

    /// Counts a caller that waits while its own task holds a lease.
    pub const fn note_nested(&mut self) {
        self.totals.nested += 1;
    }
}
