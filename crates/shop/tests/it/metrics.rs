//! Every metric that is declared moves.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::Write as _,
    net::SocketAddr,
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use axum::Router;
use forebay_auth::SigningKey;
use forebay_checkout::{
    Payments,
    events::{Rules as Telling, Subscriptions},
    reconciliation::reconcile,
};
use forebay_embedded::testing::{TestDatabase, database, server};
use forebay_platform::{
    admin::{Guard, Names, ProbeSession},
    admit::{Admit, TimeLimits},
    db::{Db, PoolMetrics},
    quota::{Quota, Quotas},
    serve::Limits,
    telemetry::Metrics,
};
use forebay_pool::{Admission, Class, Config, Mode, Pool, Rules};
use forebay_shop::{App, Scale, Services, migrate, seed};
use futures_util::future::join_all;
use http::Method;
use serde_json::json;
use sqlx::{AssertSqlSafe, ConnectOptions as _, postgres::PgConnectOptions};
use time::OffsetDateTime;
use tokio::{
    io::AsyncWriteExt as _,
    net::{TcpListener, TcpStream},
    time::Instant,
};

use crate::{client::Http, process::eventually};

/// The names in `counter!("name"`, `gauge!(..)` and `histogram!(..)`, and in constants beside them, outside of tests.
fn declared() -> BTreeSet<String> {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut names = BTreeSet::new();
    for name in ["platform", "catalog", "auth", "checkout", "shop"] {
        declared_in(&crates.join(name).join("src"), &mut names);
    }
    names
}

fn declared_in(folder: &Path, names: &mut BTreeSet<String>) {
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let path = entry.path();
        if path.is_dir() {
            declared_in(&path, names);
        } else if path.extension().is_some_and(|end| end == "rs") {
            let source = fs::read_to_string(path).unwrap();
            let source = source.split("#[cfg(test)]").next().unwrap_or_default();
            if ["counter!(", "gauge!(", "histogram!("].iter().any(|declares| source.contains(declares)) {
                names.extend(source.split('"').skip(1).step_by(2).filter(|text| is_name(text)).map(str::to_owned));
            }
        }
    }
}

/// Of labels, not of metrics.
const LABELS: [&str; 3] = ["db_client_connection_state", "db_operation_name", "db_query_summary"];

/// Whether a string looks like the name of a metric: several words, the first of them a known family.
fn is_name(text: &str) -> bool {
    let families = [
        "http_",
        "db_",
        "pool_",
        "admission_",
        "auth_",
        "catalog_",
        "shop_",
        "idempotency_",
        "inventory_",
        "security_",
        "quota_",
        "event_",
        "payments_",
        "build_",
    ];
    !LABELS.contains(&text)
        && families.iter().any(|family| text.starts_with(family))
        && text.chars().all(|letter| letter.is_ascii_lowercase() || letter == '_')
        && text.matches('_').count() >= 1
}

/// A shop in this process, on a pool so small and strict that everything can be made to happen.
struct Strict {
    db: Db,
    http: Http,
    admin: Http,
    public: SocketAddr,
    database: TestDatabase,
}

impl Strict {
    async fn open() -> Self {
        let database = database().await;
        let options = database.options();
        migrate(&options).await.unwrap();
        seed(&options, Scale::Small, |_| {}).await.unwrap();
        Metrics::of_process();
        let db = Db::forebay(pool(options.clone()));
        let app = App {
            db: db.clone(),
            services: services(&db, &options),
            probe: ProbeSession::new(options),
            claim: None,
            http_limits: Limits::default(),
            admin_limits: Limits::default(),
            drain_delay: Duration::ZERO,
            drain: Duration::ZERO,
            admin_guard: Guard::new(([127, 0, 0, 1], 0).into(), Names::default(), None),
            admin_extra: Router::new(),
        };
        let (public, admin) = (listen().await, listen().await);
        let at = |listener: &TcpListener| Http::new(&listener.local_addr().unwrap().to_string());
        let address = public.local_addr().unwrap();
        let this = Self { db, http: at(&public), admin: at(&admin), public: address, database };
        tokio::spawn(app.serve(public, admin, std::future::pending()));
        this
    }

