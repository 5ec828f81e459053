use std::time::{Duration, Instant};

use super::Ledger;
use crate::slots::Phase;
use crate::{CloseReason, OpenReason, SlotId};

/// When connections may go that nothing is wrong with: each kind of going has its pace, so that none is a herd.
#[derive(Debug)]
pub(super) struct Retirement {
    /// The next one may be replaced for its age from then on.
    next: Instant,
    /// The next one may be closed for its idleness from then on.
    next_reaping: Instant,
}

impl Retirement {
    /// One replaced for its age in so long.
    const PACE: Duration = Duration::from_secs(1);
    /// One closed for its idleness in so long.
    const REAPING_PACE: Duration = Duration::from_millis(100);
    /// The shortest life, as a part of the longest.
    const LEAST: f64 = 0.8;

    pub(super) const fn new(now: Instant) -> Self {
        Self { next: now, next_reaping: now }
    }
}

impl Ledger {
    /// A connection begins its life: when it ends is drawn here and never again.
    pub(super) fn bear(&mut self, now: Instant, slot: SlotId, chance: f64) {
        let part = Retirement::LEAST + (1.0 - Retirement::LEAST) * chance.clamp(0.0, 1.0);
        self.slots.bear(slot, self.flush.era());
        self.slots.expire(slot, self.rules.lifetime.map(|lifetime| now + lifetime.mul_f64(part)));
    }

    /// Replaces the oldest connection when its time has come: the new one is opened first. Where no more may exist, or
    /// nobody would miss it, the old one goes first.
    pub(super) fn replace_aged(&mut self, now: Instant) {
        let Some((_, slot)) = self.slots.first_expiry().filter(|(at, _)| *at <= now) else { return };
        if self.closed || now < self.retirement.next {
            return;
        }
        self.retirement.next = now + Retirement::PACE;
        let at_the_ceiling = self.slots.counts().open() >= self.ceiling();
        if at_the_ceiling || !self.is_missed(slot) {
            self.retire(now, slot);
        } else if self.may_open() && self.openings.is_due(now) {
            self.slots.expire(slot, None);
            self.open(now, OpenReason::Replacement, Some(slot));
        }
    }

    /// Whether there would be one too few without it.
    fn is_missed(&self, slot: SlotId) -> bool {
        let idle = matches!(self.slots.phase(slot), Some(Phase::Idle { .. }));
        !idle || !self.queue.is_empty() || self.slots.counts().live() <= self.kept()
    }

    /// The connection goes for its age: now if it is idle, otherwise as soon as nobody has it.
    pub(super) fn retire(&mut self, now: Instant, slot: SlotId) {
        self.slots.expire(slot, None);
        if let Some(Phase::Idle { .. }) = self.slots.phase(slot) {
            self.discard(now, slot, CloseReason::Aged);
        } else {
            self.slots.leave(slot, CloseReason::Aged);
        }
    }

    /// Its replacement could not be opened: it serves on, and is replaced later.
    pub(super) fn postpone_retirement(&mut self, now: Instant, slot: SlotId) {
        if !matches!(self.slots.phase(slot), None | Some(Phase::Closing)) {
            self.slots.expire(slot, Some(now + Retirement::PACE));
        }
    }

    /// How many are kept though nobody uses them: the minimum, or what was needed lately.
    pub(super) fn kept(&self) -> u32 {
        self.rules.min_idle.max(self.peaks.needed())
    }

    fn has_too_many(&self) -> bool {
        let counts = self.slots.counts();
        counts.idle + counts.leased > self.kept()
    }

    /// Closes the coldest idle connection when it was unused for too long, one at a time.
    pub(super) fn reap(&mut self, now: Instant) {
        if let Some((slot, since)) = self.slots.coldest()
            && now >= self.retirement.next_reaping
            && now.saturating_duration_since(since) >= self.rules.idle_timeout
            && self.has_too_many()
        {
            self.totals.reaped += 1;
            self.retirement.next_reaping = now + Retirement::REAPING_PACE;
            self.discard(now, slot, CloseReason::Idle);
        }
    }

    /// When the next connection may go for its idleness or its age.
    pub(super) fn next_retirement(&self) -> Option<Instant> {
        let counts = self.slots.counts();
        let reaping = self.slots.coldest().filter(|_| counts.idle + counts.leased > self.rules.min_idle);
        let reaping = reaping.map(|(_, since)| {
            let due = (since + self.rules.idle_timeout).max(self.retirement.next_reaping);
            // One that is kept is looked at again when something may be forgotten.
            if self.has_too_many() { due } else { due.max(self.peaks.next_turn()) }
        });
        let ageing = self.slots.first_expiry().filter(|_| !self.closed).map(|(at, _)| at.max(self.retirement.next));
        [reaping, ageing].into_iter().flatten().min()
    }

    /// Closes idle connections above the ceiling.
    pub(super) fn trim(&mut self, now: Instant) {
        while self.slots.counts().live() > self.ceiling() {
            let Some((slot, _)) = self.slots.coldest() else { return };
            self.discard(now, slot, CloseReason::Surplus);
        }
    }
}
