use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use http::header::EXPECT;
use http::{Request, Response};
use http_body::Body;
use pin_project_lite::pin_project;
use tokio::time::{Sleep, sleep};

use super::{Shed, Stub};

/// How much of a refused request's body is read away, and for how long: a client that is still sending when the
/// connection closes would see a reset instead of the answer.
const DRAIN_BYTES: u64 = 64 * 1024;
const DRAIN_TIME: Duration = Duration::from_millis(100);

pin_project! {
    /// The future of [`super::AdmissionService`].
    #[derive(Debug)]
    pub struct AdmissionFuture<F, B, A> {
        #[pin]
        kind: Kind<F, B, A>,
    }
}

pin_project! {
    #[derive(Debug)]
    #[project = KindProjection]
    enum Kind<F, B, A> {
        Admitted { #[pin] inner: F, stub: Option<Stub> },
        Refused {
            answer: Option<Response<A>>,
            body: B,
            left: u64,
            #[pin] limit: Sleep,
        },
    }
}

impl<F, B: Body, A> AdmissionFuture<F, B, A> {
    pub(super) const fn admitted(inner: F, stub: Option<Stub>) -> Self {
        Self { kind: Kind::Admitted { inner, stub } }
    }

    /// Answers when a bounded rest of the body was read away. A client that asks before it sends one is not encouraged:
    /// the server would say `100 Continue` as soon as the body is looked at.
    pub(super) fn refused(answer: Response<A>, request: Request<B>) -> Self {
        let asks_first = request.headers().get(EXPECT).is_some();
        let left = if asks_first { 0 } else { DRAIN_BYTES };
        let (answer, body) = (Some(answer), request.into_body());
        Self { kind: Kind::Refused { answer, body, left, limit: sleep(DRAIN_TIME) } }
    }
}

impl<F, B, A, E> Future for AdmissionFuture<F, B, A>
where
    F: Future<Output = Result<Response<A>, E>>,
    B: Body + Unpin,
{
    type Output = Result<Response<A>, E>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project().kind.project() {
            KindProjection::Admitted { inner, stub } => {
                let mut answer = ready!(inner.poll(context));
                if let (Ok(answer), Some(stub)) = (&mut answer, stub)
                    && answer.extensions().get::<Shed>().is_some()
                {
                    stub.issue(answer);
                }
                Poll::Ready(answer)
            }
            KindProjection::Refused { answer, body, left, limit } => {
                let drained = drain(body, left, context);
                if drained.is_pending() {
                    ready!(limit.poll(context));
                }
                Poll::Ready(Ok(answer.take().expect("a future is not polled after it was ready")))
            }
        }
    }
}

/// Reads the body away until its end, its bound, or an error.
fn drain<B: Body + Unpin>(body: &mut B, left: &mut u64, context: &mut Context<'_>) -> Poll<()> {
    while *left > 0 && !body.is_end_stream() {
        match ready!(Pin::new(&mut *body).poll_frame(context)) {
            Some(Ok(frame)) => {
                let read = frame.data_ref().map_or(0, bytes_of);
                *left = left.saturating_sub(read.max(1));
            }
            Some(Err(_)) | None => break,
        }
    }
    Poll::Ready(())
}

fn bytes_of(data: &impl bytes::Buf) -> u64 {
    u64::try_from(data.remaining()).unwrap_or(u64::MAX)
}
