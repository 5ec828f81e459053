use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use forebay_pool_core::{Ask, Class, Rules};

/// A request's standing: its class, its deadline, and whether it has begun to execute.
///
/// It is made once, at the door, and travels with the request. The first lease it gets marks it as begun; from then on
/// every acquire is a *continuation*: first in rank and never shed. So a `503` of this pool always means that nothing
/// was executed. Clones share that mark.
///
/// ```
/// use forebay_pool::{Admission, Class};
/// let admission = Admission::within(Class::Critical, std::time::Duration::from_secs(2));
/// assert!(!admission.has_begun());
/// ```
#[derive(Clone, Debug)]
pub struct Admission {
    pub(crate) class: Class,
    pub(crate) deadline: Instant,
    pub(crate) begun: Arc<AtomicBool>,
}

impl Admission {
    /// A request that has executed nothing, and is of no use after `deadline`.
    ///
    /// ```
    /// use std::time::{Duration, Instant};
    /// use forebay_pool::{Admission, Class};
    /// let deadline = Instant::now() + Duration::from_secs(2);
    /// assert_eq!(Admission::new(Class::High, deadline).deadline(), deadline);
    /// ```
    #[must_use]
    pub fn new(class: Class, deadline: Instant) -> Self {
        Self { class, deadline, begun: Arc::default() }
    }

    /// The same, of use for so long from now on.
    ///
    /// ```
    /// use std::time::Duration;
    /// use forebay_pool::{Admission, Class};
    /// let admission = Admission::within(Class::Critical, Duration::from_secs(2));
    /// assert!(admission.remaining() <= Duration::from_secs(2));
    /// ```
    #[must_use]
    pub fn within(class: Class, limit: Duration) -> Self {
        let now = crate::clock::now();
        Self::new(class, now.checked_add(limit).unwrap_or(now + Rules::LONGEST))
    }

    /// The same, of use whenever it is done: for work that nobody waits for. Each of its acquires waits no longer than
    /// [`crate::Config::acquire_timeout`].
    ///
    /// ```no_run
    /// # async fn example(pool: forebay_pool::Pool) -> Result<(), Box<dyn std::error::Error>> {
    /// use forebay_pool::{Admission, Class};
    /// let mut lease = pool.acquire(&Admission::without_deadline(Class::Background)).await?;
    /// sqlx::query("delete from sessions where ends_at < now()").execute(&mut *lease).await?;
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn without_deadline(class: Class) -> Self {
        Self::within(class, Rules::LONGEST)
    }

    /// For callers that have none.
    pub(crate) fn plain() -> Self {
        Self::without_deadline(Class::Normal)
    }

    /// Brings the deadline forward to `limit` from now, where it is later: what a caller says that it will wait.
    ///
    /// ```
    /// use std::time::Duration;
    /// use forebay_pool::{Admission, Class};
    /// let admission = Admission::within(Class::Normal, Duration::from_secs(2)).or_sooner(Duration::from_millis(300));
    /// assert!(admission.remaining() <= Duration::from_millis(300));
    /// ```
    #[must_use]
    pub fn or_sooner(mut self, limit: Duration) -> Self {
        let sooner = crate::clock::now().checked_add(limit);
        self.deadline = sooner.map_or(self.deadline, |sooner| self.deadline.min(sooner));
        self
    }

    /// The class it was given at the door.
    #[must_use]
    pub const fn class(&self) -> Class {
        self.class
    }

    /// When its answer is of no use any more. From then on no lease is given for it, and no statement begun on a lease that
    /// it has: [`crate::PoolError::TooLate`]. What runs then is ended, but for a COMMIT.
    #[must_use]
    pub const fn deadline(&self) -> Instant {
        self.deadline
    }

    /// What is left until then; zero when it has passed. Give this to whoever is called next, not the whole again.
    ///
    /// ```no_run
    /// # async fn ask_the_warehouse() {}
    /// # async fn example(admission: forebay_pool::Admission) -> Result<(), Box<dyn std::error::Error>> {
    /// // A service that is called on the way has no longer than the request itself.
    /// let answer = tokio::time::timeout(admission.remaining(), ask_the_warehouse()).await?;
    /// # let () = answer;
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn remaining(&self) -> Duration {
        self.deadline.saturating_duration_since(crate::clock::now())
    }

    /// Whether it has held a connection, so that something may have been executed.
    #[must_use]
    pub fn has_begun(&self) -> bool {
        self.begun.load(Ordering::Relaxed)
    }

    /// Marks it as begun. The pool does so with the first lease; a handler does where its work begins elsewhere.
    ///
    /// ```
    /// use forebay_pool::{Admission, Class};
    /// let admission = Admission::without_deadline(Class::Normal);
    /// // The mail is out: whatever comes after must not be refused as if nothing had been done.
    /// admission.begin();
    /// assert!(admission.has_begun());
    /// ```
    pub fn begin(&self) {
        self.begun.store(true, Ordering::Relaxed);
    }

    /// Waits for a connection until `latest` at most, whatever else its deadline allows.
    pub(crate) fn ask(&self, latest: Instant) -> Ask {
        let ask = Ask::new(self.class, self.deadline).waiting_until(latest);
        if self.has_begun() { ask.continuing() } else { ask }
    }
}
