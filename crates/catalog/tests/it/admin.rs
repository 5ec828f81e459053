use axum::body::Body;
use axum::http::Request;
use serde_json::{Value, json};

use crate::client::{Answer, request, send};
use crate::tokens;
use crate::world::World;

impl World {
    async fn as_admin(&self, method: &str, path: &str, tag: Option<&str>, body: Option<&Value>) -> Answer {
        send(&self.router, asked(method, path, tag, body)).await
    }

    async fn product(&self) -> Answer {
        let made = self.as_admin("POST", "/v1/admin/products", None, Some(&kettle("kettle", "KETTLE"))).await;
        assert_eq!(made.status, 201, "{made:?}");
        made
    }

    async fn log(&self) -> String {
        self.text("select coalesce(string_agg(action, ' ' order by id), '') from audit.log").await
    }
}

fn asked(method: &str, path: &str, tag: Option<&str>, body: Option<&Value>) -> Request<Body> {
    let mut asked = request(method, path).header("authorization", tokens::bearer("shop admin"));
    if let Some(tag) = tag {
        asked = asked.header("if-match", tag);
    }
    match body {
        Some(body) => asked.header("content-type", "application/json").body(body.to_string().into()).unwrap(),
        None => asked.body(Body::empty()).unwrap(),
    }
}

fn kettle(slug: &str, sku: &str) -> Value {
    let price = |amount: i64| json!({ "amount": amount, "currency": "EUR" });
    json!({
        "slug": slug, "name": "Copper Kettle", "description": "Boils.\nWater, too.", "brand": "Forge", "category": "things",
        "skus": [
            { "sku": format!("{sku}-L"), "price": price(5_000), "attributes": { "size": "L" } },
            { "sku": format!("{sku}-S"), "price": price(4_000) },
        ],
    })
}

