//! A configuration as text: one `name = value` a line.

use std::collections::HashSet;
use std::time::Duration;

use forebay_pool_core::{Mode, Sizing};

use super::{Config, InvalidConfig, ServerRole, postgres_time};
use crate::Bouncer;

impl Config {
    /// The same with the settings of a text: one `name = value` a line, `#` begins a comment. Names are those of the fields
    /// of [`Config`] and [`crate::Rules`], and `session.NAME` for what is sent to the server; times are read as Postgres
    /// reads them (`250ms`, `30min`; milliseconds without a unit), `off` is no limit.
    ///
    /// ```
    /// use forebay_pool::Config;
    /// let config = Config::named("reports").with_settings(
    ///     "ceiling = 20          # connections\n\
    ///      initial_limit = 10\n\
    ///      revoke_after = off\n\
    ///      session.statement_timeout = 1min",
    /// )?;
    /// assert_eq!((config.rules.ceiling, config.rules.revoke_after), (20, None));
    ///
    /// let error = Config::named("reports").with_settings("ceilling = 20\nmin_idle = 99").unwrap_err();
    /// assert_eq!(error.faults.len(), 2, "{error}");
    /// # Ok::<(), forebay_pool::InvalidConfig>(())
    /// ```
    ///
    /// # Errors
    /// Every fault of the text, and of the configuration that comes of it.
    pub fn with_settings(mut self, text: &str) -> Result<Self, InvalidConfig> {
        let (mut faults, mut seen) = (Vec::new(), HashSet::new());
        for (number, line) in (1..).zip(text.lines()) {
            let setting = line.split('#').next().unwrap_or_default().trim();
            if setting.is_empty() {
                continue;
            }
            let outcome = match setting.split_once('=') {
                None => Err(format!("{} is no `name = value`", shown(setting))),
                Some((name, value)) => {
                    let (name, value) = (name.trim(), value.trim());
                    if seen.insert(name) { self.set(name, value) } else { Err(format!("{} is set twice", shown(name))) }
                }
            };
            faults.extend(outcome.err().map(|fault| format!("line {number}: {fault}")));
        }
        faults.extend(self.faults());
        if faults.is_empty() { Ok(self) } else { Err(InvalidConfig { faults }) }
    }

    fn set(&mut self, name: &str, value: &str) -> Result<(), String> {
        let rules = &mut self.rules;
        let read = match name {
            "min_idle" => set(&mut rules.min_idle, number(value)),
            "initial_limit" => set(&mut rules.initial_limit, number(value)),
            "ceiling" => set(&mut rules.ceiling, number(value)),
            "queue_capacity" => set(&mut rules.queue_capacity, number(value)),
            "openings_at_once" => set(&mut rules.openings_at_once, number(value)),
            "sizing" => set(&mut rules.sizing, sizing(value)),
            "mode" => set(&mut rules.mode, mode(value)),
            "burst_wait" => set(&mut rules.burst_wait, time(value)),
            "open_timeout" => set(&mut rules.open_timeout, time(value)),
            "idle_timeout" => set(&mut rules.idle_timeout, time(value)),
            "lifetime" => set(&mut rules.lifetime, time_or_off(value)),
            "check_after_idle" => set(&mut rules.check_after_idle, time(value)),
            "check_timeout" => set(&mut rules.check_timeout, time(value)),
            "suspect_after" => set(&mut rules.suspect_after, time(value)),
            "revoke_after" => set(&mut rules.revoke_after, time_or_off(value)),
            "acquire_timeout" => set(&mut self.acquire_timeout, time(value)),
            "cleanup_timeout" => set(&mut self.cleanup_timeout, time(value)),
            "close_timeout" => set(&mut self.close_timeout, time(value)),
            "role" => set(&mut self.role, role(value)),
            "control" => set(&mut self.control, switch(value)),
            "trusted_functions" => set(&mut self.trusted_functions, Ok(list(value))),
            "reset_always" => set(&mut self.reset_always, switch(value)),
            "bouncer" => set(&mut self.bouncer, bouncer(value)),
            _ => match name.strip_prefix("session.") {
                Some(parameter) if is_parameter(parameter) => {
                    self.session.push((parameter.to_owned(), value.to_owned()));
                    Ok(())
                }
                Some(_) => return Err(format!("{} names no parameter of the server", shown(name))),
                None => return Err(format!("{} is no setting", shown(name))),
            },
        };
        read.map_err(|wanted| format!("{name} is {}, and must be {wanted}", shown(value)))
    }
}

fn set<T>(field: &mut T, read: Result<T, &'static str>) -> Result<(), &'static str> {
    read.map(|value| *field = value)
}

fn number(value: &str) -> Result<u32, &'static str> {
    value.parse().ok().ok_or("a whole number from 0 to 4294967295")
}

fn time(value: &str) -> Result<Duration, &'static str> {
    postgres_time(value).ok_or("a time such as 250ms, 5s or 30min")
}

fn time_or_off(value: &str) -> Result<Option<Duration>, &'static str> {
    if value == "off" {
        return Ok(None);
    }
    postgres_time(value).map(Some).ok_or("off, or a time such as 250ms, 5s or 30min")
}

fn mode(value: &str) -> Result<Mode, &'static str> {
    match value {
        "off" => Ok(Mode::Off),
        "report-only" => Ok(Mode::ReportOnly),
        "enforce" => Ok(Mode::Enforce),
        _ => Err("off, report-only or enforce"),
    }
}

