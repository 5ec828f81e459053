use serde_json::json;

use crate::world::{World, credentials, registration};

#[tokio::test]
async fn a_new_account_is_answered_with_tokens_that_the_verifier_accepts() {
    let world = World::new().await;
    let answer = world.post("register", &registration()).await;
    assert_eq!(
        (answer.status.as_u16(), &answer.body["expires_in"], &answer.body["token_type"]),
        (201, &600.into(), &"Bearer".into())
    );
    let principal = world.key.verifier().verify(answer.body["access_token"].as_str().unwrap()).await.unwrap();
    assert_eq!(
        (principal.user_id.to_string().as_str(), principal.scope.as_str()),
        (answer.body["user"]["id"].as_str().unwrap(), "shop")
    );
    assert!(answer.body["user"].get("password_hash").is_none());
}

#[tokio::test]
async fn an_address_has_one_account_whatever_its_case() {
    let world = World::with_ada().await;
    let again = json!({ "email": "ADA@shop.example", "password": "another-password", "name": "Eve" });
    assert_eq!(world.post("register", &again).await.problem(), (409, "email-taken"));
    assert_eq!(world.post("login", &credentials("Ada@Shop.Example", "correct-horse-battery")).await.status, 200);
}

#[tokio::test]
async fn ten_at_once_with_one_address_make_one_account() {
    let world = World::new().await;
    let wanted = registration();
    let answers = futures_util::future::join_all((0..10).map(|_| world.post("register", &wanted))).await;
    let made = answers.iter().filter(|answer| answer.status == 201).count();
    let taken = answers.iter().filter(|answer| answer.status == 409).count();
    assert_eq!((made, taken), (1, 9));
}

#[tokio::test]
async fn every_broken_rule_is_named_at_once() {
    let world = World::new().await;
    let answer = world.post("register", &json!({ "email": "nobody", "password": "short", "name": "" })).await;
    assert_eq!(answer.problem(), (422, "validation-failed"));
    let pointers: Vec<_> = answer.body["errors"].as_array().unwrap().iter().map(|error| &error["pointer"]).collect();
    assert_eq!(pointers, ["/email", "/password", "/name"]);
}
