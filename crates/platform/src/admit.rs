//! The door in front of a service's routes: classes, deadlines and the answer to a refusal.

use std::time::Duration;

use axum::response::{IntoResponse, Response};
use forebay_pool::http::{AdmissionLayer, request_timeout};
use forebay_pool::{AcquireError, Admission, Class, Pool};
use http::Request;

use crate::db::Db;
use crate::problem::Problem;

/// Makes the admission layers of a service. A clone is cheap.
#[derive(Clone, Debug)]
pub struct Admit {
    pool: Option<Pool>,
    limits: TimeLimits,
}

/// How long a request of each class is of use to whoever sent it.
#[derive(Clone, Copy, Debug)]
pub struct TimeLimits {
    /// Paying for and completing an order. Default 5 s.
    pub critical: Duration,
    /// Everything else. Default 2 s.
    pub normal: Duration,
}

impl Default for TimeLimits {
    fn default() -> Self {
        Self { critical: Duration::from_secs(5), normal: Duration::from_secs(2) }
    }
}

impl Admit {
    /// A door before this database. Before a stock pool it stands open: it only hands out admissions.
    #[must_use]
    pub fn new(db: &Db, limits: TimeLimits) -> Self {
        Self { pool: db.pool().cloned(), limits }
    }

    /// The layer for routes of this class: `route("/v1/orders", post(place).layer(admit.class(Class::Critical)))`.
    ///
    /// A request has the time of its class, or what its `Request-Timeout-Ms` says, where that is less. The layer refuses before the body is read, with 503, `Retry-After` and a problem body.
    #[must_use]
    pub fn class<B>(
        &self,
        class: Class,
    ) -> AdmissionLayer<impl Fn(&Request<B>) -> Admission + Send + Sync + 'static, Refuse> {
        let limit = match class {
            Class::Critical => self.limits.critical,
            _ => self.limits.normal,
        };
        let admit = move |request: &Request<B>| {
            let admission = Admission::within(class, limit);
            match request_timeout(request.headers()) {
                Some(sooner) => admission.or_sooner(sooner),
                None => admission,
            }
        };
        AdmissionLayer::new(self.pool.clone(), admit, refuse as Refuse)
    }
}

/// How a refusal is answered.
pub type Refuse = fn(&AcquireError) -> Response;

fn refuse(error: &AcquireError) -> Response {
    Problem::from(error.clone()).into_response()
}
