//! The figures of one play, as the report and the verdict read them.

mod seconds;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::Duration;

use hdrhistogram::Histogram;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use time::format_description::well_known::Rfc3339;

use crate::alert::Alerts;
use crate::arm::Arm;
use crate::correctness::Correctness;
use crate::marks::{Mark, legacy, resilient};
use crate::measure::{self, Share, Users, mean};
use crate::record::{LimitMove, PoolSample, Recording, Refusal, Reply};
use crate::scenario::bound::Measure;
use crate::scenario::{Kind, Scenario, Window};
use crate::schedule::{Operation, Schedule};
pub use seconds::Second;

/// Latency of one operation with one outcome, in milliseconds. Outcomes are never blended.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Latency {
    /// What was asked.
    pub operation: Operation,
    /// `success` (from the intended start, retries included), `shed` or `failed` (both per attempt).
    pub outcome: Cow<'static, str>,
    /// How many.
    pub count: u64,
    /// Percentiles.
    pub p50_ms: f64,
    /// Percentiles.
    pub p90_ms: f64,
    /// Percentiles.
    pub p95_ms: f64,
    /// Percentiles.
    pub p99_ms: f64,
    /// The longest.
    pub max_ms: f64,
}

/// How the affected share depends on its definition: the judged one and its neighbours.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Spread {
    /// Judged: users who arrive in the judged window, without success within ten seconds.
    pub judged_percent: f64,
    /// Of the same users, those whose operation never succeeded.
    pub failed_for_good_percent: f64,
    /// Users who arrive at any time of the peak, ten seconds.
    pub whole_peak_percent: f64,
}

/// CPU in percent of one core at the peak: mean of the three parties.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Cpu {
    /// The load generator and judge.
    pub generator: f64,
    /// The shop.
    pub shop: f64,
    /// Postgres.
    pub postgres: f64,
}

/// A change of the pool's limit.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct SizeChange {
    /// Second of play.
    pub at: f64,
    /// The postmortem's clock.
    pub clock: String,
    /// The limit from then on.
    pub limit: u32,
}

/// What the pool decided about its limit, and why.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Decision {
    /// The postmortem's clock.
    pub clock: String,
    /// What.
    #[serde(flatten)]
    pub moved: LimitMove,
}

/// So many refusals for one reason between two looks at the pool, and what it had at the first of these.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Refused {
    /// The postmortem's clock.
    pub clock: String,
    /// Second of play.
    pub at: f64,
    /// Why.
    pub why: Refusal,
    /// How many.
    pub count: usize,
    /// Leases that could have been out at once below the reserve.
    pub limit: u32,
    /// Of these places, those that nobody had.
    pub free: u32,
    /// Connections that nobody had.
    pub idle: u32,
    /// Connections that were being opened.
    pub opening: u32,
    /// Callers that waited.
    pub waiting: u32,
}

/// One play, summed up and judged.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Summary {
    /// On which arm.
    pub arm: Arm,
    /// When second 0 was, RFC 3339 in UTC: to find the play in what others recorded of it.
    pub began: Option<String>,
    /// What was played.
    #[schemars(with = "serde_json::Value")]
    pub scenario: Scenario,
    /// Its users.
    pub users: Users,
    /// The share under other definitions.
    pub spread: Spread,
    /// Successful within patience, of what the schedule intends in the judged window.
    pub goodput: Share,
    /// The same within one second.
    pub prompt: Share,
    /// Attempts per operation that succeeded.
    pub attempts_per_success: Option<f64>,
    /// Orders that never succeeded.
    pub orders_lost: Share,
    /// 202 answers, which are successes whose payment is settled later.
    pub accepted_202: usize,
    /// Answers that a correct client should never get here (4xx): must be zero.
    pub rejected: usize,
    /// When the alerts fired.
    pub alerts: Alerts,
    /// Seconds of real time from the action to restored services.
    pub recovery_s: Option<f64>,
    /// Marks of this arm.
    pub marks: Vec<Mark>,
    /// Late starts of the generator.
    pub late: Share,
    /// Latencies in the judged window.
    pub latencies: Vec<Latency>,
    /// CPU in the judged window.
    pub cpu: Option<Cpu>,
    /// How the pool's limit moved.
    pub sizes: Vec<SizeChange>,
    /// The pool's decisions behind that, in order; none where a pool cannot say.
    pub decisions: Vec<Decision>,
    /// What was refused, in order.
    pub refused: Vec<Refused>,
    /// Leases whose places the pool took back.
    pub taken_back: u64,
    /// Jobs that a typed error told so.
    pub told: u64,
    /// What was counted in the database afterwards.
    pub correctness: Correctness,
    /// What was still there after everything was stopped: must be empty.
    pub left_behind: Vec<String>,
    /// Second by second.
    pub seconds: Vec<Second>,
    /// What a scenario's file can set bounds to.
    pub measured: Vec<Measured>,
}

