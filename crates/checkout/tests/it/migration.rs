//! What migrations make of data that was there before.

use std::path::Path;

use forebay_embedded::testing::{TestDatabase, database};
use sqlx::migrate::Migrator;
use sqlx::{Connection as _, PgConnection};
use uuid::Uuid;

/// A database at this version, before anything is in it.
async fn at(version: i64) -> (TestDatabase, PgConnection) {
    let database = database().await;
    let mut connection = PgConnection::connect_with(&database.options()).await.unwrap();
    let catalog = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../migrations/catalog");
    Migrator::new(catalog).await.unwrap().run(&mut connection).await.unwrap();
    forebay_checkout::MIGRATOR.run_to(version, &mut connection).await.unwrap();
    (database, connection)
}

/// The last version before an account had one open cart.
const SEVERAL_OPEN: i64 = 20_261_128_000_319;

/// Ada has three open carts and one that was ordered, Eve one, and one is nobody's.
const CARTS: &str = "
insert into checkout.carts (id, user_id, token_hash, status, updated_at) values
    ('00000000-0000-7000-8000-0000000000a1', '00000000-0000-7000-8000-00000000000a', sha256('1'), 'open', now() - interval '3 days'),
    ('00000000-0000-7000-8000-0000000000a2', '00000000-0000-7000-8000-00000000000a', sha256('2'), 'open', now() - interval '1 day'),
    ('00000000-0000-7000-8000-0000000000a3', '00000000-0000-7000-8000-00000000000a', sha256('3'), 'open', now() - interval '1 day'),
    ('00000000-0000-7000-8000-0000000000a4', '00000000-0000-7000-8000-00000000000a', sha256('4'), 'ordered', now()),
    ('00000000-0000-7000-8000-0000000000e1', '00000000-0000-7000-8000-00000000000e', sha256('5'), 'open', now()),
    ('00000000-0000-7000-8000-0000000000f1', null, sha256('6'), 'open', now());
insert into checkout.cart_items (cart_id, sku, quantity) values
    ('00000000-0000-7000-8000-0000000000a1', 'SKU-1', 40),
    ('00000000-0000-7000-8000-0000000000a2', 'SKU-1', 40),
    ('00000000-0000-7000-8000-0000000000a3', 'SKU-1', 40),
    ('00000000-0000-7000-8000-0000000000a1', 'SKU-2', 1),
    ('00000000-0000-7000-8000-0000000000a2', 'SKU-2', 2),
    ('00000000-0000-7000-8000-0000000000a3', 'SKU-3', 3),
    ('00000000-0000-7000-8000-0000000000a4', 'SKU-4', 4),
    ('00000000-0000-7000-8000-0000000000e1', 'SKU-5', 5),
    ('00000000-0000-7000-8000-0000000000f1', 'SKU-6', 6);";

const FOUND: &str = "select right(c.id::text, 2) || ' ' || c.status || ' ' || c.version || \
    coalesce((select string_agg(' ' || i.sku || ' x ' || i.quantity, ',' order by i.sku) \
              from checkout.cart_items i where i.cart_id = c.id), '') \
    from checkout.carts c order by c.id";

#[tokio::test]
async fn of_several_open_carts_of_an_account_one_is_left_with_all_that_was_in_them() {
    let (_database, mut connection) = at(SEVERAL_OPEN).await;
    sqlx::raw_sql(CARTS).execute(&mut connection).await.unwrap();
    forebay_checkout::MIGRATOR.run(&mut connection).await.unwrap();
    let found: Vec<String> = sqlx::query_scalar(FOUND).fetch_all(&mut connection).await.unwrap();
    assert_eq!(
        found,
        [
            "a1 merged 2",
            "a2 merged 2",
            "a3 open 2 SKU-1 x 99, SKU-2 x 3, SKU-3 x 3",
            "a4 ordered 1 SKU-4 x 4",
            "e1 open 1 SKU-5 x 5",
            "f1 open 1 SKU-6 x 6",
        ]
    );
}

