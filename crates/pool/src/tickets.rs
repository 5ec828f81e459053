//! Retry tickets: whoever was refused and comes back when it was told goes before those who try again and again.
//!
//! [`Tickets`] belong to a door: see [`AdmissionLayer::tickets`](crate::http::AdmissionLayer::tickets). The pool knows nothing of them.

mod fate;
mod key;
mod principal;
mod seal;
mod seen;

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use http::header::{HeaderName, HeaderValue, RETRY_AFTER};
use http::request::Parts;
use http::{HeaderMap, Method, Response, Uri};

pub use fate::TicketFate;
pub use key::{InvalidTicketKeys, TicketKeys};
pub use principal::Principal;
use seal::{Binding, Slot};
use seen::Seen;

use crate::Class;
use crate::http::RETRY_AFTER_MS;

/// Carries a ticket: to a refused client in the answer, and back with its next attempt.
pub const RETRY_TICKET: HeaderName = HeaderName::from_static("retry-ticket");

/// Issues retry tickets and honours them: a waiting room without a store. A clone is cheap, and knows the same used tickets.
///
/// Whoever is refused is told when to come back, and may be given a ticket for that moment: a slot of time, signed, and
/// bound to who was refused ([`Principal`]), to the request's method and path, and to its class. Presented within its slot it
/// has the request served one class higher, once. So those who wait until they were told overtake those who try again and
/// again, without anything being stored for each of them.
///
/// - `low` becomes `normal` and `normal` becomes `high`. Nothing becomes `critical`: the reserve is kept for work that was
///   critical when it came. `background` keeps to its share. So requests of class critical, high and background are given
///   none.
/// - A ticket that is forged, another's, early, late or was used gains nothing and harms nothing: the request is treated as
///   if it had none. An early one may be presented again.
/// - A ticket is no promise: its request may be refused in its higher class, with another ticket.
///
/// # Several replicas
///
/// With keys of its own ([`TicketKeys::random`]) a process honours only its own tickets: behind a balancer most are worth
/// nothing. Replicas that share keys honour each other's; their clocks must agree within the slack of a slot (a quarter of a
/// second before the moment that was told, five seconds after it), or tickets are early or late. Each replica remembers the
/// tickets that *it* has honoured, so that a ticket is good for once at each of them. It cannot be more often, nor outside of
/// its slot.
///
/// A process remembers 16,384 used tickets for each five seconds; beyond that none is honoured until the next.
///
/// # At the door of a service
///
/// ```
/// use forebay_pool::http::{AdmissionLayer, refusal};
/// use forebay_pool::tickets::{Principal, TicketKeys, Tickets};
/// use forebay_pool::{Admission, Class, Pool};
/// use http::header::AUTHORIZATION;
///
/// fn door(pool: Pool, keys: TicketKeys) -> axum::Router {
///     let tickets = Tickets::new(keys, |request| Principal::of_header(request, &AUTHORIZATION));
///     let admit = |_: &_| Admission::within(Class::Normal, std::time::Duration::from_secs(2));
///     let layer = AdmissionLayer::new(Some(pool), admit, refusal).tickets(tickets);
///     axum::Router::new().route("/", axum::routing::get(|| async { "hello" })).layer(layer)
/// }
/// ```
#[derive(Clone)]
pub struct Tickets {
    shared: Arc<Shared>,
    observer: Option<Arc<Observe>>,
}

type Who = dyn Fn(&Parts) -> Option<Principal> + Send + Sync;
type Clock = dyn Fn() -> SystemTime + Send + Sync;
type Observe = dyn Fn(Class, TicketFate) + Send + Sync;

struct Shared {
    keys: TicketKeys,
    principal: Box<Who>,
    clock: Box<Clock>,
    seen: Mutex<Seen>,
}

impl Tickets {
    /// Signed with these keys, for whom `principal` names; a request without one is given no ticket. The time is the
    /// system's.
    pub fn new(keys: TicketKeys, principal: impl Fn(&Parts) -> Option<Principal> + Send + Sync + 'static) -> Self {
        Self::with_clock(keys, principal, SystemTime::now)
    }

    /// The same by another clock.
    fn with_clock(
        keys: TicketKeys,
        principal: impl Fn(&Parts) -> Option<Principal> + Send + Sync + 'static,
        clock: impl Fn() -> SystemTime + Send + Sync + 'static,
    ) -> Self {
        let (principal, clock, seen) = (Box::new(principal), Box::new(clock), Mutex::default());
        Self { shared: Arc::new(Shared { keys, principal, clock, seen }), observer: None }
    }

