use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::class::Rank;
use crate::command::{Acquired, Ask, Health, Return};
use crate::estimate::Estimate;
use crate::peaks::Peaks;
use crate::queue::{Checks, Queue, Waiter};
use crate::slots::{Hold, Phase, Slots};
use crate::{Action, CloseReason, Event, Refusal, Rules, Sizer, SlotId, Snapshot, Totals, Usage, WaiterId};

mod bounds;
mod calendar;
mod door;
mod flush;
mod openings;
mod retirement;
mod service;
mod standing;
mod standstill;
mod stranding;
mod tick;
mod watch;

use calendar::Calendar;
use flush::Flush;
use openings::Openings;
use retirement::Retirement;
use standing::Standing;
use tick::Ticker;

/// The pool's state: who holds, waits and opens. See the crate's page for the order to call things.
#[derive(Debug)]
pub struct Ledger {
    rules: Rules,
    sizer: Box<dyn Sizer>,
    limit: u32,
    pinned: bool,
    /// What the sizer wanted last.
    recommended: u32,
    /// The most that it would want.
    most: u32,
    slots: Slots,
    queue: Queue,
    openings: Openings,
    retirement: Retirement,
    flush: Flush,
    estimate: Estimate,
    peaks: Peaks,
    ticker: Ticker,
    calendar: Calendar,
    grants: u32,
    /// By rank: the queue of this rank and those more important.
    standing: [Standing; Rank::COUNT],
    closed: bool,
    actions: VecDeque<Action>,
    totals: Totals,
    used: Used,
    noted_at: Instant,
}

/// [`Usage`] in nanoseconds, while it is added up.
#[derive(Clone, Copy, Debug, Default)]
struct Used {
    busy: u128,
    waiting: u128,
    capacity: u128,
}

impl Used {
    /// For so many nanoseconds it was at this level.
    fn add(&mut self, level: &Level, nanos: u64) {
        let times = |count: u32| u128::from(nanos) * u128::from(count);
        self.busy += times(level.busy);
        self.waiting += times(level.waiting);
        self.capacity += times(level.capacity);
    }

    fn in_seconds(self) -> Usage {
        let [busy, waiting, capacity] = [self.busy, self.waiting, self.capacity].map(|nanos| nanos as f64 / 1e9);
        Usage { busy, waiting, capacity }
    }
}

/// What is in use at one moment, and what there is.
#[derive(Clone, Copy, Debug)]
struct Level {
    busy: u32,
    waiting: u32,
    capacity: u32,
}

impl Ledger {
    /// An empty pool. Nothing is opened before [`Ledger::handle_timeout`] or [`Ledger::acquire`].
    #[must_use]
    pub fn new(rules: Rules, sizer: Box<dyn Sizer>, now: Instant) -> Self {
        Self {
            limit: rules.initial_limit,
            pinned: false,
            recommended: rules.initial_limit,
            most: sizer.most(),
            sizer,
            slots: Slots::default(),
            queue: Queue::default(),
            openings: Openings::default(),
            retirement: Retirement::new(now),
            flush: Flush::new(now),
            estimate: Estimate::new(now),
            peaks: Peaks::new(now, rules.idle_timeout),
            ticker: Ticker::new(now),
            calendar: Calendar::new(now),
            grants: 0,
            standing: [Standing::default(); Rank::COUNT],
            closed: false,
            actions: VecDeque::new(),
            totals: Totals::default(),
            used: Used::default(),
            noted_at: now,
            rules,
        }
    }

    /// The next thing to do, in order of decision.
    pub fn poll_action(&mut self) -> Option<Action> {
        let action = self.actions.pop_front();
        if action.is_none() {
            self.queue.settle();
        }
        action
    }

