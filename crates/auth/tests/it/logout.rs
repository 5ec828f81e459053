//! Sessions that end, here and as others hear of it.

use std::time::Duration;

use forebay_auth::{AUDIENCE, ISSUER};
use forebay_platform::identity::Verifier;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::client::{request, send};
use crate::world::{EMAIL, LoggedIn, PASSWORD, World, credentials};

const LIST: &str = "/.well-known/revoked-sessions.json";

async fn logged_out(world: &World, path: &str, bearer: &str) {
    let answer = world.ask("POST", &format!("/v1/auth/{path}"), bearer, None).await;
    assert_eq!((answer.status.as_u16(), &answer.body), (204, &Value::Null), "{answer:?}");
}

/// Both tokens of a session that has ended are refused.
async fn assert_over(world: &World, session: &LoggedIn) {
    let answer = world.get("/v1/me", &session.access).await;
    assert_eq!(answer.problem(), (401, "unauthenticated"));
    assert_eq!(answer.header("www-authenticate"), "Bearer realm=\"forebay\", error=\"invalid_token\"");
    assert_eq!(world.refresh(&session.refresh).await.problem(), (401, "refresh-token-invalid"));
}

async fn assert_alive(world: &World, session: &LoggedIn) {
    assert_eq!(world.get("/v1/me", &session.access).await.status, 200);
    assert_eq!(world.refresh(&session.refresh).await.status, 200);
}

/// Waits until a verifier refuses a token, no longer than what is promised.
async fn refused(verifier: &Verifier, token: &str) {
    let refused = async {
        while verifier.verify(token).await.is_ok() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(5), refused).await.unwrap();
}

#[tokio::test]
async fn a_logout_ends_one_session_at_once() {
    let world = World::with_ada().await;
    let (here, there) = (world.log_in().await, world.log_in().await);
    logged_out(&world, "logout", &here.access).await;
    assert_over(&world, &here).await;
    assert_alive(&world, &there).await;
}

#[tokio::test]
async fn a_logout_of_all_ends_all_of_one_user() {
    let world = World::with_ada().await;
    let eve = json!({ "email": "eve@shop.example", "password": "another-password", "name": "Eve" });
    let eve = LoggedIn::from(&world.post("register", &eve).await);
    let (here, there) = (world.log_in().await, world.log_in().await);
    logged_out(&world, "logout-all", &here.access).await;
    assert_over(&world, &here).await;
    assert_over(&world, &there).await;
    assert_alive(&world, &eve).await;
}

