use std::future::Future;
use std::panic::Location;
use std::pin::Pin;
use std::sync::{Arc, PoisonError};
use std::task::{Context, Poll, Waker, ready};
use std::time::{Duration, Instant};

use forebay_pool_core::{Acquired, Refusal, WaiterId};
use tokio::task::coop;
use tracing::Span;

use crate::loan::{Borrower, Loan};
use crate::pool::{Shared, now};
use crate::sync::{Mutex, MutexGuard};
use crate::{AcquireError, Admission, Lease, spans};

/// The future of [`crate::Pool::acquire`]. It asks when it is first polled.
#[derive(Debug)]
#[must_use = "futures do nothing unless awaited"]
pub struct Acquire {
    /// Gone with the lease.
    shared: Option<Arc<Shared>>,
    admission: Admission,
    site: &'static Location<'static>,
    step: Step,
    span: Span,
}

#[derive(Debug)]
enum Step {
    Start,
    Waiting { place: Place, since: Instant },
    Done,
}

/// A place in the queue.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(crate) id: WaiterId,
    pub(crate) caller: Arc<Caller>,
}

/// Somebody who waits, shared by them and the pool: told without the pool's lock, and polled without it.
#[derive(Debug)]
pub(crate) struct Caller {
    pub(crate) borrower: Borrower,
    answer: Mutex<Answer>,
}

/// What a waiter has been told so far.
#[derive(Debug)]
enum Answer {
    Pending(Waker),
    Told(Told),
    /// It has heard it.
    Heard,
}

/// How a wait ended.
#[derive(Debug)]
pub(crate) enum Told {
    Granted(Arc<Loan>),
    Refused(Refusal),
}

impl Caller {
    fn new(borrower: Borrower, waker: &Waker) -> Self {
        Self { borrower, answer: Mutex::new(Answer::Pending(waker.clone())) }
    }

    /// Tells it the end of its wait; says whom to wake.
    pub(crate) fn tell(&self, told: Told) -> Option<Waker> {
        match std::mem::replace(&mut *self.answer(), Answer::Told(told)) {
            Answer::Pending(waker) => Some(waker),
            Answer::Told(_) | Answer::Heard => unreachable!("a wait ends once"),
        }
    }

    /// Whom to wake, while it waits.
    pub(crate) fn waker(&self) -> Option<Waker> {
        match &*self.answer() {
            Answer::Pending(waker) => Some(waker.clone()),
            Answer::Told(_) | Answer::Heard => None,
        }
    }

    /// What it was told; otherwise this one is woken when it is.
    fn poll(&self, waker: &Waker) -> Option<Told> {
        let answer = self.answer();
        match &*answer {
            Answer::Pending(stored) if stored.will_wake(waker) => return None,
            Answer::Pending(_) => drop(answer),
            Answer::Told(_) | Answer::Heard => return Self::hear(answer),
        }
        let fresh = waker.clone();
        let mut answer = self.answer();
        if let Answer::Pending(stored) = &mut *answer {
            // The old waker goes after the unlock: the task it belongs to may hold a lease.
            let old = std::mem::replace(stored, fresh);
            drop(answer);
            drop(old);
            return None;
        }
        Self::hear(answer)
    }

    /// It goes, and nobody will tell it any more: what it was told before.
    pub(crate) fn leave(&self) -> Option<Told> {
        Self::hear(self.answer())
    }

    /// What is dropped goes after the unlock.
    fn hear(mut answer: MutexGuard<'_, Answer>) -> Option<Told> {
        let heard = std::mem::replace(&mut *answer, Answer::Heard);
        drop(answer);
        match heard {
            Answer::Told(told) => Some(told),
            Answer::Pending(_) | Answer::Heard => None,
        }
    }

    fn answer(&self) -> MutexGuard<'_, Answer> {
        self.answer.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How an acquire ended: with a lease for which somebody waited from one moment to another, or with none.
type Outcome = Result<(Arc<Loan>, Instant, Instant), AcquireError>;

impl Acquire {
    pub(crate) const fn new(shared: Arc<Shared>, admission: Admission, site: &'static Location<'static>) -> Self {
        Self { shared: Some(shared), admission, site, step: Step::Start, span: Span::none() }
    }

