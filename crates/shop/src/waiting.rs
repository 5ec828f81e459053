//! Waits for a database that somebody else starts and brings up to date.

use std::time::Duration;

use sqlx::{PgConnection, postgres::PgConnectOptions};
use tokio::time::{Instant, timeout};

use crate::{database, migrations::Schema, reason::Reason};

/// Between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// A look that takes longer has failed.
const LOOK_LIMIT: Duration = Duration::from_secs(3);
/// Between two lines that say what is waited for.
const SAY_EVERY: Duration = Duration::from_secs(5);

/// What there was to wait for until the time was up, or why waiting is of no use.
#[derive(Debug, thiserror::Error)]
pub enum NotReady {
    /// The database does not answer.
    #[error(
        "the database at {at} {} within {} s: {reason}. FOREBAY_START_WAIT_MS says how long to wait",
        if reason.answered() { "was not ready" } else { "did not answer" }, limit.as_secs_f32()
    )]
    Database {
        /// Host and port, without the password.
        at: String,
        /// What happened when it was asked last.
        reason: Reason,
        /// How long it was waited for.
        limit: Duration,
    },
    /// It answers, and somebody has to do something before it answers otherwise.
    #[error("the database at {at} cannot be used: {reason}")]
    Refused {
        /// Host and port, without the password.
        at: String,
        /// Why.
        reason: Reason,
    },
    /// It answers, and this program is newer than its schema.
    #[error(
        "the schema of the database at {at} is older than this program: {missing} of its {known} migrations were not \
         applied within {} s. Run `shop migrate` with the same DATABASE_URL, or `shop seed`, which also fills an empty shop",
        limit.as_secs_f32()
    )]
    Schema {
        /// Host and port, without the password.
        at: String,
        /// Migrations that the database lacks.
        missing: usize,
        /// Those of this program.
        known: usize,
        /// How long they were waited for.
        limit: Duration,
    },
    /// Its schema is another one.
    #[error("the database at {at} cannot be served: {fault}")]
    OtherSchema {
        /// Host and port, without the password.
        at: String,
        /// What is wrong with it, and what to do.
        fault: String,
    },
}

/// What one look found.
#[derive(Debug)]
enum Lacking {
    Answer(Reason),
    Migrations { missing: usize, known: usize },
    Other(String),
}

/// Waits until the database answers and has every migration that this program knows, for `limit` at most; the connection
/// that found it so. `progress` hears when the waiting begins, and every five seconds from then on, and of a schema that is
/// newer than this program. Dropping the future ends it.
///
/// # Errors
///
/// What was still missing when the time was up; at once, what waiting does not change.
pub async fn until_ready(
    options: &PgConnectOptions,
    limit: Duration,
    progress: impl Fn(&str),
) -> Result<PgConnection, NotReady> {
    let at = database::address(options);
    let (began, mut said) = (Instant::now(), None);
    let mut connection = None;
    loop {
        let looked = timeout(LOOK_LIMIT, look(&mut connection, options)).await;
        let lacking = match looked.unwrap_or_else(|_elapsed| Err(Lacking::slow())) {
            Ok((ready, newer)) => {
                newer.iter().for_each(|newer| progress(&format!("warning: {newer}")));
                return Ok(ready);
            }
            Err(lacking) => lacking,
        };
        if lacking.is_final() || began.elapsed() >= limit {
            return Err(lacking.after(limit, at));
        }
        if said.is_none_or(|said: Instant| said.elapsed() >= SAY_EVERY) {
            said = Some(Instant::now());
            progress(&lacking.line(&at, limit.saturating_sub(began.elapsed())));
        }
        tokio::time::sleep(LOOK_EVERY.min(limit.saturating_sub(began.elapsed()))).await;
    }
}

/// Looks over the connection of the last look, or a new one, and leaves it behind where it can be used again. Beside a
/// connection that found all well, what there is to say of the schema.
async fn look(
    kept: &mut Option<PgConnection>,
    options: &PgConnectOptions,
) -> Result<(PgConnection, Option<String>), Lacking> {
    let answer = |error| Lacking::Answer(Reason::of(&error, options));
    let mut connection = match kept.take() {
        Some(connection) => connection,
        None => database::dial(options).await.map_err(answer)?,
    };
    let schema = Schema::read(&mut connection).await.map_err(answer)?;
    if let Some(fault) = schema.fault() {
        return Err(Lacking::Other(fault));
    }
    if schema.missing.is_empty() {
        return Ok((connection, schema.newer()));
    }
    *kept = Some(connection);
    Err(Lacking::Migrations { missing: schema.missing.len(), known: schema.known })
}

impl Lacking {
    fn slow() -> Self {
        Self::Answer(Reason::silence(LOOK_LIMIT.as_secs()))
    }

    const fn is_final(&self) -> bool {
        match self {
            Self::Answer(reason) => reason.is_final(),
            Self::Migrations { .. } => false,
            Self::Other(_) => true,
        }
    }

    fn line(&self, at: &str, left: Duration) -> String {
        let left = left.as_secs_f32();
        match self {
            Self::Answer(reason) => format!("waiting for the database at {at}, {left:.0} s more: {reason}"),
            Self::Migrations { missing, known } => format!(
                "waiting for the schema, {left:.0} s more: {missing} of {known} migrations are missing (`shop migrate` applies them)"
            ),
            Self::Other(fault) => fault.clone(),
        }
    }

    fn after(self, limit: Duration, at: String) -> NotReady {
        match self {
            Self::Answer(reason) if reason.is_final() => NotReady::Refused { at, reason },
            Self::Answer(reason) => NotReady::Database { at, reason, limit },
            Self::Migrations { missing, known } => NotReady::Schema { at, missing, known, limit },
            Self::Other(fault) => NotReady::OtherSchema { at, fault },
        }
    }
}
