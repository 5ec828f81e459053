//! The database's own account: pg_stat_statements, plans of the statements that take most time, indexes, transactions that wait.

use std::{fmt::Write as _, time::Duration};

use forebay_pool::summary;
use serde_json::Value;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection, Row as _, postgres::PgConnectOptions};
use tokio::time::timeout;

use super::plan::{WholeRead, whole_reads};
use crate::{database::dial, reason::Reason};

/// For all that is asked.
const LIMIT: Duration = Duration::from_secs(45);
/// Of so many statements, those that took most time, the plan is looked at.
const PLANS: usize = 10;
/// What pg_stat_statements tells.
const WHAT: &str = "statements as the server counts them, and their plans";
/// Whom a role without these rights reads as the text of others' statements.
const HIDDEN: &str = "<insufficient privilege>";
/// A table of fewer rows is read whole as quickly as by an index.
const LARGE: f64 = 10_000.0;
/// An index pays where it leaves out most of a table: the share of its rows that are chosen at most.
const CHOSEN: f64 = 0.1;
/// A statement that is seen less often is not worth an index.
const FREQUENT: i64 = 100;
/// Whoever uses an index once a week has used it by then.
const UNUSED_AFTER: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// What was seen.
#[derive(Debug, Default)]
pub(super) struct Seen {
    pub(super) version: String,
    /// Those that took most time, since `window`.
    pub(super) statements: Vec<Statement>,
    pub(super) window: Duration,
    pub(super) missing: Vec<Missing>,
    pub(super) unused: Vec<Unused>,
    pub(super) idle_in_transaction: Vec<Idle>,
    /// What was not, and what to do about it.
    pub(super) unseen: Vec<String>,
}

#[derive(Debug)]
pub(super) struct Statement {
    pub(super) summary: String,
    pub(super) calls: i64,
    pub(super) total_ms: f64,
    pub(super) max_ms: f64,
    pub(super) rows: i64,
    pub(super) blocks: i64,
    text: String,
    /// Whether the role that asks has run it.
    is_own: bool,
}

/// An index that a frequent statement lacks.
#[derive(Debug)]
pub(super) struct Missing {
    pub(super) table: String,
    pub(super) columns: Vec<String>,
    pub(super) table_rows: f64,
    pub(super) chosen_rows: f64,
    /// Of [`Seen::statements`].
    pub(super) statement: usize,
}

/// An index that nobody used.
#[derive(Debug)]
pub(super) struct Unused {
    pub(super) name: String,
    pub(super) table: String,
    pub(super) bytes: i64,
}

/// A session that keeps a transaction open and does nothing.
#[derive(Debug)]
pub(super) struct Idle {
    pub(super) pid: i32,
    pub(super) application: String,
    pub(super) seconds: f64,
}

impl Seen {
    /// Looks, in 45 seconds at most, in transactions that can write nothing.
    pub(super) async fn look(options: &PgConnectOptions) -> Result<Self, String> {
        let at = crate::database::address(options);
        let mut connection = dial(options).await.map_err(|error| {
            format!("the database at {at} cannot be asked: {}. DATABASE_URL names it", Reason::of(&error, options))
        })?;
        let mut seen = Self::default();
        match timeout(LIMIT, seen.fill(&mut connection)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => seen.unseen.push(format!("the rest of the database: {error}")),
            Err(_elapsed) => {
                seen.unseen.push(format!("the rest of the database: it took longer than {} s", LIMIT.as_secs()));
            }
        }
        // It is of no use any more.
        _ = timeout(Duration::from_secs(1), connection.close()).await;
        Ok(seen)
    }

    async fn fill(&mut self, connection: &mut PgConnection) -> sqlx::Result<()> {
        // The path, so that what is asked means the server's own functions, whatever others have made.
        let bounds = "set default_transaction_read_only = on; set statement_timeout = '5s'; set lock_timeout = '500ms'; \
            set application_name = 'shop advise'; set plan_cache_mode = force_generic_plan; set search_path = pg_catalog";
        sqlx::raw_sql(bounds).execute(&mut *connection).await?;
        self.version = sqlx::query_scalar("show server_version").fetch_one(&mut *connection).await?;
        self.look_at_transactions(connection).await?;
        self.look_at_indexes(connection).await?;
        match Extension::find(connection).await? {
            Ok(extension) => {
                self.look_at_statements(connection, &extension).await?;
                self.look_at_plans(connection).await?;
            }
            Err(why) => self.unseen.push(why),
        }
        Ok(())
    }

