//! What our tables say, for whoever holds it against what the provider says.

use std::collections::HashMap;

use forebay_platform::db::Conn;
use sqlx::Error;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::refunds::RefundState;

/// How many rows are read at once.
const PAGE: i64 = 1_000;

/// A payment as we wrote it down.
#[derive(Clone, Debug)]
pub(crate) struct Payment {
    pub(crate) id: Uuid,
    pub(crate) order_id: Uuid,
    pub(crate) attempt: i16,
    pub(crate) state: String,
    pub(crate) amount: i64,
    pub(crate) currency: String,
    pub(crate) reference: String,
}

/// A refund as we wrote it down.
#[derive(Clone, Debug)]
pub(crate) struct Refund {
    pub(crate) id: Uuid,
    pub(crate) order_id: Uuid,
    pub(crate) attempt: i16,
    pub(crate) state: RefundState,
    pub(crate) amount: i64,
    pub(crate) currency: String,
    pub(crate) reference: Option<String>,
    pub(crate) requested_at: OffsetDateTime,
}

/// Those of these orders and attempts that there are.
pub(crate) async fn payments_of(
    conn: &mut Conn<'_>,
    orders: &[Uuid],
    attempts: &[i16],
) -> Result<HashMap<(Uuid, i16), Payment>, Error> {
    let rows = sqlx::query_as!(
        Payment,
        r#"
        select p.id, p.order_id, p.attempt, p.state, p.amount, p.currency, p.provider_ref as reference
        from unnest($1::uuid[], $2::smallint[]) as k (order_id, attempt)
        join checkout.payments p on p.order_id = k.order_id and p.attempt = k.attempt
        "#,
        orders,
        attempts,
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(|payment| ((payment.order_id, payment.attempt), payment)).collect())
}

/// Those of these orders whose payment is still unknown.
pub(crate) async fn pending(conn: &mut Conn<'_>, orders: &[Uuid]) -> Result<Vec<Uuid>, Error> {
    sqlx::query_scalar!("select id from checkout.orders where id = any($1) and status = 'pending_payment'", orders,)
        .fetch_all(conn)
        .await
}

/// A page of the payments that were written since then, in the order of their ids, which is about that of time.
pub(crate) async fn payments_since(
    conn: &mut Conn<'_>,
    since: OffsetDateTime,
    after: Uuid,
) -> Result<Vec<Payment>, Error> {
    sqlx::query_as!(
        Payment,
        r#"
        select id, order_id, attempt, state, amount, currency, provider_ref as reference
        from checkout.payments
        where id > $1 and created_at >= $2 order by id limit $3
        "#,
        after,
        since,
        PAGE,
    )
    .fetch_all(conn)
    .await
}

/// Those of these refunds that there are.
pub(crate) async fn refunds_of(conn: &mut Conn<'_>, ids: &[Uuid]) -> Result<HashMap<Uuid, Refund>, Error> {
    let rows = sqlx::query_as!(
        Row,
        r#"
        select r.id, r.amount, r.state, r.provider_ref, r.requested_at, p.order_id, p.attempt, p.currency
        from checkout.refunds r
        join checkout.payments p on p.id = r.payment_id
        where r.id = any($1)
        "#,
        ids,
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(|row| (row.id, row.into())).collect())
}

/// A page of the refunds that were asked for since then, in the order of their ids.
pub(crate) async fn refunds_since(
    conn: &mut Conn<'_>,
    since: OffsetDateTime,
    after: Uuid,
) -> Result<Vec<Refund>, Error> {
    let rows = sqlx::query_as!(
        Row,
        r#"
        select r.id, r.amount, r.state, r.provider_ref, r.requested_at, p.order_id, p.attempt, p.currency
        from checkout.refunds r
        join checkout.payments p on p.id = r.payment_id
        where r.id > $1 and r.requested_at >= $2 order by r.id limit $3
        "#,
        after,
        since,
        PAGE,
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(Refund::from).collect())
}

struct Row {
    id: Uuid,
    amount: i64,
    state: String,
    provider_ref: Option<String>,
    requested_at: OffsetDateTime,
    order_id: Uuid,
    attempt: i16,
    currency: String,
}

impl From<Row> for Refund {
    fn from(row: Row) -> Self {
        Self {
            id: row.id,
            order_id: row.order_id,
            attempt: row.attempt,
            state: RefundState::named(&row.state),
            amount: row.amount,
            currency: row.currency,
            reference: row.provider_ref,
            requested_at: row.requested_at,
        }
    }
}
