//! E7: a long, mild overload.

use super::{CAPACITY, Findings, first_runs, goodput, limit_between, mean_limit, percent_good, secs, table, timeline};
use crate::contender::{self, ours};
use crate::lab::{Case, Lab, Measure};
use crate::load::Profile;
use crate::report::Picture;
use crate::scenario::Scenario;

const MINUTES: u64 = 15;

pub(super) fn run(lab: &Lab) -> (Vec<String>, Findings) {
    let method = vec![format!("1.3 X* for {MINUTES} minutes, naive clients.")];
    let end = MINUTES * 60;
    let scenario = Scenario::plain(Profile::steady(1.3 * CAPACITY), secs(end));
    let who = [ours(), contender::limiters()].concat();
    let cases: Vec<Case> = who.iter().map(|contender| Case::new(&scenario, contender)).collect();
    let measures = [
        goodput("minute 1, % of X*", 0, 60),
        goodput("minute 5", 240, 300),
        goodput("minute 15", end - 60, end),
        Measure::new("limit in minute 1", 0, |record| mean_limit(record, 0, 60)),
        Measure::new("limit in minute 15", 0, |record| mean_limit(record, end - 60, end)),
    ];
    (method, Findings { tables: vec![table(lab, "e7", "", &cases, &measures)], pictures: pictures(&cases) })
}

fn pictures(cases: &[Case]) -> Vec<Picture> {
    let shown = [
        "ours, defaults (ceiling 60)",
        "ours, ceiling 160",
        "AIMD",
        "Vegas",
        "Gradient2",
        "Gradient2, tuned",
        "Envoy gradient",
        "little-loadshedder, 250 ms, 0.1",
    ];
    let runs = first_runs(cases, &shown);
    let good = ("e7-drift", "Good answers at 1.3 X* for 15 minutes (seed 1)");
    let limit = ("e7-limit", "The limit at 1.3 X* for 15 minutes, where 35 is best (seed 1)");
    vec![
        timeline(good, "% of X*", &runs, secs(15), percent_good),
        timeline(limit, "requests at once", &runs, secs(15), limit_between),
    ]
}
