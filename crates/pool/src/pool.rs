use std::fmt;
use std::panic::Location;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use async_stream::stream;
use forebay_pool_core::{Resize, Rules, Snapshot};
use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;
use sqlx::postgres::{PgConnectOptions, PgQueryResult, PgRow, PgStatement, PgTypeInfo};
use sqlx::{Either, Execute, Executor, Postgres, SqlStr};
use tokio::sync::{Notify, Semaphore};

use crate::acquire::Acquire;
use crate::builder::Builder;
use crate::catalog::Catalog;
use crate::cleaning::control_places;
use crate::clock::now;
use crate::config::Settings;
use crate::connect::Dialer;
use crate::control::Control;
use crate::detached::Tenants;
use crate::history::Happening;
use crate::homes::Unsure;
use crate::loan::Borrower;
use crate::shared::Shared;
use crate::state::State;
use crate::statement::Effects;
use crate::statements::Statements;
use crate::sync::Mutex;
use crate::threshold::Threshold;
use crate::waits::Counts;
use crate::{
    AcquireError, Admission, Config, Holder, InvalidConfig, Lease, RetryBudget, SiteUse, StatementUse, Tx, TxOptions,
    Waits,
};

/// A pool of Postgres connections. A clone is cheap and is the same pool.
///
/// ```no_run
/// use forebay_pool::{Config, Pool};
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let pool = Pool::connect("postgres://localhost/shop".parse()?, Config::named("shop"))?;
/// let products: i64 = sqlx::query_scalar("select count(*) from catalog.products").fetch_one(&pool).await?;
///
/// let mut tx = pool.begin().await?;
/// sqlx::query("update stock set on_hand = on_hand - 1 where sku = $1").bind("SKU-000001").execute(&mut *tx).await?;
/// tx.commit().await?;
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct Pool {
    shared: Arc<Shared>,
}