/// The value of one measure.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Measured {
    /// Which.
    pub measure: Measure,
    /// None where there was nothing to measure.
    pub value: Option<f64>,
}

impl Summary {
    /// Sums up a recording.
    #[must_use]
    pub fn of(
        arm: Arm,
        scenario: &Scenario,
        schedule: &Schedule,
        recording: &Recording,
        correctness: Correctness,
        left_behind: Vec<String>,
    ) -> Self {
        let judged = scenario.judged;
        let users = measure::users(schedule, recording, judged);
        let done = |hit: &dyn Fn(Reply) -> bool| recording.done.iter().filter(|done| hit(done.reply)).count();
        Self {
            arm,
            began: recording.began.and_then(|at| at.format(&Rfc3339).ok()),
            users,
            spread: Spread {
                judged_percent: users.affected.percent(),
                failed_for_good_percent: users.failed_for_good.percent(),
                whole_peak_percent: measure::users(schedule, recording, scenario.peak()).affected.percent(),
            },
            goodput: measure::goodput(schedule, recording, judged),
            prompt: measure::prompt(schedule, recording, judged),
            attempts_per_success: measure::attempts_per_success(recording, judged),
            orders_lost: measure::orders_lost(schedule, recording, judged),
            accepted_202: done(&|reply| reply == Reply::Accepted),
            rejected: done(&|reply| matches!(reply, Reply::Rejected(_))),
            alerts: Alerts::evaluate(recording, scenario),
            recovery_s: scenario.action.and_then(|_| legacy::recovery_s(recording, scenario)),
            marks: marks(arm, scenario, schedule, recording),
            late: measure::late_starts(recording),
            latencies: latencies(recording, judged),
            cpu: cpu(recording, judged),
            sizes: sizes(recording, scenario),
            decisions: decisions(recording, scenario),
            refused: refused(recording, scenario),
            taken_back: recording.pool.iter().map(|sample| sample.revoked).max().unwrap_or(0),
            told: recording.faults.iter().map(|sample| sample.taken_back).max().unwrap_or(0),
            correctness,
            left_behind,
            seconds: seconds::all(schedule, recording, scenario),
            measured: Measure::ALL
                .map(|measure| Measured { measure, value: measure.value(schedule, recording, scenario) })
                .to_vec(),
            scenario: scenario.clone(),
        }
    }

    /// The largest share of errors and refusals in any ten seconds of the peak, in percent.
    #[must_use]
    pub fn worst_errors_percent(&self) -> f64 {
        let peak = self.scenario.peak();
        let inside: Vec<_> = self.seconds.iter().filter(|second| peak.holds(f64::from(second.at))).collect();
        let share = |seconds: &[&Second]| {
            let bad: usize = seconds.iter().map(|second| second.failed + second.shed).sum();
            let all: usize = seconds.iter().map(|second| second.ok).sum::<usize>() + bad;
            if all == 0 { 100.0 } else { bad as f64 * 100.0 / all as f64 }
        };
        inside.windows(10).map(share).fold(0.0, f64::max)
    }

    /// How often the pool's limit moved: its own decisions, or what was seen where it cannot say.
    #[must_use]
    pub fn limit_steps(&self) -> usize {
        match self.decisions.iter().filter(|decision| decision.moved.from != decision.moved.to).count() {
            0 => self.sizes.len().saturating_sub(1),
            steps => steps,
        }
    }

    /// The value of a measure.
    #[must_use]
    pub fn measured(&self, measure: Measure) -> Option<f64> {
        self.measured.iter().find(|one| one.measure == measure).and_then(|one| one.value)
    }

    /// The share of users affected, in percent.
    #[must_use]
    pub fn affected(&self) -> f64 {
        self.users.affected.percent()
    }

    /// Why the play proves nothing, whatever its figures: a late generator or requests that could not succeed.
    #[must_use]
    pub fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        if self.late.total == 0 || self.late.percent() > 0.1 {
            faults.push(format!("{:.2} % of arrivals were late by more than 50 ms", self.late.percent()));
        }
        if self.rejected > 0 {
            faults.push(format!("{} requests were answered with an unexpected 4xx", self.rejected));
        }
        faults
    }

    /// The accepted p95 of an operation in the judged window, in seconds.
    #[must_use]
    pub fn accepted_p95_s(&self, operation: Operation) -> Option<f64> {
        self.latencies
            .iter()
            .find(|latency| latency.operation == operation && latency.outcome == "success")
            .map(|latency| latency.p95_ms / 1e3)
    }
}

