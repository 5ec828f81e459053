//! `shop events`, and what subscribers hear of a shop that is killed.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::process::Stdio;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use fastrand::Rng;
use rustix::process::Signal;
use serde_json::Value;
use tokio::net::{TcpListener, TcpStream};
use tokio::process::Command;
use tokio::task::JoinSet;
use uuid::Uuid;

use crate::client::Http;
use crate::process::{Shop, eventually, home, run, shop};
use crate::tls::Authority;

/// Fails in every way for a while, and remembers what it took in, whatever it answered.
#[derive(Clone)]
struct Receiver {
    heard: Arc<Mutex<Vec<(Uuid, Uuid)>>>,
    is_well: Arc<Mutex<bool>>,
    moods: Arc<Mutex<Rng>>,
}

impl Receiver {
    fn new(moods: Rng) -> Self {
        Self { heard: Arc::default(), is_well: Arc::default(), moods: Arc::new(Mutex::new(moods)) }
    }

    /// Where it listens, until the set is dropped.
    async fn listen(&self) -> (String, JoinSet<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hooks", listener.local_addr().unwrap());
        let router = Router::new().route("/hooks", post(hear)).with_state(self.clone());
        let mut serving = JoinSet::new();
        serving.spawn(async move { axum::serve(listener, router).await.unwrap() });
        (url, serving)
    }

    fn recover(&self) {
        *self.is_well.lock().unwrap() = true;
    }

    /// Each order's events in the order of their first arrival.
    fn heard(&self) -> BTreeMap<Uuid, Vec<Uuid>> {
        let mut orders: BTreeMap<Uuid, Vec<Uuid>> = BTreeMap::new();
        let mut seen = BTreeSet::new();
        for (order, event) in self.heard.lock().unwrap().iter() {
            if seen.insert(*event) {
                orders.entry(*order).or_default().push(*event);
            }
        }
        orders
    }
}

async fn hear(State(receiver): State<Receiver>, headers: HeaderMap, body: String) -> StatusCode {
    let event: Value = serde_json::from_str(&body).unwrap();
    let uuid = |value: &Value| value.as_str().unwrap().parse::<Uuid>().unwrap();
    assert_eq!(headers["webhook-id"], event["id"].as_str().unwrap());
    let is_well = *receiver.is_well.lock().unwrap();
    let mood = if is_well { 9 } else { receiver.moods.lock().unwrap().u8(..10) };
    if mood > 0 {
        receiver.heard.lock().unwrap().push((uuid(&event["data"]["order_id"]), uuid(&event["id"])));
    }
    match mood {
        // It took it in, and nobody learns of it.
        1 => std::future::pending().await,
        0 | 2 => StatusCode::INTERNAL_SERVER_ERROR,
        3 => StatusCode::SERVICE_UNAVAILABLE,
        _ => StatusCode::NO_CONTENT,
    }
}

async fn buy_until_the_end(http: Http, buyer: String) {
    let Some(token) = http.register(&buyer).await else { return };
    loop {
        let Some(cart) = http.cart_of("SKU-000002").await else { return };
        let Some((status, body)) = http.order(&token, &cart).await else { return };
        assert!([201, 202, 409].contains(&status.as_u16()), "{status} {body}");
    }
}

/// How many rounds: `FOREBAY_CASES`.
#[expect(clippy::disallowed_methods, reason = "a test has no configuration")]
fn rounds(usual: u32) -> u32 {
    std::env::var("FOREBAY_CASES").ok().map_or(usual, |cases| cases.parse().unwrap())
}

/// `FOREBAY_CASES_SEED`, to draw the same again; who comes first is up to the machine.
#[expect(clippy::disallowed_methods, reason = "a test has no configuration")]
fn seed() -> u64 {
    std::env::var("FOREBAY_CASES_SEED").ok().map_or_else(|| fastrand::u64(..), |seed| seed.parse().unwrap())
}

