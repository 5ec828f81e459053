//! What must be true of the database, of what the receiver heard and of what clients were told.

use std::collections::{BTreeMap, BTreeSet};

use sqlx::PgConnection;
use uuid::Uuid;

use super::crowd::Told;
use super::receiver::{Heard, in_order};

/// Each counts what must not be there at any moment, in one snapshot.
const ALWAYS: [(&str, &str); 9] = [
    (
        "SKUs of which more is sold than there is",
        "SELECT count(*) FROM checkout.inventory WHERE on_hand < 0 OR reserved < 0 OR reserved > on_hand",
    ),
    (
        "SKUs of which more or less is reserved than orders hold",
        "SELECT count(*) FROM checkout.inventory i LEFT JOIN (SELECT sku, sum(quantity) AS units \
         FROM checkout.reservations WHERE state = 'held' GROUP BY sku) held USING (sku) \
         WHERE i.reserved <> coalesce(held.units, 0)",
    ),
    (
        "reservations that are not where their order is",
        "SELECT count(*) FROM checkout.reservations r JOIN checkout.orders o ON o.id = r.order_id WHERE r.state <> \
         CASE WHEN o.status IN ('pending_payment', 'payment_failed') THEN 'held' \
         WHEN o.status IN ('expired', 'cancelled') THEN 'released' ELSE 'consumed' END",
    ),
    (
        "lines that are not reserved as they were ordered",
        "SELECT count(*) FROM checkout.orders o JOIN checkout.order_items t ON t.order_id = o.id \
         LEFT JOIN checkout.reservations r ON r.order_id = o.id AND r.sku = t.sku \
         WHERE o.cart_id <> o.id AND r.quantity IS DISTINCT FROM t.quantity",
    ),
    (
        "orders that are paid without one charge of their total",
        "SELECT count(*) FROM checkout.orders o WHERE o.cart_id <> o.id \
         AND o.status NOT IN ('pending_payment', 'payment_failed', 'expired', 'cancelled') AND (SELECT count(*) \
         FROM checkout.payments p JOIN payment_simulator.charges c USING (order_id, attempt, provider_ref) \
         WHERE p.order_id = o.id AND p.state = 'succeeded' AND c.outcome = 'approved' \
         AND p.amount = o.total AND c.amount = o.total) <> 1",
    ),
    (
        "payments that succeeded of orders that are not paid",
        "SELECT count(*) FROM checkout.payments p JOIN checkout.orders o ON o.id = p.order_id \
         WHERE p.state = 'succeeded' AND o.status IN ('pending_payment', 'payment_failed', 'expired')",
    ),
    (
        "orders that were charged twice",
        "SELECT count(*) FROM (SELECT FROM payment_simulator.charges WHERE outcome = 'approved' \
         GROUP BY order_id HAVING count(*) > 1) twice",
    ),
    (
        "payments of which more went back than was paid, or another sum than was asked back",
        "SELECT count(*) FROM checkout.payments p LEFT JOIN (SELECT payment_id, sum(amount) AS asked \
         FROM checkout.refunds WHERE state <> 'failed' GROUP BY payment_id) r ON r.payment_id = p.id \
         WHERE p.refunded > p.amount OR p.refunded <> coalesce(r.asked, 0)",
    ),
    (
        "events that were delivered before an earlier one of their order",
        "SELECT count(*) FROM checkout.deliveries earlier JOIN checkout.deliveries later \
         ON later.subscriber_id = earlier.subscriber_id AND later.key = earlier.key AND later.event > earlier.event \
         WHERE earlier.state <> 'delivered' AND later.state = 'delivered'",
    ),
];

