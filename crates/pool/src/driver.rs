//! Carries out what the ledger decides: the only place of the pool that spawns, and the home of its one timer.

use std::sync::{Arc, Weak};
use std::task::Waker;
use std::time::{Duration, Instant};

use forebay_pool_core::{Action, Event, Health, OpenFailure, Opening, SlotId};
use sqlx::Connection;
use tokio::sync::Notify;

use crate::Holder;
use crate::acquire::Answer;
use crate::addresses::no_answer;
use crate::cleaning::{self, Closing};
use crate::connect::Session;
use crate::fingerprint::{self, Fingerprint};
use crate::loan::Taken;
use crate::pool::{Seat, Shared, State, now};
use crate::residue::Residue;
use crate::standstill::timeout;

/// What has to be done after the unlock.
#[derive(Debug, Default)]
pub(crate) struct Errands {
    wake: Vec<Waker>,
    open: Vec<Opening>,
    check: Vec<(SlotId, Session, Checkup)>,
    clean: Vec<(SlotId, Taken)>,
    close: Vec<(SlotId, Closing)>,
    tell: Vec<(Event, Option<Holder>)>,
    revoked: Vec<Holder>,
    look_at_locks: bool,
    drained: bool,
}

/// What to ask a connection that was not used for long, and how long it may take.
#[derive(Clone, Copy, Debug)]
struct Checkup {
    limit: Duration,
    role: bool,
}

/// Takes the ledger's actions one by one: what the lock protects is done here, the rest becomes an errand.
pub(crate) fn decide(state: &mut State, now: Instant, errands: &mut Errands) {
    while let Some(action) = state.ledger.poll_action() {
        match action {
            Action::Open(opening) => {
                // A standstill would be noticed by nobody else.
                state.look_at.get_or_insert(now + State::LOOK_EVERY);
                errands.open.push(opening);
            }
            Action::Check { slot, limit, role } => {
                let checkup = Checkup { limit, role };
                errands.check.extend(state.take(slot).map(|session| (slot, session, checkup)));
            }
            Action::Clean(slot) => errands.clean.extend(state.take_soiled(slot).map(|taken| (slot, taken))),
            Action::Close { slot, .. } => errands.close.extend(state.close(slot).map(|closing| (slot, closing))),
            Action::Grant { waiter, slot } => {
                let Some(Answer::Pending { waker, borrower }) = state.waiters.remove(&waiter) else {
                    unreachable!("the ledger grants only to those who wait");
                };
                let loan = state.lend(slot, borrower, now);
                state.waiters.insert(waiter, Answer::Granted(loan));
                errands.wake.push(waker);
            }
            Action::Refuse { waiter, refusal } => {
                if let Some(Answer::Pending { waker, .. }) = state.waiters.insert(waiter, Answer::Refused(refusal)) {
                    errands.wake.push(waker);
                }
            }
            Action::Observe(slot) => {
                if let Some(activity) = state.loan(slot).map(|loan| loan.activity(now)) {
                    state.ledger.observed(now, slot, activity);
                }
            }
            Action::Revoke(slot) => revoke(state, now, slot, errands),
            Action::LookAtLocks => errands.look_at_locks = true,
            Action::Tell(event) => {
                let holder = match event {
                    Event::Suspected { slot, .. } | Event::Cleared { slot } => {
                        state.loan(slot).map(|loan| loan.holder(now))
                    }
                    _ => None,
                };
                state.history.note(now, event, holder);
                errands.tell.push((event, holder));
            }
        }
    }
    errands.wake.append(&mut state.overdue);
    errands.drained = state.is_wound_up();
}

fn revoke(state: &mut State, now: Instant, slot: SlotId, errands: &mut Errands) {
    let Some(loan) = state.loan(slot) else { return };
    let holder = loan.holder(now);
    let idle_for = state.ledger.rules().revoke_after.unwrap_or_default();
    let (taken, waker) = if state.ends_leases { loan.seize(now) } else { (loan.revoke(now, idle_for), None) };
    errands.wake.extend(waker);
    let was_taken = taken.is_some();
    if let Some(taken) = taken {
        *state.seat(slot) = Seat::Soiled(taken);
        errands.revoked.push(holder);
    }
    state.ledger.revoked(now, slot, was_taken);
}

