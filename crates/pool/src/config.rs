use std::time::Duration;

use forebay_pool_core::Rules;

/// Every knob of the pool, with its unit in its type.
///
/// ```
/// use forebay_pool::{Config, Rules};
/// let config = Config { rules: Rules { ceiling: 20, ..Rules::default() }, ..Config::named("reports") };
/// assert_eq!(config.rules.ceiling, 20);
/// ```
#[derive(Clone, Debug)]
pub struct Config {
    /// The pool's name in logs, metrics and `application_name`.
    pub name: String,
    /// What the ledger decides by: bounds, waits, idle and lease limits.
    pub rules: Rules,
    /// The longest wait for a connection, where the request's own deadline is not nearer. Default 1 s.
    pub acquire_timeout: Duration,
    /// How long a dirty connection may take to become clean before it is closed. Default 200 ms.
    pub cleanup_timeout: Duration,
    /// How long a check of an idle connection may take. Default 250 ms.
    pub check_timeout: Duration,
    /// How long a polite close may take before the socket is dropped. Default 1 s.
    pub close_timeout: Duration,
    /// Settings sent in the startup packet of each connection: they cost no round trip. The defaults end statements
    /// after 5 s, waits for a lock after 2 s, transactions held idle one second after the pool would have taken the
    /// lease back, and notice within 500 ms that a client is gone.
    pub session: Vec<(String, String)>,
}

/// How often the server looks whether the client of a running statement is still there, ms.
pub(crate) const CHECK_INTERVAL: Duration = Duration::from_millis(500);

impl Config {
    /// The defaults, under this name.
    #[must_use]
    pub fn named(name: impl Into<String>) -> Self {
        let rules = Rules::default();
        let idle_in_transaction = rules.revoke_after.map_or(0, |bound| bound.as_millis() + 1_000);
        let session = [
            ("statement_timeout", "5000".to_owned()),
            ("lock_timeout", "2000".to_owned()),
            ("idle_in_transaction_session_timeout", idle_in_transaction.to_string()),
            ("client_connection_check_interval", CHECK_INTERVAL.as_millis().to_string()),
        ];
        Self {
            name: name.into(),
            rules,
            acquire_timeout: Duration::from_secs(1),
            cleanup_timeout: Duration::from_millis(200),
            check_timeout: Duration::from_millis(250),
            close_timeout: Duration::from_secs(1),
            session: session.map(|(key, value)| (key.to_owned(), value)).into(),
        }
    }
}

/// Everything that is wrong with a [`Config`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidConfig {
    /// One sentence for each fault.
    pub faults: Vec<String>,
}

impl std::fmt::Display for InvalidConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "the pool cannot be used like this: {}", self.faults.join("; "))
    }
}

impl std::error::Error for InvalidConfig {}
