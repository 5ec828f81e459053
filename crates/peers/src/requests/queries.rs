//! The statements that a shop must be quick with, as it serves them: what each takes the server, and how it is planned.
//!
//! A client goes through the shop on the full seed, and the server writes down every statement with the time that it took. Once it
//! has been through, it goes again while the server writes down the plans. Nothing here has a statement's text: parts of it say
//! which is which, and one that nobody served is an error.

mod log;
mod visit;

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::time::Duration;

use forebay_embedded::Server;
use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection};
use tokio::time::{sleep, timeout};

use super::Build;
use super::shop::{Shop, filled};
use crate::BenchError;
use crate::machine::Machine;
use crate::precedence::Precedence;
use log::{Log, Plan, Unit};
use visit::Visitor;

/// What must be quick.
#[derive(Clone, Copy, Debug)]
struct Query {
    name: &'static str,
    /// Words of the statements that it consists of, which are run one after another; or of one in its transaction.
    parts: Parts,
    /// At the 99th percentile, in milliseconds.
    target: f64,
}

#[derive(Clone, Copy, Debug)]
enum Parts {
    Statements(&'static [&'static str]),
    Transaction(&'static str),
}

use Parts::{Statements, Transaction};

const TREE: &str = "from catalog.categories order by position";

const QUERIES: [Query; 18] = [
    query(
        "Q1 a product by its id, and its SKUs",
        Statements(&["and p.id = $1", "from catalog.skus where product_id"]),
        2.0,
    ),
    query(
        "Q1 a product by its slug, and its SKUs",
        Statements(&["and p.slug = $1", "from catalog.skus where product_id"]),
        2.0,
    ),
    query(
        "Q2 a page of a category by price",
        Statements(&["with recursive within as", "category_id = any($1) and (base_price, id) >"]),
        4.0,
    ),
    query("Q3 a page of the newest", Statements(&["where status = 'active' and (created_at, id) <"]), 3.0),
    query("Q3 a page of the most popular", Statements(&["where status = 'active' and (popularity, id) <"]), 3.0),
    query("Q4 a search", Statements(&["search @@ websearch_to_tsquery"]), 25.0),
    query("Q4 what resembles a word", Statements(&["<<% name"]), 25.0),
    query("Q5 all categories", Statements(&[TREE]), 2.0),
    query(
        "Q6 a user by e-mail address",
        Statements(&["from auth.users where email_key = $1 and disabled_at is null"]),
        1.0,
    ),
    query("Q7 a refresh token is used", Transaction("update auth.sessions s set last_seen_at"), 4.0),
    query(
        "Q8 a cart with its prices",
        Statements(&["from checkout.carts where id = $1", "from checkout.cart_items i left join"]),
        3.0,
    ),
    query("Q9 an item is put into a cart", Transaction("insert into checkout.cart_items as line"), 2.0),
    query("Q10 an order of five SKUs is placed", Transaction("insert into checkout.idempotency_keys"), 12.0),
    query(
        "Q11 an order is paid",
        Transaction("set status = $3, version = version + 1 where id = $1 and status = 'pending_payment'"),
        8.0,
    ),
    query("Q12 a page of one's orders", Statements(&["from checkout.orders o where user_id = $1"]), 4.0),
    query(
        "Q13 a hundred orders that have lapsed",
        Statements(&["select distinct r.order_id from checkout.reservations"]),
        10.0,
    ),
    query("Q13 one of them is expired", Transaction("where i.sku = l.sku and s.sku = l.sku"), 10.0),
    query("Q14 a hundred events are claimed", Statements(&["with fresh as materialized"]), 5.0),
];

const fn query(name: &'static str, parts: Parts, target: f64) -> Query {
    Query { name, parts, target }
}

/// A table of fewer rows than this is read whole, whatever index it has.
const SMALL: f32 = 200.0;
/// Times that the client goes through while plans are written down: the first five times a statement is planned for its values.
const ROUNDS_FOR_PLANS: u32 = 12;
/// For the shop's own work to be done, which it does every few seconds.
const LIMIT: Duration = Duration::from_secs(60);

/// What was measured, and how it is planned.
#[derive(Clone, Debug)]
pub struct Report {
    machine: Machine,
    name: String,
    rounds: u32,
    figures: Vec<Figure>,
}

#[derive(Clone, Debug)]
struct Figure {
    query: Query,
    /// Milliseconds of each part's runs, sorted.
    parts: Vec<Vec<f64>>,
    /// What its plans read by.
    indexes: BTreeSet<String>,
    /// Large tables that a plan reads whole.
    whole: BTreeSet<String>,
}

/// Measures on a server of its own, which `build` fills; the client goes through the shop `rounds` times.
///
/// # Errors
/// There is no server, the shop does not open, an answer is not what it was to be, or a statement was not served.
pub async fn run(build: &Build, rounds: u32, progress: impl Fn(&str) + Send + Sync) -> Result<Report, BenchError> {
    progress("starting a server");
    let server = server(&progress).await?;
    let measured = measure(build, rounds, &server, progress).await;
    // The run is over: whatever is wrong with the stop, the guardian ends the server with this process.
    _ = server.shutdown().await;
    measured
}

