use crate::world::World;

#[tokio::test]
async fn a_product_is_found_by_id_and_by_slug() {
    let world = World::with(3).await;
    let by_slug = world.get("/v1/products/thing-2").await;
    assert_eq!(by_slug.status, 200);
    let id = by_slug.body["product"]["id"].as_str().unwrap();
    assert_eq!(world.get(&format!("/v1/products/{id}")).await.body, by_slug.body);
    assert_eq!(by_slug.body["skus"][0]["sku"], "thing-2-M");
    assert_eq!(by_slug.body["skus"][0]["price"], serde_json::json!({ "amount": 200, "currency": "EUR" }));
    assert_eq!(by_slug.body["availability"]["state"], "in_stock");
}

#[tokio::test]
async fn what_does_not_exist_is_404() {
    let world = World::with(1).await;
    for unknown in ["no-such-thing", "00000000-0000-7000-8000-00000000ffff", "%C3%84rmel"] {
        assert_eq!(world.get(&format!("/v1/products/{unknown}")).await.problem(), (404, "not-found"), "{unknown}");
    }
}

#[tokio::test]
async fn an_unchanged_answer_is_304_and_a_changed_one_is_not() {
    let world = World::with(2).await;
    for path in ["/v1/products/thing-1", "/v1/products?limit=1"] {
        let first = world.get(path).await;
        let tag = first.header("etag").to_owned();
        assert_eq!(first.header("cache-control"), "public, max-age=5, stale-while-revalidate=30, stale-if-error=300");
        for sent in [tag.clone(), format!("\"other\", W/{tag}"), "*".to_owned()] {
            let again = world.get_with(path, "if-none-match", &sent).await;
            assert_eq!((again.status.as_u16(), again.header("etag")), (304, tag.as_str()), "{path} {sent}");
            assert!(again.body.is_null());
        }
        assert_eq!(world.get_with(path, "if-none-match", "\"other\"").await.status, 200);
    }
}

#[tokio::test]
async fn a_product_has_a_picture_that_does_nothing_and_may_be_kept() {
    let world = World::with(2).await;
    world.execute("update catalog.products set name = '<script>alert(1)</script> & more' where slug = 'thing-1'").await;
    for path in ["/v1/products/thing-1", "/v1/products?limit=1&sort=newest"] {
        let answer = world.get(path).await;
        let shown = if path.contains('?') { &answer.body["data"][0] } else { &answer.body };
        let url = shown["images"][0]["url"].as_str().unwrap();
        assert!(url.ends_with("/image.svg?v=1"), "{url}");
        let (head, svg) = world.get_text(url).await;
        let header = |name: &str| head.headers[name].to_str().unwrap();
        assert_eq!((head.status.as_u16(), header("content-type")), (200, "image/svg+xml"));
        assert_eq!(header("content-security-policy"), "default-src 'none'; sandbox");
        assert!(header("cache-control").starts_with("public, max-age=86400"));
        assert!(svg.starts_with("<svg ") && !svg.contains("<script"), "{svg}");
        assert_eq!(world.get_with(url, "if-none-match", header("etag")).await.status, 304);
    }
    assert_eq!(world.get("/v1/products/no-such-thing/image.svg").await.problem(), (404, "not-found"));
    assert_eq!(world.get("/v1/products/thing-1/image.svg?size=9").await.problem(), (400, "invalid-request"));
}
