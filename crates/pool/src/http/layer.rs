use std::sync::Arc;
use std::time::Duration;

use forebay_pool_core::Class;
use http::{Request, Response};

use super::AdmissionService;
use crate::{AcquireError, Pool};

/// Wraps a service in the pool's door.
///
/// Every request gets an [`crate::Admission`] into its extensions; handlers hand it to [`Pool::acquire`]. A refused one is
/// answered by `refuse` without its body having been read, and without the inner service having been called.
///
/// ```
/// use std::time::Duration;
/// use forebay_pool::{AcquireError, Class, Pool, http::AdmissionLayer};
///
/// fn door(pool: Pool) -> axum::Router {
///     let refuse = |error: &AcquireError| {
///         let mut answer = axum::response::Response::new(error.to_string().into());
///         *answer.status_mut() = axum::http::StatusCode::SERVICE_UNAVAILABLE;
///         answer
///     };
///     let layer = AdmissionLayer::new(Some(pool), |_: &_| Class::Normal, Duration::from_secs(2), refuse);
///     axum::Router::new().route("/", axum::routing::get(|| async { "hello" })).layer(layer)
/// }
/// ```
#[derive(Debug)]
pub struct AdmissionLayer<C, R> {
    pub(super) pool: Option<Pool>,
    pub(super) classify: Arc<C>,
    pub(super) time_limit: Duration,
    pub(super) refuse: Arc<R>,
}

impl<C, R> AdmissionLayer<C, R> {
    /// A door in front of `pool`; without one it lets everything in and only hands out admissions. `time_limit` is how
    /// long a request is of use. `refuse` makes the answer of a refusal.
    pub fn new<B, A>(pool: Option<Pool>, classify: C, time_limit: Duration, refuse: R) -> Self
    where
        C: Fn(&Request<B>) -> Class,
        R: Fn(&AcquireError) -> Response<A>,
    {
        Self { pool, classify: Arc::new(classify), time_limit, refuse: Arc::new(refuse) }
    }
}

impl<C, R> Clone for AdmissionLayer<C, R> {
    fn clone(&self) -> Self {
        Self {
            pool: self.pool.clone(),
            classify: Arc::clone(&self.classify),
            time_limit: self.time_limit,
            refuse: Arc::clone(&self.refuse),
        }
    }
}

impl<S, C, R> tower_layer::Layer<S> for AdmissionLayer<C, R> {
    type Service = AdmissionService<S, C, R>;

    fn layer(&self, inner: S) -> Self::Service {
        AdmissionService { inner, door: self.clone() }
    }
}
