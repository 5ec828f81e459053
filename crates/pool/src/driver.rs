//! Carries out what the ledger decides: the only place of the pool that spawns, and the home of its timer.

use std::panic::{AssertUnwindSafe, resume_unwind};
use std::sync::{Arc, Weak};
use std::task::Waker;
use std::time::{Duration, Instant};

use forebay_pool_core::{Action, Event, Health, OpenFailure, SlotId};
use futures_util::FutureExt;
use sqlx::Connection;
use tokio::runtime::Id;
use tokio::sync::Notify;

use crate::acquire::Told;
use crate::addresses::no_answer;
use crate::cleaning::{self, Closing};
use crate::clock::now;
use crate::connect::Session;
use crate::fingerprint::{self, Fingerprint};
use crate::job::{JobId, Work};
use crate::loan::Taken;
use crate::residue::Residue;
use crate::shared::Shared;
use crate::standstill::timeout;
use crate::state::{Seat, State};
use crate::{Holder, describe};

/// What has to be done after the unlock.
#[derive(Debug, Default)]
pub(crate) struct Errands {
    /// Mostly nobody or one.
    wake: Option<Waker>,
    wake_too: Vec<Waker>,
    tasks: Vec<Task>,
    tell: Vec<(Event, Option<Holder>)>,
    revoked: Vec<Holder>,
    drained: bool,
}

/// What is done in the background.
#[derive(Debug)]
pub(crate) enum Task {
    Open { id: JobId, limit: Duration },
    Check { id: JobId, session: Box<Session>, checkup: Checkup },
    Clean { id: JobId, taken: Taken },
    Close { id: JobId, closing: Closing },
    LookAtLocks,
}

/// What to ask a connection that was not used for long, and how long it may take.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Checkup {
    limit: Duration,
    role: bool,
}

impl Task {
    pub(crate) const fn job(&self) -> Option<JobId> {
        match self {
            Self::Open { id, .. } | Self::Check { id, .. } | Self::Clean { id, .. } | Self::Close { id, .. } => {
                Some(*id)
            }
            Self::LookAtLocks => None,
        }
    }

    /// Does it. A job whose task dies of a panic is given up; one that goes with its runtime is done by another task.
    pub(crate) async fn run(self, shared: Arc<Shared>) {
        let id = self.job();
        let Err(panic) = AssertUnwindSafe(self.work(Arc::clone(&shared))).catch_unwind().await else { return };
        if let Some(id) = id {
            let now = now();
            shared.with(now, |state| state.give_up(now, id));
        }
        resume_unwind(panic);
    }

    async fn work(self, shared: Arc<Shared>) {
        match self {
            Self::Open { id, limit } => run_opening(shared, id, limit).await,
            Self::Check { id, session, checkup } => run_check(shared, id, session, checkup).await,
            Self::Clean { id, taken } => cleaning::clean(shared, id, taken).await,
            Self::Close { id, closing } => cleaning::close(shared, id, closing).await,
            Self::LookAtLocks => look_at_locks_of(shared).await,
        }
    }
}

/// Takes the ledger's actions one by one: what the lock protects is done here, the rest becomes an errand. Almost every acquire and
/// release that finds nobody waiting leaves none.
pub(crate) fn decide(state: &mut State, now: Instant) -> Option<Errands> {
    let mut next = state.ledger.poll_action();
    if next.is_none() && !state.owes_errands() {
        return None;
    }
    let mut errands = Errands::default();
    while let Some(action) = next {
        carry_out(state, now, action, &mut errands);
        next = state.ledger.poll_action();
    }
    errands.wake_too.append(&mut state.to_wake);
    errands.tasks.append(&mut state.unhoused);
    errands.drained = state.is_wound_up();
    Some(errands)
}

fn carry_out(state: &mut State, now: Instant, action: Action, errands: &mut Errands) {
    match action {
        Action::Open(opening) => {
            // A standstill would be noticed by nobody else.
            state.look_by(now + State::LOOK_EVERY);
            state.open(opening);
        }
        Action::Check { slot, limit, role } => state.check(slot, Checkup { limit, role }),
        Action::Clean(slot) => {
            if let Some(taken) = state.take_soiled(slot) {
                state.clean(slot, taken);
            }
        }
        Action::Close { slot, .. } => {
            if let Some(closing) = state.take_to_close(slot) {
                state.close(slot, closing);
            }
        }
        Action::Grant { waiter, slot } => {
            let caller = state.call(waiter).expect("the ledger grants only to those who wait");
            let loan = state.lend(slot, caller.borrower, now);
            errands.wake(caller.tell(Told::Granted(loan)));
        }
        Action::Refuse { waiter, refusal } => {
            if let Some(caller) = state.call(waiter) {
                errands.wake(caller.tell(Told::Refused(refusal)));
            }
        }
        Action::Observe(slot) => {
            if let Some(activity) = state.loan(slot).map(|loan| loan.activity(now)) {
                state.ledger.observed(now, slot, activity);
            }
        }
        Action::Revoke(slot) => revoke(state, now, slot, errands),
        Action::LookAtLocks => state.unhoused.push(Task::LookAtLocks),
        Action::Tell(event) => {
            let holder = match event {
                Event::Suspected { slot, .. } | Event::Cleared { slot } => {
                    state.loan(slot).map(|loan| loan.holder(now))
                }
                _ => None,
            };
            state.history.note(now, event, holder.clone());
            errands.tell.push((event, holder));
        }
    }
}

