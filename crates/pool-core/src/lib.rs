//! The connection pool as a pure state machine.
//!
//! Nothing in here waits, locks, logs, draws a random number or reads a clock: every method is handed `now`, changes
//! the [`Ledger`], and leaves [`Action`]s behind for a shell to carry out. So the same code that serves production can
//! be driven through thousands of hours in a test.
//!
//! # Words
//!
//! A *slot* is one connection's place in the pool. A *lease* is a connection on loan. A *waiter* is a caller without
//! one. An [`Opening`] is the right to open one connection; only the ledger can mint it. The *limit* is how many
//! leases may be out at once; the *ceiling* is how many connections may exist; the *reserve* lies between the two and
//! is lent to critical work alone. A *suspect* is a lease that holds its connection without using it.
//!
//! # The order to call things
//!
//! 1. A command or an event: [`Ledger::acquire`], [`Ledger::release`], [`Ledger::opened`], [`Ledger::handle_timeout`] ...
//! 2. [`Ledger::poll_action`] until it is empty, and carry each action out.
//! 3. [`Ledger::poll_timeout`], and call [`Ledger::handle_timeout`] no later than that.
//!
//! ```
//! use std::time::{Duration, Instant};
//! use forebay_pool_core::{Acquired, Action, Ask, Class, Ledger, Return, Rules, Staffing};
//!
//! # #[expect(clippy::disallowed_methods, reason = "an example needs a first moment")]
//! let now = Instant::now();
//! let mut ledger = Ledger::new(Rules { min_idle: 0, ..Rules::default() }, Box::new(Staffing::default()), now);
//!
//! // Nobody has a connection yet, so the caller waits and the ledger asks for one to be opened.
//! let ask = Ask::new(Class::Normal, now + Duration::from_secs(1));
//! let Acquired::Waiting(waiter) = ledger.acquire(now, ask) else { panic!("no connection exists yet") };
//! let Some(Action::Open(opening)) = ledger.poll_action() else { panic!("a waiter needs a connection") };
//!
//! // Once it is open it goes to the waiter, and comes back when the lease ends.
//! ledger.opened(now, opening, 0.5);
//! let Some(Action::Grant { waiter: granted, slot }) = ledger.poll_action() else { panic!("granted") };
//! assert_eq!(granted, waiter);
//! ledger.release(now, slot, Return::Clean);
//! assert_eq!(ledger.snapshot(now).idle, 1);
//! ```

#![warn(missing_docs)]

mod action;
mod class;
mod command;
mod estimate;
mod ledger;
mod peaks;
mod queue;
mod rules;
pub mod share;
mod sizer;
mod slots;
mod snapshot;
mod standstill;

pub use action::{Action, CloseReason, Event, OpenReason, Opening, Refusal, ShedReason};
pub use class::Class;
pub use command::{Acquired, Activity, Ask, Health, OpenFailure, Resize, Return};
pub use ledger::Ledger;
pub use queue::WaiterId;
pub use rules::{Mode, Rules, Sizing};
pub use sizer::{Fixed, Knee, Sample, Sizer, Staffing, Target};
pub use slots::SlotId;
pub use snapshot::{Breaker, Snapshot, Totals, Usage};
pub use standstill::Standstill;

/// The examples of the README hold.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
