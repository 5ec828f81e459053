//! A test process on a container leaves neither the container nor its volume, however it ends. These tests only run where
//! `FOREBAY_TEST_SERVER=container` asks for containers.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::{
    io::{BufRead as _, BufReader, Write as _},
    process::{Child, Command, Stdio},
    time::Duration,
};

use forebay_embedded::testing::database;

const HOLD: &str = "FOREBAY_EMBEDDED_TEST_HOLD";
const LIMIT: Duration = Duration::from_secs(60);

#[expect(clippy::disallowed_methods, reason = "how one chooses, and how these tests speak to their child processes")]
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// Whether containers are asked for. Says loudly where they are not.
#[expect(clippy::explicit_write, reason = "what eprintln! says in a test that passes is not shown")]
fn asked_for(test: &str) -> bool {
    let asked = variable("FOREBAY_TEST_SERVER").is_some_and(|server| server == "container");
    if !asked {
        writeln!(std::io::stderr(), "SKIPPED: {test}: it needs FOREBAY_TEST_SERVER=container").unwrap();
    }
    asked
}

/// Not a test of its own: what [`Holder`] runs, in a process that can be killed.
#[tokio::test]
async fn holds_a_database_when_told() {
    let Some(told) = variable(HOLD) else {
        return;
    };
    database().await;
    eprintln!("ready");
    if told == "on" {
        std::future::pending::<()>().await;
    }
}

/// A process of its own with a database, and so with a container; killed when dropped.
struct Holder(Child);

impl Holder {
    /// One that holds `on` until it is killed, or ends after `a moment`.
    fn start(how: &str) -> Self {
        let child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "holds_a_database_when_told", "--nocapture"])
            .env(HOLD, how)
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn();
        Self(child.unwrap())
    }

    fn is_ready(&mut self) {
        let mut said = BufReader::new(self.0.stderr.take().unwrap()).lines().map_while(Result::ok);
        let mut before = Vec::new();
        let ready = said.any(|line| {
            before.push(line);
            before.last().is_some_and(|line| line == "ready")
        });
        assert!(ready, "it ended: {before:#?}");
    }

    /// The names of its containers, running or not.
    fn containers(&self) -> Vec<String> {
        let name = format!("name=forebay-test-{}-", self.0.id());
        words(&docker(&["ps", "--all", "--filter", &name, "--format", "{{.Names}}"]).unwrap())
    }

    fn kill(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        _ = self.0.kill();
        _ = self.0.wait();
    }
}

/// What `docker` says, where it succeeds.
fn docker(arguments: &[&str]) -> Option<String> {
    let said = Command::new("docker").args(arguments).output().unwrap();
    said.status.success().then(|| String::from_utf8(said.stdout).unwrap())
}

fn words(text: &str) -> Vec<String> {
    text.split_whitespace().map(str::to_owned).collect()
}

/// The volumes of a container.
fn volumes(container: &str) -> Vec<String> {
    words(&docker(&["inspect", "--format", "{{range .Mounts}}{{.Name}} {{end}}", container]).unwrap())
}

/// Polls until `holds`.
async fn eventually(what: &str, holds: impl Fn() -> bool) {
    let polls = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    assert!(tokio::time::timeout(LIMIT, polls).await.is_ok(), "not within {LIMIT:?}: {what}");
}

async fn nothing_is_left(holder: &Holder, volumes: &[String]) {
    eventually("its container is removed", || holder.containers().is_empty()).await;
    let gone = |volume: &String| docker(&["volume", "inspect", volume]).is_none();
    eventually("its volume is removed", || volumes.iter().all(gone)).await;
}

#[tokio::test]
async fn a_killed_process_leaves_neither_its_container_nor_the_volume() {
    if !asked_for("a_killed_process_leaves_neither_its_container_nor_the_volume") {
        return;
    }
    let mut holder = Holder::start("on");
    holder.is_ready();
    let containers = holder.containers();
    let [container] = &containers[..] else { panic!("one container for all tests of a process: {containers:?}") };
    let volumes = volumes(container);
    assert_eq!(volumes.len(), 1, "the image has a volume for its data");
    holder.kill();
    nothing_is_left(&holder, &volumes).await;
}

#[tokio::test]
async fn a_process_killed_while_its_server_starts_leaves_nothing_either() {
    if !asked_for("a_process_killed_while_its_server_starts_leaves_nothing_either") {
        return;
    }
    let mut holder = Holder::start("on");
    eventually("its container is made", || !holder.containers().is_empty()).await;
    let volumes = volumes(&holder.containers()[0]);
    holder.kill();
    nothing_is_left(&holder, &volumes).await;
}

#[tokio::test]
async fn a_process_that_ends_takes_its_container_along() {
    if !asked_for("a_process_that_ends_takes_its_container_along") {
        return;
    }
    let mut holder = Holder::start("for a moment");
    holder.is_ready();
    assert!(holder.0.wait().unwrap().success());
    nothing_is_left(&holder, &[]).await;
}