    async fn look_at_transactions(&mut self, connection: &mut PgConnection) -> sqlx::Result<()> {
        let asked = "select pid, coalesce(application_name, ''), extract(epoch from now() - state_change)::float8 \
            from pg_stat_activity where datname = current_database() and state like 'idle in transaction%' \
            and state_change < now() - interval '1 second' order by 3 desc limit 10";
        let rows: Vec<(i32, String, f64)> = sqlx::query_as(asked).fetch_all(&mut *connection).await?;
        self.idle_in_transaction =
            rows.into_iter().map(|(pid, application, seconds)| Idle { pid, application, seconds }).collect();
        let asked = "select current_user::text, count(*) from pg_stat_activity \
            where datname = current_database() and query = $1 group by 1";
        let hidden: Option<(String, i64)> = sqlx::query_as(asked).bind(HIDDEN).fetch_optional(connection).await?;
        if let Some((role, sessions)) = hidden {
            self.unseen.push(format!("what {sessions} sessions of other roles do: {}", grant(&role)));
        }
        Ok(())
    }

    async fn look_at_indexes(&mut self, connection: &mut PgConnection) -> sqlx::Result<()> {
        let asked = "select extract(epoch from now() - coalesce(stats_reset, pg_postmaster_start_time()))::float8, \
            pg_is_in_recovery() from pg_stat_database where datname = current_database()";
        let (counted, standby): (f64, bool) = sqlx::query_as(asked).fetch_one(&mut *connection).await?;
        let counted = seconds(counted);
        if counted < UNUSED_AFTER || standby {
            let why = if standby {
                "this is a standby, and its primary may use them".to_owned()
            } else {
                format!("the server has counted for {}; that is known after 7 days", told(counted))
            };
            self.unseen.push(format!("indexes that nobody uses: {why}"));
            return Ok(());
        }
        let asked = "select format('%I.%I', s.schemaname, s.indexrelname), format('%I.%I', s.schemaname, s.relname), \
            pg_relation_size(s.indexrelid) from pg_stat_user_indexes s join pg_index i using (indexrelid) \
            where s.idx_scan = 0 and not i.indisunique and pg_relation_size(s.indexrelid) >= 1048576 \
            and not exists (select from pg_constraint c where c.conindid = s.indexrelid) order by 3 desc limit 10";
        let rows: Vec<(String, String, i64)> = sqlx::query_as(asked).fetch_all(connection).await?;
        self.unused = rows.into_iter().map(|(name, table, bytes)| Unused { name, table, bytes }).collect();
        Ok(())
    }

    async fn look_at_statements(&mut self, connection: &mut PgConnection, at: &Extension) -> sqlx::Result<()> {
        let Extension { schema, window, top_level } = at;
        let Some(window) = window else {
            let why = "the server's clock was set back, so that it is not known since when they are counted; \
                `select pg_stat_statements_reset()` begins anew";
            self.unseen.push(format!("{WHAT}: {why}"));
            return Ok(());
        };
        let only = if *top_level { "and s.toplevel" } else { "" };
        let asked = format!(
            "select s.query, sum(s.calls)::int8, sum(s.total_exec_time), max(s.max_exec_time), sum(s.rows)::int8, \
             sum(s.shared_blks_hit + s.shared_blks_read)::int8, \
             bool_or(s.userid = (select oid from pg_roles where rolname = current_user)) from {schema}.pg_stat_statements s \
             where s.dbid = (select oid from pg_database where datname = current_database()) {only} \
             and s.query not like '%pg_stat_%' group by s.queryid, s.query order by 3 desc limit 20"
        );
        type Row = (String, i64, f64, f64, i64, i64, bool);
        let rows: Vec<Row> = sqlx::query_as(AssertSqlSafe(asked)).fetch_all(&mut *connection).await?;
        let of = |(text, calls, total_ms, max_ms, rows, blocks, is_own): Row| Statement {
            summary: summary(&text),
            calls,
            total_ms,
            max_ms,
            rows,
            blocks,
            text,
            is_own,
        };
        let (hidden, shown) = rows.into_iter().map(of).partition::<Vec<_>, _>(|of| of.text == HIDDEN);
        if !hidden.is_empty() {
            let role: String = sqlx::query_scalar("select current_user::text").fetch_one(connection).await?;
            self.unseen.push(format!("statements of other roles: {}", grant(&role)));
        }
        (self.statements, self.window) = (shown, *window);
        Ok(())
    }

