//! What is past its time is deleted, and nothing else.

use std::time::Duration;

use forebay_auth::{Cleaned, clean};
use time::OffsetDateTime;

use crate::world::{World, token};

/// 5,000 sessions that ended long ago, each with a refresh token of its own.
const OLD: &str = "with sessions as (
    insert into auth.sessions (id, user_id, created_at, last_seen_at, absolute_expires_at)
    select gen_random_uuid(), (select id from auth.users), now() - interval '40 days', now() - interval '30 days',
           now() - interval '10 days'
    from generate_series(1, 5000) returning id
)
insert into auth.refresh_tokens (hash, session_id, issued_at, expires_at)
select sha256(id::text::bytea), id, now() - interval '30 days', now() - interval '16 days' from sessions";

const ROWS: &str = "select (select count(*) from auth.sessions) + (select count(*) from auth.refresh_tokens)";

async fn cleaned(world: &World) -> Cleaned {
    clean(&world.state, OffsetDateTime::now_utc()).await.unwrap()
}

#[tokio::test]
async fn what_is_of_use_is_kept() {
    let world = World::with_ada().await;
    let first = world.login().await;
    let second = token(&world.refresh(&first).await);
    assert_eq!(cleaned(&world).await, Cleaned::default());
    let third = token(&world.refresh(&second).await);
    assert_eq!(cleaned(&world).await, Cleaned::default());
    assert_eq!(world.refresh(&first).await.problem(), (401, "refresh-token-reused"), "its reuse is noticed");
    assert_eq!(world.refresh(&third).await.problem(), (401, "refresh-token-invalid"));
}

#[tokio::test]
async fn what_has_expired_is_answered_as_before_once_it_is_deleted() {
    let world = World::with_ada().await;
    let token = world.login().await;
    world.execute("update auth.refresh_tokens set expires_at = now() - interval '1 second'").await;
    let before = world.refresh(&token).await;
    assert_eq!(before.problem(), (401, "refresh-token-invalid"));
    // The sessions stay: that of the registration, and this one.
    assert_eq!(cleaned(&world).await, Cleaned { tokens: 2, sessions: 0 });
    assert_eq!(world.refresh(&token).await.body, before.body);
    world.execute("update auth.sessions set absolute_expires_at = now() - interval '25 hours'").await;
    assert_eq!(cleaned(&world).await, Cleaned { tokens: 0, sessions: 2 });
}

#[tokio::test]
async fn a_cleaning_that_is_cut_off_is_gone_on_with() {
    let world = World::with_ada().await;
    let kept = world.count(ROWS).await;
    world.execute(OLD).await;
    let before = world.pool.snapshot().totals.granted;
    {
        let half_way = async {
            while world.pool.snapshot().totals.granted < before + 5 {
                tokio::task::yield_now().await;
            }
        };
        tokio::select! {
            biased;
            done = clean(&world.state, OffsetDateTime::now_utc()) => panic!("nothing was left to cut off: {done:?}"),
            in_time = tokio::time::timeout(Duration::from_secs(30), half_way) => in_time.unwrap(),
        }
    }
    let left = world.count(ROWS).await;
    assert!(left > kept && left < kept + 10_000, "{left} rows are left");
    let done = cleaned(&world).await;
    assert_eq!((done.sessions, world.count(ROWS).await), (5_000, kept));
    assert_eq!(cleaned(&world).await, Cleaned::default());
}

#[tokio::test]
async fn several_clean_at_once_and_each_row_once() {
    let world = World::with_ada().await;
    let kept = world.count(ROWS).await;
    world.execute(OLD).await;
    let replicas = [world.replica(), world.replica(), world.replica(), world.replica()];
    let now = OffsetDateTime::now_utc();
    let done = futures_util::future::join_all(replicas.iter().map(|replica| clean(replica, now))).await;
    let tokens: u64 = done.iter().map(|done| done.as_ref().unwrap().tokens).sum();
    assert_eq!(tokens, 5_000);
    cleaned(&world).await;
    assert_eq!(world.count(ROWS).await, kept);
}
