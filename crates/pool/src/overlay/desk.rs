//! The state of an overlay, and what the ledger's decisions mean where sqlx holds the connections.

use std::collections::HashMap;
use std::panic::Location;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use forebay_pool_core::{
    Acquired, Action, Activity, Ask, Class, Event, Fixed, Health, Ledger, Refusal, Return, Rules, SlotId, Standstill,
    WaiterId,
};
use sqlx::PgPool;
use tokio::runtime::Handle;
use tokio::sync::{Notify, oneshot};

use super::permit::{Permit, QueuedPermit};
use crate::clock::now;
use crate::error::Details;
use crate::standstill::Standstills;
use crate::{Holder, Observer};

/// What all clones, permits and tasks of one overlay share.
pub(super) struct Desk {
    pub(super) pool: PgPool,
    pub(super) name: String,
    pub(super) acquire_timeout: Duration,
    pub(super) observer: Box<dyn Observer>,
    runtime: Handle,
    /// Whether somebody sleeps until the ledger has something to do.
    watched: AtomicBool,
    alarm: Arc<Notify>,
    state: Mutex<State>,
}

/// Everything that changes, under one lock, never held across an await.
#[derive(Debug)]
pub(super) struct State {
    pub(super) ledger: Ledger,
    /// Who has which permit, by [`SlotId::index`].
    uses: Vec<Option<Arc<Use>>>,
    waiters: HashMap<WaiterId, Waiting>,
    /// Since when sqlx could open nothing, and what it last said.
    failing: Option<(Instant, Arc<str>)>,
    alarm_at: Option<Instant>,
    standstills: Standstills,
}

type Answer = oneshot::Sender<Result<Permit, Refusal>>;

#[derive(Debug)]
struct Waiting {
    class: Class,
    site: &'static Location<'static>,
    answer: Answer,
}

/// One permit's use, shared by its holder and the desk.
#[derive(Debug)]
pub(super) struct Use {
    pub(super) slot: SlotId,
    pub(super) class: Class,
    site: &'static Location<'static>,
    pub(super) since: Instant,
    doing: Mutex<Activity>,
}

impl Use {
    pub(super) fn set(&self, activity: Activity) {
        *self.doing.lock().unwrap_or_else(PoisonError::into_inner) = activity;
    }

    fn stood_still(&self, standstill: Standstill) {
        if let Activity::HeldIdle { since } = &mut *self.doing.lock().unwrap_or_else(PoisonError::into_inner) {
            *since = standstill.since(*since);
        }
    }

    fn activity(&self) -> Activity {
        *self.doing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn holder(&self, now: Instant) -> Holder {
        let held_idle = match self.activity() {
            Activity::Running => Duration::ZERO,
            Activity::HeldIdle { since } => now.saturating_duration_since(since),
        };
        let held = now.saturating_duration_since(self.since);
        Holder { site: self.site, class: self.class, held, held_idle, runs: None }
    }
}

/// What has to be done after the unlock.
#[derive(Default)]
struct Errands {
    grants: Vec<(Answer, Arc<Use>)>,
    refusals: Vec<(Answer, Refusal)>,
    tell: Vec<(Event, Option<Holder>)>,
}

/// The answer to [`Desk::ask`].
pub(super) enum Asked {
    Permitted(Permit),
    Waiting(QueuedPermit),
    Refused(Refusal),
}

impl Desk {
    pub(super) fn open(
        pool: PgPool,
        name: String,
        acquire_timeout: Duration,
        rules: Rules,
        observer: Box<dyn Observer>,
    ) -> Arc<Self> {
        let now = now();
        let state = State {
            ledger: Ledger::new(rules, Box::new(Fixed), now),
            uses: Vec::new(),
            waiters: HashMap::new(),
            failing: None,
            alarm_at: None,
            standstills: Standstills::new(now),
        };
        let runtime = Handle::current();
        let (watched, alarm) = (AtomicBool::new(false), Arc::default());
        let desk =
            Arc::new(Self { pool, name, acquire_timeout, observer, runtime, watched, alarm, state: Mutex::new(state) });
        desk.have_watched();
        desk.with(now, |state| state.ledger.handle_timeout(now));
        desk
    }

