//! A Postgres connection pool for [`sqlx`] that does not fall over.
//!
//! It bounds every queue, refuses early instead of letting callers time out, gives the place of a connection that
//! nobody uses to somebody else and takes it back, and hands connections over without a round trip. The decisions are
//! made in `forebay-pool-core`, a state machine that can be tested without a clock; this crate carries them out.
//!
//! ```no_run
//! use forebay_pool::{AcquireError, Admission, Class, Config, Pool};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let pool = Pool::connect("postgres://localhost/shop".parse()?, Config::named("shop"))?;
//!
//! // One per request; an `http::AdmissionLayer` makes it at the door.
//! let admission = Admission::within(Class::Critical, std::time::Duration::from_secs(2));
//!
//! match pool.acquire(&admission).await {
//!     Ok(mut lease) => {
//!         let mut tx = lease.begin().await?;
//!         sqlx::query("insert into orders (id) values ($1)").bind(1_i64).execute(&mut *tx).await?;
//!         tx.commit().await?;
//!     }
//!     Err(AcquireError::Shed { retry_after, .. }) => println!("busy: come back in {retry_after:?}"),
//!     Err(error) => return Err(error.into()),
//! }
//! # Ok(()) }
//! ```
//!
//! # The types to know
//!
//! [`Pool`] gives a [`Lease`], which derefs to [`LeaseConn`], on which statements run; [`Tx`] is a transaction of ours,
//! and [`Pool::transaction`] runs one again where the server refused it for the sake of another. Statements of sqlx's,
//! checked or not, run on `&pool`, on `&mut *lease` and on `&mut *tx`. [`Admission`] is a request's standing. [`AcquireError`] has a variant for each reaction you can have, and
//! [`classify`] finds it inside an [`sqlx::Error`].
//!
//! # Where the pool has to stay
//!
//! [`overlay`] puts the same admission and watch in front of an [`sqlx::PgPool`], and says what it cannot do there.
//!
//! # What it does not do
//!
//! It does not implement sqlx's `Acquire` (which must deref to `PgConnection`, past our watch). What asks for one takes
//! [`LeaseConn::raw`] (`COPY`, `migrate!`), [`Lease::detach`] (`LISTEN` on a connection of its own) or
//! [`Pool::side_door`] (`PgListener`, stores of web sessions): the ceiling counts all three, the watch sees none.
//!
//! It sees what a statement's text says: a transaction begun by text, `SET`, `SET ROLE`, `LISTEN`, temporary tables,
//! prepared statements, advisory locks and `set_config` by their names. Such a connection is reset when its lease ends.
//! It does not see what a function does inside (one of yours that takes an advisory lock of the session, or a
//! `dblink_connect`), and nothing takes a `LOAD` back.
//!
//! It does not go beyond the ceiling that it is given, whatever the database could do. Behind a bouncer that pools
//! transactions it does less, and only when it is told of it: see [`Bouncer`].
//!
//! # What a dropped future does
//!
//! | dropped while it | then |
//! |---|---|
//! | waits for a connection | its place in the queue is given up, or the connection that it was just given |
//! | begins a transaction | it is rolled back before anybody else has the connection |
//! | runs a statement | the statement is cancelled on the server, and the connection is used again; inside a transaction that goes on, the next statement waits for its end, since a cancel would abort the transaction |
//! | reads rows | the rest is read, or cancelled, before the next statement |
//! | commits | whether it was stored is unknown |

//! # Features
//!
//! | feature | brings | dependencies |
//! |---|---|---|
//! | `http` (default) | [`http`]: the door, a tower layer that refuses a request before its body is read | `http`, `http-body`, `bytes`, `tower-layer`, `tower-service`, `pin-project-lite` |
//! | `tickets` | [`tickets`]: whoever was refused, and comes back when it was told, goes before others; switches `http` on | `base64`, `hmac`, `sha2` |
//! | `overlay` | [`overlay`]: admission and watch in front of an [`sqlx::PgPool`] | none |
//!
//! Without any there is the pool, on sqlx and tokio.

#![warn(missing_docs)]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod acquire;
mod addresses;
mod admission;
mod bouncer;
mod builder;
mod catalog;
mod cleaning;
mod clock;
mod config;
mod conn;
mod connect;
mod connector;
mod control;
mod detached;
mod driver;
mod error;
mod fingerprint;
mod history;
mod homes;
#[cfg(feature = "http")]
pub mod http;
mod job;
mod lease;
mod loan;
mod network;
mod observer;
#[cfg(feature = "overlay")]
pub mod overlay;
mod pool;
mod raw;
mod residue;
mod retry_budget;
mod shared;
mod side_door;
mod sites;
mod spans;
mod sql;
mod standstill;
mod start_stop;
mod state;
mod statement;
mod statements;
mod sync;
mod threshold;
#[cfg(feature = "tickets")]
pub mod tickets;
mod tx;
mod waits;

pub use acquire::Acquire;
pub use addresses::Addresses;
pub use admission::Admission;
pub use bouncer::Bouncer;
pub use builder::Builder;
pub use config::{Config, InvalidConfig, ServerRole};
pub use conn::LeaseConn;
pub use connector::Connector;
pub use detached::Detached;
pub use error::{AcquireError, Holder, PoolError, Timeout, classify, describe};
pub use forebay_pool_core::share;
pub use forebay_pool_core::{
    Breaker, Class, CloseReason, Event, Fixed, Knee, Mode, OpenReason, Resize, Rules, Sample, ShedReason, Sizer,
    Sizing, Snapshot, Staffing, Target, Totals, Usage,
};
pub use history::Happening;
pub use lease::Lease;
pub use observer::{Observer, Unobserved};
pub use pool::Pool;
pub use raw::Raw;
pub use retry_budget::RetryBudget;
pub use side_door::SideDoor;
pub use sites::{SiteUse, TakenBack};
pub use sql::Sql;
pub use start_stop::{Drained, NotReady};
pub use statement::summary;
pub use statements::{Failure, Ran, StatementUse};
pub use tx::{Isolation, Tx, TxOptions};
pub use waits::Waits;

/// The examples of the README hold.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
