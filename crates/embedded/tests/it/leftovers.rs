//! What a killed run leaves, and what the next start makes of it.

use std::{
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use forebay_embedded::{StartError, testing::processes_on};
use rustix::fs::{FlockOperation, flock};

use crate::support::{ask, eventually, home, kill, lives, start, tell};

const HOLD: &str = "FOREBAY_EMBEDDED_TEST_HOLD";
const LIMIT: Duration = Duration::from_secs(20);

/// Not a test of its own: what [`parent_with_a_server`] runs, in a process that can be killed.
#[tokio::test]
async fn holds_a_server_when_told() {
    #[expect(clippy::disallowed_methods, reason = "how this test's parent process speaks to it")]
    let Some(data) = std::env::var_os(HOLD) else {
        return;
    };
    let server = start(Path::new(&data)).await.unwrap();
    eprintln!("pid {}", server.pid());
    std::future::pending::<()>().await;
}

/// A process of its own that runs a server on `data`; and the server's process id.
fn parent_with_a_server(data: &Path) -> (Child, u32) {
    let mut parent = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "leftovers::holds_a_server_when_told", "--nocapture"])
        .env(HOLD, data)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(parent.stderr.take().unwrap()).lines();
    let pid = lines.map_while(Result::ok).find_map(|line| line.strip_prefix("pid ")?.parse().ok());
    (parent, pid.expect("the parent says its server's process id"))
}

#[tokio::test]
async fn a_killed_parent_leaves_no_process_and_the_next_start_works() {
    let home = home();
    let data = home.path().join("pg");
    let (mut parent, postmaster) = parent_with_a_server(&data);
    parent.kill().unwrap();
    parent.wait().unwrap();
    eventually("the guardian stops the server", LIMIT, async || !lives(postmaster)).await;
    eventually("no process is left", LIMIT, async || processes_on(&data).await.is_empty()).await;

    let server = start(&data).await.unwrap();
    assert_eq!(ask(&server, "SELECT 'again'").await, "again");
    server.shutdown().await.unwrap();
}

#[tokio::test]
async fn the_next_start_need_not_wait_for_the_guardian() {
    let home = home();
    let data = home.path().join("pg");
    let (mut parent, _) = parent_with_a_server(&data);
    parent.kill().unwrap();
    parent.wait().unwrap();
    let server = start(&data).await.unwrap();
    assert_eq!(ask(&server, "SELECT 'again'").await, "again");
    server.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_server_killed_with_its_sessions_open_recovers_what_was_committed() {
    let home = home();
    let data = home.path().join("pg");
    let server = start(&data).await.unwrap();
    tell(&server, "CREATE TABLE kept AS SELECT 'committed' AS word").await;
    kill(server.pid());
    assert!(server.ended().await.is_some(), "its end is noticed");
    drop(server);
    assert!(data.join("postmaster.pid").exists(), "a killed server leaves its pid file");

    let server = start(&data).await.unwrap();
    assert_eq!(ask(&server, "SELECT word FROM kept").await, "committed");
    server.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_pid_file_that_names_another_living_program_is_stale() {
    let home = home();
    let data = home.path().join("pg");
    start(&data).await.unwrap().shutdown().await.unwrap();
    let mut other = Command::new("sleep").arg("60").spawn().unwrap();
    let text = format!("{}\n{}\n1700000000\n5432\n/run\n\n\nready   \n", other.id(), data.display());
    std::fs::write(data.join("postmaster.pid"), text).unwrap();

    let server = start(&data).await.unwrap();
    assert!(lives(other.id()), "somebody else's process is left alone");
    assert_eq!(ask(&server, "SELECT 'again'").await, "again");
    server.shutdown().await.unwrap();
    other.kill().unwrap();
    other.wait().unwrap();
}

#[tokio::test]
async fn a_pid_file_that_names_the_server_of_another_folder_is_stale() {
    let home = home();
    let (data, others) = (home.path().join("pg"), home.path().join("others"));
    let other = start(&others).await.unwrap();
    start(&data).await.unwrap().shutdown().await.unwrap();
    std::fs::copy(others.join("postmaster.pid"), data.join("postmaster.pid")).unwrap();

    let server = start(&data).await.unwrap();
    assert_eq!(ask(&other, "SELECT 'undisturbed'").await, "undisturbed");
    assert_eq!(ask(&server, "SELECT 'again'").await, "again");
    server.shutdown().await.unwrap();
    other.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_lock_file_left_beside_the_socket_is_stale() {
    let home = home();
    let data = home.path().join("pg");
    let server = start(&data).await.unwrap();
    let sockets = server.socket_dir().to_owned();
    server.shutdown().await.unwrap();
    std::fs::create_dir(&sockets).unwrap();
    let text = format!("{}\n{}\n1700000000\n5432\n{}\n", std::process::id(), data.display(), sockets.display());
    std::fs::write(sockets.join(".s.PGSQL.5432.lock"), text).unwrap();

    let server = start(&data).await.unwrap();
    assert_eq!(ask(&server, "SELECT 'again'").await, "again");
    server.shutdown().await.unwrap();
}

#[tokio::test]
async fn of_two_starts_at_once_after_a_kill_one_gets_the_folder() {
    let home = home();
    let data = home.path().join("pg");
    let (mut parent, _) = parent_with_a_server(&data);
    parent.kill().unwrap();
    parent.wait().unwrap();
    let (one, other) = tokio::join!(start(&data), start(&data));
    let (server, refused) = match (one, other) {
        (Ok(server), Err(refused)) | (Err(refused), Ok(server)) => (server, refused),
        both => panic!("one of two: {both:?}"),
    };
    assert!(matches!(refused, StartError::Busy { .. }), "{refused}");
    assert_eq!(ask(&server, "SELECT 'again'").await, "again");
    server.shutdown().await.unwrap();
}

/// As a killed process leaves it, whose child had been forked and was not yet another program.
#[tokio::test]
async fn a_lock_that_is_given_back_a_moment_later_is_waited_for() {
    let home = home();
    let data = home.path().join("pg");
    let lock = std::fs::File::create(home.path().join("pg.lock")).unwrap();
    flock(&lock, FlockOperation::NonBlockingLockExclusive).unwrap();
    let mut starting = std::pin::pin!(start(&data));
    tokio::select! {
        biased;
        early = &mut starting => panic!("{early:?}"),
        () = tokio::task::yield_now() => drop(lock),
    }
    starting.await.unwrap().shutdown().await.unwrap();
}

#[tokio::test]
async fn a_half_done_folder_is_made_anew() {
    let home = home();
    let half_done = home.path().join("pg.init-1");
    std::fs::create_dir_all(half_done.join("data/base")).unwrap();
    let server = start(&home.path().join("pg")).await.unwrap();
    assert!(!half_done.exists());
    server.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_throw_away_folder_goes_with_its_server() {
    let server = forebay_embedded::Server::start_temporary(Vec::new(), |_| {}).await.unwrap();
    let (home, pid) = (server.data_dir().parent().unwrap().to_owned(), server.pid());
    assert!(home.exists());
    server.shutdown().await.unwrap();
    assert!(!home.exists() && !lives(pid));
}

#[tokio::test]
async fn databases_of_tests_are_fresh_and_outlive_a_runtime() {
    let made_elsewhere = std::thread::spawn(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(forebay_embedded::testing::database()).url().to_owned()
    });
    let first = made_elsewhere.join().unwrap();
    let second = forebay_embedded::testing::database().await;
    assert_ne!(first, second.url());
    use sqlx::ConnectOptions as _;
    second.options().connect().await.unwrap();
}
