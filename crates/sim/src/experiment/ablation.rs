//! E13: one part left out at a time.

use forebay_pool_core::{Fixed as FixedLimit, Mode, Rules, Staffing};

use super::spike::{measures, scenario};
use super::{Findings, table};
use crate::contender::Contender;
use crate::lab::{Case, Lab};

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
    let tables = [5.0, 20.0].map(|times| {
        let scenario = scenario(times);
        let cases: Vec<Case> = who.iter().map(|contender| Case::new(&scenario, contender)).collect();
        table(lab, &format!("e13 {times}x"), &format!("{times} X*:"), &cases, &measures())
    });
    (method, Findings { tables: tables.into(), charts: Vec::new() })
}