/// One that can be told to write down what it runs.
pub(super) async fn server(progress: impl Fn(&str) + Send) -> Result<Server, BenchError> {
    let settings = [
        ("fsync", "on"),
        ("full_page_writes", "on"),
        ("session_preload_libraries", "auto_explain"),
        ("log_error_verbosity", "terse"),
        ("log_line_prefix", log::PREFIX),
    ];
    let settings = settings.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
    Ok(Server::start_temporary(settings, progress).await?)
}

/// The statements by which the shop reads a product, which it does while `asking`.
pub(super) async fn of_a_product(
    conn: &mut PgConnection,
    server: &Server,
    asking: impl Future<Output = Result<(), BenchError>>,
) -> Result<Vec<String>, BenchError> {
    let mut log = Log::of(server)?;
    set(conn, "log_min_duration_statement", "0").await?;
    asking.await?;
    set(conn, "log_min_duration_statement", "-1").await?;
    let (units, [by_id, ..]) = (log.units()?, QUERIES);
    let served = |words: &&str| units.iter().find(|unit| by_id.is(words, unit))?.texts.first().cloned();
    let served = by_id
        .words()
        .iter()
        .map(|words| served(words).ok_or_else(|| BenchError::turn(format!("\"{words}\" was not served"))));
    served.collect()
}

async fn measure(
    build: &Build,
    rounds: u32,
    server: &Server,
    progress: impl Fn(&str) + Send + Sync,
) -> Result<Report, BenchError> {
    progress("filling it: 10,000 products and 200,000 orders");
    let url = server.url("postgres");
    filled(&build.program, &url).await?;
    let options: PgConnectOptions = url.parse()?;
    let mut conn = PgConnection::connect_with(&options).await?;
    conn.execute("vacuum analyze").await?;
    let version: String = sqlx::query_scalar("show server_version").fetch_one(&mut conn).await?;
    let machine = Machine::here(version, Precedence::Nobody);
    let shop = Shop::start_on(build, server).await?;
    let found = watch(&shop, &mut conn, server, rounds, progress).await;
    shop.stop().await?;
    Ok(Report { machine, name: build.name.clone(), rounds, figures: found? })
}

async fn watch(
    shop: &Shop,
    conn: &mut PgConnection,
    server: &Server,
    rounds: u32,
    progress: impl Fn(&str),
) -> Result<Vec<Figure>, BenchError> {
    let mut log = Log::of(server)?;
    set(conn, "log_min_duration_statement", "0").await?;
    // Who comes asks for all categories, which the shop keeps for a minute: they are asked for here instead.
    let mut visitor = Visitor::come(shop).await?;
    let tree = log.units()?.into_iter().flat_map(|unit| unit.texts).find(|text| text.contains(TREE));
    let tree = tree.ok_or_else(|| BenchError::turn(format!("\"{TREE}\" was not served")))?;
    set(conn, "log_min_duration_statement", "-1").await?;
    progress("warming up");
    visitor.go_through(rounds.div_ceil(10)).await?;
    progress("measuring");
    set(conn, "log_min_duration_statement", "0").await?;
    visitor.go_through(rounds).await?;
    ask_for(&tree, conn, rounds).await?;
    the_shops_own_work(conn, 2_000).await?;
    set(conn, "log_min_duration_statement", "-1").await?;
    let units = log.units()?;
    progress("looking at the plans");
    conn.execute("analyze").await?;
    set(conn, "auto_explain.log_format", "json").await?;
    set(conn, "auto_explain.log_min_duration", "0").await?;
    visitor.go_through(ROUNDS_FOR_PLANS).await?;
    ask_for(&tree, conn, ROUNDS_FOR_PLANS).await?;
    the_shops_own_work(conn, 300).await?;
    set(conn, "auto_explain.log_min_duration", "-1").await?;
    let plans = log.plans()?;
    let small: Vec<String> = sqlx::query_scalar("select relname::text from pg_class where reltuples < $1")
        .bind(SMALL)
        .fetch_all(conn)
        .await?;
    let figures = QUERIES.into_iter().map(|query| Figure::of(query, &units, &plans, &small));
    figures.collect()
}

async fn ask_for(statement: &str, conn: &mut PgConnection, times: u32) -> Result<(), BenchError> {
    for _ in 0..times {
        sqlx::query(AssertSqlSafe(statement.to_owned())).fetch_all(&mut *conn).await?;
    }
    Ok(())
}

/// For all sessions. They know of it before their next statement; this one's is over when its own does.
async fn set(conn: &mut PgConnection, name: &str, value: &str) -> Result<(), BenchError> {
    conn.execute(AssertSqlSafe(format!("alter system set {name} = '{value}'"))).await?;
    conn.execute("select pg_reload_conf()").await?;
    for _ in 0..100 {
        let now: Option<String> =
            sqlx::query_scalar("select current_setting($1, true)").bind(name).fetch_one(&mut *conn).await?;
        if now.as_deref() == Some(value) {
            return Ok(());
        }
        sleep(Duration::from_millis(20)).await;
    }
    Err(BenchError::turn(format!("the server does not take over {name}")))
}

