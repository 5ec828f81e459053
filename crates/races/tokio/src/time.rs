//! A clock that stands still until its keeper moves it to the next time that a task sleeps until.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::future::Future;
use std::ops::Add;
use std::pin::{Pin, pin};
use std::sync::LazyLock;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use crate::runtime::forget_tasks;

/// Longer than anything that a test waits for. The clock stops here: a task that was never woken then is one that nothing
/// can wake any more, and is reported as a deadlock.
const END: Duration = Duration::from_secs(600);

thread_local! {
    static CLOCK: RefCell<Clock> = RefCell::default();
}

#[derive(Default)]
struct Clock {
    now: Duration,
    /// Who sleeps until when.
    sleepers: BTreeMap<(Duration, u64), Waker>,
    last: u64,
    keeper: Option<Waker>,
}

/// Sets the clock to its beginning and starts its keeper: the first task that a schedule spawns.
pub fn start() {
    forget_tasks();
    CLOCK.with_borrow_mut(|clock| *clock = Clock { last: clock.last, ..Clock::default() });
    drop(shuttle::future::spawn(keep()));
}

async fn keep() {
    loop {
        std::future::poll_fn(|context| {
            CLOCK.with_borrow_mut(|clock| match clock.next() {
                Some(_) => Poll::Ready(()),
                None => {
                    clock.keeper = Some(context.waker().clone());
                    Poll::Pending
                }
            })
        })
        .await;
        // Whoever would rather run first does.
        shuttle::future::yield_now().await;
        for sleeper in CLOCK.with_borrow_mut(Clock::advance) {
            sleeper.wake();
        }
    }
}

impl Clock {
    fn next(&self) -> Option<Duration> {
        let ((at, _), _) = self.sleepers.first_key_value()?;
        (*at <= END).then_some(*at)
    }

    /// Moves to the next time somebody sleeps until; says whom to wake.
    fn advance(&mut self) -> Vec<Waker> {
        let Some(next) = self.next() else { return Vec::new() };
        self.now = self.now.max(next);
        let later = self.sleepers.split_off(&(self.now, u64::MAX));
        std::mem::replace(&mut self.sleepers, later).into_values().collect()
    }
}

#[expect(clippy::disallowed_methods, reason = "a clock needs a first moment")]
static BEGINNING: LazyLock<std::time::Instant> = LazyLock::new(std::time::Instant::now);

/// A moment on this clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Instant(std::time::Instant);

impl Instant {
    /// What the clock shows.
    #[must_use]
    pub fn now() -> Self {
        Self(*BEGINNING + CLOCK.with_borrow(|clock| clock.now))
    }

    /// As the standard library has it.
    #[must_use]
    pub const fn into_std(self) -> std::time::Instant {
        self.0
    }
}

impl From<std::time::Instant> for Instant {
    fn from(instant: std::time::Instant) -> Self {
        Self(instant)
    }
}

impl Add<Duration> for Instant {
    type Output = Self;

    fn add(self, duration: Duration) -> Self {
        Self(self.0 + duration)
    }
}

/// Waits until then.
#[derive(Debug)]
#[must_use = "futures do nothing unless awaited"]
pub struct Sleep {
    until: Duration,
    key: Option<(Duration, u64)>,
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        CLOCK.with_borrow_mut(|clock| {
            if clock.now >= self.until {
                return Poll::Ready(());
            }
            let until = self.until;
            let key = *self.key.get_or_insert_with(|| {
                clock.last += 1;
                (until, clock.last)
            });
            clock.sleepers.insert(key, context.waker().clone());
            if let Some(keeper) = clock.keeper.take() {
                keeper.wake();
            }
            Poll::Pending
        })
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let Some(key) = self.key {
            CLOCK.with_borrow_mut(|clock| clock.sleepers.remove(&key));
        }
    }
}

/// Waits until this moment.
pub fn sleep_until(until: Instant) -> Sleep {
    Sleep { until: until.0.saturating_duration_since(*BEGINNING), key: None }
}

/// Waits for so long.
pub fn sleep(duration: Duration) -> Sleep {
    sleep_until(Instant::now() + duration)
}

/// It took too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Elapsed(());

/// Waits for this, no longer than that.
///
/// # Errors
/// It took too long.
pub async fn timeout<F: Future>(limit: Duration, future: F) -> Result<F::Output, Elapsed> {
    let (mut future, mut sleep) = (pin!(future), pin!(sleep(limit)));
    std::future::poll_fn(|context| match future.as_mut().poll(context) {
        Poll::Ready(output) => Poll::Ready(Ok(output)),
        Poll::Pending => sleep.as_mut().poll(context).map(|()| Err(Elapsed(()))),
    })
    .await
}
