use std::task::{Context, Poll};

use http::{Request, Response};
use http_body::Body;
use tower_service::Service;

use super::{AdmissionFuture, AdmissionLayer, span};
use crate::{AcquireError, Admission};

/// The service that [`AdmissionLayer`] makes.
#[derive(Debug)]
pub struct AdmissionService<S, C, R> {
    pub(super) inner: S,
    pub(super) door: AdmissionLayer<C, R>,
}

impl<S: Clone, C, R> Clone for AdmissionService<S, C, R> {
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone(), door: self.door.clone() }
    }
}

impl<S, C, R, B, A> Service<Request<B>> for AdmissionService<S, C, R>
where
    S: Service<Request<B>, Response = Response<A>>,
    C: Fn(&Request<B>) -> Admission,
    R: Fn(&AcquireError) -> Response<A>,
    B: Body + Unpin,
{
    type Response = Response<A>;
    type Error = S::Error;
    type Future = AdmissionFuture<S::Future, B, A>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let admission = (self.door.admit)(&request);
        let (mut request, admission, stub) = self.door.redeem(request, admission);
        let deciding = span::admission(admission.class());
        let decision = self.door.gate.admit(&admission);
        span::decided(&deciding, decision.as_ref().err());
        drop(deciding);
        match decision {
            Ok(()) => {
                request.extensions_mut().insert(admission);
                AdmissionFuture::admitted(self.inner.call(request), stub)
            }
            Err(error) => {
                let mut answer = (self.door.refuse)(&error);
                // A caller that gave itself no time is no sooner served for having come back.
                if let (AcquireError::Shed { .. }, Some(stub)) = (&error, stub)
                    && !admission.remaining().is_zero()
                {
                    stub.issue(&mut answer);
                }
                AdmissionFuture::refused(answer, request)
            }
        }
    }
}
