//! The projection of the stock.

use forebay_platform::db::Conn;
use sqlx::Error;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::stock::Level;

fn columns(levels: &[Level]) -> (Vec<String>, Vec<String>) {
    levels.iter().map(|level| (level.sku.clone(), level.level.clone())).unzip()
}

/// The products of which something is told that is not known yet.
pub(crate) async fn affected(conn: &mut Conn<'_>, levels: &[Level]) -> Result<Vec<Uuid>, Error> {
    let (skus, levels) = columns(levels);
    sqlx::query_scalar!(
        r#"
        select distinct s.product_id
        from unnest($1::text[], $2::text[]) as told (sku, level)
        join catalog.skus s on s.sku = told.sku
        where s.availability <> told.level
        "#,
        &skus,
        &levels,
    )
    .fetch_all(conn)
    .await
}

/// Of how many SKUs something else is known now.
pub(crate) async fn write(conn: &mut Conn<'_>, levels: &[Level], as_of: OffsetDateTime) -> Result<usize, Error> {
    let (skus, levels) = columns(levels);
    let written = sqlx::query!(
        r#"
        update catalog.skus s set availability = told.level, availability_as_of = $3
        from unnest($1::text[], $2::text[]) as told (sku, level)
        where s.sku = told.sku and s.availability <> told.level and s.availability_as_of < $3
        "#,
        &skus,
        &levels,
        as_of,
    )
    .execute(conn)
    .await?;
    Ok(usize::try_from(written.rows_affected()).unwrap_or(usize::MAX))
}

/// A product is in stock when all of its SKUs are that are sold, sold out when none of them is to be had, and low between.
pub(crate) async fn sum_up(conn: &mut Conn<'_>, products: &[Uuid], as_of: OffsetDateTime) -> Result<(), Error> {
    sqlx::query!(
        r#"
        with summed as (
            select p.id, case
                when bool_and(s.availability = 'in_stock') then 'in_stock'
                when bool_or(s.availability <> 'out_of_stock') then 'low'
                else 'out_of_stock'
            end as availability
            from unnest($1::uuid[]) as p (id)
            left join catalog.skus s on s.product_id = p.id and s.active
            group by p.id
        )
        update catalog.products p set availability = summed.availability, availability_as_of = $2
        from summed
        where p.id = summed.id and p.availability <> summed.availability
        "#,
        products,
        as_of,
    )
    .execute(conn)
    .await?;
    Ok(())
}
