//! The public router's layers, and a listener that nobody stops by being slow.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use axum::{
    Router,
    body::{Body, HttpBody as _},
    extract::{ConnectInfo, DefaultBodyLimit, MatchedPath, Request, State},
    middleware::{Next, from_fn_with_state},
    response::{IntoResponse as _, Response},
};
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, StatusCode,
    header::{CACHE_CONTROL, X_CONTENT_TYPE_OPTIONS},
};
use tokio::time::Instant;
use tower_http::catch_panic::CatchPanicLayer;
use tracing::{Instrument as _, Level};
use uuid::Uuid;

use crate::{
    client::{CLIENT, Client, Proxies},
    compress,
    cors::Origins,
    problem::{self, Code, Problem, REQUEST_ID},
    timing,
    trace::{self, TRACEPARENT},
};

mod connection;
mod exchange;
mod io;
mod limits;
mod listener;
mod meter;
mod refusal;
mod state;

pub use limits::Limits;
pub use listener::{Drained, serve};
use meter::{Meter, Outcome};

/// The largest body of a request, in bytes.
pub const BODY_LIMIT: usize = 64 * 1024;

const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// The target of the access log.
pub(crate) const ACCESS: &str = "access";
/// Whose the requests are that match no route.
const NO_SERVICE: &str = "none";

/// Says what the metrics of this module mean.
pub(crate) fn describe_metrics() {
    meter::describe_metrics();
    listener::describe_metrics();
}

/// How many requests this process has answered, and how many of these badly.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Answers {
    /// All that were for a service.
    pub all: u64,
    /// Those that failed or were refused, and those of clients that left.
    pub bad: u64,
}

static ALL: AtomicU64 = AtomicU64::new(0);
static BAD: AtomicU64 = AtomicU64::new(0);

impl Answers {
    /// Since the process began.
    #[must_use]
    pub fn until_now() -> Self {
        // In the order against that of counting: never more bad ones than there are.
        let bad = BAD.load(Ordering::Acquire);
        Self { all: ALL.load(Ordering::Acquire), bad }
    }

    fn count(service: &str, outcome: Outcome) {
        if service != NO_SERVICE {
            ALL.fetch_add(1, Ordering::Release);
            BAD.fetch_add(u64::from(outcome != Outcome::Ok), Ordering::Release);
        }
    }
}

/// Measures every request of `router` under the name of its service. For a router without a fallback: requests that
/// match no route are [`public`]'s.
pub fn measured(router: Router, service: &'static str) -> Router {
    router.layer(from_fn_with_state(Arc::new(Meter::new(service)), measure))
}

/// What stands between clients and the routes.
#[derive(Clone, Debug, Default)]
pub struct Edge {
    /// Whose word on who sends a request is taken.
    pub proxies: Proxies,
    /// Whose web pages may call.
    pub origins: Origins,
    /// Whether answers tell how long their parts took (`Server-Timing`).
    pub server_timing: bool,
}

/// What every public router has, outermost first: a request id, the trace, and who sends the request, as far as its proxies are
/// to be believed; large answers in gzip; what browsers ask for pages of other origins, before any door; an answer in place of a panic; the body limit; and problems for what matches no route. No answer is guessed to
/// be of another type than it says, and none is kept by a cache unless it says so.
pub fn public(router: Router, edge: Edge) -> Router {
    let router = router
        .merge(measured(Router::new().fallback(problem::not_found), NO_SERVICE))
        .layer(DefaultBodyLimit::max(BODY_LIMIT))
        .layer(CatchPanicLayer::custom(answer_panic));
    let router = match edge.origins.layer() {
        Some(cors) => router.layer(cors),
        None => router,
    };
    router.layer(from_fn_with_state(Arc::new(edge), identify))
}

