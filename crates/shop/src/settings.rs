//! `shop config`: the settings in force, and where each comes from.

use std::fmt;

use forebay_platform::config::{ConfigFaults, Env, Setting};
use serde_json::{Value, json};

use crate::{Config, Purpose};

/// The settings that a start in this environment would have. Shows no secret.
#[derive(Debug)]
pub struct Effective {
    settings: Vec<Setting>,
    /// Variables of ours that nobody reads.
    unknown: Vec<String>,
    /// Parameters of an address that do nothing.
    ignored: Vec<(&'static str, String)>,
    faults: Option<ConfigFaults>,
}

impl Effective {
    /// Reads them as a command with this purpose would.
    pub fn read(env: &Env, purpose: Purpose) -> Self {
        let config = Config::read(env, purpose);
        let ignored = config.as_ref().map(Config::ignored_parameters).unwrap_or_default();
        Self { settings: env.settings(), unknown: env.unread("FOREBAY_"), ignored, faults: config.err() }
    }

    /// Everything that can be set.
    pub fn settings(&self) -> &[Setting] {
        &self.settings
    }

    /// What is wrong with them.
    pub const fn faults(&self) -> Option<&ConfigFaults> {
        self.faults.as_ref()
    }

    /// As one object: `settings`, a list of objects with `name`, `value` and `source` (`environment` or `default`);
    /// `unknown`, names of variables that are none of ours; `ignored`, parameters of addresses that do nothing; `faults`, a list
    /// of texts.
    pub fn json(&self) -> Value {
        let settings = self.settings.iter().map(|setting| {
            json!({"name": setting.name, "value": setting.value(), "default": setting.default, "source": setting.source()})
        });
        let faults = self.faults.iter().flat_map(ConfigFaults::iter).map(ToString::to_string);
        let ignored = self.ignored.iter().map(|(name, parameter)| json!({"name": name, "parameter": parameter}));
        json!({
            "settings": settings.collect::<Vec<_>>(),
            "unknown": self.unknown,
            "ignored": ignored.collect::<Vec<_>>(),
            "faults": faults.collect::<Vec<_>>(),
        })
    }
}

/// A table; variables that are not ours only where they are set.
impl fmt::Display for Effective {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ours = |setting: &&Setting| setting.name.starts_with("FOREBAY_") || setting.name == "DATABASE_URL";
        let shown = self.settings.iter().filter(|setting| ours(setting) || setting.given.is_some());
        for setting in shown {
            writeln!(f, "{:<32} {:<12} {}", setting.name, setting.source(), setting.value().unwrap_or("-"))?;
        }
        for name in &self.unknown {
            writeln!(f, "{name:<32} is not known, and does nothing: misspelt?")?;
        }
        for (name, parameter) in &self.ignored {
            writeln!(f, "{name:<32} the parameter `{parameter}` does nothing")?;
        }
        Ok(())
    }
}
