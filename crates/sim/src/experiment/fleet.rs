//! E10: several instances on one database.

use std::time::Duration;

use forebay_pool_core::{Fixed as FixedLimit, Knee, Rules};

use super::spike::{GOODPUT, measures, scenario};
use super::{CAPACITY, Findings, secs, table};
use crate::contender::Contender;
use crate::database::Machine;
use crate::fleet::Fleet;
use crate::lab::{Case, Lab, Measure};
use crate::load::Profile;
use crate::measure::Record;
use crate::ours::Ours;
use crate::pool::Pool;
use crate::report::Bars;
use crate::rival::Fixed;
use crate::scenario::Scenario;

/// How many connections the server takes, as Postgres by default without those for its superuser.
const ROOM: u32 = 97;
const FIRST: u32 = 3;
const LATER: u32 = 9;
/// When the rest starts, in the midst of the spike.
const JOIN: u64 = 20;

/// Three instances, and six more from [`JOIN`] on.
fn growing<P: Pool + 'static>(name: &str, build: impl Fn(u64) -> P + Send + Sync + 'static) -> Contender {
    Contender::new(name, move |seed| {
        (0..LATER).fold(Fleet::new(), |fleet, member| {
            let starts = if member < FIRST { Duration::ZERO } else { secs(JOIN) };
            fleet.with(Box::new(build(seed_of(seed, member))), starts, 1.0)
        })
    })
}

/// Three instances, of which the first gets most.
fn uneven<P: Pool + 'static>(name: &str, build: impl Fn(u64) -> P + Send + Sync + 'static) -> Contender {
    Contender::new(name, move |seed| {
        [8.0, 1.0, 1.0].into_iter().zip(0..).fold(Fleet::new(), |fleet, (weight, member)| {
            fleet.with(Box::new(build(seed_of(seed, member))), Duration::ZERO, weight)
        })
    })
}

/// No two members draw the same numbers.
fn seed_of(seed: u64, member: u32) -> u64 {
    seed * u64::from(LATER) + u64::from(member)
}

fn ours(ceiling: u32) -> impl Fn(u64) -> Ours + Send + Sync {
    move |seed| Ours::new(Rules { ceiling, ..Rules::default() }, Box::new(Knee::default()), seed)
}

/// With a limit that never moves.
fn still(limit: u32) -> impl Fn(u64) -> Ours + Send + Sync {
    let rules = Rules { initial_limit: limit, ceiling: limit + (limit / 10).max(1), ..Rules::default() };
    move |seed| Ours::new(rules.clone(), Box::new(FixedLimit), seed)
}

fn most_open(record: &Record, from: u64, to: u64) -> f64 {
    record.between(secs(from), secs(to)).iter().map(|bin| f64::from(bin.gauge.open)).fold(0.0, f64::max)
}

fn on_a_full_server(scenario: Scenario) -> Scenario {
    Scenario { machine: Machine { max_sessions: ROOM, ..Machine::default() }, ..scenario }
}

pub(super) fn run(lab: &Lab) -> (Vec<String>, Findings) {
    let method = vec![
        format!(
            "The spike of E2 with 20 X*, on a server with room for {ROOM} connections; each attempt goes to any of the instances."
        ),
        format!(
            "Growing: {FIRST} instances, and {LATER} from second {JOIN} on, in the midst of the spike. A share is the room divided by"
        ),
        "as many as there can be. Uneven: three instances, of which one gets eight tenths of the attempts.".to_owned(),
        "Rivals hold their connections from the start and are not turned away; theirs fit.".to_owned(),
    ];
    let share = ROOM / LATER;
    let spike = on_a_full_server(scenario(20.0));
    let who = [
        Contender::ours("one instance of ours, ceiling 97", Rules { ceiling: ROOM, ..Rules::default() }),
        growing("growing: ours, a share each (10)", ours(share)),
        growing("growing: ours, ceiling 60 each", ours(60)),
        growing("growing: ours, limit 4 each", still(4)),
        growing("growing: queue, 10 each, 30 s", |_| Fixed::unbounded(10)),
        growing("growing: shed at 10 each", |_| Fixed::shedding(10, 0)),
        growing("growing: shed at 4 each", |_| Fixed::shedding(4, 0)),
    ];
    let cases: Vec<Case> = who.iter().map(|contender| Case::new(&spike, contender)).collect();
    let mut columns = measures();
    columns.push(Measure::new("most connections", 0, |record| most_open(record, 0, 70)));
    let spikes = table(lab, "e10 spike", "20 X*, and three instances become nine:", &cases, &columns);
    let profile = Profile::steady(0.8 * CAPACITY);
    let calm = on_a_full_server(Scenario::plain(profile, secs(40)));
    let who = [
        Contender::ours("one instance of ours, ceiling 97", Rules { ceiling: ROOM, ..Rules::default() }),
        uneven("uneven: ours, a third each (32)", ours(ROOM / 3)),
        uneven("uneven: ours, a ninth each (10)", ours(share)),
        uneven("uneven: queue, 12 each, 30 s", |_| Fixed::unbounded(12)),
        uneven("uneven: shed at 12 each", |_| Fixed::shedding(12, 0)),
    ];
    let cases: Vec<Case> = who.iter().map(|contender| Case::new(&calm, contender)).collect();
    let columns = [
        super::goodput("goodput, % of X*", 10, 40),
        Measure::new("critical good, %", 1, |record| super::critical_success(record, "all")),
        Measure::new("wait p99, ms", 0, |record| super::millis(record.all("all").wait.percentile(99.0))),
        Measure::new("most connections", 0, |record| most_open(record, 0, 40)),
    ];
    let calm = table(lab, "e10 uneven", "0.8 X*, unevenly spread:", &cases, &columns);
    let title = "A fleet in a spike of 20 X*; three instances become nine in its midst";
    let bars = Bars::new("e10-fleet", title, "%")
        .with("goodput in the spike, % of X*", spikes.column(GOODPUT))
        .with("good after the spike, % of requests", spikes.column("good afterwards, %"));
    (method, Findings { tables: vec![spikes, calm], pictures: vec![bars.picture()] })
}
