//! For how long a connection is held by statements that are written badly, and by the same work written well.
//!
//! Each pattern is done both ways in turn, in transactions that are rolled back, on one connection to a full shop. What is measured is
//! the lease: from BEGIN to the answer to ROLLBACK, which is the time in which nobody else has the connection.

mod all;
mod report;

use std::path::Path;
use std::time::Duration;

use forebay_embedded::Server;
use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection};
use tokio::time::Instant;

use crate::BenchError;
use crate::machine::Machine;
use crate::precedence::Precedence;
use crate::requests::filled;
pub use report::Report;

/// Some work, done badly and done well.
#[derive(Clone, Debug)]
pub(crate) struct Pattern {
    pub(crate) title: &'static str,
    /// What is wrong, and what is done about it.
    pub(crate) about: &'static str,
    pub(crate) slow: Way,
    pub(crate) good: Way,
}

/// One way to do it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Way {
    /// In words.
    pub(crate) name: &'static str,
    /// What makes the database as it is for this way. Not measured, and rolled back.
    pub(crate) before: Option<&'static str>,
    pub(crate) steps: Vec<Step>,
}

/// What happens while the connection is held.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    /// A statement, and whether its plan is shown.
    Run { sql: String, shown: bool },
    /// Work that is not the database's.
    Elsewhere(Duration),
}

/// What both ways took, in milliseconds, round by round; and the plans of what is shown.
#[derive(Clone, Debug)]
pub(crate) struct Measured {
    pub(crate) pattern: Pattern,
    pub(crate) slow: Held,
    pub(crate) good: Held,
}

/// What one way took.
#[derive(Clone, Debug, Default)]
pub(crate) struct Held {
    pub(crate) millis: Vec<f64>,
    pub(crate) plans: Vec<String>,
}

/// Measures all patterns in so many rounds, on a server of its own that `shop`, the program, fills. Dropping the future ends the
/// server.
///
/// # Errors
/// There is no server to be had, the shop does not fill it, or a statement fails.
pub async fn run(shop: &Path, rounds: u32, progress: impl Fn(&str) + Send + Sync) -> Result<Report, BenchError> {
    progress("starting a server");
    let server = Server::start_temporary(Vec::new(), &progress).await?;
    let url = server.url("postgres");
    let measured = measure(shop, &url, rounds, progress).await;
    // The run is over: whatever is wrong with the stop, the guardian ends the server with this process.
    _ = server.shutdown().await;
    measured
}

async fn measure(
    shop: &Path,
    url: &str,
    rounds: u32,
    progress: impl Fn(&str) + Send + Sync,
) -> Result<Report, BenchError> {
    progress("filling it: 10,000 products and 200,000 orders");
    filled(shop, url).await?;
    let options: PgConnectOptions = url.parse()?;
    let mut conn = PgConnection::connect_with(&options).await?;
    conn.execute("vacuum analyze").await?;
    let version: String = sqlx::query_scalar("show server_version").fetch_one(&mut conn).await?;
    let machine = Machine::here(version, Precedence::Nobody);
    let mut figures = Vec::new();
    for pattern in all::patterns(&mut conn).await? {
        progress(pattern.title);
        let (mut slow, mut good) = (Held::default(), Held::default());
        slow.plans = plans(&mut conn, &pattern.slow).await?;
        good.plans = plans(&mut conn, &pattern.good).await?;
        for round in 0..rounds {
            // Neither always meets what the other has left in the caches.
            let mut turns = [(&pattern.slow, &mut slow), (&pattern.good, &mut good)];
            if round % 2 == 1 {
                turns.reverse();
            }
            for (way, held) in turns {
                held.millis.push(hold(&mut conn, way).await?.as_secs_f64() * 1_000.0);
            }
        }
        figures.push(Measured { pattern, slow, good });
    }
    Ok(Report { machine, rounds, figures })
}

/// Does it one way; for how long that took.
async fn hold(conn: &mut PgConnection, way: &Way) -> Result<Duration, BenchError> {
    conn.execute("begin").await?;
    if let Some(before) = way.before {
        conn.execute(before).await?;
    }
    let began = Instant::now();
    for step in &way.steps {
        match step {
            Step::Run { sql, .. } => {
                sqlx::query(AssertSqlSafe(sql.clone())).fetch_all(&mut *conn).await?;
            }
            Step::Elsewhere(time) => tokio::time::sleep(*time).await,
        }
    }
    let worked = began.elapsed();
    conn.execute("rollback").await?;
    Ok(worked)
}

/// The plans of what is shown, as executed, without figures that another run would not repeat.
async fn plans(conn: &mut PgConnection, way: &Way) -> Result<Vec<String>, BenchError> {
    let mut plans = Vec::new();
    conn.execute("begin").await?;
    if let Some(before) = way.before {
        conn.execute(before).await?;
    }
    for step in &way.steps {
        let Step::Run { sql, shown: true } = step else { continue };
        let explain = format!("explain (analyze, costs off, timing off, summary off) {sql}");
        let lines: Vec<String> = sqlx::query_scalar(AssertSqlSafe(explain)).fetch_all(&mut *conn).await?;
        plans.push(lines.iter().map(|line| shortened(line)).collect::<Vec<_>>().join("\n"));
    }
    conn.execute("rollback").await?;
    Ok(plans)
}

/// A condition may name a hundred values.
fn shortened(line: &str) -> String {
    const LONGEST: usize = 120;
    match line.char_indices().nth(LONGEST) {
        None => line.to_owned(),
        Some((end, _)) => format!("{} …", &line[..end]),
    }
}
