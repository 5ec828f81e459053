//! The shelf as those who run the shop see and change it; what orders do with it is in `stock`.

use forebay_platform::db::Conn;
use sqlx::Error;

use crate::domain::{Adjustment, MOST_ON_HAND, ReturnItem, Stock, StockView};

/// SKUs behind `after`, of which fewer than `below` units are to be had, by name.
pub(crate) async fn page(
    conn: &mut Conn<'_>,
    after: &str,
    below: Option<i32>,
    limit: i64,
) -> Result<Vec<StockView>, Error> {
    sqlx::query_as!(
        StockView,
        r#"
        select i.sku, p.name as "name?", i.on_hand, i.reserved, i.on_hand - i.reserved as "available!", i.updated_at
        from checkout.inventory i
        left join catalog.sku_prices p on p.sku = i.sku
        where i.sku > $1 and ($2::int is null or i.on_hand - i.reserved < $2)
        order by i.sku
        limit $3
        "#,
        after,
        below,
        limit,
    )
    .fetch_all(conn)
    .await
}

/// Gives a SKU that the catalog knows its place on the shelf, with nothing on it, unless it has one.
pub(crate) async fn make_place(conn: &mut Conn<'_>, sku: &str) -> Result<(), Error> {
    sqlx::query!(
        r#"
        insert into checkout.inventory (sku, on_hand) select p.sku, 0 from catalog.sku_prices p where p.sku = $1
        on conflict (sku) do nothing
        "#,
        sku,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Puts units on the shelf or takes them away, and keeps why; none where there would be fewer than are reserved, or more
/// than fit, or where there is no such SKU. Then nothing is written.
pub(crate) async fn adjust(conn: &mut Conn<'_>, adjustment: &Adjustment) -> Result<Option<Stock>, Error> {
    sqlx::query_as!(
        Stock,
        r#"
        with adjusted as (
            update checkout.inventory set on_hand = on_hand + $2, updated_at = now()
            where sku = $1 and on_hand + $2 between reserved and $3
            returning sku, on_hand, reserved
        ),
        kept as (
            insert into checkout.stock_adjustments (id, sku, delta, reason, on_hand, admin_id, at)
            select $4, sku, $2, $5, on_hand, $6, $7 from adjusted
        )
        select on_hand, reserved from adjusted
        "#,
        adjustment.sku,
        adjustment.delta,
        MOST_ON_HAND,
        adjustment.id,
        adjustment.reason,
        adjustment.admin_id,
        adjustment.at,
    )
    .fetch_optional(conn)
    .await
}

pub(crate) async fn find(conn: &mut Conn<'_>, sku: &str) -> Result<Option<Stock>, Error> {
    sqlx::query_as!(Stock, "select on_hand, reserved from checkout.inventory where sku = $1", sku)
        .fetch_optional(conn)
        .await
}

/// What came back is on the shelf again.
pub(crate) async fn put_back(conn: &mut Conn<'_>, items: &[ReturnItem]) -> Result<(), Error> {
    let skus: Vec<_> = items.iter().map(|item| item.sku.clone()).collect();
    let quantities: Vec<_> = items.iter().map(|item| item.quantity).collect();
    sqlx::query!(
        r#"
        with locked as materialized (
            select i.sku, b.quantity
            from checkout.inventory i
            join unnest($1::text[], $2::int[]) as b (sku, quantity) on b.sku = i.sku
            order by i.sku collate "C"
            for no key update of i
        )
        update checkout.inventory i set on_hand = i.on_hand + l.quantity, updated_at = now()
        from locked l
        where i.sku = l.sku
        "#,
        &skus,
        &quantities,
    )
    .execute(conn)
    .await?;
    Ok(())
}
