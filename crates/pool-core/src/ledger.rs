use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::class::Rank;
use crate::estimate::Estimate;
use crate::queue::{Queue, Waiter};
use crate::slots::{Hold, Phase, Slots};
use crate::{Action, Class, Event, Mode, Refusal, Rules, Sample, Sizer, SlotId, Snapshot, Totals, WaiterId};

mod door;
mod openings;
mod tick;

pub use openings::OpenFailure;
use openings::Openings;
use tick::Ticker;

/// One request for a connection.
#[derive(Clone, Copy, Debug)]
pub struct Ask {
    class: Class,
    deadline: Instant,
    continuation: bool,
}

impl Ask {
    /// A request that has not executed anything yet.
    #[must_use]
    pub const fn new(class: Class, deadline: Instant) -> Self {
        Self { class, deadline, continuation: false }
    }

    /// The same, for a request that has already executed something: first in rank, and never shed.
    #[must_use]
    pub const fn continuing(self) -> Self {
        Self { continuation: true, ..self }
    }
}

/// The answer to [`Ledger::acquire`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Acquired {
    /// Here it is.
    Leased(SlotId),
    /// Wait for an [`Action::Grant`] or an [`Action::Refuse`] with this id.
    Waiting(WaiterId),
    /// No.
    Refused(Refusal),
}

/// In which state a lease comes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Return {
    /// Nothing is pending and no transaction is open: the next one may have it as it is.
    Clean,
    /// Clean, and nobody ever had it: its holder had left when it was granted. Says nothing about how long leases last.
    Unused,
    /// An answer was not read to its end, or a transaction is open.
    Dirty,
    /// The connection is lost.
    Broken,
}

/// What the holder of a lease is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activity {
    /// A statement runs.
    Running,
    /// No statement has run since then.
    HeldIdle {
        /// When the last statement ended, or when the lease began.
        since: Instant,
    },
}

/// New bounds at run time; what is `None` stays.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Resize {
    /// Connections kept open without traffic.
    pub min_idle: Option<u32>,
    /// The most connections that may exist.
    pub ceiling: Option<u32>,
    /// The limit, which then stays where it is put. Zero gives it back to the sizer.
    pub limit: Option<u32>,
}

/// The pool's state: who holds, waits and opens. See the crate's page for the order to call things.
#[derive(Debug)]
pub struct Ledger {
    rules: Rules,
    sizer: Box<dyn Sizer>,
    limit: u32,
    pinned: bool,
    slots: Slots,
    queue: Queue,
    openings: Openings,
    estimate: Estimate,
    ticker: Ticker,
    grants: u32,
    /// By rank: since when somebody of this rank or a more important one waits without a pause.
    queueing_since: [Option<Instant>; 3],
    closed: bool,
    actions: VecDeque<Action>,
    totals: Totals,
    noted_at: Instant,
}

impl Ledger {
    /// An empty pool. Nothing is opened before [`Ledger::handle_timeout`] or [`Ledger::acquire`].
    #[must_use]
    pub fn new(rules: Rules, sizer: Box<dyn Sizer>, now: Instant) -> Self {
        Self {
            limit: rules.initial_limit,
            pinned: false,
            sizer,
            slots: Slots::default(),
            queue: Queue::default(),
            openings: Openings::default(),
            estimate: Estimate::new(now),
            ticker: Ticker::new(now),
            grants: 0,
            queueing_since: [None; 3],
            closed: false,
            actions: VecDeque::new(),
            totals: Totals::default(),
            noted_at: now,
            rules,
        }
    }