fn marks(arm: Arm, scenario: &Scenario, schedule: &Schedule, recording: &Recording) -> Vec<Mark> {
    match (arm, scenario.kind) {
        (Arm::Legacy, Kind::Incident) => legacy::all(schedule, recording, scenario),
        (Arm::Resilient, Kind::Incident) => resilient::all(schedule, recording, scenario),
        (_, Kind::Marked) => {
            let of_arm = scenario.marks.iter().filter(|bound| bound.arm == arm);
            of_arm.filter_map(|bound| bound.mark(schedule, recording, scenario)).collect()
        }
        _ => Vec::new(),
    }
}

fn latencies(recording: &Recording, window: Window) -> Vec<Latency> {
    let attempts = |operation: Operation, wanted: fn(Reply) -> bool| {
        let inside = recording
            .attempts
            .iter()
            .filter(move |attempt| window.holds(attempt.end()) && attempt.operation == operation);
        inside.filter(move |attempt| wanted(attempt.reply)).map(|attempt| attempt.took).collect::<Vec<_>>()
    };
    let of = |operation| {
        let accepted = measure::accepted_latencies(recording, window, |one| one == operation);
        let shed = attempts(operation, |reply| matches!(reply, Reply::Shed(_)));
        let failed = attempts(operation, |reply| reply.is_error() && !matches!(reply, Reply::Shed(_)));
        [("success", accepted), ("shed", shed), ("failed", failed)]
            .into_iter()
            .filter_map(move |(outcome, times)| Latency::of(operation, outcome, &times))
    };
    Operation::MIX.iter().flat_map(|(operation, _)| of(*operation)).collect()
}

impl Latency {
    fn of(operation: Operation, outcome: &'static str, times: &[f64]) -> Option<Self> {
        // Two significant figures in microseconds, up to ten minutes; longer ones are counted there.
        let mut histogram = Histogram::<u64>::new_with_bounds(1, 600_000_000, 3).ok()?;
        for took in times {
            let micros = Duration::from_secs_f64(took.max(0.0)).as_micros();
            histogram.saturating_record(u64::try_from(micros).unwrap_or(u64::MAX));
        }
        let at = |percent: f64| histogram.value_at_percentile(percent) as f64 / 1e3;
        (!times.is_empty()).then(|| Self {
            operation,
            outcome: Cow::Borrowed(outcome),
            count: histogram.len(),
            p50_ms: at(50.0),
            p90_ms: at(90.0),
            p95_ms: at(95.0),
            p99_ms: at(99.0),
            max_ms: histogram.max() as f64 / 1e3,
        })
    }
}

fn cpu(recording: &Recording, window: Window) -> Option<Cpu> {
    let inside = || recording.cpu.iter().filter(|sample| window.holds(sample.at));
    Some(Cpu {
        generator: mean(inside().map(|sample| sample.generator))?,
        shop: mean(inside().map(|sample| sample.shop))?,
        postgres: mean(inside().map(|sample| sample.postgres))?,
    })
}

fn sizes(recording: &Recording, scenario: &Scenario) -> Vec<SizeChange> {
    let mut changes: Vec<SizeChange> = Vec::new();
    for sample in &recording.pool {
        if changes.last().is_none_or(|last| last.limit != sample.limit) {
            changes.push(SizeChange { at: sample.at, clock: scenario.clock.face(sample.at), limit: sample.limit });
        }
    }
    changes
}

/// Each sample repeats those before it; the last word on each counts, since tries in a row are one.
fn decisions(recording: &Recording, scenario: &Scenario) -> Vec<Decision> {
    let moves = recording.pool.iter().flat_map(|sample| &sample.moves);
    let mut last: BTreeMap<u64, LimitMove> = BTreeMap::new();
    for moved in moves {
        let at = last.get(&moved.number).map_or(moved.at, |first| first.at);
        last.insert(moved.number, LimitMove { at, ..moved.clone() });
    }
    last.into_values().map(|moved| Decision { clock: scenario.clock.face(moved.at), moved }).collect()
}

/// The pool is looked at ten times a second, so what it had is that much older than a refusal at the most.
fn refused(recording: &Recording, scenario: &Scenario) -> Vec<Refused> {
    let mut counts: BTreeMap<(usize, Refusal), usize> = BTreeMap::new();
    for attempt in &recording.attempts {
        if let Reply::Shed(why) = attempt.reply {
            let before = recording.pool.partition_point(|sample| sample.at <= attempt.end());
            *counts.entry((before.saturating_sub(1), why)).or_default() += 1;
        }
    }
    let seen = counts.into_iter().filter_map(|((sample, why), count)| Some((recording.pool.get(sample)?, why, count)));
    let of = |(sample, why, count): (&PoolSample, Refusal, usize)| {
        let PoolSample { at, limit, idle, opening, waiting, .. } = *sample;
        let free = limit.saturating_sub(sample.in_use.saturating_sub(sample.suspects));
        Refused { clock: scenario.clock.face(at), at, why, count, limit, free, idle, opening, waiting }
    };
    seen.map(of).collect()
}

#[cfg(test)]
mod tests;
