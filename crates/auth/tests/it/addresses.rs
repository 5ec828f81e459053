//! The addresses that a user keeps.

use serde_json::{Value, json};

use crate::world::{LoggedIn, World};

const PATH: &str = "/v1/me/addresses";

fn address(name: &str) -> Value {
    json!({ "name": name, "line1": "1 Quay", "city": "Ulm", "postal_code": "89073", "country": "DE" })
}

#[tokio::test]
async fn an_address_is_kept_read_replaced_and_removed() {
    let world = World::with_ada().await;
    let ada = world.log_in().await.access;
    let made = world.ask("POST", PATH, &ada, Some(&address("Ada"))).await;
    assert_eq!(made.status, 201, "{made:?}");
    let place = made.header("location").to_owned();
    assert_eq!(place, format!("{PATH}/{}", made.body["id"].as_str().unwrap()));
    assert_eq!(world.get(&place, &ada).await.body, made.body);
    assert_eq!(world.get(PATH, &ada).await.body, json!([made.body]));

    let mut wanted = address("Ada L.");
    wanted["line2"] = "Floor 2".into();
    let replaced = world.ask("PUT", &place, &ada, Some(&wanted)).await;
    assert_eq!((replaced.status.as_u16(), &replaced.body["line2"]), (200, &json!("Floor 2")));
    assert_eq!(world.get(&place, &ada).await.body, replaced.body);

    assert_eq!(world.ask("DELETE", &place, &ada, None).await.status, 204);
    for (method, body) in [("GET", None), ("PUT", Some(&wanted)), ("DELETE", None)] {
        assert_eq!(world.ask(method, &place, &ada, body).await.problem(), (404, "not-found"), "{method}");
    }
    assert_eq!(world.get(PATH, &ada).await.body, json!([]));
}

#[tokio::test]
async fn addresses_of_others_are_not_there() {
    let world = World::with_ada().await;
    let ada = world.log_in().await.access;
    let eve = json!({ "email": "eve@shop.example", "password": "another-password", "name": "Eve" });
    let eve = LoggedIn::from(&world.post("register", &eve).await).access;
    let place = world.ask("POST", PATH, &ada, Some(&address("Ada"))).await.header("location").to_owned();
    for (method, body) in [("GET", None), ("PUT", Some(&address("Eve"))), ("DELETE", None)] {
        assert_eq!(world.ask(method, &place, &eve, body).await.problem(), (404, "not-found"), "{method}");
    }
    assert_eq!(world.get(PATH, &eve).await.body, json!([]));
    assert_eq!(world.get(&place, &ada).await.body["name"], "Ada");
}

#[tokio::test]
async fn an_account_holds_fifty_also_when_many_come_at_once() {
    let world = World::with_ada().await;
    let ada = world.log_in().await.access;
    let wanted = address("Ada");
    for _ in 0..45 {
        assert_eq!(world.ask("POST", PATH, &ada, Some(&wanted)).await.status, 201);
    }
    let answers = futures_util::future::join_all((0..10).map(|_| world.ask("POST", PATH, &ada, Some(&wanted)))).await;
    let refused: Vec<_> = answers.iter().filter(|answer| answer.status != 201).collect();
    assert_eq!(refused.len(), 5);
    assert!(refused.iter().all(|answer| answer.problem() == (422, "validation-failed")));
    assert_eq!(world.get(PATH, &ada).await.body.as_array().unwrap().len(), 50);
}
