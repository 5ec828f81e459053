use forebay_platform::db::Conn;
use serde_json::json;
use sqlx::Error;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::payments;
use crate::refunds::{Refund, RefundState};
use crate::store::events;

/// What can be given back.
#[derive(Debug)]
pub(crate) struct Payment {
    pub(crate) id: Uuid,
    pub(crate) attempt: i16,
    /// In minor units.
    pub(crate) left: i64,
    pub(crate) currency: String,
}

/// The payment of an order that was paid. Whoever else asks of it waits until our transaction ends.
pub(crate) async fn lock_payment(conn: &mut Conn<'_>, order_id: Uuid) -> Result<Option<Payment>, Error> {
    sqlx::query_as!(
        Payment,
        r#"
        select id, attempt, amount - refunded as "left!", currency from checkout.payments
        where order_id = $1 and state = 'succeeded'
        for no key update
        "#,
        order_id,
    )
    .fetch_optional(conn)
    .await
}

/// The refund, what it takes from its payment, and its event.
pub(crate) async fn insert(conn: &mut Conn<'_>, refund: &Refund) -> Result<(), Error> {
    sqlx::query!(
        r#"
        with taken as (update checkout.payments set refunded = refunded + $3 where id = $2)
        insert into checkout.refunds (id, payment_id, amount, reason, requested_at) values ($1, $2, $3, $4, $5)
        "#,
        refund.id,
        refund.payment_id,
        refund.amount,
        refund.reason,
        refund.requested_at,
    )
    .execute(&mut *conn)
    .await?;
    record(conn, refund, RefundState::Requested, refund.requested_at).await
}

async fn record(conn: &mut Conn<'_>, refund: &Refund, state: RefundState, at: OffsetDateTime) -> Result<(), Error> {
    let data = json!({
        "refund_id": refund.id,
        "amount": { "amount": refund.amount, "currency": refund.currency },
        "reason": refund.reason,
    });
    events::record(conn, refund.order_id, state.event(), &data, at).await
}

/// False where somebody else was first; then nothing is written.
pub(crate) async fn leave_requested(
    conn: &mut Conn<'_>,
    refund: &Refund,
    said: &payments::Refund,
    now: OffsetDateTime,
) -> Result<bool, Error> {
    let state = RefundState::after(said.outcome);
    let moved = sqlx::query!(
        r#"
        update checkout.refunds set state = $2, provider_ref = $3, settled_at = $4
        where id = $1 and state = 'requested'
        "#,
        refund.id,
        state.as_str(),
        said.reference,
        now,
    )
    .execute(&mut *conn)
    .await?;
    if moved.rows_affected() == 0 {
        return Ok(false);
    }
    record(conn, refund, state, now).await?;
    Ok(true)
}

/// What was taken from the payment is left again.
pub(crate) async fn put_back(conn: &mut Conn<'_>, refund: &Refund) -> Result<(), Error> {
    sqlx::query!(
        "update checkout.payments set refunded = refunded - $2 where id = $1",
        refund.payment_id,
        refund.amount,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Whether all that was paid went back.
pub(crate) async fn is_all(conn: &mut Conn<'_>, payment_id: Uuid) -> Result<bool, Error> {
    sqlx::query_scalar!(
        r#"
        select p.amount = (select coalesce(sum(r.amount), 0) from checkout.refunds r
                           where r.payment_id = p.id and r.state = 'succeeded') as "is_all!"
        from checkout.payments p where p.id = $1
        "#,
        payment_id,
    )
    .fetch_one(conn)
    .await
}

/// Where the next batch of overdue refunds begins.
#[derive(Debug)]
pub(crate) struct Place {
    requested_at: OffsetDateTime,
    id: Uuid,
}

impl Place {
    pub(crate) fn start() -> Self {
        Self { requested_at: OffsetDateTime::UNIX_EPOCH, id: Uuid::nil() }
    }

    pub(crate) fn behind(refund: &Refund) -> Self {
        Self { requested_at: refund.requested_at, id: refund.id }
    }
}

/// Refunds that nobody works on any more: asked for before `requested_before`, the oldest first.
pub(crate) async fn overdue(
    conn: &mut Conn<'_>,
    requested_before: OffsetDateTime,
    after: &Place,
    limit: i64,
) -> Result<Vec<Refund>, Error> {
    let rows = sqlx::query_as!(
        Row,
        r#"
        select r.id, r.payment_id, r.amount, r.reason, r.state, r.requested_at, p.order_id, p.attempt, p.currency
        from checkout.refunds r
        join checkout.payments p on p.id = r.payment_id
        where r.state = 'requested' and r.requested_at < $1 and (r.requested_at, r.id) > ($2, $3)
        order by r.requested_at, r.id
        limit $4
        "#,
        requested_before,
        after.requested_at,
        after.id,
        limit,
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(Refund::from).collect())
}

/// None where it is not known.
pub(crate) async fn by_id(conn: &mut Conn<'_>, id: Uuid) -> Result<Option<Refund>, Error> {
    let row = sqlx::query_as!(
        Row,
        r#"
        select r.id, r.payment_id, r.amount, r.reason, r.state, r.requested_at, p.order_id, p.attempt, p.currency
        from checkout.refunds r
        join checkout.payments p on p.id = r.payment_id
        where r.id = $1
        "#,
        id,
    )
    .fetch_optional(conn)
    .await?;
    Ok(row.map(Refund::from))
}

struct Row {
    id: Uuid,
    payment_id: Uuid,
    amount: i64,
    reason: String,
    state: String,
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
            payment_id: row.payment_id,
            attempt: row.attempt,
            amount: row.amount,
            currency: row.currency,
            reason: row.reason,
            state: RefundState::named(&row.state),
            requested_at: row.requested_at,
        }
    }
}
