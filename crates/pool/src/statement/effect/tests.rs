use proptest::prelude::*;

use super::{Effect, Trace};

fn effect(sql: &str) -> Effect {
    Effect::of(sql, &[])
}

fn trace(sql: &str) -> Trace {
    effect(sql).trace
}

#[test]
fn ordinary_statements_leave_nothing() {
    for sql in [
        "",
        "   ",
        ";;;",
        "select 1",
        "SELECT * FROM t WHERE a = $1 FOR UPDATE",
        "insert into t values ($1) on conflict do update set n = excluded.n",
        "insert into temp values (1)",
        "update t set role = 'x', session = 2",
        "delete from t",
        "with x as (update t set n = 1 returning n) select n from x",
        "(select 1) union (select 2)",
        "values (1), (2)",
        "/* set role x */ select 1 -- listen y",
        "select 'listen x; set role y; pg_advisory_lock'",
        "select e'it\\'s; set role y', $1",
        "select \"set\", \"begin;\" from t",
        "select pg_advisory_xact_lock(1), pg_advisory_unlock(2), pg_advisory_unlock_all()",
        "select pg_try_advisory_xact_lock(1)",
        "select set_config('a.b', $1, true)",
        "select set_config('a.b', coalesce($1, ''), true)",
        "set local role x",
        "SET TRANSACTION read only",
        "set constraints all deferred",
        "copy t from stdin",
        "create table t (n int)",
        "create index concurrently on t (n)",
        "declare c cursor for select 1",
        "declare c cursor without hold for select 1",
        "explain (analyze) select 1",
        "explain (analyze, costs off) insert into t (n) select 1",
        "notify x, 'y'",
        "unlisten *",
    ] {
        assert_eq!(effect(sql), Effect::default(), "{sql}");
    }
}

#[test]
fn what_calls_no_function_of_somebodys_own_leaves_nothing() {
    for sql in [
        "select count(*), coalesce(max(n), 0), now() from t where n in (1, 2) and lower(a) = any($1)",
        "select count (*) filter (where n > 0) over (partition by a order by (b)) from t",
        "select sum(n) within group (order by n) from t group by grouping sets ((a), (b)), rollup (c)",
        "insert into t (a, b) values ($1, $2) on conflict (a) do update set (b) = row (excluded.b) returning (a)",
        "insert into s.t (a) values (1)",
        "insert into s.\"T\" as x (a) values (1)",
        "with x (a, b) as (select 1, 2), y (c) as not materialized (values (1)), z(d) as ((select 1)) select * from x, y",
        "with recursive x(n) as (select 1 union all (select n + 1 from x)) select n from x",
        "select a::numeric(10, 2), cast(a as varchar(3)), a::public.vector(3), $1 :: my_type(3) from t",
        "select * from unnest($1::text[], $2::int[]) as t(a, b)",
        "select * from unnest($1::text[], $2::int[]) t(a, b)",
        "select * from unnest($1) with ordinality t (a, n)",
        "select * from t join lateral (select 1) x(n) on (true) join y using (n)",
        "select distinct on (a) a from t order by (a)",
        "select gen_random_uuid(), uuid_generate_v4(), extensions.digest($1, 'sha256'), similarity(a, $1) from t",
        "select st_x(p), ST_DWithin(p, st_makepoint($1, $2), 3), pg_catalog.lower(a), \"lower\"(a) from t",
        "select nextval('s'), currval('s'), pg_advisory_xact_lock(hashtextextended($1, 0))",
        "select extract(epoch from now()), position('a' in b), substring(b from 2), interval '1 day', date '2020-01-01'",
        "select jsonb_build_object('a', 1) -> 'a', array(select 1), array[1, (2)], case when (a) then (b) else (c) end",
        "create table t (n int primary key, a text default my_fn(), check (n > 0))",
        "create table if not exists t (n int references x (n))",
        "create index on t (n, my_fn(a))",
        "copy t (a, b) from stdin with (format csv)",
        "merge into t using (values (1)) x(n) on (t.n = x.n) when matched then delete when not matched then insert (n) values (n)",
        "select 'my_fn()', \"my_fn\", $$my_fn()$$ -- my_fn()",
        "explain (analyze, verbose) select count(*) from t",
        "update pg_class set relname = 'pg_settings'",
        "select setting from pg_settings",
        "grant execute on function my_fn(int) to somebody",
        "savepoint x; release x",
    ] {
        assert_eq!(effect(sql), Effect::default(), "{sql}");
    }
}

