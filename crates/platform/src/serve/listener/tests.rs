use std::sync::Mutex;

use axum::{
    body::Body,
    extract::ConnectInfo,
    routing::{get, post},
};
use http::StatusCode;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpSocket,
    sync::oneshot,
    task::JoinHandle,
    time::timeout,
};

use super::*;
use crate::{extract, security::tests::Sink, telemetry::Metrics};

/// Nothing here should take so long, also on a machine that does other things.
const LIMIT: Duration = Duration::from_secs(30);
/// What a slow client has in these tests.
const SHORT: Duration = Duration::from_millis(300);
const LONG: Duration = Duration::from_secs(3600);
const GET: &str = "GET /here HTTP/1.1\r\nHost: x\r\n\r\n";

struct Server {
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    ended: JoinHandle<Drained>,
}

/// Times that are never reached.
fn patient() -> Limits {
    Limits { head: LONG, body: LONG, answer: LONG, idle: LONG, ..Limits::default() }
}

fn hasty() -> Limits {
    Limits { head: SHORT, body: SHORT, answer: SHORT, idle: SHORT, ..Limits::default() }
}

/// `/here` answers at once, `/never` when the test is over, `/echo` the number that it is sent, `/large` more than fits into the
/// buffers of a socket.
fn router() -> Router {
    let routes = Router::new()
        .route("/here", get(async || "here"))
        .route("/peer", get(async |ConnectInfo(peer): ConnectInfo<SocketAddr>| peer.to_string()))
        .route("/never", get(async || std::future::pending::<&'static str>().await))
        .route("/echo", post(async |extract::Json(number): extract::Json<u32>| number.to_string()))
        .route("/large", get(async || Body::from(vec![b'x'; 32 << 20])));
    super::super::public(routes, super::super::Edge::default())
}

async fn open(name: &'static str, limits: Limits) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let shutdown = async move { _ = stopped.await };
    let ended = tokio::spawn(serve(name, listener, router(), limits, shutdown, LIMIT));
    Server { address, stop, ended }
}

impl Server {
    /// A connection on which this was sent.
    async fn send(&self, bytes: impl AsRef<[u8]>) -> TcpStream {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(bytes.as_ref()).await.unwrap();
        stream
    }

    /// All that is answered to this, up to the connection's end.
    async fn answer(&self, bytes: impl AsRef<[u8]>) -> String {
        rest(&mut self.send(bytes).await).await
    }

    async fn serves(&self) {
        let mut stream = self.send(GET).await;
        assert!(says(&mut stream, "here").await.starts_with("HTTP/1.1 200"));
    }
}

/// Reads until `end` was said.
async fn says(stream: &mut TcpStream, end: &str) -> String {
    let mut said = Vec::new();
    let reading = async {
        while !said.ends_with(end.as_bytes()) {
            let mut some = [0; 1024];
            let read = stream.read(&mut some).await.unwrap();
            assert!(read > 0, "ended after {}", String::from_utf8_lossy(&said));
            said.extend_from_slice(&some[..read]);
        }
    };
    timeout(LIMIT, reading).await.expect("it is said in time");
    String::from_utf8(said).unwrap()
}

async fn rest(stream: &mut TcpStream) -> String {
    let mut said = Vec::new();
    // What was said before a reset counts too.
    _ = timeout(LIMIT, stream.read_to_end(&mut said)).await.expect("the connection ends in time");
    String::from_utf8(said).unwrap()
}

/// Sends a byte every 20 ms until the other side has had enough, and what it said.
async fn drip(mut stream: TcpStream, byte: &[u8]) -> String {
    let dripping = async {
        let mut pace = tokio::time::interval(Duration::from_millis(20));
        let mut said = Vec::new();
        loop {
            tokio::select! {
                read = stream.read_buf(&mut said) => if !read.is_ok_and(|read| read > 0) { break said },
                _ = pace.tick() => { _ = stream.write_all(byte).await; }
            }
        }
    };
    let said = timeout(LIMIT, dripping).await.expect("it is ended in time");
    String::from_utf8(said).unwrap()
}

async fn counted(listener: &str, reason: &str) {
    let line = format!("{CLOSED}{{listener=\"{listener}\",reason=\"{reason}\"}} ");
    let counting = async {
        while !Metrics::of_process().render().contains(&line) {
            sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(LIMIT, counting).await.unwrap_or_else(|_| panic!("{line}\n{}", Metrics::of_process().render()));
}

#[track_caller]
fn is_problem(answer: &str, status: StatusCode, code: &str) {
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{answer:?}"));
    assert!(head.starts_with(&format!("HTTP/1.1 {}", status.as_u16())), "{answer}");
    let field = |name: &str| {
        let line = head.lines().find_map(|line| line.to_ascii_lowercase().strip_prefix(name).map(str::to_owned));
        line.unwrap_or_else(|| panic!("{name} in {answer}"))
    };
    assert_eq!(field("content-type: "), "application/problem+json");
    assert_eq!(field("connection: "), "close");
    assert_eq!(field("content-length: "), body.len().to_string());
    let body: serde_json::Value = serde_json::from_str(body).unwrap();
    assert_eq!(body["code"], code, "{answer}");
    let id = field("x-request-id: ");
    assert_eq!(body["instance"], format!("urn:uuid:{id}"), "{answer}");
    // Of what never became a request the id is all there is.
    let trace = body["trace_id"].as_str().unwrap();
    assert!(trace == id || trace.len() == 32 && u128::from_str_radix(trace, 16).is_ok_and(|id| id != 0), "{answer}");
}

#[tokio::test]
async fn every_kind_of_slow_client_is_ended_in_its_time_and_others_are_served() {
    Metrics::of_process();
    let server = open("slow", hasty()).await;
    let half_head = "GET /here HTTP/1.1\r\nHost: x\r\nX-More: ";
    let half_body = "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 99\r\n\r\n1";
    let (silent, head, dripped_head, body, dripped_body, idle, ()) = tokio::join!(
        server.answer(""),
        server.answer(half_head),
        async { drip(server.send(half_head).await, b"a").await },
        server.answer(half_body),
        async { drip(server.send(half_body).await, b"1").await },
        server.answer(GET),
        server.serves(),
    );
    assert_eq!(silent, "");
    assert!(idle.starts_with("HTTP/1.1 200") && idle.ends_with("\r\n\r\nhere"), "{idle}");
    for slow in [head, dripped_head, body, dripped_body] {
        is_problem(&slow, StatusCode::REQUEST_TIMEOUT, "request-timeout");
    }
    for reason in ["silent", "slow_head", "slow_body", "idle"] {
        counted("slow", reason).await;
    }
    server.serves().await;
}

#[tokio::test]
async fn a_client_that_does_not_read_its_answer_loses_it() {
    Metrics::of_process();
    let server = open("unread", Limits { answer: SHORT, ..patient() }).await;
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let mut client = socket.connect(server.address).await.unwrap();
    client.write_all(b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    counted("unread", "slow_reader").await;
    server.serves().await;
}

#[tokio::test]
async fn at_the_bound_the_oldest_idle_connection_gives_up_its_place() {
    Metrics::of_process();
    let server = open("bound", Limits { connections: 3, ..patient() }).await;
    let mut busy = server.send("GET /never HTTP/1.1\r\nHost: x\r\n\r\n").await;
    // Each is younger than the one before by what it takes to notice it: milliseconds tell them apart.
    let mut older = server.send(GET).await;
    says(&mut older, "here").await;
    sleep(Duration::from_millis(20)).await;
    let mut younger = server.send(GET).await;
    says(&mut younger, "here").await;
    server.serves().await;
    assert_eq!(rest(&mut older).await, "");
    // The connection of `serves` was closed by its client, or is older than neither.
    younger.write_all(GET.as_bytes()).await.unwrap();
    says(&mut younger, "here").await;
    let unread = timeout(Duration::from_millis(50), busy.read_u8()).await;
    assert!(unread.is_err(), "who is worked for stays");
    counted("bound", "displaced").await;
}

#[tokio::test]
async fn where_all_are_worked_for_the_newest_is_told_so() {
    Metrics::of_process();
    let server = open("full", Limits { connections: 1, ..patient() }).await;
    let mut busy = server.send("GET /here HTTP/1.1\r\nHost: x\r\n\r\nGET /never HTTP/1.1\r\nHost: x\r\n\r\n").await;
    says(&mut busy, "here").await;
    // The second request begins right after the first was answered; a client that comes in between takes the place.
    let refused = async {
        loop {
            let answer = rest(&mut TcpStream::connect(server.address).await.unwrap()).await;
            if !answer.is_empty() {
                return answer;
            }
        }
    };
    let refused = timeout(LIMIT, refused).await.unwrap();
    is_problem(&refused, StatusCode::SERVICE_UNAVAILABLE, "overloaded");
    assert!(refused.contains("retry-after: 1\r\n"), "{refused}");
    counted("full", "refused").await;
}

#[tokio::test]
async fn a_client_that_keeps_a_handler_waiting_is_given_up_for_another() {
    let server = open("patience", Limits { connections: 1, ..patient() }).await;
    let half = "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n1";
    let mut slow = server.send(half).await;
    let served = async {
        while !server.answer("GET /here HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await.ends_with("here") {}
    };
    timeout(LIMIT, served).await.expect("another is served after a while");
    assert_eq!(rest(&mut slow).await, "");
}

#[tokio::test]
async fn a_listener_that_gets_no_descriptors_goes_on_once_it_gets_some() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let mut house = House::new("descriptors", router(), patient());
    let mut asked = 0;
    let accept = |cx: &mut Context<'_>| {
        asked += 1;
        match asked {
            1..=3 => Poll::Ready(Err(io::Error::from_raw_os_error(24))), // EMFILE
            _ => listener.poll_accept(cx),
        }
    };
    let client = async {
        let mut client = TcpStream::connect(address).await.unwrap();
        client.write_all(GET.as_bytes()).await.unwrap();
        says(&mut client, "here").await;
    };
    let began = Instant::now();
    house.receive(accept, client).await;
    assert!(began.elapsed() >= 3 * ACCEPT_PAUSE, "it does not spin");
}

#[tokio::test]
async fn a_bound_that_is_met_is_told_once_a_second() {
    let (mut reader, writer) = io::pipe().unwrap();
    let lines = move || writer.try_clone().unwrap();
    let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer(lines).finish();
    tracing::subscriber::with_default(subscriber, || {
        let mut house = House::new("told", router(), patient());
        for _ in 0..1000 {
            house.complaint.displaced += 1;
            house.complain();
        }
        house.complaint.last = house.complaint.last.and_then(|last| last.checked_sub(LOG_EVERY));
        house.complain();
    });
    let mut said = String::new();
    reader.read_to_string(&mut said).unwrap();
    assert_eq!(said.lines().count(), 2, "{said}");
    assert!(said.contains("displaced=1 ") && said.contains("displaced=999 "), "{said}");
}

/// What a listener says until `then` is over, and in all, where `burst` were displaced one after another and nobody comes after them.
async fn said_of(burst: u64, then: Duration) -> [String; 2] {
    let written = Arc::<Mutex<Vec<u8>>>::default();
    let sink = Arc::clone(&written);
    let log = tracing_subscriber::fmt().with_ansi(false).with_writer(move || Sink(Arc::clone(&sink))).finish();
    let _until_the_end = tracing::subscriber::set_default(log);
    let said = || String::from_utf8(written.lock().unwrap().clone()).unwrap();
    let mut house = House::new("told", router(), patient());
    for _ in 0..burst {
        house.complaint.displaced += 1;
        house.complain();
    }
    house.receive(|_| Poll::Pending, sleep(then)).await;
    let meanwhile = said();
    assert_eq!(house.drain(Duration::ZERO).await, Drained::Complete);
    [meanwhile, said()]
}

#[tokio::test(start_paused = true)]
async fn the_last_of_a_burst_are_told_though_nobody_comes_after_them() {
    let lines = |[meanwhile, all]: &[String; 2]| (meanwhile.lines().count(), all.lines().count());
    let later = said_of(1000, LOG_EVERY * 10).await;
    assert!(lines(&later) == (2, 2) && later[0].contains("displaced=999 "), "{later:?}");
    let at_the_end = said_of(1000, LOG_EVERY / 2).await;
    assert!(lines(&at_the_end) == (1, 2) && at_the_end[1].contains("displaced=999 "), "{at_the_end:?}");
    let told = said_of(1, LOG_EVERY * 10).await;
    assert_eq!(lines(&told), (1, 1), "what was told is not told again: {told:?}");
    assert_eq!(lines(&said_of(0, LOG_EVERY * 10).await), (0, 0));
}

#[tokio::test]
async fn a_drain_ends_half_open_clients_at_once_and_answers_what_has_come() {
    let server = open("drain", patient()).await;
    let half_body = "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 99\r\n\r\n1";
    let mut half_open = Vec::new();
    for begun in ["", "GET /here HTTP/1.1\r\nHost: x\r\n", GET, half_body] {
        half_open.push(server.send(begun).await);
    }
    says(&mut half_open[2], "here").await;
    server.serves().await;
    server.stop.send(()).unwrap();
    let began = Instant::now();
    assert_eq!(timeout(LIMIT, server.ended).await.unwrap().unwrap(), Drained::Complete);
    assert!(began.elapsed() < LIMIT / 2, "not at its limit");
    for mut client in half_open {
        assert_eq!(rest(&mut client).await, "");
    }
}

#[tokio::test]
async fn a_drain_lets_requests_in_flight_finish_and_ends_their_connections() {
    let (begun, mut begins) = tokio::sync::mpsc::channel(1);
    let (finish, finishes) = tokio::sync::watch::channel(false);
    let handler = async move || {
        begun.send(()).await.unwrap();
        finishes.clone().wait_for(|finish| *finish).await.unwrap();
        "done"
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let router = Router::new().route("/", get(handler));
    let shutdown = async move { _ = stopped.await };
    let ended = tokio::spawn(serve("flight", listener, router, patient(), shutdown, LIMIT));
    let mut client = TcpStream::connect(address).await.unwrap();
    client.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    begins.recv().await.unwrap();
    stop.send(()).unwrap();
    let closed = async {
        while TcpStream::connect(address).await.is_ok() {
            tokio::task::yield_now().await;
        }
    };
    timeout(LIMIT, closed).await.expect("the listener takes nobody any more");
    finish.send(true).unwrap();
    let answer = rest(&mut client).await;
    assert!(answer.contains("connection: close") && answer.ends_with("done"), "{answer}");
    assert_eq!(ended.await.unwrap(), Drained::Complete);
}

#[tokio::test]
async fn a_drain_ends_at_its_limit() {
    let (in_flight, mut arrived) = tokio::sync::mpsc::channel(1);
    let never = async move || {
        in_flight.send(()).await.unwrap();
        std::future::pending::<&'static str>().await
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let shutdown = async move { _ = stopped.await };
    let router = Router::new().route("/never", get(never));
    let ended = tokio::spawn(serve("limit", listener, router, patient(), shutdown, Duration::from_millis(50)));
    let mut client = TcpStream::connect(address).await.unwrap();
    client.write_all(b"GET /never HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    arrived.recv().await.unwrap();
    stop.send(()).unwrap();
    assert_eq!(ended.await.unwrap(), Drained::CutOff);
}

#[tokio::test]
async fn a_drain_without_traffic_is_complete_at_once() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let ended = serve("quiet", listener, router(), patient(), std::future::ready(()), LONG);
    assert_eq!(timeout(LIMIT, ended).await.unwrap(), Drained::Complete);
}

#[tokio::test]
async fn what_never_reaches_the_router_is_answered_with_a_problem() {
    let server = open("refusals", patient()).await;
    let fields = (0..=Limits::FIELDS).map(|n| format!("x-{n}: y\r\n")).collect::<String>();
    let long = "y".repeat(Limits::default().head_bytes);
    let cases = [
        ("GET / HTTP/9\r\n\r\n".to_owned(), StatusCode::BAD_REQUEST, "invalid-request"),
        ("\u{1}\u{2}\r\n\r\n".to_owned(), StatusCode::BAD_REQUEST, "invalid-request"),
        ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_owned(), StatusCode::BAD_REQUEST, "invalid-request"),
        ("GET /here HTTP/1.1\r\nHost : x\r\n\r\n".to_owned(), StatusCode::BAD_REQUEST, "invalid-request"),
        ("GET /here HTTP/1.1\r\n\r\n".to_owned(), StatusCode::BAD_REQUEST, "invalid-request"),
        ("GET /here HTTP/1.1\r\nHost: x\r\nHost: x\r\n\r\n".to_owned(), StatusCode::BAD_REQUEST, "invalid-request"),
        (format!("GET /{long} HTTP/1.1\r\nHost: x\r\n\r\n"), StatusCode::URI_TOO_LONG, "uri-too-long"),
        (
            format!("GET / HTTP/1.1\r\nHost: x\r\n{fields}\r\n"),
            StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            "head-too-large",
        ),
        (
            format!("GET / HTTP/1.1\r\nHost: x\r\nx: {long}\r\n\r\n"),
            StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            "head-too-large",
        ),
        (
            format!("GET / HTTP/1.1\r\nHost: x\r\nx: {}", long.repeat(25)),
            StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            "head-too-large",
        ),
    ];
    for (request, status, code) in cases {
        is_problem(&server.answer(request).await, status, code);
    }
    // After requests that were answered too.
    let answers = server.answer(format!("{GET}{GET}nonsense\r\n\r\n")).await;
    let last = answers.rsplit_once("here").unwrap().1;
    assert_eq!(answers.matches("HTTP/1.1 200").count(), 2, "{answers}");
    is_problem(last, StatusCode::BAD_REQUEST, "invalid-request");
}

#[tokio::test]
async fn a_body_that_is_too_large_is_refused_before_it_is_sent() {
    let server = open("expect", patient()).await;
    let announce = |length| {
        format!(
            "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\
             Expect: 100-continue\r\n\r\n"
        )
    };
    let refused = server.answer(announce(extract::BODY_LIMIT + 1)).await;
    is_problem(&refused, StatusCode::PAYLOAD_TOO_LARGE, "payload-too-large");
    let mut client = server.send(announce(1)).await;
    says(&mut client, "HTTP/1.1 100 Continue\r\n\r\n").await;
    client.write_all(b"7").await.unwrap();
    assert!(says(&mut client, "\r\n\r\n7").await.starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn a_client_that_sends_more_than_it_may_hears_the_answer_nevertheless() {
    let server = open("linger", patient()).await;
    let body = "1".repeat(3 * extract::BODY_LIMIT);
    for framing in [format!("Content-Length: {}", body.len()), "Transfer-Encoding: chunked".to_owned()] {
        let chunk = if framing.starts_with("Transfer") { format!("{:x}\r\n", body.len()) } else { String::new() };
        let head =
            format!("POST /echo HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n{framing}\r\n\r\n{chunk}");
        is_problem(&server.answer(head + &body).await, StatusCode::PAYLOAD_TOO_LARGE, "payload-too-large");
    }
}

#[tokio::test]
async fn a_handler_knows_who_sends() {
    let server = open("peer", patient()).await;
    let mut client = server.send("GET /peer HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await;
    let from = client.local_addr().unwrap().to_string();
    assert!(rest(&mut client).await.ends_with(&from));
}
