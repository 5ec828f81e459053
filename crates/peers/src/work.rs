//! What callers want of the database: single statements, and pieces of work made of them.

use std::time::Duration;

use sqlx::{Executor, Postgres};

/// The statements of the benchmark. All are prepared once for each connection.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Statement {
    /// `select 1`
    One,
    /// One row of [`Statement::ITEMS`] by its key.
    Lookup(i64),
    /// Sleeps for so many milliseconds.
    Sleep(f64),
    /// Makes the server's processor work for so many loops.
    Burn(i32),
    /// Sleeps for so many milliseconds, then works for so many loops.
    Service {
        /// Milliseconds of sleep.
        sleep_ms: f64,
        /// Loops of work.
        loops: i32,
    },
    /// Adds to the row that everybody wants, and works for so many loops while its lock is held.
    Hot(i32),
    /// The sum over a thousand rows from this key on.
    Sum(i64),
    /// Adds to a row of a table with so many rows: accounts, tellers, branches, or the one that everybody wants.
    Add(Table, i64),
    /// Reads an account's balance.
    Balance(i64),
    /// Adds a line to the history.
    Note(i64),
    /// `begin`
    Begin,
    /// `commit`
    Commit,
}

/// Tables that transactions write to.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Table {
    /// 100,000 rows.
    Accounts,
    /// 100 rows.
    Tellers,
    /// 10 rows.
    Branches,
    /// One row.
    Hot,
}

impl Statement {
    /// Rows in the table of lookups, and accounts.
    pub(crate) const ITEMS: i64 = 100_000;
    const SUMMED: i64 = 1_000;

    /// Runs it and reads its row, if it has one.
    ///
    /// # Errors
    /// sqlx's.
    pub(crate) async fn on<'c>(self, executor: impl Executor<'c, Database = Postgres>) -> sqlx::Result<()> {
        let query = match self {
            Self::One => sqlx::query("select 1"),
            Self::Lookup(id) => sqlx::query("select id, name, price from items where id = $1").bind(id),
            Self::Sleep(ms) => sqlx::query("select pg_sleep($1 / 1000)").bind(ms),
            Self::Burn(loops) => sqlx::query("select burn($1)").bind(loops),
            Self::Service { sleep_ms, loops } => {
                sqlx::query("select pg_sleep($1 / 1000), burn($2)").bind(sleep_ms).bind(loops)
            }
            Self::Hot(loops) => sqlx::query("select hot($1)").bind(loops),
            Self::Sum(from) => {
                let query = sqlx::query("select sum(price), max(length(name)) from items where id between $1 and $2");
                query.bind(from).bind(from + Self::SUMMED)
            }
            Self::Add(table, id) => sqlx::query(table.update()).bind(id),
            Self::Balance(id) => sqlx::query("select balance from accounts where id = $1").bind(id),
            Self::Note(id) => sqlx::query("insert into history (account, amount) values ($1, 1)").bind(id),
            Self::Begin => sqlx::query("begin"),
            Self::Commit => sqlx::query("commit"),
        };
        query.fetch_optional(executor).await.map(drop)
    }
}

impl Table {
    const fn update(self) -> &'static str {
        match self {
            Self::Accounts => "update accounts set balance = balance + 1 where id = $1",
            Self::Tellers => "update tellers set balance = balance + 1 where id = $1",
            Self::Branches => "update branches set balance = balance + 1 where id = $1",
            Self::Hot => "update hot set balance = balance + 1 where id = $1",
        }
    }
}

/// A piece of work: what one lease is taken for.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Work {
    /// One statement.
    Single(Statement),
    /// One row by its key.
    Read,
    /// pgbench's transaction: five statements that write to four tables.
    Update,
    /// A transaction that adds to the one row that everybody wants, and then does some work.
    HotRow {
        /// Loops of that work.
        loops: i32,
    },
    /// A transaction whose application thinks for five milliseconds between its two statements.
    Think,
    /// The sum over a thousand rows.
    Scan,
    /// Seven reads to two updates and one scan.
    Mixed,
}

/// A step of a piece of work.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Step {
    /// The server works.
    Run(Statement),
    /// The application does, and keeps its lease.
    Think(Duration),
}

impl Work {
    /// Its steps; the seed scatters the keys.
    pub(crate) fn steps(self, seed: u64) -> Vec<Step> {
        use Statement::{Add, Balance, Begin, Commit, Lookup, Note, Sum};
        use Step::{Run, Think};
        let key = |of: i64| (scattered(seed) % of.unsigned_abs()) as i64 + 1;
        match self {
            Self::Single(statement) => vec![Run(statement)],
            Self::Read => vec![Run(Lookup(key(Statement::ITEMS)))],
            Self::Update => {
                let account = key(Statement::ITEMS);
                [
                    Begin,
                    Add(Table::Accounts, account),
                    Balance(account),
                    Add(Table::Tellers, key(100)),
                    Add(Table::Branches, key(10)),
                    Note(account),
                    Commit,
                ]
                .map(Run)
                .to_vec()
            }
            Self::HotRow { loops } => [Begin, Add(Table::Hot, 1), Statement::Burn(loops), Commit].map(Run).to_vec(),
            Self::Think => {
                let read = || Run(Lookup(key(Statement::ITEMS)));
                vec![Run(Begin), read(), Think(Duration::from_millis(5)), read(), Run(Commit)]
            }
            Self::Scan => vec![Run(Sum(key(Statement::ITEMS - Statement::SUMMED)))],
            Self::Mixed => match seed % 10 {
                0..7 => Self::Read.steps(seed),
                7..9 => Self::Update.steps(seed),
                _ => Self::Scan.steps(seed),
            },
        }
    }
}

/// The next number of a generator that leaves no pattern (Steele, Lea and Flood, "Fast splittable pseudorandom number
/// generators", 2014).
pub(crate) const fn scattered(seed: u64) -> u64 {
    let z = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// A number between 0 and 1 that leaves no pattern.
pub(crate) fn chance(seed: u64) -> f64 {
    scattered(seed) as f64 / u64::MAX as f64
}
