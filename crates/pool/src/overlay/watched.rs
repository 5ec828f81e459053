use std::fmt;
use std::panic::Location;
use std::sync::Arc;
use std::time::{Duration, Instant};

use forebay_pool_core::{Refusal, Snapshot};
use sqlx::PgPool;
use tokio::task::coop;

use super::connecting::Connecting;
use super::desk::{Asked, Desk};
use super::{Checkout, Config};
use crate::clock::now;
use crate::{AcquireError, Admission, Holder, InvalidConfig, Observer, Unobserved};

/// An [`sqlx::PgPool`] with a door in front of it. A clone is cheap and is the same one.
///
/// ```no_run
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// use forebay_pool::overlay::{Config, Watched};
/// let pool = sqlx::PgPool::connect("postgres://localhost/shop").await?;
/// let watched = Watched::new(pool, Config { permits: Some(8), ..Config::named("shop") })?;
/// # drop(watched);
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct Watched {
    desk: Arc<Desk>,
}

impl Watched {
    /// Puts admission and watching in front of this pool.
    ///
    /// ```
    /// # fn example() -> Result<(), Box<dyn std::error::Error>> {
    /// use forebay_pool::overlay::{Config, Watched};
    /// let pool = sqlx::PgPool::connect_lazy("postgres://localhost/shop")?;
    /// let pool = Watched::new(pool, Config::named("shop"))?;
    /// # drop(pool);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// Every fault of the configuration at once; also where the pool is too small to keep a place for critical work.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn new(pool: PgPool, config: Config) -> Result<Self, InvalidConfig> {
        Self::observed(pool, config, Box::new(Unobserved))
    }

    /// The same, and tells `observer` what happens. It is never told of an opening: those are sqlx's.
    ///
    /// # Errors
    /// As [`Watched::new`].
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn observed(pool: PgPool, config: Config, observer: Box<dyn Observer>) -> Result<Self, InvalidConfig> {
        let parts = config.parts(pool.options().get_max_connections());
        let (name, acquire_timeout, rules) = parts.map_err(|faults| InvalidConfig { faults })?;
        Ok(Self { desk: Desk::open(pool, name, acquire_timeout, rules, observer) })
    }

    /// Waits for a permit, then for sqlx, together no longer than the admission's deadline or the configured limit.
    ///
    /// Dropping the future gives up the place in the queue, or the permit if it was just granted. What sqlx is doing by then
    /// goes on, and its connection goes to the pool.
    ///
    /// ```no_run
    /// # async fn example(pool: forebay_pool::overlay::Watched) -> Result<(), Box<dyn std::error::Error>> {
    /// use forebay_pool::{Admission, Class};
    /// let admission = Admission::within(Class::Normal, std::time::Duration::from_secs(2));
    /// let mut connection = pool.acquire(&admission).await?;
    /// sqlx::query("select 1").execute(&mut connection).await?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// As [`crate::Pool::acquire`]; what sqlx cannot open is [`AcquireError::Unavailable`].
    #[track_caller]
    pub fn acquire(
        &self,
        admission: &Admission,
    ) -> impl Future<Output = Result<Checkout, AcquireError>> + Send + use<> {
        let site = Location::caller();
        let (desk, admission) = (Arc::clone(&self.desk), admission.clone());
        // A task that is answered at once each time lets others run now and then.
        coop::cooperative(async move {
            let since = now();
            let answer = check_out(&desk, &admission, site, since).await;
            match &answer {
                Ok(_) => {
                    admission.begin();
                    desk.observer.acquired(admission.class(), now().saturating_duration_since(since));
                }
                Err(error) => desk.observer.refused(admission.class(), error),
            }
            answer
        })
    }

    /// Would a request of this kind be let in now? Takes nothing: the door of a server asks before it reads a body.
    ///
    /// ```
    /// # fn example(pool: &forebay_pool::overlay::Watched, admission: forebay_pool::Admission) {
    /// if let Err(error) = pool.admit(&admission) {
    ///     println!("refused before anything was read: {error}");
    /// }
    /// # }
    /// ```
    ///
    /// # Errors
    /// The refusal; it is counted as one.
    pub fn admit(&self, admission: &Admission) -> Result<(), AcquireError> {
        let now = now();
        let outcome = self.desk.with(now, |state| {
            let ask = admission.ask(now + self.desk.acquire_timeout);
            let refused = state.ledger.admit(now, ask).err();
            refused.map(|refusal| AcquireError::of(refusal, admission, || state.details(now)))
        });
        let Some(error) = outcome else { return Ok(()) };
        self.desk.observer.refused(admission.class(), &error);
        Err(error)
    }

    /// The permits in numbers: `leased` are out, `idle` are free. What sqlx has open is in [`PgPool::size`].
    ///
    /// ```
    /// # fn example(pool: &forebay_pool::overlay::Watched) {
    /// let now = pool.snapshot();
    /// println!("{} permits of {} out, {} waiting", now.leased, now.limit, now.waiting);
    /// # }
    /// ```
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        let now = now();
        self.desk.lock().ledger.snapshot(now)
    }

    /// Everything that is out, the longest first. `held_idle` counts from the last time that the connection was borrowed, or
    /// from the end of the last statement that was seen.
    ///
    /// ```
    /// # fn example(pool: &forebay_pool::overlay::Watched) {
    /// for holder in pool.holders() {
    ///     println!("{} has had a connection for {:?}", holder.site, holder.held);
    /// }
    /// # }
    /// ```
    #[must_use]
    pub fn holders(&self) -> Vec<Holder> {
        let now = now();
        self.desk.lock().holders(now)
    }

    /// The pool behind it. What is taken from it directly is not seen.
    #[must_use]
    pub fn pool(&self) -> &PgPool {
        &self.desk.pool
    }

    /// Refuses newcomers and waiters, and closes the pool, which waits until everything is back.
    ///
    /// Dropping the future stops the wait, not the closing.
    pub async fn close(&self) {
        let now = now();
        self.desk.with(now, |state| state.ledger.close(now));
        self.desk.pool.close().await;
    }
}