    /// The next thing to do, in order of decision.
    pub fn poll_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// Asks for a connection: a lease now, a place in the queue, or a refusal.
    pub fn acquire(&mut self, now: Instant, ask: Ask) -> Acquired {
        if let Err(refusal) = self.door(now, &ask) {
            return Acquired::Refused(refusal);
        }
        let rank = Rank::of(ask.class, ask.continuation);
        if self.queue.ahead_of(rank) == 0
            && self.has_place(rank)
            && let Some((slot, _)) = self.fresh_idle(now)
        {
            self.lease(now, slot, rank);
            self.open_missing(now);
            return Acquired::Leased(slot);
        }
        self.make_room(now, rank);
        if self.queue.is_empty() {
            self.estimate.on_first_waiter(now);
        }
        // With nothing alive the wait is for an opening, and only the deadline bounds it.
        let guarded = self.rules.mode == Mode::Enforce && !ask.continuation && self.slots.counts().live() > 0;
        let patience = if guarded { now + self.budget(now, rank, ask.class) * 2 } else { ask.deadline };
        let until = ask.deadline.min(patience.max(now));
        let waiter = Waiter { class: ask.class, rank, enqueued: now, deadline: ask.deadline, until };
        self.note(now);
        let id = self.queue.push(waiter);
        for since in &mut self.queueing_since[rank.index()..] {
            since.get_or_insert(now);
        }
        self.ticker.wake(now);
        self.pump(now);
        Acquired::Waiting(id)
    }

    /// A connection if one is idle this moment and needs no check: no door, no queue, and no trace when there is none.
    pub fn try_acquire(&mut self, now: Instant, ask: Ask) -> Option<SlotId> {
        let rank = Rank::of(ask.class, ask.continuation);
        if self.closed || self.queue.ahead_of(rank) > 0 || !self.has_place(rank) {
            return None;
        }
        let (slot, _) = self.fresh_idle(now)?;
        self.lease(now, slot, rank);
        self.open_missing(now);
        Some(slot)
    }

    /// Would a request be let in? The same rule as [`Ledger::acquire`] applies, without taking anything: the door of a
    /// server asks before it reads a body.
    ///
    /// # Errors
    /// The refusal that `acquire` would give now. It is counted.
    pub fn admit(&mut self, now: Instant, ask: Ask) -> Result<(), Refusal> {
        self.door(now, &ask)
    }

    /// The caller gives up. If it was granted a connection meanwhile, release that instead.
    pub fn cancel(&mut self, now: Instant, waiter: WaiterId) {
        self.note(now);
        if self.queue.remove(waiter).is_some() {
            self.totals.cancelled += 1;
            self.after_queue();
            self.pump(now);
        }
    }

    /// A lease ends. One that was revoked before is unknown here, and nothing happens.
    pub fn release(&mut self, now: Instant, slot: SlotId, state: Return) {
        let Some(hold) = self.slots.hold(slot) else { return };
        self.totals.released += 1;
        if !hold.suspect && state != Return::Unused {
            self.estimate.on_release(now, now.saturating_duration_since(hold.acquired));
        }
        match state {
            Return::Clean | Return::Unused => self.rest(now, slot, now),
            Return::Dirty => self.quarantine(now, slot),
            Return::Broken => self.discard(now, slot),
        }
        self.pump(now);
    }

    /// A quarantined connection is clean again, or is not.
    pub fn cleaned(&mut self, now: Instant, slot: SlotId, clean: bool) {
        if self.slots.phase(slot) != Some(Phase::Quarantined) {
            return;
        }
        if clean {
            self.rest(now, slot, now);
        } else {
            self.discard(now, slot);
        }
        self.pump(now);
    }

    /// A checked connection is well, or is not. Its idle time goes on: a check is no use.
    pub fn checked(&mut self, now: Instant, slot: SlotId, well: bool) {
        let Some(Phase::Checking { since }) = self.slots.phase(slot) else { return };
        if !well {
            self.discard(now, slot);
        } else if self.grant_head(now, slot).is_none() {
            self.rest(now, slot, since);
        }
        self.pump(now);
    }

    /// The connection is closed and its place free.
    pub fn closed(&mut self, now: Instant, slot: SlotId) {
        if self.slots.phase(slot) == Some(Phase::Closing) {
            self.slots.remove(slot);
            self.totals.closed += 1;
            self.pump(now);
        }
    }

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

