use std::fmt;
use std::time::{Duration, Instant};

use forebay_pool_core::Class;
use futures_util::future::{join_all, try_join_all};

use crate::clock::now;
use crate::standstill::timeout;
use crate::state::State;
use crate::{AcquireError, Admission, Holder, InvalidConfig, Lease, Pool, describe};

/// Why a pool is not ready to serve. See [`Pool::ready`].
///
/// ```no_run
/// # async fn example(pool: forebay_pool::Pool) -> Result<(), Box<dyn std::error::Error>> {
/// use forebay_pool::NotReady;
/// match pool.ready(std::time::Duration::from_secs(10)).await {
///     Ok(_) => println!("serving"),
///     Err(NotReady::Bounds(faults)) => println!("ask for less: {faults}"),
///     Err(error) => println!("the database is not there yet: {error}"),
/// }
/// # Ok(()) }
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub enum NotReady {
    /// No connection: the error says why, or what the last attempt met.
    Acquire(AcquireError),
    /// A connection was there, and the server did not answer on it.
    Server(sqlx::Error),
    /// The pool wants more than the server gives.
    Bounds(InvalidConfig),
}

impl fmt::Display for NotReady {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Acquire(error) => error.fmt(f),
            Self::Server(error) => write!(f, "the server did not say what it has room for: {}", describe(error)),
            Self::Bounds(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for NotReady {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Acquire(error) => Some(error),
            Self::Server(error) => Some(error),
            Self::Bounds(error) => Some(error),
        }
    }
}

/// How a pool was closed. See [`Pool::close`] and [`Pool::drain`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Drained {
    /// How long it took.
    pub took: Duration,
    /// Leases that did not come back in time, the longest first. They were taken back.
    pub late: Vec<Holder>,
    /// Connections that are still open: those of [`Lease::detach`] and [`Pool::side_door`], or such as could not be closed.
    pub open: u32,
}

/// What of its connections a server leaves to this pool's role and database; a limit below zero is none.
const ROOM: &str = "select current_setting('max_connections')::int4 \
    - current_setting('superuser_reserved_connections')::int4 \
    - coalesce(current_setting('reserved_connections', true)::int4, 0), \
    (select rolconnlimit from pg_catalog.pg_roles where rolname = current_user), \
    (select datconnlimit from pg_catalog.pg_database where datname = current_database())";

impl Pool {
    /// Waits until the pool can serve: `min_idle` connections are open, and the server has room for as many as the ceiling
    /// allows. For a start that fails at once instead of a service that refuses everybody.
    ///
    /// Takes `within` at most. Dropping the future loses nothing.
    ///
    /// ```no_run
    /// # async fn example(pool: forebay_pool::Pool) -> Result<(), Box<dyn std::error::Error>> {
    /// pool.ready(std::time::Duration::from_secs(10)).await?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`NotReady::Bounds`] lists each of the server's limits (all of it, the role's, the database's) that the ceiling is
    /// above. Whether other clients leave that room is not known, nor, behind a bouncer that pools transactions, what room
    /// the bouncer has.
    pub async fn ready(&self, within: Duration) -> Result<(), NotReady> {
        let admission = Admission::within(Class::Critical, within);
        let mut leases = self.warm(&admission).await?;
        if self.shared().config.bouncer.shares_sessions() {
            // Of the server's connections, the bouncer has some; this pool's end at the bouncer.
            return Ok(());
        }
        let lease = leases.first_mut().expect("one at least is asked for");
        let asking = sqlx::query_as(ROOM).fetch_one(&mut **lease).await;
        let (server, role, database): (i32, i32, i32) = asking.map_err(NotReady::Server)?;
        let ceiling = self.rules().ceiling;
        let limits = [("the server", server), ("its role", role), ("its database", database)];
        let faults = limits.into_iter().filter_map(|(whose, limit)| {
            let limit = u32::try_from(limit).ok().filter(|limit| *limit < ceiling)?;
            Some(format!("ceiling is {ceiling}, and {whose} has room for {limit} connections"))
        });
        let faults: Vec<String> = faults.collect();
        if faults.is_empty() { Ok(()) } else { Err(NotReady::Bounds(InvalidConfig { faults })) }
    }

