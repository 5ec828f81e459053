//! Where the pool runs: on the runtimes of those who use it. A pool may live longer than any of them.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tokio::runtime::{Handle, Id, RuntimeFlavor};

use crate::clock::now;
use crate::driver;
use crate::shared::Shared;
use crate::state::{Seat, State};

/// A runtime with a driver of the pool's on it.
#[derive(Debug)]
struct Home {
    handle: Handle,
    /// What the ledger calls it.
    number: u32,
    /// Since when an answer of its driver is waited for.
    asked: Option<Instant>,
}

impl Home {
    /// Whether it runs only while somebody blocks on it.
    fn is_lone(&self) -> bool {
        self.handle.runtime_flavor() == RuntimeFlavor::CurrentThread
    }
}

/// All runtimes on which the pool has a driver.
#[derive(Debug, Default)]
pub(crate) struct Homes {
    list: Vec<Home>,
    /// Those that went last. Nothing can be put on them, though their last tasks still are there to ask for it.
    gone: VecDeque<Id>,
    /// How many there have been.
    count: u32,
}

impl Homes {
    /// A driver that has not come for so long, though it was called, is on a runtime that nobody polls.
    const SILENCE: Duration = Duration::from_millis(250);
    const REMEMBERED: usize = 64;

    fn find(&mut self, id: Id) -> Option<&mut Home> {
        self.list.iter_mut().find(|home| home.handle.id() == id)
    }

    fn add(&mut self, handle: Handle) {
        self.count = self.count.wrapping_add(1).max(1);
        self.list.push(Home { handle, number: self.count, asked: None });
    }

    fn remove(&mut self, id: Id) {
        self.list.retain(|home| home.handle.id() != id);
    }

    fn bury(&mut self, id: Id) {
        self.remove(id);
        self.gone.truncate(Self::REMEMBERED - 1);
        self.gone.push_front(id);
    }

    /// What the ledger calls it; zero where the pool does not know it.
    pub(crate) fn number(&self, id: Id) -> u32 {
        self.list.iter().find(|home| home.handle.id() == id).map_or(0, |home| home.number)
    }

    pub(crate) fn is_gone(&self, id: Id) -> bool {
        self.gone.contains(&id)
    }

    /// The runtime to put a task on: this one, since it is polled, or else the likeliest to be.
    fn pick(&self, here: Option<Id>) -> Option<&Handle> {
        let is_here = |home: &&Home| Some(home.handle.id()) == here;
        let likeliest = || self.list.iter().find(|home| !home.is_lone()).or(self.list.last());
        self.list.iter().find(is_here).or_else(likeliest).map(|home| &home.handle)
    }

    /// Whether it matters where a caller is polled.
    fn are_unsure(&self) -> bool {
        self.list.is_empty() || self.list.iter().any(Home::is_lone)
    }

    /// Calls this one, as far as it may be silent.
    fn call(&mut self, now: Instant, id: Id) {
        if let Some(home) = self.find(id).filter(|home| home.is_lone()) {
            home.asked.get_or_insert(now);
        }
    }

    /// Whether this one has answered since it was called; `None` where the pool does not know it any more.
    fn has_answered(&mut self, id: Id) -> Option<bool> {
        self.find(id).map(|home| home.asked.is_none())
    }

    /// Calls all but this one, as far as they may be silent; says whether any was called.
    fn call_others(&mut self, now: Instant, here: Id) -> bool {
        let mut any = false;
        for home in &mut self.list {
            if home.is_lone() && home.handle.id() != here && home.asked.is_none() {
                home.asked = Some(now);
                any = true;
            }
        }
        any
    }

    fn silent(&self, now: Instant) -> Vec<Id> {
        let is_silent = |home: &&Home| home.asked.is_some_and(|at| now.saturating_duration_since(at) >= Self::SILENCE);
        self.list.iter().filter(is_silent).map(|home| home.handle.id()).collect()
    }
}

/// Whether it matters where a caller is polled, as is known without the lock.
#[derive(Debug, Default)]
pub(crate) struct Unsure(AtomicBool);

