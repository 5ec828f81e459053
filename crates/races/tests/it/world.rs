use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use forebay_races::{
    AcquireError, Admission, Class, Config, Fixed, Holder, Lease, Mode, Observer, Pool, PoolError, Rules, classify,
};
use futures_util::future::join_all;
use shuttle::future::JoinHandle;
use shuttle::rand::{Rng, thread_rng};
use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, Executor, server};

use crate::schedules::be_patient;

/// Longer than a schedule lasts.
pub(crate) const EVER: Duration = Duration::from_secs(3600);

/// Two leases, and a third one for critical work.
pub(crate) fn rules() -> Rules {
    Rules {
        min_idle: 0,
        initial_limit: 2,
        ceiling: 3,
        mode: Mode::Off,
        suspect_after: EVER,
        revoke_after: None,
        idle_timeout: EVER,
        lifetime: None,
        ..Rules::default()
    }
}

pub(crate) fn config(rules: Rules) -> Config {
    Config { rules, control: false, acquire_timeout: EVER, ..Config::named("races") }
}

/// A pool, and what is known of it.
#[derive(Clone)]
pub(crate) struct World {
    pub(crate) pool: Pool,
    /// Connections that are not for statements, at most.
    control: usize,
    told: Arc<Told>,
    asked: Arc<AtomicU32>,
    /// Who asked, waited, and went away.
    left: Arc<AtomicU32>,
    moved: Arc<AtomicBool>,
}

/// What the pool has told its observer.
#[derive(Debug, Default)]
struct Told {
    acquired: AtomicU32,
    refused: AtomicU32,
    released: AtomicU32,
    revoked: AtomicU32,
}

#[derive(Debug)]
struct Listener(Arc<Told>);

impl Observer for Listener {
    fn acquired(&self, _: Class, _: Duration) {
        self.0.acquired.fetch_add(1, Ordering::Relaxed);
    }

    fn refused(&self, _: Class, _: &AcquireError) {
        self.0.refused.fetch_add(1, Ordering::Relaxed);
    }

    fn released(&self, _: Class, _: Duration) {
        self.0.released.fetch_add(1, Ordering::Relaxed);
    }

    fn revoked(&self, _: &Holder) {
        self.0.revoked.fetch_add(1, Ordering::Relaxed);
    }
}

impl World {
    pub(crate) fn new(config: Config) -> Self {
        let control = usize::from(config.control);
        let told = Arc::<Told>::default();
        let builder = Pool::builder(PgConnectOptions::new(), config).sizer(Fixed);
        let pool = builder.observer(Listener(Arc::clone(&told))).connect();
        Self {
            pool: pool.expect("the rules hold"),
            control,
            told,
            asked: Arc::default(),
            left: Arc::default(),
            moved: Arc::default(),
        }
    }

    /// Waits for a lease, and looks whether there are too many then.
    pub(crate) fn acquire(&self, class: Class) -> impl Future<Output = Result<Lease, AcquireError>> {
        self.acquire_within(class, EVER)
    }

