use forebay_platform::db::Conn;
use sqlx::Error;
use uuid::Uuid;

use crate::domain::{Account, EmailAddress, Role, User};

/// The account behind an address, unless it is disabled.
pub(crate) async fn account_by_email(conn: &mut Conn<'_>, email: &EmailAddress) -> Result<Option<Account>, Error> {
    let row = sqlx::query_as!(
        Row,
        "select id, role, email, name, password_hash from auth.users where email_key = $1 and disabled_at is null",
        email.key(),
    )
    .fetch_optional(conn)
    .await?;
    Ok(row.map(Account::from))
}

/// The account of a user, unless it is disabled.
pub(crate) async fn account(conn: &mut Conn<'_>, id: Uuid) -> Result<Option<Account>, Error> {
    let row = sqlx::query_as!(
        Row,
        "select id, role, email, name, password_hash from auth.users where id = $1 and disabled_at is null",
        id,
    )
    .fetch_optional(conn)
    .await?;
    Ok(row.map(Account::from))
}

/// False where the address has an account already.
pub(crate) async fn insert(
    conn: &mut Conn<'_>,
    user: &User,
    email: &EmailAddress,
    password_hash: &str,
) -> Result<bool, Error> {
    let inserted = sqlx::query!(
        r#"
        insert into auth.users (id, email, email_key, name, password_hash) values ($1, $2, $3, $4, $5)
        on conflict do nothing
        "#,
        user.id,
        user.email,
        email.key(),
        user.name,
        password_hash,
    )
    .execute(conn)
    .await?;
    Ok(inserted.rows_affected() == 1)
}

/// What a user sees of the account.
pub(crate) async fn find(conn: &mut Conn<'_>, id: Uuid) -> Result<Option<User>, Error> {
    sqlx::query_as!(User, "select id, email, name from auth.users where id = $1 and disabled_at is null", id)
        .fetch_optional(conn)
        .await
}

/// The same, locked until the transaction ends.
pub(crate) async fn lock(conn: &mut Conn<'_>, id: Uuid) -> Result<Option<User>, Error> {
    sqlx::query_as!(User, "select id, email, name from auth.users where id = $1 and disabled_at is null for update", id)
        .fetch_optional(conn)
        .await
}

pub(crate) async fn rename(conn: &mut Conn<'_>, id: Uuid, name: &str) -> Result<(), Error> {
    sqlx::query!("update auth.users set name = $2 where id = $1", id, name).execute(conn).await?;
    Ok(())
}

/// False where the password is no longer the one behind `old`.
pub(crate) async fn replace_password(conn: &mut Conn<'_>, id: Uuid, old: &str, new: &str) -> Result<bool, Error> {
    let replaced = sqlx::query!(
        "update auth.users set password_hash = $3 where id = $1 and password_hash = $2 and disabled_at is null",
        id,
        old,
        new,
    )
    .execute(conn)
    .await?;
    Ok(replaced.rows_affected() == 1)
}

struct Row {
    id: Uuid,
    role: String,
    email: String,
    name: String,
    password_hash: String,
}

impl From<Row> for Account {
    fn from(row: Row) -> Self {
        let Row { id, role, email, name, password_hash } = row;
        Self { id, role: Role::named(&role), email, name, password_hash }
    }
}