#[tokio::test]
async fn a_shop_that_is_killed_again_and_again_tells_of_every_event_and_of_no_other() {
    let home = home();
    let pauses = vec!["50"; 500].join(",");
    let settings = [
        ("FOREBAY_PAYMENT_LATENCY_MS", "5"),
        ("FOREBAY_EVENTS_TIMEOUT_MS", "300"),
        ("FOREBAY_EVENTS_RETRIES_MS", pauses.as_str()),
        ("FOREBAY_EVENTS_PROBE_MS", "100"),
    ];
    let (rounds, seed) = (rounds(3), seed());
    eprintln!("FOREBAY_CASES_SEED={seed} FOREBAY_CASES={rounds}");
    let mut dice = Rng::with_seed(seed);
    let receiver = Receiver::new(dice.fork());
    let (url, _serving) = receiver.listen().await;
    for round in 0..rounds {
        let shop = Shop::open(home.path(), &settings).await;
        if round == 0 {
            let subscribed = events(&home, &["subscribe", &url]).await;
            assert!(subscribed.contains("whsec_"), "{subscribed}");
            sqlx::raw_sql("UPDATE checkout.inventory SET on_hand = 10000000 WHERE sku = 'SKU-000002'")
                .execute(&mut shop.database().await)
                .await
                .unwrap();
        }
        let buyers: JoinSet<_> =
            (0..3).map(|buyer| buy_until_the_end(shop.http.clone(), format!("buyer-{round}-{buyer}"))).collect();
        let before = receiver.heard.lock().unwrap().len();
        let some = before + dice.usize(1..30);
        eventually("some were told of", || async { receiver.heard.lock().unwrap().len() > some }).await;
        shop.send(Signal::KILL);
        buyers.join_all().await;
    }
    receiver.recover();
    let shop = Shop::open(home.path(), &settings).await;
    eventually("everybody was told of everything", || async {
        let open = "SELECT (SELECT count(*) FROM checkout.orders WHERE status = 'pending_payment') \
                    + (SELECT count(*) FROM checkout.outbox WHERE published_at IS NULL) \
                    + (SELECT count(*) FROM checkout.deliveries WHERE state <> 'delivered')";
        sqlx::query_scalar::<_, i64>(open).fetch_one(&mut shop.database().await).await.unwrap() == 0
    })
    .await;
    let committed: Vec<(Uuid, Uuid)> = sqlx::query_as("SELECT key, event_id FROM checkout.outbox ORDER BY id")
        .fetch_all(&mut shop.database().await)
        .await
        .unwrap();
    let mut expected: BTreeMap<Uuid, Vec<Uuid>> = BTreeMap::new();
    for (order, event) in committed {
        expected.entry(order).or_default().push(event);
    }
    assert_eq!(receiver.heard(), expected, "every committed event, no other, and in the order of its order");
    shop.send(Signal::TERM);
    assert!(shop.ended().await.0.success());
}

fn command(home: &tempfile::TempDir, arguments: &[&str]) -> Command {
    let mut command = shop(home.path(), &[]);
    command.arg("events").args(arguments);
    command
}

/// What it says; it must end well.
async fn events(home: &tempfile::TempDir, arguments: &[&str]) -> String {
    let (status, out, err) = run(command(home, arguments)).await;
    assert!(status.success(), "{arguments:?}: {out}{err}");
    out
}

/// The program in docs/events.md.
fn documented_receiver() -> &'static str {
    let (_, program) = include_str!("../../../../docs/events.md").split_once("```python\n").unwrap();
    program.split_once("```").unwrap().0
}

#[tokio::test]
async fn the_receiver_in_the_documentation_counts_each_sale_once_however_often_it_is_told() {
    let home = home();
    let shop = Shop::open(home.path(), &[]).await;
    let port = free_port().await;
    let subscribed = subscribe(&home, &format!("http://127.0.0.1:{port}/")).await;
    let (id, sales) = (subscribed.id.as_str(), home.path().join("sales"));
    let _receiver = python(documented_receiver(), &subscribed, port).env("DATABASE", &sales).spawn().unwrap();
    reachable(port).await;
    buy(&shop, 3).await;
    told(&shop, 3).await;
    assert!(events(&home, &["list"]).await.contains("active, 0 waiting, 0 dead"));
    let again = events(&home, &["replay", "--subscriber", id, "--since", "1h"]).await;
    assert!(again.contains("\n3 events are sent again"), "{again}");
    told(&shop, 3).await;
    let count = "import sqlite3, sys; db = sqlite3.connect(sys.argv[1]); \
                 print(*db.execute('select count(*), count(distinct order_id) from revenue').fetchone())";
    let counted = Command::new("python3").args(["-c", count, sales.to_str().unwrap()]).output().await.unwrap();
    assert_eq!(String::from_utf8(counted.stdout).unwrap().trim(), "3 3");
    let (status, _, err) = run(command(&home, &["replay", "--subscriber", id])).await;
    assert!(!status.success() && err.contains("--since") && err.contains("--dead"), "{err}");
    events(&home, &["unsubscribe", id]).await;
    let (status, _, err) = run(command(&home, &["pause", id])).await;
    assert!(!status.success() && err.contains("shop events list"), "{err}");
    assert!(events(&home, &["list"]).await.contains("nobody subscribes"));
    for wrong in ["ftp://books.example/", "books.example", "http://me:word@books.example/"] {
        let (status, _, err) = run(command(&home, &["subscribe", wrong])).await;
        assert!(!status.success() && err.contains(wrong), "{err}");
    }
    shop.send(Signal::TERM);
    assert!(shop.ended().await.0.success());
}

