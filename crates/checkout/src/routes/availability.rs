use axum::Extension;
use axum::extract;
use forebay_platform::extract::{Json, Query};
use forebay_pool::Admission;
use serde::Deserialize;

use crate::domain::{Availability, AvailabilityQuery, LevelChanges, Reading};
use crate::error::Error;
use crate::levels;
use crate::{State, store};

/// `GET /v1/availability`
pub(crate) async fn exact(
    extract::State(state): extract::State<State>,
    Extension(admission): Extension<Admission>,
    Query(query): Query<AvailabilityQuery>,
) -> Result<Json<Vec<Availability>>, Error> {
    let skus = query.parse()?;
    let mut lease = state.db.acquire(&admission).await?;
    Ok(Json(store::stock::available(&mut lease.conn(), &skus).await?))
}

/// The query of `GET /v1/availability/changes`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ChangesQuery {
    cursor: Option<String>,
}

/// `GET /v1/availability/changes`
pub(crate) async fn changes(
    extract::State(state): extract::State<State>,
    Extension(admission): Extension<Admission>,
    Query(query): Query<ChangesQuery>,
) -> Result<Json<LevelChanges>, Error> {
    let reading = Reading::parse(query.cursor.as_deref())?;
    let mut lease = state.db.acquire(&admission).await?;
    Ok(Json(levels::read_on(&mut lease.conn(), reading).await?))
}
