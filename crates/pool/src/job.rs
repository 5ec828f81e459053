//! What a task has to do with the connection of a place. The seat remembers it, so that another task can do it where the
//! first one's runtime is gone.

use std::time::Instant;

use forebay_pool_core::{Health, OpenFailure, Opening, SlotId};
use tokio::runtime::Id;
use tokio::sync::OwnedSemaphorePermit;

use crate::cleaning::Closing;
use crate::connect::Backend;
use crate::driver::Task;
use crate::loan::Taken;
use crate::state::{Seat, State};

/// Names one job. A task that comes too late finds that its job is another one's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct JobId {
    pub(crate) slot: SlotId,
    number: u64,
}

/// What is to be done, and who does it.
#[derive(Debug)]
pub(crate) struct Job {
    id: JobId,
    /// The runtime of its task.
    home: Option<Id>,
    work: Work,
}

#[derive(Debug)]
pub(crate) enum Work {
    Open {
        opening: Opening,
        /// Taken while it is dialled.
        turn: Option<OwnedSemaphorePermit>,
    },
    Check,
    Clean(Backend),
    Close(Option<Backend>),
}

impl State {
    fn entrust(&mut self, slot: SlotId, work: Work) -> JobId {
        self.jobs += 1;
        let id = JobId { slot, number: self.jobs };
        *self.seat(slot) = Seat::Entrusted(Job { id, home: None, work });
        id
    }

    pub(crate) fn open(&mut self, opening: Opening) {
        let (slot, limit) = (opening.slot(), opening.limit());
        let id = self.entrust(slot, Work::Open { opening, turn: None });
        self.unhoused.push(Task::Open { id, limit });
    }

    pub(crate) fn check(&mut self, slot: SlotId, checkup: crate::driver::Checkup) {
        let Some(session) = self.take(slot) else { return };
        let id = self.entrust(slot, Work::Check);
        self.unhoused.push(Task::Check { id, session, checkup });
    }

    pub(crate) fn clean(&mut self, slot: SlotId, taken: Taken) {
        let id = self.entrust(slot, Work::Clean(taken.backend()));
        self.unhoused.push(Task::Clean { id, taken });
    }

    pub(crate) fn close(&mut self, slot: SlotId, closing: Closing) {
        let id = self.entrust(slot, Work::Close(closing.backend()));
        self.unhoused.push(Task::Close { id, closing });
    }

    /// The task of this job is on that runtime.
    pub(crate) fn note_home(&mut self, id: JobId, home: Id) {
        if let Seat::Entrusted(job) = self.seat(id.slot)
            && job.id == id
        {
            job.home = Some(home);
        }
    }

    /// Notes that one more is dialled, until the job ends; says whether it still is this task's.
    pub(crate) fn note_turn(&mut self, id: JobId, permit: OwnedSemaphorePermit) -> bool {
        match self.seat(id.slot) {
            Seat::Entrusted(Job { id: of, work: Work::Open { turn, .. }, .. }) if *of == id => {
                *turn = Some(permit);
                true
            }
            _ => false,
        }
    }

    /// The job ends, if it still is this task's.
    pub(crate) fn done(&mut self, id: JobId) -> Option<Work> {
        let seat = self.seat(id.slot);
        match std::mem::take(seat) {
            Seat::Entrusted(job) if job.id == id => Some(job.work),
            other => {
                *seat = other;
                None
            }
        }
    }

    /// Has the job of this seat done by another task, if the one that does it is on this runtime.
    pub(crate) fn redo(&mut self, now: Instant, seat: usize, home: Id, gone: bool) {
        let Some(Seat::Entrusted(job)) = self.seats.get(seat) else { return };
        if job.home != Some(home) {
            return;
        }
        let id = job.id;
        match self.done(id) {
            Some(Work::Open { opening, .. }) => self.open(opening),
            Some(Work::Check) => self.ledger.checked(now, id.slot, Health::OutOfReach),
            Some(Work::Clean(backend)) => self.clean(id.slot, Taken::Backend(backend)),
            // Its socket went with the runtime.
            Some(Work::Close(_)) if gone => self.close(id.slot, Closing::Nothing),
            Some(Work::Close(backend)) => {
                self.close(id.slot, backend.map_or(Closing::Nothing, Closing::Backend));
            }
            None => {}
        }
    }

    /// The task of this job has died.
    pub(crate) fn give_up(&mut self, now: Instant, id: JobId) {
        match self.done(id) {
            Some(Work::Open { opening, .. }) => {
                self.last_open_error = Some("the attempt was abandoned".into());
                self.ledger.open_failed(now, opening, OpenFailure::Other, rand::random());
            }
            Some(Work::Check) => self.ledger.checked(now, id.slot, Health::Lost),
            Some(Work::Clean(_)) => self.ledger.cleaned(now, id.slot, Health::Lost),
            Some(Work::Close(_)) => self.ledger.closed(now, id.slot),
            None => {}
        }
    }
}
