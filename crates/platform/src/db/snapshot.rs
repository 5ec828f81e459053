use std::time::Duration;

use forebay_pool::{Holder, Snapshot};
use serde::Serialize;

/// The pool in numbers, as `/pool` shows it. Times are milliseconds.
#[derive(Clone, Debug, Serialize)]
pub struct DbSnapshot {
    /// `forebay` or `stock`.
    pub kind: &'static str,
    /// How many leases may be out at once, below the reserve.
    pub limit: u32,
    /// How many more critical work may take.
    pub reserve: u32,
    /// How many connections may exist.
    pub ceiling: u32,
    /// Connections kept open without traffic.
    pub min_idle: u32,
    /// Leases out and used, and connections being cleaned.
    pub in_use: u32,
    /// Leases out that run no statement; their places were given to others.
    pub suspects: u32,
    /// Connections ready to be leased.
    pub idle: u32,
    /// Connections being opened.
    pub opening: u32,
    /// Callers that wait.
    pub waiting: u32,
    /// The mean time a lease is out.
    pub mean_hold_ms: f64,
    /// How long the next waiter of class normal would wait.
    pub predicted_wait_ms: f64,
    /// How long the oldest lease is out.
    pub oldest_hold_ms: f64,
    /// The leases that are out for longest.
    pub longest_holders: Vec<HolderView>,
    /// Since the start.
    pub totals: TotalsView,
}

/// One lease that is out.
#[derive(Clone, Debug, Serialize)]
pub struct HolderView {
    /// Where it was taken: file and line.
    pub site: String,
    /// Its class.
    pub class: &'static str,
    /// For how long it is out.
    pub held_ms: f64,
    /// For how long it has run no statement.
    pub held_idle_ms: f64,
}

/// What has happened since the start.
///
/// Field by field what [`forebay_pool::Totals`] says.
#[derive(Clone, Copy, Debug, Serialize)]
#[expect(missing_docs, reason = "named as in the pool's own totals")]
pub struct TotalsView {
    pub granted: u64,
    pub released: u64,
    pub shed_critical: u64,
    pub shed_normal: u64,
    pub would_shed: u64,
    pub timed_out: u64,
    pub cancelled: u64,
    pub unavailable: u64,
    pub opened: u64,
    pub open_failed: u64,
    pub closed: u64,
    pub reaped: u64,
    pub suspected: u64,
    pub revoked: u64,
    pub quarantined: u64,
    pub limit_raised: u64,
    pub limit_lowered: u64,
    pub busy_seconds: f64,
}

fn ms(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1_000.0
}

impl DbSnapshot {
    pub(super) fn new(kind: &'static str, snapshot: Snapshot, holders: Vec<Holder>) -> Self {
        let totals = snapshot.totals;
        Self {
            kind,
            limit: snapshot.limit,
            reserve: snapshot.reserve,
            ceiling: snapshot.ceiling,
            min_idle: snapshot.min_idle,
            in_use: snapshot.leased + snapshot.quarantined,
            suspects: snapshot.suspects,
            idle: snapshot.idle,
            opening: snapshot.opening,
            waiting: snapshot.waiting,
            mean_hold_ms: ms(snapshot.mean_hold),
            predicted_wait_ms: ms(snapshot.predicted_wait),
            oldest_hold_ms: ms(snapshot.oldest_lease),
            longest_holders: holders.into_iter().take(10).map(HolderView::from).collect(),
            totals: TotalsView {
                granted: totals.granted,
                released: totals.released,
                shed_critical: totals.shed_critical,
                shed_normal: totals.shed_normal,
                would_shed: totals.would_shed,
                timed_out: totals.timed_out,
                cancelled: totals.cancelled,
                unavailable: totals.unavailable,
                opened: totals.opened,
                open_failed: totals.open_failed,
                closed: totals.closed,
                reaped: totals.reaped,
                suspected: totals.suspected,
                revoked: totals.revoked,
                quarantined: totals.quarantined,
                limit_raised: totals.limit_raised,
                limit_lowered: totals.limit_lowered,
                busy_seconds: totals.busy_seconds,
            },
        }
    }
}

impl From<Holder> for HolderView {
    fn from(holder: Holder) -> Self {
        Self {
            site: holder.site.to_string(),
            class: holder.class.name(),
            held_ms: ms(holder.held),
            held_idle_ms: ms(holder.held_idle),
        }
    }
}
