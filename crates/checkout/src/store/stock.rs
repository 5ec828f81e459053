//! Stock, always locked in ascending order of SKU. One statement for an order, however many lines it has.

use std::collections::HashSet;

use forebay_platform::db::Conn;
use sqlx::Error;
use time::OffsetDateTime;

use crate::domain::{Availability, Level, Order, SkuLevel};

/// Reserves every item, and answers with the SKUs that are short; then the caller rolls back.
pub(crate) async fn reserve(conn: &mut Conn<'_>, order: &Order, until: OffsetDateTime) -> Result<Vec<String>, Error> {
    let quantities: Vec<_> = order.items.iter().map(|item| item.quantity).collect();
    // Whoever waited for a lock judges the row by what it has become.
    let reserved = sqlx::query_scalar!(
        r#"
        with locked as materialized (
            select i.sku, w.quantity
            from checkout.inventory i
            join unnest($2::text[], $3::int[]) as w (sku, quantity) on w.sku = i.sku
            order by i.sku collate "C"
            for no key update of i
        ),
        taken as (
            update checkout.inventory i set reserved = i.reserved + l.quantity, updated_at = now()
            from locked l
            where i.sku = l.sku and i.reserved + l.quantity <= i.on_hand
            returning i.sku, l.quantity
        )
        insert into checkout.reservations (order_id, sku, quantity, expires_at)
        select $1, sku, quantity, $4 from taken
        returning sku
        "#,
        order.id,
        &skus_of(order),
        &quantities,
        until,
    )
    .fetch_all(conn)
    .await?;
    let reserved: HashSet<_> = reserved.into_iter().collect();
    Ok(skus_of(order).into_iter().filter(|sku| !reserved.contains(sku)).collect())
}

/// Locks these rows in the order in which they always are: for who frees some of them before it reserves others.
pub(crate) async fn lock(conn: &mut Conn<'_>, skus: &[String]) -> Result<(), Error> {
    sqlx::query_scalar!(
        r#"select sku from checkout.inventory where sku = any($1) order by sku collate "C" for no key update"#,
        skus,
    )
    .fetch_all(conn)
    .await?;
    Ok(())
}

/// What the order holds leaves the shelf.
pub(crate) async fn consume(conn: &mut Conn<'_>, order: &Order) -> Result<(), Error> {
    shift(conn, order, Shift { from: "held", to: "consumed", on_hand: -1, reserved: -1 }).await
}

/// What the order holds is free again.
pub(crate) async fn release(conn: &mut Conn<'_>, order: &Order) -> Result<(), Error> {
    shift(conn, order, Shift { from: "held", to: "released", on_hand: 0, reserved: -1 }).await
}

/// What the order had taken from the shelf is there again, and free.
pub(crate) async fn put_back(conn: &mut Conn<'_>, order: &Order) -> Result<(), Error> {
    shift(conn, order, Shift { from: "consumed", to: "released", on_hand: 1, reserved: 0 }).await
}

/// What becomes of the units of an order, and what each of them adds to the books of the shelf.
struct Shift {
    from: &'static str,
    to: &'static str,
    on_hand: i32,
    reserved: i32,
}

async fn shift(conn: &mut Conn<'_>, order: &Order, shift: Shift) -> Result<(), Error> {
    sqlx::query!(
        r#"
        with locked as materialized (
            select sku from checkout.inventory where sku = any($2) order by sku collate "C" for no key update
        ),
        shifted as (
            update checkout.reservations set state = $4
            where order_id = $1 and state = $3
            returning sku, quantity
        )
        update checkout.inventory i
        set on_hand = i.on_hand + $5 * s.quantity, reserved = i.reserved + $6 * s.quantity, updated_at = now()
        from locked l, shifted s
        where i.sku = l.sku and s.sku = l.sku
        "#,
        order.id,
        &skus_of(order),
        shift.from,
        shift.to,
        shift.on_hand,
        shift.reserved,
    )
    .execute(conn)
    .await?;
    Ok(())
}

fn skus_of(order: &Order) -> Vec<String> {
    order.items.iter().map(|item| item.sku.clone()).collect()
}

/// How many units of each are free; none of what is not in the books.
pub(crate) async fn available(conn: &mut Conn<'_>, skus: &[String]) -> Result<Vec<Availability>, Error> {
    sqlx::query_as!(
        Availability,
        r#"
        select t.sku as "sku!", coalesce(i.on_hand - i.reserved, 0) as "available!", now() as "as_of!"
        from unnest($1::text[]) with ordinality as t (sku, n)
        left join checkout.inventory i on i.sku = t.sku
        order by t.n
        "#,
        skus,
    )
    .fetch_all(conn)
    .await
}

/// A moment in the life of the database.
#[derive(Debug)]
pub(crate) struct Moment {
    pub(crate) at: OffsetDateTime,
    /// Everything that an earlier transaction has done can be seen, and no later one has its id, also after a crash.
    pub(crate) oldest_running: u64,
}

/// It writes a word to the log, and waits until that is on the disk. A rollback does not wait: after a crash Postgres would
/// give the ids of the last ones out again, to transactions that then seem to have been seen. A standby gives none out.
pub(crate) async fn moment(conn: &mut Conn<'_>) -> Result<Moment, Error> {
    let row = sqlx::query!(
        r#"
        select now() as "at!", pg_snapshot_xmin(pg_current_snapshot())::text as "oldest_running!",
               case when not pg_is_in_recovery() then pg_logical_emit_message(true, 'forebay', 'moment')::text end as logged
        "#,
    )
    .fetch_one(conn)
    .await?;
    let oldest_running = row.oldest_running.parse().map_err(|error| Error::Decode(Box::new(error)))?;
    Ok(Moment { at: row.at, oldest_running })
}

/// The levels of the SKUs that follow `after`.
pub(crate) async fn levels(conn: &mut Conn<'_>, after: &str, limit: i64) -> Result<Vec<SkuLevel>, Error> {
    let rows = sqlx::query!(
        r#"
        select sku, on_hand - reserved as "available!" from checkout.inventory
        where sku > $1 order by sku limit $2
        "#,
        after,
        limit,
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(|row| SkuLevel { sku: row.sku, level: Level::of(row.available) }).collect())
}

/// The same of those whose level was changed by this transaction or a later one.
pub(crate) async fn levels_changed(
    conn: &mut Conn<'_>,
    since: u64,
    after: &str,
    limit: i64,
) -> Result<Vec<SkuLevel>, Error> {
    let rows = sqlx::query!(
        r#"
        select i.sku, i.on_hand - i.reserved as "available!"
        from checkout.stock_levels l
        join checkout.inventory i on i.sku = l.sku
        where l.changed_by >= $1::text::xid8 and i.sku > $2
        order by i.sku
        limit $3
        "#,
        since.to_string(),
        after,
        limit,
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(|row| SkuLevel { sku: row.sku, level: Level::of(row.available) }).collect())
}
