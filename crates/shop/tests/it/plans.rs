//! Whatever the services are compiled with is read by an index, however large a table grows.

use std::collections::BTreeSet;

use forebay_embedded::testing::database;
use forebay_shop::{Scale, migrate, seed};
use sqlx::{AssertSqlSafe, Connection as _, PgConnection, Row as _};

/// Tables of a few rows, which are read whole.
const SMALL: [&str; 2] = ["categories", "subscribers"];

/// A statement is planned for any values, as the server does once it has planned it for some five times. It may read a table whole
/// only where no index serves it: a table that is small here would be read whole anyway, and be large in a shop. Which plan is taken
/// on the full seed, `bin/bench queries` looks at.
#[tokio::test]
async fn no_statement_needs_to_read_a_large_table_whole() {
    let database = database().await;
    migrate(&database.options()).await.unwrap();
    seed(&database.options(), Scale::Small, |_| {}).await.unwrap();
    let mut connection = PgConnection::connect_with(&database.options()).await.unwrap();
    let settings = "SET plan_cache_mode = force_generic_plan; SET enable_seqscan = off";
    sqlx::raw_sql(settings).execute(&mut connection).await.unwrap();
    let folder = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../../.sqlx")).unwrap();
    let mut faults = Vec::new();
    for file in folder {
        let described: serde_json::Value =
            serde_json::from_slice(&std::fs::read(file.unwrap().path()).unwrap()).unwrap();
        let (text, parameters) = (&described["query"], &described["describe"]["parameters"]["Left"]);
        let (text, parameters) = (text.as_str().unwrap(), parameters.as_array().map_or(0, Vec::len));
        let whole = read_whole(&mut connection, text, parameters).await;
        if whole.iter().any(|table| !SMALL.contains(&table.as_str())) {
            faults.push(format!("{whole:?} by {text}"));
        }
    }
    assert!(faults.is_empty(), "read whole: {}", faults.join("\n"));
}

/// The tables that its plan has no index for.
async fn read_whole(connection: &mut PgConnection, text: &str, parameters: usize) -> BTreeSet<String> {
    let prepare = format!("DEALLOCATE ALL; PREPARE one AS {text}");
    sqlx::raw_sql(AssertSqlSafe(prepare)).execute(&mut *connection).await.unwrap();
    let values = vec!["NULL"; parameters].join(", ");
    let values = if parameters == 0 { values } else { format!("({values})") };
    let explain = format!("EXPLAIN EXECUTE one {values}");
    let lines = sqlx::raw_sql(AssertSqlSafe(explain)).fetch_all(connection).await.unwrap();
    let lines: Vec<String> = lines.iter().map(|line| line.get(0)).collect();
    let table = |line: &String| Some(line.split_once("Seq Scan on ")?.1.split(' ').next()?.to_owned());
    lines.iter().filter_map(table).collect()
}
