use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::ops::Range;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};

/// A connection to an app that is kept alive, and asks one question after another. It understands as much of HTTP as axum
/// answers with, so that asking costs little.
#[derive(Debug)]
pub(crate) struct Line {
    stream: TcpStream,
    read: Vec<u8>,
    body: Range<usize>,
}

const QUESTION: &[u8] = b"GET / HTTP/1.1\r\nhost: app\r\n\r\n";

impl Line {
    pub(crate) async fn open(address: SocketAddr) -> io::Result<Self> {
        Self::open_from(Ipv4Addr::LOCALHOST, address).await
    }

    /// From an address of its own, which may be any of 127.0.0.0/8.
    pub(crate) async fn open_from(here: Ipv4Addr, address: SocketAddr) -> io::Result<Self> {
        let socket = TcpSocket::new_v4()?;
        socket.bind((here, 0).into())?;
        let stream = socket.connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, read: Vec::with_capacity(1_024), body: 0..0 })
    }

    /// Asks for the front page; see [`Line::send`].
    pub(crate) async fn ask(&mut self) -> io::Result<u16> {
        self.send(QUESTION).await
    }

    /// The status of the answer to `question`, once it was read to its end. Whoever drops this has no use for the line any
    /// more.
    pub(crate) async fn send(&mut self, question: &[u8]) -> io::Result<u16> {
        self.read.clear();
        self.body = 0..0;
        self.stream.write_all(question).await?;
        loop {
            if self.stream.read_buf(&mut self.read).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            if let Some((status, body)) = status_of(&self.read)? {
                self.body = body;
                return Ok(status);
            }
        }
    }

    /// The body of the last answer.
    pub(crate) fn body(&self) -> &[u8] {
        &self.read[self.body.clone()]
    }
}

/// The status of an answer, and where its body is; `None` as long as some of it is missing.
fn status_of(answer: &[u8]) -> io::Result<Option<(u16, Range<usize>)>> {
    let unclear = || io::Error::from(io::ErrorKind::InvalidData);
    let Some(head) = answer.windows(4).position(|end| end == b"\r\n\r\n") else { return Ok(None) };
    let began = head + 4;
    let head = str::from_utf8(&answer[..head]).map_err(|_binary| unclear())?;
    let mut lines = head.split("\r\n");
    let status = lines.next().and_then(|line| line.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok());
    let length = lines.find_map(|line| line.strip_prefix("content-length: ")?.parse::<usize>().ok());
    let (status, length) = status.zip(length).ok_or_else(unclear)?;
    Ok((answer.len() - began >= length).then_some((status, began..began + length)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_has_a_status_once_all_of_it_is_there() {
        let answer = b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 1\r\ncontent-length: 4\r\n\r\nbusy";
        for end in 0..answer.len() {
            assert_eq!(status_of(&answer[..end]).expect("so far so good"), None, "after {end} bytes");
        }
        let (status, body) = status_of(answer).expect("it is an answer").expect("all of it is there");
        assert_eq!((status, &answer[body]), (503, &b"busy"[..]));
        let empty = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
        assert_eq!(status_of(empty).expect("it is an answer"), Some((200, empty.len()..empty.len())));
        assert!(status_of(b"HTTP/1.1 200 OK\r\n\r\n").is_err(), "it has no length");
    }
}
