//! Settings from the environment, read once, all faults reported together.
//!
//! ```
//! use std::time::Duration;
//! use forebay_platform::config::Env;
//!
//! let env = Env::of([("FOREBAY_DRAIN_MS", "soon"), ("FOREBAY_POOL_MAX", "-1")]);
//! let mut settings = env.reader();
//! let drain = settings.millis("FOREBAY_DRAIN_MS", Duration::from_secs(10));
//! let max: u32 = settings.or("FOREBAY_POOL_MAX", 24);
//! let faults = settings.finish().expect_err("two are wrong");
//! assert!(faults.to_string().contains("FOREBAY_DRAIN_MS=soon"));
//! assert!(faults.to_string().contains("FOREBAY_POOL_MAX=-1"));
//! ```

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    fmt,
    str::FromStr,
    time::Duration,
};

use secrecy::SecretString;

/// The variables of one process, or those that a test made up.
#[derive(Clone, Default)]
pub struct Env {
    variables: BTreeMap<String, String>,
    asked: RefCell<BTreeSet<String>>,
}

impl Env {
    /// The environment of this process. What is not Unicode reads as if the odd bytes were `U+FFFD`.
    pub fn of_process() -> Self {
        let text = |part: std::ffi::OsString| part.to_string_lossy().into_owned();
        Self::of(std::env::vars_os().map(|(name, value)| (text(name), text(value))))
    }

    /// These variables and no others.
    pub fn of<N: Into<String>, V: Into<String>>(pairs: impl IntoIterator<Item = (N, V)>) -> Self {
        let variables = pairs.into_iter().map(|(name, value)| (name.into(), value.into())).collect();
        Self { variables, asked: RefCell::default() }
    }

    /// Reads settings and collects what is wrong with them.
    pub fn reader(&self) -> Reader<'_> {
        Reader { env: self, faults: Vec::new() }
    }

    /// Variables that begin with `prefix` and that nobody asked for: most likely misspelt.
    pub fn unread(&self, prefix: &str) -> Vec<String> {
        let asked = self.asked.borrow();
        let names = self.variables.keys();
        names.filter(|name| name.starts_with(prefix) && !asked.contains(*name)).cloned().collect()
    }

    /// A variable's value; one that is empty counts as not set, as in a compose file.
    fn get(&self, name: &str) -> Option<&str> {
        self.asked.borrow_mut().insert(name.to_owned());
        self.variables.get(name).map(|value| value.trim()).filter(|value| !value.is_empty())
    }
}

impl fmt::Debug for Env {
    /// Names only: values may be secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.variables.keys()).finish()
    }
}

/// Reads one setting after the other. A faulty one reads as its default, so that the next are looked at too;
/// [`finish`](Self::finish) tells of all.
#[derive(Debug)]
#[must_use = "faults are only known to `finish`"]
pub struct Reader<'a> {
    env: &'a Env,
    faults: Vec<Fault>,
}

impl Reader<'_> {
    /// A setting that may be missing. `example` is a value that would be right.
    pub fn optional<T>(&mut self, name: &'static str, example: impl fmt::Display) -> Option<T>
    where
        T: FromStr<Err: fmt::Display>,
    {
        let value = self.env.get(name)?;
        match value.parse() {
            Ok(parsed) => Some(parsed),
            Err(error) => {
                let value = value.to_owned();
                self.fault(name, Some(value), error, example);
                None
            }
        }
    }

    /// A setting with a default, which is also the example.
    pub fn or<T>(&mut self, name: &'static str, default: T) -> T
    where
        T: FromStr<Err: fmt::Display> + fmt::Display,
    {
        self.optional(name, &default).unwrap_or(default)
    }

    /// A duration in whole milliseconds; the variable's name ends in `_MS`.
    pub fn millis(&mut self, name: &'static str, default: Duration) -> Duration {
        debug_assert!(name.ends_with("_MS"), "the unit is part of the name: {name}");
        self.optional(name, default.as_millis()).map_or(default, Duration::from_millis)
    }

    /// A value that must not be shown. Nothing of it appears in a fault.
    pub fn secret(&mut self, name: &'static str) -> Option<SecretString> {
        self.env.get(name).map(SecretString::from)
    }

    /// The same, where it means something: a fault says what is wrong with it, and not what it holds.
    pub fn secret_of<T>(&mut self, name: &'static str, example: impl fmt::Display) -> Option<T>
    where
        T: FromStr<Err: fmt::Display>,
    {
        match self.env.get(name)?.parse() {
            Ok(parsed) => Some(parsed),
            Err(error) => {
                self.fault(name, Some("(not shown)".to_owned()), error, example);
                None
            }
        }
    }

    /// A rule over settings that are each well-formed.
    pub fn require(&mut self, holds: bool, name: &'static str, wrong: &str, example: impl fmt::Display) {
        if !holds {
            let value = self.env.get(name).map(str::to_owned);
            self.fault(name, value, wrong, example);
        }
    }

    /// Takes the words `words` name, such as `human` or `json`.
    pub fn word<T: Copy>(&mut self, name: &'static str, words: &[(&str, T)]) -> Option<T> {
        let value = self.env.get(name)?.to_owned();
        let found = words.iter().find(|(word, _)| *word == value).map(|(_, meant)| *meant);
        if found.is_none() {
            let known: Vec<_> = words.iter().map(|(word, _)| *word).collect();
            self.fault(name, Some(value), format_args!("must be one of {}", known.join(", ")), known[0]);
        }
        found
    }

    /// Whether everything that was read was well-formed.
    ///
    /// # Errors
    ///
    /// All faults, in the order of reading.
    pub fn finish(self) -> Result<(), ConfigFaults> {
        if self.faults.is_empty() { Ok(()) } else { Err(ConfigFaults(self.faults)) }
    }

    fn fault(
        &mut self,
        name: &'static str,
        value: Option<String>,
        wrong: impl fmt::Display,
        example: impl fmt::Display,
    ) {
        let (wrong, example) = (wrong.to_string(), example.to_string());
        self.faults.push(Fault { name, value, wrong, example });
    }
}

/// One setting that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The variable.
    pub name: &'static str,
    /// What it holds; `None` where it is missing.
    pub value: Option<String>,
    /// Why that is wrong.
    pub wrong: String,
    /// A value that would be right.
    pub example: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, value, wrong, example } = self;
        match value {
            Some(value) => write!(f, "{name}={value}: {wrong}")?,
            None => write!(f, "{name} is not set: {wrong}")?,
        }
        write!(f, " (example: {name}={example})")
    }
}