    /// Has somebody sleep until the ledger has something to do, where nobody does: the runtime of whoever did may be gone.
    fn have_watched(self: &Arc<Self>) {
        if !self.watched.swap(true, Ordering::AcqRel) {
            let desk = Arc::downgrade(self);
            self.spawn(watch(Weak::clone(&desk), Arc::clone(&self.alarm), Watch(desk)));
        }
    }

    /// Puts a task on the runtime of whoever asks, or on the one that the desk was opened on.
    pub(super) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let runtime = Handle::try_current().unwrap_or_else(|_| self.runtime.clone());
        runtime.spawn(task);
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the state under the lock, and does after the unlock what follows from it.
    pub(super) fn with<T>(self: &Arc<Self>, now: Instant, change: impl FnOnce(&mut State) -> T) -> T {
        let mut errands = Errands::default();
        let mut state = self.lock();
        state.notice_standstill(now);
        let value = change(&mut state);
        state.decide(now, &mut errands);
        let earlier = state.arm(now);
        drop(state);
        if earlier {
            self.alarm.notify_one();
        }
        self.run(errands);
        value
    }

    /// Asks the ledger for a permit.
    pub(super) fn ask(
        self: &Arc<Self>,
        now: Instant,
        ask: Ask,
        class: Class,
        site: &'static Location<'static>,
    ) -> Asked {
        let asked = self.with(now, |state| match state.ledger.acquire(now, ask) {
            Acquired::Leased(slot) => Ok(state.occupy(slot, class, site, now)),
            Acquired::Waiting(id) => {
                let (answer, told) = oneshot::channel();
                state.waiters.insert(id, Waiting { class, site, answer });
                Err(Ok((id, told)))
            }
            Acquired::Refused(refusal) => Err(Err(refusal)),
        });
        match asked {
            Ok(used) => Asked::Permitted(Permit::new(Arc::clone(self), used)),
            Err(Ok((id, told))) => {
                self.have_watched();
                Asked::Waiting(QueuedPermit::new(Arc::clone(self), id, told))
            }
            Err(Err(refusal)) => Asked::Refused(refusal),
        }
    }

    /// The caller gives up. A permit that it was granted meanwhile comes back with the channel it lies in.
    pub(super) fn forget(self: &Arc<Self>, waiter: WaiterId) {
        let now = now();
        let gone = self.with(now, |state| {
            state.ledger.cancel(now, waiter);
            state.waiters.remove(&waiter)
        });
        drop(gone);
    }

    pub(super) fn release(self: &Arc<Self>, used: &Use, how: Return) {
        let now = now();
        self.with(now, |state| {
            if let Some(place) = state.uses.get_mut(used.slot.index()) {
                *place = None;
            }
            state.ledger.release(now, used.slot, how);
        });
    }

    /// sqlx has connected or could not; says since when it cannot.
    pub(super) fn connected(&self, now: Instant, error: Option<&sqlx::Error>) -> Option<(Duration, Arc<str>)> {
        let mut state = self.lock();
        let since = state.failing.take().map_or(now, |(since, _)| since);
        let text: Arc<str> = error?.to_string().into();
        state.failing = Some((since, Arc::clone(&text)));
        Some((now.saturating_duration_since(since), text))
    }

    fn run(self: &Arc<Self>, errands: Errands) {
        let Errands { grants, refusals, tell } = errands;
        for (answer, used) in grants {
            // Whoever has left in this moment gives the permit back by dropping it.
            drop(answer.send(Ok(Permit::new(Arc::clone(self), used))));
        }
        for (answer, refusal) in refusals {
            drop(answer.send(Err(refusal)));
        }
        for (event, holder) in tell {
            self.log(&event, holder.as_ref());
            self.observer.event(&event, holder.as_ref());
        }
    }

