use std::time::Duration;

use forebay_embedded::testing::{TestDatabase, database};
use forebay_pool::{Admission, Class, Config, Lease, Pool, Rules};
use futures_util::future::join_all;
use sqlx::ConnectOptions as _;

use super::*;

/// A claim of eleven for a pool of ten, which connects as a role of its own.
struct Site {
    claim: Claim,
    pool: Pool,
    database: TestDatabase,
    role: String,
}

impl Site {
    /// Its role may have so many sessions; -1 is as many as it likes.
    async fn of_a_role_with(sessions: i32) -> Self {
        let database = database().await;
        let role = format!("tenant_of_{}", database.options().get_database().unwrap());
        let base = database.options().username(&role);
        let options = options(&base);
        let share = Share { process: "catalog", ceiling: 10, beside: 1 };
        execute(&database, format!("CREATE ROLE {role} LOGIN CONNECTION LIMIT {sessions}")).await;
        let granted = Granted::ask(options.connect().await.unwrap(), &options, share).await.unwrap();
        let rules = Rules { ceiling: 10, min_idle: 0, ..Rules::default() };
        let pool = Pool::connect(base, Config { rules, control: false, ..Config::named("catalog") }).unwrap();
        Self { claim: granted.of(Db::forebay(pool.clone())), pool, database, role }
    }

    /// One that has asked for more than its role may have.
    async fn full() -> Self {
        let site = Self::of_a_role_with(3).await;
        let _held = site.leases(2).await;
        let soon = Admission::within(Class::Normal, Duration::from_millis(300));
        site.pool.acquire(&soon).await.expect_err("the role has no more sessions");
        assert_eq!((site.pool.snapshot().ceiling, site.pool.rules().ceiling), (2, 10));
        site
    }

    async fn leases(&self, count: usize) -> Vec<Lease> {
        let admission = Admission::within(Class::Normal, Duration::from_secs(10));
        join_all((0..count).map(|_| self.pool.acquire(&admission))).await.into_iter().map(Result::unwrap).collect()
    }

    /// What others see of it after the next look whether less would do.
    async fn published(&self) -> String {
        self.claim.give_back().await.unwrap();
        let mut observer = self.database.options().connect().await.unwrap();
        let names = "SELECT application_name FROM pg_stat_activity WHERE usename = $1 AND application_name LIKE $2";
        let names = sqlx::query_scalar(names).bind(&self.role).bind("forebay-claim/%");
        names.fetch_one(&mut observer).await.unwrap()
    }

    async fn resize(&self, ceiling: u32) {
        self.claim.resize(Resize { ceiling: Some(ceiling), ..Resize::default() }).await.unwrap();
    }
}

async fn execute(database: &TestDatabase, sql: String) {
    let mut connection = database.options().connect().await.unwrap();
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut connection).await.unwrap();
}

#[tokio::test]
async fn a_claim_keeps_what_the_pool_may_open_again_when_the_server_is_less_full() {
    let site = Site::full().await;
    assert_eq!(site.published().await, "forebay-claim/catalog/11");
    execute(&site.database, format!("ALTER ROLE {} CONNECTION LIMIT -1", site.role)).await;
    assert_eq!(site.published().await, "forebay-claim/catalog/11");
}

#[tokio::test]
async fn a_claim_follows_a_person_also_when_the_server_is_full() {
    let site = Site::full().await;
    site.resize(6).await;
    assert_eq!(site.published().await, "forebay-claim/catalog/7");
    site.resize(12).await;
    assert_eq!(site.published().await, "forebay-claim/catalog/13");
}

#[tokio::test]
async fn a_smaller_pool_gives_back_what_it_has_closed_and_no_more() {
    let site = Site::of_a_role_with(-1).await;
    let held = site.leases(3).await;
    site.resize(2).await;
    assert_eq!(site.published().await, "forebay-claim/catalog/4");
    drop(held);
    let end = tokio::time::Instant::now() + Duration::from_secs(10);
    while site.pool.snapshot().open() > 2 {
        assert!(tokio::time::Instant::now() < end, "{:?}", site.pool.snapshot());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(site.published().await, "forebay-claim/catalog/3");
}
