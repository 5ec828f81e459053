use forebay_platform::db::Conn;
use forebay_platform::page::Moment;
use serde_json::json;
use sqlx::Error;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::answer::Answer;
use crate::caller::Caller;
use crate::domain::{self, Event, EventKind, Item, Money, Move, Order, OrderSummary, PaymentView, Status};
use crate::payments::Charge;
use crate::store::{carts, events};

/// The order with its items and first event; its cart becomes its buyer's, who may be nobody that is known, and changes no
/// more. Answers with the order and its number.
pub(crate) async fn insert(conn: &mut Conn<'_>, order: Order) -> Result<Order, Error> {
    let skus: Vec<_> = order.items.iter().map(|item| item.sku.clone()).collect();
    let names: Vec<_> = order.items.iter().map(|item| item.name.clone()).collect();
    let prices: Vec<_> = order.items.iter().map(|item| item.unit_price.amount).collect();
    let quantities: Vec<_> = order.items.iter().map(|item| item.quantity).collect();
    let number = sqlx::query_scalar!(
        r#"
        with placed as (
            insert into checkout.orders
                (id, user_id, cart_id, status, total, currency, contact_email, address, placed_at)
            values ($1, $2, $3, 'pending_payment', $4, $5, $6, $7, $8)
            returning id, number
        ),
        held as (
            insert into checkout.order_items (order_id, sku, name, unit_price, quantity)
            select placed.id, i.sku, i.name, i.price, i.quantity
            from placed, unnest($9::text[], $10::text[], $11::bigint[], $12::int[]) as i (sku, name, price, quantity)
        ),
        noted as (
            insert into checkout.order_events (order_id, kind, at) select id, $13, $8 from placed
        ),
        ordered as (
            update checkout.carts c
            set user_id = $2, status = 'ordered', version = version + 1, updated_at = now()
            from placed where c.id = $3
        )
        select number from placed
        "#,
        order.id,
        order.user_id,
        order.cart_id,
        order.total.amount,
        order.total.currency,
        order.contact_email,
        order.address,
        order.placed_at,
        &skus,
        &names,
        &prices,
        &quantities,
        EventKind::Placed.as_str(),
    )
    .fetch_one(&mut *conn)
    .await?;
    Ok(Order { number, ..order })
}

pub(crate) async fn by_id(conn: &mut Conn<'_>, id: Uuid) -> Result<Option<Order>, Error> {
    let row = sqlx::query_as!(
        Row,
        r#"
        select id, number, user_id, cart_id, status, coalesce(stage, status) as "stage!", version, attempt, total, currency,
               contact_email, address, placed_at, coalesce(tried_at, placed_at) as "tried_at!",
               (select max(r.expires_at) from checkout.reservations r where r.order_id = o.id and r.state = 'held')
                   as reserved_until
        from checkout.orders o where id = $1
        "#,
        id,
    )
    .fetch_optional(&mut *conn)
    .await?;
    let Some(row) = row else { return Ok(None) };
    let items = items_of(conn, &row).await?;
    row.with(items).map(Some)
}

/// The same, where it is the caller's.
pub(crate) async fn of(conn: &mut Conn<'_>, id: Uuid, caller: &Caller) -> Result<Option<Order>, Error> {
    let Some(order) = by_id(conn, id).await? else { return Ok(None) };
    let cart = if order.user_id.is_none() { carts::find(conn, order.cart_id).await? } else { None };
    Ok(caller.bought(&order, cart.map(|cart| cart.token_hash)).then_some(order))
}

/// Until the transaction ends nobody else moves the order, or asks to return a part of it.
pub(crate) async fn lock(conn: &mut Conn<'_>, id: Uuid) -> Result<(), Error> {
    sqlx::query_scalar!("select id from checkout.orders where id = $1 for no key update", id)
        .fetch_optional(conn)
        .await?;
    Ok(())
}

/// A page of a user's orders, the newest first, of one status or all.
pub(crate) async fn page(
    conn: &mut Conn<'_>,
    user_id: Uuid,
    status: Option<Status>,
    (Moment(before), id): domain::Place,
    rows: i64,
) -> Result<Vec<OrderSummary>, Error> {
    let rows = sqlx::query!(
        r#"
        select id, number, status, total, currency, placed_at,
               (select coalesce(sum(i.quantity), 0) from checkout.order_items i where i.order_id = o.id) as "units!"
        from checkout.orders o
        where user_id = $1 and ($2::text is null or status = $2) and (placed_at, id) < ($3, $4)
        order by placed_at desc, id desc
        limit $5
        "#,
        user_id,
        status.map(Status::as_str),
        before,
        id,
        rows,
    )
    .fetch_all(conn)
    .await?;
    let summaries = rows.into_iter().map(|row| {
        Ok(OrderSummary {
            id: row.id,
            number: row.number,
            status: named(&row.status)?,
            total: Money { amount: row.total, currency: row.currency },
            units: row.units,
            placed_at: row.placed_at,
        })
    });
    summaries.collect()
}

