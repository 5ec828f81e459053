use std::time::{Duration, Instant};

use super::Ledger;
use super::calendar::Calendar;
use crate::class::Rank;
use crate::command::Ask;
use crate::{Action, Class, Mode, Refusal, Rules, ShedReason, Sizing, WaiterId};

/// What somebody who is not served at once can expect.
#[derive(Clone, Copy, Debug)]
enum Outlook {
    /// It waits as long as it may.
    Unbounded,
    /// It stands in line, no longer than its class may.
    InLine { budget: Duration },
    /// It would be of no use.
    Shut(ShedReason),
}

/// Who is let in, and how many places there are to be let into.
///
/// Nobody is shed for whom a place is free and a connection is idle, checked, being opened, or may be opened; only where that
/// comes after its deadline, or where the queue is full. Who waits then waits as long as it may. Openings are expected to
/// come below the ceiling and until they have failed five times in a row.
impl Ledger {
    /// Says how long whoever is let in may wait for what its class allows, if that bounds its wait.
    pub(super) fn door(&mut self, now: Instant, ask: &Ask) -> Result<Option<Duration>, Refusal> {
        if self.closed {
            return Err(Refusal::Closed);
        }
        if let Some(refusal) = self.hopeless(now) {
            self.openings.on_asked(now);
            self.totals.unavailable += 1;
            return Err(refusal);
        }
        if ask.deadline <= now {
            return Err(self.too_late(ask));
        }
        let rank = Rank::of(ask.class, ask.continuation);
        let at_once = self.is_served_at_once(rank);
        if !at_once {
            self.openings.on_asked(now);
        }
        if !at_once && self.queue.len() >= self.rules.queue_capacity as usize {
            return self.when_full(now, ask, rank).map(|()| None);
        }
        if at_once || self.rules.mode == Mode::Off {
            return Ok(None);
        }
        match (self.outlook(now, ask, rank, self.burst(now, rank)), self.rules.mode) {
            (Outlook::Shut(reason), Mode::Enforce) => Err(self.shed(now, ask.class, rank, reason)),
            (Outlook::Shut(_), _) => {
                self.totals.would_shed += 1;
                Ok(None)
            }
            (Outlook::InLine { budget }, Mode::Enforce) => Ok(Some(budget)),
            (Outlook::InLine { .. } | Outlook::Unbounded, _) => Ok(None),
        }
    }

    /// The same for somebody for whom another one has given way: it is in already.
    pub(super) fn patience(&self, now: Instant, ask: &Ask, rank: Rank) -> Option<Duration> {
        // Where only a connection is missing, and not a place, its class's budget does not bound the wait.
        let in_line = self.slots.counts().live() > 0 && self.arrival(now, rank).is_none();
        let guarded = self.rules.mode == Mode::Enforce && !ask.continuation && in_line;
        guarded.then(|| self.budget(ask.class, self.burst(now, rank)))
    }

    /// Why a newcomer of this class would be shed however late its deadline is, if it would be. As long as nothing happens
    /// here it stays so, whatever the time: a wait can only grow by a stall, and a budget only shrink as a queue goes on
    /// standing. So a shell may go on refusing without asking, until something happens, and tells of it by
    /// [`Ledger::refused_outside`].
    #[must_use]
    pub fn shut(&self, now: Instant, class: Class) -> Option<ShedReason> {
        let (ask, rank) = (Ask::new(class, now + Rules::LONGEST), Rank::of(class, false));
        if self.closed || self.rules.mode != Mode::Enforce || self.slots.counts().live() == 0 {
            return None;
        }
        // Where nobody waits the budget will be that of a burst before long.
        let burst = if self.standing[rank.index()].is_paused() { 1.0 } else { self.burst(now, rank) };
        let full = !self.is_served_at_once(rank) && self.queue.len() >= self.rules.queue_capacity as usize;
        match full {
            true => self.queue.youngest_below(rank).is_none().then_some(ShedReason::QueueFull),
            false => match self.outlook(now, &ask, rank, burst) {
                Outlook::Shut(reason) => Some(reason),
                Outlook::InLine { .. } | Outlook::Unbounded => None,
            },
        }
    }

