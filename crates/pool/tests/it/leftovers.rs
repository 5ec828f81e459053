//! Texts that change a session, one after the other, on this pool and on sqlx's: what the next user finds.

use std::time::Duration;

use forebay_pool::{Class, Config, Lease, Mode, Pool, Rules};
use sqlx::{Executor, PgConnection, PgPool, Row, SqlStr, Statement};
use tokio::time::Instant;

use crate::{Site, admission, rules};

/// What a schema of somebody's holds: functions, procedures and triggers that change the session out of sight.
const SCHEMA: &str = "
    create table noted (n int);
    create table watched (n int);
    create function sets() returns text language sql as $$ select set_config('app.tenant', '7', false) $$;
    create function sets_stably() returns text stable language sql as $$ select set_config('app.tenant', '7', false) $$;
    create function becomes() returns int language plpgsql as $$ begin set role ROLE; return 1; end $$;
    create function listens() returns int language plpgsql as $$ begin listen x; return 1; end $$;
    create function locks() returns int language plpgsql as $$ begin perform pg_advisory_lock(7); return 1; end $$;
    create function makes() returns int language plpgsql as $$ begin create temp table made (n int); return 1; end $$;
    create function prepares() returns int language plpgsql as $$ begin execute 'prepare p as select 1'; return 1; end $$;
    create function forgets() returns int language plpgsql as $$ begin deallocate all; return 1; end $$;
    create function gives() returns setof int language plpgsql as $$ begin set work_mem = '123kB'; return next 1; end $$;
    create function totals(int) returns int language sql as $$ select set_config('app.tenant', $1::text, false)::int $$;
    create procedure calls() language plpgsql as $$ begin set work_mem = '123kB'; end $$;
    create procedure commits() language plpgsql as $$ begin set work_mem = '123kB'; commit; end $$;
    create function on_insert() returns trigger language plpgsql as
        $$ begin perform set_config('app.tenant', '7', false); return new; end $$;
    create trigger t before insert on watched for each row execute function on_insert();
    create view seen as select sets() as tenant;
";