impl Pool {
    /// A pool that will open connections with these options, in the background, beginning with `min_idle` now.
    /// Nothing waits for them here.
    ///
    /// ```no_run
    /// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
    /// use forebay_pool::{Config, Pool};
    /// let options = "postgres://shop@db.example/shop".parse()?;
    /// let config = Config::named("shop").with_settings("ceiling = 20")?;
    /// let pool = Pool::connect(options, config)?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// Every fault of the configuration at once.
    ///
    /// The pool lives on when the runtime goes that it was made on: what it does in the background is then done on that of
    /// whoever asks next. A connection lives on the runtime that it was opened on, that of a caller for whom one was missing;
    /// those of a runtime that is gone, or that nobody polls, are replaced. A statement that runs over one fails, as it would
    /// on sqlx's pool: it matters where a runtime ends while another one uses the same pool.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn connect(options: PgConnectOptions, config: Config) -> Result<Self, InvalidConfig> {
        Builder::new(options, config).connect()
    }

    /// The same, with a size controller, an observer or a connector of your choice.
    ///
    /// ```
    /// # fn example(options: sqlx::postgres::PgConnectOptions) -> Result<(), Box<dyn std::error::Error>> {
    /// use forebay_pool::{Config, Fixed, Pool};
    /// let pool = Pool::builder(options, Config::named("shop")).sizer(Fixed).connect()?;
    /// # drop(pool);
    /// # Ok(()) }
    /// ```
    pub fn builder(options: PgConnectOptions, config: Config) -> Builder {
        Builder::new(options, config)
    }

    pub(crate) fn build(builder: Builder) -> Result<Self, InvalidConfig> {
        let Builder { options, config, sizer, observer, connector, addresses } = builder;
        let faults = config.faults();
        if !faults.is_empty() {
            return Err(InvalidConfig { faults });
        }
        let (config, rules) = Settings::of(config);
        let mut options = options.application_name(&config.name);
        if let Some(settings) = config.startup() {
            options = options.options(settings.iter().map(|(name, value)| (name, value)));
        }
        let turns = Semaphore::new(rules.openings_at_once as usize);
        let dialer = Arc::new(Dialer::new(options, connector, addresses, config.bouncer, turns));
        let now = now();
        let control_places = control_places(config.wants_control, rules.ceiling);
        let control = Control::new(Arc::clone(&dialer), &config.name, control_places > 0);
        let state = State::new(now, rules, config.statement_limit, control_places, sizer);
        let shared = Arc::new(Shared {
            config,
            dialer,
            observer,
            retries: RetryBudget::default(),
            control,
            alarm: Arc::default(),
            answered: Notify::new(),
            drained: Notify::new(),
            threshold: Threshold::default(),
            tenants: Tenants::default(),
            catalog: Catalog::default(),
            effects: Effects::default(),
            statements: Statements::default(),
            unsure: Unsure::default(),
            crowded: AtomicBool::new(false),
            waits: Counts::default(),
            since: now,
            state: Mutex::new(state),
        });
        assert!(shared.settle().is_some(), "a pool is made inside of a tokio runtime");
        shared.with(now, |state| state.ledger.handle_timeout(now));
        Ok(Self { shared })
    }

    pub(crate) const fn of(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    pub(crate) fn shared(&self) -> Arc<Shared> {
        Arc::clone(&self.shared)
    }

    /// Waits for a connection, no longer than the admission's deadline or the configured limit.
    ///
    /// Dropping the future gives up the place in the queue, or the connection if it was just granted; nothing is lost.
    ///
    /// ```no_run
    /// # async fn example(pool: forebay_pool::Pool) -> Result<(), Box<dyn std::error::Error>> {
    /// use std::time::Duration;
    /// use forebay_pool::{Admission, Class};
    /// let admission = Admission::within(Class::Normal, Duration::from_secs(2));
    /// let mut lease = pool.acquire(&admission).await?;
    /// let orders: i64 = sqlx::query_scalar("select count(*) from orders").fetch_one(&mut *lease).await?;
    /// # let _ = orders;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// One variant of [`AcquireError`] for each reaction a caller can have.
    #[track_caller]
    #[must_use = "futures do nothing unless awaited"]
    pub fn acquire(&self, admission: &Admission) -> Acquire {
        Acquire::new(Arc::clone(&self.shared), admission.clone(), Location::caller())
    }

    /// A connection if one is free this moment and rested for so short a time that it needs no check. Never waits, and
    /// leaves no trace when there is none.
    ///
    /// ```no_run
    /// # async fn example(pool: forebay_pool::Pool) -> Result<(), Box<dyn std::error::Error>> {
    /// use forebay_pool::{Admission, Class};
    /// // Only when nobody has to wait for it.
    /// if let Some(mut lease) = pool.try_acquire(&Admission::without_deadline(Class::Low)) {
    ///     sqlx::query("refresh materialized view bestsellers").execute(&mut *lease).await?;
    /// }
    /// # Ok(()) }
    /// ```
    #[track_caller]
    #[must_use]
    pub fn try_acquire(&self, admission: &Admission) -> Option<Lease> {
        let site = Location::caller();
        let now = now();
        if admission.deadline() <= now {
            return None;
        }
        let home = if self.shared.unsure.get() { self.shared.arrive()? } else { 0 };
        // Out here it goes back when an observer panics.
        let mut lease = None;
        self.shared.with(now, |state| {
            if let Some(slot) = state.ledger.try_acquire(now, admission.ask(now).at(home)) {
                let loan = state.lend(slot, Borrower::here(admission, site), now);
                lease = Some(Lease::new(loan, Arc::clone(&self.shared)));
            }
        });
        let lease = lease?;
        admission.begin();
        self.shared.waited(admission.class(), Duration::ZERO);
        Some(lease)
    }

    /// Begins a transaction on a lease of its own, in class normal.
    ///
    /// ```no_run
    /// # async fn example(pool: forebay_pool::Pool) -> Result<(), Box<dyn std::error::Error>> {
    /// let mut tx = pool.begin().await?;
    /// sqlx::query("insert into orders (id) values ($1)").bind(1_i64).execute(&mut *tx).await?;
    /// tx.commit().await?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// As [`Pool::acquire`], inside [`sqlx::Error::Io`] (see [`crate::classify`]), or what the server answers to BEGIN.
    #[track_caller]
    pub fn begin(&self) -> impl Future<Output = Result<Tx<'static>, sqlx::Error>> + Send + use<> {
        let lease = self.acquire(&Admission::plain());
        async move { Tx::begin_owned(lease.await?, None).await }
    }

    /// The same with a request's admission, and with options in place of those of its class.
    ///
    /// ```no_run
    /// # async fn example(pool: forebay_pool::Pool, admission: forebay_pool::Admission) -> Result<(), Box<dyn std::error::Error>> {
    /// use forebay_pool::{Isolation, TxOptions};
    /// let options = TxOptions { isolation: Some(Isolation::RepeatableRead), read_only: true, ..TxOptions::default() };
    /// let mut tx = pool.begin_with(&admission, Some(options)).await?;
    /// let orders: i64 = sqlx::query_scalar("select count(*) from orders").fetch_one(&mut *tx).await?;
    /// # let _ = orders;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// As [`Pool::begin`].
    #[track_caller]
    pub fn begin_with(
        &self,
        admission: &Admission,
        options: Option<TxOptions>,
    ) -> impl Future<Output = Result<Tx<'static>, sqlx::Error>> + Send + use<> {
        let lease = self.acquire(admission);
        async move { Tx::begin_owned(lease.await?, options.as_ref()).await }
    }

    /// Would a request of this kind be let in now? Takes nothing; the answer is the one that
    /// [`Pool::acquire`] would give, so that a server can refuse before it reads a body.
    ///
    /// ```
    /// # fn example(pool: &forebay_pool::Pool, admission: forebay_pool::Admission) {
    /// match pool.admit(&admission) {
    ///     Ok(()) => println!("read the body, and acquire with the same admission"),
    ///     Err(error) => println!("refused before anything was read: {error}"),
    /// }
    /// # }
    /// ```
    ///
    /// # Errors
    /// The refusal; it is counted as one.
    pub fn admit(&self, admission: &Admission) -> Result<(), AcquireError> {
        let refused = self.shared.refuses(admission).map_or_else(|| self.ask_ledger(admission), Err);
        refused.inspect_err(|error| self.shared.observer.refused(admission.class(), error))
    }

    fn ask_ledger(&self, admission: &Admission) -> Result<(), AcquireError> {
        let now = now();
        self.shared.with(now, |state| {
            let ask = admission.ask(now + self.shared.config.acquire_timeout);
            let refused = state.ledger.admit(now, ask);
            if let Err(refusal) = &refused {
                // From here on the threshold may know the answer.
                state.note_refused(admission.class(), refusal);
            }
            refused.map_err(|refusal| AcquireError::of(refusal, admission, || state.details(now)))
        })
    }

    /// Changes bounds at run time. No lease is ended by it.
    ///
    /// ```
    /// # fn example(pool: &forebay_pool::Pool) -> Result<(), Box<dyn std::error::Error>> {
    /// use forebay_pool::Resize;
    /// // Fewer while the database is being moved; zero gives the limit back to the sizer.
    /// pool.resize(Resize { limit: Some(4), ..Resize::default() })?;
    /// pool.resize(Resize { limit: Some(0), ..Resize::default() })?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// What is wrong with them; nothing has changed then.
    pub fn resize(&self, resize: Resize) -> Result<(), InvalidConfig> {
        let now = now();
        let wanted = self.shared.config.wants_control;
        let places = self.shared.with(now, |state| state.resize(now, resize, wanted));
        self.shared.control.allow(places.map_err(|faults| InvalidConfig { faults })? > 0);
        Ok(())
    }

    /// The rules in force.
    ///
    /// ```
    /// # fn example(pool: &forebay_pool::Pool) {
    /// println!("{} connections at most", pool.rules().ceiling);
    /// # }
    /// ```
    #[must_use]
    pub fn rules(&self) -> Rules {
        self.shared.lock().rules.clone()
    }

    /// Changes any rule at run time. No lease is ended by it, and who waits keeps the end of its wait. A shorter lifetime
    /// counts from now. A longer `revoke_after` is kept in full by connections opened from now on: the server ends idle
    /// transactions of those before a second after the old bound.
    ///
    /// ```
    /// # fn example(pool: &forebay_pool::Pool) -> Result<(), Box<dyn std::error::Error>> {
    /// use std::time::Duration;
    /// let rules = pool.rules();
    /// pool.set_rules(forebay_pool::Rules { revoke_after: Some(Duration::from_secs(30)), ..rules })?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// Everything that is wrong with them; nothing has changed then.
    pub fn set_rules(&self, rules: Rules) -> Result<(), InvalidConfig> {
        let now = now();
        let Shared { config, dialer, control, .. } = &*self.shared;
        let wide = rules.openings_at_once;
        let (places, before) = self.shared.with(now, |state| {
            let before = state.rules.openings_at_once;
            (state.set_rules(now, rules, config.wants_control), before)
        });
        control.allow(places.map_err(|faults| InvalidConfig { faults })? > 0);
        let dialer = Arc::clone(dialer);
        self.shared.spawn(async move { dialer.set_turns(before, wide).await });
        Ok(())
    }

    /// Closes every idle connection; what is needed is opened anew.
    ///
    /// ```
    /// # fn example(pool: &forebay_pool::Pool) {
    /// // Credentials were changed: no connection with the old ones is handed out again.
    /// pool.flush_idle();
    /// # }
    /// ```
    pub fn flush_idle(&self) {
        let now = now();
        self.shared.with(now, |state| state.ledger.flush_idle(now));
    }

    /// The pool in numbers.
    ///
    /// ```
    /// # fn example(pool: &forebay_pool::Pool) {
    /// let now = pool.snapshot();
    /// println!("{} of {} in use, {} waiting, {:?} to wait", now.leased, now.limit, now.waiting, now.predicted_wait);
    /// # }
    /// ```
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        let now = now();
        // The ledger is told of those who were refused without it, and may want something done for them.
        self.shared.with(now, |state| state.snapshot(now))
    }

    /// Every lease that is out, the longest first.
    ///
    /// ```
    /// # fn example(pool: &forebay_pool::Pool) {
    /// if let Some(longest) = pool.holders().first() {
    ///     println!("{} has held a connection for {:?}", longest.site, longest.held);
    /// }
    /// # }
    /// ```
    #[must_use]
    pub fn holders(&self) -> Vec<Holder> {
        let now = now();
        self.shared.lock().holders(now)
    }

    /// The last 64 things that happened, the oldest first: limits that moved and why, leases that were suspected,
    /// the breaker, a ceiling that was learned.
    ///
    /// ```
    /// # fn example(pool: &forebay_pool::Pool) {
    /// for happening in pool.history() {
    ///     println!("{:?} ago: {:?}", happening.at.elapsed(), happening.event);
    /// }
    /// # }
    /// ```
    #[must_use]
    pub fn history(&self) -> Vec<Happening> {
        self.shared.lock().history.list()
    }

    /// What the leases of each call site have done since the start, those first whose leases were out for longest in all. The
    /// first 256 call sites are kept account of.
    ///
    /// ```
    /// # fn example(pool: &forebay_pool::Pool) {
    /// for site in pool.sites().iter().take(5) {
    ///     println!("{}: {} leases, {:?} in all", site.site, site.leases, site.held);
    /// }
    /// # }
    /// ```
    #[must_use]
    pub fn sites(&self) -> Vec<SiteUse> {
        self.shared.lock().sites.list()
    }

    /// What the statements of each summary have done since the start, in the order in which they were met first. 256 summaries
    /// are told apart; the statements of all others are those of one named `other`.
    ///
    /// ```
    /// # fn example(pool: &forebay_pool::Pool) {
    /// for statement in pool.statements() {
    ///     println!("{}: {} times, p95 {:?}", statement.summary, statement.calls(), statement.quantile(0.95));
    /// }
    /// # }
    /// ```
    #[must_use]
    pub fn statements(&self) -> Vec<StatementUse> {
        self.shared.statements.list()
    }

    /// How long ago it was made: the start of what it counts.
    ///
    /// ```
    /// # fn example(pool: &forebay_pool::Pool) {
    /// let leases: u64 = pool.sites().iter().map(|site| site.leases).sum();
    /// println!("{:.1} leases a second", leases as f64 / pool.age().as_secs_f64());
    /// # }
    /// ```
    #[must_use]
    pub fn age(&self) -> Duration {
        now().saturating_duration_since(self.shared.since)
    }

    /// How long those waited who got a connection, since the start.
    ///
    /// ```
    /// # fn example(pool: &forebay_pool::Pool) {
    /// let before = pool.waits();
    /// // A minute later:
    /// let minute = pool.waits().since(&before);
    /// println!("{} got a connection, 99 % of them within {:?}", minute.count(), minute.quantile(0.99));
    /// # }
    /// ```
    #[must_use]
    pub fn waits(&self) -> Waits {
        self.shared.waits.read()
    }

    /// Why the last attempt to open a connection failed, if it did.
    ///
    /// ```
    /// # fn example(pool: &forebay_pool::Pool) {
    /// if let Some(error) = pool.last_open_error() {
    ///     println!("no connection could be opened: {error}");
    /// }
    /// # }
    /// ```
    #[must_use]
    pub fn last_open_error(&self) -> Option<Arc<str>> {
        self.shared.lock().last_open_error.clone()
    }

    /// The name it was configured with.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.shared.config.name
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.shared.fmt(f)
    }
}

