//! Spans as a collector receives them: whose children they are, and that nothing secret is on any of them.

use std::{
    fs::{self, File},
    net::TcpListener as Port,
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
};

use axum::{Router, body::Bytes, extract::State, routing::post};
use http::{Method, StatusCode};
use opentelemetry_proto::tonic::{
    collector::trace::v1::ExportTraceServiceRequest,
    common::v1::any_value::Value as Any,
    trace::v1::{Span, span::SpanKind},
};
use prost::Message as _;
use rustix::process::Signal;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::{
    admins::Administrator,
    process::{Shop, eventually, home, shop},
};

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const SENDER: &str = "b7ad6b7169203331";

/// Whoever spans are sent to.
#[derive(Clone, Debug, Default)]
struct Collector {
    taken: Arc<Mutex<Vec<Bytes>>>,
    refuses: Arc<AtomicBool>,
}

impl Collector {
    /// Where it listens.
    async fn open(&self) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let router = Router::new().route("/v1/traces", post(Self::take)).with_state(self.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        address
    }

    async fn take(State(this): State<Self>, body: Bytes) -> StatusCode {
        if this.refuses.load(Ordering::Relaxed) {
            return StatusCode::BAD_REQUEST;
        }
        this.taken.lock().unwrap().push(body);
        StatusCode::OK
    }

    fn spans(&self) -> Vec<Span> {
        let taken = self.taken.lock().unwrap();
        let batches = taken.iter().map(|body| ExportTraceServiceRequest::decode(body.clone()).unwrap());
        let resources = batches.flat_map(|batch| batch.resource_spans);
        resources.flat_map(|resource| resource.scope_spans).flat_map(|scope| scope.spans).collect()
    }

    /// All that was sent, as text.
    fn text(&self) -> String {
        self.taken.lock().unwrap().iter().map(|body| String::from_utf8_lossy(body).into_owned()).collect()
    }
}

fn hex(id: &[u8]) -> String {
    id.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn attribute(span: &Span, key: &str) -> Option<Any> {
    span.attributes.iter().find(|pair| pair.key == key)?.value.clone()?.value
}

fn text(span: &Span, key: &str) -> String {
    match attribute(span, key) {
        Some(Any::StringValue(text)) => text,
        other => panic!("{} has {key} = {other:?}", span.name),
    }
}

fn children<'s>(spans: &'s [Span], of: &Span) -> Vec<&'s Span> {
    spans.iter().filter(|span| span.parent_span_id == of.span_id && span.trace_id == of.trace_id).collect()
}

/// What was typed, sent or given out in [`journey`], none of which anybody else may see.
type Secrets = Vec<String>;

const WEBHOOK_SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

fn said(answer: Option<(StatusCode, Value)>, status: u16) -> Value {
    let (answered, body) = answer.unwrap();
    assert_eq!(answered, status, "{body}");
    body
}