/// Texts that leave something behind, if nobody takes it away. ROLE is a role's name.
const TEXTS: &[&str] = &[
    // Settings.
    "set work_mem = '123kB'",
    "set session work_mem = '123kB'",
    "set search_path to elsewhere",
    "set time zone 'Asia/Tokyo'",
    "set names 'latin1'",
    "set schema 'elsewhere'",
    "set app.tenant = '7'",
    "set session characteristics as transaction read only",
    "set transaction_isolation = 'serializable'; set default_transaction_isolation = 'serializable'",
    "select set_config('app.tenant', '7', false)",
    "select pg_catalog.set_config('work_mem', '123kB', false)",
    "select \"set_config\"('work_mem', '123kB', false)",
    "select U&\"\\0073et_config\"('work_mem', '123kB', false)",
    "with x as (select set_config('app.tenant', '7', false)) select * from x",
    "update pg_settings set setting = '123' where name = 'work_mem'",
    "begin; set work_mem = '123kB'; commit",
    "do $$ begin set work_mem = '123kB'; end $$",
    "do $$ begin perform set_config('app.tenant', '7', false); end $$",
    "do 'begin set work_mem = ''123kB''; end'",
    "do language plpgsql $$ begin set search_path to elsewhere; end $$",
    "do $$ begin execute 'set work' || '_mem = ''123kB'''; end $$",
    "select 1; do $$ begin set work_mem = '123kB'; end $$",
    "create table x (n int); do $$ begin set work_mem = '123kB'; end $$; drop table x",
    "select query_to_xml('select set' || '_config(''app.tenant'', ''7'', false)', true, false, '')",
    "select * from ts_stat('select to_tsvector(set' || '_config(''app.tenant'', ''7'', false))')",
    // Who somebody is.
    "set role ROLE",
    "set session role ROLE",
    "set session authorization ROLE",
    "select set_config('role', 'ROLE', false)",
    "do $$ begin set role ROLE; end $$",
    "do $$ begin execute 'set ro' || 'le ROLE'; end $$",
    "do $$ begin set session authorization ROLE; end $$",
    "select becomes()",
    // Functions and procedures.
    "select sets()",
    "select sets_stably()",
    "select public.sets()",
    "select \"sets\" ()",
    "select sets/**/()",
    "select sets\n--x\n()",
    "select 1 from noted right join sets() on true",
    "select * from sets() as s",
    "select * from gives() g(n)",
    "select * from rows from (gives(), generate_series(1, 2)) as x(a, b)",
    "select distinct on (1) sets()",
    "with x(a) as (select sets()) select * from x",
    "with x as (select 1), y(a) as (select totals(7)) select * from y",
    "values (1, sets())",
    "select n from (select 1 as n) x order by sets()",
    "select count(*) filter (where sets() is null) from generate_series(1, 2)",
    "insert into noted select totals(7)",
    "insert into noted (n) values (totals(7))",
    "insert into noted (n) values (1) returning totals(n + 6)",
    "update noted set (n) = (select totals(7)) returning sets()",
    "select case when true then sets() end",
    "select array(select sets())",
    "select 'x' in (sets(), 'y')",
    "select coalesce(null, sets())",
    "copy (select sets()) to '/dev/null'",
    "create table made_of as select sets() as s; drop table made_of",
    "declare c cursor with hold for select sets()",
    "begin; declare c cursor for select sets(); fetch c; commit",
    "explain analyze select sets()",
    "call calls()",
    "call commits()",
    "call public.calls ()",
    // Temporary things.
    "create temp table made (n int)",
    "create temporary table made (n int)",
    "create local temp table made (n int)",
    "create temp table made as select 1",
    "create temp view made as select 1",
    "create or replace temp view made as select 1",
    "create temp sequence made",
    "create table pg_temp.made (n int)",
    "create table \"pg_temp\".made (n int)",
    "create function pg_temp.made() returns int language sql as 'select 1'",
    "select 1 as n into temp made",
    "select 1 as n into temporary table made",
    "select 1 as n into pg_temp.made",
    "explain analyze create temp table made as select 1",
    "explain (analyze) create temp table made as select 1",
    "explain (analyze, costs off) create temporary table made as select 1",
    "explain analyze verbose create table pg_temp.made as select 1",
    "do $$ begin create temp table made (n int); end $$",
    "do $$ begin execute 'create te' || 'mp table made (n int)'; end $$",
    "select makes()",
    // Locks, subscriptions, cursors, what is prepared.
    "select pg_advisory_lock(7)",
    "select pg_advisory_lock_shared(7)",
    "select pg_try_advisory_lock(7)",
    "select count(pg_try_advisory_lock(n)) from generate_series(1, 3) n",
    "do $$ begin perform pg_advisory_lock(7); end $$",
    "select locks()",
    "listen x",
    "do $$ begin listen x; end $$",
    "do $$ begin execute 'lis' || 'ten x'; end $$",
    "select listens()",
    "declare c cursor with hold for select 1",
    "prepare p as select 1",
    "prepare p as select set_config('work_mem', '123kB', false); execute p",
    "prepare p as select 1; execute p; explain analyze execute p",
    "do $$ begin execute 'prepare p as select 1'; end $$",
    "select prepares()",
    "deallocate all",
    "discard all",
    "do $$ begin deallocate all; end $$",
    "select forgets()",
    "begin",
    "begin; select sets()",
    "start transaction read only",
];

/// Texts that leave what no reset takes away: it ends with the connection.
const FOR_GOOD: &[&str] = &[
    "load 'auto_explain'",
    "set seed to 0.5",
    "select setseed(0.5)",
    "select pg_create_physical_replication_slot('made', false, true)",
];

/// What a user can see of what an earlier one has done to the session.
const FINGERPRINT: &str = "
    select concat_ws(' | ',
        (select string_agg(name || '=' || setting, ',' order by name) from pg_settings
            where source = 'session' and name not like 'transaction%'),
        'app.tenant=' || nullif(current_setting('app.tenant', true), ''),
        current_user, session_user, current_setting('role'),
        (select count(*) || ' locks' from pg_locks where locktype = 'advisory' and pid = pg_backend_pid()),
        (select string_agg(c, ',') from pg_listening_channels() c),
        (select string_agg(relname, ',') from pg_class where relnamespace = pg_my_temp_schema()),
        (select string_agg(proname, ',') from pg_proc where pronamespace = pg_my_temp_schema()),
        (select string_agg(name, ',') from pg_prepared_statements where from_sql),
        (select string_agg(name, ',') from pg_cursors where is_holdable),
        case when now() <> statement_timestamp() then 'in a transaction' end)";

