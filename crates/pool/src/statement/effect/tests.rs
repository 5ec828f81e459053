use proptest::prelude::*;

use super::{Effect, Trace};

fn trace(sql: &str) -> Trace {
    Effect::of(sql).trace
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
        "notify x, 'y'",
        "unlisten *",
        "reset all",
        "do $$ begin perform 1; end $$",
    ] {
        assert_eq!(Effect::of(sql), Effect::default(), "{sql}");
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
        "load 'auto_explain'",
        "prepare x as select 1",
        "deallocate all",
        "discard plans",
        "declare c cursor with hold for select 1",
        "create temp table t (n int)",
        "CREATE TEMPORARY VIEW v AS SELECT 1",
        "create or replace temp view v as select 1",
        "create local temporary table t (n int)",
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
        let effect = Effect::of(sql);
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
    assert_eq!(Effect::of(&comments), Effect::default());
    let fences = "$a".repeat(500_000);
    assert_eq!(trace(&format!("select {fences}")), Trace::None);
}

proptest! {
    #[test]
    fn any_text_is_read_without_a_fault(sql in any::<String>()) {
        Effect::of(&sql);
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
        Effect::of(&pieces.concat());
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
        prop_assert_eq!(Effect::of(&sql), Effect::default(), "{}", sql);
    }
}
