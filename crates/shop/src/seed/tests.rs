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

/// The sum of all rows of all tables, table by table; but of the numbers of transactions, which no two servers share.
async fn content(database: &TestDatabase) -> Vec<(String, String)> {
    let mut connection = PgConnection::connect_with(&database.options()).await.unwrap();
    let tables = "SELECT format('%I.%I', nspname, relname) FROM pg_class JOIN pg_namespace n ON n.oid = relnamespace \
         WHERE relkind IN ('r', 'p') AND nspname IN ('catalog', 'auth', 'checkout', 'payment_simulator') \
         AND relname <> 'stock_levels' ORDER BY 1";
    let tables: Vec<String> = sqlx::query_scalar(tables).fetch_all(&mut connection).await.unwrap();
    assert!(tables.len() > 10, "{tables:?}");
    let mut sums = Vec::new();
    for table in tables {
        let sum = format!(
            "SELECT coalesce(md5(string_agg(t::text, E'\n' ORDER BY t::text COLLATE \"C\")), '') FROM {table} t"
        );
        let sum: String = sqlx::query_scalar(AssertSqlSafe(sum)).fetch_one(&mut connection).await.unwrap();
        sums.push((table, sum));
    }
    sums
}

#[tokio::test]
async fn a_small_shop_has_what_it_says_and_seeding_again_changes_nothing() {
    let database = migrated().await;
    assert_eq!(seed(&database.options(), Scale::Small, |_| {}).await.unwrap(), Seeded::Filled);
    assert_eq!(text(&database, COUNTS).await, "60 200 600 600 50 500");
    let before = content(&database).await;
    let steps = std::sync::Mutex::new(0);
    let again = seed(&database.options(), Scale::Full, |_| *steps.lock().unwrap() += 1).await.unwrap();
    assert_eq!((again, steps.into_inner().unwrap()), (Seeded::HadProducts, 0));
    assert_eq!(content(&database).await, before);
}

#[tokio::test]
async fn every_shop_of_a_scale_is_the_same_byte_for_byte() {
    let (one, other) = (migrated().await, migrated().await);
    let scale = Scale::Times("0.1".parse().unwrap());
    for database in [&one, &other] {
        seed(&database.options(), scale, |_| {}).await.unwrap();
    }
    assert_eq!(text(&one, COUNTS).await, "60 1000 3000 3000 500 20000");
    assert_eq!(content(&one).await, content(&other).await);
}

#[tokio::test]
async fn a_shop_that_is_filled_anew_is_as_if_it_were_new() {
    let (used, new) = (migrated().await, migrated().await);
    seed(&used.options(), Scale::Times("0.1".parse().unwrap()), |_| {}).await.unwrap();
    let mut somebody = PgConnection::connect_with(&used.options()).await.unwrap();
    let cart =
        "INSERT INTO checkout.carts (id, token_hash) VALUES (gen_random_uuid(), decode(repeat('00', 32), 'hex'))";
    sqlx::raw_sql(cart).execute(&mut somebody).await.unwrap();
    seed_anew(&used.options(), Scale::Small, |_| {}).await.unwrap();
    seed(&new.options(), Scale::Small, |_| {}).await.unwrap();
    assert_eq!(content(&used).await, content(&new).await);
}

#[tokio::test]
async fn steps_are_counted_and_say_how_many_of_what() {
    let database = migrated().await;
    let steps = std::sync::Mutex::new(Vec::new());
    seed(&database.options(), Scale::Small, |step| steps.lock().unwrap().push(step)).await.unwrap();
    let steps = steps.into_inner().unwrap();
    assert!(steps.iter().zip(1..).all(|(step, number)| step.number == number && step.of == steps.len()), "{steps:?}");
    let said: Vec<_> = steps.iter().map(Step::to_string).collect();
    let of = steps.len();
    assert_eq!(
        said[..2],
        [format!("1/{of} filling the catalog with 200 products"), format!("2/{of} registering 50 users")]
    );
    assert!(said.iter().all(|step| !step.contains('{')), "{said:?}");
    assert_eq!(
        ["500", "5,000", "12,345", "200,000", "2,000,000"],
        [500, 5_000, 12_345, 200_000, 2_000_000].map(in_groups).as_slice()
    );
}

#[test]
fn a_factor_is_a_tenth_to_ten() {
    for (text, hundredths) in [("0.1", 10), ("1", 100), ("2.5", 250), ("10", 1_000), ("10.00", 1_000), ("0.25", 25)] {
        assert_eq!(text.parse(), Ok(Factor(hundredths)), "{text}");
    }
    for text in ["", "0", "0.09", "10.01", "11", "-1", "+1", "1e1", "1.234", ".", "1,5", "NaN", "99999999999"] {
        assert!(text.parse::<Factor>().is_err(), "{text}");
    }
    let sizes = |text: &str| Sizes::of(Scale::Times(text.parse().unwrap())).products;
    assert!(
        (10..=1_000).all(|hundredths| sizes(&format!("{}.{:02}", hundredths / 100, hundredths % 100)) % 7_919 != 0)
    );
}

#[tokio::test]
async fn the_seed_adds_up() {
    let database = migrated().await;
    let constraints = "select (select string_agg(conname || pg_get_constraintdef(oid) || convalidated, ' ' \
                       order by conname, conrelid::regclass::text) from pg_constraint) \
                       || (select string_agg(indexdef, ' ' order by indexdef) from pg_indexes)";
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
