//! The marks of the legacy arm: the postmortem's timeline, in evidence. One that fails makes the run invalid.

use super::{Mark, seconds};
use crate::alert::{Alerts, window_s};
use crate::measure::{self, Share, errors, health, in_use, mean, percentile, restored_at, utilisation};
use crate::record::{Recording, Reply, SessionSample};
use crate::scenario::{Scenario, Window};
use crate::schedule::{Operation, Schedule, Service};

/// Seconds of answers that the error alert of 2:30 is read from, in real time as errors are.
const ONSET_S: f64 = 5.0;
/// The share of users that must be affected for the outage to be the outage.
pub const AFFECTED_PERCENT: f64 = 75.0;

/// All marks, in order of the clock.
#[must_use]
pub fn all(schedule: &Schedule, recording: &Recording, scenario: &Scenario) -> Vec<Mark> {
    vec![
        pool_alert(recording, scenario),
        error_alert(recording, scenario),
        probes(recording),
        logs(recording, scenario),
        database(recording, scenario),
        saturated(recording, scenario),
        action(recording, scenario),
        restored(recording, scenario),
        affected(schedule, recording, scenario),
    ]
}

/// 2:27: the pool alert would have fired, before any error alert.
#[must_use]
pub fn pool_alert(recording: &Recording, scenario: &Scenario) -> Mark {
    let at = scenario.clock.at(2, 27);
    let window = Window::before(at, window_s(scenario));
    let used = utilisation(recording, window).unwrap_or(0.0);
    let failed = errors(recording, window, |_| true);
    let alerts = Alerts::evaluate(recording, scenario);
    let first = alerts.pool.is_some_and(|pool| alerts.errors.is_none_or(|errors| pool < errors));
    let lead = alerts.lead().map_or_else(String::new, |lead| format!(", {lead:.0} s before the error alert"));
    Mark::new(
        "2:27",
        "pool above 80 %, errors below 1 %: the alert that did not exist fires before any error alert",
        format!("pool {used:.0} %, errors {:.1} %{lead}", failed.percent()),
        used > 80.0 && failed.percent() < 1.0 && failed.total > 0 && first,
    )
}

/// 2:30: errors on products, login and orders.
#[must_use]
pub fn error_alert(recording: &Recording, scenario: &Scenario) -> Mark {
    let at = scenario.clock.at(2, 30);
    let window = Window::new(at, at + ONSET_S);
    let share = |counts: &dyn Fn(Operation) -> bool| errors(recording, window, counts).percent();
    let products = share(&|operation| operation.service() == Service::Catalog);
    let login = share(&|operation| operation == Operation::Login);
    let orders = share(&|operation| operation == Operation::Order);
    Mark::new(
        "2:30",
        "more than 5 % errors on products and login and orders",
        format!("products {products:.0} %, login {login:.0} %, orders {orders:.0} %"),
        [products, login, orders].into_iter().all(|percent| percent > 5.0),
    )
}

/// 2:35: somebody asks by hand.
#[must_use]
pub fn probes(recording: &Recording) -> Mark {
    let broken = |service| {
        recording
            .probes
            .iter()
            .any(|probe| probe.service == service && matches!(probe.attempt.reply, Reply::Failed(_) | Reply::TimedOut))
    };
    Mark::new(
        "2:35",
        "a request by hand gets a 5xx or a time-out on products and on login",
        probe_lines(recording),
        broken(Service::Catalog) && broken(Service::Auth),
    )
}

pub(crate) fn probe_lines(recording: &Recording) -> String {
    let line = |probe: &crate::record::Probe| {
        format!("{} -> {} after {}", probe.request, answer(probe.attempt.reply), seconds(Some(probe.attempt.took)))
    };
    recording.probes.iter().map(line).collect::<Vec<_>>().join("; ")
}

fn answer(reply: Reply) -> String {
    match reply {
        Reply::Success => "2xx".to_owned(),
        Reply::Accepted => "202".to_owned(),
        Reply::Shed(_) => "503 shed".to_owned(),
        Reply::Failed(status) | Reply::Rejected(status) => status.to_string(),
        Reply::TimedOut => "no answer".to_owned(),
        Reply::Lost => "connection lost".to_owned(),
        Reply::InFlight => "409".to_owned(),
    }
}

/// 2:40: the logs of each service show time-outs.
#[must_use]
pub fn logs(recording: &Recording, scenario: &Scenario) -> Mark {
    let window = Window::new(scenario.clock.at(2, 30), scenario.clock.at(2, 40) + 1.0);
    let last = recording.faults.iter().rfind(|sample| window.holds(sample.at));
    let counts = Service::ALL.map(|service| (service, last.map_or(0, |sample| sample.timeouts_of(service))));
    let text: Vec<String> = counts.iter().map(|(service, n)| format!("{} {n}", service.name())).collect();
    Mark::new(
        "2:40",
        "acquire time-outs in the log of each service",
        text.join(", "),
        counts.iter().all(|(_, n)| *n > 0),
    )
}

