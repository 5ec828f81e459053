//! E6: a database that changes under load.

use std::time::Duration;

use forebay_pool_core::Rules;

use super::{CAPACITY, Findings, first_runs, phase, secs, table, timeline};
use crate::contender::{self, Contender};
use crate::database::{Contention, Machine};
use crate::lab::{Case, Lab, Measure};
use crate::load::Profile;
use crate::measure::Record;
use crate::report::{Picture, Table};
use crate::rival::Fixed;
use crate::scenario::{Change, Scenario};

pub(super) const AT: u64 = 30;
pub(super) const END: u64 = 120;
/// Best with 11 statements at once.
const CRAMPED: Contention = Contention { queueing: 0.02, crosstalk: 0.008 };

pub(super) const LAST: &str = "last 30 s, %";

struct Course {
    name: &'static str,
    changes: Vec<(Duration, Change)>,
    begins: Contention,
    /// What can be done after the change.
    then: f64,
}

/// The most that a database with this contention does with statements of 10 ms.
fn most(contention: Contention) -> f64 {
    let best = contention.best();
    100.0 * best * contention.speed(best)
}

fn courses() -> Vec<Course> {
    let wide = Machine::default().contention;
    let one = |change| vec![(secs(AT), change)];
    vec![
        Course {
            name: "best size 35 to 11",
            changes: one(Change::Contention(CRAMPED)),
            begins: wide,
            then: most(CRAMPED),
        },
        Course {
            name: "best size 11 to 35",
            changes: one(Change::Contention(wide)),
            begins: CRAMPED,
            then: most(wide),
        },
        Course { name: "capacity x 0.4", changes: one(Change::Capacity(0.4)), begins: wide, then: 0.4 * CAPACITY },
        Course { name: "capacity x 2.5", changes: one(Change::Capacity(2.5)), begins: wide, then: 2.5 * CAPACITY },
        Course {
            name: "frozen for 5 s",
            changes: vec![(secs(AT - 5), Change::Capacity(0.0)), (secs(AT), Change::Capacity(1.0))],
            begins: wide,
            then: CAPACITY,
        },
    ]
}

/// When the first second began, after the change, in which this much was done; infinite where it never was.
fn time_to(record: &Record, goal: f64) -> f64 {
    let tenths = (0..(END - AT - 1) * 10).map(|tenth| secs(AT) + Duration::from_millis(100 * tenth));
    let mut reached = tenths.filter(|from| record.goodput(*from, *from + secs(1)) >= goal);
    reached.next().map_or(f64::INFINITY, |from| (from - secs(AT)).as_secs_f64())
}

pub(super) fn shed(size: u32) -> Contender {
    Contender::new(format!("shed at {size}"), move |_| Fixed::shedding(size, 0))
}

pub(super) fn ours() -> Vec<Contender> {
    vec![
        Contender::ours("ours, defaults (ceiling 60)", Rules::default()),
        Contender::ours("ours, ceiling 160", Rules { ceiling: 160, ..Rules::default() }),
    ]
}

/// Three times what can be done before the change, and the change.
pub(super) fn scenario(begins: Contention, changes: Vec<(Duration, Change)>) -> Scenario {
    let machine = Machine { contention: begins, ..Machine::default() };
    let phases = vec![phase("last", END - 30, END)];
    Scenario { machine, changes, phases, ..Scenario::plain(Profile::steady(3.0 * most(begins)), secs(END)) }
}

/// In percent of what can be done after the change.
pub(super) fn measures<'a>(then: f64) -> Vec<Measure<'a>> {
    let share = |name, from, to| {
        Measure::new(name, 1, move |record: &Record| 100.0 * record.goodput(secs(from), secs(to)) / then)
    };
    vec![
        share("first 5 s, %", AT, AT + 5),
        share("second 10 to 20, %", AT + 10, AT + 20),
        share(LAST, END - 30, END),
        Measure::new("time to 90 %, s", 1, move |record| time_to(record, 0.9 * then)),
        Measure::new("most sessions", 0, |record| f64::from(record.most_sessions)),
    ]
}

pub(super) fn cases(scenario: &Scenario, who: &[Contender]) -> Vec<Case> {
    who.iter().map(|contender| Case::new(scenario, contender)).collect()
}

fn picture(who: &[Contender]) -> Picture {
    let shown = [
        "ours, defaults (ceiling 60)",
        "shed at 35",
        "AIMD, tuned",
        "Vegas, tuned",
        "Gradient2",
        "Envoy gradient, tuned",
    ];
    let cramped = scenario(Machine::default().contention, vec![(secs(AT), Change::Contention(CRAMPED))]);
    let runs = first_runs(&cases(&cramped, who), &shown);
    let title = "Good answers at 3 X*; from second 30 on the best size is 11 instead of 35 (seed 1)";
    let then = most(CRAMPED);
    let good = |record: &Record, from, to| 100.0 * record.goodput(from, to) / then;
    let unit = "% of what can be done after the change";
    timeline(("e6-tracking", title), unit, &runs, secs(2), good)
}

pub(super) fn run(lab: &Lab) -> (Vec<String>, Findings) {
    let method = vec![
        "Three times what can be done before the change, for 120 s; at second 30 the database changes.".to_owned(),
        "Goodput is in percent of what the best static size could do after the change.".to_owned(),
    ];
    let who = [ours(), vec![shed(35)], contender::limiters()].concat();
    let mut tables: Vec<Table> = Vec::new();
    for Course { name, changes, begins, then } in courses() {
        let cases = cases(&scenario(begins, changes), &who);
        tables.push(table(lab, &format!("e6 {name}"), &format!("{name}:"), &cases, &measures(then)));
    }
    (method, Findings { tables, pictures: vec![picture(&who)] })
}