    fn start(&mut self, shared: &Arc<Shared>, waker: &Waker) -> Poll<Outcome> {
        self.span = spans::acquire(&shared.config.name, self.admission.class(), self.site);
        if let Some(refused) = shared.refuses(&self.admission) {
            return Poll::Ready(Err(refused));
        }
        let now = now();
        let home = if shared.unsure.get() { shared.arrive() } else { Some(0) };
        let Some(home) = home else {
            return Poll::Ready(Err(shared.nowhere(&self.admission)));
        };
        let Self { admission, site, step, span, .. } = self;
        let borrower = Borrower::here(admission, site);
        let (mut nested, mut met) = (None, None);
        let answer = shared.with(now, |state| {
            met = (!span.is_disabled()).then(|| state.snapshot(now));
            match state.ledger.acquire(now, admission.ask(now + shared.config.acquire_timeout).at(home)) {
                Acquired::Leased(slot) => Poll::Ready(Ok((state.lend(slot, borrower, now), now, now))),
                Acquired::Waiting(id) => {
                    let place = Place { id, caller: Arc::new(Caller::new(borrower, waker)) };
                    state.enlist(&place);
                    nested = state.note_nested(borrower);
                    *step = Step::Waiting { place, since: now };
                    Poll::Pending
                }
                Acquired::Refused(refusal) => {
                    // From here on the threshold may know the answer.
                    state.note_refused(admission.class(), &refusal);
                    Poll::Ready(Err(AcquireError::of(refusal, admission, || state.details(now))))
                }
            }
        });
        if let Some(met) = &met {
            spans::met(span, met);
        }
        if let Some(held) = nested {
            let pool = shared.config.name.as_str();
            tracing::warn!(pool, %site, %held, "a task that holds a lease waits for another: with every place held so, none comes back");
        }
        if answer.is_pending() { self.wait(shared) } else { answer }
    }

    fn look(&self, shared: &Arc<Shared>, waker: &Waker) -> Poll<Outcome> {
        let Step::Waiting { place, since } = &self.step else { unreachable!("it waits") };
        let Some(told) = place.caller.poll(waker) else { return self.wait(shared) };
        let now = now();
        Poll::Ready(match told {
            Told::Granted(loan) => Ok((loan, *since, now)),
            Told::Refused(refusal) => Err(AcquireError::of(refusal, &self.admission, || shared.lock().details(now))),
        })
    }

    /// Waits on, where somebody will wake it.
    fn wait(&self, shared: &Arc<Shared>) -> Poll<Outcome> {
        if !shared.unsure.get() || shared.arrive().is_some() {
            return Poll::Pending;
        }
        let Step::Waiting { place, since } = &self.step else { unreachable!("it waits") };
        let now = now();
        Poll::Ready(match shared.leave(now, place) {
            Some(Told::Granted(loan)) => Ok((loan, *since, now)),
            _ => Err(shared.nowhere(&self.admission)),
        })
    }

    fn finish(&self, shared: Arc<Shared>, outcome: Outcome) -> Result<Lease, AcquireError> {
        let class = self.admission.class();
        match outcome {
            Ok((loan, since, now)) => {
                self.admission.begin();
                let mut waited = Duration::ZERO;
                if now != since {
                    shared.observer.handed_over(class, now.saturating_duration_since(loan.acquired));
                    waited = now.saturating_duration_since(since);
                }
                shared.waited(class, waited);
                spans::waited(&self.span, waited);
                Ok(Lease::new(loan, shared))
            }
            Err(error) => {
                shared.observer.refused(class, &error);
                spans::refused(&self.span, &error);
                Err(error)
            }
        }
    }
}

impl Future for Acquire {
    type Output = Result<Lease, AcquireError>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        // A task that is answered at once each time lets others run now and then, as it does with tokio's own resources.
        let turn = ready!(coop::poll_proceed(context));
        let this = self.get_mut();
        let shared = this.shared.take().expect("polled after it was ready");
        let polled = match this.step {
            Step::Start => this.start(&shared, context.waker()),
            Step::Waiting { .. } => this.look(&shared, context.waker()),
            Step::Done => unreachable!("the pool is gone with the answer"),
        };
        let Poll::Ready(outcome) = polled else {
            this.shared = Some(shared);
            return Poll::Pending;
        };
        turn.made_progress();
        this.step = Step::Done;
        Poll::Ready(this.finish(shared, outcome))
    }
}

impl Drop for Acquire {
    fn drop(&mut self) {
        let (Some(shared), Step::Waiting { place, .. }) = (&self.shared, &self.step) else { return };
        if let Some(Told::Granted(loan)) = shared.leave(now(), place) {
            shared.release_unused(loan);
        }
    }
}