    /// When the next that is refused is told to come back, and how much later each after it.
    #[must_use]
    pub fn next_return(&self, now: Instant) -> (Duration, Duration) {
        self.calendar.next(now, self.capacity())
    }

    /// So many of a class that is shut were refused without this ledger being asked. Connections may be wanted for them:
    /// carry the actions out.
    pub fn refused_outside(&mut self, now: Instant, class: Class, reason: ShedReason, count: u32) {
        self.openings.on_asked(now);
        self.count_refused(now, Rank::of(class, false), count);
        self.totals.shed[class.index()][reason as usize] += u64::from(count);
        self.calendar.book_many(now, self.capacity(), count);
        self.open_missing(now);
    }

    /// Whoever only its class's share holds back says nothing of how many places there should be. Where a place is free, a
    /// connection is missing: were they opened only for those who wait, a pool whose connections are slow to open would
    /// refuse everybody for it, and open none.
    fn count_refused(&mut self, now: Instant, rank: Rank, count: u32) {
        let (in_use, places) = (self.slots.counts().in_use(), self.places(rank));
        if self.estimate.is_known() && !self.has_place(rank) && self.queue.ahead_of(rank) > 0 {
            self.standing[rank.index()..].iter_mut().for_each(|queue| queue.on_refused(count, places));
        }
        if in_use >= places {
            self.ticker.refused = self.ticker.refused.saturating_add(count);
        } else if self.has_place(rank) {
            self.ticker.lacking = self.ticker.lacking.saturating_add(count);
            self.ticker.wake(now);
        }
    }

    /// How many leases can be served in a second.
    fn capacity(&self) -> f64 {
        f64::from(self.permits()) / self.estimate.hold().as_secs_f64().max(1e-6)
    }

    /// Its deadline has passed: nothing is begun for it, though a connection were free. That says nothing of how full it is
    /// here, so that no moment is booked for its return.
    fn too_late(&mut self, ask: &Ask) -> Refusal {
        let (class, continuation, reason) = (ask.class, ask.continuation, ShedReason::Deadline);
        if continuation || self.rules.mode != Mode::Enforce {
            self.totals.timed_out += 1;
            return Refusal::Timeout { waited: Duration::ZERO, continuation };
        }
        self.totals.shed[class.index()][reason as usize] += 1;
        Refusal::Shed { class, reason, retry_after: Calendar::SOONEST }
    }

    /// The queue is full: somebody less important would give way. Work that has begun is never shed; with nobody to give
    /// way it is a time-out.
    fn when_full(&mut self, now: Instant, ask: &Ask, rank: Rank) -> Result<(), Refusal> {
        if self.queue.youngest_below(rank).is_some() {
            return Ok(());
        }
        if ask.continuation {
            self.totals.timed_out += 1;
            return Err(Refusal::Timeout { waited: Duration::ZERO, continuation: true });
        }
        Err(self.shed(now, ask.class, rank, ShedReason::QueueFull))
    }

    /// Lets the youngest of the least important waiters give way.
    pub(super) fn make_room(&mut self, now: Instant, rank: Rank) {
        let Some(waiter) = self.queue.youngest_below(rank) else { return };
        self.note(now);
        let gone = self.queue.remove(waiter).expect("it waits");
        let refusal = self.shed(now, gone.class, gone.rank, ShedReason::QueueFull);
        self.actions.push_back(Action::Refuse { waiter, refusal });
        self.after_queue(now);
    }

    fn is_served_at_once(&self, rank: Rank) -> bool {
        self.queue.ahead_of(rank) == 0 && self.has_place(rank) && self.slots.counts().idle > 0
    }

