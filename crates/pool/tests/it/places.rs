//! Callers who find a free place are served, as they are by sqlx's own pool on the same server.

use std::time::Duration;

use forebay_pool::{AcquireError, Class, Config, Pool, Resize, Rules};
use futures_util::future::join_all;
use sqlx::postgres::PgPoolOptions;
use sqlx::{Executor, PgConnection, PgPool, Postgres};

use crate::{Site, admission};

/// Ten places that stay ten, and no connection without traffic.
async fn ten(rules: Rules) -> (Site, PgPool) {
    let rules = Rules { min_idle: 0, initial_limit: 10, ceiling: 20, ..rules };
    let site = Site::with(Config { rules, ..Config::named("test") }).await;
    site.pool.resize(Resize { limit: Some(10), ..Resize::default() }).expect("within bounds");
    let stock = PgPoolOptions::new().max_connections(10).connect_lazy_with(site.database.options());
    (site, stock)
}

async fn hold(conn: &mut PgConnection, seconds: f64) {
    let sleep = sqlx::query::<Postgres>("select pg_sleep($1)").bind(seconds);
    conn.execute(sleep).await.expect("the server runs");
}

/// So many at once: how many of them had a connection, on sqlx's pool and on ours, and why the others had none.
async fn served(stock: &PgPool, pool: &Pool, callers: u32, seconds: f64) -> (usize, usize, Vec<AcquireError>) {
    let of_stock = join_all((0..callers).map(|_| async {
        let mut conn = stock.acquire().await?;
        hold(&mut conn, seconds).await;
        Ok::<_, sqlx::Error>(())
    }));
    let of_ours = join_all((0..callers).map(|_| async {
        let mut lease = pool.acquire(&admission(Class::Normal)).await?;
        lease.execute(sqlx::query::<Postgres>("select pg_sleep($1)").bind(seconds)).await.expect("the server runs");
        Ok::<_, AcquireError>(())
    }));
    let (of_stock, of_ours) = tokio::join!(of_stock, of_ours);
    let refused: Vec<_> = of_ours.into_iter().filter_map(Result::err).collect();
    (of_stock.iter().filter(|one| one.is_ok()).count(), callers as usize - refused.len(), refused)
}

#[tokio::test]
async fn nine_callers_of_an_idle_pool_of_ten_are_served_whatever_is_known_of_holds() {
    for seconds in [0.1, 0.2, 0.5] {
        let (site, stock) = ten(Rules::default()).await;
        for callers in [2, 2, 9] {
            let (of_stock, of_ours, refused) = served(&stock, &site.pool, callers, seconds).await;
            assert_eq!((of_stock, of_ours), (callers as usize, callers as usize), "{seconds} s: {refused:?}");
        }
    }
}

#[tokio::test]
async fn callers_who_come_one_by_one_and_hold_for_long_are_served_until_all_places_are_taken() {
    let (site, stock) = ten(Rules::default()).await;
    site.pool.ready(Duration::from_secs(10)).await.expect("the server runs");
    for _ in 0..3 {
        assert_eq!(served(&stock, &site.pool, 1, 1.5).await.1, 1);
    }
    let (pool, start) = (&site.pool, tokio::time::Instant::now());
    let each = join_all((0..10u32).map(|nth| async move {
        tokio::time::sleep_until(start + Duration::from_millis(100) * nth).await;
        let mut lease = pool.acquire(&admission(Class::Normal)).await?;
        lease.execute("select pg_sleep(1.5)").await.expect("the server runs");
        Ok::<_, AcquireError>(())
    }));
    let refused: Vec<_> = each.await.into_iter().filter_map(Result::err).collect();
    assert!(refused.is_empty(), "{refused:?}");
}

#[tokio::test]
async fn connections_that_are_to_be_checked_serve_as_many_as_they_are() {
    // Held for longer than anybody waits for a connection, and with time left until their deadline.
    let hold = 3.0;
    let (site, stock) = ten(Rules { check_after_idle: Duration::ZERO, ..Rules::default() }).await;
    for callers in [8, 8] {
        let (of_stock, of_ours, refused) = served(&stock, &site.pool, callers, hold).await;
        assert_eq!((of_stock, of_ours), (8, 8), "{refused:?}");
    }
}
