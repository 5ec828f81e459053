//! Sessions, and how they end.

use axum::Extension;
use axum::extract;
use axum::http::StatusCode;
use forebay_platform::extract::{Json, Path};
use forebay_platform::identity::Principal;
use forebay_platform::security::{self, Event};
use forebay_pool::Admission;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::domain::{REFRESH_LIFE, SessionView};
use crate::error::Error;
use crate::{State, store};

/// How many are listed.
const MOST_LISTED: i64 = 100;

/// Ends this session.
#[utoipa::path(
    post, path = "/v1/auth/logout", operation_id = "logout", tag = "auth", security(("bearer" = [])),
    responses((status = 204, description = "It has ended"))
)]
pub(crate) async fn logout(
    extract::State(state): extract::State<State>,
    Extension(admission): Extension<Admission>,
    Principal { user_id, session_id, .. }: Principal,
) -> Result<StatusCode, Error> {
    let mut lease = state.db.acquire(&admission).await?;
    let now = OffsetDateTime::now_utc();
    // False where it has ended already, which was to be.
    store::sessions::revoke(&mut lease.conn(), user_id, session_id, "logout", now).await?;
    drop(lease);
    state.revoked.add([session_id]);
    security::record(Event::LoggedOut, Some(user_id));
    Ok(StatusCode::NO_CONTENT)
}

/// Ends all sessions of the account.
#[utoipa::path(
    post, path = "/v1/auth/logout-all", operation_id = "logout_all", tag = "auth", security(("bearer" = [])),
    responses((status = 204, description = "They have ended"))
)]
pub(crate) async fn logout_all(
    extract::State(state): extract::State<State>,
    Extension(admission): Extension<Admission>,
    Principal { user_id, .. }: Principal,
) -> Result<StatusCode, Error> {
    let mut lease = state.db.acquire(&admission).await?;
    let now = OffsetDateTime::now_utc();
    let ended = store::sessions::revoke_all(&mut lease.conn(), user_id, None, "logout of all", now).await?;
    drop(lease);
    state.revoked.add(ended);
    security::record(Event::LoggedOutEverywhere, Some(user_id));
    Ok(StatusCode::NO_CONTENT)
}

/// The sessions of the account, the last seen first, 100 at most.
#[utoipa::path(
    get, path = "/v1/me/sessions", operation_id = "sessions", tag = "account", security(("bearer" = [])),
    responses((status = 200, description = "The sessions", body = Vec<SessionView>))
)]
pub(crate) async fn list(
    extract::State(state): extract::State<State>,
    Extension(admission): Extension<Admission>,
    Principal { user_id, session_id, .. }: Principal,
) -> Result<Json<Vec<SessionView>>, Error> {
    let now = OffsetDateTime::now_utc();
    let mut lease = state.db.acquire(&admission).await?;
    let live = store::sessions::live(&mut lease.conn(), user_id, now - REFRESH_LIFE, now, MOST_LISTED).await?;
    drop(lease);
    Ok(Json(live.into_iter().map(|listed| SessionView::new(listed, session_id)).collect()))
}

/// Ends one session of the account.
#[utoipa::path(
    delete, path = "/v1/me/sessions/{id}", operation_id = "end_session", tag = "account", security(("bearer" = [])),
    responses((status = 204, description = "It has ended"))
)]
pub(crate) async fn end(
    extract::State(state): extract::State<State>,
    Extension(admission): Extension<Admission>,
    Path(id): Path<Uuid>,
    Principal { user_id, .. }: Principal,
) -> Result<StatusCode, Error> {
    let mut lease = state.db.acquire(&admission).await?;
    let now = OffsetDateTime::now_utc();
    if !store::sessions::revoke(&mut lease.conn(), user_id, id, "ended by its user", now).await? {
        return Err(Error::NotFound("session"));
    }
    drop(lease);
    state.revoked.add([id]);
    security::record(Event::SessionEnded, Some(user_id));
    Ok(StatusCode::NO_CONTENT)
}
