//! A provider that does not answer, as buyers see it.

use uuid::Uuid;

use crate::client::Answer;
use crate::crashes::{HIDE_PROVIDER, SHOW_PROVIDER};
use crate::world::World;

const ORDERS: &str = "select count(*) from checkout.orders";

/// Orders until one is not begun any more.
async fn until_refused(world: &World) -> Answer {
    for _ in 0..6 {
        let answer = world.place(Uuid::now_v7(), &world.cart(&[(1, 1)]).await, "tok_ok").await;
        if answer.status != 202 {
            return answer;
        }
    }
    panic!("orders are begun that can only wait");
}

#[tokio::test]
async fn while_the_provider_does_not_answer_no_order_is_begun_and_nothing_is_written() {
    let world = World::with(100).await;
    let (ada, key, cart) = (Uuid::now_v7(), world.key(), world.cart(&[(1, 1)]).await);
    let before = world.send(world.order(ada, &key, &cart, "tok_ok")).await;
    assert_eq!(before.status, 201);
    world.execute(HIDE_PROVIDER).await;
    let refused = until_refused(&world).await;
    assert_eq!(refused.problem(), (503, "dependency-unavailable"));
    assert!(!refused.header("retry-after").is_empty() && !refused.header("retry-after-ms").is_empty(), "{refused:?}");
    // The first was paid, five wait, and the refused one left nothing: neither order, nor units held, nor a key.
    assert_eq!((world.count(ORDERS).await, world.stock_of(1).await), (6, (99, 5)));
    assert_eq!(world.count("select count(*) from checkout.idempotency_keys").await, 6);
    let again = world.send(world.order(ada, &key, &cart, "tok_ok")).await;
    assert_eq!((again.status.as_u16(), again.header("idempotent-replayed")), (201, "true"));
    assert_eq!(again.body, before.body);
    let reused = world.send(world.order(ada, &key, &world.cart(&[(1, 1)]).await, "tok_ok")).await;
    assert_eq!(reused.problem(), (422, "idempotency-key-reused"));
}

#[tokio::test]
async fn the_sweeper_notices_that_the_provider_answers_again_and_settles_who_waited() {
    let world = World::with(100).await;
    world.execute(HIDE_PROVIDER).await;
    until_refused(&world).await;
    world.execute(SHOW_PROVIDER).await;
    assert_eq!(world.sweep().await.expired, 5);
    assert_eq!(world.place(Uuid::now_v7(), &world.cart(&[(1, 1)]).await, "tok_ok").await.status, 201);
    assert_eq!(world.faults(100).await, [""; 0]);
}

#[tokio::test]
async fn after_a_moment_one_order_tries_and_lets_the_others_in() {
    let world = World::with(100).await;
    world.execute(HIDE_PROVIDER).await;
    until_refused(&world).await;
    world.execute(SHOW_PROVIDER).await;
    let paid =
        async { while world.place(Uuid::now_v7(), &world.cart(&[(1, 1)]).await, "tok_ok").await.status != 201 {} };
    tokio::time::timeout(std::time::Duration::from_secs(30), paid).await.unwrap();
    assert_eq!(world.place(Uuid::now_v7(), &world.cart(&[(1, 1)]).await, "tok_ok").await.status, 201);
}
