use std::collections::BTreeMap;

use futures_util::future::join_all;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::world::World;

fn counted<'a>(answers: impl IntoIterator<Item = &'a crate::client::Answer>) -> BTreeMap<u16, usize> {
    let mut counts = BTreeMap::new();
    for answer in answers {
        *counts.entry(answer.status.as_u16()).or_default() += 1;
    }
    counts
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_buyers_of_twenty_units_make_exactly_twenty_orders() {
    let world = World::with(20).await;
    let carts = world.carts(200, &[(1, 1)]).await;
    let orders = carts.iter().map(|cart| world.order(Uuid::now_v7(), &world.key(), cart, "tok_ok"));
    let answers = world.send_at_once(orders).await;
    assert_eq!(counted(&answers), BTreeMap::from([(201, 20), (409, 180)]));
    assert!(
        answers.iter().filter(|answer| answer.status == 409).all(|answer| answer.problem().1 == "insufficient-stock")
    );
    assert_eq!(world.stock_of(1).await, (0, 0));
    assert_eq!(world.faults(20).await, [""; 0]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_equal_keys_at_once_make_one_order() {
    let world = World::with(20).await;
    let (ada, cart, key) = (Uuid::now_v7(), world.cart(&[(1, 1), (2, 2)]).await, world.key());
    let answers = world.send_at_once((0..50).map(|_| world.order(ada, &key, &cart, "tok_ok"))).await;
    let fresh = answers.iter().filter(|answer| answer.status == 201 && answer.header("idempotent-replayed").is_empty());
    assert_eq!(fresh.count(), 1);
    for answer in answers.iter().filter(|answer| answer.status != 201) {
        assert_eq!(answer.problem(), (409, "idempotency-in-flight"));
    }
    assert_eq!(world.count("select count(*) from checkout.orders").await, 1);
    assert_eq!(world.faults(20).await, [""; 0]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cart_is_ordered_once_also_by_a_client_that_changes_its_keys() {
    let world = World::with(20).await;
    let (ada, cart) = (Uuid::now_v7(), world.cart(&[(1, 1)]).await);
    let answers = world.send_at_once((0..20).map(|_| world.order(ada, &world.key(), &cart, "tok_ok"))).await;
    // After the first, the cart is its buyer's and ordered.
    assert_eq!(counted(&answers), BTreeMap::from([(201, 1), (409, 19)]));
    assert_eq!(world.faults(20).await, [""; 0]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sweeps_and_handlers_at_once_settle_each_order_once() {
    let world = World::with(500).await;
    let carts = world.carts(60, &[(1, 1), (2, 1)]).await;
    let payments = ["tok_ok", "tok_decline", "tok_lost"].into_iter().cycle();
    let orders = carts.iter().zip(payments);
    let orders = orders.map(|(cart, payment)| world.order(Uuid::now_v7(), &world.key(), cart, payment));
    let orders = world.send_at_once(orders);
    // Some of these find no connection in time, and stop half-way; that must be safe, too.
    let tomorrow = OffsetDateTime::now_utc() + time::Duration::hours(23);
    let sweeps = join_all((0..10).map(|_| forebay_checkout::sweep(&world.state, tomorrow)));
    let (answers, _) = tokio::join!(orders, sweeps);
    assert!(answers.iter().all(|answer| [201, 202, 409, 422].contains(&answer.status.as_u16())), "{answers:?}");
    world.sweep().await;
    assert_eq!(world.count("select count(*) from checkout.orders where status = 'pending_payment'").await, 0);
    assert_eq!(world.faults(500).await, [""; 0]);
}

/// The lines of one cart, and how it is paid.
type Purchase = (BTreeMap<u32, i64>, &'static str);

fn purchases() -> impl Strategy<Value = Vec<Purchase>> {
    let lines = proptest::collection::btree_map(1..6_u32, 1..5_i64, 1..4);
    let payment = prop_oneof![3 => Just("tok_ok"), 1 => Just("tok_decline"), 1 => Just("tok_lost")];
    proptest::collection::vec((lines, payment), 1..15)
}

#[test]
fn no_carts_whatever_sell_a_unit_twice() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let mut runner = TestRunner::new(Config { cases: 24, failure_persistence: None, ..Config::default() });
    let world = runtime.block_on(World::with(0));
    let property = |(purchases, units): (Vec<Purchase>, i32)| {
        runtime.block_on(async {
            reset(&world, units).await;
            let mut orders = Vec::new();
            // Few accounts, so that some attempt takes over what another of the same account reserved.
            let users = [Uuid::now_v7(), Uuid::now_v7(), Uuid::now_v7()];
            for ((lines, payment), user) in purchases.iter().zip(users.into_iter().cycle()) {
                let cart = world.cart(&lines.clone().into_iter().collect::<Vec<_>>()).await;
                orders.push(world.order(user, &world.key(), &cart, payment));
            }
            world.send_at_once(orders).await;
            world.sweep().await;
            prop_assert_eq!(world.faults(units).await, [""; 0]);
            prop_assert_eq!(world.count("select sum(reserved) from checkout.inventory").await, 0);
            Ok(())
        })
    };
    runner.run(&(purchases(), 0..12), property).unwrap();
}

async fn reset(world: &World, units: i32) {
    let tables = "truncate checkout.orders, checkout.carts, checkout.idempotency_keys, payment_simulator.charges, \
                  checkout.reservations, checkout.order_items, checkout.order_events, checkout.payments, checkout.refunds, checkout.cart_items, payment_simulator.refunds cascade";
    world.execute(tables).await;
    let stock = sqlx::query("update checkout.inventory set on_hand = $1, reserved = 0").bind(units);
    stock.execute(&mut world.connection().await).await.unwrap();
}
