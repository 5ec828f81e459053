//! Somebody who is told of events, and behaves as badly as a test wants.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use forebay_platform::webhook::{self, Secret};
use serde_json::Value;
use time::OffsetDateTime;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use uuid::Uuid;

/// What it does with a request that it has read.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Act {
    /// Answers with this status, these header lines, and this many bytes.
    Answer(u16, &'static str, usize),
    /// Says nothing.
    Hang,
    /// Closes the connection.
    Die,
}

pub(crate) const OK: Act = Act::Answer(204, "", 0);

/// A webhook that came, whatever was answered.
#[derive(Clone, Debug)]
pub(crate) struct Received {
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

type Script = Box<dyn FnMut(&Received) -> Act + Send>;

/// Listens until it is dropped.
pub(crate) struct Receiver {
    pub(crate) address: SocketAddr,
    shared: Arc<Shared>,
    _task: JoinSet<()>,
}

struct Shared {
    received: Mutex<Vec<Received>>,
    script: Mutex<Script>,
}

impl Receiver {
    /// Does what `script` says to each request.
    pub(crate) async fn doing(script: impl FnMut(&Received) -> Act + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared { received: Mutex::default(), script: Mutex::new(Box::new(script)) });
        let mut task = JoinSet::new();
        task.spawn(listen(listener, Arc::clone(&shared)));
        Self { address, shared, _task: task }
    }

    pub(crate) async fn well() -> Self {
        Self::doing(|_| OK).await
    }

    /// From now on.
    pub(crate) fn does(&self, script: impl FnMut(&Received) -> Act + Send + 'static) {
        *self.shared.script.lock().unwrap() = Box::new(script);
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/hooks", self.address)
    }

    pub(crate) fn received(&self) -> Vec<Received> {
        self.shared.received.lock().unwrap().clone()
    }

    pub(crate) fn count(&self) -> usize {
        self.shared.received.lock().unwrap().len()
    }

    /// The types of what came, in its order.
    pub(crate) fn types(&self) -> Vec<String> {
        self.received().iter().map(Received::kind).collect()
    }
}

impl Received {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }

    pub(crate) fn kind(&self) -> String {
        self.json()["type"].as_str().unwrap().to_owned()
    }

    pub(crate) fn order(&self) -> Uuid {
        self.json()["data"]["order_id"].as_str().unwrap().parse().unwrap()
    }

    pub(crate) fn id(&self) -> Uuid {
        self.headers[webhook::ID].to_str().unwrap().parse().unwrap()
    }

    /// Whether a receiver with this secret would believe it.
    pub(crate) fn is_signed_by(&self, secret: &Secret, now: OffsetDateTime) -> bool {
        webhook::verify(std::slice::from_ref(secret), &self.headers, self.body.as_bytes(), now).is_ok()
    }
}

async fn listen(listener: TcpListener, shared: Arc<Shared>) {
    // Its connections end with it.
    let mut connections = JoinSet::new();
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        connections.spawn(serve(stream, Arc::clone(&shared)));
    }
}

/// Until the other side closes it, or the script does.
async fn serve(mut stream: TcpStream, shared: Arc<Shared>) {
    while let Some(received) = read(&mut stream).await {
        let act = (shared.script.lock().unwrap())(&received);
        shared.received.lock().unwrap().push(received);
        match act {
            Act::Answer(status, headers, bytes) => {
                let body = "x".repeat(bytes);
                let length = if status == 204 { String::new() } else { format!("content-length: {bytes}\r\n") };
                let answer = format!("HTTP/1.1 {status} Said\r\n{headers}{length}\r\n{body}");
                if stream.write_all(answer.as_bytes()).await.is_err() {
                    return;
                }
            }
            Act::Hang => std::future::pending().await,
            Act::Die => return,
        }
    }
}

async fn read(stream: &mut TcpStream) -> Option<Received> {
    let mut bytes = Vec::new();
    let (head, length) = loop {
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            let headers = headers(std::str::from_utf8(&bytes[..end]).unwrap());
            let length: usize = headers["content-length"].to_str().unwrap().parse().unwrap();
            break (headers, end + 4 + length);
        }
    };
    while bytes.len() < length {
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    }
    let from = length - head["content-length"].to_str().unwrap().parse::<usize>().unwrap();
    Some(Received { headers: head, body: String::from_utf8(bytes[from..length].to_vec()).unwrap() })
}

fn headers(head: &str) -> HeaderMap {
    let lines = head.split("\r\n").skip(1).map(|line| line.split_once(": ").unwrap());
    lines.map(|(name, value)| (name.parse::<HeaderName>().unwrap(), HeaderValue::from_str(value).unwrap())).collect()
}
