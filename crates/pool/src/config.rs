use std::time::Duration;

use forebay_pool_core::{Class, Rules};

use crate::{Bouncer, TxOptions};

mod settings;
mod text;

pub(crate) use settings::Settings;

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
    /// The longest wait for a connection, where the request's own deadline is not nearer. It says nothing of how long the
    /// connection may then be held. Default 1 s.
    pub acquire_timeout: Duration,
    /// How long a dirty connection may take to become clean before it is closed. Default 200 ms.
    pub cleanup_timeout: Duration,
    /// How long a polite close may take before the socket is dropped. Default 1 s.
    pub close_timeout: Duration,
    /// Which servers are acceptable; asked with the backend's pid in one round trip when a connection opens. Default
    /// [`ServerRole::Primary`], so that after a failover no connection to what was the primary gets into the pool.
    pub role: ServerRole,
    /// Whether the pool has a control connection, one of those that the ceiling bounds: over it, statements that nobody
    /// waits for any more are cancelled. Default true. Without it their sockets are closed, and the place of each is
    /// free only after `client_connection_check_interval`. Below a ceiling of three there is none, nor behind a bouncer
    /// that pools transactions.
    pub control: bool,
    /// What stands between the pool and the server. Default [`Bouncer::None`], which is found out at each opening.
    pub bouncer: Bouncer,
    /// What transactions of a class are begun with, where they name no options of their own. Default empty: a plain BEGIN.
    pub transactions: Vec<(Class, TxOptions)>,
    /// Settings sent in the startup packet of each connection: they cost no round trip. Behind a [`Bouncer`] statements set
    /// them. The defaults end statements after 5 s and waits for a lock after 2 s, notice within 500 ms that a client is
    /// gone, and have the server end no session because it rests (`idle_session_timeout`): the pool does, by
    /// `rules.idle_timeout`. Where
    /// `idle_in_transaction_session_timeout` is not among them it is set to a second more than `rules.revoke_after`: the
    /// pool takes a lease back first, with a typed error, and the server only where the pool could not.
    pub session: Vec<(String, String)>,
    /// Functions and procedures of yours that leave nothing in the session, by name without schema; `app_*` is all that begin
    /// with `app_`, `*` is all. Default none. After a lease that called a function which is neither here nor one of Postgres'
    /// or of a common extension, the session is reset in the background, which takes a round trip; so it is after a DO
    /// (trusted by the name `do`) and an EXECUTE (`execute`), whose work is not in their text either.
    pub trusted_functions: Vec<String>,
    /// Whether the session is reset after every lease that ran a statement, whatever its text says. Default false. For schemas
    /// whose triggers, views, defaults or operators change the session: that is in no text.
    pub reset_always: bool,
}

/// Which servers a pool may connect to.
///
/// ```
/// use forebay_pool::{Config, ServerRole};
/// let reports = Config { role: ServerRole::Standby, ..Config::named("reports") };
/// # drop(reports);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ServerRole {
    /// One that takes writes.
    #[default]
    Primary,
    /// One that follows another, for a pool of readers.
    Standby,
    /// Either.
    Any,
}

/// How often the server looks whether the client of a running statement is still there.
const CHECK_INTERVAL: Duration = Duration::from_millis(500);
const CHECK_INTERVAL_KEY: &str = "client_connection_check_interval";
const STATEMENT_TIMEOUT_KEY: &str = "statement_timeout";

