use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{mpsc, oneshot};
use tokio::task::{JoinHandle, JoinSet};

use crate::{Counts, Dials, Flow, Side};

mod connection;
mod front;
mod pump;
mod socket;

pub use connection::Connection;
use front::Front;
use socket::Socket;

/// Where the server listens.
#[derive(Clone, Debug)]
pub enum Upstream {
    /// On a unix socket, with this file.
    Unix(PathBuf),
    /// On TCP.
    Tcp(SocketAddr),
}

/// A listener in front of a server. Dropping it ends every connection through it.
#[derive(Debug)]
pub struct Proxy {
    shared: Arc<Shared>,
    orders: mpsc::Sender<Order>,
    address: Option<SocketAddr>,
    acceptor: JoinHandle<()>,
}

/// What the acceptor is to do with those who connect from now on, and whom to tell when it is so.
type Order = (Dials, oneshot::Sender<io::Result<()>>);

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    live: Vec<Connection>,
    /// What those that have ended had counted.
    ended: Counts,
    flows: [Flow; 2],
    shaking: usize,
    most_shaking: usize,
    present: usize,
    most_present: usize,
    accepted: u64,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

const fn index(side: Side) -> usize {
    match side {
        Side::Frontend => 0,
        Side::Backend => 1,
    }
}

impl Proxy {
    /// Listens on a free port of 127.0.0.1.
    ///
    /// # Errors
    /// The system's, on listening.
    pub async fn tcp(upstream: Upstream) -> io::Result<Self> {
        Self::start(Front::tcp()?, upstream)
    }

    /// Listens on a unix socket, whose file is made; one that was there is removed. A reset cannot be told from a close
    /// on such a socket, as between any two processes.
    ///
    /// # Errors
    /// The system's, on listening.
    pub async fn unix(path: &Path, upstream: Upstream) -> io::Result<Self> {
        Self::start(Front::unix(path), upstream)
    }

    fn start(front: Front, upstream: Upstream) -> io::Result<Self> {
        let shared = Arc::<Shared>::default();
        let (orders, inbox) = mpsc::channel(1);
        let address = front.address();
        let listener = front.listen()?;
        let acceptor = Acceptor { shared: Arc::clone(&shared), upstream: Arc::new(upstream), front, inbox };
        let acceptor = tokio::spawn(acceptor.run(listener));
        Ok(Self { shared, orders, address, acceptor })
    }

    /// The port on 127.0.0.1; zero where it listens on a unix socket.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.address.map_or(0, |address| address.port())
    }

    /// Decides what happens to those who connect from now on. When this returns it is so; what waited to be accepted at
    /// that moment may still be treated by the rule before.
    ///
    /// # Errors
    /// The system's, on listening again after [`Dials::Refuse`].
    pub async fn set_dials(&self, dials: Dials) -> io::Result<()> {
        let (done, is_so) = oneshot::channel();
        let ended = || io::Error::other("the proxy has ended");
        self.orders.send((dials, done)).await.map_err(|_closed| ended())?;
        is_so.await.map_err(|_closed| ended())?
    }

    /// Decides what happens to the bytes that `from` sends, on every connection that lives and every one to come.
    pub fn set_flow(&self, from: Side, flow: Flow) {
        let mut state = self.shared.lock();
        state.flows[index(from)] = flow;
        for connection in &state.live {
            connection.set_flow(from, flow);
        }
    }

    /// The same for both directions.
    pub fn set_flows(&self, flow: Flow) {
        self.set_flow(Side::Frontend, flow);
        self.set_flow(Side::Backend, flow);
    }

    /// The connections that live, oldest first.
    #[must_use]
    pub fn connections(&self) -> Vec<Connection> {
        self.shared.lock().live.clone()
    }

    /// The living connection with this server process at its other end.
    #[must_use]
    pub fn connection_to(&self, pid: i32) -> Option<Connection> {
        self.shared.lock().live.iter().find(|connection| connection.pid() == Some(pid)).cloned()
    }

    /// What came by since the start, on all connections.
    #[must_use]
    pub fn counts(&self) -> Counts {
        let state = self.shared.lock();
        let mut counts = state.ended.clone();
        for connection in &state.live {
            counts.add(&connection.counts());
        }
        counts
    }

    /// The most connections that were on their way to their first `ReadyForQuery` at one moment.
    #[must_use]
    pub fn most_dials_at_once(&self) -> usize {
        self.shared.lock().most_shaking
    }

    /// The most connections that clients had open at one moment, as far as their closing was heard.
    #[must_use]
    pub fn most_connections_at_once(&self) -> usize {
        self.shared.lock().most_present
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.acceptor.abort();
    }
}

struct Acceptor {
    shared: Arc<Shared>,
    upstream: Arc<Upstream>,
    front: Front,
    inbox: mpsc::Receiver<Order>,
}

impl Acceptor {
    async fn run(mut self, listener: front::Listener) {
        let mut listener = Some(listener);
        let mut dials = Dials::Forward;
        let mut sessions = JoinSet::new();
        loop {
            tokio::select! {
                biased;
                order = self.inbox.recv() => {
                    let Some((wanted, done)) = order else { return };
                    dials = wanted;
                    let outcome = self.listen_or_not(dials, &mut listener);
                    // Whoever ordered it may have left.
                    _ = done.send(outcome);
                }
                socket = front::accept(listener.as_ref()) => {
                    let session = connection::serve(Arc::clone(&self.shared), Arc::clone(&self.upstream), socket, dials);
                    sessions.spawn(session);
                }
                Some(_ended) = sessions.join_next() => {}
            }
        }
    }

    fn listen_or_not(&self, dials: Dials, listener: &mut Option<front::Listener>) -> io::Result<()> {
        if dials == Dials::Refuse {
            *listener = None;
        } else if listener.is_none() {
            *listener = Some(self.front.listen()?);
        }
        Ok(())
    }
}