    pub(crate) fn acquire_within(
        &self,
        class: Class,
        limit: Duration,
    ) -> impl Future<Output = Result<Lease, AcquireError>> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        async move {
            let lease = self.pool.acquire(&Admission::within(class, limit)).await;
            self.look();
            lease
        }
    }

    /// Whether the door would let somebody in. A refusal is an answer as any.
    pub(crate) fn admit(&self, class: Class) -> bool {
        let answer = self.pool.admit(&Admission::within(class, EVER));
        self.asked.fetch_add(u32::from(answer.is_err()), Ordering::Relaxed);
        answer.is_ok()
    }

    /// How many were refused, as the observer was told.
    pub(crate) fn refused(&self) -> u32 {
        self.told.refused.load(Ordering::Relaxed)
    }

    /// Asks, and goes away after a while, unless the answer is there first. Says what it was.
    pub(crate) async fn ask_and_leave(&self, class: Class) -> Option<Result<Lease, AcquireError>> {
        let asking = Box::pin(self.acquire(class));
        match tokio::either(asking, linger(chance(8))).await {
            tokio::Either::First(answer) => Some(answer),
            tokio::Either::Second(()) => {
                self.left.fetch_add(1, Ordering::Relaxed);
                None
            }
        }
    }

    /// Acquires, runs a statement, and gives the connection back.
    pub(crate) async fn visit(&self, class: Class, holder: u32) -> Result<(), AcquireError> {
        let mut lease = self.acquire(class).await?;
        work(&mut lease, holder, 0).await.expect("the server answers");
        server::leave(holder);
        drop(lease);
        self.look();
        Ok(())
    }

    /// What holds at every moment while nobody moves the bounds.
    pub(crate) fn look(&self) {
        let now = self.pool.snapshot();
        assert!(now.open() <= now.ceiling || self.is_moved(), "more connections than may be: {now:?}");
        let taken = now.leased + now.quarantined;
        assert!(taken <= now.limit + now.reserve || self.is_moved(), "more leases than may be: {now:?}");
    }

    /// From now on the bounds move, and what was below them may be above.
    pub(crate) fn move_bounds(&self) {
        self.moved.store(true, Ordering::Relaxed);
    }

    fn is_moved(&self) -> bool {
        self.moved.load(Ordering::Relaxed)
    }

    /// What holds when all is over: nothing is lost. A full set of leases can be had at once, all connections end, and so
    /// do all tasks of the pool.
    pub(crate) async fn settle(self) {
        be_patient();
        // Until then a pool that met time limits pauses before it opens one more.
        tokio::time::sleep(Duration::from_secs(60)).await;
        self.rest().await;
        let limit = self.pool.snapshot().limit;
        let mut leases = join_all((0..limit).map(|_| self.insist())).await;
        for (holder, lease) in (1_000..).zip(&mut leases) {
            work(lease, holder, 0).await.expect("the server answers");
            server::leave(holder);
        }
        let full = self.pool.snapshot();
        assert_eq!((full.leased, full.waiting), (limit, 0), "{full:?}");
        drop(leases);
        self.rest().await;
        self.pool.close().await;
        self.end().await;
    }

    /// A lease, of which there is one free. To those who were in haste the server may seem to be away for a while.
    pub(crate) async fn insist(&self) -> Lease {
        loop {
            match self.acquire(Class::Normal).await {
                Ok(lease) => return lease,
                Err(AcquireError::Unavailable { retry_after, .. }) => {
                    tokio::time::sleep(retry_after).await;
                }
                Err(error) => panic!("there is room, and somebody was refused: {error:?}"),
            }
        }
    }

    /// Waits until nothing is under way: all there is is idle, and the server knows of as many.
    async fn rest(&self) {
        for _ in 0..10_000 {
            let now = self.pool.snapshot();
            if now.open() == now.idle && now.waiting == 0 {
                let control = server::connections() - now.idle as usize;
                assert!(control <= self.control, "{} connections at the server: {now:?}", server::connections());
                return;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        panic!("it does not come to rest: {:?}", self.pool.snapshot());
    }

    /// A pool that was closed: nothing is left of it, and everybody was told once.
    pub(crate) async fn end(self) {
        let last = self.pool.snapshot();
        assert_eq!((last.open(), last.waiting, server::connections()), (0, 0, 0), "{last:?}");
        let late = self.acquire(Class::Critical).await;
        assert!(matches!(late, Err(AcquireError::Closed { .. })), "{late:?}");
        let told = &self.told;
        let told =
            [&told.acquired, &told.refused, &told.released, &told.revoked].map(|count| count.load(Ordering::Relaxed));
        let [acquired, refused, released, revoked] = told;
        let (asked, left) = (self.asked.load(Ordering::Relaxed), self.left.load(Ordering::Relaxed));
        assert_eq!(acquired + refused + left, asked, "somebody had no answer, or two");
        let totals = self.pool.snapshot().totals;
        assert_eq!(u64::from(released), totals.released, "{totals:?}");
        assert_eq!(u64::from(revoked), totals.revoked, "{totals:?}");
        assert_eq!(totals.granted, totals.released + totals.revoked, "{totals:?}");
        drop(self);
        for _ in 0..10_000 {
            if tokio::runtime::tasks() == 0 {
                return;
            }
            shuttle::future::yield_now().await;
        }
        panic!("{} tasks outlive their pool", tokio::runtime::tasks());
    }
}

/// Runs a statement of this holder that lasts so many milliseconds.
pub(crate) async fn work(lease: &mut Lease, holder: u32, lasts: u32) -> Result<(), sqlx::Error> {
    let statement = sqlx::raw_sql(AssertSqlSafe(format!("select by({holder}, {lasts})")));
    (&mut **lease).execute(statement).await.map(drop)
}

/// Whether a holder was told that it has its connection no more.
pub(crate) fn is_revoked(error: &sqlx::Error) -> bool {
    matches!(classify(error), Some(PoolError::Revoked { .. }))
}

/// Waits for all of them.
pub(crate) async fn all<T>(somebodies: Vec<JoinHandle<T>>) -> Vec<T> {
    let ends = join_all(somebodies).await;
    ends.into_iter().map(|end| end.expect("nobody aborts it")).collect()
}

/// A number below this, drawn as the schedule is.
pub(crate) fn chance(below: u32) -> u32 {
    thread_rng().gen_range(0..below)
}

/// Lets others go first, so often.
pub(crate) async fn linger(times: u32) {
    for _ in 0..times {
        shuttle::future::yield_now().await;
    }
}
