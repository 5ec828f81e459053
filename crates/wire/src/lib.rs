//! For tests alone: a proxy between a client and a Postgres server that reads the frames of both directions, counts
//! them, and does to a connection what networks and servers do to it.
//!
//! [`Session`] is the part without sockets: both directions of one connection, read from chunks of any size, never
//! holding more than the head of one frame. [`Proxy`] puts it between a listener and a server; [`Dials`] says what
//! happens to those who connect, [`Flow`] what happens to bytes, and a [`Connection`] can be reset, hung up, or given a
//! late error. Everything can be switched while it runs.

#![warn(missing_docs)]

mod counts;
mod decoder;
mod fault;
mod frame;
mod proxy;
mod session;

pub use counts::Counts;
pub use decoder::{Decoder, Head, Piece};
pub use fault::{Dials, Flow};
pub use frame::{Frame, Kind, Malformed, Side};
pub use proxy::{Connection, Proxy, Upstream};
pub use session::Session;
