//! The marks of the resilient arm. One that fails is a failed verdict.

use super::{Mark, seconds};
use crate::alert::Alerts;
use crate::measure::{self, accepted_latencies, goodput, percentile, users};
use crate::record::{Attempt, Recording, Refusal, Reply};
use crate::scenario::{Scenario, Window};
use crate::schedule::{Operation, Schedule};

/// The share of users that may be affected at most.
pub const AFFECTED_PERCENT: f64 = 5.0;
/// The least goodput at the peak, in percent of what the schedule intends.
pub const GOODPUT_PERCENT: f64 = 90.0;
/// The highest accepted p95.
pub const ACCEPTED_P95_S: f64 = 0.250;
/// The highest p95 of a refusal at the door.
pub const DOOR_P95_S: f64 = 0.025;
/// The highest p95 of a refusal out of the queue: twice the class's largest wait budget B, 50 ms for normal and 200 ms for
/// critical work, and the door's allowance.
pub const QUEUE_P95_S: f64 = 2.0 * 0.050 + DOOR_P95_S;
/// The same for critical work.
pub const CRITICAL_QUEUE_P95_S: f64 = 2.0 * 0.200 + DOOR_P95_S;

/// All marks of the incident.
#[must_use]
pub fn all(schedule: &Schedule, recording: &Recording, scenario: &Scenario) -> Vec<Mark> {
    vec![
        affected(schedule, recording, scenario),
        peak(schedule, recording, scenario),
        accepted(recording, scenario.judged),
        refused_at_the_door(recording, scenario.judged),
        refused_from_the_queue(recording, scenario.judged),
        critical_refused_from_the_queue(recording, scenario.judged),
        alerts(recording, scenario),
        taken_back(recording),
        nobody_acts(recording),
    ]
}

/// Few users are affected.
#[must_use]
pub fn affected(schedule: &Schedule, recording: &Recording, scenario: &Scenario) -> Mark {
    let share = users(schedule, recording, scenario.judged).affected;
    Mark::new(
        "",
        "less than 5 % of users affected",
        format!("{:.2} % ({} of {})", share.percent(), share.part, share.total),
        share.total > 0 && share.percent() < AFFECTED_PERCENT,
    )
}

/// Goodput at the peak.
#[must_use]
pub fn peak(schedule: &Schedule, recording: &Recording, scenario: &Scenario) -> Mark {
    let share = goodput(schedule, recording, scenario.judged);
    let rate = share.part as f64 / scenario.judged.length();
    Mark::new(
        "",
        "goodput at least 90 % in the judged stretch",
        format!("{:.1} % ({rate:.0} a second)", share.percent()),
        share.percent() >= GOODPUT_PERCENT,
    )
}

/// The slowest operation's accepted p95; one figure over all operations would hide the orders.
#[must_use]
pub fn accepted(recording: &Recording, window: Window) -> Mark {
    let p95 = |operation: Operation| percentile(accepted_latencies(recording, window, |one| one == operation), 95.0);
    let each: Vec<(Operation, Option<f64>)> =
        Operation::MIX.iter().map(|(operation, _)| (*operation, p95(*operation))).collect();
    let text: Vec<String> =
        each.iter().map(|(operation, p95)| format!("{} {}", operation.name(), seconds(*p95))).collect();
    Mark::new(
        "",
        "accepted p95 below 250 ms, each operation by itself",
        text.join(", "),
        each.iter().all(|(_, p95)| p95.is_some_and(|p95| p95 < ACCEPTED_P95_S)),
    )
}

/// What the shop serves in its critical class.
pub(crate) const fn is_critical(operation: Operation) -> bool {
    matches!(operation, Operation::Order | Operation::Refresh)
}

fn refused(
    recording: &Recording,
    window: Window,
    counts: impl Fn(&Attempt) -> bool,
    says: &'static str,
    limit: f64,
) -> Mark {
    let refusals = recording.attempts.iter().filter(|attempt| window.holds(attempt.end()) && counts(attempt));
    let times: Vec<f64> = refusals.map(|attempt| attempt.took).collect();
    let (count, p95) = (times.len(), percentile(times, 95.0));
    let evidence = format!("{count} refused, p95 {}", seconds(p95));
    Mark::new("", says, evidence, p95.is_none_or(|p95| p95 < limit))
}