/// Notes when the driver has to wake; says whether it must be told, since it would sleep for longer.
pub(crate) fn arm(state: &mut State, now: Instant) -> bool {
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
    pub(crate) fn run(self, shared: &Arc<Shared>) {
        let Self { wake, open, check, clean, close, tell, revoked, look_at_locks, drained } = self;
        for waker in wake {
            waker.wake();
        }
        for opening in open {
            shared.runtime.spawn(run_opening(Arc::clone(shared), opening));
        }
        for (slot, session, checkup) in check {
            shared.runtime.spawn(run_check(Arc::clone(shared), slot, session, checkup));
        }
        for (slot, taken) in clean {
            shared.runtime.spawn(cleaning::clean(Arc::clone(shared), slot, taken));
        }
        for (slot, closing) in close {
            shared.runtime.spawn(cleaning::close(Arc::clone(shared), slot, closing));
        }
        for (event, holder) in tell {
            log_event(shared, &event, holder.as_ref());
            shared.observer.event(&event, holder.as_ref());
        }
        for holder in revoked {
            log_revoked(shared, &holder);
            shared.observer.revoked(&holder);
        }
        if look_at_locks {
            shared.runtime.spawn(look_at_locks_of(Arc::clone(shared)));
        }
        if drained {
            shared.drained.notify_waiters();
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
        "a lease held idle lost its connection"
    );
}

/// Closes the pool when the driver dies: without its timer no wait would ever end, so it is better to refuse than to hang.
struct LastWord(Weak<Shared>);

impl Drop for LastWord {
    fn drop(&mut self) {
        if let (true, Some(shared)) = (std::thread::panicking(), self.0.upgrade()) {
            tracing::error!(pool = shared.config.name.as_str(), "the pool's driver died of a panic; the pool closes");
            let now = now();
            shared.with(now, |state| state.ledger.close(now));
        }
    }
}

/// Sleeps until the ledger has something to do, as long as the pool lives.
pub(crate) async fn run(pool: Weak<Shared>, alarm: Arc<Notify>) {
    let _last_word = LastWord(Weak::clone(&pool));
    loop {
        let Some(shared) = pool.upgrade() else { return };
        let at = shared.lock().alarm_at;
        drop(shared);
        match at {
            None => alarm.notified().await,
            Some(at) => tokio::select! {
                () = alarm.notified() => {}
                () = tokio::time::sleep_until(at.into()) => {
                    let Some(shared) = pool.upgrade() else { return };
                    let now = now();
                    shared.with(now, |state| {
                        state.alarm_at = None;
                        state.look_at_statements(now);
                        state.ledger.handle_timeout(now);
                    });
                }
            },
        }
    }
}

/// Gives the opening back if the task dies before it has an answer.
struct Attempt {
    shared: Arc<Shared>,
    opening: Option<Opening>,
}

impl Attempt {
    fn succeed(mut self, session: Session) {
        let Some(opening) = self.opening.take() else { return };
        let now = now();
        self.shared.control.warm();
        self.shared.with(now, |state| {
            state.last_open_error = None;
            *state.seat(opening.slot()) = Seat::Resting(session);
            state.ledger.opened(now, opening, fastrand::f64());
        });
    }

    fn fail(&mut self, failure: OpenFailure, error: &str) {
        let Some(opening) = self.opening.take() else { return };
        let now = now();
        self.shared.with(now, |state| {
            state.last_open_error = Some(error.into());
            state.ledger.open_failed(now, opening, failure, fastrand::f64());
        });
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        self.fail(OpenFailure::Other, "the attempt was abandoned");
    }
}

async fn run_opening(shared: Arc<Shared>, opening: Opening) {
    let limit = opening.limit();
    let begun = now();
    let era = shared.catalog.era();
    let mut attempt = Attempt { shared: Arc::clone(&shared), opening: Some(opening) };
    let _turn = shared.dialer.turn().await;
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
            attempt.succeed(session);
        }
        Err(error) => {
            tracing::warn!(pool = shared.config.name.as_str(), %error, "a connection could not be opened");
            attempt.fail(failure_of(&error), &error.to_string());
            if let Some(dialed) = dialed {
                shared.runtime.spawn(fingerprint::watch(Arc::downgrade(&shared), dialed));
            }
        }
    }
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

async fn run_check(shared: Arc<Shared>, slot: SlotId, mut session: Session, checkup: Checkup) {
    let asking = async {
        if checkup.role {
            session.health(shared.config.role).await
        } else {
            session.connection.ping().await.map(|()| Health::Well)
        }
    };
    let health = timeout(checkup.limit, asking).await.unwrap_or(Ok(Health::Lost)).unwrap_or(Health::Lost);
    let now = now();
    shared.with(now, |state| {
        *state.seat(slot) = Seat::Resting(session);
        state.ledger.checked(now, slot, health);
    });
}
