//! No connection is opened unless what the process holds stands published.

use std::{
    collections::VecDeque,
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use forebay_platform::db::PoolMetrics;
use forebay_pool::{AcquireError, Class, Connector, Event, Holder, Observer, Ran};
use sqlx::postgres::PgConnectOptions;
use tokio::time::{Instant, sleep};

use super::Sharing;

/// The longest way of an opening to the server, after which it is among the server's sessions.
const WAY: Duration = Duration::from_millis(400);
/// Until it is asked once more.
const ASK_AGAIN: Duration = Duration::from_millis(20);

/// Openings of which it is not known whether the server counts them.
#[derive(Debug, Default)]
pub(super) struct UnderWay(Mutex<VecDeque<Instant>>);

impl UnderWay {
    pub(super) fn begin(&self) {
        self.lock().push_back(Instant::now());
    }

    pub(super) fn count(&self) -> u32 {
        let mut begun = self.lock();
        begun.retain(|at| at.elapsed() < WAY);
        u32::try_from(begun.len()).unwrap_or(u32::MAX)
    }

    /// One is open: the server counts it.
    fn ended(&self) {
        self.lock().pop_front();
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, VecDeque<Instant>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

type Asked<'a> = Pin<Box<dyn Future<Output = Result<PgConnectOptions, sqlx::Error>> + Send + 'a>>;

/// Lets the pool dial when one more may be opened.
#[derive(Clone, Debug)]
pub(crate) struct Gate(Arc<Sharing>);

impl Gate {
    pub(crate) const fn new(sharing: Arc<Sharing>) -> Self {
        Self(sharing)
    }
}

impl Connector for Gate {
    fn options(&self, configured: PgConnectOptions) -> Asked<'_> {
        Box::pin(async move {
            loop {
                let sharing = Arc::clone(&self.0);
                // The pool gives an opening up after a while, and the question must not be given up half-way.
                let asked = tokio::spawn(async move { sharing.may_open().await });
                match asked.await {
                    Ok(Ok(true)) => return Ok(configured),
                    Ok(Ok(false)) => sleep(ASK_AGAIN).await,
                    Ok(Err(error)) => return Err(error),
                    Err(died) => return Err(sqlx::Error::Io(std::io::Error::other(died))),
                }
            }
        })
    }

    fn prepares(&self) -> bool {
        false
    }
}

/// The pool's metrics, and the count of what is under way.
#[derive(Debug)]
pub(crate) struct Counted {
    metrics: PoolMetrics,
    sharing: Arc<Sharing>,
}

impl Counted {
    pub(crate) const fn new(metrics: PoolMetrics, sharing: Arc<Sharing>) -> Self {
        Self { metrics, sharing }
    }
}

impl Observer for Counted {
    fn opened(&self, took: Duration, error: Option<&sqlx::Error>) {
        if error.is_none() {
            self.sharing.under_way.ended();
        }
        self.metrics.opened(took, error);
    }

    fn acquired(&self, class: Class, waited: Duration) {
        self.metrics.acquired(class, waited);
    }

    fn handed_over(&self, class: Class, latency: Duration) {
        self.metrics.handed_over(class, latency);
    }

    fn refused(&self, class: Class, error: &AcquireError) {
        self.metrics.refused(class, error);
    }

    fn released(&self, class: Class, held: Duration) {
        self.metrics.released(class, held);
    }

    fn ran(&self, ran: &Ran<'_>) {
        self.metrics.ran(ran);
    }

    fn event(&self, event: &Event, holder: Option<&Holder>) {
        self.metrics.event(event, holder);
    }

    fn revoked(&self, holder: &Holder) {
        self.metrics.revoked(holder);
    }
}