/// Who is refused at the door learns it at once.
#[must_use]
pub fn refused_at_the_door(recording: &Recording, window: Window) -> Mark {
    let at_the_door = |attempt: &Attempt| matches!(attempt.reply, Reply::Shed(why) if why.is_at_the_door());
    refused(recording, window, at_the_door, "refusals at the door: p95 below 25 ms", DOOR_P95_S)
}

/// Who is refused out of the queue has waited twice the wait budget at most.
#[must_use]
pub fn refused_from_the_queue(recording: &Recording, window: Window) -> Mark {
    let queued = |attempt: &Attempt| attempt.reply == Reply::Shed(Refusal::Sojourn) && !is_critical(attempt.operation);
    refused(recording, window, queued, "refusals out of the queue, normal class: p95 below 2 B + 25 ms", QUEUE_P95_S)
}

/// The same for critical work, which may wait four times as long.
#[must_use]
pub fn critical_refused_from_the_queue(recording: &Recording, window: Window) -> Mark {
    let queued = |attempt: &Attempt| attempt.reply == Reply::Shed(Refusal::Sojourn) && is_critical(attempt.operation);
    let says = "refusals out of the queue, critical class: p95 below 2 B + 25 ms";
    refused(recording, window, queued, says, CRITICAL_QUEUE_P95_S)
}

/// No error alert, or a later one than the pool's.
#[must_use]
pub fn alerts(recording: &Recording, scenario: &Scenario) -> Mark {
    let alerts = Alerts::evaluate(recording, scenario);
    let at = |moment: Option<f64>| moment.map_or_else(|| "never".to_owned(), |at| scenario.clock.face(at));
    Mark::new(
        "",
        "no error alert, or later than the pool alert",
        format!("pool alert {}, error alert {}", at(alerts.pool), at(alerts.errors)),
        alerts.are_in_order(),
    )
}

fn named_holder(recording: &Recording) -> Option<&String> {
    let mut sites = recording.pool.iter().flat_map(|sample| &sample.holders);
    sites.find(|site| site.contains("report_job") || site.contains("fault/job.rs"))
}

fn revoked(recording: &Recording) -> u64 {
    recording.pool.iter().map(|sample| sample.revoked).max().unwrap_or(0)
}

/// How many leases were taken back, where an idle holder was named by its call site.
pub(crate) fn named_and_taken_back(recording: &Recording) -> Option<f64> {
    named_holder(recording).map(|_| revoked(recording) as f64)
}

/// Idle holders are named by call site, and their places come back.
#[must_use]
pub fn taken_back(recording: &Recording) -> Mark {
    let (named, revoked) = (named_holder(recording), revoked(recording));
    let learned = recording.faults.iter().map(|sample| sample.taken_back).max().unwrap_or(0);
    let site = named.map_or("nobody", String::as_str);
    Mark::new(
        "",
        "idle holders are named by call site and their places taken back",
        format!("{revoked} taken back, {learned} jobs told so by a typed error, named: {site}"),
        named.is_some() && revoked > 0,
    )
}

/// Nobody acts at 3:00.
#[must_use]
pub fn nobody_acts(recording: &Recording) -> Mark {
    let actions = recording.faults.iter().map(|sample| sample.actions).max().unwrap_or(0);
    Mark::new("3:00", "nobody acts", format!("{actions} actions"), !recording.faults.is_empty() && actions == 0)
}

