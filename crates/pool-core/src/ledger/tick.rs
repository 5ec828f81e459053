use std::time::{Duration, Instant};

use super::Ledger;
use crate::class::Rank;
use crate::{Action, Refusal, Rules, Sample, ShedReason, Sizing, Standstill, Target};

/// The pool's one periodic beat: it runs while there is something to watch and stops when there is not.
#[derive(Debug)]
pub(super) struct Ticker {
    next: Option<Instant>,
    next_sweep: Instant,
    /// The most connections in use at once since the last beat.
    pub(super) peak: u32,
    /// Requests refused for lack of a place since the last beat.
    pub(super) refused: u32,
    /// Requests refused since then although a place was free: they lacked only a connection.
    pub(super) lacking: u32,
    /// Leases in use and callers waiting, multiplied by time in nanoseconds, since the last beat.
    pub(super) offered: u64,
    /// Leases in use, multiplied by time in nanoseconds, since the last beat.
    pub(super) used: u64,
    /// Leases that go on and on, as of the last sweep.
    going_on: u32,
    /// Leases that came back since the last beat, and something was done with them: nothing with a connection that was lost.
    pub(super) completed: u32,
    /// Leases that came back in the middle of a statement since the last beat.
    pub(super) interrupted: u32,
    last: Instant,
    locks: Locks,
}

impl Ticker {
    const BEAT: Duration = Duration::from_millis(20);
    /// How often leases are looked at.
    pub(super) const SWEEP: Duration = Duration::from_millis(100);
    /// No lease goes on and on that is out for less.
    const LONG: Duration = Duration::from_secs(1);

    pub(super) const fn new(now: Instant) -> Self {
        Self {
            next: None,
            next_sweep: now,
            peak: 0,
            refused: 0,
            lacking: 0,
            offered: 0,
            used: 0,
            going_on: 0,
            completed: 0,
            interrupted: 0,
            last: now,
            locks: Locks::new(now),
        }
    }

    pub(super) fn wake(&mut self, now: Instant) {
        if self.next.is_none() {
            self.next = Some(now + Self::BEAT);
            self.last = now;
            (self.offered, self.used) = (0, 0);
            (self.completed, self.interrupted) = (0, 0);
        }
    }

    pub(super) fn stood_still(&mut self, standstill: Standstill) {
        self.last = standstill.since(self.last);
        self.next = self.next.map(|next| standstill.due(next));
        self.next_sweep = standstill.due(self.next_sweep);
        self.locks.next_look = standstill.due(self.locks.next_look);
        self.locks.seen = self.locks.seen.map(|(share, until)| (share, standstill.due(until)));
    }

    /// The mean number of leases in use, of these with callers waiting, and what those refused would have added by
    /// holding for `hold` each (Little's law), since the last beat.
    fn take(&mut self, now: Instant, hold: Duration) -> (f64, f64) {
        let lasted = now.saturating_duration_since(self.last).max(Duration::from_millis(1)).as_secs_f64();
        let offered = Duration::from_nanos(self.offered) + hold * self.refused;
        let used = Duration::from_nanos(self.used);
        self.last = now;
        (self.offered, self.used) = (0, 0);
        (used.as_secs_f64() / lasted, offered.as_secs_f64() / lasted)
    }
}

/// What is known of the locks that statements wait for.
#[derive(Clone, Copy, Debug)]
struct Locks {
    next_look: Instant,
    /// The share, as an exponential mean over about three looks, since each sees one moment; and until when it holds.
    seen: Option<(f64, Instant)>,
}

impl Locks {
    const EVERY: Duration = Duration::from_secs(1);

    const fn new(now: Instant) -> Self {
        Self { next_look: now, seen: None }
    }

    fn note(&mut self, now: Instant, share: f64) {
        let mean = self.share(now).map_or(share, |mean| mean + (share - mean) / 3.0);
        self.seen = Some((mean, now + 2 * Self::EVERY));
    }

    fn share(&self, now: Instant) -> Option<f64> {
        self.seen.filter(|(_, until)| now < *until).map(|(share, _)| share)
    }

    fn is_due(&mut self, now: Instant) -> bool {
        let due = self.next_look <= now;
        if due {
            self.next_look = now + Self::EVERY;
        }
        due
    }
}

impl Ledger {
    /// Answers [`Action::LookAtLocks`]: of the sessions that run a statement, the share that waits for a lock. Answer
    /// nothing where nobody could be asked; what was said holds for two seconds.
    pub fn lock_waits(&mut self, now: Instant, share: f64) {
        self.ticker.locks.note(now, share);
    }