#[test]
fn what_runs_out_of_sight_may_leave_anything() {
    for sql in [
        "do $$ begin perform 1; end $$",
        "do language plpgsql 'begin end'",
        "execute p",
        "execute p(1, 2)",
        "create table t as execute p",
        "explain analyze execute p",
        "explain (analyze) create table t as execute p(1)",
        "call p()",
        "call s.p ($1)",
        "select my_fn()",
        "select my_fn ()",
        "select my_fn/* x */()",
        "select my_fn -- x\n ($1)",
        "select 1 + s.my_fn($1)",
        "select sets(), \"filter\"(a)",
        "select \"Lower\"(a), 1",
        "select app.lower(a)",
        "select \"my fn\"(a)",
        "select U&\"\\0061bs\"(1)",
        "select distinct on (a) my_fn(a) from t",
        "select * from t where (a) = my_fn(b)",
        "select * from my_fn() as x(a, b)",
        "select * from my_fn() as (a int, b int)",
        "select * from rows from (my_fn(), unnest($1)) as x",
        "select * from t join lateral my_fn(t.a) x on true",
        "with x (a) as (select my_fn()) select a from x",
        "with x as (select 1), y (a) as (select my_fn()) select a from y",
        "insert into t (a) values (my_fn())",
        "insert into t select my_fn()",
        "update t set (a) = (select my_fn())",
        "delete from t where n = 1 returning my_fn(n)",
        "merge into t using x on (t.n = x.n) when matched then update set a = my_fn(x.a)",
        "copy (select my_fn()) to stdout",
        "create table t as select my_fn()",
        "alter table t alter a type int using my_fn(a)",
        "declare c cursor for select my_fn()",
        "values (1), (my_fn())",
        "select query_to_xml($1, true, false, '')",
        "select * from crosstab($1) as x(a int)",
        "select dblink_exec($1)",
    ] {
        assert_eq!(trace(sql), Trace::Unseen, "{sql}");
    }
}

#[test]
fn whom_the_pools_user_trusts_leaves_nothing() {
    let trusted = ["My_Fn", "app_*", "do"].map(str::to_owned);
    for sql in ["select my_fn(), s.app_x()", "do $$ begin perform 1; end $$", "call app_x()"] {
        assert_eq!(Effect::of(sql, &trusted), Effect::default(), "{sql}");
    }
    for sql in ["select my_fn(other())", "execute p"] {
        assert_eq!(Effect::of(sql, &trusted).trace, Trace::Unseen, "{sql}");
    }
    // What the text says is not a matter of trust.
    for sql in ["select app_x(); set role x", "do $$ begin perform set_config('a.b', 'c', false); end $$"] {
        assert_eq!(Effect::of(sql, &trusted).trace, Trace::Session, "{sql}");
    }
}

#[test]
fn what_no_reset_takes_away_is_told_apart() {
    for sql in [
        "load 'auto_explain'",
        "set seed to 0.5",
        "set session seed = 0.5",
        "select setseed(0.5)",
        "select public.dblink_connect('x', $1)",
        "select pg_create_logical_replication_slot('x', 'y', true); set role x",
    ] {
        assert_eq!(trace(sql), Trace::ForGood, "{sql}");
    }
}

