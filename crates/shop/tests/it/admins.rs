//! `shop admin`, beside a shop that runs and without one.

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use forebay_embedded::testing::database;
use rustix::process::Signal;
use serde_json::{Value, json};
use tokio::process::Command;

use crate::client::Http;
use crate::process::{Shop, home, nobody_left, run, shop};

/// An account of the seed.
const EMAIL: &str = "user00001@example.test";

/// An account that runs a shop that is open.
#[derive(Clone, Debug)]
pub(crate) struct Administrator {
    email: String,
    http: Http,
}

impl Administrator {
    /// Registers one, and gives it the right.
    pub(crate) async fn of(open: &Shop, home: &Path) -> Self {
        let email = "the.admin@example.test".to_owned();
        open.http.register("the.admin").await.expect("the shop answers");
        said(admin(shop(home, &[]), &["grant", &email])).await;
        Self { email, http: open.http.clone() }
    }

    /// An access token; none where the shop gives none at the moment.
    pub(crate) async fn token(&self) -> Option<String> {
        let credentials = json!({ "email": self.email, "password": "correct-horse-battery" });
        let (_, tokens) = self.http.post("/v1/auth/login", &[], credentials).await?;
        tokens["access_token"].as_str().map(str::to_owned)
    }
}

fn admin(mut shop: Command, words: &[&str]) -> Command {
    shop.arg("admin").args(words);
    shop
}

/// What its access token permits after a login.
async fn scope(shop: &Shop) -> String {
    let credentials = json!({ "email": EMAIL, "password": "correct-horse-battery" });
    let (status, tokens) = shop.http.post("/v1/auth/login", &[], credentials).await.unwrap();
    assert_eq!(status, 200, "{tokens}");
    let claims = tokens["access_token"].as_str().unwrap().split('.').nth(1).unwrap();
    let claims: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).unwrap()).unwrap();
    claims["scope"].as_str().unwrap().to_owned()
}

async fn said(command: Command) -> String {
    let (status, out, err) = run(command).await;
    assert!(status.success(), "{out}{err}");
    out
}

async fn complained(command: Command) -> String {
    let (status, out, err) = run(command).await;
    assert_eq!(status.code(), Some(1), "{out}{err}");
    err
}

#[tokio::test]
async fn the_first_admin_is_made_beside_the_shop_that_runs_and_stays_one_when_it_does_not() {
    let home = home();
    let running = Shop::open(home.path(), &[]).await;
    let order = |words: &[&str]| admin(shop(home.path(), &[]), words);
    assert!(said(order(&["list"])).await.contains("nobody runs the shop yet"));
    assert_eq!(scope(&running).await, "shop");
    assert!(said(order(&["grant", EMAIL])).await.contains("user00001@example.test runs the shop from now on"));
    assert!(said(order(&["grant", EMAIL])).await.contains("runs the shop already"));
    assert_eq!(scope(&running).await, "shop admin");
    assert!(complained(order(&["grant", "nobody@example.test"])).await.contains("register it first"));
    assert!(complained(order(&["grant", "nobody"])).await.contains("is no e-mail address"));
    running.send(Signal::TERM);
    assert!(running.ended().await.0.success());

    let listed = said(order(&["list"])).await;
    assert!(listed.contains(EMAIL) && listed.contains("starting Postgres"), "{listed}");
    assert!(said(order(&["revoke", EMAIL])).await.contains("is a customer from now on"));
    assert!(said(order(&["list"])).await.contains("nobody runs the shop yet"));
    nobody_left(home.path()).await;
}

#[tokio::test]
async fn an_admin_is_made_in_a_database_that_runs_elsewhere_once_it_has_the_schema() {
    let (home, database) = (home(), database().await);
    let settings = [("DATABASE_URL", database.url())];
    let order = |words: &[&str]| admin(shop(home.path(), &settings), words);
    let mut seed = shop(home.path(), &settings);
    seed.arg("seed");
    said(seed).await;
    said(order(&["grant", EMAIL])).await;
    assert!(said(order(&["list"])).await.contains(EMAIL));
    assert!(!home.path().join("data/pg").exists(), "nothing of its own was started");
}

#[tokio::test]
async fn where_no_shop_ever_was_none_is_made_for_it() {
    let home = home();
    assert!(complained(admin(shop(home.path(), &[]), &["list"])).await.contains("there is no shop in"));
    assert!(!home.path().join("data/pg").exists());
}
