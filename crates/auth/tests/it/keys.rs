//! The key set that other services verify by.

use axum::Router;
use axum::body::Body;
use forebay_auth::{AUDIENCE, ISSUER, SigningKey};
use forebay_platform::identity::Verifier;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::client::{Answer, request, send};
use crate::world::{EMAIL, PASSWORD, World, credentials};

const PATH: &str = "/.well-known/jwks.json";

async fn fetched(world: &World, if_none_match: Option<&str>) -> Answer {
    let builder = if_none_match.into_iter().fold(request("GET", PATH), |all, tag| all.header("if-none-match", tag));
    send(&world.router, builder.body(Body::empty()).unwrap()).await
}

async fn access_token(world: &World) -> String {
    let answer = world.post("login", &credentials(EMAIL, PASSWORD)).await;
    answer.body["access_token"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn the_key_set_holds_public_parts_alone_and_may_be_cached() {
    let world = World::new().await;
    let answer = fetched(&world, None).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("content-type"), "application/jwk-set+json");
    assert_eq!(answer.header("cache-control"), "public, max-age=300");
    assert!(answer.header("etag").starts_with('"'), "strong: {answer:?}");
    let keys = answer.body["keys"].as_array().unwrap();
    assert_eq!(keys.len(), 1);
    let named: Vec<_> = keys[0].as_object().unwrap().keys().collect();
    assert_eq!(named, ["alg", "crv", "kid", "kty", "use", "x"], "and no `d`");
}

#[tokio::test]
async fn a_key_is_written_as_in_rfc_8037() {
    // Appendix A.1 and A.2.
    let seed = [
        0x9d, 0x61, 0xb1, 0x9d, 0xef, 0xfd, 0x5a, 0x60, 0xba, 0x84, 0x4a, 0xf4, 0x92, 0xec, 0x2c, 0xc4, 0x44, 0x49,
        0xc5, 0x69, 0x7b, 0x32, 0x69, 0x19, 0x70, 0x3b, 0xac, 0x03, 0x1c, 0xae, 0x7f, 0x60,
    ];
    let mut world = World::new().await;
    world.sign_with(SigningKey::from_seed(seed));
    let key = &fetched(&world, None).await.body["keys"][0];
    assert_eq!((&key["kty"], &key["crv"]), (&"OKP".into(), &"Ed25519".into()));
    assert_eq!(key["x"], "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo");
}

#[tokio::test]
async fn who_has_the_key_set_is_told_so() {
    let world = World::new().await;
    let tag = fetched(&world, None).await.header("etag").to_owned();
    for known in [tag.clone(), format!("\"other\", W/{tag}"), "*".to_owned()] {
        let answer = fetched(&world, Some(&known)).await;
        assert_eq!((answer.status.as_u16(), &answer.body), (304, &Value::Null), "{known}");
        assert_eq!((answer.header("etag"), answer.header("cache-control")), (&*tag, "public, max-age=300"));
    }
    assert_eq!(fetched(&world, Some("\"other\"")).await.status, 200);
}

#[tokio::test]
async fn a_rotation_publishes_both_keys_and_logs_nobody_out() {
    let mut world = World::with_ada().await;
    let old = world.key.clone();
    let (before, tag) = (access_token(&world).await, fetched(&world, None).await.header("etag").to_owned());
    world.sign_with(SigningKey::from_seed([8; 32]).also_accepting(old.clone()));
    let after = access_token(&world).await;
    let answer = fetched(&world, Some(&tag)).await;
    assert_eq!((answer.status.as_u16(), answer.body["keys"].as_array().unwrap().len()), (200, 2));
    for token in [&before, &after] {
        world.key.verifier().verify(token).await.unwrap();
    }
    assert!(old.verifier().verify(&after).await.is_err(), "the new key signs");
    assert!(
        SigningKey::from_seed([8; 32]).verifier().verify(&before).await.is_err(),
        "the old key is not accepted unasked"
    );
}

#[tokio::test]
async fn a_key_that_accepts_itself_is_published_once() {
    let mut world = World::new().await;
    world.sign_with(world.key.clone().also_accepting(world.key.clone()));
    assert_eq!(fetched(&world, None).await.body["keys"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn the_key_set_is_had_while_no_lease_is() {
    let world = World::new().await;
    world.pool.close().await;
    let refused = world.post("login", &credentials(EMAIL, PASSWORD)).await;
    assert_eq!(refused.status, 503);
    assert_eq!(fetched(&world, None).await.status, 200);
}

#[tokio::test]
async fn other_methods_are_refused() {
    let world = World::new().await;
    let posted = request("POST", PATH).body(Body::empty()).unwrap();
    let answer = send(&world.router, posted).await;
    assert_eq!(answer.problem(), (405, "method-not-allowed"));
    assert_eq!(answer.header("allow"), "GET,HEAD");
}

/// Serves on a socket until it is aborted.
fn listening(listener: TcpListener, router: Router) -> JoinHandle<()> {
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() })
}

#[tokio::test]
async fn another_service_verifies_by_the_key_set_through_a_rotation_and_while_this_one_is_away() {
    let mut world = World::with_ada().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let verifier = Verifier::remote(ISSUER, AUDIENCE, format!("http://{address}{PATH}").parse().unwrap());
    tokio::spawn(verifier.clone().keep_fresh());
    let first = listening(listener, world.router.clone());
    let before = access_token(&world).await;
    verifier.verify(&before).await.unwrap();

    first.abort();
    assert!(first.await.unwrap_err().is_cancelled());
    verifier.verify(&before).await.unwrap();

    world.sign_with(SigningKey::from_seed([8; 32]).also_accepting(world.key.clone()));
    let second = listening(TcpListener::bind(address).await.unwrap(), world.router.clone());
    let after = access_token(&world).await;
    verifier.verify(&after).await.unwrap();
    verifier.verify(&before).await.unwrap();
    second.abort();
}