    /// Notes what `/metrics` says now.
    async fn scrape(&self, seen: &mut BTreeMap<String, f64>) {
        let (status, text) = self.admin.text("/metrics").await.unwrap();
        assert_eq!(status, 200);
        note(&text, seen);
    }

    fn admission(deadline: Duration) -> Admission {
        Admission::new(Class::Normal, (Instant::now() + deadline).into_std())
    }

    async fn buys(&self) {
        let token = self.http.register("counted").await.unwrap();
        let cart = self.http.cart_of("SKU-000003").await.unwrap();
        let (status, order) = self.http.order(&token, &cart).await.unwrap();
        assert_eq!(status, 201, "{order}");
        let (_, text) = self.admin.text("/metrics").await.unwrap();
        for event in ["register", "order_placed", "order_paid"] {
            let counted = format!("security_events_total{{event=\"{event}\",outcome=\"good\"}} 1");
            assert!(text.contains(&counted), "{counted}\n{text}");
        }
        let (status, _) = self.http.post("/v1/carts", &[], json!({})).await.unwrap();
        assert_eq!(status, 429, "it had a quota of one cart");
    }

    /// One subscriber does not exist, so that what it is sent is dead at once, and one never answers.
    async fn tells(&self, seen: &mut BTreeMap<String, f64>) {
        let nobody = listen().await.local_addr().unwrap();
        let silent = listen().await;
        let subscriptions = Subscriptions::new(self.db.clone());
        for address in [nobody, silent.local_addr().unwrap()] {
            let target = format!("http://{address}/").parse().unwrap();
            subscriptions.subscribe(&target, &"*".parse().unwrap()).await.unwrap();
        }
        self.buys().await;
        let deadline = Instant::now() + Duration::from_secs(60);
        let unseen = |seen: &BTreeMap<String, f64>, name| seen.get(name).is_none_or(|value| *value == 0.0);
        while unseen(seen, "event_lag_seconds") || unseen(seen, "event_dead_letters") {
            assert!(Instant::now() < deadline, "what is not told is seen: {seen:?}");
            self.scrape(seen).await;
        }
    }

    /// Leases that run no statement, as many as there are, until each has become a suspect and lost its connection;
    /// meanwhile a crowd.
    async fn hogs_and_a_crowd(&self, seen: &mut BTreeMap<String, f64>) {
        // Half of the crowd asks for a page that was seen.
        let pages = ["/v1/products?limit=1", "/v1/products?limit=2"];
        assert_eq!(self.http.text(pages[1]).await.unwrap().0, 200);
        let mut held = Vec::new();
        loop {
            let begun = Self::admission(Duration::from_millis(100));
            begun.begin();
            let Ok(mut lease) = self.db.acquire(&begun).await else { break };
            assert!(held.len() < 1_000, "the pool has no bound");
            // Its time may have run out meanwhile.
            sqlx::query("SELECT 1").execute(&mut lease.conn()).await.ok();
            held.push(lease);
        }
        let mut crowd = std::pin::pin!(join_all((0..40).map(|number| self.http.text(pages[number % 2]))));
        let crowd = loop {
            tokio::select! {
                answers = &mut crowd => break answers,
                () = self.scrape(seen) => {}
            }
        };
        assert!(crowd.iter().flatten().any(|(status, _)| *status == 503), "somebody was shed");
        let deadline = Instant::now() + Duration::from_secs(10);
        while seen.get("pool_reclaimed_total").is_none_or(|count| *count < 1.0) {
            assert!(Instant::now() < deadline, "idle leases are taken back");
            self.scrape(seen).await;
        }
    }

    /// A request whose body does not come, until it is seen.
    async fn dawdles(&self, seen: &mut BTreeMap<String, f64>) {
        let mut dawdler = TcpStream::connect(self.public).await.unwrap();
        let head = "POST /v1/auth/register HTTP/1.1\r\nhost: shop\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n";
        dawdler.write_all(head.as_bytes()).await.unwrap();
        let deadline = Instant::now() + Duration::from_secs(10);
        while seen.get("http_server_active_requests").is_none_or(|active| *active < 1.0) {
            assert!(Instant::now() < deadline, "a request that was begun is seen");
            self.scrape(seen).await;
        }
    }

