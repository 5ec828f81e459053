//! What those who run the shop change of it.

use forebay_platform::db::Conn;
use sqlx::Error;
use uuid::Uuid;

use crate::domain::{AdminSku, Facts, Money, NewCategory, NewProduct, ProductChange, SkuChange};

/// False where the slug is taken; then nothing is written. Nothing is in stock of what is new.
pub(crate) async fn insert(
    conn: &mut Conn<'_>,
    id: Uuid,
    product: &NewProduct,
    category_id: Uuid,
    price: &Money,
) -> Result<bool, Error> {
    let inserted = sqlx::query!(
        r#"
        insert into catalog.products
            (id, slug, name, description, brand, category_id, status, base_price, currency, availability)
        values ($1, $2, $3, $4, $5, $6, $7, $8, $9, 'out_of_stock')
        on conflict (slug) do nothing
        "#,
        id,
        product.slug,
        product.name,
        product.description,
        product.brand,
        category_id,
        product.status.as_str(),
        price.amount,
        price.currency,
    )
    .execute(conn)
    .await?;
    Ok(inserted.rows_affected() == 1)
}

/// Those of its SKUs that nobody had; where some are missing, roll back.
pub(crate) async fn insert_skus(conn: &mut Conn<'_>, id: Uuid, product: &NewProduct) -> Result<Vec<String>, Error> {
    let ids: Vec<_> = product.skus.iter().map(|_| Uuid::now_v7()).collect();
    let skus: Vec<_> = product.skus.iter().map(|sku| sku.sku.clone()).collect();
    let prices: Vec<_> = product.skus.iter().map(|sku| sku.price.amount).collect();
    let attributes: Vec<_> = product.skus.iter().map(|sku| serde_json::json!(sku.attributes)).collect();
    sqlx::query_scalar!(
        r#"
        insert into catalog.skus (id, sku, product_id, attributes, price, availability)
        select new.id, new.sku, $1, new.attributes, new.price, 'out_of_stock'
        from unnest($2::uuid[], $3::text[], $4::jsonb[], $5::bigint[]) as new (id, sku, attributes, price)
        order by new.sku
        on conflict (sku) do nothing
        returning sku
        "#,
        id,
        &ids,
        &skus,
        &attributes,
        &prices,
    )
    .fetch_all(conn)
    .await
}

/// Whatever its status.
pub(crate) async fn find(conn: &mut Conn<'_>, id: Uuid) -> Result<Option<Facts>, Error> {
    let row = sqlx::query_as!(
        FactsRow,
        r#"
        select p.id, p.slug, p.name, p.description, p.brand, c.slug as category, p.status, p.base_price, p.currency,
               p.version, p.created_at, p.updated_at
        from catalog.products p
        join catalog.categories c on c.id = p.category_id
        where p.id = $1
        "#,
        id,
    )
    .fetch_optional(conn)
    .await?;
    Ok(row.map(Facts::from))
}

pub(crate) async fn skus_of(conn: &mut Conn<'_>, product: &Facts) -> Result<Vec<AdminSku>, Error> {
    let rows = sqlx::query!(
        "select sku, attributes, price, active from catalog.skus where product_id = $1 order by sku",
        product.id,
    )
    .fetch_all(conn)
    .await?;
    let skus = rows.into_iter().map(|row| AdminSku {
        sku: row.sku,
        attributes: row.attributes,
        price: Money { amount: row.price, currency: product.price.currency.clone() },
        active: row.active,
    });
    Ok(skus.collect())
}

/// Writes down what changes of a product that is locked. An error of the constraint `products_slug_key` says that the slug
/// is taken.
pub(crate) async fn change(
    conn: &mut Conn<'_>,
    id: Uuid,
    change: &ProductChange,
    category_id: Option<Uuid>,
) -> Result<(), Error> {
    sqlx::query!(
        r#"
        update catalog.products set
            slug = coalesce($2, slug), name = coalesce($3, name), description = coalesce($4, description),
            brand = coalesce($5, brand), category_id = coalesce($6, category_id), status = coalesce($7, status),
            version = version + 1, updated_at = now()
        where id = $1
        "#,
        id,
        change.slug,
        change.name,
        change.description,
        change.brand,
        category_id,
        change.status.map(crate::domain::Sale::as_str),
    )
    .execute(conn)
    .await?;
    Ok(())
}

pub(crate) async fn change_sku(conn: &mut Conn<'_>, id: Uuid, sku: &str, change: &SkuChange) -> Result<(), Error> {
    sqlx::query!(
        r#"
        update catalog.skus set price = coalesce($3, price), active = coalesce($4, active)
        where product_id = $1 and sku = $2
        "#,
        id,
        sku,
        change.price.as_ref().map(|price| price.amount),
        change.active,
    )
    .execute(&mut *conn)
    .await?;
    // The lowest of what is sold; of all where nothing is.
    sqlx::query!(
        r#"
        update catalog.products p set
            base_price = (select coalesce(min(price) filter (where active), min(price)) from catalog.skus where product_id = p.id),
            version = version + 1, updated_at = now()
        where id = $1
        "#,
        id,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// False where it was archived already; then nothing is written.
pub(crate) async fn archive(conn: &mut Conn<'_>, id: Uuid) -> Result<bool, Error> {
    let archived = sqlx::query!(
        r#"
        update catalog.products set status = 'archived', version = version + 1, updated_at = now()
        where id = $1 and status <> 'archived'
        "#,
        id,
    )
    .execute(conn)
    .await?;
    Ok(archived.rows_affected() == 1)
}

/// False where the slug is taken.
pub(crate) async fn insert_category(
    conn: &mut Conn<'_>,
    id: Uuid,
    category: &NewCategory,
    parent_id: Option<Uuid>,
) -> Result<bool, Error> {
    let inserted = sqlx::query!(
        r#"
        insert into catalog.categories (id, parent_id, slug, name, position) values ($1, $2, $3, $4, $5)
        on conflict (slug) do nothing
        "#,
        id,
        parent_id,
        category.slug,
        category.name,
        category.position,
    )
    .execute(conn)
    .await?;
    Ok(inserted.rows_affected() == 1)
}

struct FactsRow {
    id: Uuid,
    slug: String,
    name: String,
    description: String,
    brand: String,
    category: String,
    status: String,
    base_price: i64,
    currency: String,
    version: i64,
    created_at: time::OffsetDateTime,
    updated_at: time::OffsetDateTime,
}

impl From<FactsRow> for Facts {
    fn from(row: FactsRow) -> Self {
        Self {
            id: row.id,
            slug: row.slug,
            name: row.name,
            description: row.description,
            brand: row.brand,
            category: row.category,
            status: row.status,
            price: Money { amount: row.base_price, currency: row.currency },
            version: row.version,
            created_at: row.created_at,
            updated_at: row.updated_at,
        }
    }
}
