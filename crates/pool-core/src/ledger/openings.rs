use std::time::{Duration, Instant};

use super::Ledger;
use crate::class::Rank;
use crate::slots::Phase;
use crate::{Action, Opening, Refusal};

/// Why a connection could not be opened, as far as it matters to the pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum OpenFailure {
    /// The server has no room (SQLSTATE class 53): the ceiling is lowered to what exists for a minute.
    NoRoom,
    /// Credentials or the database are wrong: trying again soon is of no use.
    Misconfigured,
    /// Anything else: refused, timed out, shutting down.
    Other,
}

/// What is known about opening connections: failures in a row, when to try next, what the server has room for.
#[derive(Debug, Default)]
pub(super) struct Openings {
    failures: u32,
    /// Since when nothing is alive and nothing could be opened: the first failure of that time.
    dead_since: Option<Instant>,
    failures_dead: u32,
    not_before: Option<Instant>,
    learned: Option<(u32, Instant)>,
    /// How long an opening takes, as a mean over about eight.
    takes: Duration,
}

impl Openings {
    const FIRST_DELAY: Duration = Duration::from_millis(50);
    const LONGEST_DELAY: Duration = Duration::from_secs(5);
    /// While nothing is alive, so that the first success comes soon after the server is back.
    const LONGEST_DELAY_DEAD: Duration = Duration::from_millis(500);
    const MISCONFIGURED_DELAY: Duration = Duration::from_secs(5);
    const DEAD_LIMIT: Duration = Duration::from_secs(1);
    const LEARNED_FOR: Duration = Duration::from_secs(60);
    const BREAK_AFTER: u32 = 5;
    const BREAK_AFTER_TIME: Duration = Duration::from_secs(2);

    pub(super) fn learned(&self) -> Option<u32> {
        self.learned.map(|(room, _)| room)
    }

    pub(super) fn forget_learned(&mut self, now: Instant) {
        self.learned = self.learned.filter(|(_, until)| now < *until);
    }

    pub(super) const fn are_well(&self) -> bool {
        self.failures == 0
    }

    /// How long it takes to open so many, a few at once.
    pub(super) fn time_for(&self, connections: u32, at_once: u32) -> Duration {
        self.takes * connections.div_ceil(at_once.max(1))
    }

    fn is_due(&self, now: Instant) -> bool {
        self.not_before.is_none_or(|at| at <= now)
    }

    fn is_broken(&self, now: Instant) -> bool {
        self.failures_dead >= Self::BREAK_AFTER
            || self.dead_since.is_some_and(|since| now.saturating_duration_since(since) >= Self::BREAK_AFTER_TIME)
    }
}

impl Ledger {
    /// A connection is open: to the oldest waiter, or to the idle ones.
    pub fn opened(&mut self, now: Instant, opening: Opening) {
        self.openings.failures = 0;
        self.openings.failures_dead = 0;
        self.openings.dead_since = None;
        self.openings.not_before = None;
        self.openings.takes = (self.openings.takes * 7 + now.saturating_duration_since(opening.begun)) / 8;
        self.totals.opened += 1;
        self.rest(now, opening.slot, now);
        self.pump(now);
    }

    /// It could not be opened. `chance` in `[0, 1)` spreads the next attempt (full jitter).
    pub fn open_failed(&mut self, now: Instant, opening: Opening, failure: OpenFailure, chance: f64) {
        self.slots.remove(opening.slot);
        self.totals.open_failed += 1;
        let openings = &mut self.openings;
        openings.failures = openings.failures.saturating_add(1);
        let counts = self.slots.counts();
        let live = counts.live();
        if live == 0 {
            openings.failures_dead = openings.failures_dead.saturating_add(1);
            openings.dead_since.get_or_insert(now);
        } else {
            (openings.failures_dead, openings.dead_since) = (0, None);
        }
        let longest = match failure {
            OpenFailure::Misconfigured => Openings::MISCONFIGURED_DELAY,
            _ if live == 0 => Openings::LONGEST_DELAY_DEAD,
            _ => Openings::LONGEST_DELAY,
        };
        let doubled = Openings::FIRST_DELAY * 2u32.saturating_pow(openings.failures.min(8));
        openings.not_before = Some(now + doubled.min(longest).mul_f64(chance.clamp(0.0, 1.0)));
        if failure == OpenFailure::NoRoom && live > 0 {
            // What is being closed still is a session of the server's.
            let exists = live + counts.closing;
            let known = openings.learned().unwrap_or(0);
            openings.learned = Some((known.max(exists), now + Openings::LEARNED_FOR));
        }
        self.fail_hopeless(now);
        self.pump(now);
    }

