use std::io;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};

use crate::Upstream;

/// One end of a connection.
#[derive(Debug)]
pub(super) enum Socket {
    Tcp(TcpStream),
    Unix(UnixStream),
}

pub(super) type Reader<'s> = Box<dyn AsyncRead + Send + Unpin + 's>;
pub(super) type Writer<'s> = Box<dyn AsyncWrite + Send + Unpin + 's>;

impl Socket {
    pub(super) async fn connect(upstream: &Upstream) -> io::Result<Self> {
        let socket = match upstream {
            Upstream::Unix(path) => Self::Unix(UnixStream::connect(path).await?),
            Upstream::Tcp(address) => Self::Tcp(TcpStream::connect(address).await?),
        };
        socket.send_at_once()?;
        Ok(socket)
    }

    /// Small messages are not held back to be joined: the proxy would add 40 ms that are nobody's.
    pub(super) fn send_at_once(&self) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => stream.set_nodelay(true),
            Self::Unix(_) => Ok(()),
        }
    }

    pub(super) fn split(&mut self) -> (Reader<'_>, Writer<'_>) {
        match self {
            Self::Tcp(stream) => {
                let (reader, writer) = stream.split();
                (Box::new(reader), Box::new(writer))
            }
            Self::Unix(stream) => {
                let (reader, writer) = stream.split();
                (Box::new(reader), Box::new(writer))
            }
        }
    }

    /// Closes it so that the other end hears of a reset, as far as its kind knows one.
    pub(super) fn reset(self) {
        if let Self::Tcp(stream) = &self {
            // Where this fails it is closed all the same.
            _ = stream.set_zero_linger();
        }
    }
}
