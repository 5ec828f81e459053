//! E2: a spike of many times the capacity.

use std::time::Duration;

use super::{CAPACITY, Findings, critical_success, goodput, mean_limit, millis, or_never, phase, secs, table};
use crate::contender::{Contender, all, ours, sheds};
use crate::lab::{Case, Lab, Measure};
use crate::load::{Burstiness, Profile};
use crate::measure::{Record, share};
use crate::report::{Chart, Table};
use crate::scenario::{Load, Scenario};

const BEGINS: u64 = 10;
const ENDS: u64 = 40;

/// 0.6 X* with thirty seconds of so many times X* within.
pub(super) fn scenario(times: f64) -> Scenario {
    let base = 0.6 * CAPACITY;
    let profile = Profile::steady(base).until(secs(BEGINS)).then(times * CAPACITY).until(secs(ENDS)).then(base);
    let phases = vec![phase("before", 0, BEGINS), phase("spike", BEGINS, ENDS), phase("after", ENDS, ENDS + 30)];
    Scenario { phases, ..Scenario::plain(profile, secs(ENDS + 30)) }
}

pub(super) fn measures<'a>() -> Vec<Measure<'a>> {
    vec![
        goodput("goodput, % of X*", BEGINS, ENDS),
        goodput("first second", BEGINS, BEGINS + 1),
        Measure::new("wait p50, ms", 1, |record| millis(record.all("spike").wait.percentile(50.0))),
        Measure::new("wait p99, ms", 0, |record| millis(record.all("spike").wait.percentile(99.0))),
        Measure::new("answer p99, ms", 0, |record| millis(record.all("spike").latency.percentile(99.0))),
        Measure::new("critical good, %", 1, |record| critical_success(record, "spike")),
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
    for times in [1.0, 1.5, 2.0, 5.0, 10.0] {
        let scenario = scenario(times);
        let who: Vec<Contender> = [ours(), sheds()].concat();
        factors.extend(
            who.iter()
                .map(|contender| Case::new(&scenario, contender).named(format!("{times} X*, {}", contender.name))),
        );
    }
    let factors = table(lab, "e2 factors", "Smaller spikes:", &factors, &measures());
    let bursts = bursts(lab);
    (method, Findings { tables: vec![main, factors, bursts], charts: vec![chart(&cases)] })
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

fn chart(cases: &[Case]) -> Chart {
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
    let line = |case: &Case| {
        let record = case.play(1);
        let points = (0..(ENDS + 30) * 2).map(|half| {
            let from = Duration::from_millis(500 * half);
            (from.as_secs_f64(), 100.0 * record.goodput(from, from + Duration::from_millis(500)) / CAPACITY)
        });
        (case.name.clone(), points.collect())
    };
    let lines = cases.iter().filter(|case| shown.contains(&case.name.as_str())).map(line).collect();
    Chart {
        file: "e2-spike".to_owned(),
        title: "Good answers in a spike of 20 X* from second 10 to 40 (seed 1)".to_owned(),
        axes: ["seconds", "% of X*"],
        lines,
    }
}
