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

use std::{cell::RefCell, collections::BTreeMap, fmt, str::FromStr, time::Duration};

use secrecy::SecretString;

mod fault;
mod setting;

pub use fault::{ConfigFaults, Fault};
pub use setting::Setting;

/// The variables of one process, or those that a test made up.
#[derive(Clone, Default)]
pub struct Env {
    variables: BTreeMap<String, String>,
    read: RefCell<Vec<Setting>>,
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
        Self { variables, read: RefCell::default() }
    }

    /// Reads settings and collects what is wrong with them.
    pub fn reader(&self) -> Reader<'_> {
        Reader { env: self, faults: Vec::new() }
    }

    /// Variables that begin with `prefix` and that nobody asked for: most likely misspelt.
    pub fn unread(&self, prefix: &str) -> Vec<String> {
        let read = self.read.borrow();
        let names = self.variables.keys().filter(|name| name.starts_with(prefix));
        names.filter(|name| !read.iter().any(|setting| setting.name == *name)).cloned().collect()
    }

    /// Every setting that was read, in the order of reading.
    pub fn settings(&self) -> Vec<Setting> {
        self.read.borrow().clone()
    }

    /// A variable's value; one that is empty counts as not set, as in a compose file.
    fn get(&self, name: &'static str) -> Option<&str> {
        let value = self.variables.get(name).map(|value| value.trim()).filter(|value| !value.is_empty());
        self.note(name, |setting| {
            if setting.given.is_none() {
                setting.given = value.map(str::to_owned);
            }
        });
        value
    }

    fn is_empty(&self, name: &str) -> bool {
        self.variables.get(name).is_some_and(|value| value.trim().is_empty())
    }

    /// Writes down what is known of a setting.
    fn note(&self, name: &'static str, what: impl FnOnce(&mut Setting)) {
        let mut read = self.read.borrow_mut();
        match read.iter_mut().find(|setting| setting.name == name) {
            Some(setting) => what(setting),
            None => {
                let mut setting = Setting::new(name);
                what(&mut setting);
                read.push(setting);
            }
        }
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
        T: FromStr<Err: fmt::Display + 'static>,
    {
        self.parsed(name, example, |error| fault::in_words::<T>(error))
    }

    fn parsed<T: FromStr>(
        &mut self,
        name: &'static str,
        example: impl fmt::Display,
        in_words: impl FnOnce(&T::Err) -> String,
    ) -> Option<T> {
        let value = self.env.get(name)?;
        match value.parse() {
            Ok(parsed) => Some(parsed),
            Err(error) => {
                let value = value.to_owned();
                self.fault(name, Some(value), in_words(&error), example);
                None
            }
        }
    }

    /// A port that may be missing: 1 to 65535.
    pub fn port(&mut self, name: &'static str, example: u16) -> Option<u16> {
        let range = "must be a port, a whole number from 1 to 65535";
        let port = self.parsed(name, example, |_error| range.to_owned())?;
        self.require(port != 0, name, range, example);
        Some(port)
    }

    /// A setting with a default, which is also the example.
    pub fn or<T>(&mut self, name: &'static str, default: T) -> T
    where
        T: FromStr<Err: fmt::Display + 'static> + fmt::Display,
    {
        self.without(name, &default);
        self.optional(name, &default).unwrap_or(default)
    }

    /// Says what holds while `name` is not set. Changes nothing: it is for whoever is shown the settings.
    pub fn without(&mut self, name: &'static str, default: impl fmt::Display) {
        self.env.note(name, |setting| setting.default = Some(default.to_string()));
    }

    /// A duration in whole milliseconds; the variable's name ends in `_MS`.
    pub fn millis(&mut self, name: &'static str, default: Duration) -> Duration {
        debug_assert!(name.ends_with("_MS"), "the unit is part of the name: {name}");
        self.without(name, default.as_millis());
        let wrong = "must be milliseconds, a whole number without a unit".to_owned();
        self.parsed(name, default.as_millis(), |_error| wrong).map_or(default, Duration::from_millis)
    }

    /// A value that must not be shown. Nothing of it appears in a fault. One that is set and empty is a fault: most likely
    /// it was to be filled in by somebody else.
    pub fn secret(&mut self, name: &'static str) -> Option<SecretString> {
        self.hidden(name, "<the secret>").map(SecretString::from)
    }

    /// The same, where it means something: a fault says what is wrong with it, and not what it holds.
    pub fn secret_of<T>(&mut self, name: &'static str, example: impl fmt::Display) -> Option<T>
    where
        T: FromStr<Err: fmt::Display>,
    {
        match self.hidden(name, &example)?.parse() {
            Ok(parsed) => Some(parsed),
            Err(error) => {
                self.fault(name, Some(setting::HIDDEN.to_owned()), error, example);
                None
            }
        }
    }

    fn hidden(&mut self, name: &'static str, example: impl fmt::Display) -> Option<&str> {
        let env = self.env;
        // Before it is looked at, so that what it holds is never written down.
        env.note(name, |setting| setting.given = Some(setting::HIDDEN.to_owned()));
        let value = env.get(name);
        if value.is_none() {
            env.note(name, |setting| setting.given = None);
        }
        if env.is_empty(name) {
            let wrong = "a secret that was not filled in? Unset it when there is none";
            self.fault(name, Some("(empty)".to_owned()), wrong, example);
        }
        value
    }

    /// Whether it is set to anything, well-formed or not, even if it is empty.
    pub fn is_set(&self, name: &str) -> bool {
        self.env.variables.contains_key(name)
    }

    /// What may be seen of a secret that is set, in place of nothing.
    pub fn reveal(&mut self, name: &'static str, shown: impl fmt::Display) {
        self.env.note(name, |setting| setting.given = setting.given.take().map(|_hidden| shown.to_string()));
    }

    /// A rule over settings that are each well-formed.
    pub fn require(&mut self, holds: bool, name: &'static str, wrong: &str, example: impl fmt::Display) {
        if !holds {
            self.env.get(name);
            let shown = self.env.settings().into_iter().find(|setting| setting.name == name);
            self.fault(name, shown.and_then(|setting| setting.given), wrong, example);
        }
    }

    /// One of some words with a default, which is one of them.
    pub fn word_or<T: Copy + PartialEq>(&mut self, name: &'static str, words: &[(&str, T)], default: T) -> T {
        if let Some((word, _)) = words.iter().find(|(_, meant)| *meant == default) {
            self.without(name, word);
        }
        self.word(name, words).unwrap_or(default)
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
        ConfigFaults::none_of(self.faults)
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

#[cfg(test)]
mod tests;
