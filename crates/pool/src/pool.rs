use std::collections::{HashMap, HashSet};
use std::fmt;
use std::panic::Location;
use std::sync::{Arc, PoisonError};
use std::task::Waker;
use std::time::{Duration, Instant};

use async_stream::stream;
use forebay_pool_core::{Ledger, Refusal, Resize, Return, Rules, SlotId, Snapshot, WaiterId};
use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;
use sqlx::postgres::{PgConnectOptions, PgQueryResult, PgRow, PgStatement, PgTypeInfo};
use sqlx::{Either, Execute, Executor, Postgres, SqlStr};
use tokio::sync::{Notify, Semaphore};

use crate::acquire::{Acquire, Answer};
use crate::bouncer::set_config;
use crate::builder::Builder;
use crate::catalog::Catalog;
use crate::cleaning::{Closing, control_places};
use crate::connect::{Dialer, Session};
use crate::control::Control;
use crate::detached::Tenants;
use crate::driver::{self, Errands};
use crate::error::Details;
use crate::history::{Happening, History};
use crate::homes::{Homes, Unsure};
use crate::job::Job;
use crate::loan::{Borrower, Loan, Returned, Soiled, Taken};
use crate::standstill::Standstills;
use crate::sync::{Mutex, MutexGuard};
use crate::threshold::Threshold;
use crate::{
    AcquireError, Admission, Bouncer, Config, Holder, InvalidConfig, Lease, Observer, PoolError, RetryBudget, Tx,
    TxOptions,
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

/// What all clones, leases and tasks of one pool share.
pub(crate) struct Shared {
    pub(crate) config: Config,
    pub(crate) dialer: Arc<Dialer>,
    pub(crate) observer: Box<dyn Observer>,
    pub(crate) control: Control,
    pub(crate) retries: RetryBudget,
    pub(crate) alarm: Arc<Notify>,
    /// A runtime has shown that it is polled.
    pub(crate) answered: Notify,
    pub(crate) drained: Notify,
    pub(crate) threshold: Threshold,
    pub(crate) tenants: Tenants,
    pub(crate) catalog: Catalog,
    /// Whether it matters where a caller is polled.
    pub(crate) unsure: Unsure,
    state: Mutex<State>,
}

/// Everything that changes, under one lock: never held across an await, nor while a connection is closed.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) ledger: Ledger,
    /// By [`SlotId::index`].
    pub(crate) seats: Vec<Seat>,
    pub(crate) waiters: HashMap<WaiterId, Answer>,
    pub(crate) last_open_error: Option<Arc<str>>,
    pub(crate) history: History,
    pub(crate) standstills: Standstills,
    /// When the driver will wake by itself.
    pub(crate) alarm_at: Option<Instant>,
    /// When to look for statements that wait for too long; while leases are out, or a connection is opened.
    pub(crate) look_at: Option<Instant>,
    /// Whom to wake after the unlock: statements that have waited for too long, and those whose runtime may be gone.
    pub(crate) to_wake: Vec<Waker>,
    pub(crate) homes: Homes,
    /// What is to be put on a runtime after the unlock, or when there is one.
    pub(crate) unhoused: Vec<driver::Task>,
    /// How many jobs there have been.
    pub(crate) jobs: u64,
    /// How long the server may be silent within a statement.
    pub(crate) statement_limit: Option<Duration>,
    /// Places below the ceiling that the ledger does not know of: the control connection's.
    pub(crate) control_places: u32,
    /// As the pool's user wrote them: their bounds count the control connection.
    rules: Rules,
    /// Whether a lease is ended whatever its holder does: the pool has waited long enough for it.
    pub(crate) ends_leases: bool,
    /// How many connections others have whom nobody watches: [`Seat::Detached`].
    outside: u32,
    /// Where callers have waited whose own task held a lease.
    nested_at: HashSet<&'static Location<'static>>,
    /// Whether the threshold has to follow what changes: somebody would be refused.
    pub(crate) refuses: bool,
}

/// Where a slot's connection is, seen from the pool.
#[derive(Debug, Default)]
pub(crate) enum Seat {
    /// There is none, or its place is just being given to another one.
    #[default]
    Away,
    /// A task has it: it is being opened, checked, cleaned or closed.
    Entrusted(Job),
    Resting(Session),
    Soiled(Taken),
    Lent(Arc<Loan>),
    /// Its connection left the pool, or is one of somebody else's pool; the place is kept until they are done.
    Detached,
}

impl State {
    pub(crate) const LOOK_EVERY: Duration = Duration::from_millis(100);

