//! What has to be reached. The bounds are those of the design; they are judged by the median of the rounds.

use serde::{Deserialize, Serialize};

use crate::book::{Book, Spread};
use crate::pools::names;
use crate::rows::{
    contended, dropped, herd, http, incident, lookups, overload, priority, refusal, regret, spike, tracking, trips,
    uncontended, verdict,
};
use crate::{Plan, Row};

/// A bound on a figure of ours, or on its ratio to a rival's.
#[derive(Clone, Debug)]
struct Target {
    row: Row,
    case: String,
    metric: &'static str,
    pool: &'static str,
    over: Option<&'static str>,
    bound: Bound,
}

/// Which side of the bound is right.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Bound {
    /// Less is better.
    AtMost(f64),
    /// More is better.
    AtLeast(f64),
}

/// How a target came out.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Judgement {
    /// The question.
    pub row: Row,
    /// What was to be reached, in words.
    pub says: String,
    /// The side and the value.
    pub bound: Bound,
    /// What was measured; `None` if no round proves anything.
    pub found: Option<Spread>,
}

impl Judgement {
    /// Whether it was reached; `None` if nobody can tell.
    #[must_use]
    pub fn held(&self) -> Option<bool> {
        let found = self.found?.median;
        Some(match self.bound {
            Bound::AtMost(most) => found <= most,
            Bound::AtLeast(least) => found >= least,
        })
    }

    /// What was found, as a multiple of the bound; `None` where the bound is zero.
    #[must_use]
    pub fn multiple(&self) -> Option<f64> {
        let (Bound::AtMost(bound) | Bound::AtLeast(bound)) = self.bound;
        (bound != 0.0).then_some(self.found?.median / bound)
    }
}

/// Judges every target whose case was measured.
#[must_use]
pub fn judge(book: &Book, plan: &Plan) -> Vec<Judgement> {
    let asked = targets(plan).into_iter().filter(|target| plan.rows.contains(&target.row));
    asked.map(|target| target.judge(book)).collect()
}

fn targets(plan: &Plan) -> Vec<Target> {
    use Bound::{AtLeast, AtMost};
    let ours = |row, case: String, metric, over, bound| Target { row, case, metric, pool: names::FOREBAY, over, bound };
    let mut all = vec![ours(
        Row::Uncontended,
        uncontended::CASE.to_owned(),
        uncontended::METRIC,
        Some(names::DEADPOOL),
        AtMost(0.8),
    )];
    for &tasks in &plan.tasks {
        let of = |metric, over, most| ours(Row::Contended, contended::case(tasks), metric, over, AtMost(most));
        all.extend([of(contended::COST, Some(names::SEMAPHORE), 1.15), of(contended::FAIRNESS, None, 1.1)]);
    }
    all.push(ours(Row::Lookups, trips::CASE.to_owned(), trips::METRIC, None, AtMost(0.0)));
    if plan.sizes.contains(&8) {
        let case = || lookups::What::Lookup.case(8);
        all.extend([
            ours(Row::Lookups, case(), lookups::PROCESSOR, Some(names::BARE), AtMost(1.05)),
            ours(Row::Lookups, case(), lookups::RATE, Some(names::BARE), AtLeast(0.95)),
        ]);
    }
    all.push(ours(Row::Dropped, dropped::CASE.to_owned(), dropped::USABLE, None, AtMost(10.0)));
    let refusal = ours(Row::Refusal, refusal::CASE.to_owned(), refusal::METRIC, None, AtMost(50.0));
    all.push(Target { pool: names::FOREBAY_ADMIT, ..refusal });
    for &load in plan.loads.iter().filter(|load| **load >= 1.0) {
        let of = |metric, bound| ours(Row::Overload, overload::case(load), metric, None, bound);
        all.push(of(verdict::GOODPUT, AtLeast(if load > 1.0 { 0.97 } else { 0.98 })));
        if load > 1.0 {
            all.extend([of(verdict::FIRST_SECOND, AtLeast(0.85)), of(verdict::WAIT_P99, AtMost(20.0))]);
        }
        if load >= 2.0 {
            // The limit ends below the ceiling of 60.
            all.extend([of(verdict::RECOVERY, AtMost(200.0)), of(verdict::SESSIONS, AtMost(62.0))]);
        }
    }
    all.extend(of_trials());
    all
}

