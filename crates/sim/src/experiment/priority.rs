//! E8: critical work under a flood of the rest.

use forebay_pool_core::{Class, Rules};

use super::{CAPACITY, Findings, goodput, millis, phase, secs, table};
use crate::contender::Contender;
use crate::lab::{Case, Lab, Measure};
use crate::load::Profile;
use crate::measure::share;
use crate::report::Bars;
use crate::rival::{Codel, Fixed};
use crate::scenario::{Kind, Scenario};

const SHARES: [f64; 4] = [0.25, 0.5, 0.8, 1.0];
const GOOD: &str = "critical good, %";
const BEGINS: u64 = 10;
const ENDS: u64 = 40;

/// Critical work of so many times X* within a flood of 20 X*.
fn scenario(critical: f64) -> Scenario {
    let profile = Profile::steady(0.6 * CAPACITY)
        .until(secs(BEGINS))
        .then(20.0 * CAPACITY)
        .until(secs(ENDS))
        .then(0.6 * CAPACITY);
    let kind = |class, weight| Kind::one_statement(class, weight, Scenario::statement());
    Scenario {
        kinds: vec![kind(Class::Critical, critical), kind(Class::Normal, 20.0 - critical)],
        phases: vec![phase("flood", BEGINS, ENDS)],
        ..Scenario::plain(profile, secs(ENDS + 10))
    }
}

pub(super) fn run(lab: &Lab) -> (Vec<String>, Findings) {
    let method = vec![
        "20 X* from second 10 to 40, a part of which is critical; naive clients, a second of patience.".to_owned(),
        "Good is the share of critical requests that had an answer within 250 ms of one of their attempts.".to_owned(),
    ];
    let who = [
        Contender::ours("ours, defaults (ceiling 60)", Rules::default()),
        Contender::ours("ours, ceiling 160", Rules { ceiling: 160, ..Rules::default() }),
        Contender::ours_fixed(35),
        Contender::new("shed at 35", |_| Fixed::shedding(35, 0)),
        Contender::new("CoDel + LIFO, 35", |_| Codel::new(35)),
    ];
    let mut cases = Vec::new();
    for critical in SHARES {
        let scenario = scenario(critical);
        cases.extend(who.iter().map(|contender| {
            Case::new(&scenario, contender).named(format!("critical {critical} X*, {}", contender.name))
        }));
    }
    let of = |name, digits, class, part: fn(&crate::measure::Tally) -> f64| {
        Measure::new(name, digits, move |record: &crate::measure::Record| part(&record.of("flood", class)))
    };
    let measures = [
        of(GOOD, 1, Class::Critical, |tally| 100.0 * share(tally.good, tally.requests)),
        of("critical lost, %", 1, Class::Critical, |tally| 100.0 * tally.hit_share()),
        of("critical wait p99, ms", 0, Class::Critical, |tally| millis(tally.wait.percentile(99.0))),
        of("critical answer p99, ms", 0, Class::Critical, |tally| millis(tally.latency.percentile(99.0))),
        of("normal good, %", 1, Class::Normal, |tally| 100.0 * share(tally.good, tally.requests)),
        goodput("goodput, % of X*", BEGINS, ENDS),
    ];
    let table = table(lab, "e8", "", &cases, &measures);
    let title = "Critical requests answered in a flood of 20 X* of which they are a part";
    let bars = SHARES.iter().fold(Bars::new("e8-priority", title, "% answered in time"), |bars, critical| {
        bars.with(format!("critical {critical} X*"), table.column_under(&format!("critical {critical} X*, "), GOOD))
    });
    (method, Findings { tables: vec![table], pictures: vec![bars.picture()] })
}