    /// Changes bounds at run time. A lease is never ended by it: what is above a new bound goes as it comes back.
    ///
    /// # Errors
    /// What is wrong with the new bounds; nothing has changed then.
    pub fn resize(&mut self, now: Instant, resize: Resize) -> Result<(), Vec<String>> {
        let min_idle = resize.min_idle.unwrap_or(self.rules.min_idle);
        let ceiling = resize.ceiling.unwrap_or(self.rules.ceiling);
        let initial_limit = self.rules.initial_limit.min(ceiling);
        let faults = Rules { min_idle, ceiling, initial_limit, ..self.rules.clone() }.faults();
        if !faults.is_empty() {
            return Err(faults);
        }
        (self.rules.min_idle, self.rules.ceiling) = (min_idle, ceiling);
        if let Some(limit) = resize.limit {
            self.pinned = limit > 0;
            if limit > 0 {
                self.set_limit(limit, "manual");
            }
        }
        self.trim(now);
        self.pump(now);
        Ok(())
    }

    /// Closes every idle connection; what is needed is opened anew.
    pub fn flush_idle(&mut self, now: Instant) {
        while let Some((slot, _)) = self.slots.coldest() {
            self.discard(now, slot);
        }
        self.pump(now);
    }

    /// Stops admitting and opening: waiters are refused, idle connections closed, leases closed as they come back.
    pub fn close(&mut self, now: Instant) {
        self.closed = true;
        while let Some((waiter, _)) = self.queue.pop() {
            self.actions.push_back(Action::Refuse { waiter, refusal: Refusal::Closed });
        }
        self.flush_idle(now);
    }

    /// Whether the pool is closed and the last connection gone.
    #[must_use]
    pub fn is_drained(&self) -> bool {
        self.closed && self.slots.counts().open() == 0
    }

    /// Whether [`Ledger::close`] was called.
    #[must_use]
    pub const fn is_closed(&self) -> bool {
        self.closed
    }

    /// The pool in numbers.
    #[must_use]
    pub fn snapshot(&self, now: Instant) -> Snapshot {
        let counts = self.slots.counts();
        let oldest = self.slots.leased().map(|(_, hold)| hold.acquired).min();
        let mut totals = self.totals;
        totals.busy_seconds += self.busy_since_note(now);
        Snapshot {
            limit: self.permits(),
            reserve: self.reserve(),
            ceiling: self.ceiling(),
            min_idle: self.rules.min_idle,
            leased: counts.leased,
            suspects: counts.suspect,
            idle: counts.idle,
            opening: counts.opening,
            checking: counts.checking,
            quarantined: counts.quarantined,
            closing: counts.closing,
            waiting: u32::try_from(self.queue.len()).unwrap_or(u32::MAX),
            mean_hold: self.estimate.hold(),
            predicted_wait: self.predicted_wait(now, Rank::Normal),
            oldest_lease: oldest.map_or(Duration::ZERO, |at| now.saturating_duration_since(at)),
            totals,
        }
    }

    /// When the lease began; `None` when it is no lease.
    #[must_use]
    pub fn leased_since(&self, slot: SlotId) -> Option<Instant> {
        self.slots.hold(slot).map(|hold| hold.acquired)
    }

    fn fresh_idle(&self, now: Instant) -> Option<(SlotId, Instant)> {
        self.slots.warmest().filter(|(_, since)| now.saturating_duration_since(*since) < self.rules.check_after_idle)
    }

    // --- movements --------------------------------------------------------------------------------------------

    fn lease(&mut self, now: Instant, slot: SlotId, rank: Rank) {
        self.note(now);
        let hold = Hold { rank, acquired: now, look_at: now + self.rules.suspect_after, suspect: false };
        self.slots.shift(slot, Phase::Leased(hold));
        self.totals.granted += 1;
        self.ticker.peak = self.ticker.peak.max(self.slots.counts().in_use());
        self.ticker.wake(now);
    }