async fn items_of(conn: &mut Conn<'_>, order: &Row) -> Result<Vec<Item>, Error> {
    let rows = sqlx::query!(
        r#"
        select sku, name, quantity, unit_price from checkout.order_items
        where order_id = $1 order by sku collate "C"
        "#,
        order.id,
    )
    .fetch_all(conn)
    .await?;
    let items = rows.into_iter().map(|row| Item {
        sku: row.sku,
        name: row.name,
        quantity: row.quantity,
        unit_price: Money { amount: row.unit_price, currency: order.currency.clone() },
    });
    Ok(items.collect())
}

pub(crate) async fn payments_of(conn: &mut Conn<'_>, order_id: Uuid) -> Result<Vec<PaymentView>, Error> {
    let rows = sqlx::query!(
        r#"
        select id, state, amount, refunded, currency, created_at from checkout.payments
        where order_id = $1 order by attempt
        "#,
        order_id,
    )
    .fetch_all(conn)
    .await?;
    let payments = rows.into_iter().map(|row| PaymentView {
        id: row.id,
        state: row.state,
        amount: Money { amount: row.amount, currency: row.currency.clone() },
        refunded: Money { amount: row.refunded, currency: row.currency },
        created_at: row.created_at,
    });
    Ok(payments.collect())
}

pub(crate) async fn events_of(conn: &mut Conn<'_>, order_id: Uuid) -> Result<Vec<Event>, Error> {
    sqlx::query_as!(Event, "select kind, at from checkout.order_events where order_id = $1 order by id", order_id)
        .fetch_all(conn)
        .await
}

/// Moves the order from what it was read as, where the table of moves has it. False where it has changed since; then nothing
/// is written. A pending one stays: only what its attempt came to moves it, by [`settle_attempt`].
pub(crate) async fn advance(
    conn: &mut Conn<'_>,
    order: &Order,
    this: Move,
    now: OffsetDateTime,
) -> Result<bool, Error> {
    if order.status == Status::PendingPayment || !this.is_allowed_from(order.stage) {
        return Ok(false);
    }
    let moved = sqlx::query!(
        "update checkout.orders set status = $3, version = version + 1 where id = $1 and version = $2",
        order.id,
        order.version,
        this.to().as_str(),
    )
    .execute(&mut *conn)
    .await?;
    if moved.rows_affected() == 0 {
        return Ok(false);
    }
    events::record(conn, order.id, this.event(), &json!({}), now).await?;
    Ok(true)
}

/// Moves a pending order, with the payment that its attempt came to, and keeps the answer for the request that waits for it,
/// one at most. False where it is pending no more, or by another attempt; then nothing is written.
pub(crate) async fn settle_attempt(
    conn: &mut Conn<'_>,
    order: &Order,
    this: Move,
    charge: &Charge,
    answer: &Answer,
    now: OffsetDateTime,
) -> Result<bool, Error> {
    let (answer_status, answer_body) = answer.to_keep();
    let moved = sqlx::query!(
        r#"
        with moved as (
            update checkout.orders set status = $3, version = version + 1
            where id = $1 and status = 'pending_payment' and attempt = $2
            returning id, attempt, total, currency
        ),
        noted as (
            insert into checkout.order_events (order_id, kind, at) select id, $8, $7 from moved
        ),
        answered as (
            update checkout.idempotency_keys k set state = 'done', status_code = $9, location = $10, body = $11
            from moved where k.order_id = $1 and k.state = 'in_flight'
        )
        insert into checkout.payments (id, order_id, attempt, provider_ref, amount, currency, state, created_at)
        select $4, id, attempt, $5, total, currency, $6, $7 from moved
        "#,
        order.id,
        order.attempt,
        this.to().as_str(),
        Uuid::now_v7(),
        charge.reference,
        charge.outcome.payment_state(),
        now,
        this.event().as_str(),
        answer_status,
        answer.location.as_deref(),
        &*answer_body,
    )
    .execute(conn)
    .await?;
    Ok(moved.rows_affected() == 1)
}

/// Begins the next attempt to pay for an order that was declined and still holds its units. False where it is none.
pub(crate) async fn try_again(conn: &mut Conn<'_>, id: Uuid, now: OffsetDateTime) -> Result<bool, Error> {
    let began = sqlx::query!(
        r#"
        update checkout.orders o
        set status = 'pending_payment', attempt = attempt + 1, tried_at = $2, version = version + 1
        where id = $1 and status = 'payment_failed' and exists (
            select from checkout.reservations r where r.order_id = o.id and r.state = 'held' and r.expires_at > $2
        )
        "#,
        id,
        now,
    )
    .execute(&mut *conn)
    .await?;
    if began.rows_affected() == 0 {
        return Ok(false);
    }
    events::record(conn, id, Move::TryAgain.event(), &json!({}), now).await?;
    Ok(true)
}