    /// A transaction that nobody ends. The crowd was here a moment ago: what has begun is let in all the same.
    async fn walks_off(&self) {
        let day = Self::admission(Duration::from_secs(20));
        day.begin();
        let mut lease = self.db.acquire(&day).await.unwrap();
        let mut tx = lease.begin().await.unwrap();
        sqlx::query("SELECT 1").execute(&mut tx.conn()).await.unwrap();
        sqlx::query("SELECT 1 / 0").execute(&mut tx.conn()).await.unwrap_err();
    }

    /// A pool that only reports lets somebody wait whom it would have refused, who holds a lease already; and somebody who
    /// walks away.
    async fn only_reports(&self, seen: &mut BTreeMap<String, f64>) {
        let rules = Rules { ceiling: 2, initial_limit: 1, min_idle: 1, mode: Mode::ReportOnly, ..Rules::default() };
        let config = Config { rules, ..Config::named("reporting") };
        let db = Db::forebay(Pool::connect(self.database.options(), config).unwrap());
        let waiting = tokio::spawn(async move {
            let _held = db.acquire(&Self::admission(Duration::from_secs(5))).await.unwrap();
            db.acquire(&Self::admission(Duration::from_millis(5))).await.unwrap_err();
            let patient = Self::admission(Duration::from_secs(5));
            let meanwhile = tokio::select! {
                biased;
                _ = db.acquire(&patient) => panic!("the only connection is held"),
                text = async {
                    db.export_metrics();
                    Metrics::of_process().render()
                } => text,
            };
            db.export_metrics();
            meanwhile
        });
        note(&waiting.await.unwrap(), seen);
    }

    /// A payment provider that nobody reaches, until it is not asked any more.
    async fn asks_in_vain(&self, seen: &mut BTreeMap<String, f64>) {
        let nobody = listen().await.local_addr().unwrap();
        let there = PgConnectOptions::new().host("127.0.0.1").port(nobody.port());
        let payments = Payments::simulated(there, Duration::ZERO, 0);
        for _ in 0..5 {
            reconcile(&self.db, &payments, OffsetDateTime::UNIX_EPOCH, OffsetDateTime::now_utc()).await.unwrap_err();
        }
        self.scrape(seen).await;
    }

    /// A request that names its trace is found by it, from where it was slow, or had to wait for a connection.
    async fn is_traced(&self) {
        let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
        let sent = format!("00-{trace}-00f067aa0ba902b7-01");
        let exemplar = format!(" # {{trace_id=\"{trace}\"}} ");
        openmetrics(&self.admin).await;
        let asked = self.http.whole(Method::GET, "/v1/products?limit=3", &[("traceparent", &sent)], None).await;
        assert_eq!(asked.unwrap().0.status, 200);
        let page = openmetrics(&self.admin).await;
        for family in [
            r#"http_server_request_duration_seconds_bucket{service="catalog",outcome="ok",le=""#,
            "db_client_connection_wait_time_seconds_bucket{",
            "db_client_connection_use_time_seconds_bucket{",
        ] {
            let shown = page.lines().any(|line| line.starts_with(family) && line.contains(&exemplar));
            assert!(shown, "no exemplar at {family}\n{page}");
        }
    }

    /// From now on nobody can connect to the database. Who was being let in meanwhile is in: to be repeated.
    async fn is_locked_out(&self) {
        let name = self.database.options().get_database().unwrap().to_owned();
        let maintenance: PgConnectOptions = server().await.url("postgres").parse().unwrap();
        let mut connection = maintenance.connect().await.unwrap();
        let statements = format!(
            "ALTER DATABASE {name} ALLOW_CONNECTIONS false; \
             SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'"
        );
        sqlx::raw_sql(AssertSqlSafe(statements)).execute(&mut connection).await.unwrap();
    }
}

async fn listen() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").await.unwrap()
}

