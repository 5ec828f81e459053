use std::collections::HashSet;

use sqlx::{Connection, PgConnection};

use crate::world::World;

const SORTS: [&str; 5] = ["newest", "popular", "price_asc", "price_desc", "name"];

/// Follows the cursors of a list to its end.
async fn walk(world: &World, sort: &str, limit: usize) -> Vec<serde_json::Value> {
    let mut path = format!("/v1/products?sort={sort}&limit={limit}");
    let mut rows = Vec::new();
    for _page in 0..1_000 {
        let page = world.get(&path).await;
        assert_eq!(page.status, 200, "{page:?}");
        rows.extend(page.body["data"].as_array().unwrap().clone());
        match page.body["page"]["next_cursor"].as_str() {
            Some(cursor) => path = format!("/v1/products?sort={sort}&limit={limit}&cursor={cursor}"),
            None => return rows,
        }
    }
    panic!("the list has no end: {path}");
}

#[tokio::test]
async fn the_pages_of_every_sort_hold_each_product_once_also_where_values_are_equal() {
    let world = World::with(47).await;
    for sort in SORTS {
        for limit in [1, 5, 47, 100] {
            let rows = walk(&world, sort, limit).await;
            let ids: HashSet<_> = rows.iter().map(|row| row["id"].as_str().unwrap()).collect();
            assert_eq!((rows.len(), ids.len()), (47, 47), "{sort} by {limit}");
        }
    }
}

#[tokio::test]
async fn rows_come_in_the_order_of_the_sort() {
    let world = World::with(20).await;
    let prices = |rows: Vec<serde_json::Value>| -> Vec<i64> {
        rows.iter().map(|row| row["price"]["amount"].as_i64().unwrap()).collect()
    };
    assert!(prices(walk(&world, "price_asc", 7).await).is_sorted());
    assert!(prices(walk(&world, "price_desc", 7).await).iter().rev().is_sorted());
    let names = walk(&world, "name", 7).await;
    assert!(names.iter().map(|row| row["name"].as_str().unwrap()).is_sorted());
    assert_eq!(walk(&world, "newest", 7).await[0]["slug"], "thing-1");
}

#[tokio::test]
async fn a_page_stays_where_it_was_while_products_are_added() {
    let world = World::with(10).await;
    let first = world.get("/v1/products?limit=4").await;
    let next = format!("/v1/products?limit=4&cursor={}", first.body["page"]["next_cursor"].as_str().unwrap());
    let second = world.get(&next).await;
    let mut connection = PgConnection::connect_with(&world.database.options()).await.unwrap();
    sqlx::raw_sql(
        "insert into catalog.products (id, slug, name, description, brand, category_id, base_price, currency) \
         select gen_random_uuid(), 'new', 'New', '', 'Forge', category_id, 1, 'EUR' from catalog.products limit 1",
    )
    .execute(&mut connection)
    .await
    .unwrap();
    assert_eq!(world.get(&next).await.body, second.body);
    assert_eq!(world.get("/v1/products?limit=1").await.body["data"][0]["slug"], "new");
}

#[tokio::test]
async fn the_link_header_leads_to_the_next_page() {
    let world = World::with(3).await;
    let first = world.get("/v1/products?limit=2&sort=popular").await;
    let link = first.header("link");
    let path = link.strip_prefix('<').unwrap().strip_suffix(">; rel=\"next\"").unwrap();
    let second = world.get(path).await;
    assert_eq!((second.body["data"].as_array().unwrap().len(), second.header("link")), (1, ""));
}

#[tokio::test]
async fn drafts_and_archived_products_are_not_listed() {
    let world = World::with(5).await;
    let mut connection = PgConnection::connect_with(&world.database.options()).await.unwrap();
    sqlx::raw_sql("update catalog.products set status = 'archived' where slug = 'thing-3'")
        .execute(&mut connection)
        .await
        .unwrap();
    for sort in SORTS {
        assert_eq!(walk(&world, sort, 2).await.len(), 4, "{sort}");
    }
    assert_eq!(world.get("/v1/products/thing-3").await.problem(), (404, "not-found"));
}

#[tokio::test]
async fn an_empty_catalog_is_an_empty_list() {
    let page = World::with(0).await.get("/v1/products").await;
    assert_eq!(page.body, serde_json::json!({ "data": [], "page": { "next_cursor": null, "limit": 20 } }));
}
