//! One statement on its way to the server, and what its text says it will leave behind.

mod effect;
mod effects;
mod form;
mod names;
mod pieces;
mod summary;
mod token;

use sqlx::error::BoxDynError;
use sqlx::postgres::{PgArguments, PgStatement};
use sqlx::{Execute, Postgres, SqlStr};

pub(crate) use effect::{Effect, Trace};
pub(crate) use effects::Effects;
pub(crate) use form::{Form, size_of_row};
pub(crate) use pieces::{Piece, pieces};
pub(crate) use summary::OTHER;
pub use summary::summary;

use crate::shared::Shared;
use crate::statements::Kind;

/// A statement taken apart, so that its text could be looked at; sqlx hands the text out only once, and by value.
pub(crate) struct Request {
    sql: SqlStr,
    prepared: Option<PgStatement>,
    arguments: Result<Option<PgArguments>, BoxDynError>,
    persistent: bool,
    effect: Effect,
    kind: Kind,
    form: Form,
}

impl Request {
    pub(crate) fn of<'q>(mut query: impl Execute<'q, Postgres>, shared: &Shared) -> Self {
        let config = &shared.config;
        let prepared = query.statement().cloned();
        let mut arguments = query.take_arguments();
        let persistent = query.persistent();
        let sql = query.sql();
        let (mut effect, kind) = shared.effects.of(sql.as_str(), |text| {
            (Effect::of(text, &config.trusted_functions), shared.statements.kind(&summary(text)))
        });
        if config.reset_always {
            effect.trace = effect.trace.max(Trace::Unseen);
        }
        let form = Form::of(sql.as_str(), &mut arguments, persistent);
        Self { sql, prepared, arguments, persistent, effect, kind, form }
    }

    pub(crate) const fn effect(&self) -> Effect {
        self.effect
    }

    /// On whose account it runs.
    pub(crate) const fn kind(&self) -> Kind {
        self.kind
    }

    /// Whether sqlx sends it in one message: a text without parameters. All others take two, each of which a bouncer may
    /// give to another session.
    pub(crate) const fn is_one_message(&self) -> bool {
        matches!(self.arguments, Ok(None))
    }

    /// Whether it may write or lock, in two messages, without a transaction by its text. Errs on that side.
    pub(crate) fn may_write_alone(&self) -> bool {
        const READS: [&str; 5] = ["select", "values", "table", "show", "explain"];
        // FOR UPDATE, FOR NO KEY UPDATE, FOR SHARE, FOR KEY SHARE.
        const LOCKS: [&str; 2] = ["update", "share"];
        let text = self.sql.as_str();
        let word = text.split_ascii_whitespace().next().unwrap_or_default();
        let begins_with_read = READS.iter().any(|known| word.eq_ignore_ascii_case(known));
        let mut words = text.split(|letter: char| !letter.is_ascii_alphabetic());
        let reads = begins_with_read && !words.any(|word| LOCKS.iter().any(|lock| word.eq_ignore_ascii_case(lock)));
        !reads && !self.is_one_message() && !self.effect.opens && !self.effect.ends
    }

    /// Drops what only a statement of two messages has; it has no parameters.
    pub(crate) fn put_into_one_message(&mut self) {
        self.arguments = Ok(None);
        self.form.named = false;
    }

    /// The server is not to keep it, since its session will serve others; so nothing is reset behind it either.
    pub(crate) const fn leave_nothing(&mut self) {
        self.persistent = false;
        self.form.named = false;
        self.effect.trace = Trace::None;
    }

    pub(crate) const fn form(&self) -> Form {
        self.form
    }

    pub(crate) const fn text(&self) -> &SqlStr {
        &self.sql
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
