use std::time::Duration;

use forebay_pool_core::{Class, Rules};

use crate::chance::Length;
use crate::client::{Client, Population};
use crate::database::{Contention, Machine};
use crate::experiment::steady::workloads;
use crate::experiment::{CAPACITY, goodput, millis, onset, phase, secs};
use crate::lab::Measure;
use crate::load::{Burstiness, Profile};
use crate::measure::{Record, share};
use crate::scenario::{Abandoned, Change, Kind, Load, Scenario, Step};

/// Something that happens to the pool, and what of it counts.
pub(super) struct Judge {
    pub(super) name: &'static str,
    pub(super) rules: Rules,
    pub(super) scenario: Scenario,
    /// In points; more is better.
    pub(super) figures: Vec<Measure<'static>>,
}

impl Judge {
    fn new(name: &'static str, scenario: Scenario, figures: Vec<Measure<'static>>) -> Self {
        Self { name, rules: Rules::default(), scenario, figures }
    }

    fn up_to(self, ceiling: u32) -> Self {
        Self { rules: Rules { ceiling, ..Rules::default() }, ..self }
    }
}

/// Where the best size is 11, not 35.
const CRAMPED: Contention = Contention { queueing: 0.02, crosstalk: 0.008 };
/// Where statements hardly hinder each other.
const ROOMY: Contention = Contention { queueing: 0.001, crosstalk: 0.000_02 };
const IN_TIME: Duration = Duration::from_millis(250);

/// The experiments, shortened to what the sizer decides in them.
pub(super) fn judges() -> Vec<Judge> {
    [spikes(), incidents(), kinds_of_work(), changes(), slower(), rows(), reports()].into_iter().flatten().collect()
}

