use std::time::Duration;

use sqlx::{AssertSqlSafe, SqlSafeStr, SqlStr};

/// How a transaction is isolated from those beside it. Postgres has no weaker one than the first.
///
/// ```
/// use forebay_pool::{Isolation, TxOptions};
/// let options = TxOptions { isolation: Some(Isolation::Serializable), ..TxOptions::default() };
/// # drop(options);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Isolation {
    /// Each statement sees what was committed before it began.
    ReadCommitted,
    /// All statements see what was committed before the first one; a write that was overtaken fails with 40001.
    RepeatableRead,
    /// As if the transactions had run one after the other; what cannot be so fails with 40001.
    Serializable,
}

/// What a transaction is begun with. All of it travels with the BEGIN, in one round trip, and ends with the transaction.
///
/// ```
/// use forebay_pool::{Isolation, TxOptions};
/// let report = TxOptions {
///     isolation: Some(Isolation::RepeatableRead),
///     read_only: true,
///     statement_timeout: Some(std::time::Duration::from_secs(30)),
///     ..TxOptions::default()
/// };
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TxOptions {
    /// The server's default where it is `None`.
    pub isolation: Option<Isolation>,
    /// Whether the server refuses writes.
    pub read_only: bool,
    /// Waits at the begin until it can run without ever being refused; only with serializable and read only.
    pub deferrable: bool,
    /// How long each statement may take, in place of the session's limit; zero for no limit. The pool gives up 250 ms
    /// later, should the server not answer.
    pub statement_timeout: Option<Duration>,
    /// How long each statement may wait for a lock, in place of the session's limit; zero for no limit.
    pub lock_timeout: Option<Duration>,
}

/// Zero switches a limit off, so that what is shorter than a millisecond is one.
fn millis(limit: Duration) -> u128 {
    if limit.is_zero() { 0 } else { limit.as_millis().clamp(1, i32::MAX.unsigned_abs().into()) }
}

impl TxOptions {
    /// The statement that begins it, and a query to run in it before its limits are set.
    pub(crate) fn begin(&self, first: Option<&str>) -> SqlStr {
        if *self == Self::default() && first.is_none() {
            return "BEGIN".into_sql_str();
        }
        let mut sql = "BEGIN".to_owned();
        sql += match self.isolation {
            None => "",
            Some(Isolation::ReadCommitted) => " ISOLATION LEVEL READ COMMITTED",
            Some(Isolation::RepeatableRead) => " ISOLATION LEVEL REPEATABLE READ",
            Some(Isolation::Serializable) => " ISOLATION LEVEL SERIALIZABLE",
        };
        sql += if self.read_only { " READ ONLY" } else { "" };
        sql += if self.deferrable { " DEFERRABLE" } else { "" };
        if let Some(first) = first {
            sql += &format!("; {first}");
        }
        for (name, limit) in [("statement_timeout", self.statement_timeout), ("lock_timeout", self.lock_timeout)] {
            if let Some(limit) = limit {
                sql += &format!("; SET LOCAL {name} = {}", millis(limit));
            }
        }
        AssertSqlSafe(sql).into_sql_str()
    }
}

#[cfg(test)]
mod tests {
    use super::{Duration, Isolation, TxOptions};

    #[test]
    fn all_of_it_travels_with_the_begin() {
        assert_eq!(TxOptions::default().begin(None).as_str(), "BEGIN");
        let options = TxOptions {
            isolation: Some(Isolation::Serializable),
            read_only: true,
            deferrable: true,
            statement_timeout: Some(Duration::from_micros(1)),
            lock_timeout: Some(Duration::ZERO),
        };
        let begin = "BEGIN ISOLATION LEVEL SERIALIZABLE READ ONLY DEFERRABLE; SET LOCAL statement_timeout = 1; SET LOCAL lock_timeout = 0";
        assert_eq!(options.begin(None).as_str(), begin);
        let longest = TxOptions { lock_timeout: Some(Duration::MAX), ..TxOptions::default() };
        assert_eq!(longest.begin(None).as_str(), "BEGIN; SET LOCAL lock_timeout = 2147483647");
        let after = longest.begin(Some("select 1"));
        assert_eq!(after.as_str(), "BEGIN; select 1; SET LOCAL lock_timeout = 2147483647");
    }
}
