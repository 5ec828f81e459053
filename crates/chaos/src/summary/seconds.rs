//! A play second by second, as charts show it.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::measure::{is_affected, percentile};
use crate::record::{Recording, Reply};
use crate::scenario::Scenario;
use crate::schedule::Schedule;

/// Answers still come in for so many seconds after the last arrival.
const AFTER_S: f64 = 5.0;

/// One second of a play.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Second {
    /// Second of play.
    pub at: u32,
    /// Answers: success.
    pub ok: usize,
    /// Answers: shed.
    pub shed: usize,
    /// Answers: failed or none.
    pub failed: usize,
    /// Milliseconds from the intended start within which 95 % of the successes came; none without a success.
    pub accepted_p95_ms: Option<f64>,
    /// Users who arrived.
    pub arrived: usize,
    /// Of those, the ones who were affected, whenever that was.
    pub affected: usize,
    /// Pool: leases out.
    pub in_use: u32,
    /// Pool: limit.
    pub limit: u32,
    /// Pool: callers that wait.
    pub waiting: u32,
    /// Sessions of the pool in the database.
    pub sessions: u32,
    /// Database sessions idle in transaction.
    pub idle_in_transaction: u32,
    /// Database sessions running a statement.
    pub active: u32,
    /// The slowest commit of the probe, in milliseconds.
    pub commit_ms: Option<f64>,
    /// CPU of Postgres, in percent of one core.
    pub postgres_cpu: Option<f64>,
}

/// All seconds of a play, from its first.
pub(super) fn all(schedule: &Schedule, recording: &Recording, scenario: &Scenario) -> Vec<Second> {
    let mut seconds: Vec<Second> = (0u32..)
        .take_while(|at| f64::from(*at) < scenario.end() + AFTER_S)
        .map(|at| Second { at, ..Second::default() })
        .collect();
    count_answers(&mut seconds, recording);
    count_users(&mut seconds, schedule, recording);
    look_at_the_pool(&mut seconds, recording);
    look_at_the_database(&mut seconds, recording);
    seconds
}

fn index(at: f64) -> usize {
    let second = Duration::try_from_secs_f64(at).map_or(u64::MAX, |at| at.as_secs());
    usize::try_from(second).unwrap_or(usize::MAX)
}

fn count_answers(seconds: &mut [Second], recording: &Recording) {
    for attempt in &recording.attempts {
        let Some(second) = seconds.get_mut(index(attempt.end())) else { continue };
        match attempt.reply {
            reply if reply.is_success() => second.ok += 1,
            Reply::Shed(_) => second.shed += 1,
            reply if reply.is_error() => second.failed += 1,
            _ => {}
        }
    }
    let mut accepted: Vec<Vec<f64>> = vec![Vec::new(); seconds.len()];
    for done in recording.done.iter().filter(|done| done.reply.is_success()) {
        if let Some(latencies) = accepted.get_mut(index(done.end)) {
            latencies.push(done.latency());
        }
    }
    for (second, latencies) in seconds.iter_mut().zip(accepted) {
        second.accepted_p95_ms = percentile(latencies, 95.0).map(|seconds| seconds * 1e3);
    }
}

fn count_users(seconds: &mut [Second], schedule: &Schedule, recording: &Recording) {
    let mut affected = vec![false; schedule.journeys.len()];
    let gone = recording.done.iter().filter(|done| is_affected(done)).map(|done| done.journey);
    for journey in gone.chain(recording.unfinished.iter().copied()) {
        if let Some(affected) = usize::try_from(journey).ok().and_then(|journey| affected.get_mut(journey)) {
            *affected = true;
        }
    }
    for (journey, affected) in schedule.journeys.iter().zip(affected) {
        if let Some(second) = seconds.get_mut(index(journey.at)) {
            second.arrived += 1;
            second.affected += usize::from(affected);
        }
    }
}

fn look_at_the_pool(seconds: &mut [Second], recording: &Recording) {
    for sample in &recording.pool {
        let Some(second) = seconds.get_mut(index(sample.at)) else { continue };
        (second.in_use, second.limit, second.waiting) = (sample.in_use, sample.limit, sample.waiting);
    }
}

fn look_at_the_database(seconds: &mut [Second], recording: &Recording) {
    for sample in &recording.sessions {
        let Some(second) = seconds.get_mut(index(sample.at)) else { continue };
        second.sessions = sample.total;
        (second.idle_in_transaction, second.active) = (sample.idle_in_transaction, sample.active);
    }
    for sample in &recording.commits {
        let Some(second) = seconds.get_mut(index(sample.at)) else { continue };
        let took = sample.took * 1e3;
        second.commit_ms = Some(second.commit_ms.map_or(took, |slowest| slowest.max(took)));
    }
    for sample in &recording.cpu {
        let Some(second) = seconds.get_mut(index(sample.at)) else { continue };
        second.postgres_cpu = Some(sample.postgres);
    }
}
