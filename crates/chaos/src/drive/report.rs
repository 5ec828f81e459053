//! What a drive says at the end: a page for people, and the same as JSON.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use serde::Serialize;

use super::Plan;
use super::judgement::{Judgement, Orders, percent};
use super::load::Lasted;
use super::record::{Record, Requests};
use super::route::Route;
use crate::host::Host;

/// Changes when a reader of the JSON would have to.
pub const SCHEMA_VERSION: u32 = 1;
/// Orders named on the page for each fault; all are in the JSON.
const NAMED: usize = 20;

/// Everything that a drive leaves behind.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// See [`SCHEMA_VERSION`].
    pub schema_version: u32,
    /// This program's version.
    pub version: &'static str,
    /// How to get the same load again.
    pub command: String,
    /// When it began, RFC 3339 in UTC.
    pub began: String,
    /// The machine that it ran on.
    pub host: Host,
    /// What was asked for.
    pub plan: Plan,
    /// Seconds in which journeys arrived.
    pub arriving_s: f64,
    /// Seconds until the last of them had ended.
    pub load_s: f64,
    /// Whether it was stopped early.
    pub interrupted: bool,
    /// Journeys, and those that began late.
    pub arrivals: Punctuality,
    /// Attempts: sent.
    pub sent: u64,
    /// Attempts: 2xx.
    pub ok: u64,
    /// Attempts: refused with nothing executed.
    pub shed: u64,
    /// Attempts: told that the same order is still running.
    pub running: u64,
    /// Attempts: any other answer, or none.
    pub failed: u64,
    /// Route by route, those that were asked.
    pub routes: Vec<RouteReport>,
    /// The judgement.
    pub judgement: Judgement,
}

/// How punctual the generator was.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Punctuality {
    /// Journeys.
    pub total: u64,
    /// Those that began later than is allowed.
    pub late: u64,
    /// The same in percent.
    pub late_percent: f64,
    /// The latest.
    pub latest_ms: f64,
}

/// One route.
#[derive(Clone, Debug, Serialize)]
pub struct RouteReport {
    /// Which.
    pub route: Route,
    /// Requests, each with its repetitions.
    pub requests: u64,
    /// Of those, without success in the end.
    pub failed: u64,
    /// From the first attempt (of a journey's first request: from its intended arrival) to success.
    pub p50_ms: f64,
    /// The same.
    pub p95_ms: f64,
    /// The same.
    pub p99_ms: f64,
    /// The longest.
    pub max_ms: f64,
    /// Attempts by what came of them.
    pub attempts: BTreeMap<String, u64>,
    /// First attempts that were not answered with 2xx.
    pub first_failures: BTreeMap<String, u64>,
}

impl Report {
    /// Sums up a run.
    pub(crate) fn of(plan: &Plan, began: String, lasted: Lasted, record: &Record, judgement: Judgement) -> Self {
        let (arrivals, counts) = (record.arrivals, record.counts);
        Self {
            schema_version: SCHEMA_VERSION,
            version: env!("CARGO_PKG_VERSION"),
            command: plan.command.clone(),
            began,
            host: Host::here(),
            plan: plan.clone(),
            arriving_s: lasted.arriving.as_secs_f64(),
            load_s: lasted.all.as_secs_f64(),
            interrupted: lasted.interrupted,
            arrivals: Punctuality {
                total: arrivals.total,
                late: arrivals.late,
                late_percent: percent(arrivals.late, arrivals.total),
                latest_ms: arrivals.latest.as_secs_f64() * 1e3,
            },
            sent: counts.sent,
            ok: counts.ok,
            shed: counts.shed,
            running: counts.running,
            failed: counts.failed,
            routes: Route::ALL.into_iter().filter_map(|route| RouteReport::of(route, record)).collect(),
            judgement,
        }
    }

