use forebay_platform::db::Conn;
use serde_json::{Value, json};
use sqlx::Error;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::domain::{EventKind, ReturnState};

/// Writes down what happened to an order; subscribers hear of it as `order.<kind>`, with `data`, an object, once it is
/// committed. Call it in the transaction of the change, after the statement that changes the order: its row is then locked, and
/// the events of an order are in the order of their commits. What every order goes through is written by the statement that
/// changes the order itself: see [`orders::insert`](super::orders::insert).
pub(crate) async fn record(
    conn: &mut Conn<'_>,
    order_id: Uuid,
    kind: EventKind,
    data: &Value,
    at: OffsetDateTime,
) -> Result<(), Error> {
    // A trigger writes the row of the outbox, for each statement that inserts here.
    sqlx::query!(
        "insert into checkout.order_events (order_id, kind, data, at) values ($1, $2, $3, $4)",
        order_id,
        kind.as_str(),
        data,
        at,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// The same of a return of the order.
pub(crate) async fn record_return(
    conn: &mut Conn<'_>,
    order_id: Uuid,
    (return_id, state): (Uuid, ReturnState),
    at: OffsetDateTime,
) -> Result<(), Error> {
    record(conn, order_id, state.event(), &json!({ "return_id": return_id }), at).await
}
