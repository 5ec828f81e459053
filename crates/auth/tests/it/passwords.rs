//! Which passwords are taken, how they are changed, and how their hashes are.

use serde_json::{Value, json};

use crate::client::Answer;
use crate::world::{EMAIL, LoggedIn, PASSWORD, World, credentials};

const NEW: &str = "a quiet kettle sings";

async fn change(world: &World, bearer: &str, current: &str, new: &str) -> Answer {
    world.ask("PUT", "/v1/me/password", bearer, Some(&json!({ "current": current, "new": new }))).await
}

async fn hash(world: &World) -> String {
    use sqlx::Connection as _;
    let mut connection = sqlx::PgConnection::connect_with(&world.database.options()).await.unwrap();
    sqlx::query_scalar("select password_hash from auth.users").fetch_one(&mut connection).await.unwrap()
}

#[tokio::test]
async fn a_new_password_takes_the_place_of_the_old_and_ends_all_other_sessions() {
    let world = World::with_ada().await;
    let (here, there) = (world.log_in().await, world.log_in().await);
    let answer = change(&world, &here.access, PASSWORD, NEW).await;
    assert_eq!((answer.status.as_u16(), &answer.body), (204, &Value::Null), "{answer:?}");
    assert_eq!(world.get("/v1/me", &there.access).await.problem(), (401, "unauthenticated"));
    assert_eq!(world.refresh(&there.refresh).await.problem(), (401, "refresh-token-invalid"));
    assert_eq!(world.get("/v1/me", &here.access).await.status, 200);
    assert_eq!(world.refresh(&here.refresh).await.status, 200);
    assert_eq!(world.post("login", &credentials(EMAIL, PASSWORD)).await.problem(), (401, "invalid-credentials"));
    assert_eq!(world.post("login", &credentials(EMAIL, NEW)).await.status, 200);
}

#[tokio::test]
async fn whoever_does_not_know_the_current_password_changes_nothing() {
    let world = World::with_ada().await;
    let (here, there) = (world.log_in().await, world.log_in().await);
    for wrong in ["wrong-password", &"x".repeat(500)] {
        assert_eq!(change(&world, &here.access, wrong, NEW).await.problem(), (401, "invalid-credentials"));
    }
    assert_eq!(world.get("/v1/me", &there.access).await.status, 200);
    assert_eq!(world.post("login", &credentials(EMAIL, PASSWORD)).await.status, 200);
}

#[tokio::test]
async fn of_ten_changes_at_once_one_is_made() {
    let world = World::with_ada().await;
    let here = world.log_in().await;
    let wanted: Vec<_> = (0..10).map(|number| format!("{NEW} {number}")).collect();
    let changes = wanted.iter().map(|new| change(&world, &here.access, PASSWORD, new));
    let answers = futures_util::future::join_all(changes).await;
    let made: Vec<_> = answers.iter().zip(&wanted).filter(|(answer, _)| answer.status == 204).collect();
    assert_eq!(made.len(), 1, "{answers:?}");
    assert_eq!(world.post("login", &credentials(EMAIL, made[0].1)).await.status, 200);
}

#[tokio::test]
async fn a_password_that_is_easily_guessed_is_refused() {
    let world = World::with_ada().await;
    let here = world.log_in().await;
    for weak in
        ["password", "PASSWORD", "12345678", "        ", "Ada@Shop.Example", "forebay1", "short", &"x".repeat(129)]
    {
        let wanted = json!({ "email": "bob.builder@shop.example", "password": weak, "name": "Bob" });
        let answer = world.post("register", &wanted).await;
        let pointer = &answer.body["errors"][0]["pointer"];
        if weak != "Ada@Shop.Example" {
            assert_eq!((answer.problem(), pointer), ((422, "validation-failed"), &json!("/password")), "{weak:?}");
        }
        let answer = change(&world, &here.access, PASSWORD, weak).await;
        let pointer = &answer.body["errors"][0]["pointer"];
        assert_eq!((answer.problem(), pointer), ((422, "validation-failed"), &json!("/new")), "{weak:?}");
    }
    let own = json!({ "email": "bob.builder@shop.example", "password": "Bob.Builder", "name": "Bob" });
    assert_eq!(world.post("register", &own).await.problem(), (422, "validation-failed"));
}

