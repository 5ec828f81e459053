//! Starts the Postgres server that the machine already has, in a folder of its own, and never leaves it behind.
//!
//! Three words are used throughout. The *programs* are `initdb` and `postgres` as the distribution installed them. The
//! *folder* is what `initdb` makes of the data directory. The *guardian* is a small `sh` process that holds the other
//! end of a pipe from us: when our process ends in whatever way, `kill -9` included, the pipe closes and the guardian
//! stops the server.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use forebay_embedded::{Options, Server};
//!
//! let server = Server::start(Options::new("./data/pg"), |step| eprintln!("{step}")).await?;
//! println!("{}", server.url("postgres"));
//! server.shutdown().await?;
//! # Ok(())
//! # }
//! ```
//!
//! What this crate does not do: it downloads nothing, upgrades no folder from one major version to the next, and
//! serves no other machine (it listens on a unix socket and, if asked, on 127.0.0.1).
#![warn(missing_docs)]

mod account;
mod cluster;
mod error;
mod folder;
mod guardian;
mod leftovers;
mod pidfile;
mod postmaster;
mod programs;
mod server;
#[cfg(feature = "testing")]
pub mod testing;

pub use account::Account;
pub use error::{StartError, StopError};
pub use folder::{closed_above, make_passable};
pub use programs::{Programs, find_programs};
pub use server::{Options, Server, url_of_running};
