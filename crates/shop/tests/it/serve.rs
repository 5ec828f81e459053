//! One service alone: what it waits for, what it serves, what it needs.

use forebay_embedded::testing::{TestDatabase, database};
use forebay_shop::{Scale, migrate, seed};
use rustix::process::Signal;
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::Child,
};

use crate::process::{LIMIT, Shop, home, run, service, shop};

/// A database that is migrated and filled.
pub(crate) async fn filled() -> TestDatabase {
    let database = database().await;
    let options = database.options();
    migrate(&options).await.unwrap();
    seed(&options, Scale::Small, |_| {}).await.unwrap();
    database
}

/// Reads what it says on standard output up to a line with `part` in it.
async fn says(child: &mut Child, part: &str) {
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let reading = async {
        while let Some(line) = lines.next_line().await.unwrap() {
            if line.contains(part) {
                return;
            }
        }
        panic!("it ended and did not say {part:?}");
    };
    tokio::time::timeout(LIMIT, reading).await.expect("it says so in time");
    child.stdout = Some(lines.into_inner().into_inner());
}

#[tokio::test]
async fn three_services_in_three_processes_are_one_shop() {
    let (home, database) = (home(), filled().await);
    let open = |name, settings: Vec<(&'static str, String)>| {
        let settings: Vec<_> = settings.iter().map(|(name, value)| (*name, value.as_str())).collect();
        Shop::start(home.path(), service(home.path(), name, database.url(), &settings))
    };
    let auth = open("auth", Vec::new()).await;
    let jwks = format!("http://{}/.well-known/jwks.json", auth.address);
    let (catalog, checkout) = tokio::join!(
        open("catalog", Vec::new()),
        open("checkout", vec![("FOREBAY_JWKS_URL", jwks), ("FOREBAY_PAYMENT_LATENCY_MS", "0".to_owned())])
    );

    let (status, page) = catalog.http.text("/v1/products?limit=1").await.unwrap();
    assert!(status == 200 && page.contains("next_cursor"), "{page}");
    let token = auth.http.register("apart").await.unwrap();
    let cart = checkout.http.cart_of("SKU-000001").await.unwrap();
    let (status, order) = checkout.http.order(&token, &cart).await.unwrap();
    assert_eq!((status.as_u16(), order["status"].as_str()), (201, Some("paid")), "{order}");

    for (one, others) in [(&catalog, "/v1/auth/login"), (&auth, "/v1/carts"), (&checkout, "/v1/products")] {
        let (status, problem) = one.http.text(others).await.unwrap();
        assert!(status == 404 && problem.contains("\"not-found\""), "{others}: {status} {problem}");
    }
    for one in [catalog, checkout, auth] {
        one.send(Signal::TERM);
        let (status, said) = one.ended().await;
        assert!(status.success() && said.ends_with("stopped\n"), "{said}");
    }
    assert!(home.path().join("data/signing-key.pem").exists(), "auth made its key");
}

#[tokio::test]
async fn a_service_waits_until_somebody_has_migrated() {
    let (home, database) = (home(), database().await);
    let mut child = service(home.path(), "catalog", database.url(), &[]).spawn().unwrap();
    says(&mut child, "waiting for the schema").await;
    migrate(&database.options()).await.unwrap();
    says(&mut child, "catalog is open").await;
    assert!(!home.path().join("data").exists(), "it needs no folder");
}

#[tokio::test]
async fn a_signal_ends_the_waiting() {
    let home = home();
    let mut child = service(home.path(), "catalog", "postgres://me@127.0.0.1:1/shop", &[]).spawn().unwrap();
    says(&mut child, "waiting for the database at 127.0.0.1:1").await;
    let pid = rustix::process::Pid::from_raw(i32::try_from(child.id().unwrap()).unwrap()).unwrap();
    rustix::process::kill_process(pid, Signal::TERM).unwrap();
    says(&mut child, "stopped before it was up").await;
    assert!(tokio::time::timeout(LIMIT, child.wait()).await.unwrap().unwrap().success());
}

#[tokio::test]
async fn waiting_in_vain_ends_with_what_to_do() {
    let (home, database) = (home(), database().await);
    let soon = [("FOREBAY_START_WAIT_MS", "400")];
    let (status, _, err) = run(service(home.path(), "auth", database.url(), &soon)).await;
    assert_eq!(status.code(), Some(1));
    assert!(err.contains("migrations were not applied within 0.4 s") && err.contains("`shop migrate`"), "{err}");

    let nowhere = "postgres://me:change-me-topsecret@127.0.0.1:1/shop";
    let (status, out, err) = run(service(home.path(), "auth", nowhere, &soon)).await;
    assert_eq!(status.code(), Some(1));
    assert!(err.contains("127.0.0.1:1 did not answer within 0.4 s") && err.contains("DATABASE_URL"), "{err}");
    assert!(out.contains("a published example password or token is in use"), "{out}");
    assert!(!out.contains("topsecret") && !err.contains("topsecret"), "{out}{err}");
}

#[tokio::test]
async fn what_a_service_needs_is_named_with_an_example() {
    let home = home();
    let mut command = shop(home.path(), &[("FOREBAY_POOL_MAX", "1")]);
    command.args(["serve", "checkout"]);
    let (status, _, err) = run(command).await;
    assert_eq!(status.code(), Some(2));
    for part in ["settings are wrong", "DATABASE_URL=postgres://", "FOREBAY_JWKS_URL=http://", "FOREBAY_POOL_MAX=12"] {
        assert!(err.contains(part), "{part}: {err}");
    }
}
