//! Figures over stretches of a recording. Successes, sheds and failures are never blended.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::record::{Done, Recording};
use crate::scenario::Window;
use crate::schedule::{Operation, Schedule, Service};

/// A user whose operation had no success within this many seconds of its intended start is affected.
pub const PATIENCE_S: f64 = 10.0;

/// A count among a total.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Share {
    /// How many.
    pub part: usize,
    /// Out of how many.
    pub total: usize,
}

impl Share {
    /// Percent; of nothing, 0.
    #[must_use]
    pub fn percent(self) -> f64 {
        if self.total == 0 { 0.0 } else { self.part as f64 * 100.0 / self.total as f64 }
    }

    fn of<T>(items: impl Iterator<Item = T>, counts: impl Fn(&T) -> bool) -> Self {
        items.fold(Self::default(), |share, item| Self {
            part: share.part + usize::from(counts(&item)),
            total: share.total + 1,
        })
    }
}

/// Users of a window, by what happened to them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Users {
    /// Without success within [`PATIENCE_S`] of the intended start of some operation.
    pub affected: Share,
    /// Those whose operation never succeeded at all.
    pub failed_for_good: Share,
}

/// Judges the users who arrive within `window`.
#[must_use]
pub fn users(schedule: &Schedule, recording: &Recording, window: Window) -> Users {
    let arrives = |journey: &u32| {
        usize::try_from(*journey)
            .ok()
            .and_then(|n| schedule.journeys.get(n))
            .is_some_and(|journey| window.holds(journey.at))
    };
    let count = |hit: &dyn Fn(&Done) -> bool| {
        let mut hits: Vec<u32> = recording.done.iter().filter(|done| hit(done)).map(|done| done.journey).collect();
        hits.extend(&recording.unfinished);
        hits.retain(arrives);
        hits.sort_unstable();
        hits.dedup();
        hits.len()
    };
    let total = schedule.journeys.iter().filter(|journey| window.holds(journey.at)).count();
    Users {
        affected: Share { part: count(&is_affected), total },
        failed_for_good: Share { part: count(&|done| !done.reply.is_success()), total },
    }
}

/// Whether the user of this operation went without for longer than their patience.
#[must_use]
pub fn is_affected(done: &Done) -> bool {
    !done.reply.is_success() || done.latency() > PATIENCE_S
}

/// Operations that succeed within patience, of those that the schedule intends within `window`.
#[must_use]
pub fn goodput(schedule: &Schedule, recording: &Recording, window: Window) -> Share {
    Share {
        part: recording.done.iter().filter(|done| window.holds(done.intended) && !is_affected(done)).count(),
        total: schedule.requests_within(window),
    }
}

/// Operations that succeed within a second, of those that the schedule intends within `window`.
#[must_use]
pub fn prompt(schedule: &Schedule, recording: &Recording, window: Window) -> Share {
    let prompt = |done: &&Done| window.holds(done.intended) && done.reply.is_success() && done.latency() <= 1.0;
    Share { part: recording.done.iter().filter(prompt).count(), total: schedule.requests_within(window) }
}

/// Errors among the answers that arrived within `window` to the operations that `counts`.
#[must_use]
pub fn errors(recording: &Recording, window: Window, counts: impl Fn(Operation) -> bool) -> Share {
    let answers = recording.attempts.iter().filter(|attempt| window.holds(attempt.end()) && counts(attempt.operation));
    Share::of(answers, |attempt| attempt.reply.is_error())
}

/// Errors among the answers of one service.
#[must_use]
pub fn errors_of(recording: &Recording, window: Window, service: Service) -> Share {
    errors(recording, window, |operation| operation.service() == service)
}

/// Seconds from the intended start to success, of the operations that ended within `window`.
#[must_use]
pub fn accepted_latencies(recording: &Recording, window: Window, counts: impl Fn(Operation) -> bool) -> Vec<f64> {
    recording
        .done
        .iter()
        .filter(|done| window.holds(done.end) && counts(done.operation) && done.reply.is_success())
        .map(Done::latency)
        .collect()
}

/// The 95th percentile of accepted latency of one service, in seconds.
#[must_use]
pub fn accepted_p95(recording: &Recording, window: Window, service: Service) -> Option<f64> {
    percentile(accepted_latencies(recording, window, |operation| operation.service() == service), 95.0)
}

