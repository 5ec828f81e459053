//! The log as it is read: the newest line first.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use time::OffsetDateTime;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use crate::db::Conn;
use crate::page::PageRequest;
use crate::problem::{Code, Problem};

/// Where the list is.
const LIST: &str = "/v1/admin/audit";

/// The query of the list.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct LinesQuery {
    /// Only what the admin with this id did.
    #[param(value_type = Option<Uuid>)]
    actor: Option<String>,
    /// Only what is called so, such as `order.ship`.
    #[param(min_length = 1)]
    action: Option<String>,
    /// Only what was done to things of this kind, such as `order`.
    #[param(min_length = 1)]
    object_kind: Option<String>,
    /// Only what was done to the thing with this id; together with `object_kind`.
    #[param(min_length = 1)]
    object_id: Option<String>,
    /// The `next_cursor` of the page before, with the same filters.
    cursor: Option<String>,
    /// How many at most.
    #[param(minimum = 1, maximum = 100, default = 20)]
    limit: Option<i64>,
}

/// Which lines are listed.
#[derive(Debug, Default)]
pub struct Wanted {
    actor: Option<Uuid>,
    action: Option<String>,
    kind: Option<String>,
    id: Option<String>,
}

impl LinesQuery {
    /// The page, and what is to be on it.
    ///
    /// # Errors
    /// `400 invalid-request` for a filter that nothing can fit, and what [`PageRequest::parse`] refuses.
    pub fn parse(self) -> Result<(PageRequest<i64>, Wanted), Problem> {
        let wrong = |name: &str, rule| Problem::of_parameter(Code::InvalidRequest, name, rule);
        let actor =
            self.actor.map(|id| Uuid::try_parse(&id).map_err(|_no_id| wrong("actor", "must be the id of a user")));
        let wanted =
            Wanted { actor: actor.transpose()?, action: self.action, kind: self.object_kind, id: self.object_id };
        let texts = [("action", &wanted.action), ("object_kind", &wanted.kind), ("object_id", &wanted.id)];
        if let Some((name, _)) = texts.iter().find(|(_, text)| text.as_deref() == Some("")) {
            return Err(wrong(name, "must not be empty"));
        }
        if wanted.id.is_some() && wanted.kind.is_none() {
            return Err(wrong("object_id", "needs an object_kind"));
        }
        let actor = wanted.actor.map(|id| id.to_string());
        let texts = texts.map(|(name, text)| (name, text.as_deref()));
        let filters = [[("actor", actor.as_deref())].as_slice(), &texts].concat();
        Ok((PageRequest::parse(LIST, &filters, self.limit, self.cursor.as_deref())?, wanted))
    }
}

/// One change that somebody who runs the shop made.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = AuditLine)]
pub struct Line {
    /// A later change has a larger one.
    pub id: i64,
    /// When it was made.
    #[serde(serialize_with = "crate::instant::serialize")]
    pub at: OffsetDateTime,
    /// The admin's id; null where it was made on the server's command line.
    pub actor: Option<Uuid>,
    /// Who made it on the server's command line; null where it was an admin.
    pub operator: Option<String>,
    /// What was done, such as `order.ship`.
    pub action: String,
    /// To what, such as `order`.
    pub object_kind: String,
    /// To which of these.
    pub object_id: String,
    /// What of it is another now, as it was; null where it is new.
    pub before: Option<Value>,
    /// The same as it was from then on; null where it is gone.
    pub after: Option<Value>,
    /// The `X-Request-Id` of the request that made it; null where there was none.
    pub trace_id: Option<String>,
}

/// Lines from before this one, the newest first. A statement for each index.
///
/// # Errors
/// What the server or the pool answers.
pub async fn page(conn: &mut Conn<'_>, wanted: &Wanted, before: i64, rows: i64) -> Result<Vec<Line>, sqlx::Error> {
    match wanted {
        Wanted { kind: Some(kind), id: Some(id), actor, action } => {
            sqlx::query_as!(
                Line,
                r#"
                select id, at, actor, operator, action, object_kind, object_id, before, after, trace_id from audit.log
                where object_kind = $1 and object_id = $2 and id < $3
                  and ($4::uuid is null or actor = $4) and ($5::text is null or action = $5)
                order by id desc limit $6
                "#,
                kind,
                id,
                before,
                *actor,
                action.as_deref(),
                rows,
            )
            .fetch_all(conn)
            .await
        }
        Wanted { actor: Some(actor), action, kind, .. } => {
            sqlx::query_as!(
                Line,
                r#"
                select id, at, actor, operator, action, object_kind, object_id, before, after, trace_id from audit.log
                where actor = $1 and id < $2
                  and ($3::text is null or action = $3) and ($4::text is null or object_kind = $4)
                order by id desc limit $5
                "#,
                actor,
                before,
                action.as_deref(),
                kind.as_deref(),
                rows,
            )
            .fetch_all(conn)
            .await
        }
        Wanted { action, kind, .. } => {
            sqlx::query_as!(
                Line,
                r#"
                select id, at, actor, operator, action, object_kind, object_id, before, after, trace_id from audit.log
                where id < $1 and ($2::text is null or action = $2) and ($3::text is null or object_kind = $3)
                order by id desc limit $4
                "#,
                before,
                action.as_deref(),
                kind.as_deref(),
                rows,
            )
            .fetch_all(conn)
            .await
        }
    }
}
