use forebay_platform::db::Conn;
use sqlx::Error;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::domain::{KnownToken, Login, RefreshToken, Role, Session, Spent, TokenHash};

/// A session and its first refresh token, in one statement, with the role that its user has; none where the account is gone.
/// The role stays until the transaction ends, so whoever takes it away finds this session, and ends it too.
pub(crate) async fn open(conn: &mut Conn<'_>, login: Login, now: OffsetDateTime) -> Result<Option<Login>, Error> {
    let Login { session, refresh, user_agent } = login;
    let role = sqlx::query_scalar!(
        r#"
        with owner as materialized (
            select id, role from auth.users where id = $2 and disabled_at is null for share
        ),
        opened as (
            insert into auth.sessions (id, user_id, created_at, last_seen_at, absolute_expires_at, user_agent)
            select $1, id, $3, $3, $4, $7 from owner
            returning id
        ),
        first as (
            insert into auth.refresh_tokens (hash, session_id, issued_at, expires_at)
            select $5, id, $3, $6 from opened
        )
        select role from owner
        "#,
        session.id,
        session.user_id,
        now,
        session.ends_at,
        &refresh.hash,
        session.refresh_until(now),
        user_agent.as_deref(),
    )
    .fetch_optional(conn)
    .await?;
    Ok(role.map(|role| Login { session: Session { role: Role::named(&role), ..session }, refresh, user_agent }))
}

/// The session a refresh token belongs to, locked: uses of one family happen one after the other.
pub(crate) async fn lock_of(
    conn: &mut Conn<'_>,
    token: &TokenHash,
    now: OffsetDateTime,
) -> Result<Option<Session>, Error> {
    let row = sqlx::query!(
        r#"
        update auth.sessions s set last_seen_at = $2
        from auth.refresh_tokens t, auth.users u
        where t.hash = $1 and s.id = t.session_id and u.id = s.user_id
        returning s.id, s.user_id, u.role, s.absolute_expires_at,
                  s.revoked_at is not null or u.disabled_at is not null as "revoked!"
        "#,
        token,
        now,
    )
    .fetch_optional(conn)
    .await?;
    Ok(row.map(|row| Session {
        id: row.id,
        user_id: row.user_id,
        role: Role::named(&row.role),
        ends_at: row.absolute_expires_at,
        revoked: row.revoked,
    }))
}

/// What is known of a token. Asked after the session was locked, so that it is still true when it is acted upon.
pub(crate) async fn kept(conn: &mut Conn<'_>, token: &TokenHash) -> Result<Option<KnownToken>, Error> {
    let row = sqlx::query!(
        r#"
        select t.expires_at, t.used_at, t.successor_hash, n.used_at is not null as "successor_used!"
        from auth.refresh_tokens t
        left join auth.refresh_tokens n on n.hash = t.successor_hash
        where t.hash = $1
        "#,
        token,
    )
    .fetch_optional(conn)
    .await?;
    Ok(row.map(|row| KnownToken {
        expires_at: row.expires_at,
        spent: row.used_at.zip(row.successor_hash).and_then(|(at, successor)| {
            let successor = successor.try_into().ok()?;
            Some(Spent { at, successor, successor_used: row.successor_used })
        }),
    }))
}

