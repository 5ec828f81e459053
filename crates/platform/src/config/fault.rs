//! What is wrong with a setting, in words.

use std::{any::Any, fmt, net::AddrParseError, num::ParseIntError};

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
    /// Fails when there are some.
    pub(super) fn none_of(faults: Vec<Fault>) -> Result<(), Self> {
        if faults.is_empty() { Ok(()) } else { Err(Self(faults)) }
    }

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

/// Why a text is no `T`. What the standard library says of numbers and addresses means nothing to whoever set a variable.
pub(super) fn in_words<T>(error: &(impl fmt::Display + 'static)) -> String {
    let any: &dyn Any = error;
    if any.is::<ParseIntError>() {
        let bits = u32::try_from(8 * size_of::<T>()).unwrap_or(u64::BITS);
        let most = u64::MAX >> u64::BITS.saturating_sub(bits);
        format!("must be a whole number from 0 to {most}")
    } else if any.is::<AddrParseError>() {
        "must be an IP address and a port up to 65535".to_owned()
    } else {
        error.to_string()
    }
}
