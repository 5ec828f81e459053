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

/// `POST /v1/auth/logout`
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

/// `POST /v1/auth/logout-all`
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

/// `GET /v1/me/sessions`
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

/// `DELETE /v1/me/sessions/{id}`
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