async fn fingerprint(connection: impl Executor<'_, Database = sqlx::Postgres>) -> String {
    let row = sqlx::raw_sql(FINGERPRINT).fetch_one(connection).await.expect("answers");
    row.get(0)
}

/// The role, and the objects; the role has rights on none of it.
async fn prepare(connection: &mut PgConnection) -> String {
    let database: String =
        sqlx::query_scalar("select current_database()").fetch_one(&mut *connection).await.expect("answers");
    let role = format!("{database}_tenant");
    let sql = format!("create role {role}; create schema elsewhere; {}", SCHEMA.replace("ROLE", &role));
    connection.execute(sqlx::raw_sql(sqlx::AssertSqlSafe(sql))).await.expect("done");
    role
}

fn text(sql: &str, role: &str) -> SqlStr {
    sqlx::SqlSafeStr::into_sql_str(sqlx::AssertSqlSafe(sql.replace("ROLE", role)))
}

#[tokio::test]
async fn no_text_leaves_anything_to_the_next_user() {
    let site = Site::new(rules()).await;
    let mut outside = site.outside().await;
    let role = prepare(&mut outside).await;
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for sql in TEXTS {
        ours.extend(left_here(&site, sql, &role).await.map(|left| format!("{sql}: {left}")));
        theirs.extend(left_on_sqlx(&site, sql, &role).await);
    }
    outside.execute(sqlx::raw_sql(text("drop owned by ROLE; drop role ROLE", &role))).await.expect("done");
    assert_eq!(ours, Vec::<String>::new());
    assert_eq!(theirs.len(), TEXTS.len(), "each of them leaves something where nobody looks: {theirs:#?}");
}

/// What a text leaves to the next user of the same connection, if it leaves anything.
async fn left_here(site: &Site, sql: &str, role: &str) -> Option<String> {
    // On a busy machine too a reset is waited for.
    let rules = Rules { mode: Mode::Off, ..rules() };
    let config = Config { rules, cleanup_timeout: Duration::from_secs(10), ..Config::named("test") };
    let pool = Pool::connect(site.database.options(), config).expect("these rules hold");
    let mut lease = pool.acquire(&admission(Class::Normal)).await.expect("free");
    let backend = backend(&mut *lease).await;
    let fresh = fingerprint(&mut *lease).await;
    sqlx::query("select 1").execute(&mut *lease).await.expect("prepared by the driver");
    let done = (&mut *lease).execute(sqlx::raw_sql(text(sql, role))).await;
    done.unwrap_or_else(|error| panic!("{sql}: {error}"));
    drop(lease);
    at_rest(&pool).await;
    let mut lease = lease_of(&pool, backend).await.unwrap_or_else(|| panic!("{sql}: closed, though a reset would do"));
    let missed = sqlx::query("select 1").execute(&mut *lease).await.err();
    let found = fingerprint(&mut *lease).await;
    drop(lease);
    pool.close().await;
    missed.map(|error| error.to_string()).or_else(|| (found != fresh).then_some(found))
}

/// The same on sqlx's pool.
async fn left_on_sqlx(site: &Site, sql: &str, role: &str) -> Option<String> {
    let options = sqlx::pool::PoolOptions::new().max_connections(1);
    let pool: PgPool = options.connect_with(site.database.options()).await.expect("the server runs");
    let fresh = fingerprint(&pool).await;
    sqlx::query("select 1").execute(&pool).await.expect("prepared by the driver");
    (&pool).execute(sqlx::raw_sql(text(sql, role))).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
    let missed = sqlx::query("select 1").execute(&pool).await.err();
    let found = fingerprint(&pool).await;
    pool.close().await;
    missed.map(|error| error.to_string()).or_else(|| (found != fresh).then_some(found))
}

