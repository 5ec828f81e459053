//! The control connection: one more than those for statements, over which the pool stops what nobody waits for any more.
//!
//! A socket that is closed stops nothing by itself: the server works on until it next looks whether the client is still
//! there. Over another connection the statement is cancelled at once, and its own connection is used again.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use sqlx::{AssertSqlSafe, ConnectOptions, Connection, PgConnection, Row};
use tokio::runtime::{Handle, Id, RuntimeFlavor};
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use crate::connect::{Backend, Dialer, STARTED};
use crate::describe;
use crate::loan::drain;
use crate::standstill::timeout;
use crate::sync::Mutex;

/// The way to the control connection's task, which is started on the runtime of whoever has the first order, and again where
/// that is gone.
#[derive(Debug)]
pub(crate) struct Control {
    dialer: Arc<Dialer>,
    /// The server shows the connection under this name.
    name: String,
    way: Mutex<Option<Way>>,
    /// Whether there is a place for it below the ceiling.
    allowed: AtomicBool,
    warmed: AtomicBool,
}

/// A task that takes orders; it ends when nobody can send one.
#[derive(Clone, Debug)]
struct Way {
    orders: mpsc::Sender<Order>,
    home: Handle,
}

#[derive(Debug)]
enum Order {
    /// Connect now, so that the first cancel need not wait for it.
    Warm,
    Stop {
        backend: Backend,
        how: How,
        done: oneshot::Sender<bool>,
    },
    /// Say what share of the sessions that run a statement waits for a lock.
    LockWaits(oneshot::Sender<Option<f64>>),
    /// Close the connection.
    Rest(oneshot::Sender<()>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum How {
    /// The statement is cancelled, and the connection lives on.
    Cancel,
    /// The backend is ended.
    End,
}

impl Control {
    /// Orders that may wait; a statement for which there is no room is dealt with as if there were no control connection.
    const CAPACITY: usize = 1_024;
    /// Orders carried out in one statement.
    const AT_ONCE: usize = 64;
    /// A statement that was almost done is not worth an order.
    const GRACE: Duration = Duration::from_millis(1);

    pub(crate) fn new(dialer: Arc<Dialer>, name: &str, allowed: bool) -> Self {
        let (allowed, warmed) = (AtomicBool::new(allowed), AtomicBool::new(false));
        Self { dialer, name: format!("{name} control"), way: Mutex::default(), allowed, warmed }
    }

    /// Sends an order; says whether anybody took it.
    fn send(&self, order: Order) -> bool {
        let Some(way) = self.way() else { return false };
        // No room means that it is at work.
        way.orders.try_send(order).is_ok()
    }

    /// The way to the task, which is started here where there is none.
    fn way(&self) -> Option<Way> {
        let mut way = self.way.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(way) = way.as_ref().filter(|way| !way.orders.is_closed()) {
            return Some(way.clone());
        }
        let home = Handle::try_current().ok()?;
        let (orders, receiver) = mpsc::channel(Self::CAPACITY);
        let (dialer, name) = (Arc::clone(&self.dialer), self.name.clone());
        home.spawn(run(Line { dialer, name, connection: None, not_before: None }, receiver));
        *way = Some(Way { orders, home });
        way.clone()
    }

    /// Its task is not to be waited for, if it is on this runtime: that is gone, or nobody polls it.
    pub(crate) fn forsake(&self, home: Id) {
        let mut way = self.way.lock().unwrap_or_else(PoisonError::into_inner);
        let left = way.take_if(|way| way.home.id() == home);
        drop(way);
        drop(left);
    }

    /// The server is there: connects now, once.
    pub(crate) fn warm(&self) {
        if self.is_allowed() && !self.warmed.swap(true, Ordering::Relaxed) {
            self.send(Order::Warm);
        }
    }

    fn is_allowed(&self) -> bool {
        self.allowed.load(Ordering::Relaxed)
    }

    /// Whether there is a place for it below the ceiling; without one it closes its connection and does nothing.
    pub(crate) fn allow(&self, allowed: bool) {
        let before = self.allowed.swap(allowed, Ordering::Relaxed);
        if before && !allowed {
            self.warmed.store(false, Ordering::Relaxed);
            self.send(Order::Rest(oneshot::channel().0));
        }
    }

    /// Closes the connection, and waits for it, unless its runtime may be one that nobody polls. A later order would open it
    /// again.
    pub(crate) async fn close(&self) {
        let way = self.way.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(Way { orders, home }) = way else { return };
        let here = Handle::try_current().is_ok_and(|here| here.id() == home.id());
        if !here && home.runtime_flavor() == RuntimeFlavor::CurrentThread {
            return;
        }
        let (done, closed) = oneshot::channel();
        if orders.send(Order::Rest(done)).await.is_ok() {
            let _gone = closed.await;
        }
    }

    async fn order(&self, backend: Backend, how: How) -> bool {
        if !self.is_allowed() {
            return false;
        }
        let (done, outcome) = oneshot::channel();
        self.send(Order::Stop { backend, how, done }) && outcome.await.unwrap_or(false)
    }

    /// Of the sessions of pools with this name that run a statement, the share that waits for a lock; `None` where the server
    /// cannot be asked now. What others wait for is no reason to lend less here.
    pub(crate) async fn lock_waits(&self) -> Option<f64> {
        if !self.is_allowed() {
            return None;
        }
        let (done, answer) = oneshot::channel();
        if !self.send(Order::LockWaits(done)) {
            return None;
        }
        answer.await.ok().flatten()
    }

    /// Ends a backend; says whether it is certain that it ends.
    pub(crate) async fn end(&self, backend: Backend) -> bool {
        self.order(backend, How::End).await
    }

    /// Cancels the statement that runs on this connection, if it still does, and reads its answer; says whether an error
    /// was among it. Without a control connection it waits for the statement's end.
    ///
    /// The answer is read only after the server has told the statement's backend, so that a cancel that comes too late
    /// cannot hit the next statement.
    pub(crate) async fn stop(&self, backend: Backend, connection: &mut PgConnection) -> Result<bool, sqlx::Error> {
        if let Ok(drained) = timeout(Self::GRACE, drain(connection)).await {
            return drained;
        }
        self.order(backend, How::Cancel).await;
        drain(connection).await
    }
}

/// The connection itself, held by its task.
struct Line {
    dialer: Arc<Dialer>,
    /// The server shows it under this name.
    name: String,
    connection: Option<PgConnection>,
    /// After a failed attempt.
    not_before: Option<Instant>,
}

impl Line {
    /// How long one step may take.
    const LIMIT: Duration = Duration::from_secs(1);
    /// How long after a failed attempt none is made.
    const PAUSE: Duration = Duration::from_millis(500);

    async fn connect(&mut self) -> bool {
        if self.connection.is_some() {
            return true;
        }
        if self.not_before.is_some_and(|at| Instant::now() < at) {
            return false;
        }
        let _turn = self.dialer.turn().await;
        let dialing = async {
            let options = self.dialer.options().await?.application_name(&self.name);
            let choice = self.dialer.addresses.choose(&options).await?;
            let connection = choice.of(options).connect().await?;
            choice.opened();
            Ok::<_, sqlx::Error>(connection)
        };
        match timeout(Self::LIMIT, dialing).await {
            Ok(Ok(connection)) => {
                self.connection = Some(connection);
                true
            }
            other => {
                let said = |failed: Result<_, _>| failed.err().map(|error| describe(&error).to_string());
                let error = other.map_or_else(|_| Some("no answer".to_owned()), said);
                tracing::warn!(error, "the control connection could not be opened; abandoned statements run on");
                self.not_before = Some(Instant::now() + Self::PAUSE);
                false
            }
        }
    }

    /// Runs one statement and gives back the numbers of its first row. A connection that has died since it was used last is
    /// replaced once.
    async fn run<const COLUMNS: usize>(&mut self, sql: &str) -> Option<[i32; COLUMNS]> {
        for _ in 0..2 {
            if !self.connect().await {
                return None;
            }
            let mut connection = self.connection.take()?;
            let asking = async {
                let row = sqlx::raw_sql(AssertSqlSafe(sql)).fetch_one(&mut connection).await?;
                drain(&mut connection).await?;
                let mut numbers = [0; COLUMNS];
                for (column, number) in numbers.iter_mut().enumerate() {
                    *number = row.try_get(column)?;
                }
                Ok::<_, sqlx::Error>(numbers)
            };
            match timeout(Self::LIMIT, asking).await {
                Ok(Ok(numbers)) => {
                    self.connection = Some(connection);
                    return Some(numbers);
                }
                Ok(Err(error)) => tracing::debug!(error = %describe(&error), "the control connection failed"),
                Err(_elapsed) => return None,
            }
        }
        None
    }

    async fn lock_waits(&mut self) -> Option<f64> {
        let [waiting, running] = self.run(LOCK_WAITS).await?;
        Some(f64::from(waiting) / f64::from(running.max(1)))
    }

    async fn rest(&mut self) {
        if let Some(connection) = self.connection.take() {
            let _polite = timeout(Self::LIMIT, connection.close()).await;
        }
    }
}

/// Of the sessions with the pool's own name, which this connection's ends in " control"; a name has 63 bytes on the server.
const LOCK_WAITS: &str = "select (count(*) filter (where wait_event_type = 'Lock'))::int, count(*)::int \
    from pg_stat_activity where state = 'active' and backend_type = 'client backend' \
    and datname = current_database() and left(application_name || ' control', 63) = current_setting('application_name')";

/// Stops these backends, each only if it still is the one that it was.
fn stopping(backends: &[(Backend, How)]) -> String {
    let rows: Vec<String> = backends
        .iter()
        .map(|(Backend { pid, started }, how)| format!("({pid}, {started}::bigint, {})", *how == How::End))
        .collect();
    format!(
        "select count(case when ending then pg_terminate_backend(activity.pid) else pg_cancel_backend(activity.pid) end) \
         from (values {}) as wanted (pid, started, ending), pg_stat_get_activity(wanted.pid) as activity \
         where {STARTED} = started",
        rows.join(", ")
    )
}

async fn run(mut line: Line, mut orders: mpsc::Receiver<Order>) {
    let mut batch = Vec::new();
    while orders.recv_many(&mut batch, Control::AT_ONCE).await > 0 {
        let (mut backends, mut waiting, mut asking, mut resting) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for order in batch.drain(..) {
            match order {
                Order::Warm => _ = line.connect().await,
                // Whoever has given up meanwhile has closed the connection.
                Order::Stop { done, .. } if done.is_closed() => {}
                Order::Stop { backend, how, done } => {
                    backends.push((backend, how));
                    waiting.push(done);
                }
                Order::LockWaits(done) => asking.push(done),
                Order::Rest(done) => resting.push(done),
            }
        }
        let stopped = backends.is_empty() || line.run::<0>(&stopping(&backends)).await.is_some();
        for done in waiting {
            let _gone = done.send(stopped);
        }
        for done in asking {
            let _gone = done.send(line.lock_waits().await);
        }
        if !resting.is_empty() {
            line.rest().await;
        }
        for done in resting {
            let _gone = done.send(());
        }
    }
    line.rest().await;
}