    /// Refuses everyone while nothing is alive and opening has failed for good.
    pub(super) fn fail_hopeless(&mut self, now: Instant) {
        let Some(refusal) = self.hopeless(now) else { return };
        while let Some((waiter, _)) = self.queue.pop() {
            self.totals.unavailable += 1;
            self.actions.push_back(Action::Refuse { waiter, refusal });
        }
        self.after_queue();
    }

    pub(super) fn hopeless(&self, now: Instant) -> Option<Refusal> {
        let since = self.openings.dead_since?;
        if self.slots.counts().live() > 0 || !self.openings.is_broken(now) {
            return None;
        }
        Some(Refusal::Unavailable {
            since: now.saturating_duration_since(since),
            retry_after: Openings::BREAK_AFTER_TIME,
        })
    }

    /// Asks for the connections that waiters with a place, or the minimum of idle ones, are missing.
    pub(super) fn open_missing(&mut self, now: Instant) {
        while self.openings.is_due(now) && self.wants_opening() {
            let slot = self.slots.mint();
            let limit = self.rules.open_timeout;
            let limit = if self.slots.counts().live() == 0 { limit.min(Openings::DEAD_LIMIT) } else { limit };
            self.actions.push_back(Action::Open(Opening { slot, limit, begun: now }));
        }
    }

    /// Whether another connection is missing and may be opened, the pause after a failure aside.
    fn wants_opening(&self) -> bool {
        let counts = self.slots.counts();
        let on_the_way = counts.opening + counts.checking;
        let missing =
            self.unmet() > on_the_way || counts.idle + on_the_way < self.idle_wanted().max(self.spare_wanted());
        missing && !self.closed && counts.opening < self.openings_at_once() && counts.open() < self.ceiling()
    }

    /// Waiters that have a place and lack only a connection.
    fn unmet(&self) -> u32 {
        let used = self.slots.counts().in_use();
        let urgent = self.queue.ahead_of(Rank::Critical) > 0;
        let places = self.places(if urgent { Rank::Critical } else { Rank::Normal });
        let waiting = u32::try_from(self.queue.len()).unwrap_or(u32::MAX);
        waiting.min(places.saturating_sub(used))
    }

    /// Idle connections to have, as far as leases do not fill the minimum by themselves. After a failure at least one:
    /// while every caller is refused, it is what notices that the server is back.
    fn idle_wanted(&self) -> u32 {
        let counts = self.slots.counts();
        let least = u32::from(!self.openings.are_well());
        self.rules.min_idle.max(least).saturating_sub(counts.leased + counts.suspect + counts.quarantined)
    }

    /// While every place below the reserve is taken, the reserve's connections are open and idle: a place without a
    /// connection would be no reserve.
    fn spare_wanted(&self) -> u32 {
        let used = self.slots.counts().in_use();
        if used < self.permits() { 0 } else { self.places(Rank::Critical).saturating_sub(used) }
    }

    fn openings_at_once(&self) -> u32 {
        if self.openings.are_well() { self.rules.openings_at_once } else { 1 }
    }

    /// When the pause after a failure ends, if something is to be opened then.
    pub(super) fn next_opening(&self) -> Option<Instant> {
        self.openings.not_before.filter(|_| self.wants_opening())
    }

    /// Closes the coldest idle connection when it was unused for too long, one at a time.
    pub(super) fn reap(&mut self, now: Instant) {
        let counts = self.slots.counts();
        if counts.idle + counts.leased <= self.rules.min_idle {
            return;
        }
        if let Some((slot, since)) = self.slots.coldest()
            && now.saturating_duration_since(since) >= self.rules.idle_timeout
        {
            self.totals.reaped += 1;
            self.discard(now, slot);
        }
    }

    pub(super) fn next_reaping(&self) -> Option<Instant> {
        let counts = self.slots.counts();
        if counts.idle + counts.leased <= self.rules.min_idle {
            return None;
        }
        self.slots.coldest().map(|(_, since)| since + self.rules.idle_timeout)
    }

    /// Closes idle connections above the ceiling.
    pub(super) fn trim(&mut self, now: Instant) {
        while self.slots.counts().live() > self.ceiling() {
            let Some((slot, _)) = self.slots.coldest() else { return };
            debug_assert!(
                matches!(self.slots.phase(slot), Some(Phase::Idle { .. })),
                "only idle ones are on the stack"
            );
            self.discard(now, slot);
        }
    }
}