    /// The same, and tells `observer` what becomes of each ticket, and of which class its request was at the door. It runs on
    /// the task that serves the request, and must return quickly.
    ///
    /// ```
    /// use forebay_pool::tickets::{TicketFate, TicketKeys, Tickets};
    ///
    /// let tickets = Tickets::new(TicketKeys::random(), |_| None).observed(|class, fate| {
    ///     if fate == TicketFate::Honoured {
    ///         println!("one of class {} came back when it was told", class.name());
    ///     }
    /// });
    /// # let _ = tickets;
    /// ```
    #[must_use]
    pub fn observed(self, observer: impl Fn(Class, TicketFate) + Send + Sync + 'static) -> Self {
        Self { observer: Some(Arc::new(observer)), ..self }
    }

    /// Whether a request of this class would gain something by a ticket.
    pub(crate) fn can_raise(&self, class: Class) -> bool {
        one_higher(class).is_some()
    }

    /// What a request could be given a ticket for.
    pub(crate) fn stub(&self, request: &Parts, class: Class) -> Option<Stub> {
        let principal = (self.shared.principal)(request)?;
        let (method, uri) = (request.method.clone(), request.uri.clone());
        Some(Stub { tickets: self.clone(), principal, method, uri, class })
    }

    fn issue(&self, claim: &Binding, wait: Duration) -> Option<HeaderValue> {
        let slot = Slot::after((self.shared.clock)(), wait)?;
        Some(self.shared.keys.seal(slot, rand::random(), claim))
    }

    fn redeem(&self, claim: &Binding, presented: &HeaderValue) -> TicketFate {
        let now = (self.shared.clock)();
        let Some(ticket) = self.shared.keys.open(presented, claim) else { return TicketFate::Forged };
        match ticket.slot.fate_at(now) {
            None => self.shared.seen.lock().unwrap_or_else(PoisonError::into_inner).note(now, &ticket),
            Some(fate) => fate,
        }
    }
}

impl fmt::Debug for Tickets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tickets").field("keys", &self.shared.keys).finish_non_exhaustive()
    }
}

/// The class in which a request is served that brings a ticket; none when it would gain nothing by one.
const fn one_higher(class: Class) -> Option<Class> {
    match class {
        Class::Low => Some(Class::Normal),
        Class::Normal => Some(Class::High),
        _ => None,
    }
}

/// The right of one request to be given a ticket when it is refused. Most are not: it keeps what a ticket is bound to, and
/// hashes it once there is one.
#[derive(Clone, Debug)]
pub(crate) struct Stub {
    tickets: Tickets,
    principal: Principal,
    method: Method,
    uri: Uri,
    class: Class,
}

impl Stub {
    fn claim(&self) -> Binding {
        Binding::of(&self.principal, self.method.as_str(), self.uri.path(), self.class)
    }

    /// The class in which the request is served when it came with a ticket that is honoured.
    pub(crate) fn redeem(&self, headers: &HeaderMap) -> Option<Class> {
        let presented = headers.get(RETRY_TICKET)?;
        let fate = self.tickets.redeem(&self.claim(), presented);
        self.tell(fate);
        if fate == TicketFate::Honoured { one_higher(self.class) } else { None }
    }

    /// Adds a ticket for the moment that the answer names, when it names one.
    pub(crate) fn issue<A>(&self, answer: &mut Response<A>) {
        let Some(wait) = told(answer.headers()) else { return };
        let Some(ticket) = self.tickets.issue(&self.claim(), wait) else { return };
        answer.headers_mut().insert(RETRY_TICKET, ticket);
        self.tell(TicketFate::Issued);
    }

    fn tell(&self, fate: TicketFate) {
        if let Some(observer) = &self.tickets.observer {
            observer(self.class, fate);
        }
    }
}

/// How long the answer says to wait.
fn told(headers: &HeaderMap) -> Option<Duration> {
    let number = |name| headers.get(name)?.to_str().ok()?.trim().parse().ok();
    number(RETRY_AFTER_MS).map(Duration::from_millis).or_else(|| number(RETRY_AFTER).map(Duration::from_secs))
}

#[cfg(test)]
mod tests;
