use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use forebay_pool_core::{Class, Return};
use tokio::sync::Notify;

use crate::acquire::{Place, Told};
use crate::bouncer::set_config;
use crate::catalog::Catalog;
use crate::clock::now;
use crate::config::Settings;
use crate::connect::{Dialer, Session};
use crate::control::Control;
use crate::detached::Tenants;
use crate::driver;
use crate::homes::Unsure;
use crate::loan::{Loan, Returned, Soiled, Taken};
use crate::state::{Seat, State};
use crate::statement::Effects;
use crate::statements::Statements;
use crate::sync::{Mutex, MutexGuard};
use crate::threshold::Threshold;
use crate::waits::Counts;
use crate::{AcquireError, Admission, Observer, PoolError, RetryBudget};

/// What all clones, leases and tasks of one pool share.
pub(crate) struct Shared {
    pub(crate) config: Settings,
    pub(crate) dialer: Arc<Dialer>,
    pub(crate) observer: Box<dyn Observer>,
    pub(crate) control: Control,
    pub(crate) retries: RetryBudget,
    pub(crate) alarm: Arc<Notify>,
    /// A runtime has shown that it is polled.
    pub(crate) answered: Notify,
    pub(crate) drained: Notify,
    pub(crate) threshold: Threshold,
    pub(crate) tenants: Tenants,
    pub(crate) catalog: Catalog,
    pub(crate) effects: Effects,
    pub(crate) statements: Statements,
    /// Whether it matters where a caller is polled.
    pub(crate) unsure: Unsure,
    /// Whether somebody waited after the last change: the next one probably will. Nothing else follows from it.
    pub(crate) crowded: AtomicBool,
    pub(crate) waits: Counts,
    pub(crate) since: Instant,
    pub(crate) state: Mutex<State>,
}

impl Shared {
    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the state under the lock, carries out what the ledger decided, and the rest after the unlock.
    pub(crate) fn with<T>(self: &Arc<Self>, now: Instant, change: impl FnOnce(&mut State) -> T) -> T {
        let mut state = self.lock();
        state.notice_standstill(now);
        self.threshold.tell(&mut state.ledger, now);
        let value = change(&mut state);
        let errands = driver::decide(&mut state, now);
        if state.refused.any() {
            state.refused = self.threshold.follow(&state.ledger, now, state.refused);
        }
        let wake_driver = driver::arm(&mut state, now);
        let crowded = state.ledger.is_waited_for();
        if crowded != self.crowded.load(Ordering::Relaxed) {
            self.crowded.store(crowded, Ordering::Relaxed);
        }
        drop(state);
        if wake_driver {
            self.alarm.notify_waiters();
        }
        if let Some(errands) = errands {
            errands.run(self);
        }
        value
    }

    /// Somebody has a connection, after so long.
    pub(crate) fn waited(&self, class: Class, waited: Duration) {
        self.waits.count(waited);
        self.observer.acquired(class, waited);
    }

    /// The refusal of a request that the ledger would shed, as is known without asking it.
    pub(crate) fn refuses(&self, admission: &Admission) -> Option<AcquireError> {
        if admission.has_begun() {
            return None;
        }
        let class = admission.class();
        let (reason, retry_after) = self.threshold.refuse(class)?;
        Some(AcquireError::Shed { class, reason, retry_after })
    }

    /// The settings of the next session that are not in every startup packet.
    pub(crate) fn settings(&self) -> Vec<(String, String)> {
        self.config.session(&self.lock().rules)
    }

    /// Refuses what nobody can do in a session that serves others too.
    pub(crate) const fn needs_session(&self, what: &'static str) -> Result<(), PoolError> {
        if self.config.bouncer.shares_sessions() { Err(PoolError::NeedsSession { what }) } else { Ok(()) }
    }

    /// The query that makes the session's settings in a transaction, where a session is no longer ours than that.
    pub(crate) fn local_settings(&self) -> Option<String> {
        if self.config.bouncer.shares_sessions() { set_config(&self.settings(), true) } else { None }
    }

