use std::cell::Cell;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Wake, Waker};

use shuttle::future::JoinHandle;

thread_local! {
    static TASKS: Cell<usize> = const { Cell::new(0) };
}

/// Spawns tasks of the schedule that runs on this thread.
#[derive(Clone, Debug)]
pub struct Handle(());

/// Which runtime it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Id(());

/// Who polls its tasks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RuntimeFlavor {
    /// Whoever blocks on it.
    CurrentThread,
    /// Threads of its own.
    MultiThread,
}

/// There is none.
#[derive(Clone, Copy, Debug)]
pub struct TryCurrentError(());

impl Handle {
    /// The one there is.
    #[must_use]
    pub const fn current() -> Self {
        Self(())
    }

    /// The same.
    ///
    /// # Errors
    /// None: a schedule has one.
    pub const fn try_current() -> Result<Self, TryCurrentError> {
        Ok(Self::current())
    }

    /// The same for all.
    #[must_use]
    pub const fn id(&self) -> Id {
        Id(())
    }

    /// The schedule runs whether or not somebody blocks on it.
    #[must_use]
    pub const fn runtime_flavor(&self) -> RuntimeFlavor {
        RuntimeFlavor::MultiThread
    }

    /// Starts a task. Nobody waits for it.
    #[track_caller]
    pub fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let alive = Alive::new();
        drop(spawn(async move {
            let _alive = alive;
            task.await;
        }));
    }
}

/// Starts a task that is not the pool's.
#[track_caller]
pub fn spawn<T: Send + 'static>(task: impl Future<Output = T> + Send + 'static) -> JoinHandle<T> {
    shuttle::future::spawn(remember(task))
}

/// Runs the first task of a schedule.
pub fn block_on<T>(task: impl Future<Output = T>) -> T {
    shuttle::future::block_on(remember(task))
}

/// Polls a task again where it was woken while it was polled. One of shuttle's own forgets that if it has to wait for a lock
/// within the same poll.
async fn remember<F: Future>(task: F) -> F::Output {
    let mut task = pin!(task);
    let mut memory = None;
    std::future::poll_fn(|context| {
        let memory = memory
            .get_or_insert_with(|| Arc::new(Memory { woken: AtomicBool::new(false), task: context.waker().clone() }));
        memory.woken.store(false, Ordering::Relaxed);
        let poll = task.as_mut().poll(&mut Context::from_waker(&Waker::from(Arc::clone(memory))));
        if poll.is_pending() && memory.woken.load(Ordering::Relaxed) {
            context.waker().wake_by_ref();
        }
        poll
    })
    .await
}

struct Memory {
    woken: AtomicBool,
    task: Waker,
}

impl Wake for Memory {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.woken.store(true, Ordering::Relaxed);
        self.task.wake_by_ref();
    }
}

/// How many tasks have been spawned and have not ended.
#[must_use]
pub fn tasks() -> usize {
    TASKS.get()
}

pub(crate) fn forget_tasks() {
    TASKS.set(0);
}

struct Alive;

impl Alive {
    fn new() -> Self {
        TASKS.set(TASKS.get() + 1);
        Self
    }
}

impl Drop for Alive {
    fn drop(&mut self) {
        TASKS.set(TASKS.get().saturating_sub(1));
    }
}