    pub(crate) fn seat(&mut self, slot: SlotId) -> &mut Seat {
        if self.seats.len() <= slot.index() {
            self.seats.resize_with(slot.index() + 1, Seat::default);
        }
        &mut self.seats[slot.index()]
    }

    /// Takes the connection off its seat, where it rests there.
    pub(crate) fn take(&mut self, slot: SlotId) -> Option<Session> {
        let seat = self.seat(slot);
        match std::mem::take(seat) {
            Seat::Resting(session) => Some(session),
            other => {
                *seat = other;
                None
            }
        }
    }

    /// Takes what has to be cleaned off its seat.
    pub(crate) fn take_soiled(&mut self, slot: SlotId) -> Option<Taken> {
        let seat = self.seat(slot);
        match std::mem::take(seat) {
            Seat::Soiled(taken) => Some(taken),
            other => {
                *seat = other;
                None
            }
        }
    }

    /// How to close what is on this seat.
    pub(crate) fn take_to_close(&mut self, slot: SlotId) -> Option<Closing> {
        let seat = self.seat(slot);
        if matches!(seat, Seat::Detached) {
            return None;
        }
        Some(match std::mem::take(seat) {
            Seat::Resting(session) => Closing::Politely(session),
            Seat::Soiled(Taken::Backend(backend)) => Closing::Backend(backend),
            _ => Closing::Nothing,
        })
    }

    /// A place without a connection of the pool's is free again.
    pub(crate) fn vacate(&mut self, now: Instant, slot: SlotId) {
        if let Seat::Detached = std::mem::take(self.seat(slot)) {
            self.outside -= 1;
        }
        self.ledger.closed(now, slot);
    }

    /// Whether the pool is closed, and no connection is left but those that nobody watches.
    pub(crate) fn is_wound_up(&self) -> bool {
        self.ledger.is_drained_to(self.outside)
    }

    /// Resizes the ledger by bounds that count the control connection; says how many places that has now.
    fn resize(&mut self, now: Instant, resize: Resize, control: bool) -> Result<u32, Vec<String>> {
        let ceiling = resize.ceiling.unwrap_or(self.rules.ceiling);
        let start = self.rules.initial_limit;
        let min_idle = resize.min_idle.unwrap_or(self.rules.min_idle);
        let rules = Rules { min_idle, ceiling, initial_limit: start.min(ceiling), ..self.rules.clone() };
        let places = self.set_rules(now, rules, control)?;
        // A ceiling that is lowered for a while leaves the limit of the start to come back to.
        self.rules.initial_limit = start;
        self.ledger.resize(now, Resize { limit: resize.limit, ..Resize::default() })?;
        Ok(places)
    }

    /// Gives the ledger rules whose bounds count the control connection; says how many places that has now.
    fn set_rules(&mut self, now: Instant, rules: Rules, control: bool) -> Result<u32, Vec<String>> {
        let faults = rules.faults();
        if !faults.is_empty() {
            return Err(faults);
        }
        let places = control_places(control, rules.ceiling);
        self.ledger.set_rules(now, ledger_rules(&rules, places))?;
        self.rules = rules;
        self.control_places = places;
        Ok(places)
    }

    /// When to look again, now that somebody with this deadline has a lease: soon, and when it passes.
    fn next_look(now: Instant, deadline: Instant, planned: Option<Instant>) -> Instant {
        let soon = planned.unwrap_or(now + Self::LOOK_EVERY);
        if deadline > now { soon.min(deadline) } else { soon }
    }

    /// Has the driver wake by then.
    pub(crate) fn look_by(&mut self, at: Instant) {
        self.look_at = Some(self.look_at.map_or(at, |planned| planned.min(at)));
    }

    /// Looks at every lease for a statement that the server does not answer.
    pub(crate) fn look_at_statements(&mut self, now: Instant) {
        if self.look_at.is_none_or(|at| now < at) {
            return;
        }
        self.has_given_a_turn();
        let mut out = self.ledger.is_opening().then_some(now + Self::LOOK_EVERY);
        for seat in &self.seats {
            if let Seat::Lent(loan) = seat {
                out = Some(Self::next_look(now, loan.borrower.deadline, out));
                self.to_wake.extend(loan.look(now));
            }
        }
        self.look_at = out;
    }

    pub(crate) fn loan(&self, slot: SlotId) -> Option<&Arc<Loan>> {
        match self.seats.get(slot.index())? {
            Seat::Lent(loan) if loan.slot == slot => Some(loan),
            _ => None,
        }
    }

