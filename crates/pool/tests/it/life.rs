use std::time::Duration;

use forebay_pool::{AcquireError, Class, Config, Pool, Resize, Rules, ServerRole};
use sqlx::{AssertSqlSafe, ConnectOptions, Executor, Postgres};

use crate::{Site, admission, eventually, rules};

#[tokio::test]
async fn the_minimum_is_opened_without_anybody_asking() {
    let site = Site::new(Rules { min_idle: 3, ..rules() }).await;
    site.until("three are idle", |snapshot| snapshot.idle == 3).await;
}

#[tokio::test]
async fn connections_that_the_server_ended_are_replaced() {
    let site = Site::new(Rules { min_idle: 2, check_after_idle: Duration::ZERO, ..rules() }).await;
    site.until("two are idle", |snapshot| snapshot.idle == 2).await;
    let mut outside = site.outside().await;
    outside
        .execute("select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'test' and datname = current_database()")
        .await
        .expect("ended");
    let one: i32 = sqlx::query_scalar("select 1").fetch_one(&site.pool).await.expect("a check finds the dead ones");
    assert_eq!(one, 1);
    site.until("two again", |snapshot| snapshot.idle == 2 && snapshot.totals.opened >= 4).await;
}

#[tokio::test]
async fn a_connection_that_breaks_under_its_lease_is_closed_and_its_place_is_free() {
    let site = Site::new(rules()).await;
    let mut lease = site.pool.acquire(&admission(Class::Normal)).await.expect("free");
    let pid: i32 = sqlx::query_scalar("select pg_backend_pid()").fetch_one(&mut *lease).await.expect("answers");
    let mut outside = site.outside().await;
    sqlx::query("select pg_terminate_backend($1)").bind(pid).execute(&mut outside).await.expect("ended");
    sqlx::query("select 1").execute(&mut *lease).await.expect_err("its backend is gone");
    drop(lease);
    site.until("it is gone", |snapshot| snapshot.open() == 0).await;
    let one: i32 = sqlx::query_scalar("select 1").fetch_one(&site.pool).await.expect("a new one");
    assert_eq!(one, 1);
}

#[tokio::test]
async fn no_server_means_unavailable_with_the_cause_and_not_a_long_wait() {
    let nowhere = "postgres://nobody@127.0.0.1:1/none".parse().expect("a url");
    let pool = Pool::connect(nowhere, Config { rules: rules(), ..Config::named("test") }).expect("these rules hold");
    let long =
        forebay_pool::Admission::new(Class::Normal, (tokio::time::Instant::now() + Duration::from_secs(60)).into_std());
    let error = loop {
        match pool.acquire(&long).await.expect_err("there is no server") {
            AcquireError::Timeout(_) => {}
            error => break error,
        }
    };
    let AcquireError::Unavailable { cause, .. } = &error else { panic!("{error}") };
    assert!(cause.as_deref().is_some_and(|cause| cause.contains("refused")), "{error}");
}

#[tokio::test]
async fn bounds_move_at_run_time_without_ending_a_lease() {
    let site = Site::new(Rules { min_idle: 2, ..rules() }).await;
    let mut lease = site.pool.acquire(&admission(Class::Normal)).await.expect("free");
    site.pool.resize(Resize { min_idle: Some(6), ..Resize::default() }).expect("within bounds");
    site.until("six are there", |snapshot| snapshot.open() >= 6).await;
    site.pool.resize(Resize { min_idle: Some(0), ceiling: Some(2), ..Resize::default() }).expect("within bounds");
    site.until("two are left", |snapshot| snapshot.open() <= 2).await;
    sqlx::query("select 1").execute(&mut *lease).await.expect("the lease goes on");
    site.pool.resize(Resize { ceiling: Some(1), ..Resize::default() }).expect_err("one place is not enough");
}

#[tokio::test]
async fn idle_connections_can_be_flushed() {
    let site = Site::new(Rules { min_idle: 3, ..rules() }).await;
    site.until("three are idle", |snapshot| snapshot.idle == 3).await;
    site.pool.flush_idle();
    site.until("three new ones", |snapshot| snapshot.idle == 3 && snapshot.totals.opened == 6).await;
}

#[tokio::test]
async fn close_refuses_newcomers_and_waits_for_the_last_lease() {
    let site = Site::new(rules()).await;
    let lease = site.pool.acquire(&admission(Class::Normal)).await.expect("free");
    let pool = site.pool.clone();
    let closing = tokio::spawn(async move { pool.close().await });
    eventually("newcomers are refused", async || {
        matches!(site.pool.acquire(&admission(Class::Normal)).await, Err(AcquireError::Closed { .. }))
    })
    .await;
    assert!(!closing.is_finished());
    drop(lease);
    closing.await.expect("closed");
    assert_eq!(site.pool.snapshot().open(), 0);
}

#[tokio::test]
async fn the_server_knows_whose_sessions_they_are_and_how_long_it_may_keep_them() {
    let site = Site::new(rules()).await;
    let expected = [
        ("application_name", "test"),
        ("statement_timeout", "5s"),
        ("lock_timeout", "2s"),
        ("client_connection_check_interval", "500ms"),
        ("idle_session_timeout", "0"),
        // A second more than the pool's own bound, so that its typed error comes first.
        ("idle_in_transaction_session_timeout", "6s"),
    ];
    for (name, value) in expected {
        let told: String =
            sqlx::query_scalar("select current_setting($1)").bind(name).fetch_one(&site.pool).await.expect("answers");
        assert_eq!(told, value, "{name}");
    }
}

/// Has the server end what rests for so long in this database, from the next session on.
async fn end_what_rests(site: &Site, limit: &str) {
    let database = site.database.options().get_database().expect("it has a name").to_owned();
    let sql = format!("alter database {database} set idle_session_timeout = '{limit}'");
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut site.outside().await).await.expect("done");
}

