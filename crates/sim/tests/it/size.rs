use std::time::{Duration, Instant};

use forebay_pool_core::{Class, Rules, Sample, Sizer, Sizing, Target};
use forebay_sim::chance::Length;
use forebay_sim::client::{Client, Population};
use forebay_sim::contender::Contender;
use forebay_sim::database::{Contention, Machine};
use forebay_sim::load::{Burstiness, Profile};
use forebay_sim::measure::Record;
use forebay_sim::scenario::{Abandoned, Change, Kind, Load, Scenario, Step};
use forebay_sim::world;

use crate::short::{X, secs};

/// The mean limit between two seconds.
fn limit(record: &Record, from: u64, to: u64) -> f64 {
    let bins = record.between(secs(from), secs(to));
    let sum: u32 = bins.iter().map(|bin| bin.gauge.limit).sum();
    f64::from(sum) / f64::from(u32::try_from(bins.len()).expect("a few hundred"))
}

fn play(scenario: &Scenario, rules: Rules) -> Record {
    world::run(scenario, &mut *Contender::ours("", rules).build(7), 7)
}

fn wide() -> Rules {
    Rules { ceiling: 160, ..Rules::default() }
}

fn overload(change: Change) -> Scenario {
    Scenario { changes: vec![(secs(20), change)], ..Scenario::plain(Profile::steady(2.0 * X), secs(50)) }
}

#[test]
fn statements_that_hinder_each_other_more_bring_the_limit_down() {
    let cramped = Contention { queueing: 0.02, crosstalk: 0.008 };
    let record = play(&overload(Change::Contention(cramped)), wide());
    let (before, after) = (limit(&record, 10, 20), limit(&record, 40, 50));
    assert!((25.0..45.0).contains(&before), "{before}");
    assert!((7.0..16.0).contains(&after), "{after}");
}

#[test]
fn a_database_that_is_slower_as_a_whole_does_not_bring_the_limit_down() {
    let record = play(&overload(Change::Capacity(0.3)), wide());
    let (before, after) = (limit(&record, 10, 20), limit(&record, 30, 50));
    assert!(after > 0.75 * before, "{before} to {after}");
}

#[test]
fn leaked_leases_do_not_bring_the_limit_down() {
    let record = play(&overload(Change::Leak { holders: 12, again: Some(secs(1)) }), wide());
    let (before, after) = (limit(&record, 10, 20), limit(&record, 30, 50));
    assert!(after > 0.75 * before, "{before} to {after}");
}

/// Twice X*, of callers who leave after 250 ms; their statements end with that.
fn impatient(changes: Vec<(Duration, Change)>) -> Scenario {
    let clients = Population::of(Client { patience: Duration::from_millis(250), ..Client::NAIVE });
    let kinds = vec![Kind::one_statement(Class::Normal, 1.0, Scenario::statement())];
    let plain = Scenario::plain(Profile::steady(2.0 * X), secs(60));
    Scenario { changes, clients, kinds, abandoned: Abandoned::IsCutOff, ..plain }
}

/// Statements of 200 ms on average, of very different length: half of them are cut off at any size.
#[test]
fn long_statements_that_are_cut_off_among_short_ones_do_not_bring_the_limit_down() {
    let record = play(&impatient(vec![(secs(10), Change::Capacity(0.05))]), Rules::default());
    let after = limit(&record, 40, 60);
    assert!((10.0..40.0).contains(&after), "{after}");
    let answered = record.goodput(secs(30), secs(60));
    assert!(answered > 0.8 * 55.0, "{answered} a second, and 24 at once would do 55");
}

#[test]
fn a_database_that_stood_still_gets_back_the_limit_that_it_had() {
    let frozen = vec![(secs(20), Change::Capacity(0.0)), (secs(25), Change::Capacity(1.0))];
    let record = play(&impatient(frozen), Rules::default());
    let least = record.between(secs(20), secs(26)).iter().map(|bin| bin.gauge.limit).min();
    assert!(least < Some(15), "{least:?}: what nobody waits for brings it down");
    let answered = record.goodput(secs(26), secs(28));
    assert!(answered > 0.85 * X, "{answered} of {X}");
}

