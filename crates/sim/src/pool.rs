//! What every pool or limiter under test can be asked, and what it can order.

use std::collections::VecDeque;
use std::fmt::Debug;
use std::time::Duration;

use forebay_pool_core::{Class, OpenFailure};

/// One attempt of one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Caller {
    /// Whose.
    pub index: u32,
    /// Which attempt; never the same twice under one index.
    pub attempt: u32,
    /// Which of the scenario's kinds: the world's own note, of no meaning to a pool.
    pub kind: u32,
}

/// What a caller asks for.
#[derive(Clone, Copy, Debug)]
pub struct Ask {
    /// Who.
    pub caller: Caller,
    /// How important.
    pub class: Class,
    /// When an answer is of no use any more.
    pub deadline: Duration,
}

/// One connection on loan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lease {
    /// The connection's place in the pool.
    pub place: u32,
    /// Never the same twice in one pool: a lease that was taken back gives nothing back later.
    pub serial: u64,
}

/// What a pool wants done. The world carries orders out in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// The caller has its connection.
    Serve {
        /// Who.
        caller: Caller,
        /// What.
        lease: Lease,
    },
    /// The caller gets none.
    Refuse {
        /// Who.
        caller: Caller,
        /// When to come back, as the answer's header says it.
        told: Option<Duration>,
    },
    /// Open a connection; answered by [`Pool::opened`].
    Open {
        /// Its place.
        place: u32,
        /// How long it may take.
        limit: Duration,
    },
    /// Ping a connection; answered by [`Pool::pinged`].
    Ping {
        /// Its place.
        place: u32,
        /// How long it may take.
        limit: Duration,
    },
    /// Make a connection clean again; answered by [`Pool::cleaned`].
    Clean {
        /// Its place.
        place: u32,
    },
    /// Close a connection; answered by [`Pool::closed`].
    Close {
        /// Its place.
        place: u32,
    },
    /// The lease is taken back: its holder has no connection any more.
    TakenBack {
        /// Which.
        lease: Lease,
    },
    /// Ask the server how many statements wait for locks; answered by [`Pool::saw_locks`].
    LookAtLocks,
}

/// What is still to be done, in order.
pub type Orders = VecDeque<Order>;

/// A pool's numbers at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Gauge {
    /// How many may be served at once.
    pub limit: u32,
    /// Connections that exist or are about to.
    pub open: u32,
    /// Callers that wait.
    pub waiting: u32,
}

/// A pool, or a limiter in front of one. Time only ever moves on; every call may leave orders.
///
/// Whoever serves holds a connection: a limiter without a pool of its own stands in front of a fixed one whose connections
/// are all open from the start.
pub trait Pool: Debug {
    /// The world begins.
    fn start(&mut self, _now: Duration, _orders: &mut Orders) {}

    /// Somebody wants a connection.
    fn ask(&mut self, now: Duration, ask: Ask, orders: &mut Orders);

    /// The caller does not wait any more. It may be unknown here: served, or refused.
    fn leave(&mut self, now: Duration, caller: Caller, orders: &mut Orders);

    /// The lease begins to run a statement, or has ended one.
    fn runs(&mut self, _now: Duration, _lease: Lease, _running: bool) {}

    /// The lease ends.
    fn give_back(&mut self, now: Duration, lease: Lease, orders: &mut Orders);

    /// The lease ends in the middle of its work: its client has left, and the server was told to stop.
    fn cut_off(&mut self, now: Duration, lease: Lease, orders: &mut Orders) {
        self.give_back(now, lease, orders);
    }

    /// When [`Pool::timer`] is due.
    fn next_timer(&self) -> Option<Duration>;

    /// The moment that [`Pool::next_timer`] named has come.
    fn timer(&mut self, now: Duration, orders: &mut Orders);

    /// A connection is open, or could not be opened.
    fn opened(&mut self, _now: Duration, _place: u32, _outcome: Result<(), OpenFailure>, _orders: &mut Orders) {}

    /// A connection has answered a ping, or has not.
    fn pinged(&mut self, _now: Duration, _place: u32, _well: bool, _orders: &mut Orders) {}

    /// A connection is clean again, or could not be reached.
    fn cleaned(&mut self, _now: Duration, _place: u32, _well: bool, _orders: &mut Orders) {}

    /// A connection is closed.
    fn closed(&mut self, _now: Duration, _place: u32, _orders: &mut Orders) {}

    /// Of the sessions that run a statement, this share waits for a lock.
    fn saw_locks(&mut self, _now: Duration, _share: f64) {}

    /// Its numbers now.
    fn gauge(&self, now: Duration) -> Gauge;
}
