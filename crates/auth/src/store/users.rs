use forebay_platform::db::Conn;
use sqlx::Error;
use uuid::Uuid;

use crate::admins::AdminAccount;
use crate::domain::{Account, EmailAddress, Role, User};

/// The account behind an address, unless it is disabled.
pub(crate) async fn account_by_email(conn: &mut Conn<'_>, email: &EmailAddress) -> Result<Option<Account>, Error> {
    sqlx::query_as!(
        Account,
        "select id, email, name, password_hash from auth.users where email_key = $1 and disabled_at is null",
        email.key(),
    )
    .fetch_optional(conn)
    .await
}

/// The account of a user, unless it is disabled.
pub(crate) async fn account(conn: &mut Conn<'_>, id: Uuid) -> Result<Option<Account>, Error> {
    sqlx::query_as!(
        Account,
        "select id, email, name, password_hash from auth.users where id = $1 and disabled_at is null",
        id,
    )
    .fetch_optional(conn)
    .await
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

/// What an account is to the shop.
#[derive(Debug)]
pub(crate) struct Standing {
    pub(crate) id: Uuid,
    pub(crate) role: Role,
    pub(crate) disabled: bool,
}

/// What the account behind an address is to the shop, locked until the transaction ends.
pub(crate) async fn lock_role(conn: &mut Conn<'_>, email: &EmailAddress) -> Result<Option<Standing>, Error> {
    let row = sqlx::query!(
        r#"
        select id, role, disabled_at is not null as "disabled!" from auth.users
        where email_key = $1 for no key update
        "#,
        email.key(),
    )
    .fetch_optional(conn)
    .await?;
    Ok(row.map(|row| Standing { id: row.id, role: Role::named(&row.role), disabled: row.disabled }))
}

pub(crate) async fn set_role(conn: &mut Conn<'_>, id: Uuid, role: Role) -> Result<(), Error> {
    sqlx::query!("update auth.users set role = $2 where id = $1", id, role.name()).execute(conn).await?;
    Ok(())
}

/// Those who run the shop, by address.
pub(crate) async fn admins(conn: &mut Conn<'_>) -> Result<Vec<AdminAccount>, Error> {
    sqlx::query_as!(
        AdminAccount,
        r#"
        select id, email, name, disabled_at is not null as "disabled!" from auth.users
        where role = 'admin' order by email_key
        "#,
    )
    .fetch_all(conn)
    .await
}
