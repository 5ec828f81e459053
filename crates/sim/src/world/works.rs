use std::time::Duration;

use rand::SeedableRng;

use super::{Event, World};
use crate::chance::Chance;
use crate::database::Job;
use crate::measure::Ending;
use crate::pool::{Caller, Lease};
use crate::scenario::Step;

/// What is done with one lease.
#[derive(Debug)]
pub(super) struct Work {
    serial: u64,
    caller: Caller,
    lease: Lease,
    /// Which step comes next.
    next: usize,
    chance: Chance,
    /// The work of the statement that waits for the hot row's lock.
    waiting: Option<Duration>,
    has_row: bool,
    keeping: Keeping,
    /// Whoever asked has the answer.
    answered: bool,
}

/// Whether a work never gives back by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Keeping {
    No,
    /// It runs its statement first.
    Soon,
    /// It only holds.
    Now,
}

/// All leases that are out.
#[derive(Debug, Default)]
pub(super) struct Works {
    entries: Vec<Option<Work>>,
    free: Vec<u32>,
    serial: u64,
}

impl Works {
    fn insert(&mut self, work: Work) -> u32 {
        let index = self.free.pop().unwrap_or_else(|| {
            self.entries.push(None);
            u32::try_from(self.entries.len() - 1).expect("fewer than 2^32 leases")
        });
        self.entries[index as usize] = Some(work);
        index
    }

    fn remove(&mut self, index: u32) -> Option<Work> {
        let work = self.entries[index as usize].take()?;
        self.free.push(index);
        Some(work)
    }

    fn get(&mut self, index: u32) -> Option<&mut Work> {
        self.entries.get_mut(index as usize)?.as_mut()
    }

    pub(super) fn count(&self) -> u32 {
        u32::try_from(self.entries.len() - self.free.len()).unwrap_or(u32::MAX)
    }

    fn find(&self, is_it: impl Fn(&Work) -> bool) -> Option<u32> {
        let found = self.entries.iter().position(|work| work.as_ref().is_some_and(&is_it))?;
        u32::try_from(found).ok()
    }
}

