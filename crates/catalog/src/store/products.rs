//! One product.

use forebay_platform::db::Conn;
use sqlx::Error;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::domain::{Availability, Money, Product, Sku};

pub(crate) async fn by_id(conn: &mut Conn<'_>, id: Uuid) -> Result<Option<Product>, Error> {
    find(conn, Some(id), None).await
}

pub(crate) async fn by_slug(conn: &mut Conn<'_>, slug: &str) -> Result<Option<Product>, Error> {
    find(conn, None, Some(slug)).await
}

/// By its id, and else by its slug.
async fn find(conn: &mut Conn<'_>, id: Option<Uuid>, slug: Option<&str>) -> Result<Option<Product>, Error> {
    let row = sqlx::query_as!(
        ProductRow,
        r#"
        select p.id, p.slug, p.name, p.description, p.brand, c.slug as category, p.base_price, p.currency,
               p.availability, p.availability_as_of, p.version, p.created_at
        from catalog.products p
        join catalog.categories c on c.id = p.category_id
        where p.id = coalesce($1, (select id from catalog.products where slug = $2)) and p.status = 'active'
        "#,
        id,
        slug,
    )
    .fetch_optional(conn)
    .await?;
    Ok(row.map(Product::from))
}

/// What can be bought of `product`.
pub(crate) async fn skus_of(conn: &mut Conn<'_>, product: &Product) -> Result<Vec<Sku>, Error> {
    let rows = sqlx::query!(
        "select sku, attributes, price, availability from catalog.skus where product_id = $1 and active order by sku",
        product.id,
    )
    .fetch_all(conn)
    .await?;
    let currency = &product.price.currency;
    let skus = rows.into_iter().map(|row| Sku {
        sku: row.sku,
        attributes: row.attributes,
        price: Money { amount: row.price, currency: currency.clone() },
        availability: row.availability,
    });
    Ok(skus.collect())
}

/// Locks these, in the order in which they always are.
pub(crate) async fn lock(conn: &mut Conn<'_>, ids: &[Uuid]) -> Result<(), Error> {
    sqlx::query_scalar!("select id from catalog.products where id = any($1) order by id for no key update", ids)
        .fetch_all(conn)
        .await?;
    Ok(())
}

struct ProductRow {
    id: Uuid,
    slug: String,
    name: String,
    description: String,
    brand: String,
    category: String,
    base_price: i64,
    currency: String,
    availability: String,
    availability_as_of: OffsetDateTime,
    version: i64,
    created_at: OffsetDateTime,
}

impl From<ProductRow> for Product {
    fn from(row: ProductRow) -> Self {
        Self {
            id: row.id,
            slug: row.slug,
            name: row.name,
            description: row.description,
            brand: row.brand,
            category: row.category,
            price: Money { amount: row.base_price, currency: row.currency },
            version: row.version,
            created_at: row.created_at,
            availability: Availability { state: row.availability, as_of: row.availability_as_of },
        }
    }
}
