//! sqlx's checked statements run unchanged on the pool, on a lease and in a transaction. What they are checked against is
//! in this crate's `.sqlx`, written by `cargo check --tests` with `SQLX_OFFLINE=false`, `SQLX_OFFLINE_DIR` and a
//! `DATABASE_URL` of any server.

use forebay_pool::Class;
use sqlx::{Executor, Postgres};

use crate::{Site, admission, rules};

#[derive(Debug, PartialEq)]
struct Numbered {
    n: i32,
    name: String,
}

/// One of each kind, on whatever runs statements.
macro_rules! run_all {
    ($executor:expr) => {
        let rows = sqlx::query!(r#"select n as "n!", n::text as "name!" from generate_series(1, $1::int4) as n"#, 2)
            .fetch_all($executor)
            .await
            .expect("answers");
        assert_eq!(rows.iter().map(|row| (row.n, row.name.as_str())).collect::<Vec<_>>(), [(1, "1"), (2, "2")]);
        let one = sqlx::query_as!(
            Numbered,
            r#"select n as "n!", n::text as "name!" from generate_series($1::int4, $1) as n"#,
            7
        )
        .fetch_one($executor)
        .await
        .expect("answers");
        assert_eq!(one, Numbered { n: 7, name: "7".to_owned() });
        let sum = sqlx::query_scalar!(r#"select $1::int8 + 1 as "sum!""#, 41).fetch_one($executor).await;
        assert_eq!(sum.expect("answers"), 42);
        let plain: Option<(i32,)> =
            sqlx::query_as("select 1 where false").fetch_optional($executor).await.expect("none");
        assert_eq!(plain, None);
        assert_eq!(sqlx::query("select 1").execute($executor).await.expect("done").rows_affected(), 1);
        $executor.execute("select 1; select 2").await.expect("done");
    };
}

#[tokio::test]
async fn checked_statements_run_on_the_pool_on_a_lease_and_in_a_transaction() {
    let site = Site::new(rules()).await;
    run_all!(&site.pool);
    let mut lease = site.pool.acquire(&admission(Class::Normal)).await.expect("free");
    run_all!(&mut *lease);
    let mut tx = lease.begin().await.expect("begins");
    run_all!(&mut *tx);
    let mut part = tx.begin().await.expect("begins");
    run_all!(&mut *part);
    part.commit().await.expect("kept");
    tx.commit().await.expect("committed");
    drop(lease);
    assert_eq!(site.pool.snapshot().totals.quarantined, 0);
}

async fn one<'e>(executor: impl Executor<'e, Database = Postgres>) -> i32 {
    sqlx::query_scalar("select 1").fetch_one(executor).await.expect("answers")
}

#[tokio::test]
async fn a_function_that_takes_any_executor_takes_ours() {
    let site = Site::new(rules()).await;
    assert_eq!(one(&site.pool).await, 1);
    let mut tx = site.pool.begin().await.expect("begins");
    assert_eq!(one(&mut *tx).await, 1);
    let described = (&mut *tx).describe(sqlx::SqlSafeStr::into_sql_str("select 1 as n")).await.expect("described");
    assert_eq!(described.columns().len(), 1);
    let prepared = (&mut *tx).prepare(sqlx::SqlSafeStr::into_sql_str("select $1::int4")).await.expect("prepared");
    let two: i32 = sqlx::Statement::query_scalar(&prepared).bind(2).fetch_one(&mut *tx).await.expect("answers");
    assert_eq!(two, 2);
}
