use std::future::Future;
use std::panic::Location;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};
use std::time::Instant;

use forebay_pool_core::{Acquired, Refusal, WaiterId};
use tokio::task::coop;

use crate::loan::{Borrower, Loan};
use crate::pool::{Shared, now};
use crate::{AcquireError, Admission, Lease};

/// The future of [`crate::Pool::acquire`]. It asks when it is first polled.
#[derive(Debug)]
#[must_use = "futures do nothing unless awaited"]
pub struct Acquire {
    shared: Arc<Shared>,
    admission: Admission,
    site: &'static Location<'static>,
    step: Step,
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Start,
    Waiting { id: WaiterId, since: Instant },
    Done,
}

/// What a waiter has been told so far.
#[derive(Debug)]
pub(crate) enum Answer {
    Pending { waker: Waker, borrower: Borrower },
    Granted(Arc<Loan>),
    Refused(Refusal),
}

impl Acquire {
    pub(crate) const fn new(shared: Arc<Shared>, admission: Admission, site: &'static Location<'static>) -> Self {
        Self { shared, admission, site, step: Step::Start }
    }

    fn start(&mut self, waker: &Waker) -> Poll<Result<Lease, AcquireError>> {
        let now = now();
        if let Some(refused) = self.shared.refuses(&self.admission) {
            return Poll::Ready(self.finish(Err(refused), now, now));
        }
        let home = if self.shared.unsure.get() { self.shared.arrive() } else { Some(0) };
        let Some(home) = home else {
            let nowhere = self.shared.nowhere(&self.admission);
            return Poll::Ready(self.finish(Err(nowhere), now, now));
        };
        let Self { shared, admission, site, step } = self;
        let borrower = Borrower::here(admission, site);
        let mut nested = None;
        let answer = shared.with(now, |state| {
            match state.ledger.acquire(now, admission.ask(now + shared.config.acquire_timeout).at(home)) {
                Acquired::Leased(slot) => Poll::Ready(Ok(state.lend(slot, borrower, now))),
                Acquired::Waiting(id) => {
                    state.waiters.insert(id, Answer::Pending { waker: waker.clone(), borrower });
                    nested = state.note_nested(borrower);
                    *step = Step::Waiting { id, since: now };
                    Poll::Pending
                }
                Acquired::Refused(refusal) => {
                    // From here on the threshold may know the answer.
                    state.refuses |= matches!(refusal, Refusal::Shed { .. });
                    Poll::Ready(Err(AcquireError::of(refusal, admission, || state.details(now))))
                }
            }
        });
        if let Some(held) = nested {
            let pool = shared.config.name.as_str();
            tracing::warn!(pool, %site, %held, "a task that holds a lease waits for another: with every place held so, none comes back");
        }
        match (answer, self.step) {
            (Poll::Ready(outcome), _) => Poll::Ready(self.finish(outcome, now, now)),
            (Poll::Pending, Step::Waiting { id, since }) => self.wait(id, since),
            (Poll::Pending, _) => Poll::Pending,
        }
    }

    fn look(&mut self, id: WaiterId, since: Instant, waker: &Waker) -> Poll<Result<Lease, AcquireError>> {
        let now = now();
        let fresh = waker.clone();
        let mut state = self.shared.lock();
        if let Some(Answer::Pending { waker: stored, .. }) = state.waiters.get_mut(&id) {
            // The old waker goes after the unlock: the task it belongs to may hold a lease.
            let old = std::mem::replace(stored, fresh);
            drop(state);
            drop(old);
            return self.wait(id, since);
        }
        let outcome = match state.waiters.remove(&id) {
            Some(Answer::Granted(loan)) => Ok(loan),
            Some(Answer::Refused(refusal)) => Err(AcquireError::of(refusal, &self.admission, || state.details(now))),
            _ => unreachable!("an answer stays until it is looked at"),
        };
        drop(state);
        Poll::Ready(self.finish(outcome, since, now))
    }

    /// Waits on, where somebody will wake it.
    fn wait(&mut self, id: WaiterId, since: Instant) -> Poll<Result<Lease, AcquireError>> {
        if !self.shared.unsure.get() || self.shared.arrive().is_some() {
            return Poll::Pending;
        }
        let now = now();
        let outcome = match self.shared.leave(now, id) {
            Some(Answer::Granted(loan)) => Ok(loan),
            _ => Err(self.shared.nowhere(&self.admission)),
        };
        Poll::Ready(self.finish(outcome, since, now))
    }

    fn finish(
        &mut self,
        outcome: Result<Arc<Loan>, AcquireError>,
        since: Instant,
        now: Instant,
    ) -> Result<Lease, AcquireError> {
        self.step = Step::Done;
        let class = self.admission.class();
        match outcome {
            Ok(loan) => {
                self.admission.begin();
                if now != since {
                    self.shared.observer.handed_over(class, now.saturating_duration_since(loan.acquired));
                }
                self.shared.waited(class, now.saturating_duration_since(since));
                Ok(Lease::new(loan, Arc::clone(&self.shared)))
            }
            Err(error) => {
                self.shared.observer.refused(class, &error);
                Err(error)
            }
        }
    }
}

impl Future for Acquire {
    type Output = Result<Lease, AcquireError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        // A task that is answered at once each time lets others run now and then, as it does with tokio's own resources.
        let turn = ready!(coop::poll_proceed(context));
        let answer = match self.step {
            Step::Start => self.start(context.waker()),
            Step::Waiting { id, since } => self.look(id, since, context.waker()),
            Step::Done => panic!("polled after it was ready"),
        };
        if answer.is_ready() {
            turn.made_progress();
        }
        answer
    }
}

impl Drop for Acquire {
    fn drop(&mut self) {
        let Step::Waiting { id, .. } = self.step else { return };
        // The answer leaves the lock before it is dropped: its waker's task may hold a lease.
        let answer = self.shared.leave(now(), id);
        if let Some(Answer::Granted(loan)) = answer {
            self.shared.release_unused(&loan);
        }
    }
}
