use std::collections::BTreeMap;

use forebay_platform::db::Conn;
use forebay_platform::page::Moment;
use sqlx::Error;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::domain::{Place, Return, ReturnItem, ReturnMove, ReturnState};

/// Those `$which`, with their items.
macro_rules! returns {
    ($which:literal, $($value:expr),+ $(,)?) => {
        sqlx::query_as!(
            Row,
            r#"
            select id, order_id, user_id, state, reason, created_at, updated_at,
                   skus as "skus!", quantities as "quantities!"
            from checkout.returns r,
                 lateral (select array_agg(sku order by sku) as skus, array_agg(quantity order by sku) as quantities
                          from checkout.return_items where return_id = r.id) i
            "# + $which,
            $($value),+
        )
    };
}

/// The return with its items, in one statement.
pub(crate) async fn insert(conn: &mut Conn<'_>, made: &Return) -> Result<(), Error> {
    let skus: Vec<_> = made.items.iter().map(|item| item.sku.clone()).collect();
    let quantities: Vec<_> = made.items.iter().map(|item| item.quantity).collect();
    sqlx::query!(
        r#"
        with made as (
            insert into checkout.returns (id, order_id, user_id, state, reason, created_at, updated_at)
            values ($1, $2, $3, $4, $5, $6, $6)
            returning id
        )
        insert into checkout.return_items (return_id, sku, quantity)
        select made.id, i.sku, i.quantity from made, unnest($7::text[], $8::int[]) as i (sku, quantity)
        "#,
        made.id,
        made.order_id,
        made.user_id,
        made.state.as_str(),
        made.reason,
        made.created_at,
        &skus,
        &quantities,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// How many units of each SKU of the order were asked for in returns that were not rejected. Lock the order first: then
/// nobody adds to them.
pub(crate) async fn asked(conn: &mut Conn<'_>, order_id: Uuid) -> Result<BTreeMap<String, i64>, Error> {
    let rows = sqlx::query!(
        r#"
        select i.sku, sum(i.quantity) as "units!"
        from checkout.returns r
        join checkout.return_items i on i.return_id = r.id
        where r.order_id = $1 and r.state <> 'rejected'
        group by i.sku
        "#,
        order_id,
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(|row| (row.sku, row.units)).collect())
}

pub(crate) async fn by_id(conn: &mut Conn<'_>, id: Uuid) -> Result<Option<Return>, Error> {
    let row = returns!("where id = $1", id).fetch_optional(conn).await?;
    row.map(Return::try_from).transpose()
}

/// A page of a user's returns, the newest first.
pub(crate) async fn of_user(
    conn: &mut Conn<'_>,
    user_id: Uuid,
    (Moment(before), id): Place,
    rows: i64,
) -> Result<Vec<Return>, Error> {
    let rows = returns!(
        r#"
        where user_id = $1 and (created_at, id) < ($2, $3)
        order by created_at desc, id desc
        limit $4
        "#,
        user_id,
        before,
        id,
        rows,
    )
    .fetch_all(conn)
    .await?;
    rows.into_iter().map(Return::try_from).collect()
}

/// Moves the return, if its state permits it. False where it does not; then nothing is written.
pub(crate) async fn advance(
    conn: &mut Conn<'_>,
    id: Uuid,
    this: ReturnMove,
    now: OffsetDateTime,
) -> Result<bool, Error> {
    let moved = sqlx::query!(
        r#"
        update checkout.returns set state = $3, version = version + 1, updated_at = $4 where id = $1 and state = $2
        "#,
        id,
        this.from().as_str(),
        this.to().as_str(),
        now,
    )
    .execute(conn)
    .await?;
    Ok(moved.rows_affected() == 1)
}

/// A page of everybody's returns, of one state or all, the newest first.
pub(crate) async fn of_all(
    conn: &mut Conn<'_>,
    state: Option<ReturnState>,
    (Moment(before), id): Place,
    rows: i64,
) -> Result<Vec<Return>, Error> {
    let rows = returns!(
        r#"
        where ($1::text is null or state = $1) and (created_at, id) < ($2, $3)
        order by created_at desc, id desc
        limit $4
        "#,
        state.map(ReturnState::as_str),
        before,
        id,
        rows,
    )
    .fetch_all(conn)
    .await?;
    rows.into_iter().map(Return::try_from).collect()
}

/// What is paid back for a return that was received.
pub(crate) async fn paid_by(conn: &mut Conn<'_>, id: Uuid, refund: Uuid) -> Result<(), Error> {
    sqlx::query!("update checkout.returns set refund_id = $2 where id = $1", id, refund).execute(conn).await?;
    Ok(())
}

/// The money for it went back, if this refund was for one: which.
pub(crate) async fn refunded(conn: &mut Conn<'_>, refund: Uuid, now: OffsetDateTime) -> Result<Option<Uuid>, Error> {
    let this = ReturnMove::Refund;
    sqlx::query_scalar!(
        r#"
        update checkout.returns set state = $3, version = version + 1, updated_at = $4
        where refund_id = $1 and state = $2
        returning id
        "#,
        refund,
        this.from().as_str(),
        this.to().as_str(),
        now,
    )
    .fetch_optional(conn)
    .await
}

struct Row {
    id: Uuid,
    order_id: Uuid,
    user_id: Option<Uuid>,
    state: String,
    reason: String,
    created_at: OffsetDateTime,
    updated_at: OffsetDateTime,
    skus: Vec<String>,
    quantities: Vec<i32>,
}

impl TryFrom<Row> for Return {
    type Error = Error;

    fn try_from(row: Row) -> Result<Self, Error> {
        let Row { id, order_id, user_id, state, reason, created_at, updated_at, skus, quantities } = row;
        let state = ReturnState::named(&state).ok_or_else(|| Error::Decode(format!("unknown state {state}").into()))?;
        let items = skus.into_iter().zip(quantities).map(|(sku, quantity)| ReturnItem { sku, quantity }).collect();
        Ok(Self { id, order_id, user_id, state, reason, items, created_at, updated_at })
    }
}
