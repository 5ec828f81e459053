//! A connection's bytes, on their way to and from hyper: they tell what the connection does.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use http::StatusCode;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};

use super::state::{Phase, State};

/// A socket that notes what passes.
///
/// What is written while no request is under way are hyper's own words: an answer without a body to a head that is none. They
/// are kept back, so that ours are sent in their place. (While an earlier answer is still on its way, hyper's go out.)
#[derive(Debug)]
pub(super) struct Io {
    stream: TcpStream,
    state: Arc<State>,
    refused: Option<StatusCode>,
}

impl Io {
    pub(super) fn new(stream: TcpStream, state: Arc<State>) -> Self {
        Self { stream, state, refused: None }
    }

    /// The socket, and how hyper would have refused what came last.
    pub(super) fn into_parts(self) -> (TcpStream, Option<StatusCode>) {
        (self.stream, self.refused)
    }

    fn between_requests(&self) -> bool {
        matches!(self.state.phase(), Phase::Silent | Phase::Idle | Phase::Head | Phase::Ended)
    }

    /// `HTTP/1.1 431 ..`: hyper writes the whole head at once.
    fn keep_back(&mut self, words: &[u8]) -> usize {
        self.refused = self.refused.or_else(|| StatusCode::from_bytes(words.get(9..12)?).ok());
        words.len()
    }

    fn note(&self, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if written.is_pending() {
            self.state.blocked();
        }
        written
    }
}

impl AsyncRead for Io {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buf))?;
        if buf.filled().len() > before && !self.state.heard() {
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Io {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        if self.between_requests() {
            return Poll::Ready(Ok(self.keep_back(buf)));
        }
        let written = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.note(written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.between_requests() {
            return Poll::Ready(Ok(bufs.iter().map(|buf| self.keep_back(buf)).sum()));
        }
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.note(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.stream).poll_flush(cx))?;
        self.state.flushed();
        Poll::Ready(Ok(()))
    }

    /// The connection's owner shuts down, once it has had the last word.
    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
