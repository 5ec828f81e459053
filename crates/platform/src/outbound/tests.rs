//! Against a service that listens on a socket.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::response::IntoResponse;
use futures_util::stream;
use proptest::prelude::*;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::*;

const LONG: Duration = Duration::from_secs(20);

type Headers = &'static [(&'static str, &'static str)];

/// A status, and headers.
type Reply = (u16, Headers);

/// Answers as the script says, then 200, and keeps what it was asked.
struct Service {
    address: SocketAddr,
    shared: Arc<Shared>,
    _task: JoinHandle<()>,
}

struct Shared {
    script: Mutex<VecDeque<Reply>>,
    requests: Mutex<Vec<(HeaderMap, Bytes)>>,
}

impl Service {
    async fn answering(script: &[Reply]) -> Self {
        let shared = Shared { script: Mutex::new(script.to_vec().into()), requests: Mutex::default() };
        let shared = Arc::new(shared);
        let (address, task) = serve(Router::new().fallback(answer).with_state(Arc::clone(&shared))).await;
        Self { address, shared, _task: task }
    }

    fn request(&self, method: &str) -> Request<Bytes> {
        asking(self.address, method)
    }

    fn asked(&self) -> Vec<(HeaderMap, Bytes)> {
        self.shared.requests.lock().unwrap().clone()
    }
}

async fn serve(router: Router) -> (SocketAddr, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    (address, tokio::spawn(async move { axum::serve(listener, router).await.unwrap() }))
}

async fn answer(State(shared): State<Arc<Shared>>, headers: HeaderMap, body: Bytes) -> Response<Body> {
    shared.requests.lock().unwrap().push((headers, body));
    let (status, headers) = shared.script.lock().unwrap().pop_front().unwrap_or((200, &[]));
    let mut answer = Response::builder().status(status);
    for (name, value) in headers {
        answer = answer.header(*name, *value);
    }
    answer.body("body".into()).unwrap()
}

fn asking(address: SocketAddr, method: &str) -> Request<Bytes> {
    Request::builder().method(method).uri(format!("http://{address}/")).body(Bytes::from_static(b"question")).unwrap()
}

/// A port at which nobody listens: it was free a moment ago.
async fn nobody() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap()
}

const BUSY: Reply = (503, &[("retry-after-ms", "1"), ("retry-ticket", "ticket-1")]);

#[tokio::test]
async fn a_refused_request_comes_back_when_it_was_told_with_its_ticket_and_less_time() {
    let service = Service::answering(&[BUSY]).await;
    let answer = Outbound::new().send(service.request("GET"), LONG).await.unwrap();
    assert_eq!((answer.status().as_u16(), &answer.body()[..]), (200, &b"body"[..]));
    let asked = service.asked();
    assert_eq!(asked.len(), 2);
    assert!(asked[0].0.get(RETRY_TICKET).is_none());
    assert_eq!(asked[1].0[RETRY_TICKET], "ticket-1");
    assert_eq!((&asked[0].1, &asked[1].1), (&Bytes::from_static(b"question"), &Bytes::from_static(b"question")));
    let left = |index: usize| forebay_pool::http::request_timeout(&asked[index].0).unwrap();
    assert!(left(0) <= LONG && left(1) < left(0), "{:?}, then {:?}", left(0), left(1));
}

#[tokio::test]
async fn a_ticket_that_brought_nothing_is_not_shown_again() {
    let service = Service::answering(&[BUSY, (503, &[("retry-after-ms", "1")])]).await;
    Outbound::new().send(service.request("GET"), LONG).await.unwrap();
    let shown: Vec<_> = service.asked().iter().map(|(headers, _)| headers.contains_key(RETRY_TICKET)).collect();
    assert_eq!(shown, [false, true, false]);
}

#[tokio::test]
async fn what_is_not_fit_to_be_repeated_is_sent_once() {
    for (method, key, status, times) in [
        ("POST", None, 503, 1),
        ("POST", Some("k"), 503, 3),
        ("PATCH", None, 503, 1),
        ("PUT", None, 502, 3),
        ("DELETE", None, 504, 3),
        ("GET", None, 429, 3),
        ("GET", None, 500, 1),
        ("GET", None, 404, 1),
        ("GET", None, 302, 1),
    ] {
        let told: Headers = &[("retry-after-ms", "0")];
        let service = Service::answering(&[(status, told); 9]).await;
        let mut request = service.request(method);
        if let Some(key) = key {
            request.headers_mut().insert(IDEMPOTENCY_KEY, HeaderValue::from_static(key));
        }
        let answer = Outbound::new().send(request, LONG).await.unwrap();
        assert_eq!((answer.status().as_u16(), service.asked().len()), (status, times), "{method} {status}");
    }
}