impl fmt::Debug for Watched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, snapshot) = (&self.desk.name, self.snapshot());
        f.debug_struct("Watched").field("name", name).field("snapshot", &snapshot).finish_non_exhaustive()
    }
}

async fn check_out(
    desk: &Arc<Desk>,
    admission: &Admission,
    site: &'static Location<'static>,
    since: Instant,
) -> Result<Checkout, AcquireError> {
    let latest = since + desk.acquire_timeout;
    let refused = |refusal| AcquireError::of(refusal, admission, || desk.lock().details(now()));
    let permit = match desk.ask(since, admission.ask(latest), admission.class(), site) {
        Asked::Permitted(permit) => permit,
        Asked::Waiting(queued) => queued.answer(since, latest.min(admission.deadline())).await.map_err(refused)?,
        Asked::Refused(refusal) => return Err(refused(refusal)),
    };
    let answer = Connecting::new(permit).until(latest.min(admission.deadline())).await;
    let now = now();
    let timeout = Refusal::Timeout { waited: now.saturating_duration_since(since), continuation: false };
    match answer {
        Some(Ok((connection, mut permit))) => {
            desk.connected(now, None);
            permit.lend();
            Ok(Checkout::new(connection, permit))
        }
        None | Some(Err(sqlx::Error::PoolTimedOut)) => Err(refused(timeout)),
        Some(Err(sqlx::Error::PoolClosed)) => Err(refused(Refusal::Closed)),
        Some(Err(error)) => Err(unavailable(desk, admission, now, &error)),
    }
}

fn unavailable(desk: &Desk, admission: &Admission, now: Instant, error: &sqlx::Error) -> AcquireError {
    let (since, cause) = desk.connected(now, Some(error)).unzip();
    let (since, retry_after) = (since.unwrap_or_default(), Duration::from_secs(1));
    AcquireError::Unavailable { since, cause, retry_after, continuation: admission.has_begun() }
}
