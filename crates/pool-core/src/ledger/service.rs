use std::time::{Duration, Instant};

use super::Ledger;
use crate::class::Rank;
use crate::slots::Phase;
use crate::{Action, CloseReason, SlotId, WaiterId};

/// Who gets what comes free.
impl Ledger {
    /// Serves whoever can be served, and opens what is missing. Called after every change.
    pub(super) fn pump(&mut self, now: Instant) {
        self.note(now);
        self.openings.age_learned(now);
        if self.queue.next_end().is_some_and(|end| end <= now) {
            self.end_waits(now);
        }
        self.ask_one(now);
        while let Some(rank) = self.next_rank() {
            if let Some(slot) = self.ready(now, self.queue.home_of_head(rank)) {
                self.grant_head_of(now, slot, rank);
            } else if !self.check_for_somebody(now) {
                self.make_room_for_the_new(now, rank);
                break;
            }
        }
        self.open_missing(now);
    }

    /// The connection used most recently of those that are idle and need no check for somebody at this home.
    pub(super) fn ready(&self, now: Instant, home: u32) -> Option<SlotId> {
        let is_fresh = |since| now.saturating_duration_since(since) < self.rules.check_after_idle;
        let (slot, since) = self.slots.warmest()?;
        if !self.is_asked_first(slot, home) {
            return is_fresh(since).then_some(slot);
        }
        let mut idle = self.slots.idle().rev().take_while(|(_, since)| is_fresh(*since));
        idle.find(|(slot, _)| !self.is_asked_first(*slot, home)).map(|(slot, _)| slot)
    }

    /// Has the warmest connection checked for the first waiter with a place for whom none is being checked yet.
    fn check_for_somebody(&mut self, now: Instant) -> bool {
        let Some((slot, since)) = self.slots.warmest() else { return false };
        let mut ranks = Rank::ALL.into_iter().filter(|rank| self.has_place(*rank));
        let Some((waiter, until)) = ranks.find_map(|rank| self.queue.unchecked(rank)) else { return false };
        if let Some(checks) = self.queue.checks_of(waiter) {
            checks.under_way = true;
        }
        let role = self.is_of_old(slot);
        self.slots.shift(slot, Phase::Checking { since, waiter: Some(waiter) });
        // Half of the time that is left: then there is time for another way.
        let left = until.saturating_duration_since(now) / 2;
        let limit = self.rules.check_timeout.min(left).max(Duration::from_millis(1));
        self.actions.push_back(Action::Check { slot, limit, role });
        true
    }

    /// Notes for whom it was checked.
    pub(super) fn count_check(&mut self, waiter: Option<WaiterId>, well: bool) {
        let total = if well { &mut self.totals.checks_well } else { &mut self.totals.checks_failed };
        *total += 1;
        if let Some(checks) = waiter.and_then(|waiter| self.queue.checks_of(waiter)) {
            checks.under_way = false;
            checks.failed += u32::from(!well);
        }
    }

    /// Whoever met dead connections twice waits for a new one. Where no more may exist, one that was not used for long
    /// gives way to it. Whoever of this rank is next has found none that is ready.
    fn make_room_for_the_new(&mut self, now: Instant, rank: Rank) {
        let counts = self.slots.counts();
        let full = counts.open() >= self.ceiling() && counts.opening + counts.closing + counts.checking == 0;
        if full
            && self.queue.is_exhausted(rank)
            && let Some((slot, _)) = self.slots.coldest()
        {
            self.discard(now, slot, CloseReason::Unwell);
        }
    }

    /// Whose turn it is: strict priority, but against starvation one grant in twenty goes to the lowest rank that waits,
    /// and one to those between it and the first, in turn.
    fn next_rank(&self) -> Option<Rank> {
        if self.queue.is_empty() {
            return None;
        }
        let mut waiting = Rank::ALL.into_iter().filter(|rank| self.queue.has(*rank) && self.has_place(*rank));
        match self.grants % 20 {
            19 => waiting.next_back(),
            9 => match waiting.clone().count().saturating_sub(2) {
                0 => waiting.next(),
                between => waiting.nth(1 + (self.grants / 20) as usize % between),
            },
            _ => waiting.next(),
        }
    }

    pub(super) fn grant_head(&mut self, now: Instant, slot: SlotId) -> Option<WaiterId> {
        let rank = self.next_rank()?;
        self.grant_head_of(now, slot, rank)
    }

    fn grant_head_of(&mut self, now: Instant, slot: SlotId, rank: Rank) -> Option<WaiterId> {
        let waiter = self.queue.head(rank)?;
        self.note(now);
        self.queue.remove(waiter);
        self.grants = self.grants.wrapping_add(1);
        self.lease(now, slot, rank);
        self.actions.push_back(Action::Grant { waiter, slot });
        self.after_queue(now);
        Some(waiter)
    }

    /// Somebody left the queue.
    pub(super) fn after_queue(&mut self, now: Instant) {
        let free = Rank::ALL.into_iter().take_while(|rank| !self.queue.has(*rank)).count();
        for queue in &mut self.standing[..free] {
            queue.on_empty(now);
        }
    }
}