/// The unpaid orders of a user that hold what a cart lacks, in the order of their ids; none where all of them together
/// hold too little.
pub(crate) async fn in_the_way(conn: &mut Conn<'_>, user_id: Uuid, cart_id: Uuid) -> Result<Vec<Uuid>, Error> {
    sqlx::query_scalar!(
        r#"
        with short as (
            select c.sku, c.quantity - coalesce(i.on_hand - i.reserved, 0) as missing
            from checkout.cart_items c
            left join checkout.inventory i on i.sku = c.sku
            where c.cart_id = $2 and c.quantity > coalesce(i.on_hand - i.reserved, 0)
        ),
        own as (
            select o.id, r.sku, r.quantity
            from checkout.orders o
            join checkout.reservations r on r.order_id = o.id and r.state = 'held'
            join short s on s.sku = r.sku
            where o.user_id = $1 and o.status in ('pending_payment', 'payment_failed')
        )
        select distinct id from own
        where not exists (
            select from short s
            where s.missing > (select coalesce(sum(own.quantity), 0) from own where own.sku = s.sku)
        )
        order by id
        "#,
        user_id,
        cart_id,
    )
    .fetch_all(conn)
    .await
}

/// Where the next batch of overdue orders begins.
#[derive(Debug)]
pub(crate) struct Place {
    placed_at: OffsetDateTime,
    id: Uuid,
}

impl Place {
    pub(crate) fn start() -> Self {
        Self { placed_at: OffsetDateTime::UNIX_EPOCH, id: Uuid::nil() }
    }

    /// Behind this one.
    pub(crate) fn of(order: &Order) -> Self {
        Self { placed_at: order.placed_at, id: order.id }
    }
}

/// Pending orders whose last attempt began before `tried_before`, the oldest first: nobody works on them any more.
pub(crate) async fn overdue(
    conn: &mut Conn<'_>,
    tried_before: OffsetDateTime,
    after: &Place,
    limit: i64,
) -> Result<Vec<Order>, Error> {
    let ids = sqlx::query_scalar!(
        r#"
        select id from checkout.orders
        where status = 'pending_payment' and placed_at < $1 and coalesce(tried_at, placed_at) < $1
          and (placed_at, id) > ($2, $3)
        order by placed_at, id
        limit $4
        "#,
        tried_before,
        after.placed_at,
        after.id,
        limit,
    )
    .fetch_all(&mut *conn)
    .await?;
    all(conn, ids).await
}

/// Orders that were declined and whose reservation has ended, in the order of their ids.
pub(crate) async fn lapsed(
    conn: &mut Conn<'_>,
    now: OffsetDateTime,
    after: Uuid,
    limit: i64,
) -> Result<Vec<Order>, Error> {
    let ids = sqlx::query_scalar!(
        r#"
        select distinct r.order_id
        from checkout.reservations r
        join checkout.orders o on o.id = r.order_id and o.status = 'payment_failed'
        where r.state = 'held' and r.expires_at <= $1 and r.order_id > $2
        order by r.order_id
        limit $3
        "#,
        now,
        after,
        limit,
    )
    .fetch_all(&mut *conn)
    .await?;
    all(conn, ids).await
}

async fn all(conn: &mut Conn<'_>, ids: Vec<Uuid>) -> Result<Vec<Order>, Error> {
    let mut orders = Vec::with_capacity(ids.len());
    for id in ids {
        orders.extend(by_id(conn, id).await?);
    }
    Ok(orders)
}

struct Row {
    id: Uuid,
    number: String,
    user_id: Option<Uuid>,
    cart_id: Uuid,
    status: String,
    stage: String,
    version: i64,
    attempt: i16,
    total: i64,
    currency: String,
    contact_email: Option<String>,
    address: serde_json::Value,
    placed_at: OffsetDateTime,
    tried_at: OffsetDateTime,
    reserved_until: Option<OffsetDateTime>,
}

impl Row {
    fn with(self, items: Vec<Item>) -> Result<Order, Error> {
        let (status, stage) = (named(&self.status)?, named(&self.stage)?);
        Ok(Order {
            id: self.id,
            number: self.number,
            user_id: self.user_id,
            cart_id: self.cart_id,
            status,
            stage,
            version: self.version,
            attempt: self.attempt,
            total: Money { amount: self.total, currency: self.currency },
            placed_at: self.placed_at,
            tried_at: self.tried_at,
            reserved_until: self.reserved_until,
            contact_email: self.contact_email,
            address: self.address,
            items,
        })
    }
}

pub(crate) fn named(status: &str) -> Result<Status, Error> {
    Status::named(status).ok_or_else(|| Error::Decode(format!("unknown status {status}").into()))
}