async fn identify(State(edge): State<Arc<Edge>>, mut request: Request, next: Next) -> Response {
    let id = request_id(request.headers());
    let peer = request.extensions().get().map(|ConnectInfo::<SocketAddr>(peer)| peer.ip());
    let client = peer.map(|peer| edge.proxies.client(peer, request.headers()));
    if let Some(client) = client {
        request.extensions_mut().insert::<Client>(client);
    }
    let context = trace::Context::of(request.headers());
    let answer = context.answer();
    let (method, path) = (request.method(), request.uri().path());
    let span = tracing::info_span!("request", %id, trace = %context.trace(), %method, path);
    let method = known_method(method);
    let header = HeaderValue::from_str(&id);
    let takes_gzip = compress::is_taken(request.headers());
    let answered = CLIENT.scope(client, context.serve(method, REQUEST_ID.scope(id, next.run(request))));
    let answered = answered.instrument(span);
    let response = if edge.server_timing { Box::pin(timing::told(answered)).await } else { answered.await };
    let mut response = compress::compressed(takes_gzip, response).await;
    if let Ok(header) = header {
        response.headers_mut().insert(X_REQUEST_ID, header);
    }
    if let Some(answer) = answer {
        response.headers_mut().insert(TRACEPARENT, answer);
    }
    guarded(response)
}

/// With the headers that every answer has.
pub(crate) fn guarded(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("private, no-store"));
    response
}

/// The caller's id if it is a UUID, else a new one.
fn request_id(headers: &HeaderMap) -> Arc<str> {
    let theirs = headers.get(X_REQUEST_ID).and_then(|value| value.to_str().ok());
    let theirs = theirs.and_then(|text| Uuid::try_parse(text).ok());
    theirs.unwrap_or_else(Uuid::now_v7).hyphenated().to_string().into()
}

fn answer_panic(panic: Box<dyn std::any::Any + Send>) -> http::Response<Body> {
    let text = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    tracing::error!(panic = text.unwrap_or("of another type"), "a handler panicked");
    Problem::new(Code::Internal).into_response()
}

async fn measure(State(meter): State<Arc<Meter>>, request: Request, next: Next) -> Response {
    let mut measurement = Measurement::begin(meter, &request);
    let response = next.run(request).await;
    measurement.answered(&response);
    response
}

/// One request being answered. Recorded when dropped, so that a client that goes away is counted too: as status 499
/// (nginx's number for it) and an error, since nobody got an answer.
struct Measurement {
    meter: Arc<Meter>,
    method: &'static str,
    /// The template of the path, not the path.
    route: Option<MatchedPath>,
    status: StatusCode,
    outcome: Outcome,
    /// Why it failed.
    error: Option<&'static str>,
    began: Instant,
    /// For the access log, when it is on.
    path: Option<String>,
    bytes: Option<u64>,
}

impl Measurement {
    fn begin(meter: Arc<Meter>, request: &Request) -> Self {
        meter.begin();
        let route = request.extensions().get::<MatchedPath>().cloned();
        if let Some(route) = &route {
            trace::goes_to(route);
        }
        let gone = StatusCode::from_u16(499).unwrap_or(StatusCode::REQUEST_TIMEOUT);
        let method = known_method(request.method());
        let path = tracing::enabled!(target: ACCESS, Level::INFO).then(|| request.uri().path().to_owned());
        let (outcome, error, began) = (Outcome::Error, Some("client_gone"), Instant::now());
        Self { meter, method, route, status: gone, outcome, error, began, path, bytes: None }
    }

    fn answered(&mut self, response: &Response) {
        self.status = response.status();
        self.outcome = outcome(response);
        let code = response.extensions().get::<Code>().copied().unwrap_or(Code::Internal);
        self.error = self.status.is_server_error().then(|| code.as_str());
        self.bytes = response.body().size_hint().exact();
    }

    fn route(&self) -> &str {
        self.route.as_ref().map_or("unmatched", MatchedPath::as_str)
    }

