use forebay_platform::address::Address;
use forebay_platform::db::Conn;
use sqlx::Error;
use uuid::Uuid;

use crate::domain::SavedAddress;

/// All of a user's, the oldest first.
pub(crate) async fn all(conn: &mut Conn<'_>, user_id: Uuid) -> Result<Vec<SavedAddress>, Error> {
    let rows = sqlx::query_as!(
        Row,
        r#"
        select id, name, line1, line2, city, postal_code, country from auth.addresses where user_id = $1 order by id
        "#,
        user_id,
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(SavedAddress::from).collect())
}

pub(crate) async fn find(conn: &mut Conn<'_>, user_id: Uuid, id: Uuid) -> Result<Option<SavedAddress>, Error> {
    let row = sqlx::query_as!(
        Row,
        r#"
        select id, name, line1, line2, city, postal_code, country from auth.addresses where user_id = $1 and id = $2
        "#,
        user_id,
        id,
    )
    .fetch_optional(conn)
    .await?;
    Ok(row.map(SavedAddress::from))
}

/// How many a user has. Lock the user first, or the number may be another one by the time that it is acted upon.
pub(crate) async fn count(conn: &mut Conn<'_>, user_id: Uuid) -> Result<i64, Error> {
    let row = sqlx::query!(r#"select count(*) as "count!" from auth.addresses where user_id = $1"#, user_id)
        .fetch_one(conn)
        .await?;
    Ok(row.count)
}

pub(crate) async fn insert(conn: &mut Conn<'_>, user_id: Uuid, saved: &SavedAddress) -> Result<(), Error> {
    let Address { name, line1, line2, city, postal_code, country } = &saved.address;
    sqlx::query!(
        r#"
        insert into auth.addresses (id, user_id, name, line1, line2, city, postal_code, country)
        values ($1, $2, $3, $4, $5, $6, $7, $8)
        "#,
        saved.id,
        user_id,
        name,
        line1,
        line2.as_deref(),
        city,
        postal_code,
        country,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// False where the user has no such address.
pub(crate) async fn replace(conn: &mut Conn<'_>, user_id: Uuid, saved: &SavedAddress) -> Result<bool, Error> {
    let Address { name, line1, line2, city, postal_code, country } = &saved.address;
    let replaced = sqlx::query!(
        r#"
        update auth.addresses
        set name = $3, line1 = $4, line2 = $5, city = $6, postal_code = $7, country = $8
        where user_id = $1 and id = $2
        "#,
        user_id,
        saved.id,
        name,
        line1,
        line2.as_deref(),
        city,
        postal_code,
        country,
    )
    .execute(conn)
    .await?;
    Ok(replaced.rows_affected() == 1)
}

/// False where the user has no such address.
pub(crate) async fn remove(conn: &mut Conn<'_>, user_id: Uuid, id: Uuid) -> Result<bool, Error> {
    let removed =
        sqlx::query!("delete from auth.addresses where user_id = $1 and id = $2", user_id, id).execute(conn).await?;
    Ok(removed.rows_affected() == 1)
}

struct Row {
    id: Uuid,
    name: String,
    line1: String,
    line2: Option<String>,
    city: String,
    postal_code: String,
    country: String,
}

impl From<Row> for SavedAddress {
    fn from(row: Row) -> Self {
        let Row { id, name, line1, line2, city, postal_code, country } = row;
        Self { id, address: Address { name, line1, line2, city, postal_code, country } }
    }
}