/// Keeps the largest value of each name in a page of `/metrics`, a histogram's being its count.
fn note(text: &str, seen: &mut BTreeMap<String, f64>) {
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let Some((series, value)) = line.rsplit_once(' ') else { continue };
        let name = series.split('{').next().unwrap_or_default();
        let value = value.parse::<f64>().unwrap().abs();
        for name in [name, name.trim_end_matches("_count")] {
            let known = seen.entry(name.to_owned()).or_default();
            *known = known.max(value);
        }
    }
}

fn services(db: &Db, options: &PgConnectOptions) -> Services {
    let admit = Admit::new(db, TimeLimits::default()).quotas(Quotas::new([("carts", Quota::per_hour(1))]));
    let payments = Payments::simulated(options.clone(), Duration::ZERO, 0);
    Services::all(db, &admit, SigningKey::generate(), payments, Duration::from_secs(60))
        .keeping_pages()
        .telling(Telling { pauses: std::iter::empty().collect(), ..Telling::default() })
}

fn pool(options: PgConnectOptions) -> Pool {
    let rules = Rules {
        ceiling: 4,
        initial_limit: 2,
        min_idle: 1,
        queue_capacity: 8,
        check_after_idle: Duration::ZERO,
        suspect_after: Duration::from_millis(300),
        // Long after that: a busy machine is to see them.
        revoke_after: Some(Duration::from_secs(3)),
        ..Rules::default()
    };
    let config = Config { rules, ..Config::named("strict") };
    Pool::builder(options, config).observer(PoolMetrics::new()).connect().unwrap()
}

/// Where each name is explained.
const DOCUMENTED: &str = include_str!("../../../../docs/metrics.md");

/// Families that this test's shop does not have: that of a service beside the one whose sessions end, and that of chaos.
const ELSEWHERE: [&str; 2] = ["revoked_sessions_age_seconds", "chaos_fault_active"];

/// What the names of ours are in the OpenTelemetry conventions, and whether they are stable there: docs/metrics.md says of which version,
/// and of which of ours there is none.
const CONVENTIONS: [(&str, &str, &str, &str); 11] = [
    ("db.client.connection.count", "development", "db_client_connections", "gauge"),
    ("db.client.connection.create_time", "development", "db_client_connection_create_time_seconds", "histogram"),
    ("db.client.connection.idle.min", "development", "db_client_connection_idle_min", "gauge"),
    ("db.client.connection.max", "development", "db_client_connection_max", "gauge"),
    ("db.client.connection.pending_requests", "development", "db_client_connection_pending_requests", "gauge"),
    ("db.client.connection.timeouts", "development", "db_client_connection_timeouts_total", "counter"),
    ("db.client.connection.use_time", "development", "db_client_connection_use_time_seconds", "histogram"),
    ("db.client.connection.wait_time", "development", "db_client_connection_wait_time_seconds", "histogram"),
    ("db.client.operation.duration", "stable", "db_client_operation_duration_seconds", "histogram"),
    ("http.server.active_requests", "development", "http_server_active_requests", "gauge"),
    ("http.server.request.duration", "stable", "http_server_request_duration_seconds", "histogram"),
];

/// The pool's families are those of the conventions, and each of a name like theirs is one of them.
fn follows_the_conventions(page: &str) {
    for (convention, stability, ours, kind) in CONVENTIONS {
        let declared = format!("# TYPE {ours} {kind}\n");
        assert!(page.contains(&declared), "{convention} ({stability} there) is missing: {declared}{page}");
        let row = format!("| `{convention}` | {stability} | `{ours}` |");
        assert!(DOCUMENTED.contains(&row), "docs/metrics.md has no row {row}");
    }
    let of_pools = page.lines().filter_map(|line| line.strip_prefix("# TYPE db_client_"));
    for family in of_pools.filter_map(|rest| rest.split(' ').next()) {
        let known = CONVENTIONS.iter().any(|(.., ours, _)| ours.strip_prefix("db_client_") == Some(family));
        assert!(known, "db_client_{family} is in no convention");
    }
    for bounds in [
        r#"http_server_request_duration_seconds_bucket{service="catalog",outcome="ok",le="0.075"}"#,
        r#"http_server_request_duration_seconds_bucket{service="catalog",outcome="ok",le="7.5"}"#,
    ] {
        assert!(page.contains(bounds), "the buckets are those of the convention: {bounds}");
    }
}

