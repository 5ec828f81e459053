use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::Extension;
use axum::http::{Request, Response, StatusCode, header::RETRY_AFTER};
use axum::routing::post;
use forebay_pool::http::{AdmissionLayer, REQUEST_TIMEOUT_MS, refusal, request_timeout, retry_after};
use forebay_pool::{AcquireError, Admission, Class, Resize};
use http_body_util::Full;
use tower::{Layer, Service, ServiceExt};

use crate::{Site, admission, rules};

#[path = "../../examples/classes.rs"]
#[expect(dead_code, reason = "the test takes the service, not its main")]
mod classes;

fn admit<B>(request: &Request<B>) -> Admission {
    let class = if request.uri().path() == "/pay" { Class::Critical } else { Class::Normal };
    let admission = Admission::within(class, Duration::from_secs(2));
    match request_timeout(request.headers()) {
        Some(limit) => admission.or_sooner(limit),
        None => admission,
    }
}

fn refuse(error: &AcquireError) -> Response<Body> {
    let mut answer = Response::new(Body::from(error.to_string()));
    *answer.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    if let AcquireError::Shed { retry_after: base, .. } = error {
        let seconds = retry_after(*base).as_secs_f64().ceil().to_string();
        answer.headers_mut().insert(RETRY_AFTER, seconds.parse().expect("digits"));
    }
    answer
}

fn router(site: &Site) -> Router {
    let pool = site.pool.clone();
    let work = post(move |Extension(admission): Extension<Admission>| async move {
        match pool.acquire(&admission).await {
            Ok(_lease) => StatusCode::OK,
            Err(_) => StatusCode::SERVICE_UNAVAILABLE,
        }
    });
    let layer = AdmissionLayer::new(Some(site.pool.clone()), admit::<Body>, refuse);
    Router::new().route("/pay", work.clone()).route("/list", work).layer(layer)
}

async fn send(router: &Router, path: &str, body: Body) -> Result<Response<Body>, Infallible> {
    let request = Request::post(path).body(body).expect("a request");
    router.clone().oneshot(request).await
}

/// Takes every place below the reserve, and fills the queue until newcomers are refused.
pub(crate) async fn fill(site: &Site) -> (Vec<forebay_pool::Lease>, Vec<tokio::task::JoinHandle<()>>) {
    site.pool.resize(Resize { limit: Some(2), ..Resize::default() }).expect("within bounds");
    let mut held = Vec::new();
    for _ in 0..2 {
        held.push(site.pool.acquire(&admission(Class::Normal)).await.expect("free"));
    }
    (held, crowd(site).await)
}

/// Fills the queue until newcomers are refused.
async fn crowd(site: &Site) -> Vec<tokio::task::JoinHandle<()>> {
    let mut waiting = Vec::new();
    while site.pool.admit(&admission(Class::Normal)).is_ok() {
        assert!(waiting.len() < 10_000, "the queue has no bound");
        let acquire = site.pool.acquire(&admission(Class::Normal));
        waiting.push(tokio::spawn(async move { drop(acquire.await) }));
        tokio::task::yield_now().await;
    }
    waiting
}

#[tokio::test]
async fn the_first_refusal_goes_out_while_a_connection_for_critical_work_is_still_free() {
    let site = Site::new(rules()).await;
    let router = router(&site);
    let (_held, _waiting) = fill(&site).await;
    site.until("the reserve is open and idle", |snapshot| snapshot.idle == 1).await;
    // On a busy machine the first ones have given up meanwhile.
    let _waiting_too = crowd(&site).await;
    let refused = send(&router, "/list", Body::empty()).await.expect("infallible");
    assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(site.pool.snapshot().idle, 1, "a connection is free at the first refusal");
    let seconds: u64 = refused.headers()[RETRY_AFTER].to_str().expect("text").parse().expect("whole seconds");
    assert!((1..=30).contains(&seconds), "{seconds}");
    let paid = send(&router, "/pay", Body::empty()).await.expect("infallible");
    assert_eq!(paid.status(), StatusCode::OK);
}

#[tokio::test]
async fn a_refused_request_is_answered_though_its_body_never_comes() {
    let site = Site::new(rules()).await;
    let router = router(&site);
    let (_held, _waiting) = fill(&site).await;
    let never = Body::from_stream(futures_util::stream::pending::<Result<String, Infallible>>());
    let refused = send(&router, "/list", never).await.expect("infallible");
    assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
}

#[tokio::test]
async fn without_a_pool_the_door_stands_open_and_still_hands_out_admissions() {
    let layer = AdmissionLayer::new(None, admit::<Body>, refuse);
    let show = post(|Extension(admission): Extension<Admission>| async move { admission.class().name() });
    let router = Router::new().route("/pay", show).layer(layer);
    let answer = send(&router, "/pay", Body::empty()).await.expect("infallible");
    let body = axum::body::to_bytes(answer.into_body(), 100).await.expect("short");
    assert_eq!(&body[..], b"critical");
}

