use std::time::Duration;

use forebay_pool_core::{Class, Mode, Rules};
use forebay_sim::chance::Length;
use forebay_sim::client::{Client, Population};
use forebay_sim::contender::{self, Contender};
use forebay_sim::scenario::{Abandoned, Kind, Scenario, Step};
use forebay_sim::world;

use crate::short::{X, secs, spike};

/// Each attempt is refused, served, or its client leaves; and whoever is served is answered or has left.
#[test]
fn no_pool_loses_an_attempt() {
    let all_cases = || contender::all().into_iter();
    let leaving = all_cases().zip(std::iter::repeat(Abandoned::LeavesQueue));
    for (contender, abandoned) in leaving.chain(all_cases().zip(std::iter::repeat(Abandoned::IsCutOff))) {
        let scenario = Scenario { abandoned, ..spike(3.0) };
        let scenario = Scenario { phases: vec![all()], ..scenario };
        let record = world::run(&scenario, &mut *contender.build(1), 1);
        let tally = record.all("all");
        assert!(tally.served >= tally.good + tally.late, "{}", contender.name);
        assert!(tally.attempts >= tally.served + tally.refused, "{}", contender.name);
        assert!(tally.requests <= tally.attempts && tally.attempts <= 3 * tally.requests, "{}", contender.name);
        let last = record.bins[record.bins.len() - 3];
        assert!(last.leased <= 200, "{}: {last:?}", contender.name);
    }
}

/// Holders of a row that everybody wants are cut off, and those who wait for it.
#[test]
fn whoever_is_cut_off_leaves_the_row_to_the_next() {
    let row = Step::HotRow(Length::varying(Duration::from_millis(20), 1.0));
    let kind = Kind { steps: vec![row], ..Kind::one_statement(Class::Normal, 1.0, Scenario::statement()) };
    let clients = Population::of(Client { patience: Duration::from_millis(120), ..Client::NAIVE });
    let scenario = Scenario { kinds: vec![kind], clients, abandoned: Abandoned::IsCutOff, ..spike(1.0) };
    let record = world::run(&scenario, &mut *Contender::ours_fixed(5).build(1), 1);
    assert!(record.all("before").lost > 10, "many are cut off");
    let after = record.all("after").good;
    assert!(after > 50, "{after} in two seconds, of a hundred that the row allows");
}

fn all() -> forebay_sim::scenario::Phase {
    forebay_sim::scenario::Phase { name: "all", from: secs(0), to: secs(5) }
}

#[test]
fn without_overload_everybody_is_served() {
    for contender in contender::ours() {
        let record = world::run(&spike(0.5), &mut *contender.build(1), 1);
        let tally = record.all("after");
        assert_eq!(tally.hit, 0, "{}", contender.name);
        assert_eq!((tally.refused, tally.late, tally.lost), (0, 0, 0), "{}", contender.name);
    }
}

#[test]
fn connections_never_exceed_the_ceiling_and_the_limit_is_kept() {
    for ceiling in [2, 5, 20, 60] {
        let rules = Rules { ceiling, initial_limit: 2, ..Rules::default() };
        let record = world::run(&spike(20.0), &mut *Contender::ours("", rules).build(2), 2);
        assert!(record.most_sessions <= ceiling, "{ceiling}: {}", record.most_sessions);
        assert!(record.bins.iter().all(|bin| bin.leased <= ceiling && bin.running <= ceiling + 2));
    }
}

#[test]
fn refusals_leave_room_for_critical_work() {
    let record = world::run(&spike(10.0), &mut *Contender::ours_fixed(35).build(4), 4);
    let (critical, normal) = (record.of("spike", Class::Critical), record.of("spike", Class::Normal));
    assert!(normal.refused > 10 * normal.served);
    assert!(critical.good * 100 >= critical.requests * 95, "{} of {}", critical.good, critical.requests);
}

#[test]
fn with_admission_off_the_queue_fills_and_answers_come_late() {
    let off = Rules { mode: Mode::Off, ..Rules::default() };
    let goodput = |rules| {
        let record = world::run(&spike(5.0), &mut *Contender::ours("", rules).build(4), 4);
        record.goodput(secs(2), secs(3)) / X
    };
    let (with, without) = (goodput(Rules::default()), goodput(off));
    assert!(without < 0.5 * with, "{without} {with}");
}
