//! What is sold out says so, also to those who only look.

use std::fs;

use forebay_embedded::testing::TestDatabase;
use rustix::process::{Pid, Signal, kill_process};
use sqlx::{AssertSqlSafe, ConnectOptions as _, PgConnection};

use crate::client::Http;
use crate::process::{Shop, eventually, home, service};
use crate::serve::filled;

/// The product of SKU-000001 to SKU-000003, one unit of each.
async fn nearly_sold_out(database: &mut PgConnection) -> String {
    let few =
        "update checkout.inventory set on_hand = reserved + 1 where sku in ('SKU-000001', 'SKU-000002', 'SKU-000003')";
    sqlx::raw_sql(few).execute(&mut *database).await.unwrap();
    let product = "select product_id::text from catalog.skus where sku = 'SKU-000001'";
    sqlx::query_scalar(product).fetch_one(database).await.unwrap()
}

async fn until_it_is(catalog: &Http, product: &str, state: &str) {
    let path = format!("/v1/products/{product}");
    let wanted = format!("\"state\":\"{state}\"");
    let (path, wanted) = (path.as_str(), wanted.as_str());
    eventually(&format!("it is {state}"), || async move {
        catalog.text(path).await.is_some_and(|(_, body)| body.contains(wanted))
    })
    .await;
}

async fn buy(shop: &Http, token: &str, sku: &str) {
    let cart = shop.cart_of(sku).await.unwrap();
    let (status, order) = shop.order(token, &cart).await.unwrap();
    assert_eq!(status, 201, "{order}");
}

#[tokio::test]
async fn what_was_told_to_be_over_is_over_after_a_crash_of_postgres_too() {
    let home = home();
    let shop = Shop::open(home.path(), &[]).await;
    let mut database = shop.database().await;
    let rolled_back = "begin; select pg_current_xact_id(); rollback";
    sqlx::raw_sql(AssertSqlSafe([rolled_back; 50].join(";"))).execute(&mut database).await.unwrap();
    let oldest_running = "select pg_snapshot_xmin(pg_current_snapshot())::text::bigint";
    let told: i64 = sqlx::query_scalar(oldest_running).fetch_one(&mut database).await.unwrap();
    assert_eq!(shop.http.text("/v1/availability/changes").await.unwrap().0, 200);
    let postmaster = fs::read_to_string(home.path().join("data/pg/postmaster.pid")).unwrap();
    let postmaster = Pid::from_raw(postmaster.lines().next().unwrap().parse().unwrap()).unwrap();
    kill_process(postmaster, Signal::KILL).unwrap();
    shop.ended().await;

    let shop = Shop::open(home.path(), &[]).await;
    let next = "select pg_current_xact_id()::text::bigint";
    let next: i64 = sqlx::query_scalar(next).fetch_one(&mut shop.database().await).await.unwrap();
    assert!(next >= told, "transaction {next} comes where {told} was the oldest that could still change something");
}

#[tokio::test]
async fn a_product_of_which_the_last_unit_was_bought_says_so_in_one_process() {
    let home = home();
    let shop = Shop::open(home.path(), &[("FOREBAY_PAYMENT_LATENCY_MS", "0")]).await;
    let mut database = shop.database().await;
    let product = nearly_sold_out(&mut database).await;
    until_it_is(&shop.http, &product, "low").await;
    let token = shop.http.register("buyer").await.unwrap();
    for sku in ["SKU-000001", "SKU-000002", "SKU-000003"] {
        buy(&shop.http, &token, sku).await;
    }
    until_it_is(&shop.http, &product, "out_of_stock").await;
    let (_, page) = shop.http.text(&format!("/v1/products?ids={product}&in_stock=true")).await.unwrap();
    assert!(page.contains("\"data\":[]"), "{page}");
    sqlx::raw_sql("update checkout.inventory set on_hand = 100").execute(&mut database).await.unwrap();
    until_it_is(&shop.http, &product, "in_stock").await;
}

#[tokio::test]
async fn and_where_catalog_and_checkout_live_apart() {
    let (home, database): (_, TestDatabase) = (home(), filled().await);
    let jwks = ("FOREBAY_JWKS_URL", "http://127.0.0.1:1/jwks.json");
    let checkout = Shop::start(home.path(), service(home.path(), "checkout", database.url(), &[jwks])).await;
    let stock = format!("http://{}/v1/availability/changes", checkout.address);
    let settings = [("FOREBAY_STOCK_URL", stock.as_str())];
    let catalog = Shop::start(home.path(), service(home.path(), "catalog", database.url(), &settings)).await;
    let mut connection = database.options().connect().await.unwrap();
    let product = nearly_sold_out(&mut connection).await;
    until_it_is(&catalog.http, &product, "low").await;
    sqlx::raw_sql("update checkout.inventory set on_hand = 0, reserved = 0").execute(&mut connection).await.unwrap();
    until_it_is(&catalog.http, &product, "out_of_stock").await;
}
