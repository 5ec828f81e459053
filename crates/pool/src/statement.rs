//! One statement on its way to the server, and what its text says it will leave behind.

mod effect;
mod names;
mod token;

use sqlx::error::BoxDynError;
use sqlx::postgres::{PgArguments, PgStatement};
use sqlx::{Execute, Postgres, SqlStr};

pub(crate) use effect::{Effect, Trace};

use crate::Config;

/// A statement taken apart, so that its text could be looked at; sqlx hands the text out only once, and by value.
pub(crate) struct Request {
    sql: SqlStr,
    prepared: Option<PgStatement>,
    arguments: Result<Option<PgArguments>, BoxDynError>,
    persistent: bool,
    effect: Effect,
}

impl Request {
    pub(crate) fn of<'q>(mut query: impl Execute<'q, Postgres>, config: &Config) -> Self {
        let prepared = query.statement().cloned();
        let arguments = query.take_arguments();
        let persistent = query.persistent();
        let sql = query.sql();
        let mut effect = Effect::of(sql.as_str(), &config.trusted_functions);
        if config.reset_always {
            effect.trace = effect.trace.max(Trace::Unseen);
        }
        Self { sql, prepared, arguments, persistent, effect }
    }

    pub(crate) const fn effect(&self) -> Effect {
        self.effect
    }
}

impl Execute<'_, Postgres> for Request {
    fn sql(self) -> SqlStr {
        self.sql
    }

    fn statement(&self) -> Option<&PgStatement> {
        self.prepared.as_ref()
    }

    fn take_arguments(&mut self) -> Result<Option<PgArguments>, BoxDynError> {
        std::mem::replace(&mut self.arguments, Ok(None))
    }

    fn persistent(&self) -> bool {
        self.persistent
    }
}