fn of_trials() -> Vec<Target> {
    use Bound::{AtLeast, AtMost};
    let of =
        |row, case: &str, metric, pool, bound| Target { row, case: case.to_owned(), metric, pool, over: None, bound };
    let ours = |row, case, metric, bound| of(row, case, metric, names::FOREBAY, bound);
    let mut all = Vec::new();
    for case in ["processor", "hot row", "think time"] {
        let lost = |pool| of(Row::Regret, case, regret::BOUND, pool, AtMost(10.0));
        all.extend([names::FOREBAY, names::FOREBAY_EIGHTY].map(lost));
    }
    all.extend([
        ours(Row::Spike, spike::CASE, verdict::GOODPUT, AtLeast(0.97)),
        ours(Row::Spike, spike::CASE, verdict::FIRST_SECOND, AtLeast(0.85)),
        ours(Row::Spike, spike::CASE, verdict::WAIT_P99, AtMost(20.0)),
        ours(Row::Spike, spike::CASE, verdict::RECOVERY, AtMost(200.0)),
        ours(Row::Spike, spike::CASE, verdict::SESSIONS, AtMost(62.0)),
    ]);
    // The bound is a second.
    let regained = |pool| of(Row::Incident, incident::CASE, incident::REGAINED, pool, AtMost(1_100.0));
    all.extend([regained(names::FOREBAY), regained(names::FOREBAY_TWENTY)]);
    all.extend(tracking::COURSES.map(|case| ours(Row::Tracking, case, tracking::LAST, AtLeast(0.95))));
    all.extend(priority::SHARES.map(|share| Target {
        case: priority::case(share),
        ..ours(Row::Priority, "", priority::CRITICAL, AtLeast(99.5))
    }));
    all.push(ours(Row::Herd, herd::CASE, herd::EXTRA, AtMost(1.1)));
    let refusal = ours(Row::Http, http::COST_CASE, http::PROCESSOR, AtMost(1.3));
    all.push(Target { over: Some(names::AXUM_BUSY), ..refusal });
    all
}

impl Target {
    fn judge(self, book: &Book) -> Judgement {
        let find = |pool| book.find(self.row, &self.case, self.metric, pool);
        let found = find(self.pool).and_then(|figure| match self.over {
            None => figure.spread(),
            Some(base) => figure.over(find(base)?),
        });
        let over = self.over.map(|base| format!(" / {base}")).unwrap_or_default();
        let says = format!("{}, {}: {}{over}", self.case, self.metric, self.pool);
        Judgement { row: self.row, says, bound: self.bound, found }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::book::Measured;

    #[test]
    fn what_was_not_measured_is_not_judged_as_held() {
        let plan = Plan { rows: vec![Row::Refusal], ..Plan::full(1) };
        let mut book = Book::default();
        assert_eq!(judge(&book, &plan)[0].held(), None);
        let void = Measured { void: Some("late".to_owned()), ..Measured::of([(refusal::METRIC, 40.0)]) };
        book.enter(Row::Refusal, refusal::CASE, names::FOREBAY_ADMIT, 0, void);
        assert_eq!(judge(&book, &plan)[0].held(), None);
        book.enter(Row::Refusal, refusal::CASE, names::FOREBAY_ADMIT, 1, Measured::of([(refusal::METRIC, 100.0)]));
        let judgement = &judge(&book, &plan)[0];
        assert_eq!((judgement.held(), judgement.multiple()), (Some(false), Some(2.0)));
    }
}
