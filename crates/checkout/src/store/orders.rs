use forebay_platform::db::Conn;
use serde_json::json;
use sqlx::Error;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::domain::{Event, Item, Money, Order, PaymentView, Status};
use crate::payments::Charge;
use crate::store::events;

/// The order with its items and first event.
pub(crate) async fn insert(conn: &mut Conn<'_>, order: &Order) -> Result<(), Error> {
    let skus: Vec<_> = order.items.iter().map(|item| item.sku.clone()).collect();
    let names: Vec<_> = order.items.iter().map(|item| item.name.clone()).collect();
    let prices: Vec<_> = order.items.iter().map(|item| item.unit_price.amount).collect();
    let quantities: Vec<_> = order.items.iter().map(|item| item.quantity).collect();
    sqlx::query!(
        r#"
        with placed as (
            insert into checkout.orders (id, user_id, cart_id, status, total, currency, address, placed_at)
            values ($1, $2, $3, 'pending_payment', $4, $5, $6, $7)
            returning id
        )
        insert into checkout.order_items (order_id, sku, name, unit_price, quantity)
        select placed.id, i.sku, i.name, i.price, i.quantity
        from placed, unnest($8::text[], $9::text[], $10::bigint[], $11::int[]) as i (sku, name, price, quantity)
        "#,
        order.id,
        order.user_id,
        order.cart_id,
        order.total.amount,
        order.total.currency,
        order.address,
        order.placed_at,
        &skus,
        &names,
        &prices,
        &quantities,
    )
    .execute(&mut *conn)
    .await?;
    events::record(conn, order.id, "placed", &json!({}), order.placed_at).await
}

pub(crate) async fn by_id(conn: &mut Conn<'_>, id: Uuid) -> Result<Option<Order>, Error> {
    let row = sqlx::query_as!(
        Row,
        r#"
        select id, user_id, cart_id, status, total, currency, address, placed_at
        from checkout.orders where id = $1
        "#,
        id,
    )
    .fetch_optional(&mut *conn)
    .await?;
    let Some(row) = row else { return Ok(None) };
    let items = items_of(conn, &row).await?;
    row.with(items).map(Some)
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

/// Moves a pending order to the status it has in `settled`, with its payment and event. False where it was
/// pending no more; then nothing is written.
pub(crate) async fn leave_pending(
    conn: &mut Conn<'_>,
    settled: &Order,
    charge: &Charge,
    now: OffsetDateTime,
) -> Result<bool, Error> {
    let moved = sqlx::query!(
        r#"
        with moved as (
            update checkout.orders set status = $2, version = version + 1
            where id = $1 and status = 'pending_payment'
            returning id, total, currency
        )
        insert into checkout.payments (id, order_id, attempt, provider_ref, amount, currency, state, created_at)
        select $4, id, 1, $5, total, currency, $6, $3 from moved
        "#,
        settled.id,
        settled.status.as_str(),
        now,
        Uuid::now_v7(),
        charge.reference,
        charge.outcome.payment_state(),
    )
    .execute(&mut *conn)
    .await?;
    if moved.rows_affected() != 1 {
        return Ok(false);
    }
    events::record(conn, settled.id, settled.status.as_str(), &json!({}), now).await?;
    Ok(true)
}

/// The pending orders of a user that hold what a cart lacks, in the order of their ids; none where all of them together
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
            where o.user_id = $1 and o.status = 'pending_payment'
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

/// A pending order that nobody works on any more.
#[derive(Debug)]
pub(crate) struct Overdue {
    pub(crate) order: Order,
    pub(crate) reserved_until: OffsetDateTime,
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
}

impl Overdue {
    pub(crate) fn place(&self) -> Place {
        Place { placed_at: self.order.placed_at, id: self.order.id }
    }
}

/// Pending orders placed before `placed_before`, oldest first.
pub(crate) async fn overdue(
    conn: &mut Conn<'_>,
    placed_before: OffsetDateTime,
    after: &Place,
    limit: i64,
) -> Result<Vec<Overdue>, Error> {
    let rows = sqlx::query!(
        r#"
        select o.id, o.user_id, o.cart_id, o.status, o.total, o.currency, o.address, o.placed_at,
               (select max(r.expires_at) from checkout.reservations r where r.order_id = o.id) as reserved_until
        from checkout.orders o
        where o.status = 'pending_payment' and o.placed_at < $1 and (o.placed_at, o.id) > ($2, $3)
        order by o.placed_at, o.id
        limit $4
        "#,
        placed_before,
        after.placed_at,
        after.id,
        limit,
    )
    .fetch_all(&mut *conn)
    .await?;
    let mut overdue = Vec::with_capacity(rows.len());
    for row in rows {
        // An order without a reservation has nothing to wait for.
        let reserved_until = row.reserved_until.unwrap_or(row.placed_at);
        let (id, user_id, cart_id, status) = (row.id, row.user_id, row.cart_id, row.status);
        let (total, currency, address, placed_at) = (row.total, row.currency, row.address, row.placed_at);
        let head = Row { id, user_id, cart_id, status, total, currency, address, placed_at };
        let items = items_of(conn, &head).await?;
        overdue.push(Overdue { order: head.with(items)?, reserved_until });
    }
    Ok(overdue)
}

struct Row {
    id: Uuid,
    user_id: Uuid,
    cart_id: Uuid,
    status: String,
    total: i64,
    currency: String,
    address: serde_json::Value,
    placed_at: OffsetDateTime,
}

impl Row {
    fn with(self, items: Vec<Item>) -> Result<Order, Error> {
        let Self { id, user_id, cart_id, status, total, currency, address, placed_at } = self;
        let status = Status::named(&status).ok_or_else(|| Error::Decode(format!("unknown status {status}").into()))?;
        let total = Money { amount: total, currency };
        Ok(Order { id, user_id, cart_id, status, total, placed_at, address, items })
    }
}