    async fn look_at_plans(&mut self, connection: &mut PgConnection) -> sqlx::Result<()> {
        let (mut unplanned, mut of_others) = (0, 0);
        for statement in 0..self.statements.len().min(PLANS) {
            let Statement { calls, text, summary, is_own, .. } = &self.statements[statement];
            let explained = ["SELECT", "INSERT", "UPDATE", "DELETE", "MERGE"];
            if *calls < FREQUENT || !explained.iter().any(|verb| summary.starts_with(verb)) {
                continue;
            }
            // To plan is to run functions, some of them the statement's: nobody else may choose what this role runs.
            if !is_own {
                of_others += 1;
                continue;
            }
            let Ok(plan) = plan_of(connection, text).await else {
                unplanned += 1;
                continue;
            };
            for read in whole_reads(&plan) {
                if let Some(missing) = lacks(connection, read, statement).await? {
                    let same = |known: &Missing| known.table == missing.table && known.columns == missing.columns;
                    if !self.missing.iter().any(same) {
                        self.missing.push(missing);
                    }
                }
            }
        }
        if of_others > 0 {
            self.unseen.push(format!(
                "the plans of {of_others} of the statements, which other roles run: ask as the role that runs them, with DATABASE_URL"
            ));
        }
        if unplanned > 0 {
            self.unseen.push(format!(
                "the plans of {unplanned} of the statements: the role may not read their tables, or their text has no values to plan by"
            ));
        }
        Ok(())
    }
}

fn grant(role: &str) -> String {
    format!("as a superuser, `grant pg_read_all_stats to \"{role}\"`")
}

/// Where pg_stat_statements is, and since when it counts.
struct Extension {
    schema: String,
    /// None when the server's clock says that it has not begun yet.
    window: Option<Duration>,
    top_level: bool,
}

impl Extension {
    /// It, or why there is none and what to type.
    async fn find(connection: &mut PgConnection) -> sqlx::Result<Result<Self, String>> {
        let asked = "select current_setting('pg_stat_statements.max', true) is not null, \
            (select quote_ident(n.nspname) from pg_extension e join pg_namespace n on n.oid = e.extnamespace \
             where e.extname = 'pg_stat_statements')";
        let (loaded, schema): (bool, Option<String>) = sqlx::query_as(asked).fetch_one(&mut *connection).await?;
        if !loaded {
            return Ok(Err(format!(
                "{WHAT}: the server has not loaded pg_stat_statements. As a superuser, `alter system set \
                 shared_preload_libraries = 'pg_stat_statements'`, with what `show shared_preload_libraries` says \
                 before it; then restart the server, and `create extension pg_stat_statements`"
            )));
        }
        let Some(schema) = schema else {
            return Ok(Err(format!("{WHAT}: as a superuser, in this database, `create extension pg_stat_statements`")));
        };
        // Its columns are those of the version that was created, whatever the server's is.
        let asked = "select attname::text from pg_attribute where attrelid = to_regclass($1) and attnum > 0";
        let of = |name: &str| format!("{schema}.{name}");
        let columns: Vec<String> =
            sqlx::query_scalar(asked).bind(of("pg_stat_statements")).fetch_all(&mut *connection).await?;
        let has = |column: &str| columns.iter().any(|known| known == column);
        let is_current: bool = sqlx::query_scalar("select to_regclass($1) is not null")
            .bind(of("pg_stat_statements_info"))
            .fetch_one(&mut *connection)
            .await?;
        if !is_current || !has("total_exec_time") {
            return Ok(Err(format!("{WHAT}: the extension is old; `alter extension pg_stat_statements update`")));
        }
        let may: bool = sqlx::query_scalar("select has_table_privilege($1, 'select')")
            .bind(of("pg_stat_statements"))
            .fetch_one(&mut *connection)
            .await?;
        if !may {
            return Ok(Err(format!("{WHAT}: as its owner, `grant select on {} to public`", of("pg_stat_statements"))));
        }
        let asked =
            format!("select extract(epoch from now() - stats_reset)::float8 from {schema}.pg_stat_statements_info");
        let window: f64 = sqlx::query_scalar(AssertSqlSafe(asked)).fetch_one(connection).await?;
        let window = Duration::try_from_secs_f64(window).ok();
        Ok(Ok(Self { schema, window, top_level: has("toplevel") }))
    }
}

