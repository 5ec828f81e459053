//! The pool, built from the sources of `forebay-pool` itself, so that a test chooses who comes first: its locks and tasks are
//! [`shuttle`]'s, its clock and its server are values in memory. The sources do not know of it. They say `tokio` and `sqlx`,
//! and other crates go by these names here; they say `crate::sync`, and there is another one below.
//!
//! What is left out: the door (`http`), which only asks the pool, and what hands
//! over to sqlx's own pool (`side_door`, `overlay`).

#[expect(dead_code, reason = "what only the parts left out need")]
#[path = "../../pool/src"]
mod sources {
    pub(crate) mod acquire;
    pub(crate) mod addresses;
    pub(crate) mod admission;
    pub(crate) mod bouncer;
    pub(crate) mod builder;
    pub(crate) mod catalog;
    pub(crate) mod cleaning;
    pub(crate) mod clock;
    pub(crate) mod config;
    pub(crate) mod conn;
    pub(crate) mod connect;
    pub(crate) mod connector;
    pub(crate) mod control;
    pub(crate) mod detached;
    pub(crate) mod driver;
    pub(crate) mod error;
    pub(crate) mod fingerprint;
    pub(crate) mod history;
    pub(crate) mod homes;
    pub(crate) mod job;
    pub(crate) mod lease;
    pub(crate) mod loan;
    pub(crate) mod observer;
    pub(crate) mod pool;
    pub(crate) mod raw;
    pub(crate) mod residue;
    pub(crate) mod retry_budget;
    pub(crate) mod shared;
    pub(crate) mod sites;
    pub(crate) mod spans;
    pub(crate) mod sql;
    pub(crate) mod standstill;
    pub(crate) mod start_stop;
    pub(crate) mod state;
    pub(crate) mod statement;
    pub(crate) mod statements;
    pub(crate) mod threshold;
    pub(crate) mod tx;
    pub(crate) mod waits;
}

/// In place of the standard library's.
mod sync {
    pub(crate) use shuttle::sync::atomic::AtomicU64;
    pub(crate) use shuttle::sync::{Mutex, MutexGuard};
}

/// In place of the pool's: a name has one address here.
mod network {
    use std::io;
    use std::net::SocketAddr;

    use futures_util::future::{BoxFuture, ready};

    use crate::addresses::Network;

    #[derive(Clone, Copy, Debug)]
    pub(crate) struct Sockets;

    impl Network for Sockets {
        fn resolve<'a>(&'a self, _: &'a str, port: u16) -> BoxFuture<'a, io::Result<Vec<SocketAddr>>> {
            Box::pin(ready(Ok(vec![([127, 0, 0, 1], port).into()])))
        }

        fn knock(&self, _: SocketAddr) -> BoxFuture<'static, io::Result<()>> {
            unreachable!("there is no other address")
        }
    }
}

use sources::{
    acquire, addresses, admission, bouncer, builder, catalog, cleaning, clock, config, conn, connect, connector,
    control, detached, driver, error, fingerprint, history, homes, job, lease, loan, observer, pool, raw, residue,
    retry_budget, shared, sites, spans, sql, standstill, start_stop, state, statement, statements, threshold, tx,
    waits,
};

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
pub use forebay_pool_core::{Class, Event, Fixed, Knee, Mode, Resize, Rules, Snapshot, Staffing};
pub use history::Happening;
pub use lease::Lease;
pub use observer::{Observer, Unobserved};
pub use pool::Pool;
pub use raw::Raw;
pub use retry_budget::RetryBudget;
pub use sites::{SiteUse, TakenBack};
pub use sql::Sql;
pub use start_stop::{Drained, NotReady};
pub use statement::summary;
pub use statements::{Failure, Ran, StatementUse};
pub use tx::{Isolation, Tx, TxOptions};
pub use waits::Waits;
