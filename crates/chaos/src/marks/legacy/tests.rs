//! A synthetic outage holds all marks; each mark fails when its own evidence is taken away.

use super::*;
use crate::record::{Attempt, CommitSample, CpuSample, Done, FaultSample, PoolSample, Probe};
use crate::schedule::{Journey, Needs};

const OPERATIONS: [Operation; 4] = [Operation::List, Operation::Login, Operation::Order, Operation::Product];

struct Play {
    schedule: Schedule,
    recording: Recording,
    scenario: Scenario,
}

impl Play {
    fn outage() -> Self {
        let scenario = Scenario::incident(15.0, false);
        let (down, up) = (scenario.clock.at(2, 30), scenario.clock.at(3, 0) + 6.0);
        let end = scenario.end();
        let mut play = Self {
            schedule: Schedule { journeys: Vec::new(), needs: Needs::default() },
            recording: Recording::default(),
            scenario,
        };
        for second in (0u32..).take_while(|second| f64::from(*second) < end) {
            let at = f64::from(second);
            let broken = at + 0.05 >= down && at < up;
            play.users(at, broken);
            play.samples(at);
        }
        play.recording.count_usage();
        play.probe(Service::Catalog, "GET /v1/products");
        play.probe(Service::Auth, "POST /v1/auth/login");
        play
    }

    fn users(&mut self, at: f64, broken: bool) {
        let reply = if broken { Reply::Failed(503) } else { Reply::Success };
        for operation in OPERATIONS.into_iter().cycle().take(40) {
            let journey = u32::try_from(self.schedule.journeys.len()).expect("small");
            self.schedule.journeys.push(Journey { at, steps: Vec::new() });
            self.recording.attempts.push(Attempt { operation, at, took: 0.05, reply });
            let end = at + 0.05;
            self.recording.done.push(Done { journey, operation, intended: at, late: 0.0, end, attempts: 1, reply });
        }
    }

    fn samples(&mut self, at: f64) {
        let clock = self.scenario.clock;
        let (held, jammed) = (at >= clock.at(2, 25), at >= clock.at(2, 29) && at < clock.at(3, 0));
        let limit = if at > clock.at(3, 0) { 40 } else { 10 };
        self.recording.pool.push(PoolSample {
            at,
            limit,
            ceiling: limit,
            in_use: if jammed {
                10
            } else if held {
                9
            } else {
                2
            },
            waiting: if jammed { 900 } else { 0 },
            ..PoolSample::default()
        });
        self.recording.sessions.push(SessionSample { at, total: 10, active: 0, idle_in_transaction: 7 });
        self.recording.commits.push(CommitSample { at, took: 0.001 });
        self.recording.cpu.push(CpuSample { at, generator: 4.0, shop: 6.0, postgres: 3.0 });
        self.recording.faults.push(FaultSample {
            at,
            holding: 7,
            taken_back: 0,
            actions: u32::from(at > clock.at(3, 0)),
            timeouts: if jammed { [9, 9, 9] } else { [0; 3] },
        });
    }

    fn probe(&mut self, service: Service, request: &str) {
        let attempt = Attempt { operation: Operation::List, at: 60.0, took: 5.0, reply: Reply::Failed(503) };
        self.recording.probes.push(Probe { request: request.to_owned(), service, attempt });
    }

    /// The clocks (or "users") of the marks that do not hold.
    fn failed(&self) -> Vec<String> {
        all(&self.schedule, &self.recording, &self.scenario)
            .into_iter()
            .filter(|mark| !mark.held)
            .map(|mark| if mark.clock.is_empty() { "users".to_owned() } else { mark.clock })
            .collect()
    }
}

#[test]
fn the_synthetic_outage_holds_every_mark() {
    assert_eq!(Play::outage().failed(), Vec::<String>::new());
}

