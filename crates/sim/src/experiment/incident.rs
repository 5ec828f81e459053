//! E3: the incident: a few holders keep most of a fixed pool, and a spike comes.

use std::time::Duration;

use forebay_pool_core::Rules;

use super::{CAPACITY, Findings, first_runs, goodput, or_never, percent_good, phase, secs, table, timeline};
use crate::client::{Client, Population};
use crate::contender::Contender;
use crate::lab::{Case, Lab, Measure};
use crate::load::Profile;
use crate::report::Picture;
use crate::rival::Fixed;
use crate::scenario::{Abandoned, Change, Scenario};

const SIZE: u32 = 20;
const LEAKED: u32 = 12;
const BEGINS: u64 = 10;
const ENDS: u64 = 70;
const END: u64 = 590;

fn scenario(attempts: u32) -> Scenario {
    let base = 0.4 * CAPACITY;
    let profile = Profile::steady(base).until(secs(BEGINS)).then(1.2 * CAPACITY).until(secs(ENDS)).then(base);
    Scenario {
        changes: vec![(secs(5), Change::Leak { holders: LEAKED, again: None })],
        clients: Population::of(Client { attempts, ..Client::NAIVE }),
        phases: vec![phase("spike", BEGINS, ENDS), phase("after", ENDS, END)],
        ..Scenario::plain(profile, secs(END))
    }
}

fn without_leak_afterwards(scenario: Scenario) -> Scenario {
    let mut changes = scenario.changes.clone();
    changes.push((secs(ENDS), Change::LeaksEnd));
    Scenario { changes, ..scenario }
}

fn coming_back(scenario: Scenario) -> Scenario {
    let leak = Change::Leak { holders: LEAKED, again: Some(Duration::from_secs(1)) };
    Scenario { changes: vec![(secs(5), leak)], ..scenario }
}

pub(super) fn run(lab: &Lab) -> (Vec<String>, Findings) {
    let method = vec![
        format!(
            "0.4 X*, at second 5 {LEAKED} holders take a connection and keep it, 1.2 X* from second 10 to 70, then 0.4 X* for 520 s."
        ),
        "Pools of 20; ours also with its default ceiling of 60. A user is lost who has no answer after 10 s."
            .to_owned(),
    ];
    let queue = Contender::new("queue", |_| Fixed::unbounded(SIZE));
    let shed = Contender::new("shed", |_| Fixed::shedding(SIZE, 0));
    let twenty = Rules { ceiling: SIZE, ..Rules::default() };
    let watched = Contender::ours("ours", twenty.clone());
    let unwatched = Contender::ours("ours", Rules { revoke_after: None, ..twenty });
    let shipped = Contender::ours("ours", Rules::default());
    let (one, three) = (scenario(1), scenario(3));
    let leaving = Scenario { abandoned: Abandoned::LeavesQueue, ..three.clone() };
    let cases = [
        Case::new(&one, &queue).named("queue, no retries"),
        Case::new(&three, &queue).named("queue, 3 attempts"),
        Case::new(&leaving, &queue).named("queue, 3 attempts, clients that leave are noticed"),
        Case::new(&without_leak_afterwards(three.clone()), &queue)
            .named("queue, 3 attempts, holders give back at second 70"),
        Case::new(&three, &shed).named("shed, 3 attempts"),
        Case::new(&three, &unwatched).named("ours, ceiling 20, takes nothing back"),
        Case::new(&three, &watched).named("ours, ceiling 20"),
        Case::new(&three, &shipped).named("ours, defaults (ceiling 60)"),
        Case::new(&coming_back(three.clone()), &watched).named("ours, ceiling 20, holders come back after 1 s"),
        Case::new(&coming_back(three), &shipped).named("ours, defaults, holders come back after 1 s"),
    ];
    let measures = [
        goodput("goodput in the spike, % of X*", BEGINS, ENDS),
        Measure::new("users lost in the spike, %", 1, |record| 100.0 * record.all("spike").hit_share()),
        Measure::new("users lost afterwards, %", 1, |record| 100.0 * record.all("after").hit_share()),
        Measure::new("recovery, s", 1, |record| or_never(record.recovery(secs(ENDS)))),
        Measure::new("most sessions", 0, |record| f64::from(record.most_sessions)),
    ];
    (method, Findings { tables: vec![table(lab, "e3", "", &cases, &measures)], pictures: vec![picture(&cases)] })
}

/// Some of them over time.
fn picture(cases: &[Case]) -> Picture {
    let shown = [
        "ours, defaults (ceiling 60)",
        "ours, ceiling 20",
        "ours, ceiling 20, takes nothing back",
        "shed, 3 attempts",
        "queue, no retries",
        "queue, 3 attempts",
    ];
    let title = "Good answers in the incident: leaks from second 5, 1.2 X* from 10 to 70, then 0.4 X* (seed 1)";
    timeline(("e3-incident", title), "% of X*", &first_runs(cases, &shown), secs(5), percent_good)
}
