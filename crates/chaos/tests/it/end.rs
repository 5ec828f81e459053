//! However the replay ends, nothing of it stays.

use std::process::Stdio;
use std::time::Duration;

use forebay_chaos::processes::{Process, children};
use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;
use tokio::time::timeout;

use crate::{eventually, program};

/// Starts a replay, waits until shop and Postgres run, and ends it by `signal`. Gives back its exit code.
async fn ended_by(signal: Signal) -> Option<i32> {
    let out = std::env::temp_dir().join(format!("forebay-chaos-end-{}", std::process::id()));
    let mut replay = Command::new(program())
        .args(["replay", "--quick", "--out"])
        .arg(out)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(replay.stdout.take().unwrap()).lines();
    loop {
        let line = timeout(Duration::from_secs(60), lines.next_line()).await.unwrap().unwrap();
        if line.expect("the replay says when it is up").contains("are up") {
            break;
        }
    }
    let pid = replay.id().unwrap();
    let mut family: Vec<Process> = children(pid);
    let grandchildren: Vec<Process> = family.iter().flat_map(|child| children(child.pid)).collect();
    family.extend(grandchildren);
    assert!(family.len() > 3, "shop, postmaster and its children: {family:?}");
    kill_process(Pid::from_raw(i32::try_from(pid).unwrap()).unwrap(), signal).unwrap();
    let status = timeout(Duration::from_secs(30), replay.wait()).await.unwrap().unwrap();
    eventually("all its processes are gone", async || family.iter().all(|process| !process.is_alive())).await;
    status.code()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ctrl_c_stops_everything_and_says_so() {
    assert_eq!(ended_by(Signal::INT).await, Some(130));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_replay_takes_shop_and_postgres_with_it() {
    assert_eq!(ended_by(Signal::KILL).await, None);
}