/// Leases: what is done with them, step by step.
impl World<'_> {
    pub(super) fn serve(&mut self, caller: Caller, lease: Lease) {
        // Whoever left may still be served, for nobody: the server did not notice.
        let Some((seed, holder)) = self.note_served(caller) else {
            self.begin_work(Work::wasted(caller, lease));
            return;
        };
        let keeping = if holder { Keeping::Soon } else { Keeping::No };
        let work = Work { chance: Chance::seed_from_u64(seed), keeping, ..Work::wasted(caller, lease) };
        self.begin_work(work);
    }

    fn note_served(&mut self, caller: Caller) -> Option<(u64, bool)> {
        let request = self.requests.of(caller).filter(|request| request.waits)?;
        let (seed, holder, waited) = (request.seed, request.holder, self.now - request.sent);
        if !holder {
            self.record.note_served(self.now, self.scenario.kinds[caller.kind as usize].class, waited);
        }
        Some((seed, holder))
    }

    fn begin_work(&mut self, work: Work) {
        self.works.serial += 1;
        let serial = self.works.serial;
        let index = self.works.insert(Work { serial, ..work });
        self.go_on(index);
    }

    /// The next step of this work.
    fn go_on(&mut self, index: u32) {
        let Some(work) = self.works.get(index) else { return };
        let steps = &self.scenario.kinds[work.caller.kind as usize].steps;
        let step = if work.keeps() { work.step_of_holder() } else { steps.get(work.next).copied() };
        work.next += 1;
        let Work { serial, lease, .. } = *work;
        match step {
            Some(Step::Statement(length)) => {
                let length = length.draw(&mut work.chance);
                self.pool.runs(self.now, lease, true);
                self.database.begin(self.now, Job::Statement(index), length);
            }
            Some(Step::HotRow(length)) => {
                let length = length.draw(&mut work.chance);
                let has_row = work.has_row || self.database.lock_row(self.now, index);
                work.has_row = has_row;
                work.waiting = Some(length);
                self.pool.runs(self.now, lease, true);
                if has_row {
                    self.locked(index);
                }
            }
            Some(Step::Think(length)) => {
                let length = length.draw(&mut work.chance);
                self.after(length, Event::Thought { work: index, serial });
            }
            Some(Step::Answer) => {
                work.answered = true;
                let caller = work.caller;
                self.answer(caller);
                self.go_on(index);
            }
            Some(Step::Keep) => work.keeping = Keeping::Now,
            None => self.end_work(index),
        }
    }

    /// The hot row is this work's.
    fn locked(&mut self, index: u32) {
        let Some(work) = self.works.get(index) else { return };
        work.has_row = true;
        if let Some(length) = work.waiting.take() {
            self.database.begin(self.now, Job::Statement(index), length);
        }
    }

    pub(super) fn statement_done(&mut self, index: u32) {
        let Some(work) = self.works.get(index) else { return };
        self.pool.runs(self.now, work.lease, false);
        self.go_on(index);
    }

    pub(super) fn thought(&mut self, index: u32, serial: u64) {
        if self.works.get(index).is_some_and(|work| work.serial == serial) {
            self.go_on(index);
        }
    }

    fn end_work(&mut self, index: u32) {
        let Some(work) = self.works.remove(index) else { return };
        self.unlock(&work);
        if !work.answered {
            self.answer(work.caller);
        }
        self.pool.give_back(self.now, work.lease, &mut self.orders);
    }

    fn unlock(&mut self, work: &Work) {
        if work.has_row
            && let Some(next) = self.database.unlock_row(self.now)
        {
            self.locked(next);
        }
    }

    fn answer(&mut self, caller: Caller) {
        let kind = &self.scenario.kinds[caller.kind as usize];
        let Some(request) = self.requests.of(caller).filter(|request| request.waits) else {
            self.record.note(self.now, kind.class, |tally| tally.wasted += 1);
            return;
        };
        if !request.holder {
            let latency = self.now - request.sent;
            let request = *request;
            self.note_try(&request, Ending::Answered);
            self.record.note_answer(self.now, request.kind, kind, latency);
        }
        self.finish(caller, Ending::Answered);
    }

    /// Its connection was taken away while its application held it.
    pub(super) fn taken_back(&mut self, lease: Lease) {
        let Some(index) = self.works.find(|work| work.lease == lease) else { return };
        let Some(work) = self.works.remove(index) else { return };
        self.unlock(&work);
        if work.keeps() {
            self.record.taken_back += 1;
        } else {
            self.record.note(self.now, self.scenario.kinds[work.caller.kind as usize].class, |tally| tally.lost += 1);
        }
        match self.requests.of(work.caller) {
            Some(request) if request.holder && request.client.attempts < u32::MAX => {
                self.finish(work.caller, Ending::Left);
            }
            Some(_) if work.answered => {}
            Some(_) => self.try_again(work.caller, None, Ending::Refused),
            None => {}
        }
    }

    /// Its client has left, and the server notices.
    pub(super) fn cut_off(&mut self, caller: Caller) {
        let Some(index) = self.works.find(|work| work.caller == caller && !work.keeps()) else { return };
        let Some(work) = self.works.remove(index) else { return };
        self.database.cancel(self.now, index);
        self.unlock(&work);
        self.record.note(self.now, self.scenario.kinds[caller.kind as usize].class, |tally| tally.lost += 1);
        self.pool.cut_off(self.now, work.lease, &mut self.orders);
    }

    pub(super) fn end_leaks(&mut self) {
        while let Some(index) = self.works.find(|work| work.keeping == Keeping::Now) {
            self.end_work(index);
        }
    }
}

impl Work {
    /// Work for a caller who has left; it is like the others, by a seed of its own.
    fn wasted(caller: Caller, lease: Lease) -> Self {
        let seed = u64::from(caller.index) << 32 | u64::from(caller.attempt);
        Self {
            serial: 0,
            caller,
            lease,
            next: 0,
            chance: Chance::seed_from_u64(seed),
            waiting: None,
            has_row: false,
            keeping: Keeping::No,
            answered: false,
        }
    }

    fn keeps(&self) -> bool {
        self.keeping != Keeping::No
    }

    fn step_of_holder(&self) -> Option<Step> {
        Some(match self.next {
            0 => Step::Statement(crate::chance::Length::fixed(Duration::from_millis(1))),
            _ => Step::Keep,
        })
    }
}