#[tokio::test]
async fn a_password_is_the_same_however_its_letters_are_composed() {
    let world = World::new().await;
    let wanted = json!({ "email": EMAIL, "password": "\u{e9}t\u{e9}-quiet-kettle", "name": "Ada" });
    assert_eq!(world.post("register", &wanted).await.status, 201);
    let decomposed = "e\u{301}te\u{301}-quiet-kettle";
    assert_eq!(world.post("login", &credentials(EMAIL, decomposed)).await.status, 200);
}

#[tokio::test]
async fn a_good_login_renews_a_hash_of_other_parameters() {
    let world = World::with_ada().await;
    // Of correct-horse-battery, with 4 MiB and three passes.
    world.set_weak_hash().await;
    let old = hash(&world).await;
    assert!(old.contains("m=4096,t=3"), "{old}");
    assert_eq!(world.post("login", &credentials(EMAIL, "wrong-password")).await.status, 401);
    assert_eq!(hash(&world).await, old, "only whoever knows the password has it renewed");
    assert_eq!(world.post("login", &credentials(EMAIL, PASSWORD)).await.status, 200);
    let renewed = hash(&world).await;
    assert!(renewed.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{renewed}");
    assert_eq!(world.post("login", &credentials(EMAIL, PASSWORD)).await.status, 200);
    assert_eq!(hash(&world).await, renewed, "once");
}

#[tokio::test]
async fn a_hash_of_the_letters_as_they_were_typed_is_renewed() {
    let world = World::with_ada().await;
    world.set_hash_of("e\u{301}te\u{301}-quiet-kettle").await;
    let old = hash(&world).await;
    let composed = credentials(EMAIL, "\u{e9}t\u{e9}-quiet-kettle");
    assert_eq!(world.post("login", &composed).await.status, 401, "it was another password then");
    assert_eq!(world.post("login", &credentials(EMAIL, "e\u{301}te\u{301}-quiet-kettle")).await.status, 200);
    assert_ne!(hash(&world).await, old);
    assert_eq!(world.post("login", &composed).await.status, 200);
}

#[tokio::test]
async fn an_account_is_found_by_any_spelling_of_its_address_and_by_no_other() {
    let world = World::new().await;
    let wanted = json!({ "email": "Ren\u{e9}@b\u{fc}cher.example", "password": PASSWORD, "name": "R" });
    let made = world.post("register", &wanted).await;
    assert_eq!((made.status.as_u16(), &made.body["user"]["email"]), (201, &wanted["email"]), "as it was typed");
    for same in ["rene\u{301}@B\u{dc}CHER.example", "REN\u{c9}@xn--bcher-kva.example"] {
        assert_eq!(world.post("login", &credentials(same, PASSWORD)).await.status, 200, "{same}");
        let again = json!({ "email": same, "password": PASSWORD, "name": "R" });
        assert_eq!(world.post("register", &again).await.problem(), (409, "email-taken"), "{same}");
    }
    let other = LoggedIn::from(
        &world.post("register", &json!({ "email": "k1@shop.example", "password": PASSWORD, "name": "K" })).await,
    );
    assert_eq!(world.get("/v1/me", &other.access).await.status, 200);
    let kelvin = "\u{212a}1@shop.example";
    assert_eq!(world.post("login", &credentials(kelvin, PASSWORD)).await.problem(), (401, "invalid-credentials"));
    let refused = world.post("register", &json!({ "email": kelvin, "password": PASSWORD, "name": "K" })).await;
    assert_eq!(
        (refused.problem(), &refused.body["errors"][0]["pointer"]),
        ((422, "validation-failed"), &json!("/email"))
    );
}
