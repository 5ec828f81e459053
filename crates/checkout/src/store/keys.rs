//! Idempotency keys. The first request with a key is executed; every later one gets its answer.
//!
//! An operation that one transaction does whole is done by [`once`]. One that waits for somebody between two transactions
//! claims the key in the first and keeps the answer in the second; who comes in between is told that it is under way.

use forebay_platform::db::{Conn, Tx};
use forebay_platform::extract::IdempotencyKey;
use serde::Serialize;
use sha2::{Digest, Sha256};
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use crate::answer::Answer;
use crate::error::Error;

/// How long an answer is kept.
const KEPT_FOR: Duration = Duration::hours(24);

/// A request that wants to be the first with its key.
#[derive(Clone, Debug)]
pub(crate) struct KeyedRequest {
    /// A user, or for a guest the cart.
    owner: Uuid,
    key: String,
    /// Such as `order.place`, for people who look into the table.
    pub(crate) operation: &'static str,
    fingerprint: [u8; 32],
    /// The order whose payment settles the request, where one does.
    order_id: Option<Uuid>,
    pub(crate) now: OffsetDateTime,
}

impl KeyedRequest {
    /// `target` is the method and the path, such as `POST /v1/orders`; with the body in canonical form it is what makes two
    /// requests the same.
    pub(crate) fn new(
        owner: Uuid,
        key: &IdempotencyKey,
        operation: &'static str,
        (target, body): (&str, &impl Serialize),
        now: OffsetDateTime,
    ) -> Self {
        let body = serde_json::to_vec(body).expect("what was read from JSON can be written as JSON");
        let fingerprint = Sha256::new().chain_update(target).chain_update("\n").chain_update(body).finalize().into();
        Self { owner, key: key.as_str().to_owned(), operation, fingerprint, order_id: None, now }
    }

    /// The same, which the payment of this order settles, whoever writes that down.
    pub(crate) fn settled_by(self, order_id: Uuid) -> Self {
        Self { order_id: Some(order_id), ..self }
    }
}

/// What a key that was used before stands for.
#[derive(Debug)]
pub(crate) struct UsedKey {
    fingerprint: Vec<u8>,
    pub(crate) order_id: Option<Uuid>,
    /// Nothing while the first request is under way.
    pub(crate) answer: Option<Answer>,
}

/// Does `work` in `tx` if this is the first request with its key, and keeps the answer with it; else gives that answer
/// again. Where `work` fails the caller rolls back, and the key is free.
///
/// ```ignore
/// let mut tx = lease.begin().await?;
/// let cancelled = keys::once(&mut tx, &claim, async |tx| cancel(tx, id).await).await;
/// let answer = tx.end(cancelled).await?;
/// ```
pub(crate) async fn once(
    tx: &mut Tx<'_>,
    request: &KeyedRequest,
    work: impl AsyncFnOnce(&mut Tx<'_>) -> Result<Answer, Error>,
) -> Result<Answer, Error> {
    if !claim(&mut tx.conn(), request).await? {
        return replay(&mut tx.conn(), request).await?.ok_or(Error::InFlight);
    }
    let answer = work(tx).await?;
    keep(&mut tx.conn(), request, &answer).await?;
    Ok(answer)
}

/// The answer to an earlier request with this key; none where there was none, or it is under way.
pub(crate) async fn replay(conn: &mut Conn<'_>, claim: &KeyedRequest) -> Result<Option<Answer>, Error> {
    let kept = find(conn, claim).await?;
    Ok(kept.and_then(|kept| kept.answer).map(Answer::replayed))
}

/// False where the key was used before. Waits for a transaction that is using it at the moment, which is a short one.
pub(crate) async fn claim(conn: &mut Conn<'_>, claim: &KeyedRequest) -> Result<bool, sqlx::Error> {
    let claimed = sqlx::query!(
        r#"
        insert into checkout.idempotency_keys (user_id, key, operation, fingerprint, order_id, claimed_at, expires_at)
        values ($1, $2, $3, $4, $5, $6, $7)
        on conflict (user_id, key) do nothing
        "#,
        claim.owner,
        claim.key,
        claim.operation,
        &claim.fingerprint,
        claim.order_id,
        claim.now,
        claim.now + KEPT_FOR,
    )
    .execute(conn)
    .await?;
    Ok(claimed.rows_affected() == 1)
}

/// What was kept for an earlier request with this key, which must have been the same.
pub(crate) async fn find(conn: &mut Conn<'_>, claim: &KeyedRequest) -> Result<Option<UsedKey>, Error> {
    let row = sqlx::query!(
        r#"
        select fingerprint, order_id, status_code, location, body
        from checkout.idempotency_keys
        where user_id = $1 and key = $2
        "#,
        claim.owner,
        claim.key,
    )
    .fetch_optional(conn)
    .await?;
    let kept = row.map(|row| UsedKey {
        fingerprint: row.fingerprint,
        order_id: row.order_id,
        answer: stored(row.order_id, row.status_code, row.location, row.body),
    });
    if kept.as_ref().is_some_and(|kept| kept.fingerprint != claim.fingerprint) {
        return Err(Error::KeyReused);
    }
    Ok(kept)
}

/// True for the one request that may go on with a claim made before `abandoned`.
pub(crate) async fn take_over(
    conn: &mut Conn<'_>,
    claim: &KeyedRequest,
    abandoned: OffsetDateTime,
) -> Result<bool, sqlx::Error> {
    let taken = sqlx::query!(
        r#"
        update checkout.idempotency_keys set claimed_at = $3
        where user_id = $1 and key = $2 and state = 'in_flight' and claimed_at < $4
        "#,
        claim.owner,
        claim.key,
        claim.now,
        abandoned,
    )
    .execute(conn)
    .await?;
    Ok(taken.rows_affected() == 1)
}

/// Keeps the answer for whoever asks again.
pub(crate) async fn keep(conn: &mut Conn<'_>, claim: &KeyedRequest, answer: &Answer) -> Result<(), sqlx::Error> {
    let (status, body) = answer.to_keep();
    sqlx::query!(
        r#"
        update checkout.idempotency_keys set state = 'done', status_code = $3, location = $4, body = $5
        where user_id = $1 and key = $2
        "#,
        claim.owner,
        claim.key,
        status,
        answer.location.as_deref(),
        &*body,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Deletes a batch of what is past its time. A key without an answer stays until the sweeper has given it one.
pub(crate) async fn forget(conn: &mut Conn<'_>, now: OffsetDateTime, batch: i64) -> Result<u64, sqlx::Error> {
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

fn stored(
    order_id: Option<Uuid>,
    status: Option<i16>,
    location: Option<String>,
    body: Option<Vec<u8>>,
) -> Option<Answer> {
    let location = location.or_else(|| order_id.map(Answer::location_of));
    Answer::kept(u16::try_from(status?).ok()?, location, body?)
}
