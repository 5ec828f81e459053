//! A setting as it was read, for whoever asks what is in force.

/// What is shown of a secret.
pub(super) const HIDDEN: &str = "(not shown)";

/// A setting as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// The variable.
    pub name: &'static str,
    /// What it holds, as far as it may be shown; `None` when it is not set.
    pub given: Option<String>,
    /// What holds while it is not set, if it is known.
    pub default: Option<String>,
}

impl Setting {
    pub(super) fn new(name: &'static str) -> Self {
        Self { name, given: None, default: None }
    }

    /// What is in force: what was given, or the default.
    pub fn value(&self) -> Option<&str> {
        self.given.as_deref().or(self.default.as_deref())
    }

    /// `environment` or `default`.
    pub fn source(&self) -> &'static str {
        if self.given.is_some() { "environment" } else { "default" }
    }
}