fn id(answer: &Answer) -> String {
    answer.body["id"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_new_product_is_sold_at_once_and_sold_out_until_there_is_stock() {
    let world = World::with(0).await;
    let made = world.product().await;
    assert_eq!(made.header("location"), format!("/v1/admin/products/{}", id(&made)));
    assert_eq!(
        (&made.body["price"]["amount"], &made.body["version"], &made.body["status"]),
        (&json!(4_000), &json!(1), &json!("active"))
    );
    let again = world.as_admin("GET", made.header("location"), None, None).await;
    assert_eq!((&again.body, again.header("etag")), (&made.body, made.header("etag")));
    let shown = world.get("/v1/products/kettle").await.body;
    assert_eq!(shown["availability"]["state"], "out_of_stock");
    assert_eq!(
        (&shown["skus"][0]["attributes"]["size"], &shown["skus"][0]["availability"]),
        (&json!("L"), &json!("out_of_stock"))
    );
    assert_eq!(world.get("/v1/products?q=kettles").await.body["data"][0]["slug"], "kettle");
    assert_eq!(world.log().await, "product.create");
}

#[tokio::test]
async fn a_slug_and_a_sku_are_one_products_and_nothing_is_left_of_a_second() {
    let world = World::with(0).await;
    world.product().await;
    for (body, code, pointer) in
        [(kettle("kettle", "OTHER"), "slug-taken", "/slug"), (kettle("other", "KETTLE"), "sku-taken", "/skus/0/sku")]
    {
        let refused = world.as_admin("POST", "/v1/admin/products", None, Some(&body)).await;
        assert_eq!((refused.problem(), &refused.body["errors"][0]["pointer"]), ((409, code), &json!(pointer)));
    }
    assert_eq!(world.text("select count(*)::text from catalog.products").await, "1");
    assert_eq!(world.text("select count(*)::text from catalog.skus").await, "2");
    assert_eq!(world.log().await, "product.create");
}

#[tokio::test]
async fn of_many_who_make_the_same_product_at_once_one_does() {
    let world = World::with(0).await;
    let tasks: Vec<_> = (0..12)
        .map(|number| {
            let body = if number % 2 == 0 {
                kettle("kettle", &format!("K{number}"))
            } else {
                kettle(&format!("k-{number}"), "K")
            };
            let (router, asked) = (world.router.clone(), asked("POST", "/v1/admin/products", None, Some(&body)));
            tokio::spawn(async move { send(&router, asked).await.status.as_u16() })
        })
        .collect();
    let mut made = 0;
    for task in tasks {
        let status = task.await.unwrap();
        assert!([201, 409].contains(&status), "{status}");
        made += usize::from(status == 201);
    }
    assert_eq!(made, 2, "one of the slug, and one of the SKUs");
}

#[tokio::test]
async fn what_breaks_a_rule_is_422_and_says_where() {
    let world = World::with(0).await;
    let with = |pointer: &str, value: Value| {
        let mut body = kettle("kettle", "K");
        *body.pointer_mut(pointer).unwrap() = value;
        body
    };
    for (pointer, value) in [
        ("/slug", json!("Kettle")),
        ("/slug", json!("00000000-0000-7000-8000-000000000000")),
        ("/name", json!(" ")),
        ("/description", json!("a\u{7}")),
        ("/brand", json!("x".repeat(101))),
        ("/category", json!("nobody")),
        ("/skus", json!([])),
        ("/skus/0/sku", json!("a b")),
        ("/skus/1/sku", json!("K-L")),
        ("/skus/0/price", json!({ "amount": -1, "currency": "EUR" })),
        ("/skus/0/price", json!({ "amount": 1, "currency": "euro" })),
        ("/skus/0/attributes", json!({ "Size": "L" })),
    ] {
        let refused = world.as_admin("POST", "/v1/admin/products", None, Some(&with(pointer, value))).await;
        assert_eq!(refused.problem(), (422, "validation-failed"), "{pointer} {refused:?}");
        assert!(refused.body["errors"][0]["pointer"].as_str().unwrap().starts_with(pointer), "{refused:?}");
    }
    let unknown = with("/skus/0", json!({ "sku": "a", "price": { "amount": 1, "currency": "EUR" }, "colour": "red" }));
    assert_eq!(
        world.as_admin("POST", "/v1/admin/products", None, Some(&unknown)).await.problem(),
        (422, "validation-failed")
    );
    assert_eq!(world.log().await, "");
}

#[tokio::test]
async fn a_change_needs_the_version_that_was_read_last() {
    let world = World::with(0).await;
    let made = world.product().await;
    let (path, change) = (made.header("location"), json!({ "name": "Iron Kettle", "status": "draft" }));
    assert_eq!(world.as_admin("PATCH", path, None, Some(&change)).await.problem(), (428, "precondition-required"));
    let changed = world.as_admin("PATCH", path, Some(made.header("etag")), Some(&change)).await;
    assert_eq!(
        (changed.status.as_u16(), &changed.body["name"], &changed.body["version"]),
        (200, &json!("Iron Kettle"), &json!(2))
    );
    assert_eq!(changed.body["brand"], "Forge");
    assert_eq!(
        world.as_admin("PATCH", path, Some(made.header("etag")), Some(&change)).await.problem(),
        (412, "precondition-failed")
    );
    assert_eq!(world.get("/v1/products/kettle").await.problem(), (404, "not-found"));
    let back = json!({ "status": "active", "slug": "iron-kettle" });
    assert_eq!(world.as_admin("PATCH", path, Some(changed.header("etag")), Some(&back)).await.status, 200);
    let shown = world.get("/v1/products/iron-kettle").await;
    assert!(shown.body["images"][0]["url"].as_str().unwrap().ends_with("?v=3"), "{shown:?}");
    for wrong in [
        json!({}),
        json!({ "name": "" }),
        json!({ "status": "archived" }),
        json!({ "version": 9 }),
        json!({ "category": "nobody" }),
    ] {
        let refused = world.as_admin("PATCH", path, Some("*"), Some(&wrong)).await;
        assert_eq!(refused.problem(), (422, "validation-failed"), "{wrong}");
    }
    assert_eq!(world.log().await, "product.create product.change product.change");
}

#[tokio::test]
async fn a_change_to_a_slug_that_is_taken_is_409_and_changes_nothing() {
    let world = World::with(1).await;
    let made = world.product().await;
    let change = json!({ "slug": "thing-1", "name": "Other" });
    let refused = world.as_admin("PATCH", made.header("location"), Some("*"), Some(&change)).await;
    assert_eq!(refused.problem(), (409, "slug-taken"));
    assert_eq!(world.get("/v1/products/kettle").await.body["product"]["name"], "Copper Kettle");
    assert_eq!(world.log().await, "product.create");
}

#[tokio::test]
async fn of_two_who_change_a_product_at_once_one_is_told_that_it_has_changed() {
    let world = World::with(0).await;
    let made = world.product().await;
    for round in 1..=10 {
        let read = world.as_admin("GET", made.header("location"), None, None).await;
        let change = |who: &str| {
            let body = json!({ "name": format!("Kettle {who} {round}") });
            send(&world.router, asked("PATCH", made.header("location"), Some(read.header("etag")), Some(&body)))
        };
        let (one, other) = tokio::join!(change("one"), change("other"));
        let mut statuses = [one.status.as_u16(), other.status.as_u16()];
        statuses.sort_unstable();
        assert_eq!(statuses, [200, 412]);
        let kept = if one.status == 200 { one } else { other };
        let now = world.as_admin("GET", made.header("location"), None, None).await;
        assert_eq!((&now.body, &now.body["version"]), (&kept.body, &json!(round + 1)));
    }
    assert_eq!(world.text("select count(*)::text from audit.log where action = 'product.change'").await, "10");
}

#[tokio::test]
async fn a_skus_price_and_whether_it_is_sold_change_what_the_product_costs() {
    let world = World::with(0).await;
    let made = world.product().await;
    let path = |sku: &str| format!("{}/skus/{sku}", made.header("location"));
    let price = json!({ "price": { "amount": 3_500, "currency": "EUR" } });
    assert_eq!(
        world.as_admin("PATCH", &path("KETTLE-L"), None, Some(&price)).await.problem(),
        (428, "precondition-required")
    );
    let cheaper = world.as_admin("PATCH", &path("KETTLE-L"), Some(made.header("etag")), Some(&price)).await;
    assert_eq!(
        (cheaper.status.as_u16(), &cheaper.body["price"]["amount"], &cheaper.body["version"]),
        (200, &json!(3_500), &json!(2))
    );
    let gone = world
        .as_admin("PATCH", &path("KETTLE-L"), Some(cheaper.header("etag")), Some(&json!({ "active": false })))
        .await;
    assert_eq!((&gone.body["price"]["amount"], &gone.body["skus"][0]["active"]), (&json!(4_000), &json!(false)));
    assert_eq!(world.get("/v1/products/kettle").await.body["skus"].as_array().unwrap().len(), 1);
    assert_eq!(
        world.as_admin("PATCH", &path("KETTLE-L"), Some(made.header("etag")), Some(&price)).await.problem(),
        (412, "precondition-failed")
    );
    assert_eq!(world.as_admin("PATCH", &path("NOBODY"), Some("*"), Some(&price)).await.problem(), (404, "not-found"));
    for wrong in
        [json!({}), json!({ "price": { "amount": 1, "currency": "USD" } }), json!({ "price": null, "active": "no" })]
    {
        assert_eq!(
            world.as_admin("PATCH", &path("KETTLE-S"), Some("*"), Some(&wrong)).await.problem(),
            (422, "validation-failed")
        );
    }
    let told = "select before ->> 'active' || ' ' || (after ->> 'active') from audit.log where action = 'sku.change' order by id desc limit 1";
    assert_eq!(world.text(told).await, "true false");
}

#[tokio::test]
async fn an_archived_product_is_gone_for_all_but_admins() {
    let world = World::with(0).await;
    let made = world.product().await;
    let path = format!("{}/archive", made.header("location"));
    for _ in 0..2 {
        assert_eq!(world.as_admin("POST", &path, None, None).await.status, 204);
    }
    assert_eq!(world.get("/v1/products/kettle").await.problem(), (404, "not-found"));
    let kept = world.as_admin("GET", made.header("location"), None, None).await;
    assert_eq!((&kept.body["status"], &kept.body["version"]), (&json!("archived"), &json!(2)));
    assert_eq!(world.log().await, "product.create product.archive");
    let nobody = "/v1/admin/products/00000000-0000-7000-8000-00000000ffff";
    assert_eq!(world.as_admin("POST", &format!("{nobody}/archive"), None, None).await.problem(), (404, "not-found"));
    assert_eq!(
        world.as_admin("PATCH", nobody, Some("*"), Some(&json!({ "name": "A" }))).await.problem(),
        (404, "not-found")
    );
}

#[tokio::test]
async fn a_new_category_is_in_the_tree_at_once() {
    let world = World::with(0).await;
    world.get("/v1/categories").await;
    let saws = json!({ "slug": "saws", "name": "Saws", "parent": "things", "position": 3 });
    let made = world.as_admin("POST", "/v1/admin/categories", None, Some(&saws)).await;
    assert_eq!((made.status.as_u16(), made.header("location")), (201, "/v1/categories/saws"));
    assert_eq!(world.get("/v1/categories").await.body[0]["children"][0]["slug"], "saws");
    assert_eq!(world.as_admin("POST", "/v1/admin/categories", None, Some(&saws)).await.problem(), (409, "slug-taken"));
    for (parent, child) in [("saws", "third"), ("third", "fourth")] {
        let below = json!({ "slug": child, "name": "Deep", "parent": parent });
        assert_eq!(world.as_admin("POST", "/v1/admin/categories", None, Some(&below)).await.status, 201);
    }
    for wrong in [
        json!({ "slug": "fifth", "name": "Deep", "parent": "fourth" }),
        json!({ "slug": "lost", "name": "Lost", "parent": "nobody" }),
        json!({ "slug": "Lost", "name": "Lost" }),
        json!({ "slug": "lost", "name": "" }),
    ] {
        assert_eq!(
            world.as_admin("POST", "/v1/admin/categories", None, Some(&wrong)).await.problem(),
            (422, "validation-failed")
        );
    }
    assert_eq!(world.log().await, ["category.create"; 3].join(" "));
}

#[tokio::test]
async fn nobody_but_an_admin_sees_or_changes_any_of_it() {
    let world = World::with(0).await;
    let location = world.product().await.header("location").to_owned();
    for (method, path) in [
        ("GET", location.clone()),
        ("PATCH", location.clone()),
        ("PATCH", format!("{location}/skus/KETTLE-L")),
        ("POST", format!("{location}/archive")),
        ("POST", "/v1/admin/products".to_owned()),
        ("POST", "/v1/admin/categories".to_owned()),
    ] {
        let body = || Body::from("{}");
        let refused = send(&world.router, request(method, &path).body(body()).unwrap()).await;
        assert_eq!(refused.problem(), (401, "unauthenticated"), "{method} {path}");
        let customer = request(method, &path).header("authorization", tokens::bearer("shop")).body(body()).unwrap();
        assert_eq!(send(&world.router, customer).await.problem(), (403, "insufficient-scope"), "{method} {path}");
    }
    assert_eq!(world.log().await, "product.create");
}