    /// Asks for a connection: a lease now, a place in the queue, or a refusal.
    pub fn acquire(&mut self, now: Instant, ask: Ask) -> Acquired {
        // The door lets in whoever is served at once, but for one who comes too late.
        if now < ask.deadline
            && let Some(slot) = self.try_acquire(now, ask)
        {
            return Acquired::Leased(slot);
        }
        let mut budget = match self.let_in(now, &ask) {
            Ok(budget) => budget,
            Err(refusal) => return Acquired::Refused(refusal),
        };
        let rank = Rank::of(ask.class, ask.continuation);
        if self.queue.len() >= self.rules.queue_capacity as usize {
            self.make_room(now, rank);
            budget = self.patience(now, &ask, rank);
        }
        if self.queue.is_empty() {
            self.estimate.on_first_waiter(now);
        }
        let until = budget.map_or(ask.latest, |budget| ask.latest.min(now + budget * 2));
        let waiter = Waiter {
            class: ask.class,
            rank,
            enqueued: now,
            deadline: ask.deadline,
            latest: ask.latest,
            until,
            home: ask.home,
            checks: Checks::default(),
        };
        self.note(now);
        let id = self.queue.push(waiter);
        for queue in &mut self.standing[rank.index()..] {
            queue.on_waiter(now);
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
        let slot = self.ready(now, ask.home)?;
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
        self.let_in(now, &ask).map(drop)
    }

    fn let_in(&mut self, now: Instant, ask: &Ask) -> Result<Option<Duration>, Refusal> {
        let answer = self.door(now, ask);
        if answer.is_err() {
            self.open_missing(now);
        }
        answer
    }

    /// The caller gives up. If it was granted a connection meanwhile, release that instead.
    pub fn cancel(&mut self, now: Instant, waiter: WaiterId) {
        self.note(now);
        if self.queue.remove(waiter).is_some() {
            self.totals.cancelled += 1;
            self.after_queue(now);
            self.pump(now);
        }
    }

    /// A lease ends. One that was revoked before is unknown here, and nothing happens.
    pub fn release(&mut self, now: Instant, slot: SlotId, state: Return) {
        let Some(hold) = self.slots.hold(slot) else { return };
        self.totals.released += 1;
        self.totals.cleared += u64::from(hold.suspect);
        self.totals.unused += u64::from(state == Return::Unused);
        if !hold.suspect && state != Return::Unused {
            self.estimate.on_release(now, now.saturating_duration_since(hold.acquired));
            match state {
                Return::Interrupted | Return::TimedOut => self.ticker.interrupted += 1,
                Return::Broken => {}
                _ => self.ticker.completed += 1,
            }
        }
        match state {
            Return::Clean | Return::Unused | Return::TimedOut => self.rest(now, slot, now),
            Return::Dirty | Return::Interrupted => self.quarantine(now, slot),
            Return::Detached => self.discard(now, slot, CloseReason::Detached),
            Return::Stranded => self.discard(now, slot, CloseReason::Stranded),
            Return::Broken => {
                self.discard(now, slot, CloseReason::Broken);
                self.lost(now);
            }
        }
        self.pump(now);
    }

    /// A quarantined connection is clean again, or is not.
    pub fn cleaned(&mut self, now: Instant, slot: SlotId, health: Health) {
        if self.slots.phase(slot) != Some(Phase::Quarantined) {
            return;
        }
        match health {
            Health::Well => self.rest(now, slot, now),
            Health::WrongRole => self.has_wrong_role(now, slot),
            Health::Lost => self.discard(now, slot, CloseReason::Dirty),
            Health::OutOfReach => self.discard(now, slot, CloseReason::Stranded),
        }
        self.pump(now);
    }

    /// A checked connection is well, or is not. Its idle time goes on: a check is no use.
    pub fn checked(&mut self, now: Instant, slot: SlotId, health: Health) {
        let Some(Phase::Checking { since, waiter }) = self.slots.phase(slot) else { return };
        let well = health == Health::Well;
        self.count_check(waiter, well);
        self.answered(now, slot, well || health == Health::OutOfReach);
        match health {
            Health::Well => self.lease_or_rest(now, slot, since),
            Health::WrongRole => self.has_wrong_role(now, slot),
            Health::Lost => {
                self.discard(now, slot, CloseReason::Unwell);
                self.lost(now);
            }
            Health::OutOfReach => self.discard(now, slot, CloseReason::Stranded),
        }
        self.pump(now);
    }

    fn lease_or_rest(&mut self, now: Instant, slot: SlotId, since: Instant) {
        if self.slots.life(slot).leaving.is_some() || self.grant_head(now, slot).is_none() {
            self.rest(now, slot, since);
        }
    }

    /// The server itself has said that it is not what it was.
    fn has_wrong_role(&mut self, now: Instant, slot: SlotId) {
        self.discard(now, slot, CloseReason::WrongRole);
        self.flush(now);
    }

    /// The connection is closed and its place free.
    pub fn closed(&mut self, now: Instant, slot: SlotId) {
        if self.slots.phase(slot) == Some(Phase::Closing) {
            self.slots.remove(slot);
            self.totals.closed += 1;
            self.pump(now);
        }
    }

    /// Closes every idle connection; what is needed is opened anew.
    pub fn flush_idle(&mut self, now: Instant) {
        self.discard_idle(now, CloseReason::Flushed);
        self.pump(now);
    }

    fn discard_idle(&mut self, now: Instant, reason: CloseReason) {
        while let Some((slot, _)) = self.slots.coldest() {
            self.discard(now, slot, reason);
        }
    }

    /// Stops admitting and opening: waiters are refused, idle connections closed, leases closed as they come back.
    pub fn close(&mut self, now: Instant) {
        self.closed = true;
        self.note(now);
        while let Some((waiter, _)) = self.queue.pop() {
            self.actions.push_back(Action::Refuse { waiter, refusal: Refusal::Closed });
        }
        self.after_queue(now);
        self.discard_idle(now, CloseReason::PoolClosed);
    }

    /// Whether the pool is closed and the last connection gone.
    #[must_use]
    pub fn is_drained(&self) -> bool {
        self.is_drained_to(0)
    }

    /// Whether the pool is closed and no more than so many connections are left.
    #[must_use]
    pub fn is_drained_to(&self, left: u32) -> bool {
        self.closed && self.slots.counts().open() <= left
    }

    /// Whether [`Ledger::close`] was called.
    #[must_use]
    pub const fn is_closed(&self) -> bool {
        self.closed
    }

    /// Whether anybody waits.
    ///
    /// ```
    /// use std::time::{Duration, Instant};
    /// use forebay_pool_core::{Ask, Class, Fixed, Ledger, Rules};
    ///
    /// let now = Instant::now();
    /// let mut ledger = Ledger::new(Rules::default(), Box::new(Fixed), now);
    /// assert!(!ledger.is_waited_for());
    /// ledger.acquire(now, Ask::new(Class::Normal, now + Duration::from_secs(1)));
    /// assert!(ledger.is_waited_for(), "no connection is open yet");
    /// ```
    #[must_use]
    pub const fn is_waited_for(&self) -> bool {
        !self.queue.is_empty()
    }

    /// The pool in numbers.
    #[must_use]
    pub fn snapshot(&self, now: Instant) -> Snapshot {
        let counts = self.slots.counts();
        let oldest = self.slots.leased().map(|(_, hold)| hold.acquired).min();
        let mut totals = self.totals;
        let mut used = self.used;
        used.add(&self.level(), self.unnoted(now));
        totals.usage = used.in_seconds();
        Snapshot {
            limit: self.permits(),
            recommended_limit: self.recommended,
            pinned: self.pinned,
            reserve: self.reserve(),
            ceiling: self.ceiling(),
            min_idle: self.rules.min_idle,
            kept: self.kept(),
            leased: counts.leased,
            suspects: counts.suspect,
            idle: counts.idle,
            opening: counts.opening,
            checking: counts.checking,
            quarantined: counts.quarantined,
            closing: counts.closing,
            waiting: u32::try_from(self.queue.len()).unwrap_or(u32::MAX),
            waiting_by_class: self.queue.by_class(),
            oldest_wait: self.queue.oldest().map_or(Duration::ZERO, |at| now.saturating_duration_since(at)),
            breaker: self.breaker(now),
            era: self.flush.era(),
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

    // --- movements --------------------------------------------------------------------------------------------

    fn lease(&mut self, now: Instant, slot: SlotId, rank: Rank) {
        self.note(now);
        let hold = Hold { rank, acquired: now, look_at: now + self.rules.suspect_after, suspect: false };
        self.slots.shift(slot, Phase::Leased(hold));
        self.totals.granted += 1;
        self.ticker.peak = self.ticker.peak.max(self.slots.counts().in_use());
        self.ticker.wake(now);
    }

    /// The connection has nothing to do: to the idle ones, or closed where it should go.
    fn rest(&mut self, now: Instant, slot: SlotId, since: Instant) {
        let arriving = u32::from(self.slots.phase(slot) == Some(Phase::Opening));
        if self.closed {
            self.discard(now, slot, CloseReason::PoolClosed);
        } else if self.slots.counts().live() + arriving > self.ceiling() {
            self.discard(now, slot, CloseReason::Surplus);
        } else if let Some(reason) = self.farewell(now, slot) {
            self.discard(now, slot, reason);
        } else {
            self.note(now);
            self.slots.shift(slot, Phase::Idle { since });
        }
    }

    fn quarantine(&mut self, now: Instant, slot: SlotId) {
        self.note(now);
        self.totals.quarantined += 1;
        self.slots.shift(slot, Phase::Quarantined);
        self.actions.push_back(Action::Clean(slot));
    }

    fn discard(&mut self, now: Instant, slot: SlotId, reason: CloseReason) {
        self.note(now);
        self.totals.closed_for[reason as usize] += 1;
        self.slots.shift(slot, Phase::Closing);
        self.actions.push_back(Action::Close { slot, reason });
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

    fn level(&self) -> Level {
        let counts = self.slots.counts();
        Level {
            busy: counts.in_use() + counts.suspect,
            waiting: self.waiting_for_a_place(),
            capacity: self.lendable() + counts.suspect,
        }
    }

    /// How long it is since what was in use was added up last, in nanoseconds.
    fn unnoted(&self, now: Instant) -> u64 {
        u64::try_from(now.saturating_duration_since(self.noted_at).as_nanos()).unwrap_or(u64::MAX)
    }

    /// Adds up what was in use and what was asked for, before anything changes that says how much that is, or how much there may be.
    /// Costs a comparison where that was done at this moment.
    #[inline]
    fn note(&mut self, now: Instant) {
        if now > self.noted_at {
            self.add_up(now);
        }
    }

    #[inline(never)]
    fn add_up(&mut self, now: Instant) {
        let in_use = self.slots.counts().in_use();
        self.peaks.note(now, in_use);
        let (nanos, level) = (self.unnoted(now), self.level());
        self.used.add(&level, nanos);
        let times = |count: u32| nanos.saturating_mul(u64::from(count));
        self.ticker.offered = self.ticker.offered.saturating_add(times(in_use.saturating_add(level.waiting)));
        self.ticker.used = self.ticker.used.saturating_add(times(in_use));
        self.noted_at = now;
    }
}
