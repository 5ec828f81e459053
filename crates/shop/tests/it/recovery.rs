//! Signals and sudden death.

use futures_util::future::join_all;
use rustix::process::Signal;
use serde_json::json;
use sqlx::PgConnection;
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::{
    admins::Administrator,
    client::Http,
    process::{LIMIT, Shop, eventually, home, nobody_left},
    reconcile::reconcile,
};

const SKU: &str = "SKU-000002";

#[tokio::test]
async fn a_stop_lets_an_order_in_flight_finish_and_leaves_no_process() {
    let home = home();
    let shop = Shop::open(home.path(), &[("FOREBAY_PAYMENT_LATENCY_MS", "1500")]).await;
    let token = shop.http.register("patient").await.unwrap();
    let cart = shop.http.cart_of(SKU).await.unwrap();
    let http = shop.http.clone();
    let order = tokio::spawn(async move { http.order(&token, &cart).await });
    eventually("the order is with the payment provider", || async {
        let (_, metrics) = shop.admin.text("/metrics").await.unwrap();
        metrics.contains("http_server_active_requests{service=\"checkout\"} 1")
    })
    .await;
    shop.send(Signal::TERM);
    let (status, answer) = order.await.unwrap().expect("an answer, not a reset");
    assert_eq!(status, 201, "{answer}");
    let (status, said) = shop.ended().await;
    assert!(status.success() && said.ends_with("stopped\n"), "{said}");
    nobody_left(home.path()).await;
    assert!(!home.path().join("data/pg/postmaster.pid").exists(), "Postgres was stopped, not killed");
}

#[tokio::test]
async fn a_second_interrupt_stops_at_once() {
    let home = home();
    let settings = [("FOREBAY_PAYMENT_LATENCY_MS", "60000"), ("FOREBAY_DEADLINE_CRITICAL_MS", "80000")];
    let shop = Shop::open(home.path(), &[&settings[..], &[("FOREBAY_DRAIN_MS", "80000")]].concat()).await;
    let token = shop.http.register("impatient").await.unwrap();
    let cart = shop.http.cart_of(SKU).await.unwrap();
    let http = shop.http.clone();
    let order = tokio::spawn(async move { http.order(&token, &cart).await });
    let active = "http_server_active_requests{service=\"checkout\"} 1";
    eventually("the order is with the payment provider", || async {
        shop.admin.text("/metrics").await.unwrap().1.contains(active)
    })
    .await;
    shop.send(Signal::INT);
    eventually("the shop is draining", || async {
        shop.admin.text("/readyz").await.is_some_and(|(_, body)| body.contains("draining"))
    })
    .await;
    shop.send(Signal::INT);
    let (status, _) = shop.ended().await;
    assert!(status.success());
    // Cut off, or told in time that its payment is still pending: the database went away under it.
    let answer = order.await.unwrap();
    assert!(answer.as_ref().is_none_or(|(status, _)| *status != 201), "{answer:?}");
    nobody_left(home.path()).await;
}

/// Buys until the shop is gone; sends each order's id that was answered with 201.
async fn buy_until_the_end(http: Http, buyer: usize, bought: mpsc::UnboundedSender<String>) {
    let Some(token) = http.register(&format!("buyer{buyer}")).await else { return };
    loop {
        let Some(cart) = http.cart_of(SKU).await else { return };
        match http.order(&token, &cart).await {
            Some((status, order)) if status == 201 => bought.send(order["id"].as_str().unwrap().to_owned()).unwrap(),
            Some(_) => {}
            None => return,
        }
    }
}

async fn number(database: &mut PgConnection, sql: &'static str) -> i64 {
    sqlx::query_scalar(sql).fetch_one(database).await.unwrap()
}

/// Units on the shelf and units paid for, of the one article.
async fn stock(database: &mut PgConnection) -> (i64, i64) {
    let on_hand = number(database, "SELECT on_hand::bigint FROM checkout.inventory WHERE sku = 'SKU-000002'").await;
    let consumed =
        "SELECT coalesce(sum(quantity), 0) FROM checkout.reservations WHERE sku = 'SKU-000002' AND state = 'consumed'";
    (on_hand, number(database, consumed).await)
}

