use std::ops::Deref;
use std::panic::Location;
use std::sync::{Arc, PoisonError};

use futures_util::future::BoxFuture;
use sqlx::PgPool;
use sqlx::postgres::PgPoolOptions;

use crate::acquire::Acquire;
use crate::detached::{Berth, Tenant};
use crate::shared::Shared;
use crate::sync::Mutex;
use crate::{Admission, Bouncer, Pool};

/// A pool of sqlx's own on places of a [`Pool`], for what accepts nothing else: `PgListener`, migrations that want a
/// pool, stores of web sessions. See [`Pool::side_door`].
///
/// ```no_run
/// # async fn example(pool: forebay_pool::Pool, admission: forebay_pool::Admission) -> Result<(), Box<dyn std::error::Error>> {
/// let door = pool.side_door(&admission, 2).await?;
/// let mut listener = sqlx::postgres::PgListener::connect_with(&door).await?;
/// listener.listen("orders").await?;
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct SideDoor {
    annex: Arc<Annex>,
    shared: Arc<Shared>,
}

/// sqlx's pool, and the places that it has.
#[derive(Debug)]
struct Annex {
    pool: PgPool,
    berths: Mutex<Vec<Berth>>,
}

impl Tenant for Annex {
    fn close(self: Arc<Self>) -> BoxFuture<'static, ()> {
        // Whoever listens is told now, whether or not somebody polls the future.
        drop(self.pool.close());
        Box::pin(async move {
            self.pool.close().await;
            let berths = std::mem::take(&mut *self.berths.lock().unwrap_or_else(PoisonError::into_inner));
            drop(berths);
        })
    }
}

impl Pool {
    /// Takes so many places of this pool, as many as there are below the ceiling at most, and opens sqlx's own pool on
    /// them. So the sum of all connections stays below the ceiling; but nothing that this pool does for leases is done
    /// there, and sqlx's pool has the faults that it has. A [`crate::Connector`] prepares its sessions too, but is asked for
    /// options only once. Behind a bouncer that pools transactions it is refused: sqlx's pool gives wrong answers there.
    ///
    /// ```no_run
    /// use forebay_pool::{Admission, Class, Pool};
    /// use sqlx::postgres::PgListener;
    ///
    /// # async fn example(pool: Pool) -> Result<(), sqlx::Error> {
    /// let admission = Admission::within(Class::Normal, std::time::Duration::from_secs(5));
    /// let door = pool.side_door(&admission, 1).await?;
    /// let mut listener = PgListener::connect_with(&door).await?;
    /// listener.listen("orders").await?;
    /// let told = listener.recv().await?;
    /// # Ok(()) }
    /// ```
    ///
    /// When this pool closes, so does sqlx's: what listens on it is told, and its places are free when its connections are
    /// back ([`Pool::close`]).
    ///
    /// Dropping the future gives the places back.
    ///
    /// # Errors
    /// As [`Pool::acquire`], inside [`sqlx::Error::Io`]; the places are taken one after the other.
    #[track_caller]
    pub fn side_door(
        &self,
        admission: &Admission,
        places: u32,
    ) -> impl Future<Output = Result<SideDoor, sqlx::Error>> + Send + use<> {
        let (shared, admission, site) = (self.shared(), admission.clone(), Location::caller());
        async move {
            shared.needs_session("a side door")?;
            let mut berths = Vec::new();
            for _ in 0..places.max(1) {
                let lease = Acquire::new(Arc::clone(&shared), admission.clone(), site).await?;
                berths.push(lease.detach().await?.into_berth().await);
            }
            let options =
                PgPoolOptions::new().max_connections(places.max(1)).acquire_timeout(shared.config.acquire_timeout);
            let (dialer, settings) = (Arc::clone(&shared.dialer), Arc::new(shared.settings()));
            let mut connect = dialer.options().await?;
            if dialer.bouncer == Bouncer::None {
                connect = connect.options(settings.iter().cloned());
            }
            let options = options.after_connect(move |connection, _| {
                let (dialer, settings) = (Arc::clone(&dialer), Arc::clone(&settings));
                Box::pin(async move { dialer.prepare(connection, &settings).await })
            });
            let pool = options.connect_lazy_with(connect);
            let annex = Arc::new(Annex { pool, berths: Mutex::new(berths) });
            let tenant: Arc<dyn Tenant> = Arc::<Annex>::clone(&annex);
            shared.tenants.add(Arc::downgrade(&tenant));
            if shared.lock().ledger.is_closed() {
                drop(tenant.close());
            }
            Ok(SideDoor { annex, shared })
        }
    }
}

impl SideDoor {
    /// Closes sqlx's pool, waits until its connections are back and closed, and gives the places back. Dropping the
    /// future lets that go on in the background, as dropping the value does.
    ///
    /// ```no_run
    /// # async fn example(pool: forebay_pool::Pool, admission: forebay_pool::Admission) -> Result<(), Box<dyn std::error::Error>> {
    /// let door = pool.side_door(&admission, 1).await?;
    /// sqlx::query("select 1").execute(&*door).await?;
    /// door.close().await;
    /// # Ok(()) }
    /// ```
    pub async fn close(self) {
        let annex = Arc::clone(&self.annex);
        drop(self);
        annex.close().await;
    }
}

impl Deref for SideDoor {
    type Target = PgPool;

    fn deref(&self) -> &PgPool {
        &self.annex.pool
    }
}

impl Drop for SideDoor {
    fn drop(&mut self) {
        self.shared.spawn(Arc::clone(&self.annex).close());
    }
}
