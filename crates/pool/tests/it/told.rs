//! What the pool tells of its leases: who holds one, what they run, and what each call site has done.

use std::time::Duration;

use forebay_pool::{Class, Rules};
use sqlx::{AssertSqlSafe, Executor};
use tokio::time::{Instant, sleep_until, timeout};

use crate::{Site, admission, rules};

#[tokio::test]
async fn a_holder_is_shown_with_its_last_statement_and_not_with_the_values_in_it() {
    let site = Site::new(rules()).await;
    let line = line!() + 1;
    let mut lease = site.pool.acquire(&admission(Class::Normal)).await.expect("free");
    assert!(site.pool.holders()[0].runs.is_none(), "it has run nothing");
    sqlx::query("select $1::int8 -- a number").bind(1_i64).execute(&mut *lease).await.expect("answers");
    (&mut *lease).execute(AssertSqlSafe(format!("select '{}'", "secret"))).await.expect("answers");
    let mut tx = lease.begin().await.expect("begins");
    let of_before = site.pool.holders().remove(0);
    assert_eq!(
        of_before.runs.expect("it ran two").to_string(),
        "select ?",
        "a BEGIN of the pool's own is not its holder's"
    );
    let slow = sqlx::query("select pg_sleep(10), $1::int8").bind(1_i64);
    timeout(Duration::from_millis(20), slow.execute(&mut *tx)).await.expect_err("it takes longer");
    let holder = site.pool.holders().remove(0);
    assert_eq!(holder.runs.expect("it runs one").to_string(), "select pg_sleep(?), $1::int8");
    assert!(holder.site.file().ends_with("told.rs") && holder.site.line() == line, "{}", holder.site);
}

#[tokio::test]
async fn a_call_site_is_told_with_its_leases_and_how_long_they_ran_nothing() {
    let site = Site::new(rules()).await;
    let began = Instant::now();
    for _ in 0..2 {
        let mut lease = site.pool.acquire(&admission(Class::Normal)).await.expect("free");
        sqlx::query("select 1").execute(&mut *lease).await.expect("answers");
        sleep_until(Instant::now() + Duration::from_millis(20)).await;
        sqlx::query("select 1").execute(&mut *lease).await.expect("answers");
        sleep_until(Instant::now() + Duration::from_millis(20)).await;
    }
    let most = began.elapsed();
    sqlx::query("select 2").execute(&site.pool).await.expect("answers");
    let told = site.pool.sites();
    assert_eq!(
        told.iter().map(|site| site.leases).collect::<Vec<_>>(),
        [2, 1],
        "those of the longest leases come first"
    );
    let first = &told[0];
    assert!(first.idle >= Duration::from_millis(80) && first.idle < first.held && first.held <= most, "{first:?}");
    assert!(first.longest * 2 >= first.held && first.longest < first.held, "{first:?}");
    assert_eq!((first.taken_back, site.pool.waits().count()), (0, 3));
}

#[tokio::test]
async fn a_lease_that_was_taken_back_is_told_at_its_call_site_with_what_it_had_run() {
    let rules =
        Rules { suspect_after: Duration::from_millis(50), revoke_after: Some(Duration::from_millis(100)), ..rules() };
    let site = Site::new(rules).await;
    let line = line!() + 1;
    let mut kept = site.pool.acquire(&admission(Class::Normal)).await.expect("free");
    sqlx::query("select 'and never back'").execute(&mut *kept).await.expect("answers");
    site.until("taken back", |snapshot| snapshot.totals.revoked == 1 && snapshot.suspects == 0).await;
    drop(kept);
    let told = site.pool.sites();
    assert_eq!((told.len(), told[0].leases, told[0].taken_back), (1, 1, 1), "it is counted once");
    assert_eq!(told[0].site.line(), line);
    let last = told[0].last_taken_back.as_ref().expect("one was");
    assert_eq!(last.runs.as_ref().expect("it ran one").to_string(), "select ?");
    assert!(last.held_idle >= Duration::from_millis(100) && last.held >= last.held_idle, "{last:?}");
    assert!(told[0].idle >= last.held_idle, "{told:?}");
}
