use std::time::Duration;

use forebay_embedded::testing::{TestDatabase, database};

use super::*;

async fn migrated() -> TestDatabase {
    let database = database().await;
    crate::migrate(&database.options()).await.unwrap();
    database
}

async fn text(database: &TestDatabase, sql: &'static str) -> String {
    let mut connection = PgConnection::connect_with(&database.options()).await.unwrap();
    sqlx::query_scalar(sql).fetch_one(&mut connection).await.unwrap()
}

const COUNTS: &str = "select concat_ws(' ', (select count(*) from catalog.categories), (select count(*) from catalog.products), \
     (select count(*) from catalog.skus), (select count(*) from checkout.inventory), (select count(*) from auth.users), \
     (select count(*) from checkout.orders))";

/// All that a visitor could see of the seed.
const CONTENT: &str = "select md5(concat((select string_agg(p::text, ',' order by id) from catalog.products p), \
     (select string_agg(u::text, ',' order by id) from auth.users u), \
     (select string_agg(i::text, ',' order by order_id, sku) from checkout.order_items i)))";

#[tokio::test]
async fn a_small_shop_has_what_it_says_and_seeding_again_changes_nothing() {
    let database = migrated().await;
    seed(&database.options(), Scale::Small, |_| {}).await.unwrap();
    assert_eq!(text(&database, COUNTS).await, "60 200 600 600 50 500");
    let content = text(&database, CONTENT).await;
    let steps = std::sync::Mutex::new(0);
    seed(&database.options(), Scale::Full, |_| *steps.lock().unwrap() += 1).await.unwrap();
    assert_eq!(steps.into_inner().unwrap(), 0);
    assert_eq!(text(&database, CONTENT).await, content);
}

#[tokio::test]
async fn every_shop_is_seeded_the_same() {
    let (one, other) = (migrated().await, migrated().await);
    seed(&one.options(), Scale::Small, |_| {}).await.unwrap();
    seed(&other.options(), Scale::Small, |_| {}).await.unwrap();
    // Updated and measured times are the database's own.
    let times = "update catalog.products set updated_at = created_at";
    for database in [&one, &other] {
        let mut connection = PgConnection::connect_with(&database.options()).await.unwrap();
        sqlx::raw_sql(times).execute(&mut connection).await.unwrap();
    }
    assert_eq!(text(&one, CONTENT).await, text(&other, CONTENT).await);
}

#[tokio::test]
async fn the_seed_adds_up() {
    let database = migrated().await;
    let constraints = "select string_agg(conname || pg_get_constraintdef(oid) || convalidated, ' ' order by conname, conrelid::regclass::text) \
                       from pg_constraint";
    let before = text(&database, constraints).await;
    seed(&database.options(), Scale::Small, |_| {}).await.unwrap();
    assert_eq!(text(&database, constraints).await, before, "those it took away for a while are back");
    for (what, sql) in [
        (
            "orders whose total is not the sum of their items",
            "select count(*)::text from checkout.orders o where total <> \
             (select sum(unit_price * quantity) from checkout.order_items i where i.order_id = o.id)",
        ),
        (
            "orders of nobody",
            "select count(*)::text from checkout.orders where user_id not in (select id from auth.users)",
        ),
        (
            "orders without the payment of their state",
            "select count(*)::text from checkout.orders o where not exists (select from checkout.payments p \
             where p.order_id = o.id and p.amount = o.total and (p.state = 'declined') = (o.status = 'payment_failed'))",
        ),
        (
            "ids that are no UUID of version 7",
            "select count(*)::text from catalog.products where id::text !~ '^.{14}7.{4}[89ab]'",
        ),
    ] {
        assert_eq!(text(&database, sql).await, "0", "{what}");
    }
    let scarce = "select count(*)::text from checkout.inventory where on_hand < 20 and sku like '%50'";
    assert_eq!(text(&database, scarce).await, "6");
}

#[tokio::test]
async fn a_seed_killed_half_way_is_done_anew() {
    let database = migrated().await;
    let options = database.options();
    let half = seed(&options, Scale::Full, |_| {});
    assert!(tokio::time::timeout(Duration::from_millis(300), half).await.is_err(), "it takes longer than this");
    seed(&database.options(), Scale::Small, |_| {}).await.unwrap();
    assert_eq!(text(&database, COUNTS).await, "60 200 600 600 50 500");
}

#[tokio::test]
async fn every_seeded_user_has_the_one_password() {
    let database = migrated().await;
    seed(&database.options(), Scale::Small, |_| {}).await.unwrap();
    let hashes = "select string_agg(distinct password_hash, ' ') from auth.users";
    let hashes = text(&database, hashes).await;
    assert_eq!(hashes.split(' ').count(), 8);
    assert!(hashes.split(' ').all(|hash| hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$")));
}
