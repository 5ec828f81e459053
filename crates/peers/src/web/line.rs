use std::io;
use std::net::SocketAddr;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// A connection to an app that is kept alive, and asks one question after another. It understands as much of HTTP as axum
/// answers with, so that asking costs little.
#[derive(Debug)]
pub(crate) struct Line {
    stream: TcpStream,
    read: Vec<u8>,
}

const QUESTION: &[u8] = b"GET / HTTP/1.1\r\nhost: app\r\n\r\n";

impl Line {
    pub(crate) async fn open(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, read: Vec::with_capacity(1_024) })
    }

    /// The status of the answer, once it was read to its end. Whoever drops this has no use for the line any more.
    pub(crate) async fn ask(&mut self) -> io::Result<u16> {
        self.read.clear();
        self.stream.write_all(QUESTION).await?;
        loop {
            if self.stream.read_buf(&mut self.read).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            if let Some(status) = status_of(&self.read)? {
                return Ok(status);
            }
        }
    }
}

/// The status of an answer; `None` as long as some of it is missing.
fn status_of(answer: &[u8]) -> io::Result<Option<u16>> {
    let unclear = || io::Error::from(io::ErrorKind::InvalidData);
    let Some(head) = answer.windows(4).position(|end| end == b"\r\n\r\n") else { return Ok(None) };
    let (head, body) = (str::from_utf8(&answer[..head]).map_err(|_binary| unclear())?, &answer[head + 4..]);
    let mut lines = head.split("\r\n");
    let status = lines.next().and_then(|line| line.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok());
    let length = lines.find_map(|line| line.strip_prefix("content-length: ")?.parse::<usize>().ok());
    let (status, length) = status.zip(length).ok_or_else(unclear)?;
    Ok((body.len() >= length).then_some(status))
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
        assert_eq!(status_of(answer).expect("it is an answer"), Some(503));
        assert_eq!(status_of(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").expect("it is an answer"), Some(200));
        assert!(status_of(b"HTTP/1.1 200 OK\r\n\r\n").is_err(), "it has no length");
    }
}