    /// A line of the access log. A path has ids in it and no secret; a query has values, and is not shown.
    fn log(&self, path: &str) {
        let client = CLIENT.try_with(|client| *client).ok().flatten();
        tracing::info!(
            target: ACCESS,
            service = self.meter.service(),
            method = self.method,
            route = self.route(),
            path,
            status = self.status.as_u16(),
            outcome = self.outcome.name(),
            duration_ms = self.began.elapsed().as_secs_f64() * 1_000.0,
            bytes = self.bytes,
            request_id = REQUEST_ID.try_with(Arc::clone).ok().map(display),
            client = client.map(display),
            "request"
        );
    }
}

impl Drop for Measurement {
    fn drop(&mut self) {
        // The handler's panic comes through here on its way to become an answer.
        if std::thread::panicking() {
            (self.status, self.error) = (StatusCode::INTERNAL_SERVER_ERROR, Some(Code::Internal.as_str()));
        }
        if let Some(path) = self.path.take() {
            self.log(&path);
        }
        trace::answered(self.method, self.status, self.error);
        Answers::count(self.meter.service(), self.outcome);
        self.meter.end(self.method, self.route(), self.status, self.outcome, self.began.elapsed());
    }
}

/// Shed is what was refused before any work; every other 5xx is an error.
fn outcome(response: &Response) -> Outcome {
    match response.extensions().get::<Code>() {
        Some(Code::Overloaded) => Outcome::Shed,
        _ if response.status().is_server_error() => Outcome::Error,
        _ => Outcome::Ok,
    }
}