#[test]
fn what_outlives_the_transaction_is_seen() {
    for sql in [
        "set role postgres",
        "SET search_path = x",
        "set session authorization x",
        "  \n\t set work_mem = '1MB'",
        "-- a comment\n/* and /* one in */ it */ SeT timezone to 'UTC'",
        "select 1; set role x",
        "select ';'; listen x",
        "listen x",
        "reset all",
        "prepare x as select 1",
        "deallocate all",
        "discard plans",
        "declare c cursor with hold for select 1",
        "create temp table t (n int)",
        "CREATE TEMPORARY VIEW v AS SELECT 1",
        "create or replace temp view v as select 1",
        "create local temporary table t (n int)",
        "explain analyze create temp table t as select 1",
        "explain (analyze, costs off) create temporary table t as select 1",
        "explain verbose create table pg_temp.t as select 1",
        "update pg_settings set setting = '1MB' where name = 'work_mem'",
        "with x as (update pg_catalog.pg_settings set setting = '1') select 1",
        "create table pg_temp.t (n int)",
        "select * into temp t from x",
        "with x as (select 1) select * into temporary t from x",
        "select pg_advisory_lock(1)",
        "select pg_catalog.PG_TRY_ADVISORY_LOCK(1, 2)",
        "select \"pg_advisory_lock_shared\"(1)",
        "with x as materialized (select pg_try_advisory_lock_shared($1) as got) select got from x",
        "select set_config('a.b', 'c', false)",
        "select set_config('a.b', 'c', $1)",
        "select set_config('a.b', 'true'",
        "do $$ begin perform pg_advisory_lock(1); end $$",
        "do $x$ begin execute 'select set_config(''a'', ''b'', false)'; end $x$",
        "frobnicate the database",
    ] {
        assert_eq!(trace(sql), Trace::Session, "{sql}");
    }
}

#[test]
fn transactions_by_text_are_seen_where_they_open_and_where_they_end() {
    let cases = [
        ("begin", true, false),
        ("BEGIN ISOLATION LEVEL SERIALIZABLE; set local role x", true, false),
        ("start transaction read only", true, false),
        ("start something", false, false),
        ("/* x */ begin; insert into t values (1); commit", true, true),
        ("begin; commit; begin", true, false),
        ("commit", false, true),
        ("END", false, true),
        ("abort", false, true),
        ("rollback work", false, true),
        ("rollback to savepoint x", false, false),
        ("rollback to x", false, false),
        ("rollback prepared 'x'", false, false),
        ("commit prepared 'x'", false, false),
        ("commit and chain", true, false),
        ("commit and no chain", false, true),
        ("prepare transaction 'x'", false, true),
        ("savepoint x", false, false),
        ("create function f() returns int begin atomic select 1; select 2; end", false, false),
        ("select case when true then 1 end", false, false),
    ];
    for (sql, opens, ends) in cases {
        let effect = effect(sql);
        assert_eq!((effect.opens, effect.ends), (opens, ends), "{sql}");
    }
}

#[test]
fn a_huge_statement_is_read_in_one_pass() {
    let values = "('it''s', $$x$$, \"q\", set_config(),".repeat(100_000);
    assert_eq!(trace(&format!("insert into t values {values}")), Trace::Session);
    let nested = "set_config(".repeat(200_000);
    assert_eq!(trace(&format!("select {nested}")), Trace::Session);
    let comments = "/*".repeat(500_000);
    assert_eq!(effect(&comments), Effect::default());
    let fences = "$a".repeat(500_000);
    assert_eq!(trace(&format!("select {fences}")), Trace::None);
}

proptest! {
    #[test]
    fn any_text_is_read_without_a_fault(sql in any::<String>()) {
        effect(&sql);
    }

    #[test]
    fn any_text_of_the_pieces_that_matter_is_read_without_a_fault(
        pieces in proptest::collection::vec(
            prop_oneof![
                Just("'"), Just("\""), Just("$$"), Just("$a$"), Just("$1"), Just("--"), Just("\n"), Just("/*"), Just("*/"),
                Just("e'"), Just("\\"), Just(";"), Just("("), Just(")"), Just("set_config"), Just("begin"), Just("commit"),
                Just("pg_"), Just("é"), Just(" "), Just("$"), Just("\0"),
            ],
            0..60,
        )
    ) {
        effect(&pieces.concat());
    }

    /// Whatever stands before it, closed, a statement is seen.
    #[test]
    fn a_statement_is_seen_behind_any_literal_or_comment(inside in "[^$]*", padding in "[ \t\r\n]*") {
        let literal = inside.replace('\'', "''");
        let comment = inside.replace(['*', '/'], " ");
        for before in [format!("select '{literal}';"), format!("select $x${inside}$x$;"), format!("/*{comment}*/")] {
            let sql = format!("{before}{padding}SET role x");
            prop_assert_eq!(trace(&sql), Trace::Session, "{}", sql);
        }
    }

    /// And inside of one it is not.
    #[test]
    fn a_literal_is_not_taken_for_a_statement(inside in "[^']*") {
        let sql = format!("select '{inside}; begin; set role x' from t");
        prop_assert_eq!(effect(&sql), Effect::default(), "{}", sql);
    }
}