/// The same, once nothing is under way.
const AT_REST: [(&str, &str); 6] = [
    (
        "charges of orders that are not paid",
        "SELECT count(*) FROM payment_simulator.charges c LEFT JOIN checkout.orders o ON o.id = c.order_id \
         WHERE c.outcome = 'approved' AND (o.id IS NULL OR o.status IN ('pending_payment', 'payment_failed', 'expired') \
         OR o.status = 'cancelled' AND c.refunded < c.amount)",
    ),
    (
        "payments of which the provider gave back another sum",
        "SELECT count(*) FROM checkout.payments p JOIN payment_simulator.charges c USING (order_id, attempt) \
         WHERE p.refunded <> c.refunded OR c.refunded > c.amount",
    ),
    (
        "refunds, returns or adjustments that were made twice",
        "SELECT (SELECT count(*) FROM (SELECT FROM checkout.refunds GROUP BY payment_id, reason HAVING count(*) > 1) a) \
         + (SELECT count(*) FROM (SELECT FROM checkout.returns GROUP BY reason HAVING count(*) > 1) b) \
         + (SELECT count(*) FROM (SELECT FROM checkout.stock_adjustments GROUP BY reason HAVING count(*) > 1) c)",
    ),
    (
        "events of orders that are not in the outbox, once each, or the other way round",
        "WITH here AS (SELECT e.order_id, 'order.' || e.kind AS topic, count(*) FROM checkout.order_events e \
         JOIN checkout.orders o ON o.id = e.order_id WHERE o.cart_id <> o.id GROUP BY 1, 2), \
         there AS (SELECT key, topic, count(*) FROM checkout.outbox GROUP BY 1, 2) \
         SELECT (SELECT count(*) FROM (TABLE here EXCEPT TABLE there) a) \
         + (SELECT count(*) FROM (TABLE there EXCEPT TABLE here) b)",
    ),
    (
        "orders of which it is not told once what became of them",
        "SELECT count(*) FROM checkout.orders o, (VALUES ('placed'), ('paid'), ('expired'), ('cancelled')) w (kind) \
         WHERE o.cart_id <> o.id AND (SELECT count(*) FROM checkout.order_events e WHERE e.order_id = o.id AND e.kind = w.kind) \
         <> CASE w.kind WHEN 'placed' THEN 1 WHEN 'paid' THEN (SELECT count(*) FROM checkout.payments p \
         WHERE p.order_id = o.id AND p.state = 'succeeded') ELSE (o.status = w.kind)::int END",
    ),
    (
        "settled orders whose key has no answer",
        "SELECT count(*) FROM checkout.orders o JOIN checkout.idempotency_keys k ON k.order_id = o.id WHERE k.state <> 'done'",
    ),
];

/// What the sweeper and the publisher have still to do.
const UNDER_WAY: &str = "SELECT (SELECT count(*) FROM checkout.orders WHERE status = 'pending_payment') \
     + (SELECT count(*) FROM checkout.refunds WHERE state = 'requested') \
     + (SELECT count(*) FROM checkout.reservations WHERE state = 'held') \
     + (SELECT count(*) FROM checkout.outbox WHERE published_at IS NULL) \
     + (SELECT count(*) FROM checkout.deliveries WHERE state <> 'delivered')";

/// Units of each SKU, wherever they are now: on the shelf, or with those who bought them; but for those that an admin added.
/// The orders of the seed took nothing from a shelf: their cart is their own id.
const UNITS: &str = "SELECT i.sku, i.on_hand + coalesce(sold.units, 0) - coalesce(back.units, 0) - coalesce(added.units, 0) \
     FROM checkout.inventory i \
     LEFT JOIN (SELECT t.sku, sum(t.quantity) AS units FROM checkout.order_items t JOIN checkout.orders o ON o.id = t.order_id \
         WHERE o.cart_id <> o.id AND o.status NOT IN ('pending_payment', 'payment_failed', 'expired', 'cancelled') \
         GROUP BY t.sku) sold USING (sku) \
     LEFT JOIN (SELECT b.sku, sum(b.quantity) AS units FROM checkout.return_items b \
         JOIN audit.log l ON l.action = 'return.receive' AND l.object_id = b.return_id::text \
         WHERE (l.after ->> 'restocked')::bool GROUP BY b.sku) back USING (sku) \
     LEFT JOIN (SELECT sku, sum(delta) AS units FROM checkout.stock_adjustments GROUP BY sku) added USING (sku)";

/// What there was of it all, for people.
pub(super) const FIGURES: [(&str, &str); 9] = [
    ("orders", "SELECT count(*) FROM checkout.orders WHERE cart_id <> id"),
    ("paid", "SELECT count(*) FROM checkout.order_events WHERE kind = 'paid'"),
    ("declined", "SELECT count(*) FROM checkout.payments WHERE state = 'declined' AND provider_ref LIKE 'sim%'"),
    ("second payments", "SELECT count(*) FROM checkout.order_events WHERE kind = 'payment_retried'"),
    ("cancelled", "SELECT count(*) FROM checkout.orders WHERE status = 'cancelled'"),
    ("expired", "SELECT count(*) FROM checkout.orders WHERE status = 'expired'"),
    ("refunds", "SELECT count(*) FROM checkout.refunds WHERE state = 'succeeded'"),
    ("returns", "SELECT count(*) FROM checkout.returns"),
    ("adjustments", "SELECT count(*) FROM checkout.stock_adjustments"),
];

/// How many units there are of each SKU: the same number for good.
pub(super) type Units = BTreeMap<String, i64>;

pub(super) async fn number(database: &mut PgConnection, sql: &'static str) -> i64 {
    sqlx::query_scalar(sql).fetch_one(database).await.unwrap()
}