/// All that is wrong with the settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigFaults(Vec<Fault>);

impl ConfigFaults {
    /// One by one.
    pub fn iter(&self) -> impl Iterator<Item = &Fault> {
        self.0.iter()
    }
}

impl fmt::Display for ConfigFaults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.len() {
            1 => write!(f, "one setting is wrong:")?,
            count => write!(f, "{count} settings are wrong:")?,
        }
        self.0.iter().try_for_each(|fault| write!(f, "\n  {fault}"))
    }
}

impl std::error::Error for ConfigFaults {}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret as _;

    use super::*;

    #[test]
    fn what_is_not_set_or_empty_reads_as_its_default() {
        let env = Env::of([("FOREBAY_POOL_MAX", "")]);
        let mut settings = env.reader();
        assert_eq!(settings.or("FOREBAY_POOL_MAX", 24_u32), 24);
        assert_eq!(settings.millis("FOREBAY_DRAIN_MS", Duration::from_secs(3)), Duration::from_secs(3));
        assert_eq!(settings.finish(), Ok(()));
    }

    #[test]
    fn every_fault_names_its_variable_and_an_example() {
        let env = Env::of([("FOREBAY_HTTP", "localhost"), ("FOREBAY_LOG_FORMAT", "xml")]);
        let mut settings = env.reader();
        let default: std::net::SocketAddr = ([127, 0, 0, 1], 8080).into();
        assert_eq!(settings.or("FOREBAY_HTTP", default), default);
        assert_eq!(settings.word("FOREBAY_LOG_FORMAT", &[("human", 1), ("json", 2)]), None);
        settings.require(false, "FOREBAY_POOL_MIN", "must not exceed FOREBAY_POOL_MAX", 4);
        let said = settings.finish().unwrap_err().to_string();
        for part in [
            "3 settings",
            "FOREBAY_HTTP=localhost",
            "example: FOREBAY_HTTP=127.0.0.1:8080",
            "one of human, json",
            "FOREBAY_POOL_MIN is not set",
        ] {
            assert!(said.contains(part), "{said}");
        }
    }

    #[test]
    fn a_secret_is_never_shown() {
        let env = Env::of([("DATABASE_URL", "postgres://me:secret@db/shop")]);
        let mut settings = env.reader();
        let url = settings.secret("DATABASE_URL").unwrap();
        assert!(url.expose_secret().contains("secret"));
        settings.require(false, "FOREBAY_POOL_MAX", "wrong", 1);
        let shown = format!("{env:?} {url:?} {}", settings.finish().unwrap_err());
        assert!(!shown.contains("me:secret"), "{shown}");
    }

    #[test]
    fn a_secret_that_is_wrong_is_not_shown_either() {
        let env = Env::of([("FOREBAY_TICKET_KEYS", "hush")]);
        let mut settings = env.reader();
        assert_eq!(settings.secret_of::<u8>("FOREBAY_TICKET_KEYS", "7"), None);
        let said = settings.finish().unwrap_err().to_string();
        assert!(said.contains("FOREBAY_TICKET_KEYS=(not shown): invalid digit"), "{said}");
    }

    #[test]
    fn a_misspelt_variable_is_noticed() {
        let env = Env::of([("FOREBAY_HTPP", "x"), ("FOREBAY_HTTP", "127.0.0.1:1"), ("PATH", "/bin")]);
        let mut settings = env.reader();
        settings.optional::<String>("FOREBAY_HTTP", "");
        settings.finish().unwrap();
        assert_eq!(env.unread("FOREBAY_"), ["FOREBAY_HTPP"]);
    }
}