impl Config {
    /// The defaults, under this name.
    ///
    /// ```
    /// use std::time::Duration;
    /// use forebay_pool::Config;
    /// let config = Config { acquire_timeout: Duration::from_millis(500), ..Config::named("shop") };
    /// assert_eq!((config.name.as_str(), config.close_timeout), ("shop", Duration::from_secs(1)));
    /// ```
    #[must_use]
    pub fn named(name: impl Into<String>) -> Self {
        let session = [
            (STATEMENT_TIMEOUT_KEY, "5000".to_owned()),
            ("lock_timeout", "2000".to_owned()),
            (CHECK_INTERVAL_KEY, CHECK_INTERVAL.as_millis().to_string()),
            // What rests is the pool's to bound; whoever got a session that the server has ended would get its error.
            ("idle_session_timeout", "0".to_owned()),
        ];
        Self {
            name: name.into(),
            rules: Rules::default(),
            acquire_timeout: Duration::from_secs(1),
            cleanup_timeout: Duration::from_millis(200),
            close_timeout: Duration::from_secs(1),
            role: ServerRole::default(),
            control: true,
            bouncer: Bouncer::default(),
            transactions: Vec::new(),
            session: session.map(|(key, value)| (key.to_owned(), value)).into(),
            trusted_functions: Vec::new(),
            reset_always: false,
        }
    }
}

impl Config {
    /// Everything that is wrong with it, in words; empty when it can be used.
    ///
    /// ```
    /// use forebay_pool::Config;
    /// let mut config = Config::named("shop");
    /// assert!(config.faults().is_empty());
    /// config.rules.ceiling = 0;
    /// assert!(!config.faults().is_empty());
    /// ```
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
        for key in [STATEMENT_TIMEOUT_KEY, CHECK_INTERVAL_KEY] {
            if let Some(value) = last(&self.session, key).filter(|value| postgres_time(value).is_none()) {
                faults.push(format!("session {key} is {value:?}, and must be a time such as 5000 or 5s"));
            }
        }
        faults
    }
}

/// What a session is told under this name. The last one counts, as the server sees it.
fn last<'a>(session: &'a [(String, String)], key: &str) -> Option<&'a str> {
    let found = session.iter().rev().find(|(name, _)| name.eq_ignore_ascii_case(key));
    found.map(|(_, value)| value.as_str())
}

/// A time as Postgres reads it: a number, of milliseconds where no unit is named.
fn postgres_time(text: &str) -> Option<Duration> {
    let text = text.trim();
    let split = text.find(|char: char| !(char.is_ascii_digit() || char == '.')).unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let seconds = match unit.trim() {
        "us" => 1e-6,
        "" | "ms" => 1e-3,
        "s" => 1.0,
        "min" => 60.0,
        "h" => 3_600.0,
        "d" => 86_400.0,
        _ => return None,
    };
    Duration::try_from_secs_f64(number.parse::<f64>().ok()? * seconds).ok()
}

/// Everything that is wrong with a [`Config`].
///
/// ```
/// use forebay_pool::Config;
/// let error = Config::named("shop").with_settings("ceilling = 20").unwrap_err();
/// assert_eq!(error.to_string(), "the pool cannot be used like this: line 1: \"ceilling\" is no setting");
/// ```
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

#[cfg(test)]
mod tests {
    use super::{Config, Duration, Settings, postgres_time};

    #[test]
    fn times_are_read_as_the_server_reads_them() {
        let cases =
            [("5000", 5_000), (" 5s ", 5_000), ("1.5 s", 1_500), ("2min", 120_000), ("0", 0), ("1h", 3_600_000)];
        for (text, millis) in cases {
            assert_eq!(postgres_time(text), Some(Duration::from_millis(millis)), "{text}");
        }
        for text in ["", "soon", "-1", "5 weeks", "1.2.3", "99999999999999999999999d"] {
            assert_eq!(postgres_time(text), None, "{text}");
        }
    }

    #[test]
    fn a_setting_that_is_no_time_is_a_fault() {
        let mut config = Config::named("x");
        config.session.push(("Statement_Timeout".to_owned(), "soon".to_owned()));
        let fault = "session statement_timeout is \"soon\", and must be a time such as 5000 or 5s";
        assert_eq!(config.faults(), [fault]);
        config.session.push(("statement_timeout".to_owned(), "0".to_owned()));
        assert_eq!((config.faults().len(), Settings::of(config).0.statement_limit), (0, None));
    }
}
