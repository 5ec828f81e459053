//! Stands in for `async-stream`, which hands values over in a variable of the thread. Where tasks take turns on one thread, also
//! within a poll, a value would come out of another task's stream.

/// As async-stream's.
#[macro_export]
macro_rules! stream {
    ($($tokens:tt)*) => { $crate::__private::stream_inner!(($crate) $($tokens)*) };
}

/// What the macro expands to.
#[doc(hidden)]
pub mod __private {
    use std::pin::Pin;
    use std::sync::{Arc, Mutex, PoisonError};
    use std::task::{Context, Poll};

    use futures_util::Stream;

    pub use async_stream_impl::stream_inner;

    pub mod yielder {
        use std::sync::Arc;

        use super::{Receiver, Sender};

        #[must_use]
        pub fn pair<T>() -> (Sender<T>, Receiver<T>) {
            let sender = Sender::default();
            let receiver = Receiver(Sender(Arc::clone(&sender.0)));
            (sender, receiver)
        }
    }

    #[derive(Debug)]
    pub struct Sender<T>(Arc<Mutex<Option<T>>>);

    #[derive(Debug)]
    pub struct Receiver<T>(Sender<T>);

    impl<T> Default for Sender<T> {
        fn default() -> Self {
            Self(Arc::default())
        }
    }

    impl<T> Sender<T> {
        /// Ready when the value was taken.
        pub fn send(&mut self, value: T) -> impl Future<Output = ()> {
            *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(value);
            std::future::poll_fn(|_| if self.is_empty() { Poll::Ready(()) } else { Poll::Pending })
        }

        fn is_empty(&self) -> bool {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).is_none()
        }

        fn take(&self) -> Option<T> {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
        }
    }

    #[derive(Debug)]
    pub struct AsyncStream<T, U> {
        receiver: Receiver<T>,
        generator: Option<Pin<Box<U>>>,
    }

    impl<T, U> AsyncStream<T, U> {
        pub fn new(receiver: Receiver<T>, generator: U) -> Self {
            Self { receiver, generator: Some(Box::pin(generator)) }
        }
    }

    impl<T, U: Future<Output = ()>> Stream for AsyncStream<T, U> {
        type Item = T;

        fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<T>> {
            let Some(generator) = &mut self.generator else { return Poll::Ready(None) };
            let ended = generator.as_mut().poll(context).is_ready();
            if ended {
                self.generator = None;
            }
            match self.receiver.0.take() {
                None if !ended => Poll::Pending,
                value => Poll::Ready(value),
            }
        }
    }
}