/// A family as a page shows it, or as docs/metrics.md describes it.
#[derive(Debug, Default, PartialEq, Eq)]
struct Family {
    kind: String,
    labels: BTreeSet<String>,
    meaning: String,
}

/// The families of a page in text.
fn shown(page: &str) -> BTreeMap<String, Family> {
    let mut families = BTreeMap::<String, Family>::new();
    for line in page.lines() {
        if let Some((name, text)) = line.strip_prefix("# HELP ").and_then(|rest| rest.split_once(' ')) {
            text.clone_into(&mut families.entry(name.to_owned()).or_default().meaning);
        } else if let Some((name, kind)) = line.strip_prefix("# TYPE ").and_then(|rest| rest.split_once(' ')) {
            kind.clone_into(&mut families.entry(name.to_owned()).or_default().kind);
        } else if let Some((series, labels)) = line.split_once('{') {
            let parts = ["_bucket", "_sum", "_count"].into_iter().filter_map(|part| series.strip_suffix(part));
            let name = parts.chain([series]).find(|name| families.contains_key(*name)).unwrap_or(series);
            let names = labels.split("\",").filter_map(|label| label.split_once('=').map(|(name, _)| name));
            let family = families.entry(name.to_owned()).or_default();
            family.labels.extend(names.filter(|name| *name != "le").map(str::to_owned));
        }
    }
    families
}

/// The families of docs/metrics.md: name, type, unit, labels, meaning.
fn documented() -> BTreeMap<String, (Family, String)> {
    let (_, table) = DOCUMENTED.split_once("\n## Every family\n").expect("docs/metrics.md has its table");
    let rows = table.lines().filter_map(|line| line.strip_prefix("| `")?.strip_suffix(" |"));
    let rows = rows.map(|row| {
        let cells: Vec<_> = row.splitn(5, " | ").collect();
        let [name, kind, unit, labels, meaning] = cells[..] else { panic!("five cells: {row}") };
        let labels = labels.split(", ").filter_map(|label| label.strip_prefix('`')?.strip_suffix('`'));
        let labels = labels.map(str::to_owned).collect();
        let family = Family { kind: kind.to_owned(), labels, meaning: meaning.to_owned() };
        (name.trim_end_matches('`').to_owned(), (family, unit.to_owned()))
    });
    rows.collect()
}

/// docs/metrics.md says of each family that is declared what the page shows, and of no other.
fn is_documented(page: &str, declared: &BTreeSet<String>) {
    let documented = documented();
    let shown = shown(page).into_iter();
    let wrong = shown.filter(|(name, family)| documented.get(name).is_none_or(|(known, _)| known != family));
    let rows = wrong.map(|(name, Family { kind, labels, meaning })| {
        let labels: Vec<_> = labels.iter().map(|label| format!("`{label}`")).collect();
        format!("| `{name}` | {kind} | ... | {} | {meaning} |\n", labels.join(", "))
    });
    let rows: String = rows.collect();
    assert!(rows.is_empty(), "docs/metrics.md shall say:\n{rows}");
    let declared: BTreeSet<_> = declared.iter().map(String::as_str).chain(ELSEWHERE).collect();
    let rows: BTreeSet<_> = documented.keys().map(String::as_str).collect();
    assert_eq!(rows, declared, "docs/metrics.md has what is declared, and nothing else");
    for (name, (_, unit)) in documented {
        assert_eq!(unit == "s", name.contains("_seconds"), "the unit of {name} is its name's: {unit}");
    }
}

