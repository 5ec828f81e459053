//! Who runs the shop, and what their tokens say.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use forebay_auth::admins::{self, AdminError, Change};
use forebay_platform::db::Db;
use forebay_platform::identity::Verifier;
use serde_json::{Value, json};

use crate::client::{json as with_json, request, send};
use crate::world::{EMAIL, LoggedIn, PASSWORD, World, credentials};

fn db(world: &World) -> Db {
    Db::forebay(world.pool.clone())
}

/// What an access token permits.
fn scope(token: &str) -> String {
    let claims = token.split('.').nth(1).unwrap();
    let claims: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).unwrap()).unwrap();
    claims["scope"].as_str().unwrap().to_owned()
}

async fn refused_within_five_seconds(verifier: &Verifier, token: &str) {
    let refused = async {
        while verifier.verify(token).await.is_ok() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(5), refused).await.unwrap();
}

#[tokio::test]
async fn an_admin_has_the_scope_from_the_next_token_on() {
    let world = World::with_ada().await;
    let before = world.log_in().await;
    assert_eq!(scope(&before.access), "shop");
    assert_eq!(admins::grant(&db(&world), "ADA@Shop.example").await.unwrap(), Change::Made);
    assert_eq!(admins::grant(&db(&world), EMAIL).await.unwrap(), Change::None);
    assert_eq!(scope(&world.log_in().await.access), "shop admin");
    let refreshed = LoggedIn::from(&world.refresh(&before.refresh).await);
    assert_eq!(scope(&refreshed.access), "shop admin");
    let principal = world.state.verifier().verify(&refreshed.access).await.unwrap();
    assert!(principal.is_admin());
    let listed: Vec<_> = admins::list(&db(&world)).await.unwrap().into_iter().map(|admin| admin.email).collect();
    assert_eq!(listed, [EMAIL]);
}

#[tokio::test]
async fn whoever_is_no_admin_any_more_has_no_token_that_says_so_within_five_seconds() {
    let world = World::with_ada().await;
    admins::grant(&db(&world), EMAIL).await.unwrap();
    let (admin, replica) = (world.log_in().await, world.replica());
    tokio::spawn(forebay_auth::keep_told(replica.clone()));
    assert!(replica.verifier().verify(&admin.access).await.unwrap().is_admin());
    assert_eq!(admins::revoke(&db(&world), EMAIL).await.unwrap(), Change::Made);
    refused_within_five_seconds(&replica.verifier(), &admin.access).await;
    assert_eq!(world.refresh(&admin.refresh).await.problem(), (401, "refresh-token-invalid"));
    assert_eq!(scope(&world.log_in().await.access), "shop");
    assert_eq!(admins::revoke(&db(&world), EMAIL).await.unwrap(), Change::None);
    assert!(admins::list(&db(&world)).await.unwrap().is_empty());
}

#[tokio::test]
async fn of_logins_and_refreshes_during_a_revocation_no_session_stays_that_has_a_token_of_an_admin() {
    let world = World::with_ada().await;
    admins::grant(&db(&world), EMAIL).await.unwrap();
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..16 {
        let (router, refresh) = (world.router.clone(), world.login().await);
        let (path, body) = if number % 2 == 0 {
            ("login", credentials(EMAIL, PASSWORD))
        } else {
            ("refresh", json!({ "refresh_token": refresh }))
        };
        tasks.spawn(async move { send(&router, with_json(request("POST", &format!("/v1/auth/{path}")), &body)).await });
    }
    let pool = Db::forebay(world.pool.clone());
    let (revoked, answers) = tokio::join!(admins::revoke(&pool, EMAIL), tasks.join_all());
    assert_eq!(revoked.unwrap(), Change::Made);
    let replica = world.replica();
    tokio::spawn(forebay_auth::keep_told(replica.clone()));
    for answer in answers.iter().filter(|answer| answer.status == 200) {
        let access = answer.body["access_token"].as_str().unwrap();
        if scope(access) == "shop admin" {
            refused_within_five_seconds(&replica.verifier(), access).await;
        }
    }
}

#[tokio::test]
async fn what_cannot_be_granted_says_why_and_changes_nothing() {
    let world = World::with_ada().await;
    let refused = admins::grant(&db(&world), "nobody@shop.example").await.unwrap_err();
    assert!(
        matches!(refused, AdminError::NoAccount(_)) && refused.to_string().contains("register it first"),
        "{refused}"
    );
    for wrong in ["", "ada", "ada@shop.example ", "' or true --"] {
        assert!(matches!(admins::grant(&db(&world), wrong).await, Err(AdminError::NoAddress(..))), "{wrong}");
    }
    world.execute("update auth.users set disabled_at = now()").await;
    assert!(matches!(admins::grant(&db(&world), EMAIL).await, Err(AdminError::Disabled(_))));
    assert_eq!(world.count("select count(*) from auth.users where role = 'admin'").await, 0);
    assert_eq!(world.count("select count(*) from audit.log").await, 0);
}

#[tokio::test]
async fn each_change_has_one_line_in_the_audit_log() {
    let world = World::with_ada().await;
    admins::grant(&db(&world), EMAIL).await.unwrap();
    admins::grant(&db(&world), EMAIL).await.unwrap();
    admins::revoke(&db(&world), EMAIL).await.unwrap();
    let granted = "select count(*) from audit.log l join auth.users u on u.id::text = l.object_id \
         where actor is null and operator = 'operator' and action = 'admin.grant' and object_kind = 'user' \
         and before = '{\"role\": \"customer\"}' and after = '{\"role\": \"admin\"}'";
    assert_eq!((world.count(granted).await, world.count("select count(*) from audit.log").await), (1, 2));
}

#[tokio::test]
async fn nobody_becomes_an_admin_by_registering() {
    let world = World::new().await;
    let wanted = json!({ "email": EMAIL, "password": PASSWORD, "name": "Ada", "role": "admin" });
    assert_eq!(world.post("register", &wanted).await.problem(), (422, "validation-failed"));
    let wanted = json!({ "email": EMAIL, "password": PASSWORD, "name": "Ada", "scope": "shop admin" });
    assert_eq!(world.post("register", &wanted).await.problem(), (422, "validation-failed"));
}
