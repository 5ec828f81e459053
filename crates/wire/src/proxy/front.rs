use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use tokio::net::{TcpListener, TcpSocket, UnixListener};

use super::Socket;

/// The place to listen at. It stays ours also while nobody listens there.
#[derive(Debug)]
pub(super) enum Front {
    Tcp {
        address: SocketAddr,
        /// Bound and never listening: connections are refused, and nobody else gets the port.
        _keeper: TcpSocket,
    },
    Unix(PathBuf),
}

#[derive(Debug)]
pub(super) enum Listener {
    Tcp(TcpListener),
    Unix(UnixListener),
}

impl Front {
    pub(super) fn tcp() -> io::Result<Self> {
        let keeper = bound((Ipv4Addr::LOCALHOST, 0).into())?;
        Ok(Self::Tcp { address: keeper.local_addr()?, _keeper: keeper })
    }

    pub(super) fn unix(path: &Path) -> Self {
        Self::Unix(path.to_owned())
    }

    pub(super) const fn address(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp { address, .. } => Some(*address),
            Self::Unix(_) => None,
        }
    }

    pub(super) fn listen(&self) -> io::Result<Listener> {
        match self {
            Self::Tcp { address, .. } => bound(*address)?.listen(1024).map(Listener::Tcp),
            Self::Unix(path) => {
                match std::fs::remove_file(path) {
                    Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                    _ => {}
                }
                UnixListener::bind(path).map(Listener::Unix)
            }
        }
    }
}

fn bound(address: SocketAddr) -> io::Result<TcpSocket> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    Ok(socket)
}

/// The next who connects; never, while nobody listens.
pub(super) async fn accept(listener: Option<&Listener>) -> Socket {
    loop {
        let accepted = match listener {
            None => std::future::pending().await,
            Some(Listener::Tcp(listener)) => listener.accept().await.map(|(stream, _)| Socket::Tcp(stream)),
            Some(Listener::Unix(listener)) => listener.accept().await.map(|(stream, _)| Socket::Unix(stream)),
        };
        match accepted {
            Ok(socket) => return socket,
            // The one who connected has left already, or this process has too many files open: others may have more luck.
            Err(_) => tokio::task::yield_now().await,
        }
    }
}
