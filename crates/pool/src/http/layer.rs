use std::sync::Arc;

use http::{Request, Response};

use super::{AdmissionService, Stub, Tickets};
#[cfg(feature = "overlay")]
use crate::overlay::Watched;
use crate::{AcquireError, Admission, Pool};

/// Wraps a service in the pool's door.
///
/// `admit` is the *classifier*: a function or closure of yours that makes the [`Admission`] of each request, its class and its
/// deadline. It travels in the request's extensions,
/// and handlers hand it to [`Pool::acquire`]. A refused one is answered by `refuse` without its body having been read, and without the inner service having been called.
///
/// The service that it makes is ready whenever the inner one is, has its errors (none, in axum), and decides in `call`. Of a
/// refused request's body it reads up to 64 KiB away, for a tenth of a second at most, so that the client sees the answer and
/// not a reset; one that asks first (`Expect: 100-continue`) is not told to go on. The example `classes` shows it in a service.
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
    tickets: Option<Tickets>,
}

impl<C, R> AdmissionLayer<C, R> {
    /// A door in front of `pool`; without one it lets everything in and only hands out admissions. `refuse` makes the
    /// answer of a refusal.
    pub fn new<B, A>(pool: Option<Pool>, admit: C, refuse: R) -> Self
    where
        C: Fn(&Request<B>) -> Admission,
        R: Fn(&AcquireError) -> Response<A>,
    {
        Self {
            gate: pool.map_or(Gate::Open, Gate::Pool),
            admit: Arc::new(admit),
            refuse: Arc::new(refuse),
            tickets: None,
        }
    }

    /// The same in front of a pool of sqlx's that is watched.
    ///
    /// ```
    /// # fn example(pool: forebay_pool::overlay::Watched) {
    /// use std::time::Duration;
    /// use forebay_pool::http::{AdmissionLayer, refusal};
    /// use forebay_pool::{Admission, Class};
    /// let admit = |_: &axum::extract::Request| Admission::within(Class::Normal, Duration::from_secs(2));
    /// let layer = AdmissionLayer::watched(pool, admit, refusal::<axum::body::Body>);
    /// # let _: axum::Router = axum::Router::new().route("/", axum::routing::get(|| async { "hello" })).layer(layer);
    /// # }
    /// ```
    #[cfg(feature = "overlay")]
    pub fn watched<B, A>(pool: Watched, admit: C, refuse: R) -> Self
    where
        C: Fn(&Request<B>) -> Admission,
        R: Fn(&AcquireError) -> Response<A>,
    {
        Self { gate: Gate::Watched(pool), admit: Arc::new(admit), refuse: Arc::new(refuse), tickets: None }
    }

    /// Gives refused requests a ticket, and honours it. Clones of `tickets` may serve several doors,
    /// and know what was used at any of them.
    ///
    /// ```
    /// # fn example(pool: forebay_pool::Pool) {
    /// use std::time::Duration;
    /// use forebay_pool::http::{AdmissionLayer, refusal};
    /// use forebay_pool::tickets::{Principal, TicketKeys, Tickets};
    /// use forebay_pool::{Admission, Class};
    /// let admit = |_: &axum::extract::Request| Admission::within(Class::Normal, Duration::from_secs(2));
    /// let tickets = Tickets::new(TicketKeys::random(), |request| Principal::of_header(request, &http::header::AUTHORIZATION));
    /// let layer = AdmissionLayer::new(Some(pool), admit, refusal::<axum::body::Body>).tickets(tickets);
    /// # let _: axum::Router = axum::Router::new().route("/", axum::routing::get(|| async { "hello" })).layer(layer);
    /// # }
    /// ```
    #[cfg(feature = "tickets")]
    #[must_use]
    pub fn tickets(self, tickets: Tickets) -> Self {
        Self { tickets: Some(tickets), ..self }
    }

    /// What the request could be given a ticket for, and the admission that it has by the ticket it brought.
    pub(super) fn redeem<B>(&self, request: Request<B>, admission: Admission) -> (Request<B>, Admission, Option<Stub>) {
        let class = admission.class();
        let Some(tickets) = self.tickets.as_ref().filter(|tickets| tickets.can_raise(class)) else {
            return (request, admission, None);
        };
        let (head, body) = request.into_parts();
        let stub = tickets.stub(&head, class);
        let higher = stub.as_ref().and_then(|stub| stub.redeem(&head.headers));
        let admission = match higher {
            Some(class) => Admission { class, ..admission },
            None => admission,
        };
        (Request::from_parts(head, body), admission, stub)
    }
}

/// Whom the door asks.
#[derive(Clone, Debug)]
pub(super) enum Gate {
    Open,
    Pool(Pool),
    #[cfg(feature = "overlay")]
    Watched(Watched),
}

impl Gate {
    pub(super) fn admit(&self, admission: &Admission) -> Result<(), AcquireError> {
        match self {
            Self::Open => Ok(()),
            Self::Pool(pool) => pool.admit(admission),
            #[cfg(feature = "overlay")]
            Self::Watched(pool) => pool.admit(admission),
        }
    }
}

impl<C, R> Clone for AdmissionLayer<C, R> {
    fn clone(&self) -> Self {
        let (admit, refuse) = (Arc::clone(&self.admit), Arc::clone(&self.refuse));
        Self { gate: self.gate.clone(), admit, refuse, tickets: self.tickets.clone() }
    }
}

impl<S, C, R> tower_layer::Layer<S> for AdmissionLayer<C, R> {
    type Service = AdmissionService<S, C, R>;

    fn layer(&self, inner: S) -> Self::Service {
        AdmissionService { inner, door: self.clone() }
    }
}