#[tokio::test]
async fn a_subscriber_is_told_over_https_where_its_certificate_is_trusted() {
    const OVER_TLS: &str = "import ssl
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(os.environ['CERTIFICATE'], os.environ['KEY'])
server.socket = context.wrap_socket(server.socket, server_side=True)
server.serve_forever()";
    let home = home();
    let file = |name: &str, content: &str| {
        let path = home.path().join(name);
        fs::write(&path, content).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let authority = Authority::new("of webhooks");
    let (certificate, key) = authority.sign("receiver", &["localhost"]);
    let (certificate, key) = (file("certificate.pem", &certificate), file("key.pem", &key));
    let roots = file("roots.pem", authority.certificate());
    let quickly = [("FOREBAY_EVENTS_RETRIES_MS", "100,100,100"), ("SSL_CERT_FILE", roots.as_str())];
    let shop = Shop::open(home.path(), &quickly).await;
    let port = free_port().await;
    let by_name = subscribe(&home, &format!("https://localhost:{port}/")).await;
    let program = documented_receiver().replace("server.serve_forever()", OVER_TLS);
    let _receiver = python(&program, &by_name, port)
        .env("DATABASE", home.path().join("sales"))
        .envs([("CERTIFICATE", certificate), ("KEY", key)])
        .spawn()
        .unwrap();
    reachable(port).await;
    buy(&shop, 2).await;
    told(&shop, 2).await;
    events(&home, &["unsubscribe", &by_name.id]).await;
    let by_address = subscribe(&home, &format!("https://127.0.0.1:{port}/")).await;
    buy(&shop, 1).await;
    eventually("a certificate of another name is refused", || async {
        let listed = events(&home, &["list"]).await;
        listed.contains("1 dead") && listed.contains("certificate")
    })
    .await;
    assert_ne!(by_address.id, by_name.id);
    shop.send(Signal::TERM);
    assert!(shop.ended().await.0.success());
}

#[tokio::test]
async fn a_subscriber_that_does_not_answer_is_named_in_the_log_without_what_its_address_may_keep_secret() {
    let home = home();
    let settings = [("FOREBAY_EVENTS_RETRIES_MS", "50,50,50,50,50,50")];
    let (mut command, log) = (shop(home.path(), &settings), home.path().join("log"));
    command.stderr(File::create(&log).unwrap());
    let shop = Shop::start(home.path(), command).await;
    let port = free_port().await;
    let subscribed = subscribe(&home, &format!("http://127.0.0.1:{port}/hooks/hush?token=hush")).await;
    buy(&shop, 1).await;
    let said = || fs::read_to_string(&log).unwrap();
    eventually("it is said that it does not answer", || async { said().contains("does not answer") }).await;
    let place = format!("127.0.0.1:{port}");
    assert!(said().contains(&subscribed.id) && said().contains(&place) && !said().contains("hush"), "{}", said());
}

#[tokio::test]
async fn a_topic_that_no_event_has_is_refused_with_those_that_there_are() {
    let home = home();
    let arguments = ["subscribe", "http://127.0.0.1:9/", "--topics", "order.refunded"];
    let (status, _, err) = run(command(&home, &arguments)).await;
    assert!(!status.success() && err.contains("order.refunded") && err.contains("order.refund_succeeded"), "{err}");
}

/// What `shop events subscribe` says.
struct Subscribed {
    id: String,
    secret: String,
}

async fn subscribe(home: &tempfile::TempDir, url: &str) -> Subscribed {
    let said = events(home, &["subscribe", url, "--topics", "order.paid"]).await;
    let word = |after: &str| said.split_once(after).unwrap().1.split_whitespace().next().unwrap().to_owned();
    Subscribed { id: word("subscriber "), secret: word("secret ") }
}

pub(crate) async fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port()
}

pub(crate) async fn reachable(port: u16) {
    eventually("the receiver listens", || async { TcpStream::connect(("127.0.0.1", port)).await.is_ok() }).await;
}

fn python(program: &str, subscribed: &Subscribed, port: u16) -> Command {
    let mut command = Command::new("python3");
    command.args(["-c", program]).env("SECRET", &subscribed.secret).env("PORT", port.to_string());
    command.kill_on_drop(true).stderr(Stdio::null());
    command
}

/// Waits until so many deliveries are done.
async fn told(shop: &Shop, times: i64) {
    eventually("it was told", || async {
        let delivered = "SELECT count(*) FROM checkout.deliveries WHERE state = 'delivered'";
        sqlx::query_scalar::<_, i64>(delivered).fetch_one(&mut shop.database().await).await.unwrap() == times
    })
    .await;
}

async fn buy(shop: &Shop, times: u32) {
    let token = shop.http.register(&format!("reader-{}", fastrand::u64(..))).await.unwrap();
    for _ in 0..times {
        let cart = shop.http.cart_of("SKU-000002").await.unwrap();
        assert_eq!(shop.http.order(&token, &cart).await.unwrap().0, 201);
    }
}
