//! E6: a database that changes under load.

use std::time::Duration;

use forebay_pool_core::Rules;

use super::{CAPACITY, Findings, first_runs, mean_limit, millis, phase, secs, table, timeline};
use crate::contender::{self, Contender};
use crate::database::{Contention, Machine};
use crate::lab::{Case, Cell, Lab, Measure};
use crate::load::Profile;
use crate::measure::{Record, share};
use crate::report::{Bars, Picture, Table};
use crate::rival::Fixed;
use crate::scenario::{Change, Scenario};

const AT: u64 = 30;
const END: u64 = 120;
/// Best with 11 statements at once.
const CRAMPED: Contention = Contention { queueing: 0.02, crosstalk: 0.008 };

const LAST: &str = "last 30 s, %";
/// The sizes among which the best for a slow database is looked for.
const SLOWER: [f64; 3] = [4.0, 10.0, 20.0];
const TRIED: [u32; 9] = [1, 2, 4, 8, 12, 16, 20, 24, 35];

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

fn shed(size: u32) -> Contender {
    Contender::new(format!("shed at {size}"), move |_| Fixed::shedding(size, 0))
}

fn ours() -> Vec<Contender> {
    vec![
        Contender::ours("ours, defaults (ceiling 60)", Rules::default()),
        Contender::ours("ours, ceiling 160", Rules { ceiling: 160, ..Rules::default() }),
    ]
}

/// Three times what can be done before the change, and the change.
fn scenario(begins: Contention, changes: Vec<(Duration, Change)>) -> Scenario {
    let machine = Machine { contention: begins, ..Machine::default() };
    let phases = vec![phase("last", END - 30, END)];
    Scenario { machine, changes, phases, ..Scenario::plain(Profile::steady(3.0 * most(begins)), secs(END)) }
}

/// In percent of what can be done after the change.
fn measures<'a>(then: f64) -> Vec<Measure<'a>> {
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

fn cases(scenario: &Scenario, who: &[Contender]) -> Vec<Case> {
    who.iter().map(|contender| Case::new(scenario, contender)).collect()
}

/// A database that becomes so many times as slow: what is left is the best that a static size was found to do.
fn slowed(lab: &Lab, times: f64) -> Table {
    let name = format!("capacity / {times}");
    let scenario = scenario(Machine::default().contention, vec![(secs(AT), Change::Capacity(1.0 / times))]);
    let tried = TRIED.map(shed);
    let answers = Measure::new("", 0, |record| record.goodput(secs(END - 30), secs(END)));
    let found = lab.measure(&format!("e6 {name}, sizes"), &cases(&scenario, &tried), &[answers]);
    let found = TRIED.iter().zip(found.iter().flatten().map(Cell::mean));
    let (size, then) = found.fold((0, 0.0), |best, (size, mean)| if mean > best.1 { (*size, mean) } else { best });
    let tuned = contender::limiters().into_iter().filter(|limiter| limiter.name.contains("tuned"));
    let best = (size != 35).then(|| shed(size));
    let who: Vec<Contender> = ours().into_iter().chain(best).chain([shed(35)]).chain(tuned).collect();
    let caption = format!("{name}, where the best static size is {size}, with {then:.0} answers a second:");
    let done = move |record: &Record| {
        let tally = record.all("last");
        100.0 * share(tally.good + tally.late + tally.wasted, 30) * times / CAPACITY
    };
    let mut columns = measures(then);
    columns.extend([
        Measure::new("statements done, %", 1, done),
        Measure::new("wait p50, ms", 0, |record| millis(record.all("last").wait.percentile(50.0))),
        Measure::new("limit", 0, |record| mean_limit(record, END - 30, END)),
    ]);
    table(lab, &format!("e6 {name}"), &caption, &cases(&scenario, &who), &columns)
}

fn pictures(who: &[Contender], slowed: &[Table; 3]) -> Vec<Picture> {
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
    let over_time = timeline(("e6-tracking", title), unit, &runs, secs(2), good);
    let title = "A database that slows at 3 X*: good answers in the last 30 of 90 s after it";
    let bars = Bars::new("e6-slower", title, "% of what the best static size does");
    // The best size has a row of its own where it is not 35: it is the measure, and 100.
    let few = |table: &Table| table.column(LAST).into_iter().filter(|(name, _)| shed_is_shown(name)).collect();
    let bars =
        SLOWER.iter().zip(slowed).fold(bars, |bars, (times, table)| bars.with(format!("{times} times"), few(table)));
    vec![over_time, bars.picture()]
}

fn shed_is_shown(name: &str) -> bool {
    !name.starts_with("shed at") || name == "shed at 35"
}

pub(super) fn run(lab: &Lab) -> (Vec<String>, Findings) {
    let method = vec![
        "Three times what can be done before the change, for 120 s; at second 30 the database changes.".to_owned(),
        "Goodput is in percent of what the best static size could do after the change.".to_owned(),
        "Where the capacity is divided, statements of 10 ms alone take up to 200 ms alone, and an answer still counts within \
         250 ms only: what can be done is then the best that a static pool that sheds does under the same course in the last 30 s, \
         of the sizes"
            .to_owned(),
        format!("{TRIED:?}. Statements done are in percent of all that the slowed database can do, in time or not."),
        "A second of a twentieth has some thirty answers: there the time to 90 % is partly chance.".to_owned(),
    ];
    let who = [ours(), vec![shed(35)], contender::limiters()].concat();
    let mut tables: Vec<Table> = Vec::new();
    for Course { name, changes, begins, then } in courses() {
        let cases = cases(&scenario(begins, changes), &who);
        tables.push(table(lab, &format!("e6 {name}"), &format!("{name}:"), &cases, &measures(then)));
    }
    let slowed = SLOWER.map(|times| slowed(lab, times));
    let pictures = pictures(&who, &slowed);
    tables.extend(slowed);
    (method, Findings { tables, pictures })
}
