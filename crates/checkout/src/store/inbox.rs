use forebay_platform::db::Conn;
use sqlx::Error;
use time::OffsetDateTime;

/// Notes that a message came. False where it came before; waits for a transaction that is taking the same one.
pub(crate) async fn note(conn: &mut Conn<'_>, source: &str, id: &str, now: OffsetDateTime) -> Result<bool, Error> {
    let noted = sqlx::query!(
        r#"
        insert into checkout.inbox (source, event_id, received_at) values ($1, $2, $3)
        on conflict (source, event_id) do nothing
        "#,
        source,
        id,
        now,
    )
    .execute(conn)
    .await?;
    Ok(noted.rows_affected() == 1)
}

/// Deletes a batch of what came before that moment: nobody sends it again.
pub(crate) async fn forget(conn: &mut Conn<'_>, before: OffsetDateTime, batch: i64) -> Result<u64, Error> {
    let forgotten = sqlx::query!(
        r#"
        with old as materialized (
            select source, event_id from checkout.inbox
            where received_at < $1
            order by received_at limit $2 for update skip locked
        )
        delete from checkout.inbox i using old where i.source = old.source and i.event_id = old.event_id
        "#,
        before,
        batch,
    )
    .execute(conn)
    .await?;
    Ok(forgotten.rows_affected())
}