impl Unsure {
    fn follow(&self, homes: &Homes) {
        self.0.store(homes.are_unsure(), Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

impl State {
    /// What this runtime was to do for the pool is to be done by another one, and the connections that rest are of no use
    /// where they live on it.
    fn forsake(&mut self, now: Instant, id: Id, gone: bool) {
        if gone {
            self.homes.bury(id);
        } else {
            self.homes.remove(id);
        }
        for seat in 0..self.seats.len() {
            self.redo(now, seat, id, gone);
        }
        let seats = &self.seats;
        let lives_there = |seat: &Seat| matches!(seat, Seat::Resting(session) if session.home == id);
        self.ledger.strand(now, |slot| seats.get(slot.index()).is_some_and(lives_there));
        // Whoever waits sees to it that somebody looks at the clock.
        self.to_wake.extend(self.waiters.iter().flatten().filter_map(|caller| caller.waker()));
    }

    /// Ends with the runtimes whose drivers did not come, and calls those of the others where there is something to do.
    pub(crate) fn look_at_homes(&mut self, now: Instant, here: Id) -> Vec<Id> {
        let silent = self.homes.silent(now);
        for id in &silent {
            self.forsake(now, *id, false);
        }
        let due = self.ledger.poll_timeout().is_some_and(|at| at <= now);
        if due && self.homes.call_others(now, here) {
            self.look_by(now + Homes::SILENCE);
        }
        silent
    }
}

impl Shared {
    /// Sees to it that the pool has a driver where this is polled, so that somebody looks at the clock for whoever waits.
    /// `None` outside of a runtime, and on one that is going.
    pub(crate) fn settle(self: &Arc<Self>) -> Option<Id> {
        let here = Handle::try_current().ok()?;
        let id = here.id();
        {
            let mut state = self.lock();
            if state.homes.find(id).is_some() {
                return Some(id);
            }
            if state.homes.is_gone(id) {
                return None;
            }
            state.homes.add(here.clone());
            self.unsure.follow(&state.homes);
        }
        // On a runtime that is going it ends at once, and with it the home.
        here.spawn(driver::run(Arc::downgrade(self), Arc::clone(&self.alarm), id));
        let now = now();
        self.with(now, |state| {
            if state.homes.call_others(now, id) {
                state.look_by(now + Homes::SILENCE);
            }
        });
        self.alarm.notify_waiters();
        self.lock().homes.find(id).map(|_| id)
    }

    /// The same for somebody who asks for a connection: says what the ledger calls this home. `None` where nobody
    /// would ever wake it.
    pub(crate) fn arrive(self: &Arc<Self>) -> Option<u32> {
        let here = self.settle();
        let state = self.lock();
        let number = here.map_or(0, |here| state.homes.number(here));
        (!state.homes.list.is_empty()).then_some(number)
    }

    /// The driver of this runtime comes, and asks when to wake.
    pub(crate) fn check_in(&self, home: Id) -> Option<Instant> {
        let mut state = self.lock();
        match state.homes.find(home) {
            Some(home) => {
                if home.asked.take().is_some() {
                    self.answered.notify_waiters();
                }
            }
            // Nobody polled it for a while.
            None => state.homes.add(Handle::current()),
        }
        self.unsure.follow(&state.homes);
        state.alarm_at
    }

    /// Waits until the runtime that a connection lives on has shown that it is polled; says whether it is there at all. An
    /// answer of the server is no proof: it may be read without the runtime's help, and the next one not.
    pub(crate) async fn hears(&self, home: Id) -> bool {
        if Handle::current().id() == home {
            return true;
        }
        self.lock().homes.call(now(), home);
        self.alarm.notify_waiters();
        loop {
            let told = self.answered.notified();
            let answered = self.lock().homes.has_answered(home);
            match answered {
                Some(false) => told.await,
                answered => return answered.is_some(),
            }
        }
    }

    /// This runtime is going.
    pub(crate) fn forsake(self: &Arc<Self>, home: Id) {
        let now = now();
        self.with(now, |state| {
            state.forsake(now, home, true);
            self.unsure.follow(&state.homes);
        });
        self.control.forsake(home);
    }

    /// These do not answer.
    pub(crate) fn have_forsaken(&self, homes: &[Id]) {
        if homes.is_empty() {
            return;
        }
        self.answered.notify_waiters();
        self.unsure.follow(&self.lock().homes);
        for home in homes {
            self.control.forsake(*home);
        }
    }

    /// Puts a task on a runtime that is polled. Where the pool knows of none it is dropped.
    pub(crate) fn spawn(self: &Arc<Self>, task: impl Future<Output = ()> + Send + 'static) {
        let here = self.settle();
        let home = self.lock().homes.pick(here).cloned();
        if let Some(home) = home {
            home.spawn(task);
        }
    }

    /// A runtime for the tasks that do these, each of which has it noted then; or they wait for one.
    pub(crate) fn house(self: &Arc<Self>, tasks: Vec<driver::Task>) {
        if tasks.is_empty() {
            return;
        }
        let here = self.settle();
        let mut state = self.lock();
        let Some(home) = state.homes.pick(here).cloned() else {
            state.unhoused.extend(tasks);
            return;
        };
        for task in &tasks {
            if let Some(id) = task.job() {
                state.note_home(id, home.id());
            }
        }
        drop(state);
        for task in tasks {
            home.spawn(task.run(Arc::clone(self)));
        }
    }
}
