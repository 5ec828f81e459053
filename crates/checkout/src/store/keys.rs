use forebay_platform::db::Conn;
use sqlx::Error;
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use crate::answer::Answer;

/// How long an answer is kept.
const KEPT_FOR: Duration = Duration::hours(24);

/// A request that wants to be the first with its key.
#[derive(Debug)]
pub(crate) struct Claim<'a> {
    pub(crate) user_id: Uuid,
    pub(crate) key: &'a str,
    pub(crate) fingerprint: [u8; 32],
    pub(crate) order_id: Uuid,
    pub(crate) now: OffsetDateTime,
}

/// What a key that was used before stands for.
#[derive(Debug)]
pub(crate) struct Kept {
    pub(crate) fingerprint: Vec<u8>,
    pub(crate) order_id: Uuid,
    /// Nothing while the first request is under way.
    pub(crate) answer: Option<Answer>,
}

/// False where the key was used before. Waits for a transaction that is using it at the moment, which is a short one.
pub(crate) async fn claim(conn: &mut Conn<'_>, claim: &Claim<'_>) -> Result<bool, Error> {
    let claimed = sqlx::query!(
        r#"
        insert into checkout.idempotency_keys (user_id, key, fingerprint, order_id, claimed_at, expires_at)
        values ($1, $2, $3, $4, $5, $6)
        on conflict (user_id, key) do nothing
        "#,
        claim.user_id,
        claim.key,
        &claim.fingerprint,
        claim.order_id,
        claim.now,
        claim.now + KEPT_FOR,
    )
    .execute(conn)
    .await?;
    Ok(claimed.rows_affected() == 1)
}

pub(crate) async fn find(conn: &mut Conn<'_>, claim: &Claim<'_>) -> Result<Option<Kept>, Error> {
    let row = sqlx::query!(
        r#"
        select fingerprint, order_id, status_code, body
        from checkout.idempotency_keys
        where user_id = $1 and key = $2
        "#,
        claim.user_id,
        claim.key,
    )
    .fetch_optional(conn)
    .await?;
    Ok(row.map(|row| Kept {
        fingerprint: row.fingerprint,
        order_id: row.order_id,
        answer: stored(row.order_id, row.status_code, row.body),
    }))
}

/// True for the one request that may go on with a claim made before `abandoned`.
pub(crate) async fn take_over(
    conn: &mut Conn<'_>,
    claim: &Claim<'_>,
    abandoned: OffsetDateTime,
) -> Result<bool, Error> {
    let taken = sqlx::query!(
        r#"
        update checkout.idempotency_keys set claimed_at = $3
        where user_id = $1 and key = $2 and state = 'in_flight' and claimed_at < $4
        "#,
        claim.user_id,
        claim.key,
        claim.now,
        abandoned,
    )
    .execute(conn)
    .await?;
    Ok(taken.rows_affected() == 1)
}

/// Keeps the answer for whoever asks again.
pub(crate) async fn answer(conn: &mut Conn<'_>, answer: &Answer) -> Result<(), Error> {
    let (status, body) = answer.to_keep();
    sqlx::query!(
        "update checkout.idempotency_keys set state = 'done', status_code = $2, body = $3 where order_id = $1",
        answer.order_id,
        i16::try_from(status.as_u16()).unwrap_or(i16::MAX),
        &*body,
    )
    .execute(conn)
    .await?;
    Ok(())
}

pub(crate) async fn answer_of(conn: &mut Conn<'_>, order_id: Uuid) -> Result<Option<Answer>, Error> {
    let row = sqlx::query!("select status_code, body from checkout.idempotency_keys where order_id = $1", order_id)
        .fetch_optional(conn)
        .await?;
    Ok(row.and_then(|row| stored(order_id, row.status_code, row.body)))
}

/// Deletes a batch of what is past its time. A key without an answer stays until the sweeper has given it one.
pub(crate) async fn forget(conn: &mut Conn<'_>, now: OffsetDateTime, batch: i64) -> Result<u64, Error> {
    let forgotten = sqlx::query!(
        r#"
        with old as materialized (
            select user_id, key from checkout.idempotency_keys
            where expires_at < $1 and state = 'done'
            order by expires_at limit $2 for update skip locked
        )
        delete from checkout.idempotency_keys k using old where k.user_id = old.user_id and k.key = old.key
        "#,
        now,
        batch,
    )
    .execute(conn)
    .await?;
    Ok(forgotten.rows_affected())
}

fn stored(order_id: Uuid, status: Option<i16>, body: Option<Vec<u8>>) -> Option<Answer> {
    Answer::kept(order_id, u16::try_from(status?).ok()?, body?)
}
