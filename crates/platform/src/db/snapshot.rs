use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use forebay_pool::{
    Class, CloseReason, Event, Failure, Happening, Holder, OpenReason, Pool, ShedReason, SiteUse, Snapshot,
    StatementUse, TakenBack,
};
use serde::Serialize;

/// The pool in numbers, as `/pool` shows it. Times are milliseconds.
#[derive(Clone, Debug, Serialize)]
pub struct DbSnapshot {
    /// `forebay` or `stock`.
    pub kind: &'static str,
    /// How long ago the pool was made: the start of what is counted since the start.
    pub age_ms: f64,
    /// How many leases may be out at once, below the reserve.
    pub limit: u32,
    /// What the size controller would make of the limit if no bound and no person stood in its way.
    pub recommended_limit: u32,
    /// Whether a person has put the limit where it is.
    pub pinned: bool,
    /// How many more critical work may take.
    pub reserve: u32,
    /// How many connections may exist.
    pub ceiling: u32,
    /// Connections kept open without traffic.
    pub min_idle: u32,
    /// Connections kept though nobody uses them, since so many were needed lately.
    pub kept: u32,
    /// Leases out and used, and connections being cleaned.
    pub in_use: u32,
    /// Leases out that run no statement; their places were given to others.
    pub suspects: u32,
    /// Connections ready to be leased.
    pub idle: u32,
    /// Connections being opened.
    pub opening: u32,
    /// Connections being pinged.
    pub checking: u32,
    /// Connections being cleaned.
    pub quarantined: u32,
    /// Connections being closed.
    pub closing: u32,
    /// Callers that wait.
    pub waiting: u32,
    /// The same by class.
    pub waiting_by_class: BTreeMap<&'static str, u32>,
    /// How long the oldest of them has waited.
    pub oldest_wait_ms: f64,
    /// `closed`, `open` or `half_open`: whether connections can be opened.
    pub breaker: &'static str,
    /// How often all connections were replaced because the server had changed.
    pub era: u32,
    /// The mean time a lease is out.
    pub mean_hold_ms: f64,
    /// How long the next waiter of class normal would wait.
    pub predicted_wait_ms: f64,
    /// How long the oldest lease is out.
    pub oldest_hold_ms: f64,
    /// The leases that are out for longest.
    pub longest_holders: Vec<HolderView>,
    /// What happened last, the oldest first.
    pub history: Vec<HappeningView>,
    /// What the leases of each call site have done since the start: first those whose leases were taken back, then those whose
    /// leases were out for longest in all; 20 at most, and the sum of the rest as `other`.
    pub call_sites: Vec<CallSiteView>,
    /// What the statements of each summary have done since the start, first those that took longest in all; 20 at most, and the
    /// sum of the rest as `other`.
    pub statements: Vec<StatementView>,
    /// Requests shed since the start, by class.
    pub shed: BTreeMap<&'static str, u64>,
    /// The same by class and reason; a reason that was never had is left out.
    pub shed_by_reason: BTreeMap<&'static str, BTreeMap<&'static str, u64>>,
    /// Connections opened since the start, by what for.
    pub opened_for: BTreeMap<&'static str, u64>,
    /// Connections closed since the start, by why.
    pub closed_for: BTreeMap<&'static str, u64>,
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
    /// The statement that it runs, or ran last, with a `?` for each value. Nothing where it ran none yet.
    pub runs: Option<String>,
}

/// `src/orders.rs:12 for 3210 ms, of which 3000 ms without a statement`.
impl fmt::Display for HolderView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { site, held_ms, held_idle_ms, .. } = self;
        write!(f, "{site} for {held_ms:.0} ms, of which {held_idle_ms:.0} ms without a statement")
    }
}

/// What the leases of one call site have done since the start. Those that are out are not in it.
#[derive(Clone, Debug, Serialize)]
pub struct CallSiteView {
    /// File and line.
    pub site: String,
    /// How many have ended.
    pub leases: u64,
    /// How long they were out, summed.
    pub held_ms: f64,
    /// For how long of it they ran no statement.
    pub idle_ms: f64,
    /// For how long of it they ran one. What is left beside this and `idle_ms` is the time of raw connections.
    pub ran_ms: f64,
    /// How many statements they ran, with those that begin and end transactions.
    pub statements: u64,
    /// The longest that one was out.
    pub longest_ms: f64,
    /// From how many the pool took the connection back, since they ran nothing.
    pub taken_back: u64,
    /// The last of these.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_taken_back: Option<TakenBackView>,
}

/// What the statements of one summary have done since the start.
#[derive(Clone, Debug, Serialize)]
pub struct StatementView {
    /// What they do and to what, such as `SELECT catalog.products`.
    pub summary: String,
    /// How many have ended, however.
    pub calls: u64,
    /// How many of them did not end well, by how; what never happened is left out.
    pub failed: BTreeMap<&'static str, u64>,
    /// For how long they ran, summed.
    pub took_ms: f64,
    /// For how long 95 % of them ran at most: the bound of a bucket. The sum of several has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub p95_ms: Option<f64>,
    /// The longest that one ran.
    pub longest_ms: f64,
}

