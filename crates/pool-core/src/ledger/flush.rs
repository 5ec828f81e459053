use std::time::{Duration, Instant};

use super::Ledger;
use crate::slots::{Life, Phase};
use crate::{Action, CloseReason, Event, SlotId};

/// What is suspected of the server as a whole: that it was restarted, or lost its role.
///
/// Two connections lost within a second raise the suspicion. One idle connection is then asked; only if it is lost too, or
/// its server has another role, all connections of before are replaced, one after another. A connection that was asked
/// for its own reasons and has the wrong role confirms it without another question.
#[derive(Debug)]
pub(super) struct Flush {
    /// How many there were: what was opened before the last one is of an older era.
    era: u32,
    /// Whether connections of an older era may exist.
    under_way: bool,
    /// The next one of them may be closed from then on.
    next: Instant,
    /// No other flush before then.
    not_before: Option<Instant>,
    last_loss: Option<Instant>,
    /// Somebody is to be asked until then.
    wanted: Option<Instant>,
    /// Who is being asked.
    asked: Option<SlotId>,
}

impl Flush {
    /// Connections lost within so short a time were not lost one by one.
    const TOGETHER: Duration = Duration::from_secs(1);
    /// At most one flush in so long.
    const PAUSE: Duration = Duration::from_secs(60);
    /// One connection closed in so long.
    const PACE: Duration = Duration::from_millis(20);
    /// A suspicion that nobody could be asked about for so long is dropped.
    const STALE: Duration = Duration::from_secs(5);

    pub(super) const fn new(now: Instant) -> Self {
        Self { era: 0, under_way: false, next: now, not_before: None, last_loss: None, wanted: None, asked: None }
    }

    pub(super) const fn era(&self) -> u32 {
        self.era
    }

    pub(super) const fn is_under_way(&self) -> bool {
        self.under_way
    }

    pub(super) const fn is_asking(&self) -> bool {
        self.asked.is_some()
    }

    fn is_allowed(&self, now: Instant) -> bool {
        self.not_before.is_none_or(|at| at <= now)
    }
}

impl Ledger {
    /// A connection was lost that should have been well.
    pub(super) fn lost(&mut self, now: Instant) {
        let before = self.flush.last_loss.replace(now);
        let together = before.is_some_and(|at| now.saturating_duration_since(at) <= Flush::TOGETHER);
        if together && self.flush.is_allowed(now) && self.flush.asked.is_none() {
            self.flush.wanted = Some(now + Flush::STALE);
        }
    }

    /// Asks an idle connection, when there is a suspicion. The coldest one: nobody misses it meanwhile.
    pub(super) fn ask_one(&mut self, now: Instant) {
        let Some(until) = self.flush.wanted else { return };
        if until <= now || self.closed {
            self.flush.wanted = None;
            return;
        }
        let Some((slot, since)) = self.slots.coldest() else { return };
        self.flush.wanted = None;
        self.flush.asked = Some(slot);
        self.slots.shift(slot, Phase::Checking { since, waiter: None });
        self.actions.push_back(Action::Check { slot, limit: self.rules.check_timeout, role: true });
    }

    /// The one that was asked has answered, or has not.
    pub(super) fn answered(&mut self, now: Instant, slot: SlotId, well: bool) {
        if self.flush.asked == Some(slot) {
            self.flush.asked = None;
            if !well {
                self.flush(now);
            }
        }
    }

    /// It is certain: whatever was opened until now is replaced.
    pub(super) fn flush(&mut self, now: Instant) {
        if !self.flush.is_allowed(now) || self.closed {
            return;
        }
        self.flush.era += 1;
        self.flush.under_way = true;
        (self.flush.wanted, self.flush.next) = (None, now);
        self.flush.not_before = Some(now + Flush::PAUSE);
        self.actions.push_back(Action::Tell(Event::Flushed { era: self.flush.era }));
    }

    /// Whether nobody at this home gets it unasked, however short its rest was.
    pub(super) fn is_asked_first(&self, slot: SlotId, home: u32) -> bool {
        let life = self.slots.life(slot);
        let elsewhere = home != 0 && life.home != 0 && life.home != home;
        elsewhere || life.era < self.flush.era
    }

    /// Whether it was opened before the last flush.
    pub(super) fn is_of_old(&self, slot: SlotId) -> bool {
        self.slots.life(slot).era < self.flush.era
    }

    /// Why a connection that nobody has should go now, if it should.
    pub(super) fn farewell(&mut self, now: Instant, slot: SlotId) -> Option<CloseReason> {
        let Life { leaving, era, .. } = self.slots.life(slot);
        if leaving.is_some() {
            return leaving;
        }
        if era >= self.flush.era || now < self.flush.next {
            return None;
        }
        self.flush.next = now + Flush::PACE;
        Some(CloseReason::Flushed)
    }

    /// Closes one idle connection of an older era, when its time has come.
    pub(super) fn go_on_flushing(&mut self, now: Instant) {
        if !self.flush.under_way || now < self.flush.next {
            return;
        }
        self.flush.under_way = self.slots.any_before(self.flush.era);
        let Some(slot) = self.oldest_idle_of_old() else { return };
        self.flush.next = now + Flush::PACE;
        self.discard(now, slot, CloseReason::Flushed);
    }

    fn oldest_idle_of_old(&self) -> Option<SlotId> {
        self.slots.idle().map(|(slot, _)| slot).find(|slot| self.is_of_old(*slot))
    }

    pub(super) fn next_flushing(&self) -> Option<Instant> {
        if !self.flush.under_way {
            return None;
        }
        self.oldest_idle_of_old().map(|_| self.flush.next)
    }
}
