//! How long the ledger waits between two attempts to open a connection, and what ends such a pause.

use std::time::{Duration, Instant};

use forebay_pool_core::{Acquired, Class, Mode, OpenFailure, Refusal, Rules};

use crate::world::{Attempt, World};

const SECOND: Duration = Duration::from_secs(1);
const STEP: Duration = Duration::from_millis(10);
const CAUSES: [OpenFailure; 4] =
    [OpenFailure::Misconfigured, OpenFailure::NotYet, OpenFailure::NoRoom, OpenFailure::Other];

fn rules() -> Rules {
    Rules { min_idle: 0, initial_limit: 10, ceiling: 20, lifetime: None, ..Rules::default() }
}

/// A world in which every attempt fails at once, and when each began.
struct Failing {
    world: World,
    cause: OpenFailure,
    chance: f64,
    attempts: Vec<Instant>,
}

impl Failing {
    fn new(world: World, cause: OpenFailure, chance: f64) -> Self {
        Self { world, cause, chance, attempts: Vec::new() }
    }

    fn fail(&mut self) {
        while !self.world.openings.is_empty() {
            self.attempts.push(self.world.now);
            self.world.attempt(Attempt::Fail(self.cause), self.chance);
        }
    }

    /// Lets time pass, while somebody with a deadline of 200 ms calls every so often.
    fn pass(&mut self, time: Duration, calls_every: Option<Duration>) {
        let end = self.world.now + time;
        let mut next_call = self.world.now;
        while self.world.now < end {
            if let Some(every) = calls_every.filter(|_| next_call <= self.world.now) {
                self.world.ask(Class::Normal, 200);
                next_call += every;
            }
            self.fail();
            self.world.advance(STEP);
            self.fail();
        }
    }

    /// When the first attempt after this moment began.
    fn next_after(&self, at: Instant) -> Option<Instant> {
        self.attempts.iter().copied().find(|attempt| *attempt >= at)
    }
}

/// Every cause, with pauses as long as chance can make them and half as long.
fn failing(mut each: impl FnMut(Failing)) {
    for cause in CAUSES {
        for chance in [0.999, 0.5] {
            each(Failing::new(World::new(rules()), cause, chance));
        }
    }
}

#[test]
fn while_somebody_calls_it_is_tried_once_a_second_whatever_is_wrong() {
    failing(|mut failing| {
        let cause = failing.cause;
        for every in [STEP, 300 * STEP / 4, 150 * STEP] {
            let begun = failing.world.now;
            failing.pass(90 * SECOND, Some(every));
            let times: Vec<_> = failing.attempts.iter().copied().filter(|at| *at >= begun).collect();
            let longest = times.windows(2).map(|pair| pair[1] - pair[0]).max().expect("several");
            assert!(longest <= SECOND + STEP, "{cause:?}, called every {every:?}: nothing for {longest:?}");
        }
    });
}

#[test]
fn who_is_refused_after_hours_of_silence_has_it_tried_at_once() {
    failing(|mut failing| {
        failing.pass(60 * SECOND, Some(STEP));
        for silence in [3 * SECOND, 61 * SECOND, 3_600 * SECOND] {
            failing.pass(silence, None);
            let called = failing.world.now;
            let Acquired::Refused(Refusal::Unavailable { retry_after, .. }) = failing.world.ask(Class::Normal, 200)
            else {
                panic!("{:?}: nothing can be opened", failing.cause)
            };
            assert!(retry_after <= 3 * SECOND, "{retry_after:?}");
            failing.pass(2 * SECOND, None);
            let waited = failing.next_after(called).expect("it is tried") - called;
            assert!(waited <= SECOND + STEP, "{:?} after {silence:?}: tried after {waited:?}", failing.cause);
        }
    });
}

#[test]
fn callers_who_wait_beside_live_connections_have_it_tried_once_a_second_too() {
    for cause in CAUSES {
        let mut world = World::with_open(Rules { mode: Mode::Off, ..rules() }, 2);
        for _ in 0..4 {
            world.ask(Class::Critical, 600_000);
        }
        let mut failing = Failing::new(world, cause, 0.999);
        failing.pass(60 * SECOND, None);
        assert!(!failing.world.waiting.is_empty());
        // The server has said that there is no room: nothing is tried before that is old.
        let expected = if cause == OpenFailure::NoRoom { 1 } else { 55 };
        assert!(failing.attempts.len() >= expected, "{cause:?}: {} attempts", failing.attempts.len());
    }
}

#[test]
fn while_nobody_calls_the_servers_log_stays_short() {
    for (cause, most) in [(OpenFailure::Misconfigured, 130), (OpenFailure::NotYet, 740)] {
        let mut failing = Failing::new(World::new(Rules { min_idle: 2, ..rules() }), cause, 0.999);
        failing.pass(3_600 * SECOND, None);
        assert!(failing.attempts.len() <= most, "{cause:?}: {} attempts in an hour", failing.attempts.len());
    }
}

#[test]
fn a_database_that_is_made_late_is_found_within_five_seconds_though_nobody_calls() {
    let mut failing = Failing::new(World::new(Rules { min_idle: 2, ..rules() }), OpenFailure::NotYet, 0.999);
    failing.pass(60 * SECOND, None);
    let made = failing.world.now;
    failing.pass(6 * SECOND, None);
    assert!(failing.next_after(made).expect("it is tried") - made <= 5 * SECOND + STEP);
}

#[test]
fn a_pause_ends_when_what_is_dialed_has_changed() {
    for cause in CAUSES {
        let mut failing = Failing::new(World::new(Rules { min_idle: 2, ..rules() }), cause, 0.999);
        failing.pass(300 * SECOND, None);
        let paused = failing.world.ledger.paused_until().expect("it failed just now");
        assert!(failing.world.openings.is_empty(), "it pauses");
        failing.world.change(forebay_pool_core::Ledger::end_pause);
        assert_eq!(failing.world.openings.len(), 1, "{cause:?}: it is tried at once, until {paused:?} or not");
        failing.world.open_one(true, 0.0);
        assert_eq!(failing.world.ledger.paused_until(), None);
    }
}

#[test]
fn ending_a_pause_that_is_over_opens_nothing() {
    let mut world = World::new(rules());
    world.change(forebay_pool_core::Ledger::end_pause);
    assert!(world.openings.is_empty());
    world.change(forebay_pool_core::Ledger::close);
    world.change(forebay_pool_core::Ledger::end_pause);
    assert!(world.openings.is_empty());
}