    /// Writes it as JSON.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn write(&self, file: &Path) -> io::Result<()> {
        let mut text = serde_json::to_vec_pretty(self)?;
        text.push(b'\n');
        std::fs::write(file, text)
    }

    /// The page for people.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        let arrivals = self.arrivals;
        let mut lines = vec![
            String::new(),
            format!(
                "journeys  {} in {:.1} s{}, {} late ({:.2} %), the latest by {:.0} ms",
                arrivals.total,
                self.arriving_s,
                if self.interrupted { ", then interrupted" } else { "" },
                arrivals.late,
                arrivals.late_percent,
                arrivals.latest_ms,
            ),
            format!(
                "attempts  {} sent, {} ok, {} shed, {} told that the order is running, {} failed",
                self.sent, self.ok, self.shed, self.running, self.failed,
            ),
            String::new(),
            format!(
                "{:<32} {:>9} {:>7} {:>8} {:>8} {:>8}",
                "request", "number", "failed", "p50 ms", "p95 ms", "p99 ms"
            ),
        ];
        lines.extend(self.routes.iter().flat_map(RouteReport::lines));
        lines.extend(order_lines(&self.judgement.orders));
        lines.push(String::new());
        lines.extend(self.judgement.reasons.iter().map(|reason| format!(" ! {reason}")));
        lines.push(self.judgement.outcome.name().to_owned());
        lines
    }
}

impl RouteReport {
    fn of(route: Route, record: &Record) -> Option<Self> {
        let of_route = |counted: &BTreeMap<(Route, String), u64>| {
            let own = counted.iter().filter(|((one, _), _)| *one == route);
            own.map(|((_, label), count)| (label.clone(), *count)).collect::<BTreeMap<_, _>>()
        };
        let attempts = of_route(&record.attempts);
        let requests = record.requests.get(&route).filter(|_| !attempts.is_empty())?;
        let Requests { failed, latency } = requests;
        let at = |quantile| latency.value_at_quantile(quantile) as f64 / 1e3;
        Some(Self {
            route,
            requests: requests.total(),
            failed: *failed,
            p50_ms: at(0.50),
            p95_ms: at(0.95),
            p99_ms: at(0.99),
            max_ms: latency.max() as f64 / 1e3,
            attempts,
            first_failures: of_route(&record.first_failures),
        })
    }

    /// Its figures, and beneath them what was not answered with 2xx.
    fn lines(&self) -> Vec<String> {
        let Self { route, requests, failed, p50_ms, p95_ms, p99_ms, .. } = self;
        let name = route.name();
        let mut lines = vec![format!("{name:<32} {requests:>9} {failed:>7} {p50_ms:>8.1} {p95_ms:>8.1} {p99_ms:>8.1}")];
        for (label, count) in &self.attempts {
            if label.parse::<u16>().is_err() {
                let first = self.first_failures.get(label).copied().unwrap_or(0);
                lines.push(format!("    {label}: {count} attempts, {first} of them the first"));
            }
        }
        lines
    }
}

fn order_lines(orders: &Orders) -> Vec<String> {
    if orders.tried == 0 {
        return Vec::new();
    }
    let Orders { tried, answered, paid, unsettled, given_up, refused, found_to_stand, found_not_placed, faults } =
        orders;
    let mut lines = vec![
        String::new(),
        format!("orders    {tried} tried, {answered} answered; read back: {paid} as promised and paid"),
    ];
    if found_to_stand + found_not_placed > 0 {
        lines.push(format!(
            "          without an answer during the load, learned by repeating the key: {found_to_stand} stand, \
             {found_not_placed} were not placed"
        ));
    }
    lines.extend(refused.iter().map(|(why, count)| format!("          not placed: {count} x {why}")));
    lines.extend(list("unsettled (still pending)", unsettled));
    lines.extend(list("given up uncharged, after an answer of 202", given_up));
    lines.extend(faults.iter().flat_map(|(fault, which)| list(fault.name(), which)));
    lines
}

fn list(what: &str, which: &[String]) -> Vec<String> {
    let mut lines = Vec::new();
    if !which.is_empty() {
        lines.push(format!("          {what}: {}", which.len()));
    }
    lines.extend(which.iter().take(NAMED).map(|one| format!("            {one}")));
    if which.len() > NAMED {
        lines.push(format!("            and {} more", which.len() - NAMED));
    }
    lines
}