    /// A free place is no queue: who has one waits for a connection only, and is refused only when that comes after its deadline.
    fn outlook(&self, now: Instant, ask: &Ask, rank: Rank, burst: f64) -> Outlook {
        if ask.continuation || self.is_served_at_once(rank) || self.slots.counts().live() == 0 {
            return Outlook::Unbounded;
        }
        let left = ask.deadline.saturating_duration_since(now);
        if let Some(arrival) = self.arrival(now, rank) {
            return if arrival > left { Outlook::Shut(ShedReason::Deadline) } else { Outlook::Unbounded };
        }
        let (wait, budget) = (self.wait_in_line(now, rank), self.budget(ask.class, burst));
        if wait > budget {
            Outlook::Shut(ShedReason::PredictedWait)
        } else if wait.saturating_add(self.estimate.hold()) > left {
            Outlook::Shut(ShedReason::Deadline)
        } else {
            Outlook::InLine { budget }
        }
    }

    pub(super) fn shed(&mut self, now: Instant, class: Class, rank: Rank, reason: ShedReason) -> Refusal {
        self.count_refused(now, rank, 1);
        self.totals.shed[class.index()][reason as usize] += 1;
        Refusal::Shed { class, reason, retry_after: self.calendar.book_many(now, self.capacity(), 1) }
    }

    /// How long a newcomer of this rank would wait behind those that are served before it.
    pub(super) fn predicted_wait(&self, now: Instant, rank: Rank) -> Duration {
        self.arrival(now, rank).unwrap_or_else(|| self.wait_in_line(now, rank))
    }

    /// When a newcomer of this rank would have its connection, if a place is free for it and a connection is idle, on its way, or
    /// can be opened; no time where one is idle, though it be asked first whether it is well.
    pub(super) fn arrival(&self, now: Instant, rank: Rank) -> Option<Duration> {
        self.arrival_behind(now, rank, self.queue.ahead_of(rank), self.queue.of(rank))
    }

    /// The same for somebody who waits.
    pub(super) fn arrival_of(&self, now: Instant, waiter: WaiterId, rank: Rank) -> Option<Duration> {
        let before = self.has_place(rank).then(|| self.queue.before(waiter, rank))?;
        let above = rank.index().checked_sub(1).map_or(0, |above| self.queue.ahead_of(Rank::ALL[above]));
        self.arrival_behind(now, rank, before, before - above)
    }

    /// The same behind so many, and so many of these of its own rank.
    fn arrival_behind(&self, now: Instant, rank: Rank, ahead: usize, of_rank: usize) -> Option<Duration> {
        let counts = self.slots.counts();
        let nth = u32::try_from(ahead).unwrap_or(u32::MAX).saturating_add(1);
        let within_share = rank != Rank::Background || of_rank < self.share_left() as usize;
        if !within_share || nth > self.places(rank).saturating_sub(counts.in_use()) {
            return None;
        }
        // One that is asked about the server is not meant for anybody.
        let checking = counts.checking.saturating_sub(u32::from(self.flush.is_asking()));
        let missing = nth.saturating_sub(counts.idle + checking);
        let more = missing.saturating_sub(counts.opening);
        // What is being closed makes room.
        let fits = more <= self.ceiling().saturating_sub(counts.open() - counts.closing);
        let comes = more == 0 || fits && self.openings.are_trusted();
        comes.then(|| self.openings.arrival(now, missing, self.openings_at_once()))
    }

    /// How long a newcomer would wait where all places are taken, or nothing can be opened for those that are free.
    fn wait_in_line(&self, now: Instant, rank: Rank) -> Duration {
        let counts = self.slots.counts();
        let most = self.places(rank);
        let places = most.saturating_sub(counts.in_use());
        let nth = self.queue.ahead_of(rank) + 1;
        let alive = counts.live() - counts.suspect;
        let pace = self.estimate.pace(now, places == 0 && !self.queue.is_empty());
        let line = |places: u32, servers: u32| pace.wait(nth.saturating_sub(places as usize), servers);
        let coming = counts.idle + counts.checking + counts.opening;
        // Those that are open may be sooner than one that is still to be opened.
        let with_these = line(places.min(coming), most.min(alive).max(1));
        let growing = self.openings.are_well() && counts.open() < self.ceiling();
        let wait = if growing || alive == 0 {
            let missing = places.saturating_sub(counts.idle + counts.checking);
            let with_new = line(places, most) + self.openings.time_for(missing, self.openings_at_once());
            if alive == 0 { with_new } else { with_new.min(with_these) }
        } else {
            with_these
        };
        if rank == Rank::Background { wait.max(self.wait_for_share(now)) } else { wait }
    }