/// The value at or below which `percent` of `values` lie (nearest rank).
#[must_use]
pub fn percentile(mut values: Vec<f64>, percent: f64) -> Option<f64> {
    values.sort_unstable_by(f64::total_cmp);
    let rank = (values.len() as f64 * percent / 100.0).ceil().max(1.0);
    (1u32..).zip(values).find(|(n, _)| f64::from(*n) >= rank).map(|(_, value)| value)
}

/// The mean, or `None` of nothing.
#[must_use]
pub fn mean(values: impl Iterator<Item = f64>) -> Option<f64> {
    let (sum, count) = values.fold((0.0, 0u32), |(sum, count), value| (sum + value, count + 1));
    (count > 0).then(|| sum / f64::from(count))
}

/// How near the pool was to exhaustion within `window`, in percent: what the alert is about. Exact between the first and the
/// last sample of the window, and more than 100 where callers wait.
#[must_use]
pub fn utilisation(recording: &Recording, window: Window) -> Option<f64> {
    let index = |at: f64| recording.pool.partition_point(|sample| sample.at < at);
    let inside = recording.pool.get(index(window.from)..index(window.to))?;
    Some(inside.last()?.usage.utilisation_since(&inside.first()?.usage)? * 100.0)
}

/// Mean share of the pool's ceiling in use within `window`, in percent, as it was seen now and then.
#[must_use]
pub fn in_use(recording: &Recording, window: Window) -> Option<f64> {
    let samples = recording.pool.iter().filter(|sample| window.holds(sample.at));
    mean(samples.map(|sample| f64::from(sample.in_use) * 100.0 / f64::from(sample.ceiling.max(1))))
}

/// Share of operations that the generator started more than 50 ms late.
#[must_use]
pub fn late_starts(recording: &Recording) -> Share {
    Share::of(recording.done.iter(), |done| done.late > 0.050)
}

/// Attempts made per operation that succeeded, among those intended within `window`.
#[must_use]
pub fn attempts_per_success(recording: &Recording, window: Window) -> Option<f64> {
    let inside = || recording.done.iter().filter(|done| window.holds(done.intended));
    let successes = inside().filter(|done| done.reply.is_success()).count();
    let attempts: u32 = inside().map(|done| done.attempts).sum();
    (successes > 0).then(|| f64::from(attempts) / successes as f64)
}

/// Orders that never succeeded, of those that the schedule intends within `window`: also those that a user never came to
/// place, having given up before.
#[must_use]
pub fn orders_lost(schedule: &Schedule, recording: &Recording, window: Window) -> Share {
    let bought =
        |done: &&Done| done.operation == Operation::Order && window.holds(done.intended) && done.reply.is_success();
    let total = schedule.orders_within(window);
    Share { part: total.saturating_sub(recording.done.iter().filter(bought).count()), total }
}

/// How each service fares against its own baseline within `window`.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Health {
    /// Which service.
    pub service: Service,
    /// Errors in percent of answers.
    pub errors_percent: f64,
    /// Accepted p95 in seconds.
    pub p95_s: Option<f64>,
    /// Accepted p95 of the baseline in seconds.
    pub baseline_p95_s: Option<f64>,
}

impl Health {
    /// A p95 this near to the baseline's is the same: a tenth of what an accepted answer may take. Without it a baseline
    /// of 3 ms would make a mark of what the machine's scheduler does.
    const SAME_S: f64 = 0.025;

    /// Errors below 1 %, and p95 below twice the baseline's or no more than 25 ms above it.
    #[must_use]
    pub fn is_restored(&self) -> bool {
        let is_quick = |(now, then): (f64, f64)| now < 2.0 * then || now <= then + Self::SAME_S;
        let quick = self.p95_s.zip(self.baseline_p95_s).is_some_and(is_quick);
        self.errors_percent < 1.0 && quick
    }
}

/// The health of all services within `window`, against `baseline`.
#[must_use]
pub fn health(recording: &Recording, window: Window, baseline: Window) -> Vec<Health> {
    health_against(recording, window, &baseline_p95s(recording, baseline))
}

