use forebay_platform::db::Conn;
use sqlx::Error;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::domain::{Cart, CartStatus, Line, Money, TokenHash};

pub(crate) async fn insert(conn: &mut Conn<'_>, id: Uuid, token: &TokenHash) -> Result<Cart, Error> {
    let row = sqlx::query_as!(
        Row,
        "insert into checkout.carts (id, token_hash) values ($1, $2) returning id, user_id, token_hash, status, version",
        id,
        token,
    )
    .fetch_one(conn)
    .await?;
    row.try_into()
}

pub(crate) async fn find(conn: &mut Conn<'_>, id: Uuid) -> Result<Option<Cart>, Error> {
    let row =
        sqlx::query_as!(Row, "select id, user_id, token_hash, status, version from checkout.carts where id = $1", id,)
            .fetch_optional(conn)
            .await?;
    row.map(Cart::try_from).transpose()
}

/// The cart, locked, with the version that the change to come gives it. Roll back where nothing may change.
pub(crate) async fn lock(conn: &mut Conn<'_>, id: Uuid) -> Result<Option<Cart>, Error> {
    let row = sqlx::query_as!(
        Row,
        r#"
        update checkout.carts set version = version + 1, updated_at = now() where id = $1
        returning id, user_id, token_hash, status, version
        "#,
        id,
    )
    .fetch_optional(conn)
    .await?;
    row.map(Cart::try_from).transpose()
}

/// The lines at today's prices; without them where the catalog does not know what it is any more.
pub(crate) async fn lines(conn: &mut Conn<'_>, cart_id: Uuid) -> Result<Vec<Line>, Error> {
    let rows = sqlx::query!(
        r#"
        select i.sku, i.quantity, p.name as "name?", p.price as "price?", p.currency as "currency?",
               coalesce(p.active, false) as "active!"
        from checkout.cart_items i
        left join catalog.sku_prices p on p.sku = i.sku
        where i.cart_id = $1
        order by i.added_at, i.sku
        "#,
        cart_id,
    )
    .fetch_all(conn)
    .await?;
    let lines = rows.into_iter().map(|row| Line {
        sku: row.sku,
        name: row.name,
        quantity: row.quantity,
        unit_price: row.price.zip(row.currency).map(|(amount, currency)| Money { amount, currency }),
        sellable: row.active,
    });
    Ok(lines.collect())
}

/// False where nothing with this SKU is sold.
pub(crate) async fn put(conn: &mut Conn<'_>, cart_id: Uuid, sku: &str, quantity: i32) -> Result<bool, Error> {
    let put = sqlx::query!(
        r#"
        insert into checkout.cart_items (cart_id, sku, quantity)
        select $1, p.sku, $3 from catalog.sku_prices p where p.sku = $2 and p.active
        on conflict (cart_id, sku) do update set quantity = excluded.quantity
        "#,
        cart_id,
        sku,
        quantity,
    )
    .execute(conn)
    .await?;
    Ok(put.rows_affected() == 1)
}

/// False where there is no such line.
pub(crate) async fn remove(conn: &mut Conn<'_>, cart_id: Uuid, sku: &str) -> Result<bool, Error> {
    let removed = sqlx::query!("delete from checkout.cart_items where cart_id = $1 and sku = $2", cart_id, sku);
    Ok(removed.execute(conn).await?.rows_affected() == 1)
}

/// From now on `token` opens it, which nobody was shown.
pub(crate) async fn give_to(conn: &mut Conn<'_>, cart_id: Uuid, user_id: Uuid, token: &TokenHash) -> Result<(), Error> {
    sqlx::query!("update checkout.carts set user_id = $2, token_hash = $3 where id = $1", cart_id, user_id, token)
        .execute(conn)
        .await?;
    Ok(())
}

/// The cart becomes its buyer's, and changes no more.
pub(crate) async fn mark_ordered(conn: &mut Conn<'_>, cart_id: Uuid, user_id: Uuid) -> Result<(), Error> {
    sqlx::query!("update checkout.carts set user_id = $2, status = 'ordered' where id = $1", cart_id, user_id)
        .execute(conn)
        .await?;
    Ok(())
}

/// Deletes a batch of open carts that are nobody's and have not changed since, with their lines. What is being changed or
/// ordered at the moment stays.
pub(crate) async fn forget_anonymous(
    conn: &mut Conn<'_>,
    unchanged_since: OffsetDateTime,
    batch: i64,
) -> Result<u64, Error> {
    let forgotten = sqlx::query!(
        r#"
        with abandoned as materialized (
            select id from checkout.carts where status = 'open' and user_id is null and updated_at < $1
            order by updated_at limit $2 for update skip locked
        )
        delete from checkout.carts c using abandoned where c.id = abandoned.id
        "#,
        unchanged_since,
        batch,
    )
    .execute(conn)
    .await?;
    Ok(forgotten.rows_affected())
}

/// The same, of carts that are a user's.
pub(crate) async fn forget_owned(
    conn: &mut Conn<'_>,
    unchanged_since: OffsetDateTime,
    batch: i64,
) -> Result<u64, Error> {
    let forgotten = sqlx::query!(
        r#"
        with abandoned as materialized (
            select id from checkout.carts where status = 'open' and user_id is not null and updated_at < $1
            order by updated_at limit $2 for update skip locked
        )
        delete from checkout.carts c using abandoned where c.id = abandoned.id
        "#,
        unchanged_since,
        batch,
    )
    .execute(conn)
    .await?;
    Ok(forgotten.rows_affected())
}

struct Row {
    id: Uuid,
    user_id: Option<Uuid>,
    token_hash: Vec<u8>,
    status: String,
    version: i64,
}

impl TryFrom<Row> for Cart {
    type Error = Error;

    fn try_from(row: Row) -> Result<Self, Error> {
        let Row { id, user_id, token_hash, status, version } = row;
        let token_hash = token_hash.try_into().map_err(|_other| Error::Decode("a token's hash has 32 bytes".into()))?;
        let status = if status == "open" { CartStatus::Open } else { CartStatus::Ordered };
        Ok(Self { id, user_id, token_hash, status, version })
    }
}