/// Health of the generator: a run whose arrivals were late says nothing.
#[must_use]
pub fn punctual(recording: &Recording) -> Mark {
    let late = measure::late_starts(recording);
    Mark::new(
        "",
        "arrivals late by more than 50 ms at most 0.1 %",
        format!("{:.3} % ({} of {})", late.percent(), late.part, late.total),
        late.total > 0 && late.percent() <= 0.1,
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Attempt, Done, FaultSample, PoolSample};
    use crate::schedule::{Journey, Needs, Step};

    struct Play {
        schedule: Schedule,
        recording: Recording,
        scenario: Scenario,
    }

    fn calm() -> Play {
        let scenario = Scenario::incident(15.0, false);
        let (mut journeys, mut recording) = (Vec::new(), Recording::default());
        for second in (0u32..).take_while(|second| f64::from(*second) < scenario.end()) {
            let at = f64::from(second);
            for (operation, _) in Operation::MIX.into_iter().cycle().take(30) {
                let journey = u32::try_from(journeys.len()).expect("small");
                journeys.push(Journey { at, steps: vec![Step { operation, key: 0 }] });
                let reply = Reply::Success;
                recording.attempts.push(Attempt { operation, at, took: 0.02, reply });
                let end = at + 0.02;
                recording.done.push(Done { journey, operation, intended: at, late: 0.0, end, attempts: 1, reply });
            }
            recording.pool.push(PoolSample {
                at,
                limit: 30,
                ceiling: 60,
                in_use: 20,
                idle: 10,
                suspects: 2,
                revoked: 7,
                holders: vec!["crates/chaos/src/fault/job.rs:40".to_owned()],
                ..PoolSample::default()
            });
            recording.faults.push(FaultSample { at, ..FaultSample::default() });
        }
        recording.count_usage();
        Play { schedule: Schedule { journeys, needs: Needs::default() }, recording, scenario }
    }

    fn failed(play: &Play) -> Vec<String> {
        let marks = all(&play.schedule, &play.recording, &play.scenario);
        marks.into_iter().filter(|mark| !mark.held).map(|mark| mark.says.into_owned()).collect()
    }

    #[test]
    fn a_calm_play_holds_every_mark() {
        assert_eq!(failed(&calm()), Vec::<String>::new());
        assert!(punctual(&calm().recording).held);
    }

    #[test]
    fn one_user_in_ten_without_success_is_too_many() {
        let mut play = calm();
        play.recording.done.iter_mut().filter(|done| done.journey % 10 == 0).for_each(|done| done.end += 11.0);
        assert!(failed(&play).iter().any(|says| says == "less than 5 % of users affected"));
    }

    #[test]
    fn slow_orders_are_not_hidden_by_quick_lists() {
        let mut play = calm();
        let orders = play.recording.done.iter_mut().filter(|done| done.operation == Operation::Order);
        orders.for_each(|done| done.end += 0.3);
        assert_eq!(failed(&play), ["accepted p95 below 250 ms, each operation by itself"]);
    }

    #[test]
    fn slow_refusals_fail_by_the_place_they_come_from() {
        let (list, order) = (Operation::List, Operation::Order);
        for (place, operation, took, says) in [
            (Refusal::PredictedWait, list, 0.030, "refusals at the door: p95 below 25 ms"),
            (Refusal::Sojourn, list, 0.200, "refusals out of the queue, normal class: p95 below 2 B + 25 ms"),
            (Refusal::Sojourn, order, 0.500, "refusals out of the queue, critical class: p95 below 2 B + 25 ms"),
        ] {
            let mut play = calm();
            let at = play.scenario.judged.from + 1.0;
            let reply = Reply::Shed(place);
            play.recording.attempts.push(Attempt { operation, at, took, reply });
            assert_eq!(failed(&play), [says]);
        }
    }

    #[test]
    fn holders_that_nobody_names_or_an_action_by_hand_fail() {
        let mut unnamed = calm();
        unnamed.recording.pool.iter_mut().for_each(|sample| sample.holders.clear());
        assert_eq!(failed(&unnamed), ["idle holders are named by call site and their places taken back"]);
        let mut acted = calm();
        acted.recording.faults.iter_mut().for_each(|sample| sample.actions = 1);
        assert_eq!(failed(&acted), ["nobody acts"]);
    }

    #[test]
    fn lost_goodput_fails_even_when_nobody_reports_it() {
        let mut play = calm();
        let judged = play.scenario.judged;
        play.recording.done.retain(|done| !judged.holds(done.intended) || done.journey % 5 != 0);
        assert_eq!(failed(&play), ["goodput at least 90 % in the judged stretch"]);
    }

    #[test]
    fn a_late_generator_is_caught() {
        let mut play = calm();
        play.recording.done.iter_mut().filter(|done| done.journey % 500 == 0).for_each(|done| done.late = 0.06);
        assert!(!punctual(&play.recording).held);
    }
}
