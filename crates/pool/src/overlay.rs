//! Admission and watching over an [`sqlx::PgPool`] that has to stay.
//!
//! [`Watched`] asks the same ledger as [`crate::Pool`] *before* sqlx is asked: whoever would wait too long is refused at once
//! with the time to come back, the rest wait in a bounded queue in order of importance, and some places are kept for critical
//! work. What is out is known by its call site. sqlx keeps the connections, so a place in here is a permit, and there are never
//! more of them than the pool has connections.
//!
//! ```no_run
//! use std::time::Duration;
//! use forebay_pool::{AcquireError, Admission, Class, overlay};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let pool = sqlx::PgPool::connect("postgres://localhost/shop").await?; // as before
//! let pool = overlay::Watched::new(pool, overlay::Config::named("shop"))?;
//!
//! let admission = Admission::within(Class::Normal, Duration::from_secs(2));
//! match pool.acquire(&admission).await {
//!     // `&mut *connection` is the `&mut PgConnection` it always was.
//!     Ok(mut connection) => drop(sqlx::query("select 1").execute(&mut *connection).await?),
//!     Err(AcquireError::Shed { retry_after, .. }) => println!("busy: come back in {retry_after:?}"),
//!     Err(error) => return Err(error.into()),
//! }
//! # Ok(()) }
//! ```
//!
//! # What it can do, and what only a pool can
//!
//! | | over sqlx's pool | [`crate::Pool`] |
//! |---|---|---|
//! | refuse early, by predicted wait, queue, deadline and class; a reserve for critical work | yes | yes |
//! | door before the body is read ([`crate::http::AdmissionLayer::watched`]) | yes | yes |
//! | call site, held time, longest holders in every time-out | yes | yes |
//! | a caller that gives up while sqlx pings or connects | its connection goes back to the pool instead of being thrown away | connects and checks are never the caller's |
//! | statements are seen | those run on `&mut connection`; not those on `&mut *connection` | all |
//! | a holder that runs no statement | is named | is named, its place given away, its connection taken back |
//! | more or fewer connections at run time; idle ones closed under steady traffic | no: sqlx fixes the number, and uses the one that rested longest | yes |
//! | at most so many connects at once, a breaker while the server is away | no: sqlx connects for each caller | yes |
//! | a future dropped inside `begin` or a statement | sqlx 0.9: an open transaction can reach the next user, and the place comes back when the server has finished | cleaned or cancelled first |
//! | what a user leaves in the session: settings, roles, locks, temporary tables | stays, as on sqlx's pool | reset before the next user |
//! | behind a bouncer that pools transactions | not safe: answers get mixed up, as on sqlx's pool without it | safe ([`crate::Bouncer`]) |
//! | return without a round trip | no: sqlx pings at each return, without a time limit | yes |
//!
//! What takes connections from the pool directly (a session store, a listener, old code) is not seen: leave it room with
//! [`Config::permits`].

mod checkout;
mod config;
mod connecting;
mod desk;
mod permit;
mod watched;

pub use checkout::Checkout;
pub use config::Config;
pub use watched::Watched;