fn revoke(state: &mut State, now: Instant, slot: SlotId, errands: &mut Errands) {
    let Some(loan) = state.loan(slot).map(Arc::clone) else { return };
    let holder = loan.holder(now);
    let idle_for = state.ledger.rules().revoke_after.unwrap_or_default();
    let (taken, waker) = if state.ends_leases { loan.seize(now) } else { (loan.revoke(now, idle_for), None) };
    errands.wake(waker);
    let was_taken = taken.is_some();
    if let Some(taken) = taken {
        *state.seat(slot) = Seat::Soiled(taken);
        state.sites.taken_back(now, &holder, loan.used());
        errands.revoked.push(holder);
    }
    state.ledger.revoked(now, slot, was_taken);
}

/// Notes when the driver has to wake; says whether it must be told, since it would sleep for longer.
pub(crate) fn arm(state: &mut State, now: Instant) -> bool {
    if let Some(armed) = state.alarm_at
        && state.look_at.is_none_or(|at| armed <= at)
        && state.ledger.can_wait_until(armed)
    {
        return false;
    }
    // What is due since long ago is due now: nobody was late for it.
    let next = state.ledger.poll_timeout().into_iter().chain(state.look_at).min().map(|at| at.max(now));
    let earlier = match (next, state.alarm_at) {
        (Some(next), Some(armed)) => next < armed,
        (Some(_), None) => true,
        (None, _) => false,
    };
    if earlier {
        state.alarm_at = next;
    }
    earlier
}

impl Errands {
    fn wake(&mut self, waker: Option<Waker>) {
        if self.wake.is_none() {
            self.wake = waker;
        } else {
            self.wake_too.extend(waker);
        }
    }

    pub(crate) fn run(self, shared: &Arc<Shared>) {
        let Self { wake, wake_too, tasks, tell, revoked, drained } = self;
        for waker in wake.into_iter().chain(wake_too) {
            waker.wake();
        }
        shared.house(tasks);
        if drained {
            shared.drained.notify_waiters();
        }
        // What others wait for is done: whoever is told may panic.
        for (event, holder) in tell {
            log_event(shared, &event, holder.as_ref());
            shared.observer.event(&event, holder.as_ref());
        }
        for holder in revoked {
            log_revoked(shared, &holder);
            shared.observer.revoked(&holder);
        }
    }
}

fn log_event(shared: &Shared, event: &Event, holder: Option<&Holder>) {
    let pool = shared.config.name.as_str();
    match (event, holder) {
        (Event::LimitChanged { from, to, reason }, _) if event.is_try() => {
            tracing::debug!(pool, from, to, reason, "pool limit changed");
        }
        (Event::LimitChanged { from, to, reason }, _) => tracing::info!(pool, from, to, reason, "pool limit changed"),
        (Event::Suspected { held_idle, .. }, Some(holder)) => tracing::warn!(
            pool,
            site = %holder.site,
            held_idle_ms = held_idle.as_millis(),
            runs = holder.runs.as_ref().map(tracing::field::display),
            "a lease is held without running a statement; its place was given to others"
        ),
        _ => {}
    }
}

fn log_revoked(shared: &Shared, holder: &Holder) {
    tracing::warn!(
        pool = shared.config.name.as_str(),
        site = %holder.site,
        held_ms = holder.held.as_millis(),
        held_idle_ms = holder.held_idle.as_millis(),
        runs = holder.runs.as_ref().map(tracing::field::display),
        "a lease held idle lost its connection"
    );
}

/// Tells the pool that a driver of it goes, and its runtime with it: what was done there is left to others.
struct Departure(Weak<Shared>, Id);

impl Drop for Departure {
    fn drop(&mut self) {
        if let Some(shared) = self.0.upgrade() {
            shared.forsake(self.1);
        }
    }
}

/// Sleeps until the ledger has something to do, as long as the pool and this runtime live.
///
/// Closes the pool when it dies of a panic: without its timer no wait would ever end, so it is better to refuse than to hang.
pub(crate) fn run(pool: Weak<Shared>, alarm: Arc<Notify>, home: Id) -> impl Future<Output = ()> + Send {
    // On a runtime that is going it is dropped before it is polled.
    let departure = Departure(Weak::clone(&pool), home);
    async move {
        let _departure = departure;
        let Err(panic) = AssertUnwindSafe(drive(&pool, &alarm, home)).catch_unwind().await else { return };
        if let Some(shared) = pool.upgrade() {
            tracing::error!(pool = shared.config.name.as_str(), "the pool's driver died of a panic; the pool closes");
            let now = now();
            shared.with(now, |state| state.ledger.close(now));
        }
        resume_unwind(panic);
    }
}