    /// How long background work would wait for a place of its share.
    fn wait_for_share(&self, now: Instant) -> Duration {
        let waiters = (self.queue.of(Rank::Background) + 1).saturating_sub(self.share_left() as usize);
        self.estimate.pace(now, false).wait(waiters, self.share())
    }

    pub(super) fn budget(&self, class: Class, burst: f64) -> Duration {
        self.estimate.budget(class, burst, self.permits(), self.rules.burst_wait)
    }

    /// The share of a whole burst that this rank may wait for: all of it where the limit is a guess that is about to be raised.
    pub(super) fn burst(&self, now: Instant, rank: Rank) -> f64 {
        if self.may_grow() { 1.0 } else { self.standing[rank.index()].burst(now) }
    }

    /// Whether the limit goes up as soon as it is seen to be used up.
    fn may_grow(&self) -> bool {
        self.follows() && self.limit < self.room() && self.sizer.guesses()
    }

    /// Whether the limit is the sizer's.
    fn follows(&self) -> bool {
        self.rules.sizing == Sizing::Adaptive && !self.pinned
    }

    /// Whether somebody of this rank or a more important one has been waiting for a while, but for short pauses. A class held
    /// back by its share says nothing of those above it.
    pub(super) fn is_standing(&self, now: Instant, rank: Rank) -> bool {
        self.standing[rank.index()].stands(now)
    }

    /// The reserve lies on top of the limit and inside the ceiling, and only critical work may use it.
    pub(super) fn reserve(&self) -> u32 {
        (self.permits() / 10).max(1)
    }

    /// The limit in force: the ceiling wins, and what suspects hold is not there to be lent.
    pub(super) fn permits(&self) -> u32 {
        self.limit.min(self.room()).max(1)
    }

    /// How many leases ordinary work may have out when it has all that it can be given.
    pub(super) fn lendable(&self) -> u32 {
        let most = if self.follows() { self.most } else { self.limit };
        most.min(self.room()).max(1)
    }

    /// The largest limit that fits together with its reserve into the ceiling without the suspects.
    pub(super) fn room(&self) -> u32 {
        let available = self.ceiling().saturating_sub(self.slots.counts().suspect);
        let with_a_tenth = u64::from(available) * 10 / 11;
        u32::try_from(with_a_tenth).unwrap_or(u32::MAX).min(available.saturating_sub(1))
    }

    /// How many connections may exist: the bound, or less where the server has said that it has no room.
    pub(super) fn ceiling(&self) -> u32 {
        self.openings.learned().unwrap_or(u32::MAX).min(self.rules.ceiling)
    }

    /// How many leases may be out before one of this rank may not be added.
    pub(super) fn places(&self, rank: Rank) -> u32 {
        self.permits() + if rank.uses_reserve() { self.reserve() } else { 0 }
    }

    /// The most places that background work may have.
    fn share(&self) -> u32 {
        (self.permits() / 5).max(1)
    }

    fn share_left(&self) -> u32 {
        self.share().saturating_sub(self.slots.counts().background)
    }

    pub(super) fn has_place(&self, rank: Rank) -> bool {
        let within_share = rank != Rank::Background || self.share_left() > 0;
        within_share && self.slots.counts().in_use() < self.places(rank)
    }

    /// Waiters that more places would help: background work beyond its share is not among them.
    pub(super) fn waiting_for_a_place(&self) -> u32 {
        let background = self.queue.of(Rank::Background);
        let others = self.queue.len() - background;
        u32::try_from(others + background.min(self.share_left() as usize)).unwrap_or(u32::MAX)
    }
}
