//! Faults around the shop, in the child process only. Each starts and stops, shows a gauge, and ends by itself.

mod job;

pub(crate) use job::AGAIN;

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use forebay_platform::db::Db;
use metrics::gauge;
use serde::{Deserialize, Serialize};
use tokio::task::JoinSet;

/// Idle holders, as they are ordered from the child.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HoldersOrder {
    /// How many start, one by one.
    pub count: u32,
    /// Milliseconds between two starts.
    pub every_ms: u64,
    /// Milliseconds that each sleeps with its transaction open; `null` never gives back.
    pub sleep_ms: Option<u64>,
    /// Milliseconds after which the fault ends by itself, whoever forgot it.
    pub ttl_ms: u64,
}

/// What the faults show of themselves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FaultView {
    /// Whether holders are ordered.
    pub active: bool,
    /// Jobs that hold a lease right now.
    pub holding: u32,
    /// Typed errors that told a job that its lease was taken back.
    pub taken_back: u64,
}

#[derive(Debug, Default)]
struct Gauges {
    holding: AtomicU32,
    taken_back: AtomicU64,
}

/// Counts one job as holding until dropped.
struct Holding<'g>(&'g Gauges);

impl Gauges {
    fn hold(&self) -> Holding<'_> {
        self.holding.fetch_add(1, Ordering::Relaxed);
        Holding(self)
    }
}

impl Drop for Holding<'_> {
    fn drop(&mut self) {
        self.0.holding.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The faults of one process.
#[derive(Debug)]
pub struct Faults {
    db: Db,
    gauges: Arc<Gauges>,
    running: Mutex<JoinSet<()>>,
}

impl Faults {
    /// No fault yet.
    #[must_use]
    pub fn new(db: Db) -> Self {
        metrics::describe_gauge!("chaos_fault_active", "Whether a fault is in force: 1 or 0");
        Self { db: db.named("report-job"), gauges: Arc::default(), running: Mutex::default() }
    }

    /// Starts the holders of `order`, in place of those that run.
    pub fn start(&self, order: HoldersOrder) {
        self.stop();
        let (db, gauges) = (self.db.clone(), Arc::clone(&self.gauges));
        self.running().spawn(async move {
            // A time-out drops the jobs, and with each its lease.
            _ = tokio::time::timeout(Duration::from_millis(order.ttl_ms), job::all(db, gauges, order)).await;
            gauge!("chaos_fault_active", "fault" => "holders").set(0);
        });
        gauge!("chaos_fault_active", "fault" => "holders").set(1);
    }

    /// Stops the holders; their leases go back.
    pub fn stop(&self) {
        // Dropping the set aborts what is in it.
        *self.running() = JoinSet::new();
        gauge!("chaos_fault_active", "fault" => "holders").set(0);
    }

    /// What they show.
    #[must_use]
    pub fn view(&self) -> FaultView {
        let mut running = self.running();
        while running.try_join_next().is_some() {}
        FaultView {
            active: !running.is_empty(),
            holding: self.gauges.holding.load(Ordering::Relaxed),
            taken_back: self.gauges.taken_back.load(Ordering::Relaxed),
        }
    }

    fn running(&self) -> std::sync::MutexGuard<'_, JoinSet<()>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
