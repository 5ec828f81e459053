use std::time::{Duration, Instant};

use super::Ledger;
use crate::class::Rank;
use crate::{Action, Breaker, Event, OpenFailure, OpenReason, Opening, Refusal, SlotId, Standstill};

/// What is known about opening connections: failures in a row, when to try next, what the server has room for.
#[derive(Debug, Default)]
pub(super) struct Openings {
    failures: u32,
    /// Since when nothing is alive and nothing could be opened: the first failure of that time.
    dead_since: Option<Instant>,
    failures_dead: u32,
    /// Whether it was told that callers are refused for it.
    told: bool,
    /// The end of the pause after the last failure.
    not_before: Option<Instant>,
    failed_at: Option<Instant>,
    /// When somebody last asked who was not served at once, since opening fails.
    asked_at: Option<Instant>,
    learned: Option<Learned>,
    takes: Takes,
    /// Those under way and when each began, the oldest first.
    under_way: Vec<(SlotId, Instant)>,
}

/// How long an opening takes.
#[derive(Clone, Copy, Debug, Default)]
struct Takes {
    /// The mean over about eight.
    mean: Duration,
    known: u32,
    last: Duration,
}

impl Takes {
    const LONG: u32 = 8;

    fn note(&mut self, took: Duration) {
        self.known = (self.known + 1).min(Self::LONG);
        self.mean = (self.mean * (self.known - 1) + took) / self.known;
        self.last = took;
    }

    /// The shorter of what it takes of late and what it took last: nobody is refused for what was slow before.
    fn now(self) -> Duration {
        self.mean.min(self.last)
    }
}

/// What the server has room for, as it said by refusing one more.
#[derive(Clone, Copy, Debug)]
struct Learned {
    room: u32,
    /// When one more may be tried.
    until: Instant,
    /// Whether that time has come: from now on it rises by one with each that could be opened.
    probing: bool,
}

impl Openings {
    const FIRST_DELAY: Duration = Duration::from_millis(50);
    const LONGEST_DELAY: Duration = Duration::from_secs(5);
    /// While nothing is alive, so that the first success comes soon after the server is back.
    const LONGEST_DELAY_DEAD: Duration = Duration::from_millis(500);
    /// A person has to do something first, and each attempt is a line in the server's log.
    const LONGEST_DELAY_MISCONFIGURED: Duration = Duration::from_secs(30);
    /// While somebody asks, or did lately, whatever the cause is.
    const LONGEST_DELAY_ASKED: Duration = Duration::from_secs(1);
    /// About as long as it takes those to come back who were refused.
    const LATELY: Duration = Duration::from_secs(2);
    const DEAD_LIMIT: Duration = Duration::from_secs(1);
    const LEARNED_FOR: Duration = Duration::from_secs(60);
    const BREAK_AFTER: u32 = 5;
    const BREAK_AFTER_TIME: Duration = Duration::from_secs(2);

    /// How many may exist after what the server has said.
    pub(super) fn learned(&self) -> Option<u32> {
        self.learned.map(|learned| learned.room + u32::from(learned.probing))
    }

    pub(super) fn age_learned(&mut self, now: Instant) {
        if let Some(learned) = &mut self.learned {
            learned.probing |= learned.until <= now;
        }
    }

    /// So many exist, which proves that there is room for them.
    fn learn_more(&mut self, exist: u32, ceiling: u32) {
        if let Some(learned) = &mut self.learned {
            learned.room = learned.room.max(exist);
        }
        self.learned = self.learned.filter(|learned| learned.room < ceiling);
    }

    pub(super) fn stood_still(&mut self, standstill: Standstill) {
        self.dead_since = self.dead_since.map(|since| standstill.since(since));
        self.under_way.iter_mut().for_each(|(_, began)| *began = standstill.since(*began));
    }

    pub(super) const fn are_well(&self) -> bool {
        self.failures == 0
    }

    /// Whether another one may be expected to come: until they have failed again and again.
    pub(super) const fn are_trusted(&self) -> bool {
        self.failures < Self::BREAK_AFTER
    }

    /// How long it takes to open so many, a few at once.
    pub(super) fn time_for(&self, connections: u32, at_once: u32) -> Duration {
        self.takes.now().saturating_mul(connections.div_ceil(at_once.max(1)))
    }

    /// When the last of so many will have come, those under way before others. No time for none, nor for one that takes longer
    /// than usual: it may come at any moment.
    pub(super) fn arrival(&self, now: Instant, connections: u32, at_once: u32) -> Duration {
        let Some(before) = connections.checked_sub(1) else { return Duration::ZERO };
        let lane = (before % at_once.max(1)) as usize;
        let began = self.under_way.get(lane).map_or(now, |(_, began)| *began);
        let pause = self.not_before.filter(|_| connections as usize > self.under_way.len());
        let pause = pause.map_or(Duration::ZERO, |at| at.saturating_duration_since(now));
        let elapsed = now.saturating_duration_since(began).min(self.takes.now());
        pause + self.time_for(connections, at_once) - elapsed
    }