/// An account is made, logs in, changes its password and buys; somebody runs the shop.
async fn journey(open: &Shop, home: &Path) -> Secrets {
    let (email, password) = ("Grace.Secretive@example.test", "battery-horse-correct-9");
    let account = json!({ "email": email, "name": "Grace Secretive", "password": password });
    let tokens = said(open.http.post("/v1/auth/register", &[], account).await, 201);
    let token = |tokens: &Value, field: &str| tokens[field].as_str().unwrap().to_owned();
    let bearer = format!("Bearer {}", token(&tokens, "access_token"));
    let wrong = json!({ "email": email, "password": "a-wrong-password-of-hers" });
    said(open.http.post("/v1/auth/login", &[], wrong).await, 401);
    let renewed = json!({ "refresh_token": token(&tokens, "refresh_token") });
    let fresh = said(open.http.post("/v1/auth/refresh", &[], renewed).await, 200);
    let changed = json!({ "current_password": password, "new_password": "another-horse-entirely-7" });
    _ = open.http.json(Method::PUT, "/v1/me/password", &[("authorization", &bearer)], Some(changed)).await.unwrap();

    let cart = open.http.cart_of("SKU-000002").await.unwrap();
    let address = json!({
        "name": "Grace Secretive", "line1": "77 Hidden Lane", "city": "Kleinverstecken", "postal_code": "89073", "country": "DE",
    });
    let body = json!({
        "cart_id": cart.id, "cart_version": cart.version, "expected_total": cart.total, "payment_token": "tok_ok",
        "address": address,
    });
    let parent = format!("00-{TRACE}-{SENDER}-01");
    let headers = [
        ("authorization", bearer.as_str()),
        ("x-cart-token", cart.token.as_str()),
        ("idempotency-key", "the-key-of-this-order"),
        ("traceparent", &parent),
        ("tracestate", "rojo=00f067aa0ba902b7"),
        ("cookie", "session=a-cookie-of-hers"),
    ];
    let order = said(open.http.post("/v1/orders", &headers, body).await, 201);
    let found = format!("/v1/orders/{}?email=somebody@example.test", token(&order, "id"));
    _ = open.http.json(Method::GET, &found, &[("x-cart-token", &cart.token)], None).await.unwrap();
    let admin = Administrator::of(open, home).await.token().await.unwrap();
    let operator = format!("Bearer {admin}");
    said(open.http.json(Method::GET, "/v1/admin/audit", &[("authorization", &operator)], None).await, 200);

    let typed = [
        email,
        "grace.secretive",
        "Secretive",
        password,
        "a-wrong-password-of-hers",
        "another-horse-entirely-7",
        "correct-horse-battery",
        "the.admin@",
        "somebody@example",
        "77 Hidden Lane",
        "Kleinverstecken",
        "tok_ok",
        "the-key-of-this-order",
        "a-cookie-of-hers",
        "the-token-of-operators",
        "the-collectors-key",
        &WEBHOOK_SECRET["whsec_".len()..],
        "v1,",
    ];
    let refresh = [&tokens, &fresh].map(|tokens| token(tokens, "refresh_token"));
    let access = [bearer["Bearer ".len()..].to_owned(), admin, cart.token];
    typed.map(str::to_owned).into_iter().chain(refresh).chain(access).collect()
}

fn is_one_tree(spans: &[Span]) {
    let request = spans.iter().find(|span| span.name == "POST /v1/orders").unwrap();
    assert_eq!((hex(&request.trace_id).as_str(), hex(&request.parent_span_id).as_str()), (TRACE, SENDER));
    assert_eq!((request.kind(), text(request, "http.route").as_str()), (SpanKind::Server, "/v1/orders"));
    assert_eq!(attribute(request, "http.response.status_code"), Some(Any::IntValue(201)));
    let below = children(spans, request);
    let admission = below.iter().find(|span| span.name == "admission").unwrap();
    assert_eq!(text(admission, "forebay.admission.decision"), "admit");
    let acquires: Vec<_> = below.iter().filter(|span| span.name == "db.acquire").collect();
    assert!(acquires.len() >= 2, "{below:?}");
    for acquire in acquires {
        assert!(text(acquire, "code.file.path").starts_with("crates/checkout/"), "{acquire:?}");
        for number in ["code.line.number", "forebay.pool.limit", "forebay.pool.in_use", "forebay.pool.wait_us"] {
            assert!(matches!(attribute(acquire, number), Some(Any::IntValue(_))), "{number}: {acquire:?}");
        }
    }
    let charge = below.iter().find(|span| span.name == "charge").unwrap();
    assert_eq!((charge.kind(), text(charge, "server.address").as_str()), (SpanKind::Client, "payment-provider"));
    let message = children(spans, charge).into_iter().find(|span| span.name == "webhook").unwrap();
    let heard = children(spans, message).into_iter().find(|span| span.name == "POST /v1/payments/webhook").unwrap();
    assert_eq!(heard.kind(), SpanKind::Server);
}