/// A lease whose connection was taken back.
#[derive(Clone, Debug, Serialize)]
pub struct TakenBackView {
    /// How long ago.
    pub ago_ms: f64,
    /// How long it had been out.
    pub held_ms: f64,
    /// For how long it had run nothing.
    pub held_idle_ms: f64,
    /// The statement that it ran last.
    pub runs: Option<String>,
}

/// Something that happened.
#[derive(Clone, Debug, Serialize)]
pub struct HappeningView {
    /// Counted from 1 since the start.
    pub number: u64,
    /// How long ago.
    pub ago_ms: f64,
    /// What: `limit_changed`, `suspected`, `cleared`, `breaker_opened`, `breaker_closed`, `ceiling_learned`, `flushed`.
    pub event: &'static str,
    /// How often in a row: limits that were only tried out are listed together.
    pub times: u32,
    /// The limit before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<u32>,
    /// The limit after, or the ceiling that was learned.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<u32>,
    /// Why the limit moved.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<&'static str>,
    /// Where the lease was taken that this is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub site: Option<String>,
    /// The statement that it had run last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub runs: Option<String>,
}

/// What has happened since the start.
///
/// Field by field what [`forebay_pool::Totals`] says.
#[derive(Clone, Copy, Debug, Serialize)]
#[expect(missing_docs, reason = "named as in the pool's own totals")]
pub struct TotalsView {
    pub granted: u64,
    pub released: u64,
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
    pub unused: u64,
    pub checks_well: u64,
    pub checks_failed: u64,
    pub cleared: u64,
    pub nested: u64,
    pub busy_seconds: f64,
    pub waiting_seconds: f64,
    pub capacity_seconds: f64,
}

/// The name of the rest.
const OTHER: &str = "other";

/// As many as are shown, and the sum of the rest.
fn first<T>(all: impl Iterator<Item = T>, most: usize, sum: impl Fn(T, T) -> T) -> Vec<T> {
    let mut all = all.fuse();
    let mut shown: Vec<T> = all.by_ref().take(most).collect();
    shown.extend(all.reduce(sum));
    shown
}

fn ms(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1_000.0
}

impl DbSnapshot {
    /// So many call sites are shown.
    const CALL_SITES: usize = 20;
    /// So many summaries of statements are shown.
    const STATEMENTS: usize = 20;

    pub(super) fn of(pool: &Pool) -> Self {
        let mut sites = pool.sites();
        sites.sort_by_key(|site| site.taken_back == 0);
        let mut statements = pool.statements();
        statements.sort_by_key(|of| Reverse((&*of.summary != OTHER, of.took)));
        Self {
            age_ms: ms(pool.age()),
            longest_holders: pool.holders().into_iter().take(10).map(HolderView::from).collect(),
            history: pool.history().into_iter().map(HappeningView::from).collect(),
            call_sites: first(sites.into_iter().map(CallSiteView::from), Self::CALL_SITES, CallSiteView::with),
            statements: first(statements.into_iter().map(StatementView::from), Self::STATEMENTS, StatementView::with),
            ..Self::new("forebay", pool.snapshot())
        }
    }

    pub(super) fn new(kind: &'static str, snapshot: Snapshot) -> Self {
        let totals = snapshot.totals;
        let of_class = |class: Class| {
            let reasons = ShedReason::ALL.into_iter().map(|reason| (reason.name(), totals.shed_for(class, reason)));
            (class.name(), reasons.filter(|(_, shed)| *shed > 0).collect())
        };
        Self {
            kind,
            age_ms: 0.0,
            limit: snapshot.limit,
            recommended_limit: snapshot.recommended_limit,
            pinned: snapshot.pinned,
            reserve: snapshot.reserve,
            ceiling: snapshot.ceiling,
            min_idle: snapshot.min_idle,
            kept: snapshot.kept,
            in_use: snapshot.leased + snapshot.quarantined,
            suspects: snapshot.suspects,
            idle: snapshot.idle,
            opening: snapshot.opening,
            checking: snapshot.checking,
            quarantined: snapshot.quarantined,
            closing: snapshot.closing,
            waiting: snapshot.waiting,
            waiting_by_class: Class::ALL.iter().map(|class| (class.name(), snapshot.waiting_of(*class))).collect(),
            oldest_wait_ms: ms(snapshot.oldest_wait),
            breaker: snapshot.breaker.name(),
            era: snapshot.era,
            mean_hold_ms: ms(snapshot.mean_hold),
            predicted_wait_ms: ms(snapshot.predicted_wait),
            oldest_hold_ms: ms(snapshot.oldest_lease),
            longest_holders: Vec::new(),
            history: Vec::new(),
            call_sites: Vec::new(),
            statements: Vec::new(),
            shed_by_reason: Class::ALL.iter().copied().map(of_class).collect(),
            shed: Class::ALL.iter().map(|class| (class.name(), totals.shed_of(*class))).collect(),
            opened_for: OpenReason::ALL.map(|reason| (reason.name(), totals.opened_for(reason))).into(),
            closed_for: CloseReason::ALL.map(|reason| (reason.name(), totals.closed_for(reason))).into(),
            totals: TotalsView {
                granted: totals.granted,
                released: totals.released,
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
                unused: totals.unused,
                checks_well: totals.checks_well,
                checks_failed: totals.checks_failed,
                cleared: totals.cleared,
                nested: totals.nested,
                busy_seconds: totals.usage.busy,
                waiting_seconds: totals.usage.waiting,
                capacity_seconds: totals.usage.capacity,
            },
        }
    }
}