#[tokio::test]
async fn a_refusal_that_asks_for_more_time_than_is_left_is_the_answer() {
    let long: [Headers; 5] = [
        &[("retry-after", "30")],
        &[("retry-after", "1"), ("retry-after-ms", "30000")],
        &[("retry-after", "Thu, 01 Jan 2099 00:00:00 GMT")],
        &[("retry-after", "99999999999999999999999")],
        &[("retry-after-ms", "99999999999999999999999")],
    ];
    for told in long {
        let service = Service::answering(&[(503, told); 9]).await;
        let answer = Outbound::new().send(service.request("GET"), LONG).await.unwrap();
        assert_eq!((answer.status().as_u16(), service.asked().len()), (503, 1));
    }
}

#[tokio::test]
async fn repetitions_end_when_the_budget_does_and_other_requests_still_go_out() {
    let told: Headers = &[("retry-after-ms", "0")];
    let service = Service::answering(&[(503, told); 1_000]).await;
    let client = Outbound::new();
    for _ in 0..10 {
        client.send(service.request("GET"), LONG).await.ok();
    }
    let asked = service.asked().len();
    assert!(asked <= 20, "ten, and a burst of ten: {asked}");
}

#[tokio::test]
async fn a_service_that_refuses_nearly_everything_is_spared() {
    let told: Headers = &[];
    let service = Service::answering(&[(503, told); 1_000]).await;
    let client = Outbound::new().without_repetitions();
    let mut held_back = 0;
    for _ in 0..400 {
        match client.send(service.request("GET"), LONG).await {
            Ok(answer) => assert_eq!(answer.status(), 503),
            Err(OutboundError::Throttled) => held_back += 1,
            Err(error) => panic!("{error}"),
        }
    }
    assert_eq!(service.asked().len() + held_back, 400);
    assert!(held_back > 100, "{held_back}");
}

#[tokio::test]
async fn where_nobody_listens_any_request_is_tried_again() {
    let client = Outbound::new();
    let error = client.send(asking(nobody().await, "POST"), LONG).await.unwrap_err();
    assert!(matches!(error, OutboundError::Connect(_)), "{error}");
    assert!(error.to_string().contains("refused"), "{error}");
    let spent = (0..).take_while(|_| client.budget.spend()).count();
    assert_eq!(spent, 8, "two of ten were spent");
}

#[tokio::test]
async fn a_broken_exchange_is_repeated_only_where_that_is_safe() {
    for (method, times) in [("POST", 1), ("GET", 3)] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let rude = tokio::spawn(async move {
            for _ in 0..times {
                let (mut stream, _) = listener.accept().await.unwrap();
                stream.write_all(b"220 mail ready\r\n").await.unwrap();
            }
        });
        let error = Outbound::new().send(asking(address, method), LONG).await.unwrap_err();
        assert!(matches!(error, OutboundError::Exchange(_)), "{method}: {error}");
        rude.await.unwrap();
    }
}

#[tokio::test]
async fn nothing_takes_longer_than_it_may() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = silent.local_addr().unwrap();
    let halting =
        || async { Body::from_stream(stream::pending::<Result<Bytes, std::convert::Infallible>>()).into_response() };
    let (halting, _task) = serve(Router::new().fallback(halting)).await;
    for address in [address, halting] {
        let outcome = Outbound::new().send(asking(address, "GET"), Duration::from_millis(100)).await;
        assert!(matches!(outcome, Err(OutboundError::Late)), "{outcome:?}");
    }
}

#[tokio::test]
async fn who_waits_for_ever_is_answered_too() {
    let service = Service::answering(&[]).await;
    assert_eq!(Outbound::new().send(service.request("GET"), Duration::MAX).await.unwrap().status(), 200);
}

#[tokio::test]
async fn what_has_no_time_left_is_not_sent() {
    let service = Service::answering(&[]).await;
    let outcome = Outbound::new().send(service.request("GET"), Duration::ZERO).await;
    assert!(matches!(outcome, Err(OutboundError::Late)) && service.asked().is_empty());
}

#[tokio::test]
async fn an_answer_may_be_as_long_as_it_may_and_not_a_byte_longer() {
    let service = Service::answering(&[]).await;
    let client = |bytes| Outbound::new().longest_body(bytes);
    assert_eq!(client(4).send(service.request("GET"), LONG).await.unwrap().body().len(), 4);
    let outcome = client(3).send(service.request("GET"), LONG).await;
    assert!(matches!(outcome, Err(OutboundError::TooLong(3))), "{outcome:?}");
    assert_eq!(service.asked().len(), 2, "what is too long stays so");
}

#[tokio::test]
async fn an_address_that_is_none_is_said_so() {
    for address in ["https://localhost/", "/only/a/path"] {
        let request = Request::get(address).body(Bytes::new()).unwrap();
        let outcome = Outbound::new().without_repetitions().send(request, LONG).await;
        let Err(OutboundError::Connect(said) | OutboundError::Exchange(said)) = outcome else { panic!("{outcome:?}") };
        assert!(!said.is_empty());
    }
}

proptest! {
    #[test]
    fn a_post_without_a_key_is_repeated_only_where_nobody_was_reached(status in 100_u16..1_000) {
        let answer = Response::builder().status(status).body(Bytes::new()).unwrap();
        prop_assert_eq!(may_repeat(&Ok(answer), false), None);
    }
}
