//! The server at the other end of all connections of a schedule. It notices what no pool may do: two holders on one
//! connection, a connection that was not clean when its next holder came, more connections than there may be, a statement
//! of somebody whose connection was taken away.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::task::Waker;
use std::time::Duration;

use real::Error;

thread_local! {
    static SERVER: RefCell<Server> = RefCell::default();
}

/// How the server treats its clients.
#[derive(Clone, Copy, Debug, Default)]
pub struct Manners {
    /// More connections than these are a fault.
    pub most: usize,
    /// Whether the pool may take a connection away from a holder that has not left.
    pub revokes: bool,
    /// Whether a holder's statement that runs may be ended, or left by the pool.
    pub cuts: bool,
}

#[derive(Default)]
struct Server {
    manners: Manners,
    refuses: bool,
    last: i32,
    backends: BTreeMap<i32, Backend>,
    /// Whose connection somebody else has.
    dispossessed: BTreeSet<u32>,
}

#[derive(Default)]
struct Backend {
    holder: Option<u32>,
    in_transaction: bool,
    /// Its holder left while a transaction was open.
    left_open: bool,
    /// A setting was made.
    changed: bool,
    fate: Fate,
    waker: Option<Waker>,
}

/// What becomes of a backend and its statement.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Fate {
    #[default]
    Rests,
    Works,
    Cancelled,
    Ended,
}

/// An empty server.
pub fn start(manners: Manners) {
    SERVER.set(Server { manners, ..Server::default() });
}

/// Whether it refuses new connections from now on.
pub fn refuse(refuses: bool) {
    SERVER.with_borrow_mut(|server| server.refuses = refuses);
}

/// How many connections there are.
#[must_use]
pub fn connections() -> usize {
    SERVER.with_borrow(Server::connections)
}

/// The holder uses its connection no more.
pub fn leave(holder: u32) {
    SERVER.with_borrow_mut(|server| {
        for backend in server.backends.values_mut().filter(|backend| backend.holder == Some(holder)) {
            (backend.holder, backend.left_open) = (None, backend.in_transaction);
        }
    });
}

pub(crate) fn open() -> Result<i32, Error> {
    SERVER.with_borrow_mut(|server| {
        if server.refuses {
            return Err(Error::Io(io::ErrorKind::ConnectionRefused.into()));
        }
        server.last += 1;
        server.backends.insert(server.last, Backend::default());
        let (open, most) = (server.connections(), server.manners.most);
        assert!(open <= most, "{open} connections, where there may be {most}");
        Ok(server.last)
    })
}

pub(crate) fn hang_up(pid: i32) {
    SERVER.with_borrow_mut(|server| {
        if let Some(backend) = server.backends.remove(&pid) {
            backend.is_left(pid, server.manners);
        }
    });
}

/// A statement has come; says how long it takes.
pub(crate) fn receive(pid: i32, sql: &str) -> Duration {
    let wake = SERVER.with_borrow_mut(|server| server.receive(pid, sql));
    wake.0.into_iter().for_each(Waker::wake);
    wake.1
}

pub(crate) fn fate(pid: i32, waker: &Waker) -> Fate {
    SERVER.with_borrow_mut(|server| {
        let Some(backend) = server.backends.get_mut(&pid) else { return Fate::Ended };
        backend.waker = Some(waker.clone());
        backend.fate
    })
}

pub(crate) fn answered(pid: i32) {
    SERVER.with_borrow_mut(|server| {
        if let Some(backend) = server.backends.get_mut(&pid) {
            backend.waker = None;
            if backend.fate != Fate::Ended {
                backend.fate = Fate::Rests;
            }
        }
    });
}

impl Backend {
    /// Nobody reads what it answers any more.
    fn is_left(&self, pid: i32, manners: Manners) {
        let cut = self.fate == Fate::Works && self.holder.is_some() && !manners.cuts;
        assert!(!cut || std::thread::panicking(), "{pid} was left or stopped while it ran a holder's statement");
    }
}

impl Server {
    /// A backend that was ended is gone, whoever holds the socket.
    fn connections(&self) -> usize {
        self.backends.values().filter(|backend| backend.fate != Fate::Ended).count()
    }

    fn receive(&mut self, pid: i32, sql: &str) -> (Vec<Waker>, Duration) {
        if sql.contains("pg_cancel_backend") {
            return (self.stop(sql), Duration::ZERO);
        }
        let Some(backend) = self.backends.get_mut(&pid) else { return (Vec::new(), Duration::ZERO) };
        if backend.fate == Fate::Rests {
            backend.fate = Fate::Works;
        }
        let mut lasts = Duration::ZERO;
        match sql.split([' ', '(']).next() {
            Some("BEGIN") => {
                assert!(!backend.in_transaction, "BEGIN on {pid}, where a transaction is open");
                backend.in_transaction = true;
            }
            Some("COMMIT" | "ROLLBACK") => (backend.in_transaction, backend.left_open) = (false, false),
            Some("DISCARD") => backend.changed = false,
            _ if sql.contains("RESET ALL") => backend.changed = false,
            Some("set" | "do") => backend.changed = true,
            _ => {}
        }
        if let Some(rest) = sql.strip_prefix("select by(") {
            let (holder, rest) = rest.split_once(", ").expect("a holder and a time");
            lasts = Duration::from_millis(rest.trim_end_matches(')').parse().expect("a time in milliseconds"));
            self.used_by(pid, holder.parse().expect("a holder's number"));
        }
        (Vec::new(), lasts)
    }

    fn used_by(&mut self, pid: i32, holder: u32) {
        assert!(!self.dispossessed.contains(&holder), "{holder} lost its connection, and ran a statement on {pid}");
        let Some(backend) = self.backends.get_mut(&pid) else { return };
        if backend.holder == Some(holder) {
            return;
        }
        assert!(!backend.changed, "{holder} got {pid}, which had a setting of somebody else's");
        assert!(!backend.left_open, "{holder} got {pid}, where a transaction of somebody else's is open");
        if let Some(before) = backend.holder.replace(holder) {
            assert!(self.manners.revokes, "{holder} and {before} had {pid} at once");
            self.dispossessed.insert(before);
        }
        let elsewhere = self.backends.iter().find(|(at, backend)| **at != pid && backend.holder == Some(holder));
        assert!(elsewhere.is_none(), "{holder} had two connections");
    }

    /// Stops the backends that the control connection names, as `(pid, started::bigint, ending)`.
    fn stop(&mut self, sql: &str) -> Vec<Waker> {
        let (_, rows) = sql.split_once("(values (").expect("what to stop");
        let (rows, _) = rows.split_once(")) as wanted").expect("what to stop");
        let mut wake = Vec::new();
        for row in rows.split("), (") {
            let mut columns = row.split(", ");
            let pid = columns.next().and_then(|pid| pid.parse().ok()).expect("a backend");
            let Some(backend) = self.backends.get_mut(&pid) else { continue };
            backend.is_left(pid, self.manners);
            if columns.last() == Some("true") {
                backend.fate = Fate::Ended;
            } else if backend.fate == Fate::Works {
                backend.fate = Fate::Cancelled;
            }
            wake.extend(backend.waker.take());
        }
        wake
    }
}
