//! E2: a spike of many times the capacity.

use std::time::Duration;

use super::{
    CAPACITY, Findings, critical_success, first_runs, goodput, mean, mean_limit, millis, or_never, percent_good, phase,
    secs, table, timeline,
};
use crate::contender::{Contender, all, ours, sheds};
use crate::lab::{Case, Lab, Measure};
use crate::load::{Burstiness, Profile};
use crate::measure::{Record, share};
use crate::report::{Chart, Picture, Scale, Table};
use crate::scenario::{Load, Scenario};

const BEGINS: u64 = 10;
const ENDS: u64 = 40;
/// Goodput in the spike, as a column.
pub(super) const GOODPUT: &str = "goodput, % of X*";
const CRITICAL: &str = "critical good, %";
const SMALLER: [f64; 5] = [1.0, 1.5, 2.0, 5.0, 10.0];
/// Who plays the smaller spikes besides ours and pools that shed.
const OTHERS: [&str; 4] = ["queue, 10, 30 s (sqlx's defaults)", "Gradient2", "Vegas", "CoDel + LIFO, 100"];

/// 0.6 X* with thirty seconds of so many times X* within.
pub(super) fn scenario(times: f64) -> Scenario {
    let base = 0.6 * CAPACITY;
    let profile = Profile::steady(base).until(secs(BEGINS)).then(times * CAPACITY).until(secs(ENDS)).then(base);
    let phases = vec![phase("before", 0, BEGINS), phase("spike", BEGINS, ENDS), phase("after", ENDS, ENDS + 30)];
    Scenario { phases, ..Scenario::plain(profile, secs(ENDS + 30)) }
}

pub(super) fn measures<'a>() -> Vec<Measure<'a>> {
    vec![
        goodput(GOODPUT, BEGINS, ENDS),
        goodput("first second", BEGINS, BEGINS + 1),
        Measure::new("wait p50, ms", 1, |record| millis(record.all("spike").wait.percentile(50.0))),
        Measure::new("wait p99, ms", 0, |record| millis(record.all("spike").wait.percentile(99.0))),
        Measure::new("answer p99, ms", 0, |record| millis(record.all("spike").latency.percentile(99.0))),
        Measure::new(CRITICAL, 1, |record| critical_success(record, "spike")),
        Measure::new("mean limit", 0, |record| mean_limit(record, BEGINS, ENDS)),
        Measure::new("recovery, s", 1, |record| or_never(record.recovery(secs(ENDS)))),
        Measure::new("good afterwards, %", 1, |record| 100.0 * served_afterwards(record)),
    ]
}

fn served_afterwards(record: &Record) -> f64 {
    let after = record.all("after");
    share(after.good, after.requests)
}

pub(super) fn run(lab: &Lab) -> (Vec<String>, Findings) {
    let method = vec![
        "0.6 X* for 10 s, 20 X* for 30 s, 0.6 X* for 30 s; 5 % of the requests are critical, so that these alone are X*."
            .to_owned(),
        "Naive clients: they wait a second for an answer and send up to two times more, 100 ms after each failure.".to_owned(),
        "An answer is good within 250 ms after its attempt was sent. Limiters stand before 100 connections.".to_owned(),
        "Recovery is when the first second began in which 95 % of the new requests had a good answer.".to_owned(),
    ];
    let twenty = scenario(20.0);
    let cases: Vec<Case> = all().iter().map(|contender| Case::new(&twenty, contender)).collect();
    let main = table(lab, "e2 20x", "20 X*:", &cases, &measures());
    let mut factors = Vec::new();
    let others = all().into_iter().filter(|one| OTHERS.contains(&one.name.as_str()));
    let who: Vec<Contender> = [ours(), sheds()].concat().into_iter().chain(others).collect();
    for times in SMALLER {
        let scenario = scenario(times);
        factors.extend(
            who.iter()
                .map(|contender| Case::new(&scenario, contender).named(format!("{times} X*, {}", contender.name))),
        );
    }
    let factors = table(lab, "e2 factors", "Smaller spikes:", &factors, &measures());
    let bursts = bursts(lab);
    let pictures = pictures(&cases, [&main, &factors]);
    (method, Findings { tables: vec![main, factors, bursts], pictures })
}

/// Traffic that the database can do on average and not in its bursts.
fn bursts(lab: &Lab) -> Table {
    let half = Duration::from_millis(500);
    let load = Load::Open {
        profile: Profile::steady(0.7 * CAPACITY),
        burstiness: Burstiness::Switched { busy: half, calm: 3 * half, calm_rate: 0.2 },
    };
    let scenario = Scenario { load, ..Scenario::plain(Profile::steady(0.0), secs(60)) };
    let cases: Vec<Case> = all().iter().map(|contender| Case::new(&scenario, contender)).collect();
    let measures = [
        Measure::new("requests with a good answer, %", 1, |record| {
            let all = record.all("all");
            100.0 * share(all.good, all.requests)
        }),
        Measure::new("critical good, %", 1, |record| critical_success(record, "all")),
        Measure::new("wait p99, ms", 0, |record| millis(record.all("all").wait.percentile(99.0))),
        Measure::new("answer p99, ms", 0, |record| millis(record.all("all").latency.percentile(99.0))),
        Measure::new("mean limit", 0, |record| mean_limit(record, 0, 60)),
    ];
    let caption = "Bursts: 0.7 X* on average for 60 s, in turns 2.4 X* for about 0.5 s and 0.14 X* for about 1.5 s:";
    table(lab, "e2 bursts", caption, &cases, &measures)
}

/// Over time, and by the spike's size.
fn pictures(cases: &[Case], [main, factors]: [&Table; 2]) -> Vec<Picture> {
    let shown = [
        "ours, defaults (ceiling 60)",
        "shed at 35",
        "queue, 10, 30 s (sqlx's defaults)",
        "AIMD",
        "Vegas",
        "Gradient2",
        "Envoy gradient",
        "CoDel + LIFO, 100",
    ];
    let title = "Good answers in a spike of 20 X* from second 10 to 40 (seed 1)";
    let over_time = timeline(("e2-spike", title), "% of X*", &first_runs(cases, &shown), secs(1), percent_good);
    let by_size = |file, title: &str, unit, column| {
        let of = |table: &Table, prefix: &str, name: &str| {
            let found = table.column_under(prefix, column).into_iter().find(|(row, _)| row == name);
            found.map_or(0.0, |(_, values)| mean(&values))
        };
        let line = |name: &str| {
            let mut points: Vec<_> = SMALLER.map(|times| (times, of(factors, &format!("{times} X*, "), name))).into();
            points.push((20.0, of(main, "", name)));
            (name.to_owned(), points)
        };
        let lines = ["ours, defaults (ceiling 60)", "shed at 35"].into_iter().chain(OTHERS).map(line).collect();
        let axes = ["spike, in multiples of X* (logarithmic)", unit];
        Chart { file, title: title.to_owned(), axes, scale: Scale::Log, lines }.picture()
    };
    let good = "Good answers in spikes of 1 to 20 X* for 30 s";
    let critical = "Critical requests with a good answer in spikes of 1 to 20 X*, 5 % of which are critical";
    vec![
        over_time,
        by_size("e2-factors", good, "% of X*", GOODPUT),
        by_size("e2-critical", critical, "% of critical requests", CRITICAL),
    ]
}
