//! Starts that go wrong say what to do; a second start finds its data.

use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::time::{Instant, timeout};

use crate::client::Http;
use crate::process::{LIMIT, Shop, home, nobody_left, run, shop};

#[tokio::test]
async fn all_faults_of_the_settings_are_told_at_once() {
    let home = home();
    let settings = [("FOREBAY_DRAIN_MS", "soon"), ("FOREBAY_POOL_MAX", "many")];
    let (status, _, err) = run(shop(home.path(), &settings)).await;
    assert_eq!(status.code(), Some(2));
    for part in
        ["2 settings are wrong", "FOREBAY_DRAIN_MS=soon", "FOREBAY_POOL_MAX=many", "example: FOREBAY_POOL_MAX=60"]
    {
        assert!(err.contains(part), "{err}");
    }
}

#[tokio::test]
async fn a_busy_port_is_named_with_another_one() {
    let home = home();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let (status, _, err) = run(shop(home.path(), &[("FOREBAY_HTTP", &address)])).await;
    assert_eq!(status.code(), Some(1));
    assert!(err.contains(&address) && err.contains("is in use") && err.contains("FOREBAY_HTTP=127.0.0.1:"), "{err}");
    assert!(!home.path().join("data/pg").exists(), "nothing was started for it");
}

#[tokio::test]
async fn a_database_that_is_not_there_is_named_without_its_password() {
    let home = home();
    let url = "postgres://me:topsecret@127.0.0.1:1/shop";
    let (status, _, err) = run(shop(home.path(), &[("DATABASE_URL", url)])).await;
    assert_eq!(status.code(), Some(1));
    assert!(err.contains("127.0.0.1:1") && err.contains("DATABASE_URL") && !err.contains("topsecret"), "{err}");
}

/// A port that swallows packets: as many connections wait to be accepted as may.
async fn swallowing() -> (TcpListener, Vec<TcpStream>) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.9:0".parse().unwrap()).unwrap();
    let listener = socket.listen(0).unwrap();
    let (address, mut waiting) = (listener.local_addr().unwrap(), Vec::new());
    while let Ok(connected) = timeout(Duration::from_millis(300), TcpStream::connect(address)).await {
        waiting.push(connected.unwrap());
        assert!(waiting.len() < 100, "its backlog has no end");
    }
    (listener, waiting)
}

#[tokio::test]
async fn a_database_that_does_not_answer_is_waited_for_aloud_and_not_for_long() {
    let (home, (listener, _waiting)) = (home(), swallowing().await);
    let at = listener.local_addr().unwrap().to_string();
    let url = format!("postgres://me:topsecret@{at}/shop");
    let settings = [("DATABASE_URL", url.as_str())];
    let (status, out, err) = timeout(Duration::from_secs(30), run(shop(home.path(), &settings))).await.unwrap();
    assert_eq!(status.code(), Some(1));
    let said = format!("{out}{err}");
    for part in [&format!("waiting for the database at {at} to answer"), "no connection within 10s"] {
        assert!(said.contains(part), "{said}");
    }
    assert!(!said.contains("topsecret"), "{said}");
}

#[tokio::test]
async fn a_folder_without_postgres_is_named_with_three_ways_out() {
    let home = home();
    let folder = home.path().to_str().unwrap();
    let (status, _, err) = run(shop(home.path(), &[("FOREBAY_PG_BIN", folder)])).await;
    assert_eq!(status.code(), Some(1));
    for part in [folder, "`initdb`", "three ways out", "DATABASE_URL"] {
        assert!(err.contains(part), "{part}: {err}");
    }
}

#[tokio::test]
async fn a_second_start_finds_its_data_and_is_quick() {
    let home = home();
    let first = Shop::open(home.path(), &[]).await;
    first.http.register("returning").await.unwrap();
    let in_use = run(shop(home.path(), &[])).await;
    assert!(in_use.2.contains("another process is using"), "{}", in_use.2);
    first.send(Signal::INT);
    let (status, said) = first.ended().await;
    assert!(status.success() && said.contains("stopped"), "{said}");
    nobody_left(home.path()).await;

    let began = Instant::now();
    let second = Shop::open(home.path(), &[]).await;
    assert!(began.elapsed() < Duration::from_secs(15), "{:?}", began.elapsed());
    let login = serde_json::json!({"email": "returning@example.test", "password": "correct-horse-battery"});
    let (status, answer) = second.http.post("/v1/auth/login", &[], login).await.unwrap();
    assert_eq!(status, 200, "{answer}");
    second.send(Signal::TERM);
    assert!(second.ended().await.0.success());
}