fn sizing(value: &str) -> Result<Sizing, &'static str> {
    match value {
        "fixed" => Ok(Sizing::Fixed),
        "shadow" => Ok(Sizing::Shadow),
        "adaptive" => Ok(Sizing::Adaptive),
        _ => Err("fixed, shadow or adaptive"),
    }
}

fn role(value: &str) -> Result<ServerRole, &'static str> {
    match value {
        "primary" => Ok(ServerRole::Primary),
        "standby" => Ok(ServerRole::Standby),
        "any" => Ok(ServerRole::Any),
        _ => Err("primary, standby or any"),
    }
}

fn bouncer(value: &str) -> Result<Bouncer, &'static str> {
    match value {
        "none" => Ok(Bouncer::None),
        "session" => Ok(Bouncer::Session),
        "transaction" => Ok(Bouncer::Transaction),
        _ => Err("none, session or transaction"),
    }
}

fn switch(value: &str) -> Result<bool, &'static str> {
    match value {
        "on" => Ok(true),
        "off" => Ok(false),
        _ => Err("on or off"),
    }
}

/// Names with commas or spaces between them.
fn list(value: &str) -> Vec<String> {
    value.split([',', ' ']).filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

/// Those of extensions have a dot.
fn is_parameter(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'.')
}

/// What somebody wrote, no more of it than an error should hold.
fn shown(text: &str) -> String {
    const MOST: usize = 60;
    match text.char_indices().nth(MOST) {
        None => format!("{text:?}"),
        Some((end, _)) => format!("{:?}...", &text[..end]),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, prop, prop_oneof};
    use proptest::{prop_assert, prop_assert_eq, proptest};

    use super::{Bouncer, Config, Duration, Mode, ServerRole};
    use crate::config::{Settings, last};

    fn faults(text: &str) -> Vec<String> {
        Config::named("x").with_settings(text).map_or_else(|error| error.faults, |_| Vec::new())
    }

    #[test]
    fn every_knob_can_be_set() {
        let text = "
            # bounds
            min_idle = 3
            initial_limit=7   # at the start
            ceiling = 20
            queue_capacity = 9
            openings_at_once = 1
            mode = report-only
            burst_wait = 20
            open_timeout = 2s
            idle_timeout = 1min
            lifetime = off
            check_after_idle = 0
            check_timeout = 100ms
            suspect_after = 1.5s
            revoke_after = off
            acquire_timeout = 250ms
            cleanup_timeout = 1s
            close_timeout = 2s
            role = any
            control = off
            trusted_functions = app_*, total
            reset_always = on
            bouncer = transaction
            session.statement_timeout = 1min
            session.search_path = shop, public";
        let config = Config::named("x").with_settings(text).expect("all of it is right");
        let rules = &config.rules;
        assert_eq!((rules.min_idle, rules.initial_limit, rules.ceiling), (3, 7, 20));
        assert_eq!((rules.queue_capacity, rules.openings_at_once, rules.mode), (9, 1, Mode::ReportOnly));
        assert_eq!((rules.lifetime, rules.revoke_after), (None, None));
        assert_eq!((rules.burst_wait, rules.check_after_idle), (Duration::from_millis(20), Duration::ZERO));
        assert_eq!((config.role, config.control), (ServerRole::Any, false));
        assert_eq!((config.trusted_functions.join(" "), config.reset_always), ("app_* total".to_owned(), true));
        assert_eq!(config.bouncer, Bouncer::Transaction);
        assert_eq!(last(&config.session, "search_path"), Some("shop, public"));
        assert_eq!(Settings::of(config).0.statement_limit, Some(Duration::from_secs(60)));
    }

    #[test]
    fn every_fault_is_told_at_once() {
        let text = "ceilling = 20\nceiling = 10\nceiling = 12\nmin_idle = 30\nmode = maybe\nrevoke_after = never\n\
                    nonsense\nsession.a b = 1\nlifetime = 0\nqueue_capacity = -1\nsession.statement_timeout = soon";
        let faults = faults(text);
        for fault in [
            "line 1: \"ceilling\" is no setting",
            "line 3: \"ceiling\" is set twice",
            "line 5: mode is \"maybe\", and must be off, report-only or enforce",
            "line 6: revoke_after is \"never\", and must be off, or a time such as 250ms, 5s or 30min",
            "line 7: \"nonsense\" is no `name = value`",
            "line 8: \"session.a b\" names no parameter of the server",
            "line 10: queue_capacity is \"-1\", and must be a whole number from 0 to 4294967295",
            "min_idle 30 is above ceiling 10",
            "lifetime is zero, and must be longer",
            "session statement_timeout is \"soon\", and must be a time such as 5000 or 5s",
        ] {
            assert!(faults.iter().any(|told| told == fault), "{fault} is not among {faults:#?}");
        }
        assert_eq!(faults.len(), 10, "{faults:#?}");
    }

    #[test]
    fn an_endless_word_is_not_repeated_endlessly() {
        let faults = faults(&"x".repeat(1_000_000));
        assert!(faults[0].len() < 200, "{}", faults[0].len());
    }

    proptest! {
        #[test]
        fn whatever_is_written_is_used_or_refused(
            lines in prop::collection::vec(
                prop_oneof![
                    "[a-z_.]{0,12} ?= ?[0-9a-z. ]{0,8}",
                    "(ceiling|min_idle|lifetime|mode|session\\.x) = [0-9]{1,12}(s|ms|d)?",
                    any::<String>(),
                ],
                0..8,
            )
        ) {
            match Config::named("x").with_settings(&lines.join("\n")) {
                Ok(config) => prop_assert_eq!(config.faults(), Vec::<String>::new()),
                Err(error) => prop_assert!(!error.faults.is_empty()),
            }
        }
    }
}
