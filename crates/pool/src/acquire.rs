use std::future::Future;
use std::panic::Location;
use std::pin::Pin;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::task::{Context, Poll, Waker, ready};
use std::time::{Duration, Instant};

use forebay_pool_core::{Acquired, Refusal, WaiterId};
use tokio::task::coop;
use tracing::Span;

use crate::clock::now;
use crate::loan::{Borrower, Loan};
use crate::shared::Shared;
use crate::sync::{Mutex, MutexGuard};
use crate::{AcquireError, Admission, Lease, LeaseConn, spans};

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
    Waiting {
        place: Place,
        since: Instant,
    },
    /// The lease is on its way to its holder: whoever panics now does not lose it.
    Granted {
        loan: Arc<Loan>,
        since: Instant,
        now: Instant,
    },
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
    fn new(borrower: Borrower, waker: &Waker) -> Arc<Self> {
        Arc::new(Self { borrower, answer: Mutex::new(Answer::Pending(waker.clone())) })
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

/// How an acquire ended: its step has the lease, or there is none.
type Outcome = Result<(), AcquireError>;

impl Acquire {
    const HAS_A_POOL: &str = "polled after it was ready";

    pub(crate) const fn new(shared: Arc<Shared>, admission: Admission, site: &'static Location<'static>) -> Self {
        Self { shared: Some(shared), admission, site, step: Step::Start, span: Span::none() }
    }

    fn start(&mut self, waker: &Waker) -> Poll<Outcome> {
        let Self { shared, admission, site, step, span } = self;
        let shared = shared.as_ref().expect(Self::HAS_A_POOL);
        *span = spans::acquire(&shared.config.name, admission.class(), site);
        if let Some(refused) = shared.refuses(admission) {
            return Poll::Ready(Err(refused));
        }
        let now = now();
        let home = if shared.unsure.get() { shared.arrive() } else { Some(0) };
        let Some(home) = home else {
            return Poll::Ready(Err(shared.nowhere(admission)));
        };
        let borrower = Borrower::here(admission, site);
        // Whoever probably has to wait makes its cell before: others wait for the lock meanwhile.
        let mut cell = shared.crowded.load(Ordering::Relaxed).then(|| Caller::new(borrower, waker));
        let (mut nested, mut met) = (None, None);
        let answer = shared.with(now, |state| {
            met = (!span.is_disabled()).then(|| state.snapshot(now));
            match state.ledger.acquire(now, admission.ask(now + shared.config.acquire_timeout).at(home)) {
                Acquired::Leased(slot) => {
                    *step = Step::Granted { loan: state.lend(slot, borrower, now), since: now, now };
                    Poll::Ready(Ok(()))
                }
                Acquired::Waiting(id) => {
                    let caller = cell.take().unwrap_or_else(|| Caller::new(borrower, waker));
                    let place = Place { id, caller };
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
        if answer.is_pending() { self.wait() } else { answer }
    }

    fn look(&mut self, waker: &Waker) -> Poll<Outcome> {
        let Step::Waiting { place, since } = &self.step else { unreachable!("it waits") };
        let Some(told) = place.caller.poll(waker) else { return self.wait() };
        let (since, now) = (*since, now());
        Poll::Ready(match told {
            Told::Granted(loan) => {
                self.step = Step::Granted { loan, since, now };
                Ok(())
            }
            Told::Refused(refusal) => {
                Err(AcquireError::of(refusal, &self.admission, || self.shared().lock().details(now)))
            }
        })
    }

    /// Waits on, where somebody will wake it.
    fn wait(&mut self) -> Poll<Outcome> {
        let shared = self.shared();
        if !shared.unsure.get() || shared.arrive().is_some() {
            return Poll::Pending;
        }
        let Step::Waiting { place, since } = &self.step else { unreachable!("it waits") };
        let (since, now) = (*since, now());
        Poll::Ready(match shared.leave(now, place) {
            Some(Told::Granted(loan)) => {
                self.step = Step::Granted { loan, since, now };
                Ok(())
            }
            _ => Err(shared.nowhere(&self.admission)),
        })
    }

    /// Whoever panics from here on drops the lease.
    fn finish(&mut self, outcome: Outcome) -> Result<Lease, AcquireError> {
        let (shared, step) =
            (self.shared.take().expect(Self::HAS_A_POOL), std::mem::replace(&mut self.step, Step::Done));
        let class = self.admission.class();
        if let Err(error) = outcome {
            shared.observer.refused(class, &error);
            spans::refused(&self.span, &error);
            return Err(error);
        }
        let Step::Granted { loan, since, now } = step else { unreachable!("it has a lease") };
        let lease = Lease::new(loan, shared);
        let LeaseConn { loan, shared } = &*lease;
        self.admission.begin();
        let mut waited = Duration::ZERO;
        if now != since {
            shared.observer.handed_over(class, now.saturating_duration_since(loan.acquired));
            waited = now.saturating_duration_since(since);
        }
        shared.waited(class, waited);
        spans::waited(&self.span, waited);
        Ok(lease)
    }

    fn shared(&self) -> &Arc<Shared> {
        self.shared.as_ref().expect(Self::HAS_A_POOL)
    }
}

impl Future for Acquire {
    type Output = Result<Lease, AcquireError>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        // A task that is answered at once each time lets others run now and then, as it does with tokio's own resources.
        let turn = ready!(coop::poll_proceed(context));
        let this = self.get_mut();
        let outcome = ready!(match this.step {
            Step::Start => this.start(context.waker()),
            Step::Waiting { .. } => this.look(context.waker()),
            // A panic came in between.
            Step::Granted { .. } => Poll::Ready(Ok(())),
            Step::Done => panic!("{}", Self::HAS_A_POOL),
        });
        turn.made_progress();
        Poll::Ready(this.finish(outcome))
    }
}

impl Drop for Acquire {
    fn drop(&mut self) {
        let Some(shared) = &self.shared else { return };
        let granted = match std::mem::replace(&mut self.step, Step::Done) {
            Step::Waiting { place, .. } => match shared.leave(now(), &place) {
                Some(Told::Granted(loan)) => loan,
                Some(Told::Refused(_)) | None => return,
            },
            Step::Granted { loan, .. } => loan,
            Step::Start | Step::Done => return,
        };
        shared.release_unused(granted);
    }
}