#[tokio::test]
async fn whoever_asks_for_json_reads_json_to_the_last_line() {
    let home = home();
    let json = [("FOREBAY_LOG_FORMAT", "json"), ("FOREBAY_ACCESS_LOG", "on")];
    let mut command = shop(home.path(), &json);
    let mut child = command.spawn().unwrap();
    let (out, err) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
    let (mut out, mut err) = (BufReader::new(out).lines(), BufReader::new(err).lines());
    let opened = async {
        loop {
            let line: Value = serde_json::from_str(&out.next_line().await.unwrap().unwrap()).unwrap();
            if let Some((_, rest)) = line["message"].as_str().unwrap().split_once("is open: http://") {
                return rest.split(' ').next().unwrap().to_owned();
            }
        }
    };
    let http = Http::new(&timeout(LIMIT, opened).await.expect("it opens in time"));
    http.text("/v1/products/plate?secret=hush").await.unwrap();
    let login = |password: &str| json!({"email": "user00001@example.test", "password": password});
    http.post("/v1/auth/login", &[], login("wrong-password")).await.unwrap();
    let (_, tokens) = http.post("/v1/auth/login", &[], login("correct-horse-battery")).await.unwrap();
    let pid = Pid::from_raw(i32::try_from(child.id().unwrap()).unwrap()).unwrap();
    kill_process(pid, Signal::TERM).unwrap();
    let rest = async {
        let (mut said, mut logged) = (Vec::<Value>::new(), Vec::<Value>::new());
        while let Some(line) = out.next_line().await.unwrap() {
            said.push(serde_json::from_str(&line).unwrap());
        }
        while let Some(line) = err.next_line().await.unwrap() {
            logged.push(serde_json::from_str(&line).unwrap());
        }
        (said, logged)
    };
    let (said, logged) = timeout(LIMIT, rest).await.expect("it ends in time");
    assert_eq!(said.last().unwrap()["message"], "stopped");
    let request = logged.iter().find(|line| line["target"] == "access").expect("each request is a line");
    assert_eq!(
        (&request["path"], &request["route"]),
        (&"/v1/products/plate".into(), &"/v1/products/{id_or_slug}".into())
    );
    assert_eq!((&request["method"], &request["client"]), (&"GET".into(), &"127.0.0.0/24".into()));
    assert!(request["status"].is_number() && request["duration_ms"].is_number() && request["request_id"].is_string());
    let events: Vec<_> = logged.iter().filter(|line| line["target"] == "security").collect();
    let outcomes: Vec<_> = events.iter().map(|event| (&event["event"], &event["outcome"])).collect();
    assert_eq!(outcomes, [(&"login".into(), &"bad".into()), (&"login".into(), &"good".into())]);
    assert!(events.iter().all(|event| event["user"].is_string() && event["request_id"].is_string()), "{events:?}");
    let secrets = ["hush", "user00001", "wrong-password", "correct-horse", tokens["access_token"].as_str().unwrap()];
    for line in &logged {
        let line = line.to_string();
        assert!(!secrets.iter().any(|secret| line.contains(secret)), "{line}");
    }
}

#[tokio::test]
async fn a_start_that_fails_says_so_in_json_too() {
    let home = home();
    let settings = [("FOREBAY_LOG_FORMAT", "json"), ("FOREBAY_DRAIN_MS", "soon")];
    let (_, out, err) = run(shop(home.path(), &settings)).await;
    for line in out.lines().chain(err.lines()) {
        serde_json::from_str::<Value>(line).unwrap();
    }
    assert!(err.contains("FOREBAY_DRAIN_MS=soon") && err.contains("ERROR"), "{err}");
}
