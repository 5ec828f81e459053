//! Orders as those who run the shop see them, and how they move on.

use forebay_platform::db::Conn;
use sqlx::Error;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::domain::{EventView, Money, OrderLine, Placed, RefundView, Status, Wanted};

/// Orders behind `after`, the newest first. A statement for each way to ask, so that each has the index that it needs.
pub(crate) async fn page(
    conn: &mut Conn<'_>,
    Wanted { status, user_id }: Wanted,
    after: Option<&Placed>,
    limit: i64,
) -> Result<Vec<OrderLine>, Error> {
    let (at, id) = after.map_or((None, Uuid::max()), |(at, id)| (Some(at.0), *id));
    let status = status.map(Status::as_str);
    let rows = match (user_id, status) {
        (Some(user_id), status) => {
            sqlx::query_as!(
                Row,
                r#"
                select id, user_id, status, total, currency, placed_at from checkout.orders
                where user_id = $1 and ($2::text is null or status = $2)
                  and (placed_at, id) < (coalesce($3::timestamptz, 'infinity'), $4)
                order by placed_at desc, id desc limit $5
                "#,
                user_id,
                status,
                at,
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
                select id, user_id, status, total, currency, placed_at from checkout.orders
                where status = $1 and (placed_at, id) < (coalesce($2::timestamptz, 'infinity'), $3)
                order by placed_at desc, id desc limit $4
                "#,
                status,
                at,
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
                select id, user_id, status, total, currency, placed_at from checkout.orders
                where (placed_at, id) < (coalesce($1::timestamptz, 'infinity'), $2)
                order by placed_at desc, id desc limit $3
                "#,
                at,
                id,
                limit,
            )
            .fetch_all(conn)
            .await?
        }
    };
    rows.into_iter().map(OrderLine::try_from).collect()
}

/// Moves an order on, if it is in the state that this leads from; none where it is not. The row is locked from then on.
pub(crate) async fn advance(
    conn: &mut Conn<'_>,
    id: Uuid,
    from: Status,
    to: Status,
) -> Result<Option<OrderLine>, Error> {
    let row = sqlx::query_as!(
        Row,
        r#"
        update checkout.orders set status = $3, version = version + 1 where id = $1 and status = $2
        returning id, user_id, status, total, currency, placed_at
        "#,
        id,
        from.as_str(),
        to.as_str(),
    )
    .fetch_optional(conn)
    .await?;
    row.map(OrderLine::try_from).transpose()
}

/// The order, locked until the transaction ends.
pub(crate) async fn lock(conn: &mut Conn<'_>, id: Uuid) -> Result<Option<OrderLine>, Error> {
    let row = sqlx::query_as!(
        Row,
        r#"
        select id, user_id, status, total, currency, placed_at from checkout.orders where id = $1 for no key update
        "#,
        id,
    )
    .fetch_optional(conn)
    .await?;
    row.map(OrderLine::try_from).transpose()
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
    user_id: Option<Uuid>,
    status: String,
    total: i64,
    currency: String,
    placed_at: OffsetDateTime,
}

impl TryFrom<Row> for OrderLine {
    type Error = Error;

    fn try_from(row: Row) -> Result<Self, Error> {
        let Row { id, user_id, status, total, currency, placed_at } = row;
        let status = Status::named(&status).ok_or_else(|| Error::Decode(format!("unknown status {status}").into()))?;
        Ok(Self { id, user_id, status, total: Money { amount: total, currency }, placed_at })
    }
}