#[tokio::test]
async fn a_caller_may_ask_for_less_time_than_its_class_has_and_never_for_more() {
    let show =
        post(|Extension(admission): Extension<Admission>| async move { admission.remaining().as_millis().to_string() });
    let router = Router::new().route("/list", show).layer(AdmissionLayer::new(None, admit::<Body>, refuse));
    for (said, most) in [("300", 300), ("0", 0), ("60000", 2_000), ("soon", 2_000), ("99999999999999999999", 2_000)] {
        let request = Request::post("/list").header(REQUEST_TIMEOUT_MS, said).body(Body::empty()).expect("a request");
        let answer = router.clone().oneshot(request).await.expect("infallible");
        let body = axum::body::to_bytes(answer.into_body(), 100).await.expect("short");
        let left: u32 = String::from_utf8_lossy(&body).parse().expect("a number");
        assert!(left <= most && (left > 0 || most == 0), "{said}: {left}");
    }
}

#[tokio::test]
async fn a_request_whose_caller_waits_no_longer_is_refused_though_a_connection_is_idle() {
    let site = Site::new(rules()).await;
    let router = router(&site);
    assert_eq!(send(&router, "/pay", Body::empty()).await.expect("infallible").status(), StatusCode::OK);
    let request = Request::post("/pay").header(REQUEST_TIMEOUT_MS, "0").body(Body::empty()).expect("a request");
    let refused = router.oneshot(request).await.expect("infallible");
    assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
    let seconds: u64 = refused.headers()[RETRY_AFTER].to_str().expect("text").parse().expect("whole seconds");
    assert!((1..=2).contains(&seconds), "{seconds}");
    assert_eq!(site.pool.snapshot().totals.granted, 1);
}

#[tokio::test]
async fn the_layer_serves_any_tower_stack_and_refuses_in_call() {
    let site = Site::new(rules()).await;
    let called = Arc::new(AtomicU32::new(0));
    let count = Arc::clone(&called);
    let inner = tower::service_fn(move |_: Request<Full<Bytes>>| {
        count.fetch_add(1, Ordering::Relaxed);
        std::future::ready(Err::<Response<String>, _>(std::io::Error::other("the service's own")))
    });
    let admit = |_: &Request<Full<Bytes>>| admission(Class::Normal);
    let mut service = AdmissionLayer::new(Some(site.pool.clone()), admit, refusal::<String>).layer(inner);
    let request = || Request::new(Full::from("a body"));
    let error = service.ready().await.expect("ready").call(request()).await.expect_err("the service fails");
    assert_eq!(error.to_string(), "the service's own", "its errors pass as they are");
    site.pool.close().await;
    let ready = service.ready().await.expect("a door that refuses is ready, or its callers would queue before it");
    let refused = ready.call(request()).await.expect("a refusal is an answer");
    assert_eq!((refused.status(), called.load(Ordering::Relaxed)), (StatusCode::SERVICE_UNAVAILABLE, 1));
}

#[tokio::test]
async fn the_example_has_a_class_for_each_route() {
    let site = Site::new(rules()).await;
    sqlx::raw_sql(classes::TABLE).execute(&site.pool).await.expect("created");
    let router = classes::router(site.pool.clone());
    let send = async |method: &str, path: &str, body: &'static str| {
        let request = Request::builder().method(method).uri(path).header("authorization", "Bearer of notes");
        router.clone().oneshot(request.body(Body::from(body)).expect("a request")).await.expect("infallible")
    };
    assert_eq!(send("POST", "/notes", "buy milk").await.status(), StatusCode::CREATED);
    for path in ["/notes", "/notes/1", "/notes/search?word=milk"] {
        let answer = send("GET", path, "").await;
        assert_eq!(answer.status(), StatusCode::OK, "{path}");
        let body = axum::body::to_bytes(answer.into_body(), 1_000).await.expect("short");
        assert!(String::from_utf8_lossy(&body).contains("buy milk"), "{path}: {body:?}");
    }
    assert_eq!(send("GET", "/notes/2", "").await.status(), StatusCode::NOT_FOUND);
    let (_held, _waiting) = fill(&site).await;
    site.until("the reserve is open and idle", |snapshot| snapshot.idle == 1).await;
    for path in ["/notes", "/notes/search?word=milk"] {
        let refused = send("GET", path, "").await;
        assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE, "{path}");
        assert!(
            ["retry-after", "retry-after-ms", "retry-ticket"].iter().all(|name| refused.headers().contains_key(*name))
        );
    }
    assert_eq!(send("POST", "/notes", "and cheese").await.status(), StatusCode::CREATED, "the reserve is kept for it");
}

#[tokio::test]
async fn whoever_is_refused_at_a_shut_door_is_counted_and_told_a_moment_of_its_own() {
    let site = Site::new(rules()).await;
    let (held, waiting) = fill(&site).await;
    let before = site.pool.snapshot().totals.shed_of(Class::Normal);
    let refusals = (0..1_000).map(|_| match site.pool.admit(&admission(Class::Normal)) {
        Err(AcquireError::Shed { retry_after, .. }) => retry_after,
        other => panic!("it is shut: {other:?}"),
    });
    let moments: Vec<_> = refusals.collect();
    assert!(moments.is_sorted(), "{moments:?}");
    assert!(moments.first() < moments.last() && moments.last() <= Some(&Duration::from_secs(30)));
    assert_eq!(site.pool.snapshot().totals.shed_of(Class::Normal), before + 1_000);
    site.pool.admit(&admission(Class::Critical)).expect("the reserve is free");
    let begun = admission(Class::Normal);
    begun.begin();
    site.pool.admit(&begun).expect("work that has begun is never shed");
    drop(held);
    for waiter in waiting {
        waiter.await.expect("it was answered");
    }
    site.pool.admit(&admission(Class::Normal)).expect("everything is free");
}
