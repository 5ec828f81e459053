//! A listener: who gets a connection, who loses one, and how all end.

use std::{
    collections::HashMap,
    future::{Future, poll_fn},
    io::{self, Read as _, Write as _},
    net::SocketAddr,
    sync::{Arc, atomic::Ordering},
    task::{Context, Poll},
    time::Duration,
};

use axum::Router;
use tokio::{
    net::{TcpListener, TcpStream},
    task::{AbortHandle, Id, JoinError, JoinSet},
    time::{Instant, sleep, sleep_until},
};

use super::{
    Limits,
    connection::{self, Reason, Shared},
    refusal,
    state::State,
};

/// A client may keep others waiting for so long, when there is no other place, before its request is given up.
const PATIENCE: Duration = Duration::from_millis(250);
/// The same while the process stops.
const DRAIN_PATIENCE: Duration = Duration::from_millis(100);
/// Between two looks at the connections while the process stops.
const DRAIN_ROUND: Duration = Duration::from_millis(20);
/// After the system could not give us a connection, for want of descriptors mostly.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// Between two log lines about a bound that is met.
const LOG_EVERY: Duration = Duration::from_secs(1);

const CONNECTIONS: &str = "http_server_connections";
const CLOSED: &str = "http_server_connections_closed_total";

pub(super) fn describe_metrics() {
    metrics::describe_gauge!(CONNECTIONS, "Connections that are open");
    metrics::describe_counter!(CLOSED, "Connections that have ended, by why");
}

/// How a listener came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "a drain that ran out of time cut requests off"]
pub enum Drained {
    /// Every request that had come whole was answered.
    Complete,
    /// The limit passed with requests in flight; they were cut off.
    CutOff,
}

/// Serves `router` within `limits` until `shutdown` completes; `name` tells the listener in logs and metrics.
///
/// At the bound on connections a new one takes the place of the one that is idle for longest; of one whose client has kept its
/// handler waiting for a quarter of a second, where none is idle; and where all are being worked for, it is answered 503 and closed.
///
/// After `shutdown` it takes no more connections, ends those on which nothing is being answered (after a tenth of a second those too
/// that wait for the rest of a body, or for their answer to be read), and lets what is in flight finish, for at most `drain`.
/// Dropping the future cuts everything off.
pub async fn serve(
    name: &'static str,
    listener: TcpListener,
    router: Router,
    limits: Limits,
    shutdown: impl Future<Output = ()>,
    drain: Duration,
) -> Drained {
    let mut house = House::new(name, router, limits);
    house.receive(|cx| listener.poll_accept(cx), shutdown).await;
    drop(listener);
    house.drain(drain).await
}

/// The connections of a listener.
struct House {
    name: &'static str,
    epoch: Instant,
    shared: Arc<Shared>,
    gauge: metrics::Gauge,
    tasks: JoinSet<Reason>,
    open: HashMap<Id, Open>,
    complaint: Complaint,
}

struct Open {
    state: Arc<State>,
    task: AbortHandle,
    /// Why the listener ended it, if it did.
    ended: Option<Reason>,
}

impl House {
    fn new(name: &'static str, router: Router, limits: Limits) -> Self {
        let shared = Arc::new(Shared::new(router, limits));
        let gauge = metrics::gauge!(CONNECTIONS, "listener" => name);
        gauge.set(0.0);
        Self {
            name,
            epoch: Instant::now(),
            shared,
            gauge,
            tasks: JoinSet::new(),
            open: HashMap::new(),
            complaint: Complaint::default(),
        }
    }

