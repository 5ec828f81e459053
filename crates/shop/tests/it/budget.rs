//! Processes that share a server open no more connections than it has.

use std::path::Path;

use forebay_embedded::Server;
use forebay_shop::{
    budget::Share,
    claim::{self, ClaimError, Granted},
    migrate,
};
use futures_util::future::join_all;
use rustix::process::Signal;
use serde_json::json;
use sqlx::{AssertSqlSafe, ConnectOptions as _, PgConnection, postgres::PgConnectOptions};

use crate::process::{Shop, eventually, home, nobody_left, run, service, shop};

/// A server with 30 connections, of which 3 are reserved and 3 left to operators: 24 for the shop.
struct Small {
    server: Server,
    observer: PgConnection,
}

impl Small {
    async fn start() -> Self {
        let settings = [("max_connections", "30"), ("max_wal_size", "64MB"), ("shared_buffers", "16MB")];
        let settings = settings.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        let server = Server::start_temporary(settings, |_| {}).await.unwrap();
        let observer = server.url("postgres").parse::<PgConnectOptions>().unwrap().connect().await.unwrap();
        let mut this = Self { server, observer };
        for name in ["one", "two"] {
            sqlx::raw_sql(AssertSqlSafe(format!("CREATE DATABASE {name}"))).execute(&mut this.observer).await.unwrap();
        }
        this
    }

    fn options(&self, database: &str) -> PgConnectOptions {
        claim::options(&self.server.url(database).parse().unwrap())
    }

    async fn ask(&self, database: &str, ceiling: u32) -> Result<Granted, ClaimError> {
        let options = self.options(database);
        let share = Share { process: "catalog", ceiling, beside: 1 };
        Granted::ask(options.connect().await.unwrap(), &options, share).await
    }

    /// As a role that may see no more of others than anybody may.
    async fn ask_as_anybody(&mut self, ceiling: u32) -> Result<Granted, ClaimError> {
        sqlx::raw_sql("CREATE ROLE anybody LOGIN").execute(&mut self.observer).await.unwrap();
        let options = self.options("two").username("anybody");
        let share = Share { process: "auth", ceiling, beside: 1 };
        Granted::ask(options.connect().await.unwrap(), &options, share).await
    }

    /// The names of all sessions of ours that begin with `prefix`, in order.
    async fn sessions(&mut self, prefix: &str) -> Vec<String> {
        let names = "SELECT application_name FROM pg_stat_activity WHERE starts_with(application_name, $1) ORDER BY 1";
        sqlx::query_scalar(names).bind(prefix).fetch_all(&mut self.observer).await.unwrap()
    }

    async fn until_sessions(&mut self, prefix: &str, wanted: &[&str]) {
        let this = tokio::sync::Mutex::new(self);
        eventually(&format!("{prefix}* are {wanted:?}"), || async {
            this.lock().await.sessions(prefix).await == wanted
        })
        .await;
    }

    /// A catalog of its own with a pool of ten, which claims eleven.
    async fn catalog(&self, home: &Path) -> Shop {
        Shop::start(home, self.command(home)).await
    }

