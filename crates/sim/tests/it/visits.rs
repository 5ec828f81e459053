//! Users who come once and ask one request after another.

use std::sync::Arc;
use std::time::Duration;

use forebay_pool_core::Class;
use forebay_sim::chance::Length;
use forebay_sim::client::{Client, Pause, Population};
use forebay_sim::load::Profile;
use forebay_sim::measure::{Ending, Visited};
use forebay_sim::pool::Pool;
use forebay_sim::rival::Fixed;
use forebay_sim::scenario::{Change, Kind, Load, Scenario, Step, Visit};
use forebay_sim::world;

use crate::short::secs;

const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// Requests of 10 ms, after whose answer the connection is held for 90 ms more.
fn scenario(visits: Vec<Visit>) -> Scenario {
    let steps = vec![Step::Statement(Length::fixed(ms(10))), Step::Answer, Step::Think(Length::fixed(ms(90)))];
    let client = Client { patience: secs(6), attempts: 2, pause: Pause::Fixed(Duration::ZERO) };
    Scenario {
        load: Load::Visits { visits: visits.into(), think: ms(500) },
        kinds: vec![Kind { class: Class::Normal, weight: 1.0, slo: secs(1), steps }],
        clients: Population::of(client),
        ..Scenario::plain(Profile::steady(0.0), secs(30))
    }
}

fn visited(scenario: &Scenario, pool: &mut dyn Pool) -> Visited {
    world::run(scenario, pool, 1).visited
}

fn visit(at: u64, requests: usize) -> Visit {
    Visit { at: ms(at), kinds: vec![0; requests] }
}

#[test]
fn a_user_asks_the_next_thing_after_the_answer_and_a_pause() {
    let visited = visited(&scenario(vec![visit(1_000, 3)]), &mut Fixed::unbounded(5));
    let begun: Vec<Duration> = visited.asked.iter().map(|asked| asked.at).collect();
    assert_eq!(begun, [ms(1_000), ms(1_510), ms(2_020)]);
    assert!(visited.asked.iter().all(|asked| asked.end - asked.at == ms(10) && asked.ending == Ending::Answered));
    assert_eq!((visited.tries.len(), visited.unfinished), (3, Vec::new()));
}

#[test]
fn whoever_comes_next_waits_for_the_connection_and_not_for_the_answer() {
    let visited = visited(&scenario(vec![visit(0, 1), visit(0, 1)]), &mut Fixed::unbounded(1));
    let took: Vec<Duration> = visited.asked.iter().map(|asked| asked.end - asked.at).collect();
    assert_eq!(took, [ms(10), ms(110)]);
}

#[test]
fn a_user_whom_everybody_refuses_asks_no_more() {
    let mut leaking = scenario(vec![visit(1_000, 5)]);
    leaking.changes = vec![(ms(0), Change::Leak { holders: 1, again: None })];
    let visited = visited(&leaking, &mut Fixed::unbounded(1).acquire_timeout(secs(2)));
    let asked: Vec<_> = visited.asked.iter().map(|asked| (asked.attempts, asked.end, asked.ending)).collect();
    assert_eq!(asked, [(2, secs(5), Ending::Refused)]);
    let tries: Vec<_> = visited.tries.iter().map(|tried| (tried.at, tried.end, tried.ending)).collect();
    assert_eq!(tries, [(secs(1), secs(3), Ending::Refused), (secs(3), secs(5), Ending::Refused)]);
}

#[test]
fn a_client_that_waits_too_long_leaves_and_a_user_who_is_not_done_at_the_end_is_known() {
    let mut leaking = scenario(vec![visit(1_000, 1), visit(28_000, 1)]);
    leaking.changes = vec![(ms(0), Change::Leak { holders: 1, again: None })];
    let visited = visited(&leaking, &mut Fixed::unbounded(1));
    let asked: Vec<_> = visited.asked.iter().map(|asked| (asked.visit, asked.end, asked.ending)).collect();
    assert_eq!(asked, [(0, secs(13), Ending::Left)]);
    assert_eq!(visited.unfinished, [1]);
}

#[test]
fn visits_are_the_same_whoever_serves_them() {
    let visits: Arc<[Visit]> = (0..50).map(|n| visit(n * 20, 2)).collect();
    let kinds = vec![Kind::one_statement(Class::Normal, 1.0, Length::varying(ms(10), 1.0))];
    let load = Load::Visits { visits, think: ms(500) };
    let scenario = Scenario { load, kinds, ..scenario(Vec::new()) };
    let took = |size| {
        let mut asked = visited(&scenario, &mut Fixed::unbounded(size)).asked;
        asked.sort_by_key(|asked| (asked.visit, asked.at));
        asked.iter().map(|asked| (asked.visit, asked.kind)).collect::<Vec<_>>()
    };
    assert_eq!(took(20), took(40));
    assert_eq!(took(20).len(), 100);
}
