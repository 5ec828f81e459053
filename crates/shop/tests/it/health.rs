//! The health check of a container.

use std::path::Path;

use rustix::process::Signal;

use crate::process::{Shop, eventually, home, run, service, shop};

/// Exit status and what was said.
async fn health(home: &Path, admin: &str) -> (Option<i32>, String) {
    let mut command = shop(home, &[("FOREBAY_ADMIN", admin)]);
    command.arg("health");
    let (status, out, err) = run(command).await;
    assert_eq!(err, "");
    (status.code(), out)
}

#[tokio::test]
async fn it_is_ready_then_draining_then_gone() {
    let (home, database) = (home(), crate::serve::filled().await);
    let settings = [("FOREBAY_DRAIN_DELAY_MS", "80000")];
    let catalog = Shop::start(home.path(), service(home.path(), "catalog", database.url(), &settings)).await;
    let port = catalog.admin_address.rsplit_once(':').unwrap().1;
    let everywhere = format!("0.0.0.0:{port}");
    let (home, everywhere) = (home.path(), everywhere.as_str());
    eventually("it is ready", || async { health(home, everywhere).await == (Some(0), "ready\n".to_owned()) }).await;
    catalog.send(Signal::TERM);
    let draining = (Some(1), "draining\n".to_owned());
    eventually("it is draining", || async { health(home, everywhere).await == draining }).await;
    catalog.send(Signal::TERM);
    assert!(catalog.ended().await.0.success());
    let (status, said) = health(home, everywhere).await;
    assert!(
        status == Some(1) && said.contains("no answer from http://127.0.0.1:") && said.lines().count() == 1,
        "{said}"
    );
}

#[tokio::test]
async fn an_address_that_is_none_is_unhealthy_and_no_other_status() {
    let (status, said) = health(home().path(), "localhost").await;
    assert!(status == Some(1) && said.contains("FOREBAY_ADMIN=localhost"), "{said}");
}
