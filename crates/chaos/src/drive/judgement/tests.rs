use std::time::Duration;

use uuid::Uuid;

use super::*;
use crate::drive::wire::{Address, Item, Money, NewCart, Payment, Shown, Word, mark_of};

fn eur(amount: i64) -> Money {
    Money { amount, currency: "EUR".to_owned() }
}

/// An order that was promised as `status`.
fn promised(status: &str) -> Purchase {
    let cart_token = Word::try_from("secret".to_owned()).unwrap();
    let sku = Word::try_from("SKU-000001".to_owned()).unwrap();
    let cart = NewCart { id: Uuid::now_v7(), cart_token };
    let mut purchase = Purchase::new(cart, Shown::first(eur(1_000)), 0, &sku, 2);
    purchase.ended = Ended::Promised(Promise { id: Uuid::now_v7(), total: eur(1_998), status: status.to_owned() });
    purchase
}

fn promise(purchase: &Purchase) -> Promise {
    match &purchase.ended {
        Ended::Promised(promise) => promise.clone(),
        other => panic!("{other:?}"),
    }
}

/// What reading it back should give.
fn kept(purchase: &Purchase) -> OrderView {
    let Promise { id, total, .. } = promise(purchase);
    OrderView {
        id,
        status: "paid".to_owned(),
        total,
        address: Address { line2: Some(mark_of(purchase.cart)) },
        items: vec![Item { sku: purchase.sku.clone(), quantity: purchase.quantity }],
        payments: vec![Payment { state: "succeeded".to_owned() }],
    }
}

/// An order with which nothing is wrong.
fn good() -> Purchase {
    let mut purchase = promised("paid");
    purchase.found = Found::Order(kept(&purchase));
    purchase.again = Again::Order(promise(&purchase).id);
    purchase.second = Again::Refused("409 cart-already-ordered".to_owned());
    purchase
}

/// A good order, read back with a change.
fn read_as(change: impl FnOnce(&mut OrderView)) -> Purchase {
    let mut purchase = good();
    let mut order = kept(&purchase);
    change(&mut order);
    purchase.found = Found::Order(order);
    purchase
}

/// A run in which everything was browsed, in time.
fn record(purchases: Vec<Purchase>) -> Record {
    let mut record = Record { purchases, ..Record::default() };
    record.arrival(Duration::ZERO, Duration::from_millis(100));
    for route in [Route::List, Route::Product] {
        record.request(route, Some(Duration::from_millis(3)));
    }
    record
}

fn judged(purchases: Vec<Purchase>) -> Judgement {
    judge(&record(purchases), Rules { mix: Mix::Shop, failures: Failures::Any })
}

fn only_fault(purchase: Purchase) -> Fault {
    let cart = purchase.cart.to_string();
    let judgement = judged(vec![good(), purchase]);
    assert_eq!(judgement.outcome, Outcome::Failed);
    let faults: Vec<_> = judgement.orders.faults.into_iter().collect();
    let [(fault, lines)] = &faults[..] else { panic!("{faults:?}") };
    assert!(lines.len() == 1 && lines[0].contains(&cart), "{lines:?}");
    *fault
}

#[test]
fn orders_that_are_there_as_promised_hold() {
    let judgement = judged(vec![good(), good()]);
    assert_eq!((judgement.outcome, judgement.reasons), (Outcome::Held, Vec::new()));
    assert_eq!((judgement.orders.tried, judgement.orders.answered, judgement.orders.paid), (2, 2, 2));
}

#[test]
fn an_order_that_is_gone_was_lost() {
    assert_eq!(only_fault(Purchase { found: Found::Missing, ..good() }), Fault::Lost);
    let hidden = Ended::Refused("409 cart-already-ordered".to_owned());
    assert_eq!(only_fault(Purchase { ended: hidden, ..good() }), Fault::Lost, "ordered, and no order was ever named");
}

#[test]
fn an_order_that_is_another_one_was_changed() {
    assert_eq!(only_fault(read_as(|order| order.total = eur(1))), Fault::Changed);
    assert_eq!(only_fault(read_as(|order| order.total.currency = "USD".to_owned())), Fault::Changed);
    assert_eq!(only_fault(read_as(|order| order.id = Uuid::now_v7())), Fault::Changed);
    assert_eq!(only_fault(read_as(|order| order.address.line2 = Some(mark_of(Uuid::now_v7())))), Fault::Changed);
    assert_eq!(only_fault(read_as(|order| order.address.line2 = None)), Fault::Changed);
    assert_eq!(only_fault(read_as(|order| order.items[0].quantity = 3)), Fault::Changed);
    assert_eq!(only_fault(read_as(|order| order.items.clear())), Fault::Changed);
    let forgotten = Again::Refused("409 cart-already-ordered".to_owned());
    assert_eq!(only_fault(Purchase { again: forgotten, ..good() }), Fault::Changed, "its key leads nowhere");
}

#[test]
fn a_cart_with_two_orders_was_ordered_twice() {
    assert_eq!(only_fault(Purchase { again: Again::Order(Uuid::now_v7()), ..good() }), Fault::Duplicate);
    assert_eq!(only_fault(Purchase { second: Again::Order(Uuid::now_v7()), ..good() }), Fault::Duplicate);
}

#[test]
fn one_order_for_two_carts_is_not_the_order_of_both() {
    let first = good();
    let second = Purchase { ended: first.ended.clone(), found: first.found.clone(), ..good() };
    assert_eq!(judged(vec![first, second]).orders.faults.keys().collect::<Vec<_>>(), [&Fault::Changed]);
}

