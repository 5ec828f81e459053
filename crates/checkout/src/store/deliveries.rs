use forebay_platform::db::Conn;
use sqlx::Error;
use time::OffsetDateTime;
use uuid::Uuid;

/// An event that is this process's to send until its lease ends.
#[derive(Debug)]
pub(crate) struct Claimed {
    pub(crate) subscriber_id: Uuid,
    pub(crate) event: i64,
    pub(crate) event_id: Uuid,
    pub(crate) topic: String,
    pub(crate) order_id: Uuid,
    /// The body, the same text every time.
    pub(crate) payload: String,
    /// How often it was tried, this time included.
    pub(crate) attempts: i32,
}

/// What becomes of a delivery that failed.
#[derive(Debug)]
pub(crate) enum Next {
    Again { at: OffsetDateTime },
    Dead,
}

/// What is on its way, in numbers.
#[derive(Debug)]
pub(crate) struct Backlog {
    /// When the oldest event happened that somebody has still to be told of.
    pub(crate) oldest: Option<OffsetDateTime>,
    pub(crate) dead: i64,
}

/// Writes a delivery of each new event for each subscriber that wants it; says how many events those were.
///
/// New is what was not published, never what has a greater id than the last: an id is given before its commit. Two at once
/// wait for each other, so that no later event of an order is seen here before an earlier one.
pub(crate) async fn fan_out(conn: &mut Conn<'_>, now: OffsetDateTime, batch: i64) -> Result<u64, Error> {
    let published = sqlx::query!(
        r#"
        with fresh as materialized (
            select id, topic, key from checkout.outbox where published_at is null order by id limit $2 for update
        ),
        written as (
            insert into checkout.deliveries (subscriber_id, event, key, due_at)
            select s.id, f.id, f.key, $1
            from fresh f
            join checkout.subscribers s on checkout.topic_is_wanted(s.topics, f.topic)
            on conflict do nothing
        )
        update checkout.outbox o set published_at = $1 from fresh f where o.id = f.id
        "#,
        now,
        batch,
    )
    .execute(conn)
    .await?;
    Ok(published.rows_affected())
}

/// Takes the next events for a subscriber: of each order the first that it was not told of, until `lease_end`.
pub(crate) async fn claim(
    conn: &mut Conn<'_>,
    subscriber_id: Uuid,
    now: OffsetDateTime,
    lease_end: OffsetDateTime,
    limit: i64,
) -> Result<Vec<Claimed>, Error> {
    sqlx::query_as!(
        Claimed,
        r#"
        with next as materialized (
            select d.event from checkout.deliveries d
            where d.subscriber_id = $1 and d.state = 'waiting' and d.due_at <= $2 and not exists (
                select from checkout.deliveries earlier
                where earlier.subscriber_id = $1 and earlier.key = d.key and earlier.event < d.event
                  and earlier.state in ('waiting', 'dead')
            )
            order by d.due_at, d.event limit $4 for update skip locked
        )
        update checkout.deliveries d set attempts = d.attempts + 1, due_at = $3
        from next n
        join checkout.outbox o on o.id = n.event
        where d.subscriber_id = $1 and d.event = n.event
        returning d.subscriber_id, d.event, o.event_id, o.topic, o.key as order_id, o.payload::text as "payload!",
                  d.attempts
        "#,
        subscriber_id,
        now,
        lease_end,
        limit,
    )
    .fetch_all(conn)
    .await
}

