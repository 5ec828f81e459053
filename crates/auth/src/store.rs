//! All SQL of auth. Functions take a connection or a transaction, never the pool.

use forebay_platform::db::Conn;
use sqlx::Error;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::domain::{Account, Kept, RefreshToken, Role, Session, Spent, TokenHash, User};

/// The account behind an address, unless it is disabled.
pub(crate) async fn account_by_email(conn: &mut Conn<'_>, email: &str) -> Result<Option<Account>, Error> {
    let row = sqlx::query!(
        "select id, role, password_hash from auth.users where lower(email) = lower($1) and disabled_at is null",
        email,
    )
    .fetch_optional(conn)
    .await?;
    Ok(row.map(|row| Account { id: row.id, role: Role::named(&row.role), password_hash: row.password_hash }))
}

/// False where the address has an account already.
pub(crate) async fn insert_user(conn: &mut Conn<'_>, user: &User, password_hash: &str) -> Result<bool, Error> {
    let inserted = sqlx::query!(
        "insert into auth.users (id, email, name, password_hash) values ($1, $2, $3, $4) on conflict do nothing",
        user.id,
        user.email,
        user.name,
        password_hash,
    )
    .execute(conn)
    .await?;
    Ok(inserted.rows_affected() == 1)
}

/// A session and its first refresh token, in one statement.
pub(crate) async fn open_session(
    conn: &mut Conn<'_>,
    session: &Session,
    first: &RefreshToken,
    now: OffsetDateTime,
) -> Result<(), Error> {
    sqlx::query!(
        r#"
        with opened as (
            insert into auth.sessions (id, user_id, created_at, last_seen_at, absolute_expires_at)
            values ($1, $2, $3, $3, $4)
            returning id
        )
        insert into auth.refresh_tokens (hash, session_id, issued_at, expires_at)
        select $5, id, $3, $6 from opened
        "#,
        session.id,
        session.user_id,
        now,
        session.ends_at,
        &first.hash,
        session.refresh_until(now),
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// The session a refresh token belongs to, locked: uses of one family happen one after the other.
pub(crate) async fn lock_session_of(
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
pub(crate) async fn kept(conn: &mut Conn<'_>, token: &TokenHash) -> Result<Option<Kept>, Error> {
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
    Ok(row.map(|row| Kept {
        expires_at: row.expires_at,
        spent: row.used_at.zip(row.successor_hash).and_then(|(at, successor)| {
            let successor = successor.try_into().ok()?;
            Some(Spent { at, successor, successor_used: row.successor_used })
        }),
    }))
}

/// Spends `old` for `new`. `overtaken` is an earlier successor of `old`, which was not used and probably reached nobody:
/// it counts as spent since ever, with no grace, so that whoever presents it still shows that there are two of them.
pub(crate) async fn rotate(
    conn: &mut Conn<'_>,
    session: &Session,
    old: &TokenHash,
    overtaken: Option<&TokenHash>,
    new: &RefreshToken,
    now: OffsetDateTime,
) -> Result<(), Error> {
    sqlx::query!(
        r#"
        with overtaken as (
            update auth.refresh_tokens set used_at = to_timestamp(0), successor_hash = $4 where hash = $3
        ),
        spent as (
            -- The time of the first use stays, or each lost answer would extend the grace.
            update auth.refresh_tokens set used_at = coalesce(used_at, $5), successor_hash = $4 where hash = $2
        )
        insert into auth.refresh_tokens (hash, session_id, issued_at, expires_at) values ($4, $1, $5, $6)
        "#,
        session.id,
        old,
        overtaken.map(<[u8; 32]>::as_slice),
        &new.hash,
        now,
        session.refresh_until(now),
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Ends a session and with it every token of its family.
pub(crate) async fn revoke(conn: &mut Conn<'_>, session: Uuid, reason: &str, now: OffsetDateTime) -> Result<(), Error> {
    sqlx::query!(
        "update auth.sessions set revoked_at = $2, revoke_reason = $3 where id = $1 and revoked_at is null",
        session,
        now,
        reason,
    )
    .execute(conn)
    .await?;
    Ok(())
}