    /// The connection has nothing to do: to the idle ones, or closed where it is one too many.
    fn rest(&mut self, now: Instant, slot: SlotId, since: Instant) {
        let arriving = u32::from(self.slots.phase(slot) == Some(Phase::Opening));
        if self.closed || self.slots.counts().live() + arriving > self.ceiling() {
            self.discard(now, slot);
            return;
        }
        self.note(now);
        self.slots.shift(slot, Phase::Idle { since });
    }

    fn quarantine(&mut self, now: Instant, slot: SlotId) {
        self.note(now);
        self.totals.quarantined += 1;
        self.slots.shift(slot, Phase::Quarantined);
        self.actions.push_back(Action::Clean(slot));
    }

    fn discard(&mut self, now: Instant, slot: SlotId) {
        self.note(now);
        self.slots.shift(slot, Phase::Closing);
        self.actions.push_back(Action::Close(slot));
    }

    fn set_limit(&mut self, to: u32, reason: &'static str) {
        let from = self.limit;
        let to = to.clamp(1, self.rules.ceiling.max(1));
        if from == to {
            return;
        }
        self.limit = to;
        if to > from {
            self.totals.limit_raised += 1;
        } else {
            self.totals.limit_lowered += 1;
        }
        self.actions.push_back(Action::Tell(Event::LimitChanged { from, to, reason }));
    }

    fn busy_since_note(&self, now: Instant) -> f64 {
        let counts = self.slots.counts();
        f64::from(counts.leased + counts.suspect) * now.saturating_duration_since(self.noted_at).as_secs_f64()
    }

    /// Adds up what was in use and what was asked for, before a count changes.
    fn note(&mut self, now: Instant) {
        self.totals.busy_seconds += self.busy_since_note(now);
        let asked_for = self.slots.counts().in_use() as usize + self.queue.len();
        self.ticker.offered +=
            now.saturating_duration_since(self.noted_at) * u32::try_from(asked_for).unwrap_or(u32::MAX);
        self.noted_at = self.noted_at.max(now);
    }

    // --- service ----------------------------------------------------------------------------------------------

    /// Serves whoever can be served, and opens what is missing. Called after every change.
    fn pump(&mut self, now: Instant) {
        self.openings.forget_learned(now);
        if self.queue.next_end().is_some_and(|end| end <= now) {
            self.end_waits(now);
        }
        while let Some(rank) = self.next_rank() {
            let Some((slot, since)) = self.slots.warmest() else { break };
            if self.fresh_idle(now).is_some() {
                self.grant_head_of(now, slot, rank);
            } else if (self.slots.counts().checking as usize) < self.queue.len() {
                self.slots.shift(slot, Phase::Checking { since });
                let limit = self.check_limit(now, rank);
                self.actions.push_back(Action::Check { slot, limit });
            } else {
                break;
            }
        }
        self.open_missing(now);
    }

    /// A check may take half of the time that whoever it is for can still wait: then there is time for another way.
    fn check_limit(&self, now: Instant, rank: Rank) -> Duration {
        let end = self.queue.head(rank).and_then(|waiter| self.queue.end_of(waiter, rank));
        let left = end.map_or(Duration::MAX, |end| end.saturating_duration_since(now) / 2);
        self.rules.check_timeout.min(left).max(Duration::from_millis(1))
    }

    /// Whose turn it is: strict priority, but against starvation one grant in twenty goes to the lowest rank that waits,
    /// and one to the second.
    fn next_rank(&self) -> Option<Rank> {
        let mut waiting = Rank::ALL.into_iter().filter(|rank| self.queue.has(*rank) && self.has_place(*rank));
        match self.grants % 20 {
            19 => waiting.next_back(),
            9 => waiting.clone().nth(1).or_else(|| waiting.next()),
            _ => waiting.next(),
        }
    }

    fn grant_head(&mut self, now: Instant, slot: SlotId) -> Option<WaiterId> {
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
        self.after_queue();
        Some(waiter)
    }

    /// Somebody left the queue.
    fn after_queue(&mut self) {
        for (rank, since) in Rank::ALL.into_iter().zip(&mut self.queueing_since) {
            if self.queue.ahead_of(rank) == 0 {
                *since = None;
            }
        }
    }
}