/// It has it, whoever sent it.
pub(crate) async fn delivered(conn: &mut Conn<'_>, claimed: &Claimed, said: &str) -> Result<(), Error> {
    sqlx::query!(
        r#"
        update checkout.deliveries set state = 'delivered', said = $3
        where subscriber_id = $1 and event = $2 and state = 'waiting'
        "#,
        claimed.subscriber_id,
        claimed.event,
        said,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Nothing is written, and it is false, where the lease ended and somebody else tries it.
pub(crate) async fn failed(conn: &mut Conn<'_>, claimed: &Claimed, next: &Next, said: &str) -> Result<bool, Error> {
    let (state, due_at) = match next {
        Next::Again { at } => ("waiting", Some(*at)),
        Next::Dead => ("dead", None),
    };
    let failed = sqlx::query!(
        r#"
        update checkout.deliveries set state = $4, due_at = coalesce($5, due_at), said = $6
        where subscriber_id = $1 and event = $2 and attempts = $3 and state = 'waiting'
        "#,
        claimed.subscriber_id,
        claimed.event,
        claimed.attempts,
        state,
        due_at,
        said,
    )
    .execute(conn)
    .await?;
    Ok(failed.rows_affected() == 1)
}

/// Everything that was given up is tried again.
pub(crate) async fn replay_dead(conn: &mut Conn<'_>, subscriber_id: Uuid, now: OffsetDateTime) -> Result<u64, Error> {
    let replayed = sqlx::query!(
        r#"
        update checkout.deliveries set state = 'waiting', attempts = 0, due_at = $2
        where subscriber_id = $1 and state = 'dead'
        "#,
        subscriber_id,
        now,
    )
    .execute(conn)
    .await?;
    Ok(replayed.rows_affected())
}

/// Everything that was published since then and is wanted is sent, again or for the first time.
pub(crate) async fn replay_since(
    conn: &mut Conn<'_>,
    subscriber_id: Uuid,
    since: OffsetDateTime,
    now: OffsetDateTime,
) -> Result<u64, Error> {
    let replayed = sqlx::query!(
        r#"
        insert into checkout.deliveries (subscriber_id, event, key, due_at)
        select s.id, o.id, o.key, $3
        from checkout.subscribers s
        join checkout.outbox o on checkout.topic_is_wanted(s.topics, o.topic)
        where s.id = $1 and o.created_at >= $2 and o.published_at is not null
        order by o.id
        on conflict (subscriber_id, event) do update set state = 'waiting', attempts = 0, due_at = excluded.due_at
        where deliveries.state <> 'waiting'
        "#,
        subscriber_id,
        since,
        now,
    )
    .execute(conn)
    .await?;
    Ok(replayed.rows_affected())
}

/// What was given up is left out, of one order or of all, and their later events go on.
pub(crate) async fn skip_dead(conn: &mut Conn<'_>, subscriber_id: Uuid, order_id: Option<Uuid>) -> Result<u64, Error> {
    let skipped = sqlx::query!(
        r#"
        update checkout.deliveries set state = 'skipped'
        where subscriber_id = $1 and state = 'dead' and ($2::uuid is null or key = $2)
        "#,
        subscriber_id,
        order_id,
    )
    .execute(conn)
    .await?;
    Ok(skipped.rows_affected())
}

/// What waits behind something dead is nobody's delay.
pub(crate) async fn backlog(conn: &mut Conn<'_>) -> Result<Backlog, Error> {
    sqlx::query_as!(
        Backlog,
        r#"
        select least(
            (select min(created_at) from checkout.outbox where published_at is null),
            (select min(o.created_at)
             from checkout.deliveries d
             join checkout.subscribers s on s.id = d.subscriber_id and s.state = 'active'
             join checkout.outbox o on o.id = d.event
             where d.state = 'waiting' and not exists (
                 select from checkout.deliveries dead
                 where dead.subscriber_id = d.subscriber_id and dead.key = d.key and dead.state = 'dead'
             ))
        ) as oldest,
        (select count(*) from checkout.deliveries where state = 'dead') as "dead!"
        "#,
    )
    .fetch_one(conn)
    .await
}

/// Deletes a batch of events that were published before then and that nobody waits for, with their deliveries.
pub(crate) async fn forget(conn: &mut Conn<'_>, before: OffsetDateTime, batch: i64) -> Result<u64, Error> {
    let forgotten = sqlx::query!(
        r#"
        with old as materialized (
            select o.id from checkout.outbox o
            where o.published_at < $1 and not exists (
                select from checkout.deliveries d where d.event = o.id and d.state in ('waiting', 'dead')
            )
            order by o.id limit $2 for update skip locked
        )
        delete from checkout.outbox o using old where o.id = old.id
        "#,
        before,
        batch,
    )
    .execute(conn)
    .await?;
    Ok(forgotten.rows_affected())
}
