use std::time::Duration;

use forebay_pool_core::{Class, Rules};

use super::{CHECK_INTERVAL, CHECK_INTERVAL_KEY, Config, STATEMENT_TIMEOUT_KEY, last, postgres_time};
use crate::{Bouncer, ServerRole, TxOptions};

/// What a pool keeps of its [`Config`], which is taken apart by name. A field of that one that is not taken does not compile, and a
/// field of this one that nobody reads is a warning: so there is no setting that does nothing.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) name: String,
    pub(crate) acquire_timeout: Duration,
    pub(crate) cleanup_timeout: Duration,
    pub(crate) close_timeout: Duration,
    pub(crate) role: ServerRole,
    pub(crate) bouncer: Bouncer,
    /// Whether there may be a control connection.
    pub(crate) wants_control: bool,
    pub(crate) trusted_functions: Vec<String>,
    pub(crate) reset_always: bool,
    /// How long the server may work on one statement, as far as it is told so here.
    pub(crate) statement_limit: Option<Duration>,
    /// How long the server may work for a client that is gone.
    pub(crate) check_interval: Duration,
    transactions: Vec<(Class, TxOptions)>,
    session: Vec<(String, String)>,
}

impl Settings {
    /// These, and the rules that the ledger begins with.
    pub(crate) fn of(config: Config) -> (Self, Rules) {
        let Config {
            name,
            rules,
            acquire_timeout,
            cleanup_timeout,
            close_timeout,
            role,
            control,
            bouncer,
            transactions,
            session,
            trusted_functions,
            reset_always,
        } = config;
        let time = |key| last(&session, key).and_then(postgres_time);
        let settings = Self {
            name,
            acquire_timeout,
            cleanup_timeout,
            close_timeout,
            role,
            bouncer,
            wants_control: control && !bouncer.shares_sessions(),
            trusted_functions,
            reset_always,
            statement_limit: time(STATEMENT_TIMEOUT_KEY).filter(|limit| !limit.is_zero()),
            check_interval: time(CHECK_INTERVAL_KEY).unwrap_or(CHECK_INTERVAL),
            transactions,
            session,
        };
        (settings, rules)
    }

    pub(crate) fn transaction_of(&self, class: Class) -> Option<&TxOptions> {
        self.transactions.iter().find(|(of, _)| *of == class).map(|(_, options)| options)
    }

    /// What every startup packet says. Behind a bouncer none says anything.
    pub(crate) fn startup(&self) -> Option<&[(String, String)]> {
        (self.bouncer == Bouncer::None).then_some(&*self.session)
    }

    /// The settings of a session that not every startup packet holds: those that follow from the rules in force, and all of
    /// them where it may hold none.
    pub(crate) fn session(&self, rules: &Rules) -> Vec<(String, String)> {
        const IDLE_IN_TRANSACTION: &str = "idle_in_transaction_session_timeout";
        let mut settings = if self.startup().is_some() { Vec::new() } else { self.session.clone() };
        if last(&self.session, IDLE_IN_TRANSACTION).is_none() {
            let bound = rules.revoke_after.map_or(0, |bound| bound.as_millis() + 1_000);
            settings.push((IDLE_IN_TRANSACTION.to_owned(), bound.to_string()));
        }
        settings
    }
}
