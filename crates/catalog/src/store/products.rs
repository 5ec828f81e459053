//! One product.

use forebay_platform::db::Conn;
use sqlx::Error;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::domain::{Availability, Money, Product, Sku};

/// One text and two statements: asked for both ways in one, the server takes a tenth longer for a product by its id.
macro_rules! find {
    ($conn:expr, $which:tt, $value:expr) => {{
        let row = sqlx::query_as!(
            ProductRow,
            r#"
            select p.id, p.slug, p.name, p.description, p.brand, c.slug as category, p.base_price, p.currency,
                   p.availability, p.availability_as_of, p.version, p.created_at
            from catalog.products p
            join catalog.categories c on c.id = p.category_id
            where p.status = 'active' and "#
                + $which,
            $value,
        );
        Ok(row.fetch_optional($conn).await?.map(Product::from))
    }};
}

pub(crate) async fn by_id(conn: &mut Conn<'_>, id: Uuid) -> Result<Option<Product>, Error> {
    find!(conn, "p.id = $1", id)
}

pub(crate) async fn by_slug(conn: &mut Conn<'_>, slug: &str) -> Result<Option<Product>, Error> {
    find!(conn, "p.slug = $1", slug)
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