    /// Lends the resting connection of this slot.
    pub(crate) fn lend(&mut self, slot: SlotId, borrower: Borrower, now: Instant) -> Arc<Loan> {
        let session = self.take(slot).expect("the ledger lends only what rests");
        let loan = Arc::new(Loan::new(slot, borrower, now, session, self.statement_limit));
        *self.seat(slot) = Seat::Lent(Arc::clone(&loan));
        self.look_at = Some(Self::next_look(now, borrower.deadline, self.look_at));
        loan
    }

    /// Counts a caller who has to wait although its task holds a lease; says where that was taken, the first time that a
    /// caller waits like this at its site.
    pub(crate) fn note_nested(&mut self, borrower: Borrower) -> Option<&'static Location<'static>> {
        let task = borrower.task?;
        let held = self.seats.iter().find_map(|seat| match seat {
            Seat::Lent(loan) if loan.borrower.task == Some(task) => Some(loan.borrower.site),
            _ => None,
        })?;
        self.ledger.note_nested();
        self.nested_at.insert(borrower.site).then_some(held)
    }

    fn snapshot(&self, now: Instant) -> Snapshot {
        let mut snapshot = self.ledger.snapshot(now);
        snapshot.ceiling += self.control_places;
        snapshot
    }

    pub(crate) fn holders(&self, now: Instant) -> Vec<Holder> {
        let loans = self.seats.iter().filter_map(|seat| match seat {
            Seat::Lent(loan) => Some(loan.holder(now)),
            _ => None,
        });
        let mut holders: Vec<Holder> = loans.collect();
        holders.sort_by_key(|holder| std::cmp::Reverse(holder.held));
        holders
    }

    pub(crate) fn details(&self, now: Instant) -> Details {
        let mut longest = self.holders(now);
        longest.truncate(5);
        Details { snapshot: self.snapshot(now), longest, last_open_error: self.last_open_error.clone() }
    }
}

/// The rules for what is left when the control connection has its place.
fn ledger_rules(rules: &Rules, control_places: u32) -> Rules {
    let ceiling = rules.ceiling - control_places;
    let (initial_limit, min_idle) = (rules.initial_limit.min(ceiling), rules.min_idle.min(ceiling));
    Rules { ceiling, initial_limit, min_idle, ..rules.clone() }
}

pub(crate) fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

impl Shared {
    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the state under the lock, carries out what the ledger decided, and the rest after the unlock.
    pub(crate) fn with<T>(self: &Arc<Self>, now: Instant, change: impl FnOnce(&mut State) -> T) -> T {
        let mut errands = Errands::default();
        let mut state = self.lock();
        state.notice_standstill(now);
        self.threshold.tell(&mut state.ledger, now);
        let value = change(&mut state);
        driver::decide(&mut state, now, &mut errands);
        if state.refuses {
            state.refuses = self.threshold.follow(&state.ledger, now);
        }
        let wake_driver = driver::arm(&mut state, now);
        drop(state);
        if wake_driver {
            self.alarm.notify_waiters();
        }
        errands.run(self);
        value
    }

    /// The refusal of a request that the ledger would shed, as is known without asking it.
    pub(crate) fn refuses(&self, admission: &Admission) -> Option<AcquireError> {
        if admission.has_begun() {
            return None;
        }
        let class = admission.class();
        let (reason, retry_after) = self.threshold.refuse(class)?;
        Some(AcquireError::Shed { class, reason, retry_after })
    }

    /// The settings of the next session that are not in every startup packet.
    pub(crate) fn settings(&self) -> Vec<(String, String)> {
        self.config.settings(&self.lock().rules)
    }

    /// Refuses what nobody can do in a session that serves others too.
    pub(crate) const fn needs_session(&self, what: &'static str) -> Result<(), PoolError> {
        if self.config.bouncer.shares_sessions() { Err(PoolError::NeedsSession { what }) } else { Ok(()) }
    }

    /// The query that makes the session's settings in a transaction, where a session is no longer ours than that.
    pub(crate) fn local_settings(&self) -> Option<String> {
        if self.config.bouncer.shares_sessions() { set_config(&self.settings(), true) } else { None }
    }

    /// A waiter goes; what it has been told comes with it.
    pub(crate) fn leave(self: &Arc<Self>, now: Instant, id: WaiterId) -> Option<Answer> {
        self.with(now, |state| {
            let answer = state.waiters.remove(&id);
            state.ledger.cancel(now, id);
            answer
        })
    }