/// The last version before an order of which a part went back knew where it was.
const WITHOUT_STAGES: i64 = 20_261_128_000_389;

/// Of three orders a part went back: of one that is on the shelf, one that is on its way, and one that has come.
const PARTLY_REFUNDED: &str = "
insert into checkout.orders (id, user_id, cart_id, status, total, currency, address, placed_at)
    select ('00000000-0000-7000-8000-00000000000' || n)::uuid, gen_random_uuid(), gen_random_uuid(),
           case when n < 4 then 'partially_refunded' else 'delivered' end, 100, 'EUR', '{}', now()
    from generate_series(1, 4) n;
insert into checkout.order_events (order_id, kind, at) values
    ('00000000-0000-7000-8000-000000000001', 'paid', now()),
    ('00000000-0000-7000-8000-000000000002', 'shipped', now()),
    ('00000000-0000-7000-8000-000000000002', 'refund_succeeded', now()),
    ('00000000-0000-7000-8000-000000000003', 'shipped', now()),
    ('00000000-0000-7000-8000-000000000003', 'delivered', now());";

#[tokio::test]
async fn an_order_of_which_a_part_went_back_is_found_at_the_stage_that_its_events_tell() {
    let (_database, mut connection) = at(WITHOUT_STAGES).await;
    sqlx::raw_sql(PARTLY_REFUNDED).execute(&mut connection).await.unwrap();
    forebay_checkout::MIGRATOR.run(&mut connection).await.unwrap();
    let stages = "select coalesce(stage, '-') from checkout.orders order by id";
    let found: Vec<String> = sqlx::query_scalar(stages).fetch_all(&mut connection).await.unwrap();
    assert_eq!(found, ["paid", "shipped", "delivered", "-"]);
    // A program that knows of no stages moves it.
    let moves = "update checkout.orders set status = 'partially_refunded' where id::text like '%4'; \
                 update checkout.orders set status = 'partially_refunded'; \
                 update checkout.orders set status = 'refunded' where id::text like '%1'";
    sqlx::raw_sql(moves).execute(&mut connection).await.unwrap();
    let found: Vec<String> = sqlx::query_scalar(stages).fetch_all(&mut connection).await.unwrap();
    assert_eq!(found, ["-", "shipped", "delivered", "delivered"]);
}

/// The last version before the database wanted to know where a guest is reached.
const UNREACHED: i64 = 20_261_128_000_390;

#[tokio::test]
async fn the_database_has_no_order_of_a_guest_that_nobody_can_reach() {
    let (_database, mut connection) = at(UNREACHED).await;
    let order = "insert into checkout.orders (id, user_id, cart_id, status, total, currency, address, placed_at, contact_email) \
        values (gen_random_uuid(), $1, gen_random_uuid(), 'paid', 100, 'EUR', '{}', now(), $2)";
    let order = |user: Option<Uuid>, email: Option<&'static str>| sqlx::query(order).bind(user).bind(email);
    let (user, email) = (Some(Uuid::now_v7()), Some("guest@example.test"));
    for (user, email) in [(user, None), (user, email), (None, email)] {
        order(user, email).execute(&mut connection).await.unwrap();
    }
    forebay_checkout::MIGRATOR.run(&mut connection).await.unwrap();
    for (user, email) in [(user, None), (user, email), (None, email)] {
        order(user, email).execute(&mut connection).await.unwrap();
    }
    let refused = order(None, None).execute(&mut connection).await.unwrap_err();
    let refused = refused.as_database_error().and_then(|error| error.constraint().map(str::to_owned));
    assert_eq!(refused.as_deref(), Some("orders_guest_is_reached"));
    let validated = "select convalidated from pg_constraint where conname = 'orders_guest_is_reached'";
    assert!(sqlx::query_scalar::<_, bool>(validated).fetch_one(&mut connection).await.unwrap());
}