/// Of statements of 250 ms on average many are cut off whatever happens: chance must not look like a database that slows, and the
/// limit must not stay where a stall has brought it.
#[test]
fn a_stall_among_long_statements_leaves_no_mark() {
    let stalled = vec![(secs(20), Change::Capacity(0.0)), (secs(25), Change::Capacity(1.0))];
    let kinds = vec![Kind::one_statement(Class::Normal, 1.0, Length::varying(Duration::from_millis(250), 1.0))];
    let record = play(&Scenario { kinds, end: secs(100), ..impatient(stalled) }, Rules::default());
    let (before, after) = (record.goodput(secs(5), secs(20)), record.goodput(secs(60), secs(100)));
    assert!(before > 25.0 && after > 0.7 * before, "{before} to {after} a second");
}

#[test]
fn more_traffic_brings_the_limit_up_and_so_do_longer_holds() {
    let lasting = |think: u64, rate: f64| {
        let length = |ms| Length::varying(Duration::from_millis(ms), 1.0);
        let kind = |kind: Kind| Kind { steps: vec![Step::Statement(length(2)), Step::Think(length(think))], ..kind };
        let plain = Scenario::plain(Profile::steady(rate), secs(20));
        let kinds = plain.kinds.into_iter().map(kind).collect();
        play(&Scenario { kinds, ..Scenario::plain(Profile::steady(rate), secs(20)) }, wide())
    };
    let base = limit(&lasting(5, 1_000.0), 10, 20);
    assert!(base < 22.0, "{base}");
    assert!(limit(&lasting(5, 4_000.0), 10, 20) > 1.8 * base);
    assert!(limit(&lasting(40, 1_000.0), 10, 20) > 1.8 * base);
}

#[test]
fn a_limit_that_is_fixed_or_only_shadowed_stays_where_it_is() {
    for sizing in [Sizing::Fixed, Sizing::Shadow] {
        let record = play(&overload(Change::Capacity(1.0)), Rules { sizing, initial_limit: 17, ..wide() });
        assert!(record.between(secs(0), secs(50)).iter().all(|bin| bin.gauge.limit == 17));
    }
}

/// Takes what comes back for what is needed: the size that the leases given back would fill, by square-root staffing.
#[derive(Debug, Default)]
struct ByWhatComesBack {
    rate: f64,
    last: Option<Instant>,
}

impl Sizer for ByWhatComesBack {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "some tens")]
    fn tick(&mut self, now: Instant, sample: &Sample) -> Target {
        let passed = self.last.map_or(0.02, |last| now.saturating_duration_since(last).as_secs_f64()).max(0.001);
        self.last = Some(now);
        self.rate += (f64::from(sample.completed) / passed - self.rate) * 0.05;
        let load = self.rate * sample.hold.as_secs_f64();
        Target { limit: (load + 2.0 * load.sqrt() + 1.0).ceil() as u32, reason: "completions" }
    }
}

/// Why suspects are outside the limit: a size that follows what comes back falls with every lease that is leaked, until
/// leaked ones take all of it and nothing comes back at all, on an idle database.
#[test]
fn a_pool_that_counts_leaked_leases_as_used_makes_its_own_outage() {
    let changes = vec![(secs(5), Change::Leak { holders: 12, again: None })];
    let load = Load::Open { profile: Profile::steady(0.3 * X), burstiness: Burstiness::Poisson };
    let scenario =
        Scenario { load, changes, machine: Machine::default(), ..Scenario::plain(Profile::steady(0.0), secs(30)) };
    let end = |suspect_after| {
        let rules = Rules { suspect_after, revoke_after: None, ..Rules::default() };
        let pool = Contender::ours_sized("", rules, || Box::<ByWhatComesBack>::default());
        let record = world::run(&scenario, &mut *pool.build(7), 7);
        record.goodput(secs(20), secs(30)) / (0.3 * X)
    };
    let (counted, outside) = (end(Rules::LONGEST), end(Rules::default().suspect_after));
    assert!(counted < 0.1, "{counted}");
    assert!(outside > 0.95, "{outside}");
}