    /// The error of somebody outside of any runtime when those that the pool knows are gone.
    pub(crate) fn nowhere(&self, admission: &Admission) -> AcquireError {
        const CAUSE: &str =
            "the tokio runtime that the pool ran on is gone, and the caller is on none: call it inside of one";
        AcquireError::Unavailable {
            since: Duration::ZERO,
            cause: Some(CAUSE.into()),
            retry_after: Duration::from_secs(1),
            continuation: admission.has_begun(),
        }
    }

    /// A lease that its holder had.
    pub(crate) fn release(self: &Arc<Self>, loan: &Arc<Loan>) {
        self.take_back(loan, Return::Clean);
    }

    /// A lease that was granted to somebody who had left.
    pub(crate) fn release_unused(self: &Arc<Self>, loan: &Arc<Loan>) {
        self.take_back(loan, Return::Unused);
    }

    /// Gives the connection of a lease away. Its place counts as one that is being closed, for as long as that takes.
    pub(crate) fn detach(self: &Arc<Self>, loan: &Arc<Loan>) -> Result<Session, PoolError> {
        let (session, seat) = match loan.end() {
            None => return Err(loan.revocation()),
            Some(
                Returned::Clean(session)
                | Returned::TimedOut(session)
                | Returned::Dirty(Soiled { session, .. })
                | Returned::Interrupted(Soiled { session, .. }),
            ) => (Ok(session), Seat::Detached),
            Some(Returned::Broken) => (Err(PoolError::Lost), Seat::Soiled(Taken::Backend(loan.backend))),
        };
        let how = if session.is_ok() { Return::Detached } else { Return::Broken };
        let now = now();
        self.with(now, |state| {
            state.outside += u32::from(session.is_ok());
            *state.seat(loan.slot) = seat;
            state.ledger.release(now, loan.slot, how);
        });
        self.observer.released(loan.borrower.class, now.saturating_duration_since(loan.acquired));
        session
    }

    fn take_back(self: &Arc<Self>, loan: &Arc<Loan>, when_clean: Return) {
        let Some(returned) = loan.end() else { return };
        let (seat, how) = match returned {
            Returned::Clean(session) => (Seat::Resting(session), when_clean),
            Returned::TimedOut(session) => (Seat::Resting(session), Return::TimedOut),
            Returned::Dirty(soiled) => (Seat::Soiled(Taken::Session(soiled)), Return::Dirty),
            Returned::Interrupted(soiled) => (Seat::Soiled(Taken::Session(soiled)), Return::Interrupted),
            Returned::Broken => (Seat::Soiled(Taken::Backend(loan.backend)), Return::Broken),
        };
        let now = now();
        self.with(now, |state| {
            let stranded = matches!(&seat, Seat::Resting(session) if state.homes.is_gone(session.home));
            *state.seat(loan.slot) = seat;
            state.ledger.release(now, loan.slot, if stranded { Return::Stranded } else { how });
        });
        self.observer.released(loan.borrower.class, now.saturating_duration_since(loan.acquired));
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        // The drivers hold the pool only weakly: they wake, find it gone, and end.
        self.alarm.notify_waiters();
    }
}

impl Pool {
    /// A pool that will open connections with these options, in the background, beginning with `min_idle` now.
    /// Nothing waits for them here.
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
    pub fn builder(options: PgConnectOptions, config: Config) -> Builder {
        Builder::new(options, config)
    }

