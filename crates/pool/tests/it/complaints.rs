//! What users of other pools complain of. `docs/complaints.md` answers one by one, and names a test for each answer.

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use forebay_pool::{Class, Mode, Resize, Rules};
use futures_util::FutureExt;
use sqlx::Connection;

use crate::{Site, admission, rules};

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The sections of the page, each with its heading.
fn sections(page: &str) -> Vec<&str> {
    page.split("\n## ").skip(1).filter(|section| section.starts_with(|first: char| first.is_ascii_digit())).collect()
}

/// What a section names as `path/to/file.rs::name`.
fn named(section: &str) -> Vec<(&str, &str)> {
    section
        .split('`')
        .skip(1)
        .step_by(2)
        .filter_map(|code| code.split_once("::"))
        .filter(|(path, _)| path.ends_with(".rs"))
        .collect()
}

#[test]
fn every_complaint_has_an_answer_and_every_test_that_it_names_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let page = read(&root.join("docs/complaints.md"));
    let sections = sections(&page);
    assert_eq!(sections.len(), 37);
    for section in sections {
        let heading = section.lines().next().unwrap_or_default();
        let tests = named(section);
        assert!(section.contains("https://"), "{heading}: no link");
        assert!(section.contains("Shown by:"), "{heading}: shown by nothing");
        assert!(!tests.is_empty() || section.contains("not yet"), "{heading}: neither a test nor 'not yet'");
        for (path, name) in tests {
            let found = read(&root.join("crates").join(path)).contains(&format!("fn {name}("));
            assert!(found, "{heading}: there is no {name} in crates/{path}");
        }
    }
}

#[tokio::test]
async fn callers_that_give_up_make_nobody_connect_again() {
    let site = Site::new(rules()).await;
    for round in 0..500_u32 {
        let mut acquire = site.pool.acquire(&admission(Class::Normal));
        let held = (&mut acquire).now_or_never();
        if round % 3 == 0 {
            tokio::task::yield_now().await;
        }
        drop((acquire, held));
    }
    let snapshot = site.until("nothing is under way", |snapshot| snapshot.opening == 0 && snapshot.waiting == 0).await;
    assert!(snapshot.totals.opened <= u64::from(rules().ceiling), "{snapshot:?}");
    assert_eq!(snapshot.totals.closed, 0, "what was opened is kept");
}

#[tokio::test]
async fn nobody_overtakes_who_came_before() {
    let site = Site::new(Rules { mode: Mode::Off, ..rules() }).await;
    site.pool.resize(Resize { limit: Some(1), ..Resize::default() }).expect("within bounds");
    let mut held = Some(site.pool.acquire(&admission(Class::Normal)).await.expect("free"));
    let order = Arc::new(Mutex::new(Vec::new()));
    let mut tasks = Vec::new();
    for turn in 0..20 {
        let (acquire, order) = (site.pool.acquire(&admission(Class::Normal)), Arc::clone(&order));
        tasks.push(tokio::spawn(async move {
            let lease = acquire.await.expect("its turn comes");
            order.lock().expect("no panic").push(turn);
            drop(lease);
        }));
        site.until("it waits", |snapshot| snapshot.waiting == turn + 1).await;
    }
    drop(held.take());
    // A newcomer finds the connection granted already, though whoever got it has not run yet.
    assert!(site.pool.try_acquire(&admission(Class::Normal)).is_none());
    for task in tasks {
        task.await.expect("not cancelled");
    }
    assert_eq!(*order.lock().expect("no panic"), (0..20).collect::<Vec<_>>());
}

#[tokio::test]
async fn whoever_waits_for_a_connection_that_cannot_be_opened_gets_one_that_comes_back() {
    let site = Site::new(Rules { mode: Mode::Off, ..rules() }).await;
    let held = site.pool.acquire(&admission(Class::Normal)).await.expect("free");
    // From here on the server lets nobody into this database.
    let mut outside = site.outside().await;
    let name: String = sqlx::query_scalar("select current_database()").fetch_one(&mut outside).await.expect("answers");
    let mut elsewhere =
        sqlx::PgConnection::connect_with(&site.database.options().database("postgres")).await.expect("the server runs");
    let closed = format!("alter database {name} allow_connections false");
    sqlx::raw_sql(sqlx::AssertSqlSafe(closed)).execute(&mut elsewhere).await.expect("a superuser may");
    let waiting = tokio::spawn(site.pool.acquire(&admission(Class::Normal)));
    site.until("an attempt has failed", |snapshot| snapshot.totals.open_failed > 0).await;
    drop(held);
    let lease = waiting.await.expect("not cancelled").expect("the one that came back");
    drop(lease);
    assert_eq!(site.pool.snapshot().totals.opened, 1);
}

#[tokio::test]
async fn light_traffic_does_not_keep_what_a_burst_has_opened() {
    let rules = Rules { idle_timeout: Duration::from_millis(300), ..rules() };
    let site = Site::new(rules).await;
    let burst = (0..4).map(|_| site.pool.acquire(&admission(Class::Normal)));
    let burst = futures_util::future::join_all(burst).await;
    assert!(burst.iter().all(Result::is_ok));
    drop(burst);
    let end = tokio::time::Instant::now() + Duration::from_secs(20);
    while site.pool.snapshot().open() > 1 {
        assert!(tokio::time::Instant::now() < end, "{:?}", site.pool.snapshot());
        sqlx::query("select 1").execute(&site.pool).await.expect("answers");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