/// 2:45: the database is innocent.
#[must_use]
pub fn database(recording: &Recording, scenario: &Scenario) -> Mark {
    let window = Window::new(scenario.clock.at(2, 40), scenario.clock.at(2, 45));
    let sessions: Vec<&SessionSample> =
        recording.sessions.iter().filter(|sample| window.holds(sample.at) && sample.total > 0).collect();
    let share = |part: fn(&SessionSample) -> u32| {
        mean(sessions.iter().map(|sample| f64::from(part(sample)) * 100.0 / f64::from(sample.total)))
    };
    let active = share(|sample| sample.active);
    let idle = share(|sample| sample.idle_in_transaction);
    let commit = commit_p95(recording, window);
    let calm = commit_p95(recording, scenario.baseline);
    let cpu = mean(recording.cpu.iter().filter(|sample| window.holds(sample.at)).map(|sample| sample.postgres));
    let healthy = active.is_some_and(|percent| percent <= 20.0)
        && idle.is_some_and(|percent| percent >= 60.0)
        && commit.zip(calm).is_some_and(|(now, then)| now <= (2.0 * then).max(QUICK_COMMIT_S))
        && cpu.is_some_and(|percent| percent < 50.0);
    Mark::new(
        "2:45",
        "database healthy: active sessions <= 20 %, idle in transaction >= 60 %, commit p95 <= 2x baseline or 10 ms, CPU < 50 %",
        format!(
            "active {:.0} %, idle in transaction {:.0} %, commit p95 {} (baseline {}), CPU {:.0} % of a core",
            active.unwrap_or(f64::NAN),
            idle.unwrap_or(f64::NAN),
            seconds(commit),
            seconds(calm),
            cpu.unwrap_or(f64::NAN),
        ),
        healthy,
    )
}

/// No disk is ill that commits within 10 ms; below that a ratio measures noise.
const QUICK_COMMIT_S: f64 = 0.010;

fn commit_p95(recording: &Recording, window: Window) -> Option<f64> {
    let inside = recording.commits.iter().filter(|sample| window.holds(sample.at));
    percentile(inside.map(|sample| sample.took).collect(), 95.0)
}

/// 2:50: the pool is saturated and a crowd waits.
#[must_use]
pub fn saturated(recording: &Recording, scenario: &Scenario) -> Mark {
    let window = Window::before(scenario.clock.at(2, 50), 10.0);
    let samples: Vec<_> = recording.pool.iter().filter(|sample| window.holds(sample.at)).collect();
    // A sample may catch the instant in which a connection changes hands, so one that is free while others wait
    // is not a pool with room.
    let full = samples.iter().all(|sample| sample.in_use >= sample.limit || sample.waiting > 0);
    let fewest = samples.iter().map(|sample| sample.waiting).min().unwrap_or(0);
    let limit = samples.iter().map(|sample| sample.limit).max().unwrap_or(0);
    let used = in_use(recording, window).unwrap_or(0.0);
    Mark::new(
        "2:50",
        "pool saturated for 10 s or longer, more than 2x its size waiting",
        format!("{used:.0} % of {limit} in use, at least {fewest} waiting, {} samples", samples.len()),
        !samples.is_empty() && full && used > 95.0 && fewest > 2 * limit,
    )
}

/// 3:00: the action was carried out, and the pool has room again.
#[must_use]
pub fn action(recording: &Recording, scenario: &Scenario) -> Mark {
    let at = scenario.clock.at(3, 0);
    let acted = recording.faults.iter().any(|sample| sample.at >= at && sample.actions > 0);
    let before = recording.pool.iter().rfind(|sample| sample.at < at).map_or(0, |sample| sample.limit);
    let after = recording.pool.iter().find(|sample| sample.at > at + 2.0).map_or(0, |sample| sample.limit);
    Mark::new(
        "3:00",
        "the pool is enlarged and idle connections are flushed, the spike goes on",
        format!("pool {before} -> {after}"),
        acted && after > before,
    )
}

/// 3:15: all services are restored.
#[must_use]
pub fn restored(recording: &Recording, scenario: &Scenario) -> Mark {
    let end = scenario.clock.at(3, 15);
    let services = health(recording, Window::before(end, 10.0), scenario.baseline);
    let text: Vec<String> = services
        .iter()
        .map(|health| {
            let (now, then) = (seconds(health.p95_s), seconds(health.baseline_p95_s));
            format!("{} {:.1} % errors, p95 {now} ({then})", health.service.name(), health.errors_percent)
        })
        .collect();
    let recovery = match recovery_s(recording, scenario) {
        Some(after) => format!("restored {after:.1} s of real time after 3:00"),
        None => "not restored".to_owned(),
    };
    Mark::new(
        "3:15",
        "each service: errors below 1 % and p95 below 2x its own baseline (or 25 ms above it) for 10 s",
        format!("{}; {recovery}", text.join("; ")),
        services.iter().all(measure::Health::is_restored),
    )
}

/// Seconds of real time from 3:00 to the first ten seconds in which all services are restored.
#[must_use]
pub fn recovery_s(recording: &Recording, scenario: &Scenario) -> Option<f64> {
    let search = Window::new(scenario.clock.at(3, 0), scenario.clock.at(3, 15));
    restored_at(recording, search, scenario.baseline).map(|at| at - search.from)
}

/// The whole: most users were affected.
#[must_use]
pub fn affected(schedule: &Schedule, recording: &Recording, scenario: &Scenario) -> Mark {
    let users = measure::users(schedule, recording, scenario.judged);
    let Share { part, total } = users.affected;
    Mark::new(
        "",
        "at least 75 % of users affected (postmortem: about 85 %)",
        format!("{:.1} % ({part} of {total})", users.affected.percent()),
        users.affected.percent() >= AFFECTED_PERCENT,
    )
}

#[cfg(test)]
mod tests;
