//! What those who run the shop did: one line for each change, written in the transaction of that change and kept as it is.
//!
//! The database lets nobody change or delete a line. A line names who did it, what to which object, and what of the object
//! was another before; it holds no secret, and of a customer no more than ids.

use std::fmt::Display;
use std::sync::LazyLock;

use serde::Serialize;
use serde_json::Value;
use sqlx::migrate::Migrator;
use uuid::Uuid;

use crate::db::Conn;
use crate::identity::Admin;
use crate::problem;
use crate::security::{self, Event};

mod reading;

pub use reading::{Line, LinesQuery, Wanted, page};

/// The schema `audit`, which the services' changes are written down in: migrate it before theirs.
pub static MIGRATOR: LazyLock<Migrator> = LazyLock::new(|| {
    let mut migrator = sqlx::migrate!("../../migrations/platform");
    migrator.set_ignore_missing(true);
    migrator
});

/// Who works on the server's own command line, as the log names him.
const OPERATOR: &str = "operator";

/// One change.
///
/// ```
/// use forebay_platform::audit::Entry;
/// use serde_json::json;
///
/// let entry = Entry::by_operator("admin.grant", "user", "0190b3a0-7c5e-7abc-8def-0123456789ab");
/// let entry = entry.before(&json!({ "role": "customer" })).after(&json!({ "role": "admin" }));
/// ```
#[derive(Clone, Debug)]
pub struct Entry {
    /// None is the operator.
    actor: Option<Uuid>,
    action: &'static str,
    kind: &'static str,
    id: String,
    before: Option<Value>,
    after: Option<Value>,
}

impl Entry {
    /// An admin did `action`, such as `product.archive`, to the object of this kind and id.
    #[must_use]
    pub fn by(admin: &Admin, action: &'static str, kind: &'static str, id: impl Display) -> Self {
        Self::of(Some(admin.0.user_id), action, kind, &id)
    }

    /// The same, done on the server's own command line.
    #[must_use]
    pub fn by_operator(action: &'static str, kind: &'static str, id: impl Display) -> Self {
        Self::of(None, action, kind, &id)
    }

    fn of(actor: Option<Uuid>, action: &'static str, kind: &'static str, id: &dyn Display) -> Self {
        Self { actor, action, kind, id: id.to_string(), before: None, after: None }
    }

    /// What of the object is another now, as it was. Nothing where the object is new.
    ///
    /// # Panics
    /// Where a map in it has keys that are no strings.
    #[must_use]
    pub fn before(self, before: &impl Serialize) -> Self {
        Self { before: Some(json_of(before)), ..self }
    }

    /// The same as it is now. Nothing where the object is gone.
    ///
    /// # Panics
    /// Where a map in it has keys that are no strings.
    #[must_use]
    pub fn after(self, after: &impl Serialize) -> Self {
        Self { after: Some(json_of(after)), ..self }
    }

    /// Records it as a [security event](security), once the change is committed.
    pub fn announce(&self) {
        let Self { action, kind, id, .. } = self;
        security::record(Event::AdminChange { what: action, object: &format!("{kind} {id}") }, self.actor);
    }
}

/// Writes the line, to be called in the transaction of the change. Dropping the future leaves the transaction to be rolled
/// back, as with any statement.
///
/// # Errors
/// What the server or the pool answers; roll back then.
pub async fn record(conn: &mut Conn<'_>, entry: &Entry) -> Result<(), sqlx::Error> {
    let trace_id = problem::trace_id();
    sqlx::query!(
        r#"
        insert into audit.log (actor, operator, action, object_kind, object_id, before, after, trace_id)
        values ($1, $2, $3, $4, $5, $6, $7, $8)
        "#,
        entry.actor,
        entry.actor.is_none().then_some(OPERATOR),
        entry.action,
        entry.kind,
        entry.id,
        entry.before,
        entry.after,
        trace_id.as_deref(),
    )
    .execute(conn)
    .await?;
    Ok(())
}

fn json_of(value: &impl Serialize) -> Value {
    serde_json::to_value(value).expect("what is written down has strings for keys")
}

#[cfg(test)]
mod tests;
