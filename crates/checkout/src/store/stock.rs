//! Stock, always locked in ascending order of SKU, which is the order of an order's items.

use forebay_platform::db::Conn;
use sqlx::Error;
use time::OffsetDateTime;

use crate::domain::Order;

/// Reserves every item, and answers with the SKUs that are short; then the caller rolls back.
pub(crate) async fn reserve(conn: &mut Conn<'_>, order: &Order, until: OffsetDateTime) -> Result<Vec<String>, Error> {
    let mut short = Vec::new();
    for item in &order.items {
        let reserved = sqlx::query!(
            r#"
            with taken as (
                update checkout.inventory set reserved = reserved + $3, updated_at = now()
                where sku = $2 and reserved + $3 <= on_hand
                returning sku
            )
            insert into checkout.reservations (order_id, sku, quantity, expires_at)
            select $1, sku, $3, $4 from taken
            "#,
            order.id,
            item.sku,
            item.quantity,
            until,
        )
        .execute(&mut *conn)
        .await?;
        if reserved.rows_affected() == 0 {
            short.push(item.sku.clone());
        }
    }
    Ok(short)
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
    for item in &order.items {
        sqlx::query!(
            r#"
            with consumed as (
                update checkout.reservations set state = 'consumed'
                where order_id = $1 and sku = $2 and state = 'held'
                returning sku, quantity
            )
            update checkout.inventory i
            set on_hand = i.on_hand - c.quantity, reserved = i.reserved - c.quantity, updated_at = now()
            from consumed c
            where i.sku = c.sku
            "#,
            order.id,
            item.sku,
        )
        .execute(&mut *conn)
        .await?;
    }
    Ok(())
}

/// What the order holds is free again.
pub(crate) async fn release(conn: &mut Conn<'_>, order: &Order) -> Result<(), Error> {
    for item in &order.items {
        sqlx::query!(
            r#"
            with released as (
                update checkout.reservations set state = 'released'
                where order_id = $1 and sku = $2 and state = 'held'
                returning sku, quantity
            )
            update checkout.inventory i set reserved = i.reserved - r.quantity, updated_at = now()
            from released r
            where i.sku = r.sku
            "#,
            order.id,
            item.sku,
        )
        .execute(&mut *conn)
        .await?;
    }
    Ok(())
}