#[tokio::test]
async fn a_kill_in_mid_load_loses_and_doubles_nothing() {
    let home = home();
    let settings = [("FOREBAY_PAYMENT_LATENCY_MS", "30"), ("FOREBAY_RESERVATION_TTL_MS", "1000")];
    let shop = Shop::open(home.path(), &settings).await;
    let mut database = shop.database().await;
    sqlx::raw_sql("UPDATE checkout.inventory SET on_hand = 100000 WHERE sku = 'SKU-000002'")
        .execute(&mut database)
        .await
        .unwrap();
    let before = stock(&mut database).await;
    let (bought, mut orders) = mpsc::unbounded_channel();
    let buyers = (0..6).map(|buyer| tokio::spawn(buy_until_the_end(shop.http.clone(), buyer, bought.clone())));
    let buyers: Vec<_> = buyers.collect();
    drop(bought);
    let mut answered = Vec::new();
    let buying = async {
        while answered.len() < 25 {
            answered.push(orders.recv().await.expect("buyers buy"));
        }
    };
    timeout(LIMIT, buying).await.expect("25 orders are confirmed");
    shop.send(Signal::KILL);
    join_all(buyers).await;
    while let Some(order) = orders.recv().await {
        answered.push(order);
    }
    drop(shop);

    let shop = Shop::open(home.path(), &settings).await;
    let mut database = shop.database().await;
    eventually("the sweeper has settled every order", || async {
        let mut database = shop.database().await;
        number(&mut database, "SELECT count(*) FROM checkout.orders WHERE status = 'pending_payment'").await == 0
    })
    .await;
    let unpaid = "SELECT count(*) FROM payment_simulator.charges c LEFT JOIN checkout.orders o ON o.id = c.order_id \
                  WHERE c.outcome = 'approved' AND c.provider_ref LIKE 'sim_%' AND o.status IS DISTINCT FROM 'paid'";
    assert_eq!(number(&mut database, unpaid).await, 0, "charged without a paid order");
    let doubled = "SELECT count(*) FROM (SELECT FROM payment_simulator.charges WHERE outcome = 'approved' \
                   GROUP BY order_id HAVING count(*) > 1) twice";
    assert_eq!(number(&mut database, doubled).await, 0, "charged twice");
    let (code, found, _) = reconcile(home.path(), &[], &[]).await;
    assert_eq!(code, Some(0), "the provider says the same: {found}");
    let held = "SELECT (SELECT count(*) FROM checkout.reservations WHERE state = 'held') \
                + (SELECT coalesce(sum(reserved), 0) FROM checkout.inventory)";
    assert_eq!(number(&mut database, held).await, 0, "stock is still held");
    let after = stock(&mut database).await;
    assert_eq!(before.0 - after.0, after.1 - before.1, "units that left the shelf were paid for");
    let paid: Vec<String> = sqlx::query_scalar("SELECT id::text FROM checkout.orders WHERE status = 'paid'")
        .fetch_all(&mut database)
        .await
        .unwrap();
    for order in &answered {
        assert!(paid.contains(order), "order {order} was confirmed to the buyer, and is lost");
    }
    shop.send(Signal::TERM);
    assert!(shop.ended().await.0.success());
    nobody_left(home.path()).await;
}

/// Asks parts back of every one of these orders, again and again, until the shop is gone; sends the id of each refund that was
/// answered with 200.
async fn give_back_until_the_end(http: Http, token: String, orders: Vec<String>, given: mpsc::UnboundedSender<String>) {
    let bearer = format!("Bearer {token}");
    for (number, order) in orders.iter().cycle().enumerate() {
        let key = format!("{order}-{number}");
        let headers = [("authorization", bearer.as_str()), ("idempotency-key", key.as_str())];
        let body = json!({ "amount": { "amount": 3, "currency": "EUR" }, "reason": "a test" });
        match http.post(&format!("/v1/admin/orders/{order}/refund"), &headers, body).await {
            Some((status, refund)) if status == 200 => given.send(refund["id"].as_str().unwrap().to_owned()).unwrap(),
            Some(_) => {}
            None => return,
        }
    }
}

#[tokio::test]
async fn a_kill_in_the_middle_of_refunds_loses_and_doubles_none() {
    let home = home();
    let settings = [("FOREBAY_PAYMENT_LATENCY_MS", "10")];
    let shop = Shop::open(home.path(), &settings).await;
    let buyer = shop.http.register("buyer").await.unwrap();
    let mut orders = Vec::new();
    for _ in 0..4 {
        let cart = shop.http.cart_of(SKU).await.unwrap();
        let (status, order) = shop.http.order(&buyer, &cart).await.unwrap();
        assert_eq!(status, 201, "{order}");
        orders.push(order["id"].as_str().unwrap().to_owned());
    }
    let token = Administrator::of(&shop, home.path()).await.token().await.unwrap();
    let (given, mut refunds) = mpsc::unbounded_channel();
    let give =
        |_| tokio::spawn(give_back_until_the_end(shop.http.clone(), token.clone(), orders.clone(), given.clone()));
    let givers: Vec<_> = (0..4).map(give).collect();
    drop(given);
    let mut answered = Vec::new();
    let giving = async {
        while answered.len() < 20 {
            answered.push(refunds.recv().await.expect("refunds are given"));
        }
    };
    timeout(LIMIT, giving).await.expect("20 refunds are confirmed");
    shop.send(Signal::KILL);
    join_all(givers).await;
    while let Some(refund) = refunds.recv().await {
        answered.push(refund);
    }
    drop(shop);

    let shop = Shop::open(home.path(), &settings).await;
    let requested = "SELECT count(*) FROM checkout.refunds WHERE state = 'requested'";
    eventually("the sweeper has settled every refund", || async {
        number(&mut shop.database().await, requested).await == 0
    })
    .await;
    let mut database = shop.database().await;
    let differ = "SELECT count(*) FROM checkout.payments p JOIN payment_simulator.charges c USING (order_id, attempt) \
                  WHERE p.refunded <> c.refunded OR p.refunded > p.amount OR p.refunded <> \
                  (SELECT coalesce(sum(r.amount), 0) FROM checkout.refunds r WHERE r.payment_id = p.id AND r.state = 'succeeded')";
    assert_eq!(number(&mut database, differ).await, 0, "what went back is written down, and was paid");
    let succeeded: Vec<String> = sqlx::query_scalar("SELECT id::text FROM checkout.refunds WHERE state = 'succeeded'")
        .fetch_all(&mut database)
        .await
        .unwrap();
    for refund in &answered {
        assert!(succeeded.contains(refund), "refund {refund} was confirmed, and is lost");
    }
    let (code, found, _) = reconcile(home.path(), &[], &[]).await;
    assert_eq!(code, Some(0), "the provider says the same: {found}");
    shop.send(Signal::TERM);
    assert!(shop.ended().await.0.success());
    nobody_left(home.path()).await;
}