impl From<Happening> for HappeningView {
    fn from(happening: Happening) -> Self {
        let Happening { number, at, event, times, holder } = happening;
        let (from, to, reason) = match event {
            Event::LimitChanged { from, to, reason } => (Some(from), Some(to), Some(reason)),
            Event::CeilingLearned { room } => (None, Some(room), None),
            _ => (None, None, None),
        };
        let site = holder.as_ref().map(|holder| holder.site.to_string());
        let runs = holder.and_then(|holder| holder.runs).map(|sql| sql.to_string());
        Self { number, ago_ms: ms(at.elapsed()), event: event.name(), times, from, to, reason, site, runs }
    }
}

impl From<Holder> for HolderView {
    fn from(holder: Holder) -> Self {
        Self {
            site: holder.site.to_string(),
            class: holder.class.name(),
            held_ms: ms(holder.held),
            held_idle_ms: ms(holder.held_idle),
            runs: holder.runs.map(|sql| sql.to_string()),
        }
    }
}

impl From<SiteUse> for CallSiteView {
    fn from(site: SiteUse) -> Self {
        Self {
            site: site.site.to_string(),
            leases: site.leases,
            held_ms: ms(site.held),
            idle_ms: ms(site.idle),
            ran_ms: ms(site.ran),
            statements: site.statements,
            longest_ms: ms(site.longest),
            taken_back: site.taken_back,
            last_taken_back: site.last_taken_back.map(TakenBackView::from),
        }
    }
}

impl CallSiteView {
    /// Both together.
    fn with(self, more: Self) -> Self {
        Self {
            site: OTHER.to_owned(),
            leases: self.leases + more.leases,
            held_ms: self.held_ms + more.held_ms,
            idle_ms: self.idle_ms + more.idle_ms,
            ran_ms: self.ran_ms + more.ran_ms,
            statements: self.statements + more.statements,
            longest_ms: self.longest_ms.max(more.longest_ms),
            taken_back: self.taken_back + more.taken_back,
            last_taken_back: None,
        }
    }
}

impl From<StatementUse> for StatementView {
    fn from(of: StatementUse) -> Self {
        let failed = Failure::ALL.map(|failure| (failure.name(), of.failed(failure)));
        Self {
            summary: of.summary.to_string(),
            calls: of.calls(),
            failed: failed.into_iter().filter(|(_, times)| *times > 0).collect(),
            took_ms: ms(of.took),
            p95_ms: of.quantile(0.95).map(ms),
            longest_ms: ms(of.longest),
        }
    }
}

impl StatementView {
    /// Both together.
    fn with(mut self, more: Self) -> Self {
        more.failed.into_iter().for_each(|(how, times)| *self.failed.entry(how).or_default() += times);
        Self {
            summary: OTHER.to_owned(),
            calls: self.calls + more.calls,
            failed: self.failed,
            took_ms: self.took_ms + more.took_ms,
            p95_ms: None,
            longest_ms: self.longest_ms.max(more.longest_ms),
        }
    }
}

impl From<TakenBack> for TakenBackView {
    fn from(taken: TakenBack) -> Self {
        Self {
            ago_ms: ms(taken.at.elapsed()),
            held_ms: ms(taken.held),
            held_idle_ms: ms(taken.held_idle),
            runs: taken.runs.map(|sql| sql.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(summary: &str, calls: u64, took_ms: f64) -> StatementView {
        let failed = BTreeMap::from([("server", 1)]);
        StatementView { summary: summary.to_owned(), calls, failed, took_ms, p95_ms: Some(1.0), longest_ms: took_ms }
    }

    #[test]
    fn what_is_not_shown_is_summed() {
        let all = [of("a", 5, 9.0), of("b", 4, 8.0), of("c", 3, 7.0), of("d", 2, 6.0)];
        let shown = first(all.clone().into_iter(), 2, StatementView::with);
        let told: Vec<_> = shown.iter().map(|of| (of.summary.as_str(), of.calls, of.took_ms)).collect();
        assert_eq!(told, [("a", 5, 9.0), ("b", 4, 8.0), (OTHER, 5, 13.0)]);
        assert_eq!((shown[2].failed["server"], shown[2].p95_ms, shown[2].longest_ms), (2, None, 7.0));
        assert_eq!(first(all.into_iter(), 4, StatementView::with).len(), 4);
    }
}
