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
//! [`Pool`] gives a [`Lease`], which derefs to [`LeaseConn`], on which statements run; [`Tx`] is a transaction of ours.
//! [`Admission`] is a request's standing. [`AcquireError`] has a variant for each reaction you can have, and
//! [`classify`] finds it inside an [`sqlx::Error`].
//!
//! # What it does not do
//!
//! It does not implement sqlx's `Acquire` (which must deref to `PgConnection`, past our watch), does not cancel a
//! running statement whose future was dropped other than by closing its socket, does not see a transaction that was
//! begun by text rather than by [`Lease::begin`], and does not learn the best size of your database: it gives the
//! traffic what it needs, up to the ceiling.

#![warn(missing_docs)]

mod acquire;
mod admission;
mod config;
mod driver;
mod error;
pub mod http;
mod lease;
mod loan;
mod observer;
mod pool;
mod tx;

pub use acquire::Acquire;
pub use admission::Admission;
pub use config::{Config, InvalidConfig};
pub use error::{AcquireError, Holder, PoolError, Timeout, classify};
pub use forebay_pool_core::{
    Class, Event, Fixed, Mode, Resize, Rules, Sample, ShedReason, Sizer, Snapshot, Staffing, Target, Totals,
};
pub use lease::{Lease, LeaseConn};
pub use observer::{Observer, Unobserved};
pub use pool::Pool;
pub use tx::Tx;