/// Has the shop do what it does by itself: publishes so many events once more, and expires the orders that were declined.
async fn the_shops_own_work(conn: &mut PgConnection, events: i64) -> Result<(), BenchError> {
    let again = "update checkout.outbox set published_at = null where id in (select id from checkout.outbox order by id desc limit $1)";
    sqlx::query(again).bind(events).execute(&mut *conn).await?;
    conn.execute("update checkout.reservations set expires_at = now() where state = 'held'").await?;
    let done = async {
        let left = "select exists (select from checkout.outbox where published_at is null) \
                    or exists (select from checkout.reservations where state = 'held')";
        while sqlx::query_scalar::<_, bool>(left).fetch_one(&mut *conn).await? {
            sleep(Duration::from_millis(200)).await;
        }
        Ok(())
    };
    timeout(LIMIT, done)
        .await
        .map_err(|_late| BenchError::turn("the shop did not publish and expire what it should"))?
}

impl Query {
    /// The words of its parts.
    fn words(&self) -> &[&'static str] {
        match &self.parts {
            Statements(words) => words,
            Transaction(words) => std::slice::from_ref(words),
        }
    }

    fn is(&self, words: &str, unit: &Unit) -> bool {
        let fits = |text: &String| text.contains(words);
        match self.parts {
            Statements(_) => unit.texts.len() == 1 && unit.texts.iter().all(fits),
            Transaction(_) => unit.texts.len() > 1 && unit.texts.iter().any(fits),
        }
    }
}

impl Figure {
    fn of(query: Query, units: &[Unit], plans: &[Plan], small: &[String]) -> Result<Self, BenchError> {
        let mut parts = Vec::new();
        let (mut indexes, mut whole) = (BTreeSet::new(), BTreeSet::new());
        for words in query.words() {
            let those: Vec<_> = units.iter().filter(|unit| query.is(words, unit)).collect();
            let mut millis: Vec<f64> = those.iter().map(|unit| unit.millis).collect();
            millis.sort_by(f64::total_cmp);
            let texts: BTreeSet<&String> = those.iter().flat_map(|unit| &unit.texts).collect();
            let planned: Vec<_> = plans.iter().filter(|plan| texts.contains(&plan.text)).collect();
            if millis.is_empty() || planned.is_empty() {
                let (runs, plans) = (millis.len(), planned.len());
                return Err(BenchError::turn(format!(
                    "{}: \"{words}\" was served {runs} times, and planned {plans} times",
                    query.name
                )));
            }
            for plan in planned {
                indexes.extend(plan.indexes.iter().cloned());
                whole.extend(plan.whole.iter().filter(|table| !small.contains(table)).cloned());
            }
            parts.push(millis);
        }
        Ok(Self { query, parts, indexes, whole })
    }

    /// Of all parts, each at this percentile of its runs, by the nearest rank.
    fn at(&self, percent: usize) -> f64 {
        let of = |millis: &Vec<f64>| millis[(millis.len() * percent).div_ceil(100).saturating_sub(1)];
        self.parts.iter().map(of).sum()
    }

    fn runs(&self) -> usize {
        self.parts.iter().map(Vec::len).min().unwrap_or(0)
    }

    fn holds(&self) -> bool {
        self.at(99) <= self.query.target && self.whole.is_empty()
    }
}

impl Report {
    /// Whether each is quick enough, and reads no large table whole.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.figures.iter().all(Figure::holds)
    }

    /// As text with a table.
    #[must_use]
    pub fn markdown(&self) -> String {
        let machine = self.machine.line(" with fsync");
        let mut text = format!(
            "# The shop's queries: {}\n\n\
             {machine}\n\n\
             **Method.** One client goes through the shop on the full seed {} times, and the server writes down what each statement took it, parsing, \
             binding and running; of a transaction, all its statements and COMMIT. Where a query is two statements, the percentiles of both are \
             added. Then it goes through {ROUNDS_FOR_PLANS} times more, and the server writes down the plans; none may read a table of {SMALL} rows or more whole.\n\n\
             | query | runs | median, ms | p99, ms | most, ms | p99 at most, ms | | reads by |\n|---|---|---|---|---|---|---|---|\n",
            self.name, self.rounds
        );
        for figure in &self.figures {
            let verdict = if figure.holds() { "held" } else { "**missed**" };
            let indexes: Vec<_> = figure.indexes.iter().map(|name| format!("`{name}`")).collect();
            let whole: String = figure.whole.iter().map(|table| format!(" **all of {table}**")).collect();
            _ = writeln!(
                text,
                "| {} | {} | {:.3} | {:.3} | {:.3} | {} | {verdict} | {}{whole} |",
                figure.query.name,
                figure.runs(),
                figure.at(50),
                figure.at(99),
                figure.at(100),
                figure.query.target,
                indexes.join(", "),
            );
        }
        text
    }
}