#[tokio::test]
async fn a_purchase_is_one_tree_and_nothing_secret_leaves_the_process() {
    let (home, collector) = (home(), Collector::default());
    let endpoint = collector.open().await;
    // Somebody else may have it a moment later; then the shop does not open.
    let http = Port::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let messages = format!("http://{http}/v1/payments/webhook");
    let targets = ["pool", "platform", "auth", "catalog", "checkout", "storefront", "shop"];
    let levels = targets.map(|target| format!("forebay_{target}=trace")).join(",");
    let settings = [
        ("FOREBAY_HTTP", http.as_str()),
        ("FOREBAY_ADMIN_TOKEN", "the-token-of-operators"),
        ("FOREBAY_PAYMENT_LATENCY_MS", "0"),
        ("FOREBAY_PAYMENT_WEBHOOK_SECRET", WEBHOOK_SECRET),
        ("FOREBAY_PAYMENT_WEBHOOK_URL", &messages),
        ("FOREBAY_LOG", &format!("info,{levels}")),
        ("FOREBAY_LOG_FORMAT", "json"),
        ("FOREBAY_ACCESS_LOG", "on"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", &endpoint),
        ("OTEL_EXPORTER_OTLP_HEADERS", "x-api-key=the-collectors-key"),
        ("OTEL_SERVICE_NAME", "shop-under-test"),
    ];
    let (mut command, log) = (shop(home.path(), &settings), home.path().join("log"));
    command.stderr(File::create(&log).unwrap());
    let open = Shop::start(home.path(), command).await;
    let secrets = journey(&open, home.path()).await;
    let has = |name: &str| collector.spans().iter().any(|span| span.name == name);
    eventually("the provider's message has come, and all is sent", || async {
        ["POST /v1/payments/webhook", "GET /v1/admin/audit", "POST /v1/orders"].into_iter().all(has)
    })
    .await;
    open.send(Signal::TERM);
    assert!(open.ended().await.0.success());

    is_one_tree(&collector.spans());
    let (sent, logged) = (collector.text(), fs::read_to_string(log).unwrap());
    assert!(sent.contains("shop-under-test") && logged.contains(TRACE));
    for kept in secrets {
        assert!(!sent.contains(&kept), "{kept} was sent");
        assert_eq!(logged.lines().find(|line| line.contains(&kept)), None, "{kept} is in the log");
    }
}

#[tokio::test]
async fn a_collector_that_refuses_is_told_once_when_it_begins_and_once_when_it_ends() {
    let (home, collector) = (home(), Collector::default());
    collector.refuses.store(true, Ordering::Relaxed);
    let endpoint = collector.open().await;
    let (mut command, log) =
        (shop(home.path(), &[("OTEL_EXPORTER_OTLP_ENDPOINT", &endpoint)]), home.path().join("log"));
    command.stderr(File::create(&log).unwrap());
    let open = Shop::start(home.path(), command).await;
    let count = |what: &str| fs::read_to_string(&log).unwrap().matches(what).count();
    let (begins, ends) = ("the collector takes no spans", "the collector takes spans again");
    eventually("it is told that it refuses", || async {
        assert_eq!(open.http.text("/v1/categories").await.unwrap().0, 200);
        count(begins) > 0
    })
    .await;
    collector.refuses.store(false, Ordering::Relaxed);
    eventually("it is told that it takes them again", || async {
        assert_eq!(open.http.text("/v1/categories").await.unwrap().0, 200);
        count(ends) > 0
    })
    .await;
    assert_eq!((count(begins), count(ends)), (1, 1));
    open.send(Signal::TERM);
    assert!(open.ended().await.0.success());
}

#[tokio::test]
async fn a_collector_that_never_answers_holds_up_neither_a_request_nor_the_end() {
    let home = home();
    // Accepts by its backlog, and says nothing.
    let silent = Port::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", silent.local_addr().unwrap());
    let (mut command, log) =
        (shop(home.path(), &[("OTEL_EXPORTER_OTLP_ENDPOINT", &endpoint)]), home.path().join("log"));
    command.stderr(File::create(&log).unwrap());
    let open = Shop::start(home.path(), command).await;
    // More spans than may wait.
    for _ in 0..800 {
        assert_eq!(open.http.text("/v1/categories").await.unwrap().0, 200);
    }
    open.send(Signal::TERM);
    assert!(open.ended().await.0.success());
    assert!(fs::read_to_string(log).unwrap().contains("the last spans were not sent"));
}

#[tokio::test]
async fn a_trace_that_its_sender_does_not_record_is_not_sent() {
    let (home, collector) = (home(), Collector::default());
    let endpoint = collector.open().await;
    let open = Shop::open(home.path(), &[("OTEL_EXPORTER_OTLP_ENDPOINT", &endpoint)]).await;
    let unrecorded = format!("00-{TRACE}-{SENDER}-00");
    let (status, _) = open.http.json(Method::GET, "/v1/products", &[("traceparent", &unrecorded)], None).await.unwrap();
    assert_eq!(status, 200);
    assert_eq!(open.http.text("/v1/categories").await.unwrap().0, 200);
    open.send(Signal::TERM);
    assert!(open.ended().await.0.success());
    let names: Vec<_> = collector.spans().into_iter().map(|span| span.name).collect();
    assert!(names.iter().any(|name| name == "GET /v1/categories"), "{names:?}");
    assert!(!names.iter().any(|name| name == "GET /v1/products"), "{names:?}");
}
