//! What one listener puts up with.

use std::time::Duration;

/// What a listener puts up with from its clients. The defaults are safe before the open Internet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// From a request's first byte to the end of its head; and for the first byte of a new connection. Default 10 s.
    pub head: Duration,
    /// From the end of a head to the end of its body; a request whose class has less time has less. Default 10 s.
    pub body: Duration,
    /// From the moment that a client stops taking its answer until all of it is taken. Default 30 s.
    pub answer: Duration,
    /// From an answer to the first byte of the next request on the same connection. Default 30 s.
    pub idle: Duration,
    /// The largest head, its request line included, in bytes; at least [`Limits::SMALLEST_HEAD`]. A connection's buffers are
    /// bounded by it too. Default 16 KiB.
    pub head_bytes: usize,
    /// Connections open at once, at least one. Default 256: with their buffers, and what handlers keep while they wait for bodies, these
    /// take 20 MB at most.
    pub connections: usize,
}

impl Limits {
    /// The least that [`Limits::head_bytes`] can be: hyper reads so much at once.
    pub const SMALLEST_HEAD: usize = 8 * 1024;
    /// The most fields that a head may have: hyper's own bound, with which a head is parsed without an allocation.
    pub const FIELDS: usize = 100;
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            head: Duration::from_secs(10),
            body: Duration::from_secs(10),
            answer: Duration::from_secs(30),
            idle: Duration::from_secs(30),
            head_bytes: 16 * 1024,
            connections: 256,
        }
    }
}