    fn log(&self, event: &Event, holder: Option<&Holder>) {
        if let (Event::Suspected { held_idle, .. }, Some(holder)) = (event, holder) {
            tracing::warn!(
                pool = self.name.as_str(),
                site = %holder.site,
                held_ms = holder.held.as_millis(),
                unused_ms = held_idle.as_millis(),
                "a connection is out and has not been used"
            );
        }
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        // The watch holds the desk only weakly: it wakes, finds it gone, and ends.
        self.alarm.notify_one();
    }
}

impl State {
    fn decide(&mut self, now: Instant, errands: &mut Errands) {
        while let Some(action) = self.ledger.poll_action() {
            match action {
                // A permit needs no opening, no check and no cleaning: sqlx does what a connection needs when it is asked
                // for one.
                Action::Open(opening) => self.ledger.opened(now, opening, 1.0),
                Action::Check { slot, .. } => self.ledger.checked(now, slot, Health::Well),
                Action::Clean(slot) => self.ledger.cleaned(now, slot, Health::Well),
                Action::Close { slot, .. } => self.ledger.closed(now, slot),
                Action::Grant { waiter, slot } => {
                    let Waiting { class, site, answer } =
                        self.waiters.remove(&waiter).expect("the ledger grants only to those who wait");
                    errands.grants.push((answer, self.occupy(slot, class, site, now)));
                }
                Action::Refuse { waiter, refusal } => {
                    errands.refusals.extend(self.waiters.remove(&waiter).map(|waiting| (waiting.answer, refusal)));
                }
                Action::Observe(slot) => {
                    if let Some(activity) = self.used(slot).map(Use::activity) {
                        self.ledger.observed(now, slot, activity);
                    }
                }
                Action::Revoke(slot) => self.ledger.revoked(now, slot, false),
                // The size is sqlx's.
                Action::LookAtLocks => {}
                Action::Tell(event) => {
                    let holder = match event {
                        Event::Suspected { slot, .. } | Event::Cleared { slot } => {
                            self.used(slot).map(|used| used.holder(now))
                        }
                        _ => None,
                    };
                    errands.tell.push((event, holder));
                }
            }
        }
    }

    /// Notices that the desk has not run for a while, before anybody is judged.
    fn notice_standstill(&mut self, now: Instant) {
        let Some(standstill) = self.standstills.notice(self.alarm_at, now) else { return };
        self.ledger.stood_still(standstill);
        for used in self.uses.iter().flatten() {
            used.stood_still(standstill);
        }
    }

    fn occupy(&mut self, slot: SlotId, class: Class, site: &'static Location<'static>, now: Instant) -> Arc<Use> {
        let used = Arc::new(Use { slot, class, site, since: now, doing: Mutex::new(Activity::Running) });
        if self.uses.len() <= slot.index() {
            self.uses.resize_with(slot.index() + 1, || None);
        }
        self.uses[slot.index()] = Some(Arc::clone(&used));
        used
    }

    fn used(&self, slot: SlotId) -> Option<&Use> {
        self.uses.get(slot.index())?.as_deref().filter(|used| used.slot == slot)
    }

    pub(super) fn holders(&self, now: Instant) -> Vec<Holder> {
        let mut holders: Vec<Holder> = self.uses.iter().flatten().map(|used| used.holder(now)).collect();
        holders.sort_by_key(|holder| std::cmp::Reverse(holder.held));
        holders
    }

    pub(super) fn details(&self, now: Instant) -> Details {
        let mut longest = self.holders(now);
        longest.truncate(5);
        let last_open_error = self.failing.as_ref().map(|(_, error)| Arc::clone(error));
        Details { snapshot: self.ledger.snapshot(now), longest, last_open_error }
    }

    /// Notes when the watch has to wake; says whether it must be told, since it would sleep for longer.
    fn arm(&mut self, now: Instant) -> bool {
        // What is due since long ago is due now: nobody was late for it.
        let Some(next) = self.ledger.poll_timeout().map(|at| at.max(now)) else { return false };
        let earlier = self.alarm_at.is_none_or(|armed| next < armed);
        if earlier {
            self.alarm_at = Some(next);
        }
        earlier
    }
}

/// Sleeps until the ledger has something to do, as long as the desk lives.
async fn watch(desk: Weak<Desk>, alarm: Arc<Notify>, _watch: Watch) {
    loop {
        let Some(at) = desk.upgrade().map(|desk| desk.lock().alarm_at) else { return };
        let Some(at) = at else {
            alarm.notified().await;
            continue;
        };
        tokio::select! {
            () = alarm.notified() => {}
            () = tokio::time::sleep_until(at.into()) => {
                let Some(desk) = desk.upgrade() else { return };
                let now = now();
                desk.with(now, |state| {
                    state.alarm_at = None;
                    state.ledger.handle_timeout(now);
                });
            }
        }
    }
}

/// Says that nobody watches any more when the task goes, with its runtime.
struct Watch(Weak<Desk>);

impl Drop for Watch {
    fn drop(&mut self) {
        if let Some(desk) = self.0.upgrade() {
            desk.watched.store(false, Ordering::Release);
        }
    }
}
