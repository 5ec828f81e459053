//! All SQL of the catalog. Functions take a connection, never the pool: the handler shows where a lease ends.

use forebay_platform::db::Conn;
use sqlx::Error;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::cursor::{self, After};
use crate::domain::{Availability, Listed, Money, Product, Sku};

/// The `limit` products that follow `after` in its order.
pub(crate) async fn page(conn: &mut Conn<'_>, after: &After, limit: i64) -> Result<Vec<Listed>, Error> {
    let rows = match after {
        After::Newest(micros, id) => newest(conn, *micros, *id, limit).await,
        After::Popular(popularity, id) => popular(conn, *popularity, *id, limit).await,
        After::PriceAsc(price, id) => cheapest(conn, *price, *id, limit).await,
        After::PriceDesc(price, id) => dearest(conn, *price, *id, limit).await,
        After::Name(name, id) => by_name(conn, name, *id, limit).await,
    }?;
    Ok(rows.into_iter().map(Listed::from).collect())
}

// One statement per order: a row comparison is an index range only when it is written out with its own columns.

async fn newest(conn: &mut Conn<'_>, micros: i64, id: Uuid, limit: i64) -> Result<Vec<ListedRow>, Error> {
    sqlx::query_as!(
        ListedRow,
        r#"
        select id, slug, name, brand, base_price, currency, availability, created_at, popularity
        from catalog.products
        where status = 'active' and (created_at, id) < ($1, $2)
        order by created_at desc, id desc
        limit $3
        "#,
        cursor::instant(micros),
        id,
        limit,
    )
    .fetch_all(conn)
    .await
}

async fn popular(conn: &mut Conn<'_>, popularity: i64, id: Uuid, limit: i64) -> Result<Vec<ListedRow>, Error> {
    sqlx::query_as!(
        ListedRow,
        r#"
        select id, slug, name, brand, base_price, currency, availability, created_at, popularity
        from catalog.products
        where status = 'active' and (popularity, id) < ($1, $2)
        order by popularity desc, id desc
        limit $3
        "#,
        popularity,
        id,
        limit,
    )
    .fetch_all(conn)
    .await
}

async fn cheapest(conn: &mut Conn<'_>, price: i64, id: Uuid, limit: i64) -> Result<Vec<ListedRow>, Error> {
    sqlx::query_as!(
        ListedRow,
        r#"
        select id, slug, name, brand, base_price, currency, availability, created_at, popularity
        from catalog.products
        where status = 'active' and (base_price, id) > ($1, $2)
        order by base_price, id
        limit $3
        "#,
        price,
        id,
        limit,
    )
    .fetch_all(conn)
    .await
}

async fn dearest(conn: &mut Conn<'_>, price: i64, id: Uuid, limit: i64) -> Result<Vec<ListedRow>, Error> {
    sqlx::query_as!(
        ListedRow,
        r#"
        select id, slug, name, brand, base_price, currency, availability, created_at, popularity
        from catalog.products
        where status = 'active' and (base_price, id) < ($1, $2)
        order by base_price desc, id desc
        limit $3
        "#,
        price,
        id,
        limit,
    )
    .fetch_all(conn)
    .await
}

async fn by_name(conn: &mut Conn<'_>, after: &str, id: Uuid, limit: i64) -> Result<Vec<ListedRow>, Error> {
    sqlx::query_as!(
        ListedRow,
        r#"
        select id, slug, name, brand, base_price, currency, availability, created_at, popularity
        from catalog.products
        where status = 'active' and (name collate "C", id) > ($1, $2)
        order by name collate "C", id
        limit $3
        "#,
        after,
        id,
        limit,
    )
    .fetch_all(conn)
    .await
}

pub(crate) async fn product_by_id(conn: &mut Conn<'_>, id: Uuid) -> Result<Option<Product>, Error> {
    let row = sqlx::query_as!(
        ProductRow,
        r#"
        select p.id, p.slug, p.name, p.description, p.brand, c.slug as category, p.base_price, p.currency,
               p.availability, p.availability_as_of, p.version, p.created_at
        from catalog.products p
        join catalog.categories c on c.id = p.category_id
        where p.id = $1 and p.status = 'active'
        "#,
        id,
    )
    .fetch_optional(conn)
    .await?;
    Ok(row.map(Product::from))
}

pub(crate) async fn product_by_slug(conn: &mut Conn<'_>, slug: &str) -> Result<Option<Product>, Error> {
    let row = sqlx::query_as!(
        ProductRow,
        r#"
        select p.id, p.slug, p.name, p.description, p.brand, c.slug as category, p.base_price, p.currency,
               p.availability, p.availability_as_of, p.version, p.created_at
        from catalog.products p
        join catalog.categories c on c.id = p.category_id
        where p.slug = $1 and p.status = 'active'
        "#,
        slug,
    )
    .fetch_optional(conn)
    .await?;
    Ok(row.map(Product::from))
}

/// What can be bought of `product`.
pub(crate) async fn skus_of(conn: &mut Conn<'_>, product: &Product) -> Result<Vec<Sku>, Error> {
    let rows = sqlx::query!(
        "select sku, attributes, price from catalog.skus where product_id = $1 and active order by sku",
        product.id,
    )
    .fetch_all(conn)
    .await?;
    let currency = &product.price.currency;
    let skus = rows.into_iter().map(|row| Sku {
        sku: row.sku,
        attributes: row.attributes,
        price: Money { amount: row.price, currency: currency.clone() },
    });
    Ok(skus.collect())
}

struct ListedRow {
    id: Uuid,
    slug: String,
    name: String,
    brand: String,
    base_price: i64,
    currency: String,
    availability: String,
    created_at: OffsetDateTime,
    popularity: i64,
}

impl From<ListedRow> for Listed {
    fn from(row: ListedRow) -> Self {
        let ListedRow { id, slug, name, brand, base_price, currency, availability, created_at, popularity } = row;
        let price = Money { amount: base_price, currency };
        Self { id, slug, name, brand, price, availability, created_at, popularity }
    }
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
