//! What stands between a pool and its server, and what is left of a session behind it.

/// What stands between the pool and its server, and for how long a connection has a session of the server's to itself. A
/// proxy that passes bytes on (HAProxy, a TLS tunnel) is none of these.
///
/// ```
/// use forebay_pool::{Bouncer, Config};
/// let config = Config { bouncer: Bouncer::Transaction, ..Config::named("shop") };
/// assert!(config.faults().is_empty());
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Bouncer {
    /// Nothing: each connection is a session of the server's. This is found out at each opening, at no cost: the session
    /// must know a number that only this connection's startup packet held. One that does not is refused, and the error
    /// names this setting. With the first session on each way to a server it is tried, with a statement that locks nothing, whether
    /// a write outside a transaction is committed by itself. pgpool-II in raw mode leaves it in a transaction of its own: there
    /// such a write is followed by a question, and by a COMMIT where it was left so. What is done on a raw connection, or on one that
    /// was detached, is not looked after.
    #[default]
    None,
    /// One that keeps a session for a client until it disconnects (PgBouncer's `pool_mode = session`). It cannot be told
    /// from outside whether one does, so it is believed. [`crate::Config::session`] is set by a statement in place of the
    /// startup packet, which such a bouncer refuses. Writes are looked after as they are without one.
    Session,
    /// One that lends a session for a transaction at a time (PgBouncer's `pool_mode = transaction`). A statement with
    /// parameters that is not in a transaction gets one of its own, which takes two round trips more: sqlx needs two
    /// messages for it, between which the session would serve somebody else. Statements have no names.
    /// [`crate::Config::session`] is set for each transaction. Nothing is cancelled over another connection, since the
    /// session may be somebody else's by then; `statement_timeout` ends what takes too long. What needs a session to
    /// itself is refused with [`crate::PoolError::NeedsSession`].
    Transaction,
}

impl Bouncer {
    /// Whether a session serves others between two transactions of a connection.
    pub(crate) const fn shares_sessions(self) -> bool {
        matches!(self, Self::Transaction)
    }
}

/// The query that makes these settings; `local` to the transaction, or for the session. Values are read as those of the
/// startup packet are.
pub(crate) fn set_config(settings: &[(String, String)], local: bool) -> Option<String> {
    let calls: Vec<String> = settings
        .iter()
        .map(|(name, value)| format!("set_config({}, {}, {local})", literal(name), literal(value)))
        .collect();
    (!calls.is_empty()).then(|| format!("select {}", calls.join(", ")))
}

/// Whatever `standard_conforming_strings` says.
fn literal(text: &str) -> String {
    format!("E'{}'", text.replace('\\', r"\\").replace('\'', "''"))
}

#[cfg(test)]
mod tests {
    use super::set_config;

    #[test]
    fn settings_are_one_query_and_their_values_stay_values() {
        let settings = [("lock_timeout", "2s"), ("search_path", r"it's \, public")];
        let settings = settings.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let wanted =
            r"select set_config(E'lock_timeout', E'2s', true), set_config(E'search_path', E'it''s \\, public', true)";
        assert_eq!(set_config(&settings, true).as_deref(), Some(wanted));
        assert_eq!(set_config(&[], false), None);
    }
}
