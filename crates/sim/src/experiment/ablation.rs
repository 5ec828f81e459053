//! E13: one part left out at a time.

use forebay_pool_core::{Fixed as FixedLimit, Mode, Rules, Staffing};

use super::spike::{GOODPUT, measures, scenario};
use super::{Findings, table};
use crate::contender::Contender;
use crate::lab::{Case, Lab};
use crate::report::Bars;

pub(super) fn run(lab: &Lab) -> (Vec<String>, Findings) {
    let method = vec!["The spikes of E2, with 5 X* and 20 X*, and the default rules with one part changed.".to_owned()];
    let rules = Rules::default;
    let large = || Rules { ceiling: 160, ..rules() };
    let staffed = |name: &str, rules: Rules| Contender::ours_sized(name, rules, || Box::<Staffing>::default());
    let fixed_at = |name: &str, rules: Rules| Contender::ours_sized(name, rules, || Box::new(FixedLimit));
    let who = [
        Contender::ours("as shipped", rules()),
        Contender::ours("admission off", Rules { mode: Mode::Off, ..rules() }),
        Contender::ours("admission reports only", Rules { mode: Mode::ReportOnly, ..rules() }),
        fixed_at("limit fixed at 10", rules()),
        fixed_at("limit fixed at 35", Rules { initial_limit: 35, ..rules() }),
        staffed("without the knee", rules()),
        Contender::ours("ceiling 160", large()),
        staffed("ceiling 160, without the knee", large()),
        Contender::ours("begins with 54", Rules { initial_limit: 54, min_idle: 54, ..rules() }),
        Contender::ours("opens 8 at once", Rules { openings_at_once: 8, ..rules() }),
        Contender::ours("queue of 64", Rules { queue_capacity: 64, ..rules() }),
    ];
    let spikes = [5.0, 20.0];
    let tables = spikes.map(|times| {
        let scenario = scenario(times);
        let cases: Vec<Case> = who.iter().map(|contender| Case::new(&scenario, contender)).collect();
        table(lab, &format!("e13 {times}x"), &format!("{times} X*:"), &cases, &measures())
    });
    let bars = |bars: Bars, column: &str| {
        let all = spikes.iter().zip(&tables);
        all.fold(bars, |bars, (times, table)| bars.with(format!("{times} X*"), table.column(column))).picture()
    };
    let goodput = Bars::new("e13-ablation", "Good answers in spikes, with one part changed", GOODPUT);
    let wait =
        Bars::new("e13-wait", "The 99th percentile of the wait in spikes, with one part changed", "ms").up_to(250.0);
    let pictures = vec![bars(goodput, GOODPUT), bars(wait, "wait p99, ms")];
    (method, Findings { tables: tables.into(), pictures })
}
