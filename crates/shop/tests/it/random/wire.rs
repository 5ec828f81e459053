//! A connection that sends whatever bytes it is given, and reads what comes back.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::{sleep, timeout};

/// Nothing may take longer.
const LIMIT: Duration = Duration::from_secs(10);
/// How long a line stays open behind a request whose end cannot be told.
const MOMENT: Duration = Duration::from_millis(200);

#[derive(Debug)]
pub(super) struct Line {
    stream: TcpStream,
    read: Vec<u8>,
}

#[derive(Clone, Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    headers: Vec<(String, Vec<u8>)>,
    pub(super) body: Vec<u8>,
    /// Nothing more comes on this line.
    pub(super) last: bool,
}

/// What became of a request.
#[derive(Debug)]
pub(super) enum Outcome {
    Answered(Answer),
    /// The line ended without an answer: in order, or by a reset.
    Closed {
        reset: bool,
    },
    /// Neither.
    Hung(&'static str),
    /// What came is no HTTP.
    Unreadable(String),
}

impl Answer {
    /// A field's value, as far as it is text.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        let (_, value) = self.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name))?;
        std::str::from_utf8(value).ok()
    }
}

impl Line {
    /// From an address of its own in 127.0.0.0/8, so that whoever counts by address sees many clients.
    pub(super) async fn open(to: SocketAddr, from: Ipv4Addr) -> io::Result<Self> {
        let socket = TcpSocket::new_v4()?;
        socket.bind((from, 0).into())?;
        let stream = socket.connect(to).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, read: Vec::new() })
    }

    /// Sends a request and waits for the answer. Whoever may wait for more of a broken one is told after a moment that
    /// nothing comes.
    pub(super) async fn ask(&mut self, request: &[u8], head: bool, broken: bool) -> Outcome {
        let Self { stream, read } = self;
        let (mut reads, mut writes) = stream.split();
        // Whoever is refused early need not be able to send the rest.
        let sending = async {
            let sent = writes.write_all(request).await;
            if broken && sent.is_ok() {
                sleep(MOMENT).await;
                _ = writes.shutdown().await;
            }
            std::future::pending::<()>().await;
        };
        let answer = async {
            loop {
                match parse(read, head) {
                    Ok(Some((answer, length))) => {
                        read.drain(..length);
                        return Outcome::Answered(answer);
                    }
                    Ok(None) => {}
                    Err(what) => return Outcome::Unreadable(what),
                }
                match reads.read_buf(read).await {
                    // Whoever was told to go on with a broken one may be left without more.
                    Ok(0) if broken || read.is_empty() => return Outcome::Closed { reset: false },
                    Ok(0) => return Outcome::Unreadable(format!("cut off after {} bytes", read.len())),
                    Ok(_) => {}
                    Err(_) => return Outcome::Closed { reset: true },
                }
            }
        };
        tokio::select! {
            () = sending => unreachable!("it goes on"),
            answered = timeout(LIMIT, answer) => answered.unwrap_or(Outcome::Hung("no answer within 10 s")),
        }
    }

    /// Whether the other side closes, too, once it said so.
    pub(super) async fn closes(mut self) -> bool {
        let ending = async {
            while self.stream.read_buf(&mut self.read).await.is_ok_and(|read| read > 0) {
                self.read.clear();
            }
        };
        timeout(LIMIT, ending).await.is_ok()
    }
}

/// The first answer in these bytes and its length, once all of it is there; interim ones are passed over.
fn parse(bytes: &[u8], head: bool) -> Result<Option<(Answer, usize)>, String> {
    let mut fields = [httparse::EMPTY_HEADER; 64];
    let mut answer = httparse::Response::new(&mut fields);
    let began = match answer.parse(bytes) {
        Ok(httparse::Status::Complete(length)) => length,
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(error) => return Err(format!("{error}: {:?}", String::from_utf8_lossy(&bytes[..bytes.len().min(200)]))),
    };
    let status = answer.code.unwrap_or(0);
    if (100..200).contains(&status) {
        let rest = parse(&bytes[began..], head)?;
        return Ok(rest.map(|(answer, length)| (answer, began + length)));
    }
    let version = answer.version;
    let headers: Vec<_> = answer.headers.iter().map(|field| (field.name.to_owned(), field.value.to_vec())).collect();
    let mut answer = Answer { status, headers, body: Vec::new(), last: false };
    let connection = answer.header("connection").unwrap_or_default();
    answer.last = connection.eq_ignore_ascii_case("close")
        || version == Some(0) && !connection.eq_ignore_ascii_case("keep-alive");
    let length = match answer.header("content-length").map(str::parse::<usize>) {
        _ if head || status == 204 || status == 304 => 0,
        Some(Ok(length)) => length,
        _ => return Err(format!("an answer {status} of unknown length")),
    };
    if bytes.len() < began + length {
        return Ok(None);
    }
    answer.body = bytes[began..began + length].to_vec();
    Ok(Some((answer, began + length)))
}