#[test]
fn without_a_full_pool_before_the_spike_2_27_fails() {
    let mut play = Play::outage();
    let spike = play.scenario.clock.at(2, 28);
    for sample in play.recording.pool.iter_mut().filter(|sample| sample.at < spike) {
        sample.in_use = 5;
    }
    play.recording.count_usage();
    assert_eq!(play.failed(), ["2:27"]);
}

#[test]
fn a_login_that_works_at_half_past_two_fails_2_30() {
    let mut play = Play::outage();
    for attempt in play.recording.attempts.iter_mut().filter(|attempt| attempt.operation == Operation::Login) {
        attempt.reply = Reply::Success;
    }
    assert_eq!(play.failed(), ["2:30"]);
}

#[test]
fn a_probe_that_is_answered_fails_2_35() {
    let mut play = Play::outage();
    play.recording.probes[1].attempt.reply = Reply::Success;
    assert_eq!(play.failed(), ["2:35"]);
}

#[test]
fn a_service_with_a_clean_log_fails_2_40() {
    let mut play = Play::outage();
    for sample in &mut play.recording.faults {
        sample.timeouts[1] = 0;
    }
    assert_eq!(play.failed(), ["2:40"]);
}

#[test]
fn a_busy_or_slow_database_fails_2_45() {
    let busy: [fn(&mut Recording); 5] = [
        |recording| recording.sessions.iter_mut().for_each(|sample| sample.active = 3),
        |recording| recording.sessions.iter_mut().for_each(|sample| sample.idle_in_transaction = 5),
        |recording| {
            recording.commits.iter_mut().filter(|sample| sample.at > 60.0).for_each(|sample| sample.took = 0.013);
        },
        |recording| recording.cpu.iter_mut().for_each(|sample| sample.postgres = 75.0),
        |recording| recording.sessions.clear(),
    ];
    for disturb in busy {
        let mut play = Play::outage();
        disturb(&mut play.recording);
        assert_eq!(play.failed(), ["2:45"]);
    }
}

#[test]
fn a_short_queue_or_a_pause_fails_2_50() {
    let mut short = Play::outage();
    short.recording.pool.iter_mut().for_each(|sample| sample.waiting = sample.waiting.min(20));
    assert_eq!(short.failed(), ["2:50"]);
    let mut pause = Play::outage();
    let at = pause.scenario.clock.at(2, 50) - 3.0;
    let sample = pause.recording.pool.iter_mut().find(|sample| sample.at >= at).expect("sampled");
    (sample.in_use, sample.waiting) = (8, 0);
    assert_eq!(pause.failed(), ["2:50"]);
}

#[test]
fn an_action_that_nobody_took_fails_3_00() {
    let mut play = Play::outage();
    play.recording.faults.iter_mut().for_each(|sample| sample.actions = 0);
    assert_eq!(play.failed(), ["3:00"]);
}

#[test]
fn one_service_that_stays_slow_or_broken_fails_3_15() {
    let mut slow = Play::outage();
    let late = slow.scenario.clock.at(3, 10);
    for done in slow.recording.done.iter_mut().filter(|done| done.intended > late && done.operation == Operation::Login)
    {
        done.end += 0.2;
    }
    assert_eq!(slow.failed(), ["3:15"]);
    let mut broken = Play::outage();
    for attempt in broken
        .recording
        .attempts
        .iter_mut()
        .filter(|attempt| attempt.at > late && attempt.operation == Operation::Order)
    {
        attempt.reply = Reply::TimedOut;
    }
    assert_eq!(broken.failed(), ["3:15"]);
}

#[test]
fn an_outage_that_touches_half_of_the_users_is_not_the_outage() {
    let mut play = Play::outage();
    for done in play.recording.done.iter_mut().filter(|done| done.journey % 2 == 0) {
        done.reply = Reply::Success;
    }
    assert_eq!(play.failed(), ["users"]);
}

#[test]
fn recovery_is_measured_from_the_action() {
    let play = Play::outage();
    let after = recovery_s(&play.recording, &play.scenario).expect("restored");
    assert!((5.0..8.0).contains(&after), "{after}");
}