    pub(crate) fn build(builder: Builder) -> Result<Self, InvalidConfig> {
        let Builder { options, config, sizer, observer, connector, addresses } = builder;
        let faults = config.faults();
        if !faults.is_empty() {
            return Err(InvalidConfig { faults });
        }
        let mut options = options.application_name(&config.name);
        if config.bouncer == Bouncer::None {
            options = options.options(config.session.clone());
        }
        let turns = Semaphore::new(config.rules.openings_at_once as usize);
        let dialer = Arc::new(Dialer::new(options, connector, addresses, config.bouncer, turns));
        let now = now();
        let control_places = control_places(config.wants_control(), config.rules.ceiling);
        let control = Control::new(Arc::clone(&dialer), &config.name, control_places > 0);
        let state = State {
            ledger: Ledger::new(ledger_rules(&config.rules, control_places), sizer, now),
            seats: Vec::new(),
            waiters: HashMap::new(),
            last_open_error: None,
            history: History::default(),
            standstills: Standstills::new(now),
            alarm_at: None,
            look_at: None,
            to_wake: Vec::new(),
            homes: Homes::default(),
            unhoused: Vec::new(),
            jobs: 0,
            statement_limit: config.statement_limit(),
            control_places,
            rules: config.rules.clone(),
            ends_leases: false,
            outside: 0,
            nested_at: HashSet::new(),
            refuses: false,
        };
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
            unsure: Unsure::default(),
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
    /// # Errors
    /// One variant of [`AcquireError`] for each reaction a caller can have.
    #[track_caller]
    #[must_use = "futures do nothing unless awaited"]
    pub fn acquire(&self, admission: &Admission) -> Acquire {
        Acquire::new(Arc::clone(&self.shared), admission.clone(), Location::caller())
    }

    /// A connection if one is free this moment and rested for so short a time that it needs no check. Never waits, and
    /// leaves no trace when there is none.
    #[track_caller]
    #[must_use]
    pub fn try_acquire(&self, admission: &Admission) -> Option<Lease> {
        let site = Location::caller();
        let now = now();
        if admission.deadline() <= now {
            return None;
        }
        let home = if self.shared.unsure.get() { self.shared.arrive()? } else { 0 };
        let loan = self.shared.with(now, |state| {
            let slot = state.ledger.try_acquire(now, admission.ask(now).at(home))?;
            Some(state.lend(slot, Borrower::here(admission, site), now))
        })?;
        admission.begin();
        self.shared.observer.acquired(admission.class(), Duration::ZERO);
        Some(Lease::new(loan, Arc::clone(&self.shared)))
    }

    /// Begins a transaction on a lease of its own, in class normal.
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
            // From here on the threshold may know the answer.
            state.refuses |= matches!(refused, Err(Refusal::Shed { .. }));
            refused.map_err(|refusal| AcquireError::of(refusal, admission, || state.details(now)))
        })
    }

    /// Changes bounds at run time. No lease is ended by it.
    ///
    /// # Errors
    /// What is wrong with them; nothing has changed then.
    pub fn resize(&self, resize: Resize) -> Result<(), InvalidConfig> {
        let now = now();
        let wanted = self.shared.config.wants_control();
        let places = self.shared.with(now, |state| state.resize(now, resize, wanted));
        self.shared.control.allow(places.map_err(|faults| InvalidConfig { faults })? > 0);
        Ok(())
    }

    /// The rules in force.
    #[must_use]
    pub fn rules(&self) -> Rules {
        self.shared.lock().rules.clone()
    }

    /// Changes any rule at run time. No lease is ended by it, and who waits keeps the end of its wait. A shorter lifetime
    /// counts from now. A longer `revoke_after` is kept in full by connections opened from now on: the server ends idle
    /// transactions of those before a second after the old bound.
    ///
    /// # Errors
    /// Everything that is wrong with them; nothing has changed then.
    pub fn set_rules(&self, rules: Rules) -> Result<(), InvalidConfig> {
        let now = now();
        let Shared { config, dialer, control, .. } = &*self.shared;
        let wide = rules.openings_at_once;
        let (places, before) = self.shared.with(now, |state| {
            let before = state.rules.openings_at_once;
            (state.set_rules(now, rules, config.wants_control()), before)
        });
        control.allow(places.map_err(|faults| InvalidConfig { faults })? > 0);
        let dialer = Arc::clone(dialer);
        self.shared.spawn(async move { dialer.set_turns(before, wide).await });
        Ok(())
    }

    /// Closes every idle connection; what is needed is opened anew.
    pub fn flush_idle(&self) {
        let now = now();
        self.shared.with(now, |state| state.ledger.flush_idle(now));
    }

    /// The pool in numbers.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        let now = now();
        // The ledger is told of those who were refused without it, and may want something done for them.
        self.shared.with(now, |state| state.snapshot(now))
    }

    /// Every lease that is out, the longest first.
    #[must_use]
    pub fn holders(&self) -> Vec<Holder> {
        let now = now();
        self.shared.lock().holders(now)
    }

    /// The last 64 things that happened, the oldest first: limits that moved and why, leases that were suspected,
    /// the breaker, a ceiling that was learned.
    #[must_use]
    pub fn history(&self) -> Vec<Happening> {
        self.shared.lock().history.list()
    }

    /// Why the last attempt to open a connection failed, if it did.
    #[must_use]
    pub fn last_open_error(&self) -> Option<Arc<str>> {
        self.shared.lock().last_open_error.clone()
    }

    pub(crate) fn observer(&self) -> &dyn Observer {
        &*self.shared.observer
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

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let snapshot = self.lock().snapshot(now());
        f.debug_struct("Pool").field("name", &self.config.name).field("snapshot", &snapshot).finish_non_exhaustive()
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