    /// As many leases at once as connections are to be kept, one at least. They wait as work that has begun does: nobody
    /// sheds them.
    async fn warm(&self, admission: &Admission) -> Result<Vec<Lease>, NotReady> {
        admission.begin();
        let snapshot = self.snapshot();
        let wanted = snapshot.min_idle.min(snapshot.limit).max(1);
        loop {
            match try_join_all((0..wanted).map(|_| self.acquire(admission))).await {
                // Each wait is limited by `acquire_timeout` too.
                Err(AcquireError::Timeout(_)) if now() < admission.deadline() => {}
                outcome => return outcome.map_err(NotReady::Acquire),
            }
        }
    }

    /// Refuses new requests and waiters, closes what is idle, and waits until the last lease is back and closed, however
    /// long that takes; see [`Pool::drain`] for a limit.
    ///
    /// What nobody watches is told at once, as far as it can be: a [`Pool::side_door`] is closed, so that a `PgListener` on
    /// it fails with [`sqlx::Error::PoolClosed`]. When the last lease is back, side doors and the connections of
    /// [`Lease::detach`] have [`crate::Config::close_timeout`] to end too; [`Drained::open`] counts those that did not.
    ///
    /// Dropping the future stops the wait, not the closing.
    ///
    /// ```no_run
    /// # async fn example(pool: forebay_pool::Pool) -> Result<(), Box<dyn std::error::Error>> {
    /// // Refuses newcomers, waits for those who have a lease, and closes all connections.
    /// pool.close().await;
    /// # Ok(()) }
    /// ```
    pub async fn close(&self) -> Drained {
        let begun = now();
        self.wind_up(self.shared().config.close_timeout).await;
        self.drained(begun, Vec::new())
    }

    /// Closes the pool as [`Pool::close`] does, and waits for leases no longer than `limit`. Those still out are then taken
    /// back, whatever their holders do with them: what runs is ended, what is not committed is rolled back, and the holder's
    /// next statement fails with [`crate::PoolError::Revoked`].
    ///
    /// Dropping the future stops the wait, not the closing.
    ///
    /// ```no_run
    /// # async fn example(pool: forebay_pool::Pool) -> Result<(), Box<dyn std::error::Error>> {
    /// let drained = pool.drain(std::time::Duration::from_secs(20)).await;
    /// for holder in &drained.late {
    ///     println!("{} did not come back in time", holder.site);
    /// }
    /// # Ok(()) }
    /// ```
    pub async fn drain(&self, limit: Duration) -> Drained {
        let begun = now();
        let mut late = Vec::new();
        if timeout(limit, self.wind_up(limit)).await.is_err() {
            late = self.end_leases();
            let config = &self.shared().config;
            let cleaning = config.cleanup_timeout + config.close_timeout + config.check_interval;
            let _still_open = timeout(cleaning, self.wind_up(Duration::ZERO)).await;
        }
        self.drained(begun, late)
    }

    /// Closes, and waits for what nobody watches no longer than `patience` after all else is closed.
    async fn wind_up(&self, patience: Duration) {
        let (shared, now) = (self.shared(), now());
        // The runtime that the pool ran on may be gone.
        shared.settle();
        shared.with(now, |state| state.ledger.close(now));
        let tenants = shared.tenants.close();
        self.until(State::is_wound_up).await;
        let outside = async {
            join_all(tenants).await;
            self.until(|state| state.ledger.is_drained()).await;
        };
        let _they_stay = timeout(patience, outside).await;
        shared.control.close().await;
    }

    async fn until(&self, holds: impl Fn(&State) -> bool) {
        let shared = self.shared();
        loop {
            let drained = shared.drained.notified();
            if holds(&shared.lock()) {
                return;
            }
            drained.await;
        }
    }

    fn drained(&self, begun: Instant, late: Vec<Holder>) -> Drained {
        Drained { took: now().saturating_duration_since(begun), late, open: self.snapshot().open() }
    }

    /// Takes every lease back that is out, and says whose they are.
    fn end_leases(&self) -> Vec<Holder> {
        let now = now();
        self.shared().with(now, |state| {
            let holders = state.holders(now);
            state.ends_leases = true;
            state.ledger.take_all_back();
            holders
        })
    }
}