#[tokio::test]
async fn a_session_is_listed_with_its_client_and_can_be_ended_from_another() {
    let world = World::with_ada().await;
    let login = request("POST", "/v1/auth/login").header("user-agent", "Tab/1.0");
    let answer = send(&world.router, crate::client::json(login, &credentials(EMAIL, PASSWORD))).await;
    let (here, there) = (world.log_in().await, LoggedIn::from(&answer));
    let listed = world.get("/v1/me/sessions", &here.access).await;
    let listed = listed.body.as_array().unwrap();
    assert_eq!(listed.len(), 3, "with that of the registration");
    let current: Vec<_> = listed.iter().filter(|session| session["current"] == true).collect();
    assert_eq!((current.len(), &current[0]["user_agent"]), (1, &Value::Null));
    let other = listed.iter().find(|session| session["user_agent"] == "Tab/1.0").unwrap();
    assert!(other["created_at"].is_string() && other["last_seen_at"].is_string());

    let path = format!("/v1/me/sessions/{}", other["id"].as_str().unwrap());
    assert_eq!(world.ask("DELETE", &path, &here.access, None).await.status, 204);
    assert_over(&world, &there).await;
    assert_eq!(world.ask("DELETE", &path, &here.access, None).await.problem(), (404, "not-found"), "it has ended");
    assert_alive(&world, &here).await;
    let left = world.get("/v1/me/sessions", &here.access).await;
    assert_eq!(left.body.as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn nobody_ends_or_sees_sessions_of_others() {
    let world = World::with_ada().await;
    let eve = json!({ "email": "eve@shop.example", "password": "another-password", "name": "Eve" });
    let eve = LoggedIn::from(&world.post("register", &eve).await);
    let adas = world.log_in().await;
    let listed = world.get("/v1/me/sessions", &adas.access).await;
    for id in listed.body.as_array().unwrap().iter().map(|session| session["id"].as_str().unwrap()) {
        let path = format!("/v1/me/sessions/{id}");
        assert_eq!(world.ask("DELETE", &path, &eve.access, None).await.problem(), (404, "not-found"));
    }
    assert_eq!(world.get("/v1/me/sessions", &eve.access).await.body.as_array().unwrap().len(), 1);
    assert_alive(&world, &adas).await;
}

#[tokio::test]
async fn an_old_session_that_cannot_be_refreshed_is_not_listed() {
    let world = World::with_ada().await;
    let here = world.log_in().await;
    world.execute("update auth.sessions set last_seen_at = now() - interval '15 days' where id = (select min(id::text)::uuid from auth.sessions)").await;
    assert_eq!(world.get("/v1/me/sessions", &here.access).await.body.as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_reused_refresh_token_takes_the_access_tokens_of_its_session_along() {
    let world = World::with_ada().await;
    let stolen = world.log_in().await;
    let second = LoggedIn::from(&world.refresh(&stolen.refresh).await);
    assert_eq!(world.refresh(&second.refresh).await.status, 200);
    assert_eq!(world.refresh(&stolen.refresh).await.problem(), (401, "refresh-token-reused"));
    for token in [&stolen.access, &second.access] {
        assert_eq!(world.get("/v1/me", token).await.problem(), (401, "unauthenticated"));
    }
}

#[tokio::test]
async fn the_list_holds_ids_alone_and_is_never_cached_unasked() {
    let world = World::with_ada().await;
    let fetched = async |tag: &str| {
        let asked = request("GET", LIST).header("if-none-match", tag).body(axum::body::Body::empty()).unwrap();
        send(&world.router, asked).await
    };
    let before = fetched("\"none\"").await;
    assert_eq!((before.status.as_u16(), &before.body), (200, &json!({ "revoked": [] })));
    assert_eq!(before.header("cache-control"), "no-cache");
    assert_eq!(fetched(before.header("etag")).await.status, 304);
    logged_out(&world, "logout", &world.log_in().await.access).await;
    let after = fetched(before.header("etag")).await;
    assert_eq!((after.status.as_u16(), after.body["revoked"].as_array().unwrap().len()), (200, 1));
}

#[tokio::test]
async fn an_ended_session_is_refused_everywhere_within_five_seconds() {
    let world = World::with_ada().await;
    // Another replica of auth, which publishes what it hears from the database, and a service that verifies by it.
    let replica = world.replica();
    tokio::spawn(forebay_auth::keep_told(replica.clone()));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let keys = format!("http://{}/.well-known/jwks.json", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, forebay_auth::router(replica)).await.unwrap() });
    let verifier = Verifier::remote(ISSUER, AUDIENCE, keys.parse().unwrap());
    tokio::spawn(verifier.clone().keep_fresh());

    let (one, other) = (world.log_in().await, world.log_in().await);
    verifier.verify(&one.access).await.unwrap();
    logged_out(&world, "logout", &one.access).await;
    refused(&verifier, &one.access).await;

    verifier.verify(&other.access).await.unwrap();
    world.execute("update auth.users set disabled_at = now()").await;
    refused(&verifier, &other.access).await;
}

#[tokio::test]
async fn what_was_heard_stays_while_the_issuer_is_away() {
    let world = World::with_ada().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let keys = format!("http://{}/.well-known/jwks.json", listener.local_addr().unwrap());
    let router = world.router.clone();
    let served = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    let verifier = Verifier::remote(ISSUER, AUDIENCE, keys.parse().unwrap());
    tokio::spawn(verifier.clone().keep_fresh());
    let (gone, stays) = (world.log_in().await, world.log_in().await);
    verifier.verify(&gone.access).await.unwrap();
    logged_out(&world, "logout", &gone.access).await;
    refused(&verifier, &gone.access).await;
    served.abort();
    assert!(served.await.unwrap_err().is_cancelled());
    assert!(verifier.verify(&gone.access).await.is_err());
    verifier.verify(&stays.access).await.unwrap();
}

#[tokio::test]
async fn nothing_of_an_account_is_had_without_a_token() {
    let world = World::with_ada().await;
    for (method, path) in [
        ("POST", "/v1/auth/logout"),
        ("POST", "/v1/auth/logout-all"),
        ("GET", "/v1/me"),
        ("GET", "/v1/me/sessions"),
        ("GET", "/v1/me/addresses"),
        ("DELETE", "/v1/me/sessions/0190163d-8694-739b-aea5-966c26f8ad91"),
    ] {
        let asked = request(method, path).body(axum::body::Body::empty()).unwrap();
        assert_eq!(send(&world.router, asked).await.problem(), (401, "unauthenticated"), "{method} {path}");
    }
}