async fn drive(pool: &Weak<Shared>, alarm: &Notify, home: Id) {
    loop {
        // Whoever changes the time after it was looked at is heard.
        let told = alarm.notified();
        let Some(shared) = pool.upgrade() else { return };
        let at = shared.check_in(home);
        drop(shared);
        match at {
            None => told.await,
            Some(at) => tokio::select! {
                () = told => {}
                () = tokio::time::sleep_until(at.into()) => {
                    let Some(shared) = pool.upgrade() else { return };
                    let now = now();
                    let silent = shared.with(now, |state| {
                        state.alarm_at = None;
                        state.look_at_statements(now);
                        let silent = state.look_at_homes(now, home);
                        state.ledger.handle_timeout(now);
                        silent
                    });
                    shared.have_forsaken(&silent);
                }
            },
        }
    }
}

async fn run_opening(shared: Arc<Shared>, id: JobId, limit: Duration) {
    let begun = now();
    let era = shared.catalog.era();
    let turn = shared.dialer.turn().await;
    if !shared.lock().note_turn(id, turn) {
        return;
    }
    let mut dialed = None;
    let opening = async {
        let options = shared.dialer.options().await?;
        dialed = Some(Fingerprint::of(&options));
        Session::open(&shared.dialer, options, shared.settings(), shared.config.role).await
    };
    let outcome = match timeout(limit, opening).await {
        Ok(outcome) => outcome,
        Err(_elapsed) => Err(no_answer(limit)),
    };
    let took = now().saturating_duration_since(begun);
    shared.observer.opened(took, outcome.as_ref().err());
    match outcome {
        Ok(mut session) => {
            session.residue = Residue::of(era);
            tracing::debug!(pool = shared.config.name.as_str(), pid = session.backend.pid, "a connection was opened");
            opened(&shared, id, session);
        }
        Err(error) => {
            let said = describe(&error).to_string();
            tracing::warn!(pool = shared.config.name.as_str(), error = said, "a connection could not be opened");
            not_opened(&shared, id, failure_of(&error), &said);
            if let Some(dialed) = dialed {
                shared.spawn(fingerprint::watch(Arc::downgrade(&shared), dialed));
            }
        }
    }
}

fn opened(shared: &Arc<Shared>, id: JobId, session: Box<Session>) {
    let now = now();
    shared.control.warm();
    let unwanted = shared.with(now, |state| {
        let Some(Work::Open { opening, .. }) = state.done(id) else { return Some(session) };
        state.last_open_error = None;
        state.ledger.locate(id.slot, state.homes.number(session.home));
        *state.seat(id.slot) = Seat::Resting(session);
        state.ledger.opened(now, opening, rand::random());
        None
    });
    drop(unwanted);
}

fn not_opened(shared: &Arc<Shared>, id: JobId, failure: OpenFailure, error: &str) {
    let now = now();
    shared.with(now, |state| {
        let Some(Work::Open { opening, .. }) = state.done(id) else { return };
        state.last_open_error = Some(error.into());
        state.ledger.open_failed(now, opening, failure, rand::random());
    });
}

fn failure_of(error: &sqlx::Error) -> OpenFailure {
    let code = error.as_database_error().and_then(|error| error.code());
    match code.as_deref() {
        Some("53300" | "53400") => OpenFailure::NoRoom,
        Some("3D000") => OpenFailure::NotYet,
        Some(code) if code.starts_with("28") => OpenFailure::Misconfigured,
        _ => OpenFailure::Other,
    }
}

async fn look_at_locks_of(shared: Arc<Shared>) {
    if let Some(share) = shared.control.lock_waits().await {
        let now = now();
        shared.with(now, |state| state.ledger.lock_waits(now, share));
    }
}

async fn run_check(shared: Arc<Shared>, id: JobId, mut session: Box<Session>, checkup: Checkup) {
    let mut silent = Health::OutOfReach;
    let asking = async {
        if !shared.hears(session.home).await {
            return Ok(Health::OutOfReach);
        }
        silent = Health::Lost;
        if checkup.role {
            session.health(shared.config.role).await
        } else {
            session.connection.ping().await.map(|()| Health::Well)
        }
    };
    let answer = timeout(checkup.limit, asking).await;
    let health = answer.map_or(silent, |answer| answer.unwrap_or(Health::Lost));
    let now = now();
    let unwanted = shared.with(now, |state| {
        if state.done(id).is_none() {
            return Some(session);
        }
        *state.seat(id.slot) = Seat::Resting(session);
        state.ledger.checked(now, id.slot, health);
        None
    });
    drop(unwanted);
}
