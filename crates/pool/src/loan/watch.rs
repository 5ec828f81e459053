//! What is seen of a lease while it is out: whose turn it is, and for how long.

use std::sync::atomic::Ordering;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use forebay_pool_core::{Activity, Standstill};
use sqlx::Connection;
use sqlx::postgres::PgRow;

use super::{Borrower, Desk, GRACE, Loan, Place, Used, nanos};
use crate::error::{Holder, PoolError};
use crate::residue::Residue;
use crate::statement::size_of_row;

impl Loan {
    pub(crate) fn activity(&self, now: Instant) -> Activity {
        self.idle_since(&mut self.desk(), now).map_or(Activity::Running, |since| Activity::HeldIdle { since })
    }

    /// Since when it is the holder that is waited for, also within an answer. Whose turn it is in one is noted.
    pub(super) fn idle_since(&self, desk: &mut Desk, now: Instant) -> Option<Instant> {
        match &mut desk.place {
            Place::Here { since, .. } => Some(*since),
            Place::Running { seen, .. } => {
                let turn = self.turn.load(Ordering::Relaxed);
                if seen.0 != turn {
                    *seen = (turn, now);
                }
                (turn % 2 == 1).then_some(seen.1)
            }
            _ => None,
        }
    }

    /// Neither the holder nor the server is judged by this time.
    pub(crate) fn stood_still(&self, standstill: Standstill) {
        match &mut self.desk().place {
            Place::Here { since, .. } | Place::Running { seen: (_, since), .. } => *since = standstill.since(*since),
            _ => {}
        }
    }

    /// Looks how long the server has been silent. A statement that has waited for too long gives up when it is woken.
    pub(crate) fn look(&self, now: Instant) -> Option<Waker> {
        let mut desk = self.desk();
        let limit = desk.limit.map_or(Duration::MAX, |limit| limit.saturating_add(GRACE));
        let paused = self.idle_since(&mut desk, now).is_some();
        let Place::Running { seen, until, waker, given_up, .. } = &mut desk.place else { return None };
        if paused || given_up.is_some() {
            return None;
        }
        let silent = now.saturating_duration_since(seen.1);
        if silent < limit && until.is_none_or(|until| now < until) {
            return None;
        }
        *given_up = Some(silent);
        waker.take()
    }

    /// Asked whenever a statement has to wait: says whether it has waited for too long, and is woken when it has.
    fn poll_given_up(&self, context: &Context<'_>) -> Poll<PoolError> {
        let mut desk = self.desk();
        if let Place::Ended { held_idle } = desk.place {
            return Poll::Ready(PoolError::Revoked { held_idle });
        }
        let Place::Running { waker, given_up, .. } = &mut desk.place else { return Poll::Pending };
        if let Some(silent) = *given_up {
            return Poll::Ready(PoolError::Silent { waited: silent });
        }
        if !waker.as_ref().is_some_and(|waker| waker.will_wake(context.waker())) {
            let old = waker.replace(context.waker().clone());
            // After the unlock: the task that it belongs to may hold this lease.
            drop(desk);
            drop(old);
        }
        Poll::Pending
    }

    /// Waits for the server, no longer than a statement may. No timer is armed for it: the pool looks now and then.
    pub(crate) async fn within<F: Future>(&self, wait: F) -> Result<F::Output, PoolError> {
        let mut wait = std::pin::pin!(wait);
        std::future::poll_fn(|context| match wait.as_mut().poll(context) {
            Poll::Ready(output) => Poll::Ready(Ok(output)),
            Poll::Pending => self.poll_given_up(context).map(Err),
        })
        .await
    }

    /// A row has come: a large one leaves the driver's buffers large.
    pub(crate) fn came(&self, row: &PgRow) {
        if size_of_row(row) >= Residue::BULKY
            && let Place::Running { bulky, .. } = &mut self.desk().place
        {
            *bulky = true;
        }
    }

    /// A row goes to the consumer, and the time until it comes back is the consumer's.
    pub(crate) fn pause(&self) {
        self.paused.store(nanos(crate::clock::now() - self.acquired), Ordering::Relaxed);
        self.turn.fetch_add(1, Ordering::Relaxed);
    }

    /// The consumer wants the next row. Fails where the pool has ended the backend meanwhile.
    pub(crate) fn resume(&self) -> Result<(), PoolError> {
        self.was_paused(crate::clock::now());
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        if turn & Self::ENDED == 0 { Ok(()) } else { Err(self.revocation()) }
    }

    /// Whether the pool has ended the backend of this statement.
    pub(crate) fn is_ended(&self) -> bool {
        self.turn.load(Ordering::Relaxed) & Self::ENDED != 0
    }

    pub(crate) fn revocation(&self) -> PoolError {
        match self.desk().place {
            Place::Ended { held_idle } | Place::Revoked { held_idle } => PoolError::Revoked { held_idle },
            _ => PoolError::Lost,
        }
    }

    pub(crate) fn holder(&self, now: Instant) -> Holder {
        let mut desk = self.desk();
        let held_idle =
            self.idle_since(&mut desk, now).map_or(Duration::ZERO, |since| now.saturating_duration_since(since));
        let held = now.saturating_duration_since(self.acquired);
        let Borrower { site, class, .. } = self.borrower;
        Holder { site, class, held, held_idle, runs: desk.runs.clone() }
    }

    /// The time since the consumer was given its turn was its own, where it still has it.
    pub(super) fn was_paused(&self, now: Instant) {
        if self.turn.load(Ordering::Relaxed) % 2 == 1 {
            self.was_idle(self.acquired + Duration::from_nanos(self.paused.load(Ordering::Relaxed)), now);
        }
    }

    /// What its statements did, but for one that still runs.
    pub(crate) fn used(&self) -> Used {
        let ran = Duration::from_nanos(self.ran.load(Ordering::Relaxed));
        Used { idle: self.idle(), ran, statements: self.statements.load(Ordering::Relaxed) }
    }

    /// For how long it ran no statement, but for the time since the last one.
    pub(crate) fn idle(&self) -> Duration {
        Duration::from_nanos(self.idle.load(Ordering::Relaxed))
    }

    /// Only its holder says so: nobody else adds to it meanwhile.
    pub(super) fn was_idle(&self, since: Instant, now: Instant) {
        let idle = now.saturating_duration_since(since);
        self.idle.store(self.idle.load(Ordering::Relaxed).saturating_add(nanos(idle)), Ordering::Relaxed);
    }

    /// Gives back what the connection's buffers have beyond their usual size, unless a statement runs on it.
    pub(crate) fn shrink_buffers(&self) {
        if let Place::Here { session, .. } = &mut self.desk().place {
            session.connection.shrink_buffers();
        }
    }
}
