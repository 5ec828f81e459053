//! Retry tickets at the door of a service, at a time that the test decides.

use std::net::TcpListener;

use axum::Router;
use axum::body::Body;
use axum::extract::Extension;
use axum::http::header::AUTHORIZATION;
use axum::http::{Request, StatusCode};
use axum::routing::get;
use sqlx::postgres::{PgConnectOptions, PgSslMode};
use tower::ServiceExt;

use super::*;
use crate::{Config, Pool, Rules};

/// A service whose tickets go by a clock of its own.
struct Service {
    router: Router,
    now: Arc<AtomicU64>,
}

fn class(path: &str) -> Class {
    match path {
        "/search" => Class::Low,
        "/product" => Class::High,
        "/pay" => Class::Critical,
        "/export" => Class::Background,
        _ => Class::Normal,
    }
}

impl Service {
    fn new(pool: Option<Pool>) -> Self {
        let now = Arc::new(AtomicU64::new(1_700_000_000_000));
        let clock = Arc::clone(&now);
        let clock = move || UNIX_EPOCH + Duration::from_millis(clock.load(Ordering::Relaxed));
        let principal = |request: &_| Principal::of_header(request, &AUTHORIZATION);
        let tickets = Tickets::with_clock(TicketKeys::random(), principal, clock);
        let admit = |request: &Request<Body>| Admission::within(class(request.uri().path()), Duration::from_secs(2));
        let show = get(|Extension(admission): Extension<Admission>| async move { admission.class().name() });
        let shed = get(|| async { refusal::<Body>(&shed()) });
        let away = get(|| async { StatusCode::SERVICE_UNAVAILABLE });
        let mut router = Router::new().route("/late", shed).route("/away", away);
        for path in ["/list", "/search", "/product", "/pay", "/export"] {
            router = router.route(path, show.clone());
        }
        Self { router: router.layer(AdmissionLayer::new(pool, admit, refusal).tickets(tickets)), now }
    }

    async fn get(&self, path: &str, ticket: Option<&HeaderValue>) -> Response<Body> {
        self.get_as("somebody", path, ticket).await
    }

    async fn get_as(&self, who: &str, path: &str, ticket: Option<&HeaderValue>) -> Response<Body> {
        let mut request = Request::get(path).header(AUTHORIZATION, who).body(Body::empty()).expect("a request");
        request.headers_mut().extend(ticket.map(|ticket| (RETRY_TICKET, ticket.clone())));
        self.router.clone().oneshot(request).await.expect("infallible")
    }

    /// Which class the request is served in.
    async fn class_of(&self, who: &str, path: &str, ticket: Option<&HeaderValue>) -> String {
        let answer = self.get_as(who, path, ticket).await;
        let body = axum::body::to_bytes(answer.into_body(), 100).await.expect("short");
        String::from_utf8_lossy(&body).into_owned()
    }

    /// Lets as much time pass as the answer says.
    fn wait_as_told(&self, answer: &Response<Body>) {
        let wait = answer.headers()[RETRY_AFTER_MS].to_str().expect("text").parse().expect("milliseconds");
        self.now.fetch_add(wait, Ordering::Relaxed);
    }
}

fn shed() -> AcquireError {
    let (class, reason) = (Class::Normal, ShedReason::Sojourn);
    AcquireError::Shed { class, reason, retry_after: Duration::from_secs(2) }
}

/// A pool that has no connection and gets none: who listens there never says a word.
fn waiting_pool() -> (Pool, TcpListener) {
    let silent = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = silent.local_addr().expect("it is bound").port();
    let options = PgConnectOptions::new().host("127.0.0.1").port(port).ssl_mode(PgSslMode::Disable);
    let rules = Rules { min_idle: 0, initial_limit: 4, ceiling: 8, queue_capacity: 8, ..Rules::default() };
    let pool = Pool::connect(options, Config { rules, ..Config::named("test") }).expect("these rules hold");
    (pool, silent)
}

/// Fills the queue until newcomers are refused.
fn crowd(pool: &Pool) -> Vec<crate::Acquire> {
    let admission = Admission::within(Class::Normal, Duration::from_secs(60));
    let mut waiting = Vec::new();
    while pool.admit(&admission).is_ok() {
        let mut acquire = pool.acquire(&admission);
        assert!((&mut acquire).now_or_never().is_none(), "there is no connection");
        waiting.push(acquire);
    }
    waiting
}

fn ticket(answer: &Response<Body>) -> Option<&HeaderValue> {
    answer.headers().get(RETRY_TICKET)
}

#[tokio::test]
async fn a_refused_request_is_served_one_class_higher_when_it_comes_when_it_was_told() {
    let (pool, _silent) = waiting_pool();
    let service = Service::new(Some(pool.clone()));
    let waiting = crowd(&pool);
    let refused = service.get("/list", None).await;
    assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
    let given = ticket(&refused).expect("a ticket");
    drop(waiting);
    assert_eq!(service.class_of("somebody", "/list", Some(given)).await, "normal", "early");
    service.wait_as_told(&refused);
    assert_eq!(service.class_of("somebody else", "/list", Some(given)).await, "normal", "another's");
    assert_eq!(service.class_of("somebody", "/search", Some(given)).await, "low", "for another route");
    assert_eq!(service.class_of("somebody", "/list", Some(given)).await, "high");
    assert_eq!(service.class_of("somebody", "/list", Some(given)).await, "normal", "used");
}

#[tokio::test]
async fn whom_a_ticket_could_not_help_is_given_none() {
    let (pool, _silent) = waiting_pool();
    let service = Service::new(Some(pool.clone()));
    pool.close().await;
    let closed = service.get("/list", None).await;
    assert_eq!((closed.status(), ticket(&closed)), (StatusCode::SERVICE_UNAVAILABLE, None), "it was not shed");
    let open = Service::new(None);
    for path in ["/away", "/list"] {
        assert_eq!(ticket(&open.get(path, None).await), None, "{path}");
    }
    for odd in ["", "nonsense", "AAAA", &"A".repeat(71), &"A".repeat(10_000)] {
        let odd = HeaderValue::from_str(odd).expect("text");
        for (path, class) in
            [("/list", "normal"), ("/pay", "critical"), ("/product", "high"), ("/export", "background")]
        {
            assert_eq!(open.class_of("somebody", path, Some(&odd)).await, class, "{odd:?}");
        }
    }
}

#[tokio::test]
async fn what_the_pool_refuses_inside_the_door_is_given_a_ticket_too() {
    let service = Service::new(None);
    let refused = service.get("/late", None).await;
    let given = ticket(&refused).expect("a ticket").clone();
    service.wait_as_told(&refused);
    let again = service.get("/late", Some(&given)).await;
    assert_ne!(ticket(&again).expect("another ticket"), &given);
}