    /// A waiter goes; what it has been told comes with it.
    pub(crate) fn leave(self: &Arc<Self>, now: Instant, place: &Place) -> Option<Told> {
        self.with(now, |state| {
            state.strike_off(place);
            state.ledger.cancel(now, place.id);
        });
        place.caller.leave()
    }

    /// The error of somebody outside of any runtime when those that the pool knows are gone.
    pub(crate) fn nowhere(&self, admission: &Admission) -> AcquireError {
        const CAUSE: &str =
            "the tokio runtime that the pool ran on is gone, and the caller is on none: call it inside of one";
        AcquireError::Unavailable {
            since: Duration::ZERO,
            cause: Some(CAUSE.into()),
            retry_after: Duration::from_secs(1),
            continuation: admission.has_begun(),
        }
    }

    /// A lease that its holder had.
    pub(crate) fn release(self: &Arc<Self>, loan: Arc<Loan>) {
        self.take_back(loan, Return::Clean);
    }

    /// A lease that was granted to somebody who had left.
    pub(crate) fn release_unused(self: &Arc<Self>, loan: Arc<Loan>) {
        self.take_back(loan, Return::Unused);
    }

    /// Gives the connection of a lease away. Its place counts as one that is being closed, for as long as that takes.
    pub(crate) fn detach(self: &Arc<Self>, loan: &Loan) -> Result<Box<Session>, PoolError> {
        let now = now();
        let (session, seat) = match loan.end(now) {
            None => return Err(loan.revocation()),
            Some(
                Returned::Clean(session)
                | Returned::TimedOut(session)
                | Returned::Dirty(Soiled { session, .. })
                | Returned::Interrupted(Soiled { session, .. }),
            ) => (Ok(session), Seat::Detached),
            Some(Returned::Broken) => (Err(PoolError::Lost), Seat::Soiled(Taken::Backend(loan.backend))),
        };
        let how = if session.is_ok() { Return::Detached } else { Return::Broken };
        let held = now.saturating_duration_since(loan.acquired);
        self.with(now, |state| {
            state.sites.ended(held, loan);
            state.outside += u32::from(session.is_ok());
            *state.seat(loan.slot) = seat;
            state.ledger.release(now, loan.slot, how);
        });
        self.observer.released(loan.borrower.class, held);
        session
    }

    fn take_back(self: &Arc<Self>, loan: Arc<Loan>, when_clean: Return) {
        let now = now();
        let Some(returned) = loan.end(now) else { return };
        let (seat, how) = match returned {
            Returned::Clean(session) => (Seat::Resting(session), when_clean),
            Returned::TimedOut(session) => (Seat::Resting(session), Return::TimedOut),
            Returned::Dirty(soiled) => (Seat::Soiled(Taken::Session(soiled)), Return::Dirty),
            Returned::Interrupted(soiled) => (Seat::Soiled(Taken::Session(soiled)), Return::Interrupted),
            Returned::Broken => (Seat::Soiled(Taken::Backend(loan.backend)), Return::Broken),
        };
        let (class, held) = (loan.borrower.class, now.saturating_duration_since(loan.acquired));
        self.with(now, |state| {
            state.sites.ended(held, &loan);
            let stranded = matches!(&seat, Seat::Resting(session) if state.homes.is_gone(session.home));
            let slot = loan.slot;
            *state.seat(slot) = seat;
            state.keep(loan);
            state.ledger.release(now, slot, if stranded { Return::Stranded } else { how });
        });
        self.observer.released(class, held);
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        // The drivers hold the pool only weakly: they wake, find it gone, and end.
        self.alarm.notify_waiters();
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let snapshot = self.lock().snapshot(now());
        f.debug_struct("Pool").field("name", &self.config.name).field("snapshot", &snapshot).finish_non_exhaustive()
    }
}
