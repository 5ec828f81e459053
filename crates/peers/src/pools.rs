//! Every pool under measurement, and how it is set up.

mod bb8;
mod deadpool;
mod forebay;
mod limited;
mod permits;
mod stock;

use std::time::Duration;

use crate::{BenchError, Held, Peer, Statement};

pub(crate) use bb8::Bb8;
pub(crate) use deadpool::Deadpool;
pub(crate) use forebay::Forebay;
pub(crate) use limited::{Limited, let_in};
pub(crate) use permits::Permits;
pub(crate) use stock::Stock;

/// The names under which pools are reported.
pub(crate) mod names {
    /// Ours: in rows of a fixed size with a limit that stays there, otherwise with its defaults.
    pub(crate) const FOREBAY: &str = "forebay";
    /// The same with one admission for all its acquires, which are continuations from the second on.
    pub(crate) const FOREBAY_CONTINUING: &str = "forebay, one admission";
    /// Ours where others have a size that suits the database: the same size, and a limit that stays there.
    pub(crate) const FOREBAY_FIXED: &str = "forebay, fixed size";
    /// The answer of the door, which takes nothing.
    pub(crate) const FOREBAY_ADMIT: &str = "forebay, admit";
    /// sqlx's pool with its defaults: it pings before each lease and after.
    pub(crate) const SQLX: &str = "sqlx";
    /// The same with `test_before_acquire(false)`.
    pub(crate) const SQLX_NO_PING: &str = "sqlx, no ping";
    /// deadpool with a manager that recycles without a query.
    pub(crate) const DEADPOOL: &str = "deadpool";
    /// The same with a limit on the wait.
    pub(crate) const DEADPOOL_LIMIT: &str = "deadpool, wait limit";
    /// bb8 with `test_on_check_out(false)`.
    pub(crate) const BB8: &str = "bb8";
    /// Connections without a pool, one for each task.
    pub(crate) const BARE: &str = "no pool";
    /// A tokio semaphore that guards nothing.
    pub(crate) const SEMAPHORE: &str = "semaphore alone";
    /// sqlx's pool without pings, with the best size and a short wait limit.
    pub(crate) const SQLX_TUNED: &str = "sqlx, tuned";
    /// deadpool with its own size, which is twice the cores, and no limit on the wait.
    pub(crate) const DEADPOOL_DEFAULT: &str = "deadpool, its defaults";
    /// bb8 with its own size and wait limit, and a ping before each lease.
    pub(crate) const BB8_DEFAULT: &str = "bb8, its defaults";
    /// deadpool with the best size and a short wait limit.
    pub(crate) const DEADPOOL_TUNED: &str = "deadpool, tuned";
    /// bb8 with the best size and a short wait limit.
    pub(crate) const BB8_TUNED: &str = "bb8, tuned";
    /// deadpool with the best size, and before it a limit of a quarter more requests that refuses all others at once.
    pub(crate) const LIMITED: &str = "deadpool behind a limit";
    /// sqlx's pool without pings, with the best size, behind such a limit.
    pub(crate) const SQLX_LIMITED: &str = "sqlx behind a limit";
    /// The same as deadpool behind a limit, but four times as wide.
    pub(crate) const LIMITED_WIDE: &str = "deadpool behind a wide limit";
    /// deadpool behind a limit that tells all to come back after a second.
    pub(crate) const LIMITED_TELLING: &str = "deadpool behind a limit, told 1 s";
    /// deadpool with the best size.
    pub(crate) const DEADPOOL_BEST: &str = "deadpool, best size";
    /// deadpool with ten connections.
    pub(crate) const DEADPOOL_TEN: &str = "deadpool, 10 connections";
    /// Ours with a ceiling of 20, as others have it.
    pub(crate) const FOREBAY_TWENTY: &str = "forebay, ceiling 20";
    /// Ours with a ceiling that leaves room above the best size of any kind of work.
    pub(crate) const FOREBAY_EIGHTY: &str = "forebay, ceiling 80";

    /// axum without a pool, which answers with a ready-made 503.
    pub(crate) const AXUM_BUSY: &str = "axum alone, 503";
    /// The same with 200 and nothing.
    pub(crate) const AXUM_EMPTY: &str = "axum alone, 200";

    /// The order in which they are shown.
    const ORDER: [&str; 26] = [
        FOREBAY,
        FOREBAY_ADMIT,
        FOREBAY_CONTINUING,
        FOREBAY_FIXED,
        FOREBAY_TWENTY,
        FOREBAY_EIGHTY,
        SQLX,
        SQLX_NO_PING,
        SQLX_TUNED,
        SQLX_LIMITED,
        DEADPOOL,
        DEADPOOL_LIMIT,
        DEADPOOL_DEFAULT,
        DEADPOOL_TUNED,
        DEADPOOL_BEST,
        DEADPOOL_TEN,
        BB8,
        BB8_DEFAULT,
        BB8_TUNED,
        LIMITED,
        LIMITED_WIDE,
        LIMITED_TELLING,
        SEMAPHORE,
        BARE,
        AXUM_BUSY,
        AXUM_EMPTY,
    ];

    /// The place of a pool in every table and plot; bare numbers of connections come last, by number.
    #[must_use]
    pub(crate) fn rank(pool: &str) -> usize {
        let size = || pool.split(' ').next()?.parse::<usize>().ok();
        ORDER.iter().position(|name| *name == pool).unwrap_or_else(|| ORDER.len() + size().unwrap_or(0))
    }
}

/// Opens this many connections at once, and prepares on each the statements of the benchmark.
pub(crate) async fn fill<P: Peer<Lease: Held>>(peer: &P, size: u32) -> Result<(), BenchError> {
    let mut leases = Vec::new();
    for _ in 0..size {
        let mut lease = acquire(peer, Duration::from_secs(10)).await?;
        for statement in [Statement::One, Statement::Lookup(1), Statement::Service { sleep_ms: 0.0, loops: 1 }] {
            lease.run(statement).await?;
        }
        leases.push(lease);
    }
    Ok(())
}

/// A connection, however often it takes to ask; a refusal is an answer only where a row counts it.
pub(crate) async fn acquire<P: Peer>(peer: &P, within: Duration) -> Result<P::Lease, BenchError> {
    let asking = async {
        loop {
            match peer.acquire(within).await {
                Ok(lease) => return Ok(lease),
                Err(crate::Refused::Busy { .. }) => tokio::task::yield_now().await,
                Err(crate::Refused::Failed(why)) => return Err(BenchError::Turn(why)),
            }
        }
    };
    tokio::time::timeout(within, asking).await.map_err(|_late| BenchError::turn("no connection in time"))?
}
