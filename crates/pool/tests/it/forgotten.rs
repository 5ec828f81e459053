//! What becomes of prepared statements that the server has and the driver does not know of.

use forebay_embedded::testing::database;
use forebay_pool::{Class, Config, Fixed, Lease, Mode, Pool, Rules};
use futures_util::FutureExt;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection, Row, SqlSafeStr};

use crate::{Site, admission, rules};

const TIMES: usize = 400;
/// What a connection may have of them.
const BOUND: i64 = 32;

/// How many statements the server has, and how many of them the driver knows.
async fn forgotten(connection: &mut PgConnection) -> i64 {
    let known = i64::try_from(connection.cached_statements_size()).expect("few");
    let all = sqlx::raw_sql("select count(*) from pg_prepared_statements").fetch_one(&mut *connection).await;
    all.expect("answers").get::<i64, _>(0) - known
}

fn numbered(number: usize) -> sqlx::SqlStr {
    AssertSqlSafe(format!("select {number}")).into_sql_str()
}

/// A pool of one place, and a reserve.
async fn site(options: impl FnOnce(PgConnectOptions) -> PgConnectOptions) -> Site {
    let database = database().await;
    let rules = Rules { mode: Mode::Off, initial_limit: 1, ceiling: 2, ..rules() };
    let config = Config { rules, ..Config::named("test") };
    let pool = Pool::builder(options(database.options()), config).sizer(Fixed).connect().expect("these rules hold");
    Site { pool, database }
}

async fn lease(site: &Site) -> Lease {
    site.pool.acquire(&admission(Class::Normal)).await.expect("free")
}

/// Polled once, it has left; its answer is not there yet, most times.
fn cut_off<T>(work: impl Future<Output = T>) {
    let _early = Box::pin(work).now_or_never();
}

#[tokio::test]
async fn prepares_cut_off_leave_few_statements_on_a_connection() {
    let site = site(|options| options).await;
    for number in 0..TIMES {
        let mut lease = lease(&site).await;
        match number % 3 {
            0 => cut_off(lease.prepare(numbered(number))),
            1 => cut_off(sqlx::query(numbered(number)).execute(&mut *lease)),
            _ => cut_off(sqlx::query(numbered(number)).fetch_one(&mut *lease)),
        }
    }
    let ours = forgotten(&mut lease(&site).await.raw().await.expect("free")).await;
    assert!(ours <= BOUND, "{ours} are left");

    let theirs = PgPoolOptions::new().max_connections(1).connect_with(site.database.options()).await.expect("connects");
    for number in 0..TIMES {
        let mut lease = theirs.acquire().await.expect("free");
        cut_off((&mut *lease).prepare(numbered(number)));
    }
    let theirs = forgotten(&mut theirs.acquire().await.expect("free")).await;
    // Few on theirs, too, where it had to open another connection meanwhile.
    eprintln!("{ours} are left, and {theirs} on sqlx's pool");
}

#[tokio::test]
async fn prepares_cut_off_on_one_lease_leave_few_statements() {
    let site = site(|options| options).await;
    let mut lease = lease(&site).await;
    for number in 0..TIMES {
        cut_off(sqlx::query(numbered(number)).execute(&mut *lease));
        sqlx::query("select 'between'").execute(&mut *lease).await.expect("answers");
    }
    let left = forgotten(&mut lease.raw().await.expect("free")).await;
    assert!(left <= BOUND, "{left} are left");
}

#[tokio::test]
async fn prepares_cut_off_in_one_transaction_leave_few_statements() {
    let site = site(|options| options).await;
    let mut tx = site.pool.begin().await.expect("begins");
    for number in 0..TIMES {
        cut_off(sqlx::query(numbered(number)).execute(&mut *tx));
        sqlx::query("select 'between'").execute(&mut *tx).await.expect("answers");
    }
    let left = forgotten(&mut tx.raw().await.expect("free")).await;
    assert!(left <= BOUND, "{left} are left");
    tx.commit().await.expect("it stands");
}

#[tokio::test]
async fn a_driver_without_a_cache_leaves_few_statements() {
    let site = site(|options| options.statement_cache_capacity(0)).await;
    for _ in 0..TIMES {
        sqlx::query("select 1").execute(&mut *lease(&site).await).await.expect("answers");
    }
    let left = forgotten(&mut lease(&site).await.raw().await.expect("free")).await;
    assert!(left <= BOUND, "{left} are left");
}

#[tokio::test]
async fn errors_leave_no_statement_and_take_none_away() {
    let site = site(|options| options).await;
    sqlx::query("select 'kept'").execute(&site.pool).await.expect("answers");
    for number in 0..TIMES {
        let sql = if number % 2 == 0 { "select 1 / 0" } else { "select nothing" };
        sqlx::query(sql).execute(&site.pool).await.expect_err("it is wrong");
    }
    let kept: bool = sqlx::query_scalar("select exists (select from pg_prepared_statements where statement = $1)")
        .bind("select 'kept'")
        .fetch_one(&site.pool)
        .await
        .expect("answers");
    assert!(kept);
    assert_eq!(site.pool.snapshot().totals.quarantined, 0);
}