pub(super) async fn units(database: &mut PgConnection) -> Units {
    sqlx::query_as(UNITS).fetch_all(database).await.unwrap().into_iter().collect()
}

pub(super) async fn is_at_rest(database: &mut PgConnection) -> bool {
    number(database, UNDER_WAY).await == 0
}

/// What is wrong at any moment, in words. `heard` is what was not held against the outbox before.
pub(super) async fn faults(database: &mut PgConnection, start: &Units, heard: &[Heard]) -> Vec<String> {
    let mut faults = counted(database, &ALWAYS).await;
    for (sku, units) in units(database).await {
        if start[&sku] != units {
            faults.push(format!("{sku}: {units} units in all, and {} at the start", start[&sku]));
        }
    }
    let ids: Vec<Uuid> = heard.iter().map(|heard| heard.event).collect();
    let unknown = "SELECT id::text FROM unnest($1::uuid[]) AS heard (id) \
                   WHERE NOT EXISTS (SELECT FROM checkout.outbox o WHERE o.event_id = heard.id)";
    let unknown: Vec<String> = sqlx::query_scalar(unknown).bind(ids).fetch_all(database).await.unwrap();
    faults.extend(unknown.into_iter().map(|event| format!("an event was told of that never happened: {event}")));
    faults
}

/// What is wrong once nothing is under way, beside that.
pub(super) async fn faults_at_rest(database: &mut PgConnection, heard: &[Heard], told: &Told) -> Vec<String> {
    let mut faults = counted(database, &AT_REST).await;
    faults.extend(untold(database, heard).await);
    faults.extend(broken_words(database, told).await);
    faults
}

async fn counted(database: &mut PgConnection, what: &[(&str, &'static str)]) -> Vec<String> {
    let mut faults = Vec::new();
    for (fault, sql) in what {
        match number(database, sql).await {
            0 => {}
            found => faults.push(format!("{fault}: {found}")),
        }
    }
    faults
}

/// Every event was heard, no other, and each order's in their order.
async fn untold(database: &mut PgConnection, heard: &[Heard]) -> Vec<String> {
    let committed: Vec<(Uuid, Uuid)> =
        sqlx::query_as("SELECT key, event_id FROM checkout.outbox ORDER BY id").fetch_all(database).await.unwrap();
    let mut expected = BTreeMap::<_, Vec<_>>::new();
    for (order, event) in committed {
        expected.entry(order).or_default().push(event);
    }
    let heard = in_order(heard);
    let differs = |order: &&Uuid| expected.get(order) != heard.get(order);
    let orders: BTreeSet<_> = expected.keys().chain(heard.keys()).filter(differs).collect();
    let said = |order: &Uuid| {
        let (happened, heard) = (expected.get(order), heard.get(order));
        format!("of order {order} another story was told: happened {happened:?}, heard {heard:?}")
    };
    orders.into_iter().map(said).collect()
}

/// Whatever clients were told is so.
async fn broken_words(database: &mut PgConnection, told: &Told) -> Vec<String> {
    let orders = "SELECT o.id, o.total FROM checkout.orders o \
                  JOIN checkout.payments p ON p.order_id = o.id AND p.state = 'succeeded'";
    let paid: BTreeMap<Uuid, i64> =
        sqlx::query_as(orders).fetch_all(&mut *database).await.unwrap().into_iter().collect();
    let events: BTreeSet<(Uuid, String)> = sqlx::query_as("SELECT order_id, kind FROM checkout.order_events")
        .fetch_all(&mut *database)
        .await
        .unwrap()
        .into_iter()
        .collect();
    let reasons = "SELECT reason FROM checkout.refunds WHERE state = 'succeeded' \
                   UNION SELECT reason FROM checkout.returns UNION SELECT reason FROM checkout.stock_adjustments";
    let reasons: Vec<String> = sqlx::query_scalar(reasons).fetch_all(database).await.unwrap();
    let reasons: BTreeSet<_> = reasons.into_iter().collect();
    let mut broken = Vec::new();
    for (order, total) in &told.orders {
        if paid.get(order) != Some(total) {
            broken.push(format!("order {order} was confirmed for {total}, and is {:?}", paid.get(order)));
        }
    }
    for (order, event) in &told.events {
        if !events.contains(&(*order, (*event).to_owned())) {
            broken.push(format!("order {order} was said to be {event}, and is not"));
        }
    }
    let lost = told.reasons.iter().filter(|reason| !reasons.contains(*reason));
    broken.extend(lost.map(|reason| format!("a refund, return or adjustment was confirmed, and is lost: {reason}")));
    broken
}
