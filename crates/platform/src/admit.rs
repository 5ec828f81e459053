//! The door in front of a service's routes: classes, deadlines and the answer to a refusal.

use std::net::SocketAddr;
use std::time::Duration;

use axum::extract::ConnectInfo;
use axum::response::{IntoResponse, Response};
use forebay_pool::http::{AdmissionLayer, Principal, TicketKeys, Tickets, request_timeout};
use forebay_pool::{AcquireError, Admission, Class, Pool};
use http::Request;
use http::header::{AUTHORIZATION, HeaderName};
use http::request::Parts;

use crate::db::Db;
use crate::problem::Problem;

/// Makes the admission layers of a service. A clone is cheap.
#[derive(Clone, Debug)]
pub struct Admit {
    pool: Option<Pool>,
    limits: TimeLimits,
    tickets: Tickets,
}

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

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
        let tickets = Tickets::new(TicketKeys::random(), principal);
        Self { pool: db.pool().cloned(), limits, tickets }
    }

    /// The same with retry tickets that are signed with these keys, so that replicas which have them honour them too.
    #[must_use]
    pub fn ticket_keys(self, keys: TicketKeys) -> Self {
        Self { tickets: Tickets::new(keys, principal), ..self }
    }

    /// The layer for routes of this class: `route("/v1/orders", post(place).layer(admit.class(Class::Critical)))`.
    ///
    /// A request has the time of its class, or what its `Request-Timeout-Ms` says, where that is less. The layer refuses before the body is read, with 503, `Retry-After`, a problem body and, in class normal or
    /// low, a retry ticket.
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
        AdmissionLayer::new(self.pool.clone(), admit, refuse as Refuse).tickets(self.tickets.clone())
    }
}

/// Whose a retry ticket is: the bearer's of a token; else that of whoever sends from this address, as far as the proxies
/// before us tell. An address that is made up binds its own maker's tickets alone.
fn principal(request: &Parts) -> Option<Principal> {
    if let Some(bearer) = Principal::of_header(request, &AUTHORIZATION) {
        return Some(bearer);
    }
    let ConnectInfo(peer) = request.extensions.get::<ConnectInfo<SocketAddr>>()?;
    Some(Principal::of_sender(peer.ip(), request.headers.get(X_FORWARDED_FOR)))
}

/// How a refusal is answered.
pub type Refuse = fn(&AcquireError) -> Response;

fn refuse(error: &AcquireError) -> Response {
    Problem::from(error.clone()).into_response()
}
