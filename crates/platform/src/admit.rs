//! The door in front of a service's routes: classes, deadlines and the answer to a refusal.

use std::time::Duration;

use axum::response::{IntoResponse, Response};
use axum::routing::MethodRouter;
use forebay_pool::http::{AdmissionLayer, request_timeout};
use forebay_pool::tickets::{Principal, TicketFate, TicketKeys, Tickets};
use forebay_pool::{AcquireError, Admission, Class, Pool};
use http::Request;
use http::header::AUTHORIZATION;
use http::request::Parts;
use metrics::counter;

use crate::client::Client;
use crate::db::Db;
use crate::problem::Problem;
use crate::quota::{Quotas, Spent};

/// Makes the admission layers of a service. A clone is cheap.
#[derive(Clone, Debug)]
pub struct Admit {
    pool: Option<Pool>,
    limits: TimeLimits,
    tickets: Tickets,
    quotas: Quotas,
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
        let tickets = tickets(TicketKeys::random());
        Self { pool: db.pool().cloned(), limits, tickets, quotas: Quotas::default() }
    }

    /// The same with retry tickets that are signed with these keys, so that replicas which have them honour them too.
    #[must_use]
    pub fn ticket_keys(self, keys: TicketKeys) -> Self {
        Self { tickets: tickets(keys), ..self }
    }

    /// The same with these quotas for each client; without, nobody has one.
    #[must_use]
    pub fn quotas(self, quotas: Quotas) -> Self {
        Self { quotas, ..self }
    }

    /// The same routes within the quota of this name, if there is one:
    /// `route("/v1/orders", admit.within("orders", post(place)).layer(door))`. What the door refuses uses up none of it.
    pub fn within<S>(&self, quota: &str, routes: MethodRouter<S>) -> MethodRouter<S>
    where
        S: Clone + Send + Sync + 'static,
    {
        self.quotas.bound(quota, routes)
    }

    /// Uses up one request of this quota, if there is one, where only the handler knows whether it counts.
    ///
    /// # Errors
    ///
    /// None is left.
    pub fn spend(&self, quota: &str, client: Client) -> Result<(), Spent> {
        self.quotas.spend(quota, client)
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
        self.class_of(move |_| class)
    }

    /// The same where what is asked for says of which class a request is.
    #[must_use]
    pub fn class_of<B>(
        &self,
        class_of: impl Fn(&Request<B>) -> Class + Send + Sync + 'static,
    ) -> AdmissionLayer<impl Fn(&Request<B>) -> Admission + Send + Sync + 'static, Refuse> {
        let limits = self.limits;
        let admit = move |request: &Request<B>| {
            let class = class_of(request);
            let limit = if class == Class::Critical { limits.critical } else { limits.normal };
            let admission = Admission::within(class, limit);
            match request_timeout(request.headers()) {
                Some(sooner) => admission.or_sooner(sooner),
                None => admission,
            }
        };
        AdmissionLayer::new(self.pool.clone(), admit, refuse as Refuse).tickets(self.tickets.clone())
    }
}

/// Retry tickets that are counted by what they were worth.
fn tickets(keys: TicketKeys) -> Tickets {
    let count = |class: Class, fate: TicketFate| {
        counter!("admission_tickets_total", "class" => class.name(), "outcome" => fate.name()).increment(1);
    };
    Tickets::new(keys, principal).observed(count)
}

/// Whose a retry ticket is: the bearer's of a token; else that of whoever sends.
fn principal(request: &Parts) -> Option<Principal> {
    let bearer = Principal::of_header(request, &AUTHORIZATION);
    bearer.or_else(|| Client::of_request(&request.extensions).map(|client| Principal::of_sender(client.prefix(), None)))
}

/// How a refusal is answered.
pub type Refuse = fn(&AcquireError) -> Response;

fn refuse(error: &AcquireError) -> Response {
    Problem::from(error.clone()).into_response()
}
