//! What a client sees that is refused while it sends a body, over a real socket.

use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use axum::routing::post;
use forebay_pool::http::{AdmissionLayer, refusal};
use forebay_pool::{Admission, Class};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::{Site, rules};

/// A service that refuses everything, since its pool is closed.
async fn refusing() -> SocketAddr {
    let site = Site::new(rules()).await;
    site.pool.close().await;
    let admit = |_: &Request<Body>| Admission::within(Class::Normal, Duration::from_secs(2));
    let layer = AdmissionLayer::new(Some(site.pool.clone()), admit, refusal::<Body>);
    let router = Router::new().route("/", post(async |body: String| body)).layer(layer);
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("it has one");
    tokio::spawn(async move { axum::serve(listener, router).await });
    address
}

struct Client(TcpStream);

impl Client {
    async fn new(address: SocketAddr) -> Self {
        Self(TcpStream::connect(address).await.expect("it listens"))
    }

    /// Sends as much as the server takes, and only then looks for an answer. Says whether all was sent.
    async fn upload(&mut self, length: usize) -> bool {
        self.ask(length, "").await;
        self.0.write_all(&vec![b'x'; length]).await.is_ok()
    }

    async fn ask(&mut self, length: usize, header: &str) {
        let head = format!("POST / HTTP/1.1\r\nhost: x\r\n{header}content-length: {length}\r\n\r\n");
        self.0.write_all(head.as_bytes()).await.expect("it is taken");
    }

    /// The whole answer.
    async fn answer(&mut self) -> String {
        let mut answer = Vec::new();
        while !answer.ends_with(b"}") {
            let read = self.0.read_buf(&mut answer).await.expect("no reset before the end");
            assert!(read > 0, "it ends early: {}", String::from_utf8_lossy(&answer));
        }
        String::from_utf8_lossy(&answer).into_owned()
    }
}

fn is_refused(answer: &str) -> bool {
    answer.starts_with("HTTP/1.1 503 Service Unavailable\r\n") && answer.contains("nothing was executed")
}

#[tokio::test]
async fn a_refused_upload_is_read_away_and_its_connection_used_again() {
    let mut client = Client::new(refusing().await).await;
    for length in [0, 1, 60_000, 10] {
        assert!(client.upload(length).await);
        let answer = client.answer().await;
        assert!(is_refused(&answer), "{length}: {answer}");
    }
}

#[tokio::test]
async fn an_upload_too_long_to_be_read_away_is_cut_off_behind_its_answer() {
    let address = refusing().await;
    for length in [1_000_000, 50_000_000] {
        let mut client = Client::new(address).await;
        let all = client.upload(length).await;
        assert!(!all || length < 50_000_000, "the server has not read all of it");
        let answer = client.answer().await;
        assert!(is_refused(&answer), "{length}: {answer}");
    }
}

#[tokio::test]
async fn an_upload_that_stops_half_way_is_answered() {
    let mut client = Client::new(refusing().await).await;
    client.ask(1_000, "").await;
    client.0.write_all(b"the first of it").await.expect("it is taken");
    assert!(is_refused(&client.answer().await));
}

#[tokio::test]
async fn whoever_asks_before_it_sends_is_not_told_to_go_on() {
    let mut client = Client::new(refusing().await).await;
    client.ask(1_000, "expect: 100-continue\r\n").await;
    let answer = client.answer().await;
    assert!(is_refused(&answer), "{answer}");
}
