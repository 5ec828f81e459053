use axum::body::Body;
use serde_json::json;

use crate::client::{json as with_json, request, send};
use crate::world::{World, registration};

const PATHS: [&str; 3] = ["register", "login", "refresh"];

#[tokio::test]
async fn another_method_is_405_and_says_which_is_allowed() {
    let world = World::new().await;
    for path in PATHS {
        let answer =
            send(&world.router, request("GET", &format!("/v1/auth/{path}")).body(Body::empty()).unwrap()).await;
        assert_eq!((answer.problem(), answer.header("allow")), ((405, "method-not-allowed"), "POST"));
    }
}

#[tokio::test]
async fn unknown_fields_wrong_types_and_missing_fields_are_422_with_a_pointer() {
    let world = World::new().await;
    for (path, body, pointer) in [
        (
            "register",
            json!({ "email": "a@b.example", "password": "a quiet kettle", "name": "A", "admin": true }),
            "/admin",
        ),
        ("login", json!({ "email": 7, "password": "a quiet kettle" }), "/email"),
        ("login", json!({ "email": "a@b.example" }), "/password"),
        ("refresh", json!({ "refresh_token": null }), "/refresh_token"),
        ("login", json!(["ada@shop.example", "correct-horse-battery"]), ""),
        ("login", json!(null), ""),
        ("register", json!({ "email": "a@b.example", "password": "a quiet kettle", "name": "a\n\u{1b}[31m" }), "/name"),
    ] {
        let answer = world.post(path, &body).await;
        assert_eq!(answer.problem(), (422, "validation-failed"), "{path}");
        assert_eq!(answer.body["errors"][0]["pointer"], pointer);
        let said = answer.body["errors"][0]["detail"].as_str().unwrap();
        assert!(!said.contains("struct") && !said.contains("Credentials"), "{said}");
    }
}

#[tokio::test]
async fn what_is_no_json_too_long_or_of_another_type_is_refused() {
    let world = World::new().await;
    for path in PATHS.map(|path| format!("/v1/auth/{path}")) {
        let plain = request("POST", &path).header("content-type", "text/plain").body("{}".into()).unwrap();
        assert_eq!(send(&world.router, plain).await.problem(), (415, "unsupported-media-type"));
        let broken = request("POST", &path).header("content-type", "application/json").body("{".into()).unwrap();
        assert_eq!(send(&world.router, broken).await.problem(), (400, "invalid-request"));
        let long = with_json(request("POST", &path), &json!({ "email": "x".repeat(65_536) }));
        assert_eq!(send(&world.router, long).await.problem(), (413, "payload-too-large"));
    }
}

#[tokio::test]
async fn a_null_character_is_the_clients_fault() {
    let world = World::new().await;
    let body = json!({ "email": "a@b.example", "password": "a quiet kettle", "name": "A\u{0}" });
    let answer = world.post("register", &body).await;
    assert_eq!((answer.problem(), &answer.body["errors"][0]["pointer"]), ((422, "validation-failed"), &json!("/name")));
}

#[tokio::test]
async fn a_refusal_gives_its_connection_back_clean() {
    let world = World::with_ada().await;
    for _ in 0..20 {
        assert_eq!(world.refresh("garbage").await.problem(), (401, "refresh-token-invalid"));
    }
    assert_eq!(world.post("register", &registration()).await.problem(), (409, "email-taken"));
    assert_eq!(world.pool.snapshot().totals.quarantined, 0);
}