/// Every family has a help text, and Prometheus' own programs have nothing to say against any, in either form.
pub(crate) fn are_well_formed(text: &str, openmetrics: &str) {
    let families = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next());
    let mute: Vec<_> = families.filter(|name| !text.contains(&format!("# HELP {name} "))).collect();
    assert!(mute.is_empty(), "no help text: {mute:?}");
    says_nothing_against(Command::new("promtool").args(["check", "metrics"]), text);

    // It reads OpenMetrics where there is a time to each sample.
    let timed = |line: &str| match line.split_once(" # ") {
        _ if line.starts_with('#') => format!("{line}\n"),
        Some((sample, exemplar)) => format!("{sample} 1 # {exemplar}\n"),
        None => format!("{line} 1\n"),
    };
    let folder = tempfile::tempdir().unwrap();
    let (file, blocks) = (folder.path().join("page"), folder.path().join("blocks"));
    fs::write(&file, openmetrics.lines().map(timed).collect::<String>()).unwrap();
    let mut promtool = Command::new("promtool");
    promtool.args(["tsdb", "create-blocks-from", "openmetrics", "--quiet"]).args([file, blocks]);
    says_nothing_against(&mut promtool, "");
    assert!(openmetrics.ends_with("\n# EOF\n"), "{openmetrics}");

    let types = |page: &str| -> BTreeMap<String, String> {
        let lines = page.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '));
        lines.map(|(name, kind)| (name.to_owned(), kind.to_owned())).collect()
    };
    // No two of its families may have one name once counters have lost their end.
    let bare = |(name, kind): (String, String)| match kind.as_str() {
        "counter" => (name.strip_suffix("_total").expect("counters end in _total").to_owned(), kind),
        _ => (name, kind),
    };
    let (text, openmetrics) = (types(text), types(openmetrics));
    assert_eq!(text.len(), openmetrics.len(), "{text:?}");
    assert_eq!(text.into_iter().map(bare).collect::<BTreeMap<_, _>>(), openmetrics);
}

fn says_nothing_against(program: &mut Command, page: &str) {
    program.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut program = program.spawn().expect("promtool, which judges the metrics, is missing: install Debian's package prometheus, or run the tests by bin/test");
    // It may end before it has read everything, and says why then.
    _ = program.stdin.take().unwrap().write_all(page.as_bytes());
    let output = program.wait_with_output().unwrap();
    let complaints = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && complaints.trim().is_empty(), "{complaints}");
}

/// How many series Prometheus keeps of a page.
pub(crate) fn series(page: &str) -> usize {
    page.lines().filter(|line| !line.starts_with('#')).count()
}

/// The page in OpenMetrics, as Prometheus asks for it.
pub(crate) async fn openmetrics(admin: &Http) -> String {
    let prometheus = "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
    let (head, body) = admin.whole(Method::GET, "/metrics", &[("accept", prometheus)], None).await.unwrap();
    assert_eq!(head.headers["content-type"], "application/openmetrics-text; version=1.0.0; charset=utf-8");
    String::from_utf8(body.to_vec()).unwrap()
}

#[tokio::test]
async fn every_declared_metric_moves() {
    let shop = Strict::open().await;
    let mut seen = BTreeMap::new();
    shop.is_traced().await;
    shop.tells(&mut seen).await;
    shop.asks_in_vain(&mut seen).await;
    shop.hogs_and_a_crowd(&mut seen).await;
    shop.walks_off().await;
    shop.only_reports(&mut seen).await;
    shop.dawdles(&mut seen).await;
    let order = json!({"max": 6, "limit": 3, "flush_idle": true});
    assert_eq!(shop.admin.post("/pool", &[], order).await.unwrap().0, 200);
    let shop = &shop;
    eventually("failed attempts to connect are counted, and somebody refused for them", || async move {
        shop.is_locked_out().await;
        _ = shop.http.text("/v1/products").await;
        let text = shop.admin.text("/metrics").await.unwrap().1;
        text.contains("pool_connect_failures_total") && !text.contains("pool_unavailable_total 0")
    })
    .await;
    shop.scrape(&mut seen).await;
    let declared = declared();
    assert!(declared.len() > 15, "the names are found: {declared:?}");
    let still: Vec<_> = declared.iter().filter(|name| seen.get(*name).is_none_or(|value| *value == 0.0)).collect();
    assert!(still.is_empty(), "declared and never moved: {still:?}");
    let (page, open) = (shop.admin.text("/metrics").await.unwrap().1, openmetrics(&shop.admin).await);
    follows_the_conventions(&page);
    is_documented(&page, &declared);
    are_well_formed(&page, &open);
}
