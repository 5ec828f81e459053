//! An account as its own user sees and changes it.

use serde_json::json;

use crate::client::{Answer, json as with_json, request, send};
use crate::world::{EMAIL, PASSWORD, World, credentials};

async fn rename(world: &World, bearer: &str, tag: Option<&str>, name: &str) -> Answer {
    let builder = request("PATCH", "/v1/me").header("authorization", format!("Bearer {bearer}"));
    let builder = tag.into_iter().fold(builder, |all, tag| all.header("if-match", tag));
    send(&world.router, with_json(builder, &json!({ "name": name }))).await
}

#[tokio::test]
async fn a_user_sees_the_account_and_is_told_when_it_has_not_changed() {
    let world = World::with_ada().await;
    let access = world.log_in().await.access;
    let answer = world.get("/v1/me", &access).await;
    assert_eq!(
        (answer.status.as_u16(), &answer.body["email"], &answer.body["name"]),
        (200, &json!(EMAIL), &json!("Ada"))
    );
    assert!(answer.body.get("password_hash").is_none());
    let asked = request("GET", "/v1/me").header("authorization", format!("Bearer {access}"));
    let asked = asked.header("if-none-match", answer.header("etag")).body(axum::body::Body::empty()).unwrap();
    assert_eq!(send(&world.router, asked).await.status, 304);
}

#[tokio::test]
async fn a_change_names_the_version_that_it_is_for() {
    let world = World::with_ada().await;
    let access = world.log_in().await.access;
    let tag = world.get("/v1/me", &access).await.header("etag").to_owned();
    assert_eq!(rename(&world, &access, None, "Eve").await.problem(), (428, "precondition-required"));
    assert_eq!(rename(&world, &access, Some("\"other\""), "Eve").await.problem(), (412, "precondition-failed"));
    let renamed = rename(&world, &access, Some(&tag), "Ada L.").await;
    assert_eq!((renamed.status.as_u16(), &renamed.body["name"]), (200, &json!("Ada L.")));
    assert_ne!(renamed.header("etag"), tag);
    assert_eq!(world.get("/v1/me", &access).await.header("etag"), renamed.header("etag"));
    assert_eq!(rename(&world, &access, Some(&tag), "Late").await.problem(), (412, "precondition-failed"));
}

#[tokio::test]
async fn of_ten_changes_at_once_for_one_version_one_is_made() {
    let world = World::with_ada().await;
    let access = world.log_in().await.access;
    let tag = world.get("/v1/me", &access).await.header("etag").to_owned();
    let names: Vec<_> = (0..10).map(|number| format!("Ada {number}")).collect();
    let changes = names.iter().map(|name| rename(&world, &access, Some(&tag), name));
    let answers = futures_util::future::join_all(changes).await;
    let made = answers.iter().filter(|answer| answer.status == 200).count();
    let stale = answers.iter().filter(|answer| answer.status == 412).count();
    assert_eq!((made, stale), (1, 9));
}

#[tokio::test]
async fn a_name_has_rules_and_nothing_else_can_be_changed() {
    let world = World::with_ada().await;
    let access = world.log_in().await.access;
    for wrong in ["", &"x".repeat(101)] {
        let answer = rename(&world, &access, Some("*"), wrong).await;
        assert_eq!(
            (answer.problem(), &answer.body["errors"][0]["pointer"]),
            ((422, "validation-failed"), &json!("/name"))
        );
    }
    let builder =
        request("PATCH", "/v1/me").header("authorization", format!("Bearer {access}")).header("if-match", "*");
    let more = send(&world.router, with_json(builder, &json!({ "name": "Ada", "role": "admin" }))).await;
    assert_eq!((more.problem(), &more.body["errors"][0]["pointer"]), ((422, "validation-failed"), &json!("/role")));
}

#[tokio::test]
async fn a_disabled_account_shows_nothing() {
    let world = World::with_ada().await;
    let access = world.log_in().await.access;
    world.execute("update auth.users set disabled_at = now()").await;
    assert_eq!(world.get("/v1/me", &access).await.problem(), (401, "unauthenticated"));
    assert_eq!(rename(&world, &access, Some("*"), "Eve").await.problem(), (401, "unauthenticated"));
    assert_eq!(world.post("login", &credentials(EMAIL, PASSWORD)).await.status, 401);
}