    async fn receive(
        &mut self,
        mut accept: impl FnMut(&mut Context<'_>) -> Poll<io::Result<(TcpStream, SocketAddr)>>,
        shutdown: impl Future<Output = ()>,
    ) {
        let mut shutdown = std::pin::pin!(shutdown);
        loop {
            tokio::select! {
                biased;
                () = &mut shutdown => return,
                Some(ended) = self.tasks.join_next_with_id() => self.note_end(ended),
                // Who comes no more says nothing of the last of them.
                () = self.complaint.falls_due() => self.complain(),
                accepted = poll_fn(&mut accept) => match accepted {
                    Ok((stream, peer)) => self.let_in(stream, peer).await,
                    Err(error) => self.note_failure(&error).await,
                },
            }
        }
    }

    async fn let_in(&mut self, stream: TcpStream, peer: SocketAddr) {
        let bound = self.shared.limits.connections.max(1);
        if self.open.len() >= bound {
            if !self.make_room() {
                self.complaint.refused += 1;
                self.complain();
                self.count(Reason::Refused);
                refuse(stream);
                return;
            }
            self.complain();
            // The one that was ended is gone as soon as its task is looked at.
            while self.open.len() >= bound
                && let Some(ended) = self.tasks.join_next_with_id().await
            {
                self.note_end(ended);
            }
        }
        let state = Arc::new(State::new(self.epoch));
        let task = self.tasks.spawn(connection::run(stream, peer, Arc::clone(&self.shared), Arc::clone(&state)));
        self.open.insert(task.id(), Open { state, task, ended: None });
        self.gauge();
    }

    /// Ends the connection that can be done without most easily. False where none can.
    fn make_room(&mut self) -> bool {
        // One that does something in that moment stays, and the next is tried.
        loop {
            let dispensable = self.open.values_mut().filter(|open| open.ended.is_none());
            let dispensable = dispensable.filter_map(|open| open.state.dispensable(PATIENCE).map(|seen| (seen, open)));
            let Some((seen, open)) = dispensable.min_by_key(|(seen, _)| seen.rank) else {
                return false;
            };
            if open.end(seen, Reason::Displaced) {
                self.complaint.displaced += 1;
                return true;
            }
        }
    }

    async fn note_failure(&mut self, error: &io::Error) {
        let clients_own = [
            io::ErrorKind::ConnectionAborted,
            io::ErrorKind::ConnectionRefused,
            io::ErrorKind::ConnectionReset,
            io::ErrorKind::Interrupted,
        ];
        if clients_own.contains(&error.kind()) {
            return;
        }
        // It is the process that lacks something, descriptors mostly. An idle connection has one to give.
        self.make_room();
        self.complaint.failure = Some(error.to_string());
        self.complain();
        sleep(ACCEPT_PAUSE).await;
    }

    /// Ends at once what nobody works for, and waits for the rest.
    async fn drain(mut self, limit: Duration) -> Drained {
        self.shared.draining.store(true, Ordering::Release);
        if self.complaint.is_untold() {
            self.complaint.last = None;
            self.complain();
        }
        let deadline = Instant::now() + limit;
        loop {
            for open in self.open.values_mut().filter(|open| open.ended.is_none()) {
                if let Some(seen) = open.state.dispensable(DRAIN_PATIENCE) {
                    open.end(seen, Reason::Drained);
                }
            }
            tokio::select! {
                biased;
                ended = self.tasks.join_next_with_id() => match ended {
                    Some(ended) => self.note_end(ended),
                    None => return Drained::Complete,
                },
                () = sleep_until(deadline) => return Drained::CutOff,
                () = sleep(DRAIN_ROUND) => {}
            }
        }
    }

    fn note_end(&mut self, ended: Result<(Id, Reason), JoinError>) {
        let (id, reason) = match ended {
            Ok((id, reason)) => (id, reason),
            Err(error) => {
                if error.is_panic() {
                    tracing::error!(%error, listener = self.name, "a connection's task panicked");
                }
                (error.id(), Reason::Done)
            }
        };
        let told = self.open.remove(&id).and_then(|open| open.ended);
        self.count(told.unwrap_or(reason));
        self.gauge();
    }

    fn count(&self, reason: Reason) {
        metrics::counter!(CLOSED, "listener" => self.name, "reason" => reason.name()).increment(1);
    }

    fn gauge(&self) {
        let open = u32::try_from(self.open.len()).unwrap_or(u32::MAX);
        self.gauge.set(open);
    }

    fn complain(&mut self) {
        if self.complaint.last.is_some_and(|last| last.elapsed() < LOG_EVERY) {
            return;
        }
        let Complaint { displaced, refused, failure, .. } = std::mem::take(&mut self.complaint);
        let (listener, bound) = (self.name, self.shared.limits.connections);
        match failure {
            Some(error) => tracing::warn!(listener, %error, displaced, refused, "connections cannot be taken"),
            None => tracing::warn!(listener, bound, displaced, refused, "the bound on connections is met"),
        }
        self.complaint.last = Some(Instant::now());
    }
}

impl Open {
    fn end(&mut self, seen: super::state::Dispensable, why: Reason) -> bool {
        let ended = self.state.end(seen);
        if ended {
            self.ended = Some(why);
            self.task.abort();
        }
        ended
    }
}

/// What is to be said of a bound that is met, and when it was said last.
#[derive(Debug, Default)]
struct Complaint {
    last: Option<Instant>,
    displaced: u64,
    refused: u64,
    failure: Option<String>,
}

impl Complaint {
    const fn is_untold(&self) -> bool {
        self.displaced > 0 || self.refused > 0 || self.failure.is_some()
    }

    /// Ends when it is time to tell what is untold; never where nothing is.
    async fn falls_due(&self) {
        match self.last {
            Some(last) if self.is_untold() => sleep_until(last + LOG_EVERY).await,
            _ => std::future::pending().await,
        }
    }
}

/// Answers 503 and closes. A client that is told comes back when it should; one that is only closed tries again at once. Nobody
/// waits for it: what fits into the socket's buffer is sent, and what has come is read, so that no reset takes the answer away.
fn refuse(stream: TcpStream) {
    let Ok(mut socket) = stream.into_std() else { return };
    _ = socket.write(&refusal::bytes(&refusal::no_place()));
    _ = socket.shutdown(std::net::Shutdown::Write);
    _ = socket.read(&mut [0; 4096]);
}

#[cfg(test)]
mod tests;
