//! Stands in for tokio where the pool is built for [`shuttle`]: a test chooses which task runs next, and time passes only
//! when it is told to. What waits without a clock and spawns nothing is tokio's own.

use std::future::Future;
use std::pin::pin;
use std::task::Poll;

use shuttle::rand::{Rng, thread_rng};

pub mod runtime;
pub mod sync;
pub mod time;

/// Which task it is.
pub mod task {
    pub use real::task::coop;
    pub use shuttle::current::try_get_current_task as try_id;
    pub use shuttle::scheduler::TaskId as Id;
}

/// The first of two to be ready; which is asked first is left to chance.
#[macro_export]
macro_rules! select {
    ($one:pat = $first:expr => $then:block $two:pat = $second:expr => $otherwise:block) => {
        match $crate::either($first, $second).await {
            $crate::Either::First($one) => $then,
            $crate::Either::Second($two) => $otherwise,
        }
    };
}

/// Which of two it was.
#[derive(Debug)]
pub enum Either<A, B> {
    /// The first.
    First(A),
    /// The second.
    Second(B),
}

/// What [`select!`] does.
pub async fn either<A: Future, B: Future>(first: A, second: B) -> Either<A::Output, B::Output> {
    let (mut first, mut second) = (pin!(first), pin!(second));
    std::future::poll_fn(|context| {
        let second_before = thread_rng().r#gen::<bool>();
        if second_before && let Poll::Ready(value) = second.as_mut().poll(context) {
            return Poll::Ready(Either::Second(value));
        }
        if let Poll::Ready(value) = first.as_mut().poll(context) {
            return Poll::Ready(Either::First(value));
        }
        if second_before { Poll::Pending } else { second.as_mut().poll(context).map(Either::Second) }
    })
    .await
}