#[test]
fn an_order_must_be_paid_in_the_end() {
    for (before, now) in [("paid", "pending_payment"), ("paid", "expired"), ("pending_payment", "expired")] {
        let mut purchase = read_as(|order| order.status = now.to_owned());
        purchase.ended = Ended::Promised(Promise { status: before.to_owned(), ..promise(&purchase) });
        assert_eq!(only_fault(purchase), Fault::NotPaid, "{before}, {now}");
    }
}

#[test]
fn an_order_that_is_still_pending_is_named_apart() {
    let mut pending = read_as(|order| order.status = "pending_payment".to_owned());
    pending.ended = Ended::Promised(Promise { status: "pending_payment".to_owned(), ..promise(&pending) });
    let id = promise(&pending).id.to_string();
    let judgement = judged(vec![good(), pending]);
    assert_eq!(judgement.outcome, Outcome::Held);
    assert_eq!((judgement.orders.answered, judgement.orders.paid), (2, 1));
    assert!(judgement.orders.unsettled[0].contains(&id), "{:?}", judgement.orders.unsettled);
}

#[test]
fn an_order_that_was_pending_may_be_given_up_but_only_uncharged() {
    let given_up = |payments: &[&str]| {
        let mut purchase = read_as(|order| {
            order.status = "expired".to_owned();
            order.payments = payments.iter().map(|state| Payment { state: (*state).to_owned() }).collect();
        });
        purchase.ended = Ended::Promised(Promise { status: "pending_payment".to_owned(), ..promise(&purchase) });
        purchase
    };
    let judgement = judged(vec![good(), given_up(&["voided"]), given_up(&[])]);
    assert_eq!(judgement.outcome, Outcome::Held);
    assert_eq!((judgement.orders.paid, judgement.orders.given_up.len()), (1, 2));
    assert_eq!(only_fault(given_up(&["voided", "succeeded"])), Fault::NotPaid);
}

#[test]
fn what_was_never_learned_fails_the_run() {
    let away = || "no connection".to_owned();
    assert_eq!(only_fault(Purchase { ended: Ended::Unanswered(away()), ..good() }), Fault::Unresolved);
    assert_eq!(only_fault(Purchase { found: Found::Unread(away()), ..good() }), Fault::Unread);
    assert_eq!(only_fault(Purchase { again: Again::Unasked(away()), ..good() }), Fault::Unread);
    assert_eq!(only_fault(Purchase { second: Again::Unasked(away()), ..good() }), Fault::Unread);
}

#[test]
fn orders_that_were_resolved_later_count_by_what_was_found() {
    let stands = Purchase { late: true, ..good() };
    let refused = Ended::Refused("409 order-state-conflict".to_owned());
    let not_placed = Purchase { late: true, ended: refused, ..good() };
    let judgement = judged(vec![stands, not_placed]);
    assert_eq!(judgement.outcome, Outcome::Held);
    assert_eq!((judgement.orders.found_to_stand, judgement.orders.found_not_placed), (1, 1));
    assert_eq!(judgement.orders.refused["409 order-state-conflict"], 1);
}

#[test]
fn a_run_that_ordered_or_browsed_nothing_proves_nothing() {
    assert_eq!(judged(Vec::new()).outcome, Outcome::Invalid);
    let refused = Purchase { ended: Ended::Refused("503 draining".to_owned()), ..good() };
    assert_eq!(judged(vec![refused]).outcome, Outcome::Invalid);
    let browse = Rules { mix: Mix::Browse, failures: Failures::Any };
    assert_eq!(judge(&record(Vec::new()), browse).outcome, Outcome::Held);
    assert_eq!(judge(&Record::default(), browse).outcome, Outcome::Invalid);
}

#[test]
fn late_journeys_void_a_run_but_excuse_no_wrong_order() {
    let late = |purchases| {
        let mut record = record(purchases);
        record.arrival(Duration::from_millis(101), Duration::from_millis(100));
        judge(&record, Rules { mix: Mix::Shop, failures: Failures::NoFirstAttempt })
    };
    assert_eq!(late(vec![good()]).outcome, Outcome::Invalid);
    let lost = late(vec![Purchase { found: Found::Missing, ..good() }]);
    assert_eq!((lost.outcome, lost.reasons.len()), (Outcome::Failed, 2), "{:?}", lost.reasons);
    let mut hundred = record(vec![good()]);
    (0..99).for_each(|_| hundred.arrival(Duration::from_millis(100), Duration::from_millis(100)));
    hundred.arrival(Duration::from_millis(101), Duration::from_millis(100));
    assert_eq!(judge(&hundred, Rules { mix: Mix::Shop, failures: Failures::Any }).outcome, Outcome::Held);
}

#[test]
fn what_may_fail_is_what_was_asked_for() {
    let mut record = record(vec![good()]);
    record.first_failures.insert((Route::List, "503 draining".to_owned()), 1);
    record.request(Route::Order, None);
    let outcome = |failures| judge(&record, Rules { mix: Mix::Shop, failures }).outcome;
    assert_eq!(outcome(Failures::Any), Outcome::Held);
    assert_eq!(outcome(Failures::Percent(34.0)), Outcome::Held);
    assert_eq!(outcome(Failures::Percent(33.0)), Outcome::Failed, "one of three");
    assert_eq!(outcome(Failures::NoFirstAttempt), Outcome::Failed);
}