/// A label with few values, whatever clients send.
fn known_method(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::HEAD => "HEAD",
        Method::OPTIONS => "OPTIONS",
        _ => "_OTHER",
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use axum::routing::get;
    use http_body_util::BodyExt as _;
    use tower::ServiceExt as _;

    use super::*;
    use crate::telemetry::Metrics;

    fn router() -> Router {
        let routes = Router::new()
            .route("/things/{id}", get(async || "here"))
            .route("/panics", get(async || -> &'static str { panic!("on purpose") }))
            .route("/never", get(async || std::future::pending::<&'static str>().await))
            .method_not_allowed_fallback(problem::method_not_allowed);
        public(measured(routes, "test"), Edge::default())
    }

    async fn get_path(path: &str) -> (StatusCode, HeaderMap, String) {
        let request = Request::get(path).body(Body::empty()).unwrap();
        let response = router().oneshot(request).await.unwrap();
        let (head, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        (head.status, head.headers, String::from_utf8(body.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn an_unknown_path_is_a_problem_with_the_request_id() {
        let (status, headers, body) = get_path("/nowhere").await;
        assert_eq!(status, 404);
        let id = headers["x-request-id"].to_str().unwrap();
        assert!(body.contains("not-found") && body.contains(id), "{body}");
    }

    #[tokio::test]
    async fn a_panic_is_answered() {
        let (status, _, body) = get_path("/panics").await;
        assert_eq!(status, 500);
        assert!(body.contains("\"internal\"") && !body.contains("on purpose"), "{body}");
    }

    #[tokio::test]
    async fn a_wrong_method_is_a_problem_with_allow() {
        let request = Request::put("/things/1").body(Body::empty()).unwrap();
        let response = router().oneshot(request).await.unwrap();
        assert_eq!(response.status(), 405);
        assert_eq!(response.headers()["allow"], "GET,HEAD");
        assert_eq!(response.headers()["content-type"], "application/problem+json");
    }

    #[tokio::test]
    async fn a_trace_goes_through_and_names_the_problem() {
        let sent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        let request = Request::get("/nowhere").header("traceparent", sent).body(Body::empty()).unwrap();
        let (head, body) = router().oneshot(request).await.unwrap().into_parts();
        let told = head.headers["traceparent"].to_str().unwrap();
        assert!(told.starts_with("00-0af7651916cd43dd8448eb211c80319c-") && told != sent, "{told}");
        let body: serde_json::Value = serde_json::from_slice(&body.collect().await.unwrap().to_bytes()).unwrap();
        assert_eq!(body["trace_id"], "0af7651916cd43dd8448eb211c80319c");
        let id = head.headers["x-request-id"].to_str().unwrap();
        assert_eq!(body["instance"], format!("urn:uuid:{id}"));
    }

    #[tokio::test]
    async fn pages_of_a_named_origin_may_call_and_no_other() {
        let origins: Origins = "https://shop.example".parse().unwrap();
        let preflight = async |origin: &str| {
            let routes = Router::new().route("/things/{id}", get(async || "here"));
            let request = Request::options("/things/1").header("origin", origin);
            let request = request.header("access-control-request-method", "GET").body(Body::empty()).unwrap();
            let edge = Edge { origins: Origins::clone(&origins), ..Edge::default() };
            let router = public(measured(routes, "test"), edge);
            router.oneshot(request).await.unwrap().headers().clone()
        };
        let told = preflight("https://shop.example").await;
        assert_eq!(told["access-control-allow-origin"], "https://shop.example");
        assert!(!told.contains_key("access-control-allow-credentials"), "{told:?}");
        assert!(!preflight("https://evil.example").await.contains_key("access-control-allow-origin"));
    }

    #[tokio::test]
    async fn a_callers_id_is_kept_only_if_it_is_a_uuid() {
        let with = |id: &str| HeaderMap::from_iter([(X_REQUEST_ID, id.parse().unwrap())]);
        let theirs = "0190b3a0-7c5e-7abc-8def-0123456789ab";
        assert_eq!(&*request_id(&with(theirs)), theirs);
        assert_ne!(&*request_id(&with("<script>")), "<script>");
    }

    #[tokio::test]
    async fn requests_are_measured_by_route_and_also_when_the_client_leaves() {
        let metrics = Metrics::of_process();
        get_path("/things/1").await;
        get_path("/nowhere").await;
        for wrong in ["/things/1", "/never"] {
            router().oneshot(Request::delete(wrong).body(Body::empty()).unwrap()).await.unwrap();
        }
        get_path("/panics").await;
        router().oneshot(Request::head("/things/1").body(Body::empty()).unwrap()).await.unwrap();
        let request = Request::get("/never").body(Body::empty()).unwrap();
        assert!(tokio::time::timeout(Duration::from_millis(1), router().oneshot(request)).await.is_err());
        let text = metrics.render();
        for labels in [
            r#"http_server_requests_total{service="test",method="GET",route="/things/{id}",status="200",outcome="ok"} "#,
            r#"http_server_requests_total{service="none",method="GET",route="unmatched",status="404",outcome="ok"} "#,
            r#"http_server_requests_total{service="test",method="_OTHER",route="any",status="405",outcome="ok"} "#,
            r#"http_server_requests_total{service="test",method="GET",route="/panics",status="500",outcome="error"} "#,
            r#"http_server_requests_total{service="test",method="GET",route="/never",status="499",outcome="error"} "#,
            r#"http_server_request_duration_seconds_count{service="test",outcome="ok"} "#,
            r#"http_server_request_duration_seconds_count{service="test",outcome="error"} "#,
            r#"http_server_request_time_seconds_total{service="test",method="GET",route="/things/{id}"} "#,
        ] {
            assert!(text.contains(labels), "{labels}\n{text}");
        }
        assert!(!text.contains("/things/{id}\",status=\"405\"") && !text.contains("method=\"HEAD\""), "{text}");
        assert!(!text.contains(r#"route="/panics",status="499""#), "{text}");
        // Other tests of this process may have a request under way.
        let deadline = Instant::now() + Duration::from_secs(20);
        while !metrics.render().contains("http_server_active_requests{service=\"test\"} 0") {
            assert!(Instant::now() < deadline, "a request that ended is still active");
            tokio::task::yield_now().await;
        }
    }
}
