//! The judgement: a pure function over the record.

use std::collections::BTreeMap;

use serde::Serialize;

use super::arrivals::Mix;
use super::purchase::{Again, Ended, Found, Promise, Purchase};
use super::record::Record;
use super::route::Route;
use super::wire::OrderView;
use crate::verdict::Outcome;

/// More late arrivals than this share void a run, in percent.
const LATE_PERCENT: f64 = 1.0;

/// What is required of a run besides its orders.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    /// What it asked for: what never succeeded proves nothing.
    pub mix: Mix,
    /// What may fail.
    pub failures: Failures,
}

/// What may fail.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Failures {
    /// Anything, as long as no order suffers.
    Any,
    /// At most this many percent of the requests, repetitions included.
    Percent(f64),
    /// No request may be answered with anything but 2xx at its first attempt, a shed not either.
    NoFirstAttempt,
}

/// What was found wrong with an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// It was promised and is not there.
    Lost,
    /// It is not what was promised.
    Changed,
    /// A cart has two.
    Duplicate,
    /// It was promised and ended without being paid.
    NotPaid,
    /// It was promised and could not be looked at.
    Unread,
    /// Nobody ever said whether it stands.
    Unresolved,
}

impl Fault {
    /// In words.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Lost => "lost",
            Self::Changed => "changed",
            Self::Duplicate => "placed twice",
            Self::NotPaid => "not paid",
            Self::Unread => "not read back",
            Self::Unresolved => "never answered",
        }
    }
}

/// What became of the orders.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Orders {
    /// Carts that somebody tried to order.
    pub tried: u64,
    /// Orders that were promised: answered with 2xx.
    pub answered: u64,
    /// Of those, there as promised and paid.
    pub paid: u64,
    /// Of those, there as promised and still pending, one line each.
    pub unsettled: Vec<String>,
    /// Of those, answered as pending and given up uncharged, which the API announces for an order that is not charged within
    /// a minute; one line each.
    pub given_up: Vec<String>,
    /// Not placed, by the last answer.
    pub refused: BTreeMap<String, u64>,
    /// Orders without a definite answer during the load, which repeating the key found to stand.
    pub found_to_stand: u64,
    /// The same, found not to have been placed.
    pub found_not_placed: u64,
    /// What is wrong, one line each.
    pub faults: BTreeMap<Fault, Vec<String>>,
}

/// The end.
#[derive(Clone, Debug, Serialize)]
pub struct Judgement {
    /// Held, failed, or proving nothing.
    pub outcome: Outcome,
    /// Why it did not hold, in sentences.
    pub reasons: Vec<String>,
    /// What became of the orders.
    pub orders: Orders,
}

/// Judges a run. Wrong orders fail it however it went. A run that was late or proved nothing is invalid, whatever share of
/// its requests failed.
#[must_use]
pub fn judge(record: &Record, rules: Rules) -> Judgement {
    let orders = orders(&record.purchases);
    let wrong: Vec<String> =
        orders.faults.iter().map(|(fault, which)| format!("orders {}: {}", fault.name(), which.len())).collect();
    let voids = voids(record, rules.mix, orders.answered);
    let failures: Vec<String> = failures(record, rules.failures).into_iter().collect();
    let outcome = match (wrong.is_empty(), voids.is_empty(), failures.is_empty()) {
        (false, ..) => Outcome::Failed,
        (true, false, _) => Outcome::Invalid,
        (true, true, false) => Outcome::Failed,
        (true, true, true) => Outcome::Held,
    };
    Judgement { outcome, reasons: [wrong, voids, failures].concat(), orders }
}

/// Why the run proves nothing.
fn voids(record: &Record, mix: Mix, answered: u64) -> Vec<String> {
    let mut voids = Vec::new();
    let late = percent(record.arrivals.late, record.arrivals.total);
    if late > LATE_PERCENT {
        voids.push(format!(
            "{late:.1} % of the journeys began late, where {LATE_PERCENT} % may: this machine is too busy for the rate"
        ));
    }
    if [Route::List, Route::Product].into_iter().any(|route| record.succeeded(route) == 0) {
        voids.push("nothing was browsed, so nothing is proven".to_owned());
    }
    if mix == Mix::Shop && answered == 0 {
        voids.push("nothing was ordered, so nothing is proven: let it run for longer or at a higher rate".to_owned());
    }
    voids
}

fn failures(record: &Record, rule: Failures) -> Option<String> {
    match rule {
        Failures::Any => None,
        Failures::Percent(most) => {
            let (failed, all) = record.failed_of_all();
            let share = percent(failed, all);
            (share > most).then(|| format!("{failed} of {all} requests ({share:.2} %) failed, where {most} % may"))
        }
        Failures::NoFirstAttempt => {
            let first: u64 = record.first_failures.values().sum();
            (first > 0).then(|| format!("{first} first attempts were not answered with 2xx, where none may fail"))
        }
    }
}

