use axum::body::Body;
use forebay_embedded::testing::database;
use forebay_pool::{Config, Rules};
use http::Request;
use http_body_util::BodyExt as _;
use serde_json::Value;
use sqlx::Connection as _;
use tower::ServiceExt as _;

use super::*;
use crate::security::tests::Sink;

struct Fixture {
    admin: Admin,
    draining: watch::Sender<bool>,
}

async fn fixture() -> Fixture {
    let rules = Rules { ceiling: 4, initial_limit: 2, min_idle: 0, ..Rules::default() };
    let config = Config { rules, ..Config::named("admin-test") };
    let pool = Pool::connect(database().await.options(), config).unwrap();
    let draining = watch::Sender::new(false);
    let readiness = Readiness::new(draining.subscribe());
    let db = Db::forebay(pool);
    let (bounds, live) = (Arc::new(db.clone()), Live::new(db.clone(), 16));
    Fixture { admin: Admin { db, readiness, metrics: Metrics::of_process(), bounds, live }, draining }
}

impl Fixture {
    async fn call(&self, request: Request<Body>) -> (StatusCode, String) {
        let response = self.admin.clone().router().oneshot(request).await.unwrap();
        let status = response.status();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    async fn get(&self, path: &str) -> (StatusCode, String) {
        self.call(Request::get(path).body(Body::empty()).unwrap()).await
    }

    async fn post_pool(&self, body: &'static str) -> (StatusCode, Value) {
        let request = Request::post("/pool").header(CONTENT_TYPE, "application/json").body(Body::from(body)).unwrap();
        let (status, body) = self.call(request).await;
        (status, serde_json::from_str(&body).unwrap())
    }
}

#[tokio::test]
async fn readiness_is_lost_at_the_second_failure_and_when_draining() {
    let fixture = fixture().await;
    assert_eq!(fixture.get("/readyz").await.0, 503, "nothing is known yet");
    let readiness = &fixture.admin.readiness;
    readiness.note_answer(true);
    assert_eq!(fixture.get("/readyz").await.0, 200);
    readiness.note_failure("lost".into());
    assert_eq!(fixture.get("/readyz").await.0, 200, "one failure is a hiccup");
    readiness.note_failure("lost".into());
    let (status, body) = fixture.get("/readyz").await;
    assert_eq!(status, 503);
    assert!(body.contains("unready") && body.contains("lost"), "{body}");
    readiness.note_answer(true);
    fixture.draining.send_replace(true);
    assert!(fixture.get("/readyz").await.1.contains("draining"));
    assert_eq!(fixture.get("/livez").await.0, 200);
}

#[tokio::test]
async fn the_probe_finds_a_database_that_answers() {
    let fixture = fixture().await;
    let session = ProbeSession::new(database().await.options());
    let probing = tokio::spawn(fixture.admin.readiness.clone().probe(session));
    let ready = async {
        while fixture.get("/readyz").await.0 != 200 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(5), ready).await.unwrap();
    probing.abort();
}

#[tokio::test]
async fn a_process_whose_database_takes_no_writes_says_so_and_is_as_ready_as_it_can_be() {
    let mut fixture = fixture().await;
    let cases = [(Writes::Never, 200, "ready"), (Writes::Sometimes, 200, "degraded"), (Writes::Mostly, 503, "unready")];
    for (writes, code, word) in cases {
        fixture.admin.readiness = fixture.admin.readiness.clone().making(writes);
        fixture.admin.readiness.note_answer(false);
        let (status, body) = fixture.get("/readyz").await;
        let body: Value = serde_json::from_str(&body).unwrap();
        assert_eq!((status.as_u16(), body["status"].as_str()), (code, Some(word)), "{writes:?}");
        assert_eq!(body["database"]["takes_writes"], false);
        let lacking = body["cannot_serve"].as_array().unwrap().iter().any(|what| what == "writes");
        assert_eq!(lacking, writes != Writes::Never);
        fixture.admin.readiness.note_answer(true);
        assert!(fixture.get("/readyz").await.1.contains("\"ready\""));
    }
}

/// What the probe says after each of these was done to the database.
#[tokio::test]
async fn the_probe_sees_a_database_that_takes_no_writes_though_its_own_session_is_older() {
    let database = database().await;
    let session = ProbeSession::new(database.options());
    assert!(session.look().await.unwrap());
    let name = database.options().get_database().unwrap().to_owned();
    let mut outside = sqlx::PgConnection::connect_with(&database.options()).await.unwrap();
    let all = format!("database {name}");
    let one = format!("role forebay in database {name}");
    let steps = [
        (format!("alter {all} set default_transaction_read_only = on"), false),
        (format!("alter {one} set default_transaction_read_only = off"), true),
        (format!("alter {one} reset default_transaction_read_only"), false),
        (format!("alter {all} reset default_transaction_read_only"), true),
        (format!("alter {one} set default_transaction_read_only = yes"), false),
    ];
    for (sql, takes_writes) in steps {
        let sql = format!("set default_transaction_read_only = off; {sql}");
        sqlx::raw_sql(sqlx::AssertSqlSafe(sql.clone())).execute(&mut outside).await.unwrap();
        assert_eq!(session.look().await.unwrap(), takes_writes, "{sql}");
        let fresh = ProbeSession::new(database.options());
        assert_eq!(fresh.look().await.unwrap(), takes_writes, "{sql}");
    }
}

#[tokio::test]
async fn a_process_that_can_open_no_connection_is_not_ready_though_its_probe_has_one() {
    let database = database().await;
    let options = database.options();
    let rules = Rules { ceiling: 4, initial_limit: 2, min_idle: 1, ..Rules::default() };
    let nowhere = options.clone().database("not_there");
    let pool = Pool::connect(nowhere, Config { rules, ..Config::named("admin-test") }).unwrap();
    let mut fixture = fixture().await;
    fixture.admin.db = Db::forebay(pool);
    let readiness = &fixture.admin.readiness;
    let unready = async {
        while fixture.get("/readyz").await.0 == 200 {
            ProbeSession::new(options.clone()).look().await.map(|writes| readiness.note_answer(writes)).unwrap();
        }
    };
    readiness.note_answer(true);
    tokio::time::timeout(Duration::from_secs(20), unready).await.unwrap();
    let (_, body) = fixture.get("/readyz").await;
    assert!(body.contains("unready") && body.contains("not_there") && body.contains("reads"), "{body}");
}

#[tokio::test]
async fn a_session_that_is_lost_comes_back_under_its_name() {
    let options = database().await.options().application_name("before");
    let session = ProbeSession::new(options);
    let mut held = session.hold().await;
    held.rename("after");
    drop(held.take().await.unwrap());
    drop(held);
    session.look().await.unwrap();
    let mut connection = session.hold().await.take().await.unwrap();
    let name: String =
        sqlx::query_scalar("SELECT current_setting('application_name')").fetch_one(&mut connection).await.unwrap();
    assert_eq!(name, "after");
}

#[tokio::test]
async fn the_pool_is_resized_and_flushed() {
    let fixture = fixture().await;
    let (status, body) = fixture.post_pool(r#"{"max": 8, "limit": 5, "flush_idle": true}"#).await;
    assert_eq!(status, 200);
    assert_eq!(body["ceiling"], 8);
    assert_eq!(body["limit"], 5);
    let (_, shown) = fixture.get("/pool").await;
    assert_eq!(serde_json::from_str::<Value>(&shown).unwrap()["ceiling"], 8);
}

#[tokio::test]
async fn a_change_is_recorded_with_who_made_it_and_what_was_before_and_after() {
    let (fixture, written) = (fixture().await, Arc::new(Mutex::new(Vec::new())));
    let sink = Arc::clone(&written);
    let writer = move || Sink(Arc::clone(&sink));
    let subscriber = tracing_subscriber::fmt().json().flatten_event(true).with_writer(writer).finish();
    let _until_the_end = tracing::subscriber::set_default(subscriber);
    let tokens = Some("ops:0123456789abcdef".parse().unwrap());
    let router = Guard::new("127.0.0.1:9090".parse().unwrap(), Names::default(), tokens).over(fixture.admin.router());
    let order = Request::post("/pool")
        .header(CONTENT_TYPE, "application/json")
        .header("authorization", "Bearer 0123456789abcdef")
        .extension(axum::extract::ConnectInfo(std::net::SocketAddr::from(([192, 0, 2, 7], 4711))));
    let order = order.body(Body::from(r#"{"max": 8, "limit": 5, "flush_idle": true}"#)).unwrap();
    assert_eq!(router.oneshot(order).await.unwrap().status(), 200);
    let text = String::from_utf8(written.lock().unwrap().clone()).unwrap();
    let record = text.lines().find(|line| line.contains("admin_action")).unwrap();
    let record: Value = serde_json::from_str(record).unwrap();
    for (field, said) in [
        ("outcome", "good"),
        ("what", "POST /pool, flush_idle"),
        ("by", "ops"),
        ("client", "192.0.2.0/24"),
        ("before", "min 0, max 4, limit 2"),
        ("after", "min 0, max 8, limit 5 by hand"),
    ] {
        assert_eq!(record[field], said, "{record}");
    }
    assert!(!text.contains("0123456789abcdef"), "{text}");
}

#[tokio::test]
async fn an_impossible_order_is_refused() {
    let fixture = fixture().await;
    for (order, pointer, said) in [
        (r#"{"max": 0}"#, "/max", "must be at least 2: one lease and one reserved place"),
        (r#"{"min": 9}"#, "/min", "must be at most max, which is 4"),
        (r#"{"min": 7, "max": 6}"#, "/min", "must be at most max, which is 6"),
        (r#"{"maximum": 8}"#, "/maximum", "is not known; known are min, max, limit, flush_idle"),
        (r#"{"limit": -1}"#, "/limit", "must be a whole number from 0 to 4294967295"),
        ("[1, 20, 3, false]", "", "must be an object"),
    ] {
        let (status, body) = fixture.post_pool(order).await;
        let errors = body["errors"].as_array().unwrap();
        assert_eq!((status.as_u16(), errors.len(), &errors[0]["pointer"]), (422, 1, &pointer.into()), "{order}");
        assert_eq!(errors[0]["detail"], said, "{order}");
    }
    assert_eq!(fixture.post_pool(r#"{"min": 3}"#).await.0, 200);
    assert_eq!(fixture.post_pool(r#"{"max": 2}"#).await.1["errors"][0]["detail"], "must be at least min, which is 3");
    let (_, shown) = fixture.get("/pool").await;
    assert_eq!(serde_json::from_str::<Value>(&shown).unwrap()["ceiling"], 4);
}

#[tokio::test]
async fn another_method_is_405_and_another_path_404_with_a_problem() {
    let fixture = fixture().await;
    let loopback = Guard::new("127.0.0.1:9090".parse().unwrap(), Names::default(), None);
    let router = loopback.over(fixture.admin.clone().router());
    for (method, path, status) in [("PUT", "/pool", 405), ("GET", "/chaos", 404)] {
        let request = Request::builder().method(method).uri(path).body(Body::empty()).unwrap();
        let answer = router.clone().oneshot(request).await.unwrap();
        assert_eq!(
            (answer.status().as_u16(), &answer.headers()[CONTENT_TYPE]),
            (status, &"application/problem+json".parse().unwrap())
        );
        assert_eq!(answer.headers().get("allow").is_some_and(|allow| allow == "GET,HEAD,POST"), status == 405);
    }
}

#[tokio::test]
async fn metrics_are_text_with_the_pool_in_them() {
    let fixture = fixture().await;
    let (status, text) = fixture.get("/metrics").await;
    assert_eq!(status, 200);
    assert!(text.contains("db_client_connection_max"), "{text}");
}