    fn command(&self, home: &Path) -> tokio::process::Command {
        service(home, "catalog", &self.server.url("one"), &[("FOREBAY_POOL_MAX", "10")])
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_eight_that_start_at_once_those_get_in_for_whom_there_is_room() {
    let mut small = Small::start().await;
    for round in 0..5 {
        let answers = join_all((0..8).map(|_| small.ask("one", 7))).await;
        let refused = answers.iter().filter_map(|answer| answer.as_ref().err());
        for error in refused {
            assert!(error.to_string().contains("claimed: catalog "), "{error}");
        }
        let granted: Vec<_> = answers.into_iter().filter_map(Result::ok).collect();
        assert_eq!(granted.len(), 3, "round {round}: each wants 8 of 24");
        drop(granted);
        small.until_sessions("forebay", &[]).await;
    }
}

#[tokio::test]
async fn a_claim_is_seen_from_another_database_and_gone_with_its_session() {
    let mut small = Small::start().await;
    let granted = small.ask("one", 12).await.unwrap();
    let refused = small.ask("two", 11).await.unwrap_err().to_string();
    for line in
        ["max_connections 30 - 3 reserved - 3 for operators = 24", "catalog 1 x 13 = 13", "left: 11", "_MAX=10 or less"]
    {
        assert!(refused.contains(line), "{line}: {refused}");
    }
    small.ask("two", 10).await.unwrap();
    drop(granted);
    small.until_sessions("forebay", &[]).await;
    small.ask("two", 23).await.unwrap();
}

#[tokio::test]
async fn a_claim_and_a_strangers_sessions_are_seen_by_any_role() {
    let mut small = Small::start().await;
    let _granted = small.ask("one", 12).await.unwrap();
    let strangers = join_all(
        (0..3).map(|_| async { small.server.url("one").parse::<PgConnectOptions>().unwrap().connect().await.unwrap() }),
    )
    .await;
    let refused = small.ask_as_anybody(10).await.unwrap_err().to_string();
    // Three strangers, and the one who looks on in this test.
    for line in ["- 4 of others = 23", "catalog 1 x 13 = 13", "left: 10"] {
        assert!(refused.contains(line), "{line}: {refused}");
    }
    drop(strangers);
}

#[tokio::test]
async fn a_refused_claim_is_taken_back_before_the_next_looks() {
    let small = Small::start().await;
    for _ in 0..10 {
        small.ask("one", 24).await.unwrap_err();
        drop(small.ask("one", 2).await.unwrap());
    }
}

#[tokio::test]
async fn a_claimant_that_hangs_is_told_of_and_loses_the_lock() {
    let mut small = Small::start().await;
    let mut holder = small.options("one").connect().await.unwrap();
    sqlx::raw_sql("BEGIN; SELECT pg_advisory_xact_lock(5075401084837656833)").execute(&mut holder).await.unwrap();
    let error = small.ask("one", 2).await.unwrap_err();
    assert!(matches!(error, ClaimError::Busy) && error.to_string().contains("pg_locks"), "{error}");
    drop(holder);
    small.until_sessions("forebay", &[]).await;
    small.ask("one", 2).await.unwrap();
}

#[tokio::test]
async fn a_third_process_is_refused_with_the_arithmetic_until_one_is_killed() {
    let (mut small, home) = (Small::start().await, home());
    migrate(&small.options("one")).await.unwrap();
    let (first, _second) = tokio::join!(small.catalog(home.path()), small.catalog(home.path()));
    let (status, _, err) = run(small.command(home.path())).await;
    assert_eq!(status.code(), Some(1));
    for line in
        ["catalog 2 x 11 = 22\n", "left: 2\n", "needed: catalog, FOREBAY_POOL_MAX=10 + 1 beside the pool = 11\n"]
    {
        assert!(err.contains(line), "{line}: {err}");
    }
    first.send(Signal::KILL);
    small.until_sessions("forebay-claim/", &["forebay-claim/catalog/11"]).await;
    let third = small.catalog(home.path()).await;
    assert_eq!(third.http.text("/v1/products").await.unwrap().0, 200);
}

#[tokio::test]
async fn a_claim_follows_the_pool_and_a_lost_session_brings_it_back() {
    let (mut small, home) = (Small::start().await, home());
    migrate(&small.options("one")).await.unwrap();
    let catalog = small.catalog(home.path()).await;
    let (status, problem) = catalog.admin.post("/pool", &[], json!({"max": 24})).await.unwrap();
    assert!(status == 422 && problem.to_string().contains("left: 24"), "{problem}");
    assert_eq!(problem["errors"][0]["pointer"], "/max");
    small.until_sessions("forebay-claim/", &["forebay-claim/catalog/11"]).await;

    let (status, pool) = catalog.admin.post("/pool", &[], json!({"max": 23})).await.unwrap();
    assert_eq!((status.as_u16(), &pool["ceiling"]), (200, &json!(23)));
    small.until_sessions("forebay-claim/", &["forebay-claim/catalog/24"]).await;
    let end =
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'forebay-claim/catalog/24'";
    sqlx::query(end).execute(&mut small.observer).await.unwrap();
    small.until_sessions("forebay-claim/", &["forebay-claim/catalog/24"]).await;

    assert_eq!(catalog.admin.post("/pool", &[], json!({"max": 4})).await.unwrap().0, 200);
    small.until_sessions("forebay-claim/", &["forebay-claim/catalog/5"]).await;
    small.ask("two", 18).await.unwrap();
}

#[tokio::test]
async fn the_shop_in_one_process_claims_too() {
    let home = home();
    let shop = Shop::open(home.path(), &[("FOREBAY_SEED", "none"), ("FOREBAY_POOL_MAX", "90")]).await;
    let mut database = shop.database().await;
    let claims = "SELECT application_name FROM pg_stat_activity WHERE application_name LIKE 'forebay-claim/%'";
    let claims: Vec<String> = sqlx::query_scalar(claims).fetch_all(&mut database).await.unwrap();
    assert_eq!(claims, ["forebay-claim/shop/92"]);
    drop(database);
    shop.send(Signal::TERM);
    assert!(shop.ended().await.0.success());
    nobody_left(home.path()).await;
}

#[tokio::test]
async fn a_pool_that_the_server_cannot_hold_is_refused_with_the_arithmetic() {
    let home = home();
    let (status, _, err) = run(shop(home.path(), &[("FOREBAY_POOL_MAX", "400"), ("FOREBAY_SEED", "none")])).await;
    assert_eq!(status.code(), Some(1));
    assert!(err.contains("max_connections 100 - 3 reserved - 3 for operators = 94"), "{err}");
    assert!(err.contains("Set FOREBAY_POOL_MAX=92 or less here, or raise max_connections"), "{err}");
    nobody_left(home.path()).await;
}
