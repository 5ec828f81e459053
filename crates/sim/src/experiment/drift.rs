//! E7: a long, mild overload.

use super::{CAPACITY, Findings, goodput, mean_limit, secs, table};
use crate::contender::{self, ours};
use crate::lab::{Case, Lab, Measure};
use crate::load::Profile;
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
    (method, Findings { tables: vec![table(lab, "e7", "", &cases, &measures)], charts: Vec::new() })
}
