//! What the driver refuses by itself, and what breaks: the one costs nothing, the other its connection.

use forebay_wire::{Counts, Side};
use sqlx::encode::IsNull;
use sqlx::error::BoxDynError;
use sqlx::postgres::{PgArgumentBuffer, PgTypeInfo};
use sqlx::{Encode, Executor as _, Postgres, SqlStr, Type};

use crate::{Site, answer, trusting};

/// What cannot be encoded.
struct Unsayable;

impl Type<Postgres> for Unsayable {
    fn type_info() -> PgTypeInfo {
        <i32 as Type<Postgres>>::type_info()
    }
}

impl Encode<'_, Postgres> for Unsayable {
    fn encode_by_ref(&self, _: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
        Err("there are no words for it".into())
    }
}

/// A value of a type that the server does not have.
struct Unknown;

impl Type<Postgres> for Unknown {
    fn type_info() -> PgTypeInfo {
        PgTypeInfo::with_name("no_such_type")
    }
}

impl Encode<'_, Postgres> for Unknown {
    fn encode_by_ref(&self, _: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
        Ok(IsNull::No)
    }
}

const TOO_MANY: usize = 70_000;

fn too_many() -> sqlx::query::Query<'static, Postgres, sqlx::postgres::PgArguments> {
    (0..TOO_MANY).fold(sqlx::query("select 'too many'"), |query, _| query.bind(1_i32))
}

async fn ready() -> Site {
    let site = Site::new(trusting()).await;
    answer(&mut site.lease().await).await.expect("answers");
    site.settled().await;
    site
}

#[tokio::test]
async fn what_the_driver_refuses_sends_nothing_and_costs_no_connection() {
    let site = ready().await;
    let before = site.proxy.counts();
    let types = vec![<i32 as Type<Postgres>>::type_info(); TOO_MANY];
    for _ in 0..20 {
        too_many().execute(&site.pool).await.expect_err("too many");
        too_many().persistent(false).fetch_all(&site.pool).await.expect_err("too many");
        too_many().fetch_optional(&site.pool).await.expect_err("too many");
        sqlx::query("select $1").bind(Unsayable).execute(&site.pool).await.expect_err("it cannot be encoded");
        sqlx::query("select $1").bind(Unsayable).fetch_all(&site.pool).await.expect_err("it cannot be encoded");
        site.pool.prepare_with(SqlStr::from_static("select 'of too many'"), &types).await.expect_err("too many");
    }
    assert_eq!(site.proxy.counts().since(&before), Counts::default());
    answer(&mut site.lease().await).await.expect("answers");
    let totals = site.pool.snapshot().totals;
    assert_eq!((totals.opened, totals.quarantined), (1, 0));
}

#[tokio::test]
async fn what_the_driver_refuses_inside_a_transaction_leaves_it_as_it_was() {
    let site = ready().await;
    sqlx::query("create table t (n int)").execute(&site.pool).await.expect("done");
    let mut tx = site.pool.begin().await.expect("begins");
    sqlx::query("insert into t values (1)").execute(&mut *tx).await.expect("done");
    too_many().execute(&mut *tx).await.expect_err("too many");
    tx.commit().await.expect("it stands");
    let count: i64 = sqlx::query_scalar("select count(*) from t").fetch_one(&site.pool).await.expect("answers");
    assert_eq!(count, 1);
}

#[tokio::test]
async fn errors_of_the_callers_making_cost_no_connection() {
    let site = ready().await;
    for _ in 0..20 {
        sqlx::query("select $1, 'unknown'").bind(Unknown).execute(&site.pool).await.expect_err("there is no such type");
        sqlx::query_scalar::<_, i32>("select 'text'").fetch_one(&site.pool).await.expect_err("it is no number");
        sqlx::query_scalar::<_, i32>("select 'text'").fetch_all(&site.pool).await.expect_err("it is no number");
        sqlx::query_scalar::<_, i32>("select 1 where false").fetch_one(&site.pool).await.expect_err("no row");
        sqlx::query("select $1").bind("a\0b").execute(&site.pool).await.expect_err("no text has a zero");
        sqlx::query("select 'a\0b'").execute(&site.pool).await.expect_err("no statement has a zero");
        sqlx::raw_sql("select 'a\0b'").execute(&site.pool).await.expect_err("no statement has a zero");
        sqlx::query("select $1::int + $2::int").bind(1_i32).execute(&site.pool).await.expect_err("one is missing");
        answer(&mut site.lease().await).await.expect("answers");
    }
    let totals = site.pool.snapshot().totals;
    assert_eq!(totals.closed, 0, "{totals:?}");
}

#[tokio::test]
async fn a_copy_as_a_plain_statement_costs_its_connection() {
    for sql in ["copy t to stdout", "copy t from stdin"] {
        // A pool each: one that loses two connections at once asks a third about the server, and opens another one meanwhile.
        let site = ready().await;
        site.pool.execute("create table t (n int)").await.expect("done");
        let error = site.pool.execute(sql).await.expect_err("it is no plain statement");
        assert!(matches!(error, sqlx::Error::Protocol(_)), "{error}");
        answer(&mut site.lease().await).await.expect("answers");
        assert_eq!(site.pool.snapshot().totals.opened, 2, "{sql}");
    }
}

#[tokio::test]
async fn a_statement_that_is_wrong_by_itself_makes_nobody_prepare_again() {
    let site = ready().await;
    let before = site.proxy.counts();
    for _ in 0..50 {
        sqlx::query("select 1 + 'a'::text").execute(&site.pool).await.expect_err("there is no such operator");
        answer(&mut site.lease().await).await.expect("answers");
    }
    // Each wrong one is parsed, and it may have been the types that had changed: the good one is prepared once more.
    assert!(site.proxy.counts().since(&before).messages(Side::Frontend, b'P') <= 51);
}
