//! Who runs the shop. The first admin is made on the server's own command line, and so are all others: over the network
//! nobody gives this right away, and nobody who has stolen an admin's token can keep it by giving it to a second account.

use std::time::Duration;

use forebay_platform::audit::{self, Entry};
use forebay_platform::db::{Db, Tx};
use forebay_pool::{AcquireError, Admission, Class};
use serde_json::json;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::domain::{EmailAddress, Role};
use crate::store;

/// For all of one change.
const LIMIT: Duration = Duration::from_secs(10);

/// Why nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum AdminError {
    /// It cannot have an account.
    #[error("`{0}` is no e-mail address: it {1}")]
    NoAddress(String, &'static str),
    /// It could have one.
    #[error("{0} has no account: register it first (POST /v1/auth/register), and then come back")]
    NoAccount(String),
    /// Nobody logs in to it.
    #[error("the account of {0} is disabled: whoever nobody can log in as runs no shop")]
    Disabled(String),
    /// The database has no connection for us.
    #[error("no connection to the database: {0}")]
    Acquire(#[from] AcquireError),
    /// The database refused.
    #[error("the database refused: {}", forebay_pool::describe(.0))]
    Store(#[from] sqlx::Error),
}

/// What became of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// It is so from now on.
    Made,
    /// It was so before, and nothing was written.
    None,
}

/// Somebody who runs the shop.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdminAccount {
    /// The account.
    pub id: Uuid,
    /// As it was typed at the registration.
    pub email: String,
    /// What its user goes by.
    pub name: String,
    /// Whether the account is disabled, so that nobody logs in to it.
    pub disabled: bool,
}

/// Makes the account of an address an admin's: the tokens that it gets from then on have the scope `admin`. Those that it has
/// do not; a refresh is enough.
///
/// # Errors
/// [`AdminError`]; then nothing was changed. Dropped at any point, the change is there with its audit line, or neither is.
pub async fn grant(db: &Db, email: &str) -> Result<Change, AdminError> {
    set(db, email, Role::Admin).await
}

/// Makes it a customer's again, and ends its sessions, so that every token with the scope `admin` is refused within five
/// seconds in every process.
///
/// # Errors
/// As [`grant`].
pub async fn revoke(db: &Db, email: &str) -> Result<Change, AdminError> {
    set(db, email, Role::Customer).await
}

/// Everybody who runs the shop, by address.
///
/// # Errors
/// Where the database does not say.
pub async fn list(db: &Db) -> Result<Vec<AdminAccount>, AdminError> {
    let mut lease = db.acquire(&Admission::within(Class::Normal, LIMIT)).await?;
    Ok(store::users::admins(&mut lease.conn()).await?)
}

async fn set(db: &Db, email: &str, role: Role) -> Result<Change, AdminError> {
    let address = EmailAddress::parse(email).map_err(|rule| AdminError::NoAddress(email.to_owned(), rule))?;
    let mut lease = db.acquire(&Admission::within(Class::Normal, LIMIT)).await?;
    let mut tx = lease.begin().await?;
    let written = write(&mut tx, &address, role).await;
    let Some(entry) = tx.end(written).await? else { return Ok(Change::None) };
    drop(lease);
    entry.announce();
    Ok(Change::Made)
}

/// What is to be announced; nothing where it was so before.
async fn write(tx: &mut Tx<'_>, address: &EmailAddress, role: Role) -> Result<Option<Entry>, AdminError> {
    let owner = || address.typed().to_owned();
    let found = store::users::lock_role(&mut tx.conn(), address).await?;
    let standing = found.ok_or_else(|| AdminError::NoAccount(owner()))?;
    if standing.role == role {
        return Ok(None);
    }
    if standing.disabled && role == Role::Admin {
        return Err(AdminError::Disabled(owner()));
    }
    store::users::set_role(&mut tx.conn(), standing.id, role).await?;
    if role == Role::Customer {
        let now = OffsetDateTime::now_utc();
        store::sessions::revoke_all(&mut tx.conn(), standing.id, None, "no admin any more", now).await?;
    }
    let action = if role == Role::Admin { "admin.grant" } else { "admin.revoke" };
    let entry = Entry::by_operator(action, "user", standing.id)
        .before(&json!({ "role": standing.role.name() }))
        .after(&json!({ "role": role.name() }));
    audit::record(&mut tx.conn(), &entry).await?;
    Ok(Some(entry))
}