/// A lease of this very connection, if it is still there.
async fn lease_of(pool: &Pool, wanted: i32) -> Option<Lease> {
    let mut others = Vec::new();
    while others.len() < pool.snapshot().limit as usize {
        let mut lease = pool.acquire(&admission(Class::Normal)).await.expect("free");
        if backend(&mut *lease).await == wanted {
            return Some(lease);
        }
        others.push(lease);
    }
    None
}

/// Waits until the pool has nothing to do.
async fn at_rest(pool: &Pool) {
    let end = Instant::now() + Duration::from_secs(20);
    while pool.snapshot().leased + pool.snapshot().quarantined > 0 {
        assert!(Instant::now() < end, "{:?}", pool.snapshot());
        tokio::task::yield_now().await;
    }
}

async fn backend(connection: impl Executor<'_, Database = sqlx::Postgres>) -> i32 {
    sqlx::query_scalar("select pg_backend_pid()").fetch_one(connection).await.expect("answers")
}

#[tokio::test]
async fn what_no_reset_takes_away_ends_with_its_connection() {
    let site = Site::new(Rules { mode: Mode::Off, ..rules() }).await;
    for sql in FOR_GOOD {
        let before = backend(&site.pool).await;
        (&site.pool).execute(*sql).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
        at_rest(&site.pool).await;
        assert!(lease_of(&site.pool, before).await.is_none(), "{sql}");
    }
    let slots: i64 = sqlx::query_scalar("select count(*) from pg_replication_slots where slot_name = 'made'")
        .fetch_one(&site.pool)
        .await
        .expect("answers");
    assert_eq!(slots, 0);
}

#[tokio::test]
async fn a_prepared_statement_counts_by_its_text_when_it_runs() {
    let site = Site::new(rules()).await;
    prepare(&mut site.outside().await).await;
    let mut lease = site.pool.acquire(&admission(Class::Normal)).await.expect("free");
    let statement = (&mut *lease).prepare(SqlStr::from_static("select sets()")).await.expect("prepared");
    drop(lease);
    at_rest(&site.pool).await;
    assert_eq!(site.pool.snapshot().totals.quarantined, 0, "it has not run");
    let tenant: String = statement.query_scalar().fetch_one(&site.pool).await.expect("answers");
    at_rest(&site.pool).await;
    assert_eq!((tenant.as_str(), site.pool.snapshot().totals.quarantined), ("7", 1));
    assert_eq!(tenant_of(&site.pool).await, None);
}

#[tokio::test]
async fn a_function_that_its_user_trusts_costs_nothing() {
    let config = Config { trusted_functions: vec!["sets".to_owned()], rules: rules(), ..Config::named("test") };
    let site = Site::with(config).await;
    prepare(&mut site.outside().await).await;
    site.pool.execute("select sets()").await.expect("done");
    at_rest(&site.pool).await;
    assert_eq!(site.pool.snapshot().totals.quarantined, 0);
    assert_eq!(tenant_of(&site.pool).await.as_deref(), Some("7"), "it was not to be trusted");
    site.pool.execute("select becomes(), sets()").await.expect("done");
    at_rest(&site.pool).await;
    assert_eq!(tenant_of(&site.pool).await, None, "another one was not trusted");
}

#[tokio::test]
async fn what_the_schema_itself_runs_is_reset_where_every_lease_is() {
    let site = Site::with(Config { reset_always: true, rules: rules(), ..Config::named("test") }).await;
    prepare(&mut site.outside().await).await;
    for sql in ["insert into watched values (1)", "select * from seen"] {
        site.pool.execute(sql).await.expect(sql);
        at_rest(&site.pool).await;
        assert_eq!(tenant_of(&site.pool).await, None, "{sql}");
    }
    at_rest(&site.pool).await;
    let before = site.pool.snapshot().totals.quarantined;
    drop(site.pool.acquire(&admission(Class::Normal)).await.expect("free"));
    assert_eq!(site.pool.snapshot().totals.quarantined, before, "nothing ran");
}

async fn tenant_of(pool: &Pool) -> Option<String> {
    let tenant = sqlx::query_scalar("select nullif(current_setting('app.tenant', true), '')");
    tenant.fetch_one(pool).await.expect("answers")
}