fn good(name: &'static str, from: u64, to: u64, of: f64) -> Measure<'static> {
    Measure::new(name, 1, move |record: &Record| 100.0 * record.goodput(secs(from), secs(to)) / of)
}

fn served(record: &Record) -> f64 {
    let all = record.all("all");
    100.0 * share(all.good, all.requests)
}

fn waits(phase: &'static str) -> Measure<'static> {
    Measure::new("p99 wait", 1, move |record| -millis(record.all(phase).wait.percentile(99.0)))
}

fn most(contention: Contention) -> f64 {
    let best = contention.best();
    100.0 * best * contention.speed(best)
}

/// E2, and traffic that comes and goes.
fn spikes() -> Vec<Judge> {
    let spike = |times: f64, lasts: u64| {
        let base = 0.6 * CAPACITY;
        let profile = Profile::steady(base).until(secs(3)).then(times * CAPACITY).until(secs(3 + lasts)).then(base);
        let phases = vec![phase("spike", 3, 3 + lasts)];
        Scenario { phases, ..Scenario::plain(profile, secs(6 + lasts)) }
    };
    let figures = |to| vec![goodput("goodput", 3, to), goodput("first second", 3, 4), waits("spike")];
    let half = Duration::from_millis(500);
    let burstiness = Burstiness::Switched { busy: half, calm: 3 * half, calm_rate: 0.2 };
    let load = Load::Open { profile: Profile::steady(0.7 * CAPACITY), burstiness };
    let bursts = Scenario { load, ..Scenario::plain(Profile::steady(0.0), secs(40)) };
    let tides = (1..12u32).fold(Profile::steady(50.0), |profile, turn| {
        profile.until(secs(4) * turn).then(if turn % 2 == 0 { 50.0 } else { 900.0 })
    });
    let served = || vec![Measure::new("good answers", 1, served), waits("all")];
    vec![
        Judge::new("spike of 1 X*", spike(1.0, 15), figures(18)),
        Judge::new("spike of 5 X*", spike(5.0, 12), figures(15)).up_to(160),
        Judge::new("spike of 20 X*", spike(20.0, 5), figures(8)),
        Judge::new("bursts", bursts, served()),
        Judge::new("tides", Scenario::plain(tides, secs(48)), served()),
    ]
}

/// E3.
fn incidents() -> Vec<Judge> {
    let base = 0.4 * CAPACITY;
    let profile = Profile::steady(base).until(secs(10)).then(1.2 * CAPACITY).until(secs(40)).then(base);
    let leak = Change::Leak { holders: 12, again: Some(Duration::from_secs(1)) };
    let incident = Scenario { changes: vec![(secs(5), leak)], ..Scenario::plain(profile, secs(45)) };
    let judge = |name, ceiling| Judge::new(name, incident.clone(), vec![goodput("goodput", 10, 40)]).up_to(ceiling);
    let onsets = ["onset", "onset, slow openings", "onset, pause", "onset, slow openings and pause"];
    let quiet = |record: &Record| if onset::worst_minute(record) > onset::ALERT { 0.0 } else { 100.0 };
    let onsets = onsets.into_iter().zip(onset::cases()).map(|(name, case)| {
        let worst = Measure::new("worst minute", 1, |record| -onset::worst_minute(record));
        Judge::new(name, case.scenario, vec![Measure::new("no alert", 0, quiet), worst])
    });
    [judge("incident", 60), judge("incident, ceiling 20", 20)].into_iter().chain(onsets).collect()
}

/// E5: the seven kinds of work of e1, with about what the best size does of each in a second.
fn kinds_of_work() -> Vec<Judge> {
    let bests = [1_330.0, 1_330.0, 600.0, 9_000.0, 3_300.0, 500.0, 8_500.0];
    let judge = |(workload, best): (crate::experiment::steady::Workload, f64)| {
        // What takes the most requests is played for a shorter time.
        let (times, end) = if best > 5_000.0 { (1.3, 14) } else { (2.0, 36) };
        let load = Load::Open { profile: Profile::steady(times * best), burstiness: Burstiness::Poisson };
        let clients = Population::of(Client { attempts: 1, ..Client::NAIVE });
        let figures = vec![good("at first", 2, end / 2, best), good("later", end / 2, end, best)];
        Judge::new(workload.name, Scenario { clients, ..workload.in_scenario(load, secs(end)) }, figures).up_to(160)
    };
    workloads().into_iter().zip(bests).map(judge).collect()
}

/// So many times what can be done before the database changes, for 60 s.
fn changing(begins: Contention, times: f64, changes: Vec<(Duration, Change)>) -> Scenario {
    let machine = Machine { contention: begins, ..Machine::default() };
    Scenario { machine, changes, ..Scenario::plain(Profile::steady(times * most(begins)), secs(60)) }
}

/// From the change on.
fn follows(at: u64, of: f64) -> Vec<Measure<'static>> {
    vec![
        good("first 5 s", at, at + 5, of),
        good("second 10 to 20", at + 10, at + 20, of),
        good("later", at + 20, 60, of),
    ]
}

fn frozen() -> Vec<(Duration, Change)> {
    vec![(secs(15), Change::Capacity(0.0)), (secs(20), Change::Capacity(1.0))]
}

/// E6, tracking.
fn changes() -> Vec<Judge> {
    let light = Machine::default().contention;
    let one = |change| vec![(secs(20), change)];
    let judge = |name, begins, times, changes, then| {
        Judge::new(name, changing(begins, times, changes), follows(20, then)).up_to(160)
    };
    vec![
        judge("best size 35 to 11", light, 2.0, one(Change::Contention(CRAMPED)), most(CRAMPED)),
        judge("best size 11 to 35", CRAMPED, 3.0, one(Change::Contention(light)), most(light)),
        judge("capacity x 0.4", light, 2.0, one(Change::Capacity(0.4)), 0.4 * CAPACITY),
        judge("capacity x 2.5", light, 3.0, one(Change::Capacity(2.5)), 2.5 * CAPACITY),
        judge("frozen for 5 s", light, 2.0, frozen(), CAPACITY),
    ]
}

/// Callers leave after 250 ms, and their statements end.
fn impatient(scenario: Scenario, length: Length) -> Scenario {
    let clients = Population::of(Client { patience: IN_TIME, ..Client::NAIVE });
    Scenario { clients, abandoned: Abandoned::IsCutOff, ..of_one_class(scenario, length) }
}

fn of_one_class(scenario: Scenario, length: Length) -> Scenario {
    Scenario { kinds: vec![Kind::one_statement(Class::Normal, 1.0, length)], ..scenario }
}

/// E6, a database that slows, with about what the best size does then; and one that is fast again.
fn slower() -> Vec<Judge> {
    let light = Machine::default().contention;
    let slow = |factor| changing(light, 2.0, vec![(secs(20), Change::Capacity(factor))]);
    let told = |scenario| impatient(scenario, Scenario::statement());
    let untold = |scenario| of_one_class(scenario, Scenario::statement());
    let later = |of| vec![good("second 10 to 20", 30, 40, of), good("later", 40, 60, of)];
    let stalls = || vec![(secs(10), Change::Capacity(0.05)), (secs(20), Change::Capacity(1.0))];
    let long = Length::varying(Duration::from_millis(250), 1.0);
    let few = changing(light, 0.05, frozen());
    vec![
        Judge::new("4 times slower", told(slow(0.25)), later(325.0)),
        Judge::new("10 times slower", told(slow(0.1)), later(122.0)),
        Judge::new("20 times slower", told(slow(0.05)), later(54.0)),
        Judge::new("4 times slower, untold", untold(slow(0.25)), later(325.0)),
        Judge::new("10 times slower, untold", untold(slow(0.1)), later(122.0)),
        Judge::new("frozen, told", told(changing(light, 2.0, frozen())), follows(20, CAPACITY)),
        Judge::new("slow for 10 s, told", told(changing(light, 2.0, stalls())), follows(20, CAPACITY)),
        Judge::new("slow for 10 s, 0.6 X*, told", told(changing(light, 0.6, stalls())), follows(20, 0.6 * CAPACITY)),
        Judge::new("frozen, long statements, told", impatient(few, long), follows(20, 50.0)),
    ]
}

/// One row that this share of all requests wants, and one that is all that there is to do.
fn rows() -> Vec<Judge> {
    let ms = |ms: f64| Length::varying(Duration::from_secs_f64(ms / 1_000.0), 1.0);
    let kind = |weight, steps: &[Step]| Kind { class: Class::Normal, weight, slo: IN_TIME, steps: steps.to_vec() };
    let wanted = [Step::Statement(ms(4.0)), Step::HotRow(ms(1.5))];
    let scenario = |kinds, rate| Scenario {
        kinds,
        clients: Population::of(Client { attempts: 1, ..Client::NAIVE }),
        ..Scenario::plain(Profile::steady(rate), secs(30))
    };
    let beside_reads = vec![kind(0.4, &[Step::Statement(ms(10.0))]), kind(0.6, &wanted)];
    let nothing_else = vec![kind(1.0, &[Step::HotRow(ms(10.0))])];
    let told = impatient(scenario(Vec::new(), 300.0), ms(1.0));
    let told = Scenario { kinds: nothing_else.clone(), ..told };
    let figure = |of| vec![good("goodput", 3, 30, of)];
    vec![
        Judge::new("a row beside reads", scenario(beside_reads, 2.0 * CAPACITY), figure(860.0)).up_to(160),
        Judge::new("one row", scenario(nothing_else, 300.0), figure(100.0)),
        Judge::new("one row, told", told, figure(100.0)),
    ]
}

/// Reports of 40 s come until they have all places, beside short statements, on a database that they hardly hinder.
fn reports() -> Vec<Judge> {
    let report = Length::varying(Duration::from_secs(40), 0.1);
    let kinds = vec![
        Kind { slo: secs(300), ..Kind::one_statement(Class::Normal, 1.0, report) },
        Kind::one_statement(Class::Normal, 600.0, Scenario::statement()),
    ];
    let machine = Machine { contention: ROOMY, ..Machine::default() };
    let clients = Population::of(Client { attempts: 1, patience: secs(300), ..Client::NAIVE });
    let plain = Scenario::plain(Profile::steady(700.0), secs(60));
    let scenario = Scenario { kinds, machine, clients, ..plain };
    let figures = || vec![good("at first", 22, 40, 700.0), good("later", 40, 60, 700.0)];
    vec![
        Judge::new("reports", scenario.clone(), figures()),
        Judge::new("reports, frozen", Scenario { changes: frozen(), ..scenario }, figures()),
    ]
}