    /// When [`Ledger::handle_timeout`] is due next, or a little before; `None` while nothing is to be watched.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        let next = sooner(self.queue.next_end(), self.ticker.next);
        let next = sooner(next, self.next_opening());
        let next = sooner(next, self.next_retirement());
        sooner(next, self.next_flushing())
    }

    /// Whether a shell that wakes at this time by itself, and asks [`Ledger::poll_timeout`] again then, wakes in time: costs less than
    /// to look when something is due. Only what has no hurry may come later for it, until the next beat, within 20 ms.
    #[must_use]
    pub fn can_wait_until(&self, at: Instant) -> bool {
        let beats = self.ticker.next.is_some_and(|beat| at <= beat);
        beats
            && self.queue.next_end().is_none_or(|end| at <= end)
            && self.openings.are_well()
            && !self.flush.is_under_way()
    }

    /// Does what is due: ends waits, moves the limit, looks at leases, closes what is idle or aged, opens again after a
    /// pause.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.end_waits(now);
        if self.ticker.next.is_some_and(|at| at <= now) {
            self.beat(now);
        }
        self.reap(now);
        self.replace_aged(now);
        self.go_on_flushing(now);
        self.trim(now);
        self.pump(now);
    }

    pub(super) fn end_waits(&mut self, now: Instant) {
        self.fail_hopeless(now);
        self.note(now);
        for id in self.queue.ended(now) {
            let Some(waiter) = self.queue.get(id).copied() else { continue };
            if waiter.latest > now && self.arrival_of(now, id, waiter.rank).is_some() {
                self.queue.wait_to_the_last(id);
                continue;
            }
            self.queue.remove(id);
            let waited = now.saturating_duration_since(waiter.enqueued);
            let refusal = if waiter.latest <= now {
                self.totals.timed_out += 1;
                Refusal::Timeout { waited, continuation: waiter.rank == Rank::Continuation }
            } else {
                self.shed(now, waiter.class, waiter.rank, ShedReason::Sojourn)
            };
            self.actions.push_back(Action::Refuse { waiter: id, refusal });
        }
        self.after_queue(now);
    }

    fn beat(&mut self, now: Instant) {
        self.note(now);
        let counts = self.slots.counts();
        let calm = self.ticker.refused == 0 && !self.is_standing(now, Rank::Low);
        self.calendar.note(now, self.totals.released, calm);
        let (used, offered) = self.ticker.take(now, self.estimate.hold());
        let sample = Sample {
            limit: self.limit,
            room: self.room(),
            peak: self.ticker.peak,
            offered,
            standing: self.is_standing(now, Rank::Low) && !self.has_place(Rank::Low),
            refused: self.ticker.refused,
            floor: self.rules.initial_limit.min(self.room()).max(1),
            used,
            going_on: self.ticker.going_on,
            completed: self.ticker.completed,
            interrupted: self.ticker.interrupted,
            hold: self.estimate.hold(),
            spread: self.estimate.spread(),
            lock_waits: self.ticker.locks.share(now),
        };
        self.ticker.peak = counts.in_use();
        (self.ticker.refused, self.ticker.lacking) = (0, 0);
        (self.ticker.completed, self.ticker.interrupted) = (0, 0);
        self.size(now, &sample);
        if self.ticker.next_sweep <= now {
            self.ticker.next_sweep = now + Ticker::SWEEP;
            self.sweep(now);
        }
        let busy = counts.leased + counts.suspect + counts.quarantined > 0 || !self.queue.is_empty();
        let restless = self.limit > self.rules.initial_limit && !self.pinned;
        self.ticker.next = (busy || restless).then_some(now + Ticker::BEAT);
    }

    fn size(&mut self, now: Instant, sample: &Sample) {
        let Rules { sizing, initial_limit, .. } = self.rules;
        let target = match sizing {
            Sizing::Fixed => Target { limit: initial_limit, reason: "fixed" },
            Sizing::Shadow | Sizing::Adaptive => self.sizer.tick(self.running(now), sample),
        };
        (self.recommended, self.most) = (target.limit, self.sizer.most());
        if self.pinned {
            return;
        }
        let wanted = if sizing == Sizing::Adaptive { target.limit } else { initial_limit };
        let to = wanted.min(sample.room).max(1);
        self.set_limit(to, if to < wanted { "room" } else { target.reason });
        let curious = sizing == Sizing::Adaptive && self.sizer.wants_lock_waits();
        if curious && sample.used >= 0.9 * f64::from(sample.limit) && self.ticker.locks.is_due(now) {
            self.actions.push_back(Action::LookAtLocks);
        }
    }

    /// Asks the shell to look at every lease whose time has come, and counts those that go on and on.
    fn sweep(&mut self, now: Instant) {
        let long = (self.estimate.hold() * 10).max(Ticker::LONG);
        self.ticker.going_on = 0;
        for (slot, hold) in self.slots.leased() {
            let goes_on = !hold.suspect && now.saturating_duration_since(hold.acquired) > long;
            self.ticker.going_on += u32::from(goes_on);
            if hold.look_at <= now {
                self.actions.push_back(Action::Observe(slot));
            }
        }
    }
}

/// The earlier of two moments, of which either may never come.
fn sooner(one: Option<Instant>, other: Option<Instant>) -> Option<Instant> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}