    pub(super) fn is_due(&self, now: Instant) -> bool {
        self.not_before.is_none_or(|at| at <= now)
    }

    /// Somebody asks for a connection, and none is there for it.
    pub(super) const fn on_asked(&mut self, now: Instant) {
        self.asked_at = Some(now);
    }

    /// The end of the pause, which is shorter when somebody waits or has asked lately.
    fn pause_ends(&self, somebody_waits: bool) -> Option<Instant> {
        let soon = self.failed_at.map(|at| at + Self::LONGEST_DELAY_ASKED);
        let wanted = |soon: &Instant| somebody_waits || self.asked_at.is_some_and(|at| *soon <= at + Self::LATELY);
        self.not_before.map(|at| soon.filter(wanted).map_or(at, |soon| soon.min(at)))
    }

    fn is_broken(&self, now: Instant) -> bool {
        self.failures_dead >= Self::BREAK_AFTER
            || self.dead_since.is_some_and(|since| now.saturating_duration_since(since) >= Self::BREAK_AFTER_TIME)
    }

    /// The longest pause before the next attempt; it is drawn from zero to this (full jitter).
    fn longest_pause(&self, failure: OpenFailure, anything_lives: bool) -> Duration {
        let (first, longest) = match failure {
            OpenFailure::Misconfigured => (Self::LONGEST_DELAY_DEAD, Self::LONGEST_DELAY_MISCONFIGURED),
            OpenFailure::NotYet => (Self::FIRST_DELAY, Self::LONGEST_DELAY),
            _ if anything_lives => (Self::FIRST_DELAY, Self::LONGEST_DELAY),
            _ => (Self::FIRST_DELAY, Self::LONGEST_DELAY_DEAD),
        };
        (first * 2u32.pow(self.failures.min(8))).min(longest)
    }
}

impl Ledger {
    /// A connection is open: to the oldest waiter, or to the idle ones. `chance` in `[0, 1)` spreads the end of its life.
    pub fn opened(&mut self, now: Instant, opening: Opening, chance: f64) {
        let Opening { slot, begun, reason, replaces, .. } = opening;
        self.note(now);
        let took = self.running(now).saturating_duration_since(begun);
        let openings = &mut self.openings;
        openings.failures = 0;
        openings.failures_dead = 0;
        openings.dead_since = None;
        (openings.not_before, openings.failed_at, openings.asked_at) = (None, None, None);
        openings.takes.note(took);
        openings.under_way.retain(|(other, _)| *other != slot);
        if std::mem::take(&mut openings.told) {
            self.actions.push_back(Action::Tell(Event::BreakerClosed));
        }
        let counts = self.slots.counts();
        self.openings.learn_more(counts.live() + counts.closing + 1, self.rules.ceiling);
        self.totals.opened += 1;
        self.totals.opened_for[reason as usize] += 1;
        self.bear(now, slot, chance);
        self.rest(now, slot, now);
        if let Some(old) = replaces {
            self.retire(now, old);
        }
        self.pump(now);
    }

    /// It could not be opened. `chance` in `[0, 1)` spreads the next attempt (full jitter).
    pub fn open_failed(&mut self, now: Instant, opening: Opening, failure: OpenFailure, chance: f64) {
        self.note(now);
        self.slots.remove(opening.slot);
        self.openings.under_way.retain(|(other, _)| *other != opening.slot);
        self.totals.open_failed += 1;
        let counts = self.slots.counts();
        let live = counts.live();
        let openings = &mut self.openings;
        openings.failures = openings.failures.saturating_add(1);
        if live == 0 {
            openings.failures_dead = openings.failures_dead.saturating_add(1);
            openings.dead_since.get_or_insert(now);
        } else {
            (openings.failures_dead, openings.dead_since) = (0, None);
        }
        let pause = openings.longest_pause(failure, live > 0).mul_f64(chance.clamp(0.0, 1.0));
        (openings.not_before, openings.failed_at) = (Some(now + pause), Some(now));
        if failure == OpenFailure::NoRoom && live > 0 {
            // What is being closed still is a session of the server's.
            self.learn(now, live + counts.closing);
        }
        if let Some(old) = opening.replaces {
            self.postpone_retirement(now, old);
        }
        self.fail_hopeless(now);
        self.pump(now);
    }

    /// When the pause after a failed opening ends, if nobody asks for a connection meanwhile; `None` after a success.
    #[must_use]
    pub const fn paused_until(&self) -> Option<Instant> {
        self.openings.not_before
    }

    /// What is dialed has changed (credentials, an address): what is missing is opened now, without a pause.
    pub fn end_pause(&mut self, now: Instant) {
        self.openings.not_before = None;
        self.pump(now);
    }

