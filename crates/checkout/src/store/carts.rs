use forebay_platform::db::Conn;
use sqlx::Error;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::domain::{Cart, CartStatus, Line, MAX_QUANTITY, Money, TokenHash};

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

/// The account's open cart, which is made with this id where there is none; `token` is one that nobody was shown.
pub(crate) async fn open_or_insert(
    conn: &mut Conn<'_>,
    user_id: Uuid,
    id: Uuid,
    token: &TokenHash,
) -> Result<Cart, Error> {
    let row = sqlx::query_as!(
        Row,
        r#"
        insert into checkout.carts (id, user_id, token_hash) values ($1, $2, $3)
        on conflict (user_id) where status = 'open' and user_id is not null do update set updated_at = now()
        returning id, user_id, token_hash, status, version
        "#,
        id,
        user_id,
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

/// The one cart of the account that was not ordered yet.
pub(crate) async fn open_of(conn: &mut Conn<'_>, user_id: Uuid) -> Result<Option<Cart>, Error> {
    let row = sqlx::query_as!(
        Row,
        r#"
        select id, user_id, token_hash, status, version from checkout.carts
        where user_id = $1 and status = 'open'
        "#,
        user_id,
    )
    .fetch_optional(conn)
    .await?;
    row.map(Cart::try_from).transpose()
}

/// The cart, locked for a change. Whoever locks two locks the one that is claimed first, then its account, and the account's
/// cart last.
pub(crate) async fn lock(conn: &mut Conn<'_>, id: Uuid) -> Result<Option<Cart>, Error> {
    let row = sqlx::query_as!(
        Row,
        r#"
        select id, user_id, token_hash, status, version from checkout.carts where id = $1
        for no key update
        "#,
        id,
    )
    .fetch_optional(conn)
    .await?;
    row.map(Cart::try_from).transpose()
}

/// Until the transaction ends nobody else gives the account an open cart: a new one, or one that was somebody's.
pub(crate) async fn lock_account(conn: &mut Conn<'_>, user_id: Uuid) -> Result<(), Error> {
    sqlx::query!("select pg_advisory_xact_lock(hashtextextended($1::uuid::text, 0))", user_id).execute(conn).await?;
    Ok(())
}

/// The account's open cart, locked.
pub(crate) async fn lock_open_of(conn: &mut Conn<'_>, user_id: Uuid) -> Result<Option<Cart>, Error> {
    let row = sqlx::query_as!(
        Row,
        r#"
        select id, user_id, token_hash, status, version from checkout.carts
        where user_id = $1 and status = 'open'
        for no key update
        "#,
        user_id,
    )
    .fetch_optional(conn)
    .await?;
    row.map(Cart::try_from).transpose()
}

/// The lines at today's prices and stock; without a price where the catalog does not know it any more.
pub(crate) async fn lines(conn: &mut Conn<'_>, cart_id: Uuid) -> Result<Vec<Line>, Error> {
    let rows = sqlx::query!(
        r#"
        select i.sku, i.quantity, i.changed_in, i.shown_price,
               p.name as "name?", p.price as "price?", p.currency as "currency?",
               coalesce(p.active, false) as "sellable!",
               least(coalesce(s.on_hand - s.reserved, 0), $2) as "available!"
        from checkout.cart_items i
        left join catalog.sku_prices p on p.sku = i.sku
        left join checkout.inventory s on s.sku = i.sku
        where i.cart_id = $1
        order by i.added_at, i.sku
        "#,
        cart_id,
        MAX_QUANTITY,
    )
    .fetch_all(conn)
    .await?;
    let lines = rows.into_iter().map(|row| {
        let unit_price = row.price.zip(row.currency).map(|(amount, currency)| Money { amount, currency });
        Line {
            sku: row.sku,
            name: row.name,
            quantity: row.quantity,
            line_total: unit_price.as_ref().and_then(|price| price.times(row.quantity)),
            unit_price,
            sellable: row.sellable,
            available: row.available,
            changed_in: row.changed_in,
            shown_price: row.shown_price,
        }
    });
    Ok(lines.collect())
}

/// The cart as it is then, at its next version if that changes it; none where nothing with this SKU is sold.
pub(crate) async fn put(conn: &mut Conn<'_>, cart: Cart, sku: &str, quantity: i32) -> Result<Option<Cart>, Error> {
    let put = sqlx::query!(
        r#"
        with sold as (
            select sku, price from catalog.sku_prices where sku = $2 and active
        ),
        put as (
            insert into checkout.cart_items as line (cart_id, sku, quantity, changed_in, shown_price)
            select $1, sku, $3, $4, price from sold
            on conflict (cart_id, sku) do update
            set quantity = excluded.quantity, changed_in = excluded.changed_in, shown_price = excluded.shown_price
            where line.quantity <> excluded.quantity
            returning changed_in
        ),
        changed as (
            update checkout.carts set version = changed_in, updated_at = now()
            from put where id = $1
            returning version
        )
        select exists (select from sold) as "sold!", (select version from changed) as version
        "#,
        cart.id,
        sku,
        quantity,
        cart.version + 1,
    )
    .fetch_one(conn)
    .await?;
    let version = put.version.unwrap_or(cart.version);
    Ok(put.sold.then_some(Cart { version, ..cart }))
}

/// The cart without this line, at its next version; none where there is no such line.
pub(crate) async fn remove(conn: &mut Conn<'_>, cart: Cart, sku: &str) -> Result<Option<Cart>, Error> {
    let version = sqlx::query_scalar!(
        r#"
        with removed as (
            delete from checkout.cart_items where cart_id = $1 and sku = $2 returning cart_id
        )
        update checkout.carts set version = version + 1, updated_at = now()
        from removed where id = cart_id
        returning version
        "#,
        cart.id,
        sku,
    )
    .fetch_optional(conn)
    .await?;
    Ok(version.map(|version| Cart { version, ..cart }))
}

/// The cart, which has changed, at its next version.
pub(crate) async fn touch(conn: &mut Conn<'_>, cart: Cart) -> Result<Cart, Error> {
    let version = sqlx::query_scalar!(
        "update checkout.carts set version = version + 1, updated_at = now() where id = $1 returning version",
        cart.id,
    )
    .fetch_one(conn)
    .await?;
    Ok(Cart { version, ..cart })
}

/// The cart, of the account from now on; `token` opens it, which nobody was shown.
pub(crate) async fn give_to(conn: &mut Conn<'_>, cart: Cart, user_id: Uuid, token: &TokenHash) -> Result<Cart, Error> {
    sqlx::query!(
        "update checkout.carts set user_id = $2, token_hash = $3, updated_at = now() where id = $1",
        cart.id,
        user_id,
        token
    )
    .execute(conn)
    .await?;
    Ok(Cart { user_id: Some(user_id), token_hash: *token, ..cart })
}

/// What a cart was merged into.
#[derive(Debug)]
pub(crate) struct Merged {
    pub(crate) cart: Cart,
    /// SKUs of which both had more than a line may hold.
    pub(crate) capped: Vec<String>,
}

/// All lines of `cart` go into `own`, both of them locked; `token` opens the empty one, which nobody was shown.
pub(crate) async fn merge(conn: &mut Conn<'_>, cart: &Cart, own: Cart, token: &TokenHash) -> Result<Merged, Error> {
    let moved = sqlx::query!(
        r#"
        with capped as (
            select i.sku from checkout.cart_items i
            join checkout.cart_items line on line.cart_id = $2 and line.sku = i.sku
            where i.cart_id = $1 and i.quantity + line.quantity > $4
        ),
        moved as (
            delete from checkout.cart_items where cart_id = $1
            returning sku, quantity, added_at, shown_price
        ),
        put as (
            insert into checkout.cart_items as line (cart_id, sku, quantity, added_at, changed_in, shown_price)
            select $2, sku, quantity, added_at, $3, shown_price from moved
            on conflict (cart_id, sku) do update
            set quantity = least(line.quantity + excluded.quantity, $4),
                changed_in = excluded.changed_in, shown_price = excluded.shown_price
        )
        select count(*) as "lines!", array(select sku from capped order by sku) as "capped!" from moved
        "#,
        cart.id,
        own.id,
        own.version + 1,
        MAX_QUANTITY,
    )
    .fetch_one(&mut *conn)
    .await?;
    sqlx::query!(
        r#"
        update checkout.carts
        set status = 'merged', user_id = $2, token_hash = $3, version = version + 1, updated_at = now()
        where id = $1
        "#,
        cart.id,
        own.user_id,
        token,
    )
    .execute(&mut *conn)
    .await?;
    let cart = if moved.lines > 0 { touch(conn, own).await? } else { own };
    Ok(Merged { cart, capped: moved.capped })
}

/// The cart is its buyer's again, with what was ordered, unless the account has another open one by now.
pub(crate) async fn reopen(conn: &mut Conn<'_>, cart_id: Uuid) -> Result<(), Error> {
    sqlx::query!(
        r#"
        update checkout.carts c set status = 'open', version = version + 1, updated_at = now()
        where id = $1 and status = 'ordered' and not exists (
            select from checkout.carts other where other.user_id = c.user_id and other.status = 'open'
        )
        "#,
        cart_id,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Carts are forgotten that have not changed since then.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Abandoned {
    /// Open ones that are nobody's.
    pub(crate) anonymous: OffsetDateTime,
    /// Open ones of a user.
    pub(crate) owned: OffsetDateTime,
    /// Those whose lines are in another one: nobody claims them again any more.
    pub(crate) merged: OffsetDateTime,
}

/// Deletes a batch of these, with their lines. What is being changed or ordered at the moment stays. Each kind has an index of
/// its own.
pub(crate) async fn forget(conn: &mut Conn<'_>, unchanged_since: Abandoned, batch: i64) -> Result<u64, Error> {
    let forgotten = sqlx::query!(
        r#"
        with anonymous as (
            select id from checkout.carts where status = 'open' and user_id is null and updated_at < $1
            order by updated_at limit $4 for update skip locked
        ),
        owned as (
            select id from checkout.carts where status = 'open' and user_id is not null and updated_at < $2
            order by updated_at limit $4 for update skip locked
        ),
        merged as (
            select id from checkout.carts where status = 'merged' and updated_at < $3
            order by updated_at limit $4 for update skip locked
        ),
        abandoned as materialized (
            select id from anonymous union all select id from owned union all select id from merged limit $4
        )
        delete from checkout.carts c using abandoned where c.id = abandoned.id
        "#,
        unchanged_since.anonymous,
        unchanged_since.owned,
        unchanged_since.merged,
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
        let status = match status.as_str() {
            "open" => CartStatus::Open,
            "ordered" => CartStatus::Ordered,
            "merged" => CartStatus::Merged,
            other => return Err(Error::Decode(format!("unknown status {other} of a cart").into())),
        };
        Ok(Self { id, user_id, token_hash, status, version })
    }
}