async fn backend(executor: impl Executor<'_, Database = Postgres>) -> i32 {
    sqlx::query_scalar("select pg_backend_pid()").fetch_one(executor).await.expect("answers")
}

#[tokio::test]
async fn a_server_that_ends_what_rests_leaves_the_pool_its_connections() {
    let site = Site::new(Rules { check_after_idle: Duration::from_secs(60), ..rules() }).await;
    end_what_rests(&site, "200ms").await;
    let options = site.database.options().application_name("observer").options([("idle_session_timeout", "0")]);
    let mut observer = options.connect().await.expect("the server runs");
    let mut sessions = async |name: &str| -> Vec<i32> {
        let named = "select pid from pg_stat_activity where application_name = $1 and datname = current_database()";
        sqlx::query_scalar(named).bind(name).fetch_all(&mut observer).await.expect("answers")
    };
    let end = tokio::time::Instant::now() + Duration::from_secs(20);
    let door = site.pool.side_door(&admission(Class::Normal), 1).await.expect("there is room");
    let behind_the_door = backend(&*door).await;
    let ours = backend(&site.pool).await;
    let mut control = sessions("test control").await;
    while control.is_empty() {
        assert!(tokio::time::Instant::now() < end, "there is a control connection");
        control = sessions("test control").await;
    }
    let options = site.database.options().application_name("other");
    let _other = options.connect().await.expect("the server runs");
    while !sessions("other").await.is_empty() {
        assert!(tokio::time::Instant::now() < end, "the server ends what rests");
    }
    let left = sessions("test").await;
    assert!(left.contains(&ours) && left.contains(&behind_the_door), "{left:?} are not {ours} and {behind_the_door}");
    assert_eq!(sessions("test control").await, control);
    door.close().await;
}

/// So the server has it, and so the guide says it: a policy has to take both for nothing.
#[tokio::test]
async fn a_setting_of_ones_own_is_empty_and_not_null_after_its_transaction() {
    let site = Site::new(rules()).await;
    let tenant = "select current_setting('app.tenant', true)";
    let mut lease = site.pool.acquire(&admission(Class::Normal)).await.expect("free");
    let before: Option<String> = sqlx::query_scalar(tenant).fetch_one(&mut *lease).await.expect("answers");
    let mut tx = lease.begin().await.expect("begins");
    sqlx::query("set local app.tenant = '7'").execute(&mut *tx).await.expect("set");
    let inside: Option<String> = sqlx::query_scalar(tenant).fetch_one(&mut *tx).await.expect("answers");
    tx.commit().await.expect("committed");
    let after: Option<String> = sqlx::query_scalar(tenant).fetch_one(&mut *lease).await.expect("answers");
    assert_eq!((before, inside.as_deref(), after.as_deref()), (None, Some("7"), Some("")));
}

#[tokio::test]
async fn a_pool_that_nobody_holds_any_more_leaves_no_session_behind() {
    let site = Site::new(Rules { min_idle: 2, ..rules() }).await;
    site.until("two are idle", |snapshot| snapshot.idle == 2).await;
    let mut outside = site.outside().await;
    let Site { pool, database } = site;
    drop(pool);
    let left = "select count(*) from pg_stat_activity where application_name = 'test' and datname = current_database()";
    eventually("no session is left", async || {
        sqlx::query_scalar::<_, i64>(left).fetch_one(&mut outside).await.expect("answers") == 0
    })
    .await;
    drop(database);
}

#[tokio::test]
async fn a_server_of_the_wrong_role_is_no_server() {
    let site = Site::new(rules()).await;
    let config = Config { rules: rules(), role: ServerRole::Standby, ..Config::named("readers") };
    let readers = Pool::connect(site.database.options(), config).expect("these rules hold");
    let soon = forebay_pool::Admission::within(Class::Normal, Duration::from_millis(200));
    let error = readers.acquire(&soon).await.expect_err("the server is a primary");
    assert!(error.to_string().contains("the server is a primary, and this pool wants a standby"), "{error}");
}

#[tokio::test]
async fn a_migration_under_a_prepared_statement_costs_one_error_and_no_connection() {
    let site = Site::new(rules()).await;
    sqlx::query("create table t (n int)").execute(&site.pool).await.expect("done");
    let mut lease = site.pool.acquire(&admission(Class::Normal)).await.expect("free");
    sqlx::query("select * from t").execute(&mut *lease).await.expect("answers");
    sqlx::query("alter table t add column m int").execute(&mut *lease).await.expect("done");
    let error = sqlx::query("select * from t").execute(&mut *lease).await.expect_err("its plan is of yesterday");
    assert_eq!(error.as_database_error().and_then(|error| error.code()).as_deref(), Some("0A000"));
    sqlx::query("select * from t").execute(&mut *lease).await.expect("planned anew");
    drop(lease);
    let totals = site.pool.snapshot().totals;
    assert_eq!((totals.opened, totals.quarantined), (1, 0));
}

#[tokio::test]
async fn a_write_refused_as_read_only_has_the_server_asked_for_its_role() {
    let site = Site::new(rules()).await;
    sqlx::query("create table t (n int)").execute(&site.pool).await.expect("done");
    let mut tx = site.pool.begin().await.expect("begins");
    sqlx::query("set transaction read only").execute(&mut *tx).await.expect("done");
    sqlx::query("insert into t values (1)").execute(&mut *tx).await.expect_err("read only");
    tx.rollback().await.expect("rolled back");
    let snapshot = site.until("it was asked", |snapshot| snapshot.totals.quarantined == 1 && snapshot.idle == 1).await;
    assert_eq!(snapshot.totals.opened, 1, "it is no standby, so it stays");
}
