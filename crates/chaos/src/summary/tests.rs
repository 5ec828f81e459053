//! What a play is summed up as.

use super::*;
use crate::record::{Attempt, CommitSample, Done, SessionSample};
use crate::schedule::{Journey, Needs};

#[test]
fn refusals_are_told_with_their_reasons_and_what_the_pool_had_a_moment_before() {
    let sample = |at, limit, in_use, idle| PoolSample {
        at,
        limit,
        ceiling: 60,
        in_use,
        idle,
        opening: 1,
        waiting: 3,
        suspects: 4,
        ..PoolSample::default()
    };
    let attempt = |at, reply| Attempt { operation: Operation::List, at, took: 0.01, reply };
    let shed = |at, why| attempt(at, Reply::Shed(why));
    let recording = Recording {
        pool: vec![sample(1.0, 10, 14, 0), sample(1.1, 12, 6, 2)],
        attempts: vec![
            shed(1.01, Refusal::PredictedWait),
            shed(1.02, Refusal::PredictedWait),
            shed(1.03, Refusal::Sojourn),
            attempt(1.04, Reply::Success),
            shed(1.2, Refusal::Sojourn),
        ],
        ..Recording::default()
    };
    let told = refused(&recording, &Scenario::incident(20.0, true));
    let brief: Vec<_> = told.iter().map(|one| (one.why, one.count, one.limit, one.free, one.idle)).collect();
    let expected =
        [(Refusal::PredictedWait, 2, 10, 0, 0), (Refusal::Sojourn, 1, 10, 0, 0), (Refusal::Sojourn, 1, 12, 10, 2)];
    assert_eq!(brief, expected);
}

#[test]
fn a_second_tells_what_ended_in_it_and_who_came_in_it() {
    let journey = |at| Journey { at, steps: Vec::new() };
    let schedule = Schedule { journeys: vec![journey(0.2), journey(0.9), journey(1.5)], needs: Needs::default() };
    let done = |journey, intended, latency: f64, reply| Done {
        journey,
        operation: Operation::List,
        intended,
        late: 0.0,
        end: intended + latency,
        attempts: 1,
        reply,
    };
    let recording = Recording {
        done: vec![done(0, 0.2, 1.0, Reply::Success), done(1, 0.9, 0.5, Reply::TimedOut)],
        unfinished: vec![2],
        commits: [4.0, 9.0, 5.0].map(|ms| CommitSample { at: 1.5, took: ms / 1e3 }).into(),
        sessions: vec![SessionSample { at: 1.1, total: 10, active: 1, idle_in_transaction: 7 }],
        ..Recording::default()
    };
    let seconds = seconds::all(&schedule, &recording, &Scenario::incident(20.0, true));
    let users: Vec<_> = seconds.iter().take(3).map(|second| (second.arrived, second.affected)).collect();
    assert_eq!(users, [(2, 1), (1, 1), (0, 0)]);
    assert_eq!(seconds[0], Second { arrived: 2, affected: 1, ..Second::default() });
    let p95: Vec<_> = seconds.iter().take(2).map(|second| second.accepted_p95_ms.map(f64::round)).collect();
    assert_eq!(p95, [None, Some(1_000.0)]);
    assert_eq!((seconds[1].sessions, seconds[1].active, seconds[1].idle_in_transaction), (10, 1, 7));
    assert_eq!(seconds[1].commit_ms.map(f64::round), Some(9.0));
}
