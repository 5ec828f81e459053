use forebay_platform::db::Conn;
use sqlx::Error;
use time::OffsetDateTime;
use uuid::Uuid;

/// Where events are sent, and what signs them.
#[derive(Debug)]
pub(crate) struct Receiver {
    pub(crate) id: Uuid,
    pub(crate) url: String,
    pub(crate) secret: String,
    pub(crate) previous_secret: Option<String>,
    pub(crate) previous_until: Option<OffsetDateTime>,
    pub(crate) failures: i32,
}

impl Receiver {
    /// What a log may show of its address: many have a secret in the path or the query.
    pub(crate) fn host(&self) -> &str {
        let (_, rest) = self.url.split_once("://").unwrap_or_default();
        rest.split(['/', '?']).next().unwrap_or_default()
    }
}

/// A subscriber as an operator sees it.
#[derive(Debug)]
pub(crate) struct Listed {
    pub(crate) id: Uuid,
    pub(crate) url: String,
    pub(crate) topics: Vec<String>,
    pub(crate) state: String,
    pub(crate) failures: i32,
    pub(crate) waiting: i64,
    pub(crate) dead: i64,
    /// What came of the last attempt at the oldest event that it has not.
    pub(crate) said: Option<String>,
}

pub(crate) async fn insert(
    conn: &mut Conn<'_>,
    id: Uuid,
    url: &str,
    topics: &[String],
    secret: &str,
    now: OffsetDateTime,
) -> Result<(), Error> {
    sqlx::query!(
        "insert into checkout.subscribers (id, url, topics, secret, created_at) values ($1, $2, $3, $4, $5)",
        id,
        url,
        topics,
        secret,
        now,
    )
    .execute(conn)
    .await?;
    Ok(())
}

pub(crate) async fn list(conn: &mut Conn<'_>) -> Result<Vec<Listed>, Error> {
    sqlx::query_as!(
        Listed,
        r#"
        select s.id, s.url, s.topics, s.state, s.failures, d.waiting as "waiting!", d.dead as "dead!", d.said
        from checkout.subscribers s
        cross join lateral (
            select count(*) filter (where state = 'waiting') as waiting, count(*) filter (where state = 'dead') as dead,
                   (array_agg(said order by event) filter (where said is not null))[1] as said
            from checkout.deliveries where subscriber_id = s.id and state in ('waiting', 'dead')
        ) d
        order by s.created_at, s.id
        "#,
    )
    .fetch_all(conn)
    .await
}

/// Those that something is due for and that it may be sent to now.
pub(crate) async fn due(conn: &mut Conn<'_>, now: OffsetDateTime) -> Result<Vec<Uuid>, Error> {
    sqlx::query_scalar!(
        r#"
        select s.id from checkout.subscribers s
        where s.state = 'active' and (s.probe_at is null or s.probe_at <= $1) and exists (
            select from checkout.deliveries d where d.subscriber_id = s.id and d.state = 'waiting' and d.due_at <= $1
        )
        order by s.id
        "#,
        now,
    )
    .fetch_all(conn)
    .await
}

/// None while nothing may be sent to it.
pub(crate) async fn receiver(conn: &mut Conn<'_>, id: Uuid, now: OffsetDateTime) -> Result<Option<Receiver>, Error> {
    sqlx::query_as!(
        Receiver,
        r#"
        select id, url, secret, previous_secret, previous_until, failures from checkout.subscribers
        where id = $1 and state = 'active' and (probe_at is null or probe_at <= $2)
        "#,
        id,
        now,
    )
    .fetch_optional(conn)
    .await
}

/// True for the one that may try, until then, whether a silent receiver answers again.
pub(crate) async fn take_probe(
    conn: &mut Conn<'_>,
    id: Uuid,
    now: OffsetDateTime,
    until: OffsetDateTime,
) -> Result<bool, Error> {
    let taken = sqlx::query!(
        "update checkout.subscribers set probe_at = $3 where id = $1 and (probe_at is null or probe_at <= $2)",
        id,
        now,
        until,
    );
    Ok(taken.execute(conn).await?.rows_affected() == 1)
}

/// It answered, whatever it was.
pub(crate) async fn note_answer(conn: &mut Conn<'_>, id: Uuid) -> Result<(), Error> {
    sqlx::query!("update checkout.subscribers set failures = 0, probe_at = null where id = $1 and failures > 0", id)
        .execute(conn)
        .await?;
    Ok(())
}

/// It did not answer; from `enough` times in a row on nothing is sent to it before `probe_at`. Says how often that was.
pub(crate) async fn note_silence(
    conn: &mut Conn<'_>,
    id: Uuid,
    enough: i32,
    probe_at: OffsetDateTime,
) -> Result<Option<i32>, Error> {
    sqlx::query_scalar!(
        r#"
        update checkout.subscribers
        set failures = failures + 1, probe_at = case when failures + 1 >= $2 then $3 else probe_at end
        where id = $1
        returning failures
        "#,
        id,
        enough,
        probe_at,
    )
    .fetch_optional(conn)
    .await
}

/// False where there is no such subscriber; so below.
pub(crate) async fn pause(conn: &mut Conn<'_>, id: Uuid) -> Result<bool, Error> {
    let paused = sqlx::query!("update checkout.subscribers set state = 'paused' where id = $1", id);
    Ok(paused.execute(conn).await?.rows_affected() == 1)
}

/// As if it had always answered.
pub(crate) async fn resume(conn: &mut Conn<'_>, id: Uuid) -> Result<bool, Error> {
    let resumed = sqlx::query!(
        "update checkout.subscribers set state = 'active', failures = 0, probe_at = null where id = $1",
        id
    );
    Ok(resumed.execute(conn).await?.rows_affected() == 1)
}

/// The present secret goes on to sign until then.
pub(crate) async fn change_secret(
    conn: &mut Conn<'_>,
    id: Uuid,
    secret: &str,
    previous_until: OffsetDateTime,
) -> Result<bool, Error> {
    let changed = sqlx::query!(
        r#"
        update checkout.subscribers set previous_secret = secret, previous_until = $3, secret = $2 where id = $1
        "#,
        id,
        secret,
        previous_until,
    );
    Ok(changed.execute(conn).await?.rows_affected() == 1)
}

/// With all that it has not been told of.
pub(crate) async fn delete(conn: &mut Conn<'_>, id: Uuid) -> Result<bool, Error> {
    let deleted = sqlx::query!("delete from checkout.subscribers where id = $1", id);
    Ok(deleted.execute(conn).await?.rows_affected() == 1)
}

pub(crate) async fn exists(conn: &mut Conn<'_>, id: Uuid) -> Result<bool, Error> {
    let found = sqlx::query_scalar!("select id from checkout.subscribers where id = $1", id);
    Ok(found.fetch_optional(conn).await?.is_some())
}
