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
    /// How long a polite close may take before the socket is dropped. Default 1 s.
    pub close_timeout: Duration,
    /// Settings sent in the startup packet of each connection: they cost no round trip. The defaults end statements
    /// after 5 s and waits for a lock after 2 s, and notice within 500 ms that a client is gone. Where
    /// `idle_in_transaction_session_timeout` is not among them it is set to a second more than `rules.revoke_after`: the
    /// pool takes a lease back first, with a typed error, and the server only where the pool could not.
    pub session: Vec<(String, String)>,
}

/// How often the server looks whether the client of a running statement is still there, ms.
pub(crate) const CHECK_INTERVAL: Duration = Duration::from_millis(500);

impl Config {
    /// The defaults, under this name.
    #[must_use]
    pub fn named(name: impl Into<String>) -> Self {
        let session = [
            ("statement_timeout", "5000".to_owned()),
            ("lock_timeout", "2000".to_owned()),
            ("client_connection_check_interval", CHECK_INTERVAL.as_millis().to_string()),
        ];
        Self {
            name: name.into(),
            rules: Rules::default(),
            acquire_timeout: Duration::from_secs(1),
            cleanup_timeout: Duration::from_millis(200),
            close_timeout: Duration::from_secs(1),
            session: session.map(|(key, value)| (key.to_owned(), value)).into(),
        }
    }
}

impl Config {
    /// Everything that is wrong with it, in words; empty when it can be used.
    #[must_use]
    pub fn faults(&self) -> Vec<String> {
        let mut faults = self.rules.faults();
        let times = [
            ("acquire_timeout", self.acquire_timeout),
            ("cleanup_timeout", self.cleanup_timeout),
            ("close_timeout", self.close_timeout),
        ];
        for (name, time) in times {
            if time > Rules::LONGEST {
                faults.push(format!("{name} is {time:?}, and must be a year at most"));
            }
        }
        faults
    }

    /// The settings of a session, with those that follow from the rules.
    pub(crate) fn session(&self) -> Vec<(String, String)> {
        const BELT: &str = "idle_in_transaction_session_timeout";
        let mut session = self.session.clone();
        if !session.iter().any(|(key, _)| key == BELT) {
            let bound = self.rules.revoke_after.map_or(0, |bound| bound.as_millis() + 1_000);
            session.push((BELT.to_owned(), bound.to_string()));
        }
        session
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