/// Spends `old` for `new`.
pub(crate) async fn rotate(
    conn: &mut Conn<'_>,
    session: &Session,
    old: &TokenHash,
    new: &RefreshToken,
    now: OffsetDateTime,
) -> Result<(), Error> {
    sqlx::query!(
        r#"
        with spent as (
            update auth.refresh_tokens set used_at = $4, successor_hash = $3 where hash = $2
        )
        insert into auth.refresh_tokens (hash, session_id, issued_at, expires_at) values ($3, $1, $4, $5)
        "#,
        session.id,
        old,
        &new.hash,
        now,
        session.refresh_until(now),
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Ends a session and with it every token of its family. False where it had ended before, or is not the user's.
pub(crate) async fn revoke(
    conn: &mut Conn<'_>,
    user_id: Uuid,
    session: Uuid,
    reason: &str,
    now: OffsetDateTime,
) -> Result<bool, Error> {
    let revoked = sqlx::query!(
        r#"
        update auth.sessions set revoked_at = $3, revoke_reason = $4
        where id = $1 and user_id = $2 and revoked_at is null
        "#,
        session,
        user_id,
        now,
        reason,
    )
    .execute(conn)
    .await?;
    Ok(revoked.rows_affected() == 1)
}

/// Ends all sessions of a user, or all but one, and says which they were.
pub(crate) async fn revoke_all(
    conn: &mut Conn<'_>,
    user_id: Uuid,
    but: Option<Uuid>,
    reason: &str,
    now: OffsetDateTime,
) -> Result<Vec<Uuid>, Error> {
    let rows = sqlx::query!(
        r#"
        update auth.sessions set revoked_at = $3, revoke_reason = $4
        where user_id = $1 and revoked_at is null and id is distinct from $2
        returning id
        "#,
        user_id,
        but,
        now,
        reason,
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(|row| row.id).collect())
}

/// A session as its user sees it.
#[derive(Debug)]
pub(crate) struct Listed {
    pub(crate) id: Uuid,
    pub(crate) created_at: OffsetDateTime,
    pub(crate) last_seen_at: OffsetDateTime,
    pub(crate) user_agent: Option<String>,
}

/// The sessions of a user that may still be refreshed: seen since `idle_since`, the last seen first.
pub(crate) async fn live(
    conn: &mut Conn<'_>,
    user_id: Uuid,
    idle_since: OffsetDateTime,
    now: OffsetDateTime,
    most: i64,
) -> Result<Vec<Listed>, Error> {
    sqlx::query_as!(
        Listed,
        r#"
        select id, created_at, last_seen_at, user_agent from auth.sessions
        where user_id = $1 and revoked_at is null and absolute_expires_at > $3 and last_seen_at > $2
        order by last_seen_at desc, id
        limit $4
        "#,
        user_id,
        idle_since,
        now,
        most,
    )
    .fetch_all(conn)
    .await
}

/// The sessions that have ended since, by themselves or with their user's account, and were seen since: of others no access
/// token is good any more. The last ended first.
pub(crate) async fn ended_since(conn: &mut Conn<'_>, since: OffsetDateTime, most: i64) -> Result<Vec<Uuid>, Error> {
    let rows = sqlx::query!(
        r#"
        select id as "id!" from (
            select s.id, s.revoked_at as ended_at from auth.sessions s where s.revoked_at > $1 and s.last_seen_at > $1
            union all
            select s.id, u.disabled_at from auth.users u join auth.sessions s on s.user_id = u.id
            where u.disabled_at > $1 and s.revoked_at is null and s.last_seen_at > $1
        ) ended
        order by ended_at desc
        limit $2
        "#,
        since,
        most,
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(|row| row.id).collect())
}

/// Deletes a batch of refresh tokens that have expired: presented, they are refused as the unknown are. What others delete at
/// the moment is left to them.
pub(crate) async fn forget_tokens(conn: &mut Conn<'_>, now: OffsetDateTime, batch: i64) -> Result<u64, Error> {
    let forgotten = sqlx::query!(
        r#"
        with expired as materialized (
            select hash from auth.refresh_tokens where expires_at < $1
            order by expires_at limit $2 for update skip locked
        )
        delete from auth.refresh_tokens t using expired where t.hash = expired.hash
        "#,
        now,
        batch,
    )
    .execute(conn)
    .await?;
    Ok(forgotten.rows_affected())
}

/// Deletes a batch of sessions that ended by themselves before `ended` and have no token left, so that little goes with
/// each of them.
pub(crate) async fn forget(conn: &mut Conn<'_>, ended: OffsetDateTime, batch: i64) -> Result<u64, Error> {
    let forgotten = sqlx::query!(
        r#"
        with ended as materialized (
            select id from auth.sessions s
            where absolute_expires_at < $1
            and not exists (select from auth.refresh_tokens t where t.session_id = s.id)
            order by absolute_expires_at limit $2 for update skip locked
        )
        delete from auth.sessions s using ended where s.id = ended.id
        "#,
        ended,
        batch,
    )
    .execute(conn)
    .await?;
    Ok(forgotten.rows_affected())
}
