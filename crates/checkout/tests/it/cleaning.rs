//! Carts that were abandoned and answers that are past their time are deleted, and nothing else.

use std::time::Duration;

use forebay_checkout::{Cleaned, clean};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::world::World;

/// 5,000 carts of nobody that were left two months ago, with a line each.
const OLD: &str = "with carts as (
    insert into checkout.carts (id, token_hash, updated_at)
    select gen_random_uuid(), sha256('x'), now() - interval '60 days' from generate_series(1, 5000) returning id
)
insert into checkout.cart_items (cart_id, sku, quantity) select id, 'SKU-1', 1 from carts";

const CARTS: &str = "select count(*) from checkout.carts";

#[tokio::test]
async fn carts_of_nobody_are_kept_for_thirty_days_and_those_of_users_for_ninety() {
    let world = World::with(10).await;
    let ages = [(false, 29), (false, 31), (true, 31), (true, 89), (true, 91)];
    let mut carts = Vec::new();
    for (is_owned, days) in ages {
        let cart = world.cart(&[(1, 1)]).await;
        let owner = is_owned.then(Uuid::now_v7);
        let aged = "update checkout.carts set user_id = $2, updated_at = now() - make_interval(days => $3) where id = $1::uuid";
        let aged = sqlx::query(aged).bind(&cart.id).bind(owner).bind(days);
        aged.execute(&mut world.connection().await).await.unwrap();
        carts.push(cart);
    }
    assert_eq!(world.clean().await, Cleaned { carts: 2, ..Cleaned::default() });
    let left: Vec<String> = sqlx::query_scalar("select id::text from checkout.carts order by created_at")
        .fetch_all(&mut world.connection().await)
        .await
        .unwrap();
    assert_eq!(left, [&carts[0], &carts[2], &carts[3]].map(|cart| cart.id.clone()));
    assert_eq!(world.count("select count(*) from checkout.cart_items").await, 3, "their lines went along");
}

#[tokio::test]
async fn an_ordered_cart_is_kept_however_old_it_is() {
    let world = World::with(10).await;
    let (ada, cart) = (Uuid::now_v7(), world.cart(&[(1, 1)]).await);
    assert_eq!(world.place(ada, &cart, "tok_ok").await.status, 201);
    world.execute("update checkout.carts set updated_at = now() - interval '1 year'").await;
    assert_eq!(world.clean().await, Cleaned::default());
    assert_eq!(world.place(ada, &cart, "tok_ok").await.problem(), (409, "cart-already-ordered"));
}

#[tokio::test]
async fn a_cart_that_was_merged_is_kept_for_a_day() {
    let world = World::with(10).await;
    let ada = Uuid::now_v7();
    for cart in world.carts(2, &[(1, 1)]).await {
        assert_eq!(world.send(world.claim(&cart, ada)).await.status, 200);
    }
    world.execute("update checkout.carts set updated_at = now() - interval '23 hours'").await;
    assert_eq!(world.clean().await, Cleaned::default());
    world.execute("update checkout.carts set updated_at = now() - interval '25 hours'").await;
    assert_eq!(world.clean().await, Cleaned { carts: 1, ..Cleaned::default() });
    assert_eq!(world.count("select sum(quantity) from checkout.cart_items").await, 2, "what was in it is kept");
}

#[tokio::test]
async fn a_cleaning_that_is_cut_off_is_gone_on_with() {
    let world = World::with(10).await;
    world.execute(OLD).await;
    let pool = world.db.pool().unwrap();
    let before = pool.snapshot().totals.granted;
    {
        let half_way = async {
            while pool.snapshot().totals.granted < before + 5 {
                tokio::task::yield_now().await;
            }
        };
        tokio::select! {
            biased;
            done = clean(&world.state, OffsetDateTime::now_utc()) => panic!("nothing was left to cut off: {done:?}"),
            in_time = tokio::time::timeout(Duration::from_secs(30), half_way) => in_time.unwrap(),
        }
    }
    let left = world.count(CARTS).await;
    assert!(left > 0 && left < 5_000, "{left} carts are left");
    world.clean().await;
    assert_eq!(world.count(CARTS).await, 0);
    assert_eq!(world.clean().await, Cleaned::default());
}

#[tokio::test]
async fn several_clean_at_once_and_each_row_once() {
    let world = World::with(10).await;
    world.execute(OLD).await;
    let now = OffsetDateTime::now_utc();
    let done = futures_util::future::join_all((0..4).map(|_| clean(&world.state, now))).await;
    assert_eq!(done.iter().map(|done| done.as_ref().unwrap().carts).sum::<u64>(), 5_000);
    assert_eq!(world.count(CARTS).await, 0);
}

#[tokio::test]
async fn a_cart_that_is_being_changed_is_left_alone() {
    use sqlx::Connection as _;
    let world = World::with(10).await;
    let cart = world.cart(&[(1, 1)]).await;
    world.execute("update checkout.carts set updated_at = now() - interval '60 days'").await;
    let mut connection = world.connection().await;
    let mut change = connection.begin().await.unwrap();
    let changed = "update checkout.carts set version = version + 1, updated_at = now() where id = $1::uuid";
    sqlx::query(changed).bind(&cart.id).execute(&mut *change).await.unwrap();
    assert_eq!(world.clean().await, Cleaned::default(), "nobody waits for it either");
    change.commit().await.unwrap();
    assert_eq!(world.clean().await, Cleaned::default());
}