/// One statement on a lease of its own, which ends with the statement.
impl<'p> Executor<'p> for &'p Pool {
    type Database = Postgres;

    #[track_caller]
    fn fetch_many<'e, 'q, E>(self, query: E) -> BoxStream<'e, Result<Either<PgQueryResult, PgRow>, sqlx::Error>>
    where
        'p: 'e,
        'q: 'e,
        E: 'q + Execute<'q, Postgres>,
    {
        let lease = self.acquire(&Admission::plain());
        Box::pin(stream! {
            match lease.await {
                Err(error) => yield Err(error.into()),
                Ok(mut lease) => {
                    let mut steps = lease.fetch_many(query);
                    while let Some(step) = steps.next().await {
                        yield step;
                    }
                }
            }
        })
    }

    #[track_caller]
    fn fetch_optional<'e, 'q, E>(self, query: E) -> BoxFuture<'e, Result<Option<PgRow>, sqlx::Error>>
    where
        'p: 'e,
        'q: 'e,
        E: 'q + Execute<'q, Postgres>,
    {
        let lease = self.acquire(&Admission::plain());
        Box::pin(async move { lease.await?.fetch_optional(query).await })
    }

    #[track_caller]
    fn prepare_with<'e>(
        self,
        sql: SqlStr,
        parameters: &'e [PgTypeInfo],
    ) -> BoxFuture<'e, Result<PgStatement, sqlx::Error>>
    where
        'p: 'e,
    {
        let lease = self.acquire(&Admission::plain());
        Box::pin(async move { lease.await?.prepare_with(sql, parameters).await })
    }

    #[track_caller]
    fn describe<'e>(self, sql: SqlStr) -> BoxFuture<'e, Result<sqlx::Describe<Postgres>, sqlx::Error>>
    where
        'p: 'e,
    {
        let lease = self.acquire(&Admission::plain());
        Box::pin(async move { lease.await?.describe(sql).await })
    }
}
