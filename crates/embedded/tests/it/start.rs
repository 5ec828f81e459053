//! What a caller sees of a start.

use std::{os::unix::fs::PermissionsExt as _, process::Command};

use forebay_embedded::{Options, Server, StartError};

use crate::support::{ask, home, options, start, tell};

#[tokio::test]
async fn a_server_finds_its_data_again() {
    let home = home();
    let data = home.path().join("pg");
    let server = start(&data).await.unwrap();
    tell(&server, "CREATE TABLE kept AS SELECT 'forty-two' AS word").await;
    server.shutdown().await.unwrap();
    assert!(!data.join("postmaster.pid").exists(), "a clean stop removes its pid file");

    let server = start(&data).await.unwrap();
    assert_eq!(ask(&server, "SELECT word FROM kept").await, "forty-two");
    assert_eq!(ask(&server, "SHOW server_encoding").await, "UTF8");
    server.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_server_is_durable_unless_told_otherwise() {
    let home = home();
    let server = Server::start(Options::new(home.path().join("pg")), |_| {}).await.unwrap();
    for setting in ["fsync", "full_page_writes", "synchronous_commit"] {
        let sql: &'static str = match setting {
            "fsync" => "SHOW fsync",
            "full_page_writes" => "SHOW full_page_writes",
            _ => "SHOW synchronous_commit",
        };
        assert_eq!(ask(&server, sql).await, "on", "{setting}");
    }
    assert_eq!(ask(&server, "SHOW listen_addresses").await, "");
    server.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_second_start_in_the_same_folder_is_refused() {
    let home = home();
    let data = home.path().join("pg");
    let server = start(&data).await.unwrap();
    let error = start(&data).await.unwrap_err();
    assert!(matches!(error, StartError::Busy { .. }), "{error}");
    assert_eq!(ask(&server, "SELECT 'undisturbed'").await, "undisturbed");
    server.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_path_may_hold_spaces_and_be_long() {
    let home = home();
    let deep = format!("a folder, with \"quotes\"/{}", "deep/".repeat(20));
    let server = start(&home.path().join(deep).join("pg")).await.unwrap();
    assert!(server.socket_dir().as_os_str().len() < 90);
    assert_eq!(ask(&server, "SELECT 'here'").await, "here");
    let sockets = server.socket_dir().to_owned();
    server.shutdown().await.unwrap();
    assert!(!sockets.exists());
}

/// The umask is the whole process's, so the test above runs again in another one.
#[test]
fn a_strict_umask_keeps_the_account_out_of_nothing() {
    let again = ["--exact", "start::a_path_may_hold_spaces_and_be_long"];
    let mut command = Command::new("sh");
    command.args(["-c", "umask 077; exec \"$0\" \"$@\""]).arg(std::env::current_exe().unwrap()).args(again);
    let said = command.output().unwrap();
    let text = String::from_utf8_lossy(&said.stdout);
    assert!(said.status.success() && text.contains("1 passed"), "{text}");
}

#[tokio::test]
async fn a_folder_with_other_files_is_left_alone() {
    let home = home();
    let letters = home.path().join("letters");
    std::fs::create_dir(&letters).unwrap();
    std::fs::write(letters.join("letter.txt"), "dear diary").unwrap();
    let error = start(&letters).await.unwrap_err();
    assert!(matches!(error, StartError::NotAFolderOfOurs(_)), "{error}");
}

#[tokio::test]
async fn a_folder_of_another_version_is_named() {
    let home = home();
    let data = home.path().join("pg");
    std::fs::create_dir(&data).unwrap();
    std::fs::write(data.join("PG_VERSION"), "9\n").unwrap();
    let error = start(&data).await.unwrap_err();
    assert!(error.to_string().contains("Postgres 9"), "{error}");
}

#[tokio::test]
async fn a_folder_that_the_account_cannot_reach_is_named() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let closed = tempfile::tempdir().unwrap();
    std::fs::set_permissions(closed.path(), std::fs::Permissions::from_mode(0o700)).unwrap();
    let error = start(&closed.path().join("pg")).await.unwrap_err();
    assert!(error.to_string().contains("chmod o+x"), "{error}");
    let above = forebay_embedded::closed_above(&closed.path().join("not yet made/pg"));
    assert_eq!(above.as_deref(), Some(closed.path()));
}

#[tokio::test]
async fn a_refused_setting_shows_the_end_of_the_log() {
    let home = home();
    let mut options = options(home.path().join("pg"));
    options.settings = vec![("max_connections".into(), "many".into())];
    let error = Server::start(options, |_| {}).await.unwrap_err().to_string();
    assert!(error.contains("max_connections"), "{error}");
}

#[tokio::test]
async fn a_port_asks_for_the_password() {
    let home = home();
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let server = Server::start(Options { port: Some(port), ..options(home.path().join("pg")) }, |_| {}).await.unwrap();
    let over_tcp =
        sqlx::postgres::PgConnectOptions::new().host("127.0.0.1").port(port).username("forebay").database("postgres");
    let refused = over_tcp.clone().password("a guess");
    use sqlx::ConnectOptions as _;
    assert!(refused.connect().await.is_err());
    over_tcp.password(&server.password().unwrap()).connect().await.unwrap();
    assert_eq!(ask(&server, "SELECT 'by socket'").await, "by socket");
    server.shutdown().await.unwrap();
}
