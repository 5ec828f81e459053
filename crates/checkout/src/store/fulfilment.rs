//! Orders as those who run the shop see them, and how they move on.

use forebay_platform::db::Conn;
use forebay_platform::page::Moment;
use sqlx::Error;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::domain::{EventView, Money, OrderLine, Place, RefundView, Status, Wanted};
use crate::store::orders::named;

/// Orders from before this place, the newest first. A statement for each way to ask, so that each has the index that it needs.
pub(crate) async fn page(
    conn: &mut Conn<'_>,
    Wanted { status, user_id }: Wanted,
    (Moment(before), id): Place,
    limit: i64,
) -> Result<Vec<OrderLine>, Error> {
    let status = status.map(Status::as_str);
    let rows = match (user_id, status) {
        (Some(user_id), status) => {
            sqlx::query_as!(
                Row,
                r#"
                select id, number, user_id, status, coalesce(stage, status) as "stage!", total, currency, placed_at
                from checkout.orders
                where user_id = $1 and ($2::text is null or status = $2)
                  and (placed_at, id) < ($3, $4)
                order by placed_at desc, id desc limit $5
                "#,
                user_id,
                status,
                before,
                id,
                limit,
            )
            .fetch_all(conn)
            .await?
        }
        (None, Some(status)) => {
            sqlx::query_as!(
                Row,
                r#"
                select id, number, user_id, status, coalesce(stage, status) as "stage!", total, currency, placed_at
                from checkout.orders
                where status = $1 and (placed_at, id) < ($2, $3)
                order by placed_at desc, id desc limit $4
                "#,
                status,
                before,
                id,
                limit,
            )
            .fetch_all(conn)
            .await?
        }
        (None, None) => {
            sqlx::query_as!(
                Row,
                r#"
                select id, number, user_id, status, coalesce(stage, status) as "stage!", total, currency, placed_at
                from checkout.orders
                where (placed_at, id) < ($1, $2)
                order by placed_at desc, id desc limit $3
                "#,
                before,
                id,
                limit,
            )
            .fetch_all(conn)
            .await?
        }
    };
    rows.into_iter().map(OrderLine::try_from).collect()
}

/// The order, locked until the transaction ends.
pub(crate) async fn lock(conn: &mut Conn<'_>, id: Uuid) -> Result<Option<OrderLine>, Error> {
    let row = sqlx::query_as!(
        Row,
        r#"
        select id, number, user_id, status, coalesce(stage, status) as "stage!", total, currency, placed_at
        from checkout.orders where id = $1 for no key update
        "#,
        id,
    )
    .fetch_optional(conn)
    .await?;
    row.map(OrderLine::try_from).transpose()
}

/// Moves the order, which is locked, to another state.
pub(crate) async fn advance(conn: &mut Conn<'_>, id: Uuid, to: Status) -> Result<(), Error> {
    sqlx::query!("update checkout.orders set status = $2, version = version + 1 where id = $1", id, to.as_str())
        .execute(conn)
        .await?;
    Ok(())
}

pub(crate) async fn events_of(conn: &mut Conn<'_>, order_id: Uuid) -> Result<Vec<EventView>, Error> {
    sqlx::query_as!(
        EventView,
        "select kind, data, at from checkout.order_events where order_id = $1 order by id",
        order_id,
    )
    .fetch_all(conn)
    .await
}

pub(crate) async fn refunds_of(conn: &mut Conn<'_>, order_id: Uuid) -> Result<Vec<RefundView>, Error> {
    let rows = sqlx::query!(
        r#"
        select r.id, r.amount, p.currency, r.reason, r.state, r.requested_at
        from checkout.payments p
        join checkout.refunds r on r.payment_id = p.id
        where p.order_id = $1 order by r.requested_at, r.id
        "#,
        order_id,
    )
    .fetch_all(conn)
    .await?;
    let refunds = rows.into_iter().map(|row| RefundView {
        id: row.id,
        amount: Money { amount: row.amount, currency: row.currency },
        reason: row.reason,
        state: row.state,
        requested_at: row.requested_at,
    });
    Ok(refunds.collect())
}

struct Row {
    id: Uuid,
    number: String,
    user_id: Option<Uuid>,
    status: String,
    stage: String,
    total: i64,
    currency: String,
    placed_at: OffsetDateTime,
}

impl TryFrom<Row> for OrderLine {
    type Error = Error;

    fn try_from(row: Row) -> Result<Self, Error> {
        let Row { id, number, user_id, status, stage, total, currency, placed_at } = row;
        let (status, stage) = (named(&status)?, named(&stage)?);
        Ok(Self { id, number, user_id, status, stage, total: Money { amount: total, currency }, placed_at })
    }
}