fn baseline_p95s(recording: &Recording, baseline: Window) -> [Option<f64>; 3] {
    Service::ALL.map(|service| accepted_p95(recording, baseline, service))
}

fn health_against(recording: &Recording, window: Window, baseline: &[Option<f64>; 3]) -> Vec<Health> {
    let of = |(service, baseline_p95_s): (Service, &Option<f64>)| Health {
        service,
        errors_percent: errors_of(recording, window, service).percent(),
        p95_s: accepted_p95(recording, window, service),
        baseline_p95_s: *baseline_p95_s,
    };
    Service::ALL.into_iter().zip(baseline).map(of).collect()
}

/// The first moment in `search` after which all services are restored for ten seconds.
#[must_use]
pub fn restored_at(recording: &Recording, search: Window, baseline: Window) -> Option<f64> {
    let baseline = baseline_p95s(recording, baseline);
    let late = Recording {
        attempts: recording.attempts.iter().filter(|attempt| search.holds(attempt.end())).copied().collect(),
        done: recording.done.iter().filter(|done| search.holds(done.end)).copied().collect(),
        ..Recording::default()
    };
    let mut at = search.from;
    while at + 10.0 <= search.to + 1e-9 {
        if health_against(&late, Window::new(at, at + 10.0), &baseline).iter().all(Health::is_restored) {
            return Some(at);
        }
        at += 0.5;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Refusal, Reply};
    use crate::schedule::{Journey, Needs};

    fn done(journey: u32, intended: f64, latency: f64, reply: Reply) -> Done {
        let end = intended + latency;
        Done { journey, operation: Operation::List, intended, late: 0.0, end, attempts: 1, reply }
    }

    fn schedule(arrivals: &[f64]) -> Schedule {
        let journeys = arrivals.iter().map(|at| Journey { at: *at, steps: Vec::new() }).collect();
        Schedule { journeys, needs: Needs::default() }
    }

    #[test]
    fn a_user_is_affected_by_a_failure_or_by_a_success_after_ten_seconds() {
        let schedule = schedule(&[0.0, 1.0, 2.0, 3.0, 4.0]);
        let recording = Recording {
            done: vec![
                done(0, 0.0, 10.0, Reply::Success),
                done(1, 1.0, 10.1, Reply::Success),
                done(2, 2.0, 0.1, Reply::Failed(503)),
                done(2, 2.5, 0.1, Reply::TimedOut),
                done(3, 3.0, 0.1, Reply::Accepted),
            ],
            unfinished: vec![4],
            ..Recording::default()
        };
        let users = users(&schedule, &recording, Window::new(0.0, 10.0));
        assert_eq!(users.affected, Share { part: 3, total: 5 });
        assert_eq!(users.failed_for_good, Share { part: 2, total: 5 });
    }

    #[test]
    fn users_outside_the_window_do_not_count() {
        let recording = Recording { done: vec![done(0, 0.0, 0.1, Reply::Failed(500))], ..Recording::default() };
        let users = users(&schedule(&[0.0, 6.0]), &recording, Window::new(5.0, 10.0));
        assert_eq!(users.affected, Share { part: 0, total: 1 });
    }

    #[test]
    fn sheds_and_time_outs_are_errors_and_conflicts_are_not() {
        let replies = [Reply::Success, Reply::Shed(Refusal::PredictedWait), Reply::TimedOut, Reply::InFlight];
        let attempt = |reply| crate::record::Attempt { operation: Operation::List, at: 0.0, took: 1.0, reply };
        let recording = Recording { attempts: replies.into_iter().map(attempt).collect(), ..Recording::default() };
        assert_eq!(errors(&recording, Window::new(0.0, 2.0), |_| true), Share { part: 2, total: 4 });
        assert_eq!(errors(&recording, Window::new(0.0, 1.0), |_| true).total, 0, "answers count when they arrive");
    }

    #[test]
    fn percentiles_are_nearest_rank() {
        let values: Vec<f64> = (1..=100).map(f64::from).collect();
        assert_eq!(percentile(values.clone(), 95.0), Some(95.0));
        assert_eq!(percentile(values, 100.0), Some(100.0));
        assert_eq!(percentile(Vec::new(), 95.0), None);
    }
}