/// The plan for any values, in a transaction that can write nothing and is rolled back. The statement is prepared and explained, and
/// never run: by the same way on each version of the server.
async fn plan_of(connection: &mut PgConnection, text: &str) -> sqlx::Result<Value> {
    let mut tx = connection.begin().await?;
    sqlx::raw_sql("set local search_path to default").execute(&mut *tx).await?;
    // Prepared by the extended protocol, so that the server refuses a text of several statements.
    let prepare = sqlx::query(AssertSqlSafe(format!("prepare forebay_advise as {text}"))).persistent(false);
    prepare.execute(&mut *tx).await?;
    let plan = explain(&mut tx).await;
    tx.rollback().await?;
    sqlx::raw_sql("deallocate forebay_advise").execute(connection).await?;
    plan
}

async fn explain(connection: &mut PgConnection) -> sqlx::Result<Value> {
    let asked = "select cardinality(parameter_types) from pg_prepared_statements where name = 'forebay_advise'";
    let parameters: i32 = sqlx::query_scalar(asked).fetch_one(&mut *connection).await?;
    let mut explain = "explain (verbose, format json) execute forebay_advise".to_owned();
    for number in 0..parameters {
        _ = write!(explain, "{}null", if number == 0 { "(" } else { ", " });
    }
    explain.push_str(if parameters > 0 { ")" } else { "" });
    let row = sqlx::raw_sql(AssertSqlSafe(explain)).fetch_one(connection).await?;
    let plan: String = row.try_get_unchecked(0)?;
    serde_json::from_str(&plan).map_err(|error| sqlx::Error::Decode(error.into()))
}

/// The index that would spare reading the table whole, if it is large and has none that begins with one of these columns.
async fn lacks(connection: &mut PgConnection, read: WholeRead, statement: usize) -> sqlx::Result<Option<Missing>> {
    let WholeRead { schema, table, columns, rows: chosen_rows } = read;
    let asked = "select format('%I.%I', n.nspname, c.relname), c.reltuples::float8, \
        array(select quote_ident(a.attname) from pg_index i join pg_attribute a \
              on a.attrelid = i.indrelid and a.attnum = i.indkey[0] where i.indrelid = c.oid and i.indisvalid \
              and i.indpred is null)::text[] \
        from pg_class c join pg_namespace n on n.oid = c.relnamespace where n.nspname = $1 and c.relname = $2";
    let asked = sqlx::query_as(asked).bind(schema).bind(table);
    let found: Option<(String, f64, Vec<String>)> = asked.fetch_optional(connection).await?;
    let Some((table, table_rows, leading)) = found else { return Ok(None) };
    let served = columns.iter().any(|column| leading.contains(column));
    let pays = table_rows >= LARGE && chosen_rows <= table_rows * CHOSEN && !served;
    Ok(pays.then_some(Missing { table, columns, table_rows, chosen_rows, statement }))
}

fn seconds(number: f64) -> Duration {
    Duration::try_from_secs_f64(number).unwrap_or_default()
}

/// `42 s`, `3 min`, `5 h`, `2 days`.
pub(super) fn told(duration: Duration) -> String {
    match duration.as_secs() {
        seconds @ 0..120 => format!("{seconds} s"),
        seconds @ 120..7_200 => format!("{} min", seconds / 60),
        seconds @ 7_200..172_800 => format!("{} h", seconds / 3_600),
        seconds => format!("{} days", seconds / 86_400),
    }
}