/// Percent; of nothing, 0.
pub(crate) fn percent(part: u64, total: u64) -> f64 {
    if total == 0 { 0.0 } else { part as f64 * 100.0 / total as f64 }
}

enum Finding {
    Paid,
    Unsettled,
    GivenUp,
    NotPlaced(String),
    Wrong(Fault, String),
}

fn orders(purchases: &[Purchase]) -> Orders {
    let mut orders = Orders { tried: purchases.len() as u64, ..Orders::default() };
    for purchase in purchases {
        let promised = purchase.is_promised();
        orders.answered += u64::from(promised);
        orders.found_to_stand += u64::from(promised && purchase.late);
        match finding(purchase) {
            Finding::Paid => orders.paid += 1,
            Finding::Unsettled => orders.unsettled.push(named(purchase)),
            Finding::GivenUp => orders.given_up.push(named(purchase)),
            Finding::NotPlaced(why) => {
                orders.found_not_placed += u64::from(purchase.late);
                *orders.refused.entry(why).or_default() += 1;
            }
            Finding::Wrong(fault, what) => {
                orders.faults.entry(fault).or_default().push(format!("{}: {what}", named(purchase)));
            }
        }
    }
    orders.unsettled.sort_unstable();
    orders.given_up.sort_unstable();
    orders.faults.values_mut().for_each(|lines| lines.sort_unstable());
    orders
}

fn named(purchase: &Purchase) -> String {
    match &purchase.ended {
        Ended::Promised(promise) => format!("order {} of cart {}", promise.id, purchase.cart),
        Ended::Refused(_) | Ended::Unanswered(_) => format!("cart {}", purchase.cart),
    }
}

fn finding(purchase: &Purchase) -> Finding {
    let wrong = |fault, what: &str| Finding::Wrong(fault, what.to_owned());
    match (&purchase.ended, &purchase.found) {
        (Ended::Refused(why), _) if why.ends_with("cart-already-ordered") => {
            wrong(Fault::Lost, "it counts as ordered, but its key leads to no order")
        }
        (Ended::Refused(why), _) => Finding::NotPlaced(why.clone()),
        (Ended::Unanswered(last), _) => Finding::Wrong(Fault::Unresolved, format!("last: {last}")),
        (Ended::Promised(_), Found::Missing) => wrong(Fault::Lost, "there is no such order"),
        (Ended::Promised(_), Found::Unread(last)) => Finding::Wrong(Fault::Unread, format!("last: {last}")),
        (Ended::Promised(promise), Found::Order(order)) => compared(purchase, promise, order),
    }
}

fn compared(purchase: &Purchase, promise: &Promise, order: &OrderView) -> Finding {
    let changed = |what| Finding::Wrong(Fault::Changed, what);
    if order.id != promise.id {
        return changed(format!("it is answered as order {}", order.id));
    }
    if order.total != promise.total {
        return changed(format!("it was promised for {} and costs {}", promise.total, order.total));
    }
    if !purchase.matches(order) {
        return changed(format!("it is not {} of {} for this cart", purchase.quantity, purchase.sku));
    }
    match (promise.status.as_str(), order.status.as_str()) {
        (_, "paid") => sent_again(purchase, promise),
        (before, "pending_payment") if before == order.status => Finding::Unsettled,
        ("pending_payment", "expired") if order.is_uncharged() => Finding::GivenUp,
        (before, now) => Finding::Wrong(Fault::NotPaid, format!("it was answered as {before} and is {now}")),
    }
}

/// The same key leads to the same order, and no other key to a second one.
fn sent_again(purchase: &Purchase, promise: &Promise) -> Finding {
    let wrong = |fault, what: String| Finding::Wrong(fault, what);
    match &purchase.again {
        Again::Order(id) if *id == promise.id => {}
        Again::Order(id) => return wrong(Fault::Duplicate, format!("its key leads to order {id} too")),
        Again::Refused(why) => return wrong(Fault::Changed, format!("its key is answered with {why}, not with it")),
        Again::Unasked(last) => return wrong(Fault::Unread, format!("its key was not answered, last: {last}")),
    }
    match &purchase.second {
        Again::Order(id) if *id != promise.id => {
            wrong(Fault::Duplicate, format!("another key made order {id} of the same cart"))
        }
        Again::Order(_) | Again::Refused(_) => Finding::Paid,
        Again::Unasked(last) => wrong(Fault::Unread, format!("another key was not answered, last: {last}")),
    }
}

#[cfg(test)]
mod tests;
