//! What those who run the shop did.

use axum::Extension;
use axum::extract;
use forebay_platform::audit::{self, Line, LinesQuery};
use forebay_platform::extract::Query;
use forebay_platform::identity::Admin;
use forebay_platform::page::Page;
use forebay_pool::Admission;

use crate::State;
use crate::error::Error;

/// What those who run the shop changed, the newest first.
#[utoipa::path(
    get, path = "/v1/admin/audit", operation_id = "audit_log", tag = "admin", params(LinesQuery),
    security(("bearer" = ["admin"])),
    responses(
        (status = 200, description = "The page", body = Page<Line>, headers(("Link" = String))),
        (status = 400, description = "`invalid-cursor`: it is of another list; or a parameter is malformed"),
    )
)]
pub(crate) async fn list(
    extract::State(state): extract::State<State>,
    Extension(admission): Extension<Admission>,
    _admin: Admin,
    Query(query): Query<LinesQuery>,
) -> Result<Page<Line>, Error> {
    let (page, wanted) = query.parse().map_err(Error::Page)?;
    let mut lease = state.db.acquire(&admission).await?;
    let before = page.after().copied().unwrap_or(i64::MAX);
    let lines = audit::page(&mut lease.conn(), &wanted, before, page.rows()).await?;
    drop(lease);
    Ok(page.cut(lines, |line| line.id))
}
