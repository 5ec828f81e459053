use axum::Extension;
use axum::extract;
use forebay_platform::extract::{Json, Query};
use forebay_pool::Admission;

use crate::domain::{Availability, AvailabilityQuery, ChangesQuery, LevelChanges, Reading};
use crate::error::Error;
use crate::levels;
use crate::{State, store};

/// How many units of SKUs are free at this moment.
#[utoipa::path(
    get, path = "/v1/availability", operation_id = "availability", tag = "stock", params(AvailabilityQuery),
    responses((status = 200, description = "One line for each", body = Vec<Availability>))
)]
pub(crate) async fn exact(
    extract::State(state): extract::State<State>,
    Extension(admission): Extension<Admission>,
    Query(query): Query<AvailabilityQuery>,
) -> Result<Json<Vec<Availability>>, Error> {
    let skus = query.parse()?;
    let mut lease = state.db.acquire(&admission).await?;
    Ok(Json(store::stock::available(&mut lease.conn(), &skus).await?))
}

/// Whose stock has changed between many, few and none.
#[utoipa::path(
    get, path = "/v1/availability/changes", operation_id = "availability_changes", tag = "stock", params(ChangesQuery),
    responses(
        (status = 200, description = "The next part of it", body = LevelChanges),
        (status = 400, description = "`invalid-cursor`"),
    )
)]
pub(crate) async fn changes(
    extract::State(state): extract::State<State>,
    Extension(admission): Extension<Admission>,
    Query(query): Query<ChangesQuery>,
) -> Result<Json<LevelChanges>, Error> {
    let reading = Reading::parse(query.cursor.as_deref())?;
    let mut lease = state.db.acquire(&admission).await?;
    Ok(Json(levels::read_on(&mut lease.conn(), reading).await?))
}
