use std::sync::Arc;

use http::{Request, Response};

use super::AdmissionService;
use crate::overlay::Watched;
use crate::{AcquireError, Admission, Pool};

/// Wraps a service in the pool's door.
///
/// `admit` makes the [`Admission`] of each request: its class, and its deadline. It travels in the request's extensions,
/// and handlers hand it to [`Pool::acquire`]. A refused one is answered by `refuse` without its body having been read, and without the inner service having been called.
///
/// ```
/// use std::time::Duration;
/// use forebay_pool::{AcquireError, Admission, Class, Pool, http::AdmissionLayer};
///
/// fn door(pool: Pool) -> axum::Router {
///     let refuse = |error: &AcquireError| {
///         let mut answer = axum::response::Response::new(error.to_string().into());
///         *answer.status_mut() = axum::http::StatusCode::SERVICE_UNAVAILABLE;
///         answer
///     };
///     let admit = |_: &_| Admission::within(Class::Normal, Duration::from_secs(2));
///     let layer = AdmissionLayer::new(Some(pool), admit, refuse);
///     axum::Router::new().route("/", axum::routing::get(|| async { "hello" })).layer(layer)
/// }
/// ```
#[derive(Debug)]
pub struct AdmissionLayer<C, R> {
    pub(super) gate: Gate,
    pub(super) admit: Arc<C>,
    pub(super) refuse: Arc<R>,
}

impl<C, R> AdmissionLayer<C, R> {
    /// A door in front of `pool`; without one it lets everything in and only hands out admissions. `refuse` makes the
    /// answer of a refusal.
    pub fn new<B, A>(pool: Option<Pool>, admit: C, refuse: R) -> Self
    where
        C: Fn(&Request<B>) -> Admission,
        R: Fn(&AcquireError) -> Response<A>,
    {
        Self { gate: pool.map_or(Gate::Open, Gate::Pool), admit: Arc::new(admit), refuse: Arc::new(refuse) }
    }

    /// The same in front of a pool of sqlx's that is watched.
    pub fn watched<B, A>(pool: Watched, admit: C, refuse: R) -> Self
    where
        C: Fn(&Request<B>) -> Admission,
        R: Fn(&AcquireError) -> Response<A>,
    {
        Self { gate: Gate::Watched(pool), admit: Arc::new(admit), refuse: Arc::new(refuse) }
    }
}

/// Whom the door asks.
#[derive(Clone, Debug)]
pub(super) enum Gate {
    Open,
    Pool(Pool),
    Watched(Watched),
}

impl Gate {
    pub(super) fn admit(&self, admission: &Admission) -> Result<(), AcquireError> {
        match self {
            Self::Open => Ok(()),
            Self::Pool(pool) => pool.admit(admission),
            Self::Watched(pool) => pool.admit(admission),
        }
    }
}

impl<C, R> Clone for AdmissionLayer<C, R> {
    fn clone(&self) -> Self {
        Self { gate: self.gate.clone(), admit: Arc::clone(&self.admit), refuse: Arc::clone(&self.refuse) }
    }
}

impl<S, C, R> tower_layer::Layer<S> for AdmissionLayer<C, R> {
    type Service = AdmissionService<S, C, R>;

    fn layer(&self, inner: S) -> Self::Service {
        AdmissionService { inner, door: self.clone() }
    }
}
