//! E6: a database that becomes several times as slow, and callers who do not wait any longer for that.

use std::time::Duration;

use forebay_pool_core::Class;

use super::tracking::{AT, END, LAST, cases, measures, ours, scenario, shed};
use super::{CAPACITY, Findings, mean_limit, millis, secs, table};
use crate::client::{Client, Population};
use crate::contender::{self, Contender};
use crate::database::Machine;
use crate::lab::{Cell, Lab, Measure};
use crate::measure::{Record, share};
use crate::report::{Bars, Table};
use crate::scenario::{Abandoned, Change, Kind, Scenario};

const SLOWER: [f64; 3] = [4.0, 10.0, 20.0];
/// The sizes among which the best is looked for.
const TRIED: [u32; 9] = [1, 2, 4, 8, 12, 16, 20, 24, 35];
const IN_TIME: Duration = Duration::from_millis(250);

/// Whether the pool and the database learn how long an answer is of use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Told {
    /// Callers leave after 250 ms, and their statements end.
    Deadline,
    /// Callers wait for a second, and take what comes after 250 ms for bad.
    Nothing,
}

impl Told {
    const fn words(self) -> &'static str {
        match self {
            Self::Deadline => "callers leave after 250 ms",
            Self::Nothing => "callers wait for a second",
        }
    }

    fn scenario(self, times: f64) -> Scenario {
        let changes = vec![(secs(AT), Change::Capacity(1.0 / times))];
        let kinds = vec![Kind::one_statement(Class::Normal, 1.0, Scenario::statement())];
        let waiting = Scenario { kinds, ..scenario(Machine::default().contention, changes) };
        match self {
            Self::Nothing => waiting,
            Self::Deadline => {
                let clients = Population::of(Client { patience: IN_TIME, ..Client::NAIVE });
                Scenario { clients, abandoned: Abandoned::IsCutOff, ..waiting }
            }
        }
    }
}

/// What is left is measured by the best that a static size was found to do.
fn slowed(lab: &Lab, times: f64, told: Told) -> Table {
    let name = format!("capacity / {times}, {}", told.words());
    let scenario = told.scenario(times);
    let tried = TRIED.map(shed);
    let answers = Measure::new("", 0, |record| record.goodput(secs(END - 30), secs(END)));
    let found = lab.measure(&format!("e6 {name}, sizes"), &cases(&scenario, &tried), &[answers]);
    let found = TRIED.iter().zip(found.iter().flatten().map(Cell::mean));
    let (size, then) = found.fold((0, 0.0), |best, (size, mean)| if mean > best.1 { (*size, mean) } else { best });
    let tuned = contender::limiters().into_iter().filter(|limiter| limiter.name.contains("tuned"));
    let best = (size != 35).then(|| shed(size));
    let who: Vec<Contender> = ours().into_iter().chain(best).chain([shed(35)]).chain(tuned).collect();
    let caption = format!("{name}; the best static size is {size}, with {then:.0} answers a second:");
    let done = move |record: &Record| {
        let tally = record.all("last");
        100.0 * share(tally.good + tally.late + tally.wasted, 30) * times / CAPACITY
    };
    let mut columns = measures(then);
    columns.extend([
        Measure::new("statements done, %", 1, done),
        Measure::new("cut off, % of begun", 1, |record| {
            let tally = record.all("last");
            100.0 * share(tally.lost, tally.served)
        }),
        Measure::new("wait p50, ms", 0, |record| millis(record.all("last").wait.percentile(50.0))),
        Measure::new("limit", 0, |record| mean_limit(record, END - 30, END)),
    ]);
    table(lab, &format!("e6 {name}"), &caption, &cases(&scenario, &who), &columns)
}

fn bars(file: &'static str, told: Told, slowed: &[Table; 3]) -> Bars {
    let title = format!("A database that slows at 3 X*, and {}: good answers 60 to 90 s later", told.words());
    let bars = Bars::new(file, title, "% of what the best static size does");
    // The best size has a row of its own where it is not 35: it is the measure, and 100.
    let is_shown = |name: &str| !name.starts_with("shed at") || name == "shed at 35";
    let few = |table: &Table| table.column(LAST).into_iter().filter(|(name, _)| is_shown(name)).collect();
    SLOWER.iter().zip(slowed).fold(bars, |bars, (times, table)| bars.with(format!("{times} times"), few(table)))
}

pub(super) fn run(lab: &Lab) -> (Vec<String>, Findings) {
    let method = vec![
        "Three times what can be done before the change, for 120 s; at second 30 the database becomes slower: statements of 10 ms \
         alone take 40, 100 or 200 ms alone, and an answer still counts within 250 ms only."
            .to_owned(),
        "All requests are of one class: the twentieth of them that is critical elsewhere would be three times what a twentieth of the \
         capacity can do."
            .to_owned(),
        "What can be done is then the best that a static pool that sheds does under the same course in the last 30 s, of the sizes"
            .to_owned(),
        format!("{TRIED:?}. Statements done are in percent of all that the slowed database can do, in time or not."),
        "A second of a twentieth has some thirty answers: there the time to 90 % is partly chance.".to_owned(),
        "In the first three tables callers leave when an answer would be of no use, and their statements end with that; in the others \
         nobody tells the pool."
            .to_owned(),
    ];
    let [deadline, nothing] = [Told::Deadline, Told::Nothing].map(|told| SLOWER.map(|times| slowed(lab, times, told)));
    let pictures = vec![
        bars("e6-slower", Told::Deadline, &deadline).picture(),
        bars("e6-slower-untold", Told::Nothing, &nothing).picture(),
    ];
    (method, Findings { tables: deadline.into_iter().chain(nothing).collect(), pictures })
}