    fn learn(&mut self, now: Instant, room: u32) {
        let until = now + Openings::LEARNED_FOR;
        let before = self.openings.learned.replace(Learned { room, until, probing: false });
        if before.is_none_or(|before| before.room != room) {
            self.actions.push_back(Action::Tell(Event::CeilingLearned { room }));
        }
    }

    /// Refuses everyone while nothing is alive and opening has failed for good.
    pub(super) fn fail_hopeless(&mut self, now: Instant) {
        let Some(refusal) = self.hopeless(now) else { return };
        if !std::mem::replace(&mut self.openings.told, true) {
            let since = self.openings.dead_since.map_or(Duration::ZERO, |at| now.saturating_duration_since(at));
            self.actions.push_back(Action::Tell(Event::BreakerOpened { since }));
        }
        self.note(now);
        while let Some((waiter, _)) = self.queue.pop() {
            self.totals.unavailable += 1;
            self.actions.push_back(Action::Refuse { waiter, refusal });
        }
        self.after_queue(now);
    }

    pub(super) fn hopeless(&self, now: Instant) -> Option<Refusal> {
        let since = self.openings.dead_since?;
        if self.slots.counts().live() > 0 || !self.openings.is_broken(now) {
            return None;
        }
        // It is told to somebody who asks.
        let next = self.openings.pause_ends(true).map_or(Duration::ZERO, |at| at.saturating_duration_since(now));
        Some(Refusal::Unavailable {
            since: now.saturating_duration_since(since),
            retry_after: next + Openings::BREAK_AFTER_TIME,
        })
    }

    pub(super) fn breaker(&self, now: Instant) -> Breaker {
        match self.hopeless(now) {
            None => Breaker::Closed,
            Some(_) if self.slots.counts().opening > 0 => Breaker::HalfOpen,
            Some(_) => Breaker::Open,
        }
    }

    /// Asks for the connections that waiters with a place, or the minimum of idle ones, are missing.
    pub(super) fn open_missing(&mut self, now: Instant) {
        while self.pause_ends().is_none_or(|at| at <= now)
            && self.may_open()
            && let Some(reason) = self.missing()
        {
            self.open(now, reason, None);
        }
    }

    pub(super) fn open(&mut self, now: Instant, reason: OpenReason, replaces: Option<SlotId>) {
        let limit = self.rules.open_timeout;
        let limit = if self.slots.counts().live() == 0 { limit.min(Openings::DEAD_LIMIT) } else { limit };
        let slot = self.slots.mint();
        let begun = self.running(now);
        self.openings.under_way.push((slot, now));
        self.actions.push_back(Action::Open(Opening { slot, limit, begun, reason, replaces }));
    }

    /// Whether another connection may be opened, the pause after a failure aside.
    pub(super) fn may_open(&self) -> bool {
        let counts = self.slots.counts();
        !self.closed && counts.opening < self.openings_at_once() && counts.open() < self.ceiling()
    }

    /// What another connection is missing for.
    fn missing(&self) -> Option<OpenReason> {
        let counts = self.slots.counts();
        let on_the_way = counts.opening + counts.checking;
        // One that is asked about the server is not meant for anybody.
        let unmet = self.unmet();
        if unmet > 0 && unmet + u32::from(self.flush.is_asking()) > on_the_way {
            return Some(OpenReason::Waiter);
        }
        let unused = counts.idle + on_the_way;
        match () {
            () if unused < self.idle_wanted() => Some(OpenReason::Minimum),
            () if unused < self.spare_wanted() => Some(OpenReason::Reserve),
            () => None,
        }
    }

    /// Waiters that have a place and lack only a connection, and those who were refused for it just now, as far as none is idle.
    pub(super) fn unmet(&self) -> u32 {
        let counts = self.slots.counts();
        let lacking = self.ticker.lacking.saturating_sub(counts.idle);
        if self.queue.is_empty() && lacking == 0 {
            return 0;
        }
        let used = counts.in_use();
        let urgent = self.queue.ahead_of(Rank::Critical) > 0;
        let places = self.places(if urgent { Rank::Critical } else { Rank::Normal });
        self.waiting_for_a_place().saturating_add(lacking).min(places.saturating_sub(used))
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

    /// Whether one is under way.
    #[must_use]
    pub fn is_opening(&self) -> bool {
        self.slots.counts().opening > 0
    }

    pub(super) fn openings_at_once(&self) -> u32 {
        if self.openings.are_well() { self.rules.openings_at_once } else { 1 }
    }

    fn pause_ends(&self) -> Option<Instant> {
        self.openings.pause_ends(!self.queue.is_empty())
    }

    /// When the pause after a failure ends, if something is to be opened then.
    pub(super) fn next_opening(&self) -> Option<Instant> {
        self.pause_ends().filter(|_| self.may_open() && self.missing().is_some())
    }
}
