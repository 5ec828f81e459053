use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::{Arc, PoisonError, Weak};

use forebay_pool_core::SlotId;
use futures_util::future::BoxFuture;
use sqlx::PgConnection;

use crate::Lease;
use crate::cleaning;
use crate::clock::now;
use crate::connect::Session;
use crate::shared::Shared;
use crate::sync::Mutex;

impl Lease {
    /// Takes the connection out of the pool, for as long as it is wanted: nobody watches it and nobody takes it back. It
    /// is a lease no more, and makes way for another one; but it still is a connection below the ceiling, until the value
    /// is dropped, and [`crate::Pool::close`] waits a moment for that. What a [`crate::Tx`] left open is rolled back first; what
    /// statements have set stays.
    ///
    /// ```no_run
    /// # async fn example(lease: forebay_pool::Lease) -> Result<(), sqlx::Error> {
    /// let mut connection = lease.detach().await?;
    /// sqlx::query("listen orders").execute(&mut *connection).await?;
    /// # Ok(()) }
    /// ```
    ///
    /// Dropping the future gives the lease back.
    ///
    /// # Errors
    /// As for a statement; [`crate::PoolError::NeedsSession`] behind a bouncer that pools transactions.
    pub async fn detach(self) -> Result<Detached, sqlx::Error> {
        self.shared.needs_session("a connection outside of the pool")?;
        self.catch_up().await?;
        let session = self.shared.detach(&self.loan)?;
        let berth = Berth { slot: self.loan.slot, shared: Arc::clone(&self.shared) };
        Ok(Detached { held: Some((session, berth)) })
    }
}

/// A connection that its pool only counts. Dropping it closes the connection, in the background.
///
/// ```no_run
/// # async fn example(lease: forebay_pool::Lease) -> Result<(), Box<dyn std::error::Error>> {
/// let mut connection = lease.detach().await?;
/// sqlx::query("vacuum (analyze) orders").execute(&mut *connection).await?;
/// // Closed here, and its place in the pool is free again.
/// drop(connection);
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct Detached {
    held: Option<(Box<Session>, Berth)>,
}

impl Detached {
    /// The connection on its own. The pool counts it no more, so that there may be one more than the ceiling allows.
    ///
    /// ```no_run
    /// # async fn example(lease: forebay_pool::Lease) -> Result<(), Box<dyn std::error::Error>> {
    /// // sqlx's own, for as long as you like, and closed as sqlx does.
    /// let connection: sqlx::PgConnection = lease.detach().await?.into_inner();
    /// # drop(connection);
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn into_inner(mut self) -> PgConnection {
        self.held.take().expect("it is taken once").0.connection
    }

    /// Closes the connection, and keeps its place. Dropping the future gives the place back.
    pub(crate) async fn into_berth(mut self) -> Berth {
        let (session, berth) = self.held.take().expect("it is taken once");
        cleaning::close_politely(&berth.shared, session).await;
        berth
    }
}

impl Deref for Detached {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        &self.held.as_ref().expect("it is taken once").0.connection
    }
}

impl DerefMut for Detached {
    fn deref_mut(&mut self) -> &mut PgConnection {
        &mut self.held.as_mut().expect("it is taken once").0.connection
    }
}

impl Drop for Detached {
    fn drop(&mut self) {
        if let Some((session, berth)) = self.held.take() {
            let shared = Arc::clone(&berth.shared);
            shared.spawn(async move {
                cleaning::close_politely(&berth.shared, session).await;
                drop(berth);
            });
        }
    }
}

/// A place below the ceiling without a connection of the pool's, taken until it is dropped.
#[derive(Debug)]
pub(crate) struct Berth {
    slot: SlotId,
    shared: Arc<Shared>,
}

impl Drop for Berth {
    fn drop(&mut self) {
        let now = now();
        self.shared.with(now, |state| state.vacate(now, self.slot));
    }
}

/// What has places of a pool for connections of its own, and can be told to close them.
pub(crate) trait Tenant: Send + Sync {
    /// Tells it at once; the future ends when its connections are closed and the places given back.
    fn close(self: Arc<Self>) -> BoxFuture<'static, ()>;
}

/// All tenants of one pool.
#[derive(Default)]
pub(crate) struct Tenants {
    list: Mutex<Vec<Weak<dyn Tenant>>>,
}

impl Tenants {
    pub(crate) fn add(&self, tenant: Weak<dyn Tenant>) {
        let mut list = self.list.lock().unwrap_or_else(PoisonError::into_inner);
        list.retain(|tenant| tenant.strong_count() > 0);
        list.push(tenant);
    }

    /// Tells all of them.
    pub(crate) fn close(&self) -> Vec<BoxFuture<'static, ()>> {
        let list = self.list.lock().unwrap_or_else(PoisonError::into_inner).clone();
        list.into_iter().filter_map(|tenant| Some(tenant.upgrade()?.close())).collect()
    }
}

impl fmt::Debug for Tenants {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tenants")
    }
}
