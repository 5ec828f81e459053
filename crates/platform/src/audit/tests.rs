use forebay_embedded::testing::{TestDatabase, database};
use forebay_pool::{Admission, Class, Config, Pool};
use serde_json::json;
use sqlx::{Connection as _, PgConnection};

use super::*;
use crate::db::Db;
use crate::identity::Principal;
use crate::problem::REQUEST_ID;

async fn migrated() -> (TestDatabase, Db) {
    let database = database().await;
    MIGRATOR.run(&mut connection(&database).await).await.unwrap();
    let pool = Pool::connect(database.options(), Config::named("test")).unwrap();
    (database, Db::forebay(pool))
}

async fn connection(database: &TestDatabase) -> PgConnection {
    PgConnection::connect_with(&database.options()).await.unwrap()
}

async fn lines(database: &TestDatabase, condition: &'static str) -> i64 {
    sqlx::query_scalar(condition).fetch_one(&mut connection(database).await).await.unwrap()
}

fn entry() -> Entry {
    let admin = Principal { user_id: Uuid::from_u128(7), session_id: Uuid::from_u128(8), scope: "admin".to_owned() };
    Entry::by(&Admin(admin), "thing.break", "thing", 42)
        .before(&json!({ "whole": true }))
        .after(&json!({ "whole": false }))
}

#[tokio::test]
async fn a_line_is_there_exactly_when_its_change_is() {
    let (database, db) = migrated().await;
    let mut lease = db.acquire(&Admission::without_deadline(Class::Normal)).await.unwrap();
    let mut tx = lease.begin().await.unwrap();
    record(&mut tx.conn(), &entry()).await.unwrap();
    tx.rollback().await.unwrap();
    assert_eq!(lines(&database, "select count(*) from audit.log").await, 0);
    let mut tx = lease.begin().await.unwrap();
    REQUEST_ID.scope("the-request".into(), async { record(&mut tx.conn(), &entry()).await.unwrap() }).await;
    tx.commit().await.unwrap();
    let whole = "select count(*) from audit.log where actor = '00000000-0000-0000-0000-000000000007' and operator is null \
         and action = 'thing.break' and object_kind = 'thing' and object_id = '42' and trace_id = 'the-request' \
         and before = '{\"whole\": true}' and after = '{\"whole\": false}' and at > now() - interval '1 minute'";
    assert_eq!(lines(&database, whole).await, 1);
}

#[tokio::test]
async fn a_line_is_neither_changed_nor_deleted_not_even_by_its_owner() {
    let (database, db) = migrated().await;
    let mut lease = db.acquire(&Admission::without_deadline(Class::Normal)).await.unwrap();
    record(&mut lease.conn(), &Entry::by_operator("thing.break", "thing", 1)).await.unwrap();
    for change in [
        "update audit.log set action = 'nothing'",
        "update audit.log set action = 'nothing' where false",
        "delete from audit.log",
        "truncate audit.log",
        "truncate audit.log cascade",
    ] {
        let refused = sqlx::raw_sql(change).execute(&mut connection(&database).await).await.unwrap_err();
        assert!(refused.to_string().contains("audit.log only grows"), "{change}: {refused}");
    }
    assert_eq!(lines(&database, "select count(*) from audit.log where action = 'thing.break'").await, 1);
}

#[tokio::test]
async fn a_line_has_one_author() {
    let (database, _db) = migrated().await;
    for authors in ["null, null", "gen_random_uuid(), 'operator'"] {
        let line = format!(
            "insert into audit.log (actor, operator, action, object_kind, object_id) values ({authors}, 'a', 'b', 'c')"
        );
        sqlx::raw_sql(sqlx::AssertSqlSafe(line)).execute(&mut connection(&database).await).await.unwrap_err();
    }
}
