//! `shop reconcile`, beside a shop that runs and without one.

use std::path::Path;

use forebay_embedded::testing::database;
use forebay_shop::migrate;
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::process::{Shop, home, nobody_left, run, shop};

/// Its exit code, and what it said.
pub(crate) async fn reconcile(
    home: &Path,
    settings: &[(&str, &str)],
    arguments: &[&str],
) -> (Option<i32>, String, String) {
    let mut command = shop(home, settings);
    command.arg("reconcile").args(arguments);
    let (status, out, err) = run(command).await;
    (status.code(), out, err)
}

#[tokio::test]
async fn a_difference_is_found_beside_a_shop_that_runs_and_without_one() {
    let home = home();
    let open = Shop::open(home.path(), &[]).await;
    let token = open.http.register("buyer").await.unwrap();
    let cart = open.http.cart_of("SKU-000002").await.unwrap();
    assert_eq!(open.http.order(&token, &cart).await.unwrap().0, 201);
    let (code, out, err) = reconcile(home.path(), &[], &[]).await;
    assert_eq!((code, &*out), (Some(0), "501 charges and 0 refunds compared, 0 under way: 0 differences\n"), "{err}");

    let planted = "update payment_simulator.charges set amount = amount + 1 where provider_ref like 'sim_%'";
    sqlx::raw_sql(planted).execute(&mut open.database().await).await.unwrap();
    let (code, out, _) = reconcile(home.path(), &[], &[]).await;
    assert!(code == Some(1) && out.contains("amount") && out.contains("1 differences"), "{out}");

    open.send(Signal::TERM);
    assert!(open.ended().await.0.success());
    nobody_left(home.path()).await;
    let (code, out, err) = reconcile(home.path(), &[], &["--json", "--since", "2026-01-01"]).await;
    let found: Value = serde_json::from_str(&out).unwrap_or_else(|_| panic!("nothing but JSON: {out}{err}"));
    let [difference] = found["differences"].as_array().unwrap().as_slice() else { panic!("{found}") };
    assert_eq!((code, &difference["kind"], &difference["what"]), (Some(1), &json!("charge"), &json!("amount")));
    nobody_left(home.path()).await;
}

#[tokio::test]
async fn a_database_that_was_named_is_compared_and_what_cannot_be_told_is_no_difference() {
    let (home, database) = (home(), database().await);
    migrate(&database.options()).await.unwrap();
    let named = [("DATABASE_URL", database.url())];
    let (code, out, err) = reconcile(home.path(), &named, &[]).await;
    assert_eq!((code, &*out), (Some(0), "0 charges and 0 refunds compared, 0 under way: 0 differences\n"), "{err}");
    let nobody = [("DATABASE_URL", "postgres://forebay@127.0.0.1:1/x")];
    for (settings, arguments) in [
        (&named, &["--since", "yesterday"][..]),
        (&named, &["--sinc"]),
        (&nobody, &[]),
        (&[("FOREBAY_PAYMENT_LOST_PERCENT", "101")], &[]),
    ] {
        let (code, out, err) = reconcile(home.path(), settings, arguments).await;
        assert!(code == Some(2) && out.is_empty() && !err.is_empty(), "{settings:?} {arguments:?}: {out}{err}");
    }
}
