//! Processes that share a server while they run: each gets what it needs, and all together no more than there is.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use forebay_embedded::Server;
use forebay_shop::{claim, migrate};
use futures_util::future::join_all;
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, ConnectOptions as _, PgConnection, postgres::PgConnectOptions};
use tempfile::TempDir;
use tokio::{
    task::JoinHandle,
    time::{Instant, sleep},
};

use crate::{
    client::Http,
    process::{Shop, eventually, home, run, service},
};

/// A category that is not known is looked for in the database each time, and here that takes half a second.
const SLOW: &str = "
    insert into catalog.categories values (gen_random_uuid(), null, 'books', 'Books', 1);
    alter table catalog.categories rename to all_categories;
    create view catalog.categories as select c.* from catalog.all_categories c, (select pg_sleep(0.5)) slowly";

/// A server with so many connections, of which three are reserved and three left to operators.
struct Site {
    server: Server,
    observer: PgConnection,
    home: TempDir,
}

impl Site {
    async fn with(max_connections: u32) -> Self {
        let max_connections = max_connections.to_string();
        let settings =
            [("max_connections", max_connections.as_str()), ("max_wal_size", "64MB"), ("shared_buffers", "16MB")];
        let settings = settings.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        let server = Server::start_temporary(settings, |_| {}).await.unwrap();
        let options: PgConnectOptions = server.url("postgres").parse().unwrap();
        let mut observer = options.connect().await.unwrap();
        for name in ["one", "two"] {
            sqlx::raw_sql(AssertSqlSafe(format!("create database {name}"))).execute(&mut observer).await.unwrap();
            let options: PgConnectOptions = server.url(name).parse().unwrap();
            migrate(&claim::options(&options)).await.unwrap();
            sqlx::raw_sql(SLOW).execute(&mut options.connect().await.unwrap()).await.unwrap();
        }
        Self { server, observer, home: home() }
    }

    fn settings(most: &'static str, floor: &'static str) -> [(&'static str, &'static str); 4] {
        [
            ("FOREBAY_POOL_MAX", most),
            ("FOREBAY_POOL_FLOOR", floor),
            ("FOREBAY_POOL_MIN", "1"),
            ("FOREBAY_POOL_START", "1"),
        ]
    }

    async fn catalog(&self, database: &str, settings: &[(&str, &str)]) -> Shop {
        Shop::start(self.home.path(), service(self.home.path(), "catalog", &self.server.url(database), settings)).await
    }

    /// How many sessions of ours the server has.
    async fn sessions(&mut self) -> i64 {
        let count = "select count(*) from pg_stat_activity where application_name like 'forebay-%'";
        sqlx::query_scalar(count).fetch_one(&mut self.observer).await.unwrap()
    }

    /// How often somebody was turned away.
    fn turned_away(&self) -> usize {
        let log = std::fs::read_to_string(self.server.log_file()).unwrap();
        log.lines().filter(|line| line.contains("too many clients") || line.contains("connection slots")).count()
    }
}

async fn ceiling(shop: &Shop) -> u64 {
    let (_, pool) = shop.admin.text("/pool").await.unwrap();
    serde_json::from_str::<Value>(&pool).unwrap()["ceiling"].as_u64().unwrap()
}

/// Buyers who look for what is not there, each again and again, as long as it is kept.
#[derive(Debug)]
struct Buyers {
    tasks: Vec<JoinHandle<()>>,
    served: Arc<AtomicUsize>,
}

impl Buyers {
    fn of(http: &Http, many: usize) -> Self {
        let served = Arc::new(AtomicUsize::new(0));
        let buyer = || {
            let (http, served) = (http.clone(), Arc::clone(&served));
            tokio::spawn(async move {
                loop {
                    match http.text("/v1/categories/none").await {
                        Some((status, _)) if status == 404 => _ = served.fetch_add(1, Ordering::Relaxed),
                        _ => sleep(Duration::from_millis(100)).await,
                    }
                }
            })
        };
        Self { tasks: (0..many).map(|_| buyer()).collect(), served }
    }
}

impl Drop for Buyers {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_one_of_nine_that_has_the_traffic_gets_what_the_others_do_not_need() {
    let site = Site::with(80).await;
    let settings = Site::settings("60", "2");
    let shops = join_all((0..9).map(|_| site.catalog("one", &settings))).await;
    let _others: Vec<Buyers> = shops[1..].iter().map(|shop| Buyers::of(&shop.http, 1)).collect();
    let before = ceiling(&shops[0]).await;
    let began = Instant::now();
    let _most = Buyers::of(&shops[0].http, 60);
    // The others have use for one, and publish four: with a spare for the next moment, one that cancels, and the probe's.
    let (room, others) = (80 - 3 - 3, 8 * 4);
    let free = u64::try_from(room - others - 1).unwrap();
    eventually("nine tenths of what is free", || async { ceiling(&shops[0]).await * 10 >= free * 9 }).await;
    eprintln!("from {before} to {} of {free} in {:?}", ceiling(&shops[0]).await, began.elapsed());
    assert_eq!(site.turned_away(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fixed_claim_stays_and_two_databases_share_one_server() {
    let site = Site::with(40).await;
    // Of 34 the first claims 21 for good, and the second has the other 13 to itself at first.
    let fixed = site.catalog("one", &Site::settings("20", "20")).await;
    let first = site.catalog("two", &Site::settings("20", "2")).await;
    assert_eq!((ceiling(&fixed).await, ceiling(&first).await), (20, 12));
    let second = site.catalog("two", &Site::settings("20", "5")).await;
    eventually("both have half of it", || async {
        (ceiling(&first).await, ceiling(&second).await) == (6, 5)
            || ceiling(&first).await + ceiling(&second).await == 11
    })
    .await;
    assert_eq!(ceiling(&fixed).await, 20);
    let (status, _, err) =
        run(service(site.home.path(), "catalog", &site.server.url("one"), &Site::settings("20", "7"))).await;
    assert_eq!(status.code(), Some(1));
    for line in ["max_connections 40 - 3 reserved", "catalog 1 x 21 = 21", "left: 4", "FOREBAY_POOL_FLOOR=7 + 1 beside"]
    {
        assert!(err.contains(line), "{line}: {err}");
    }
    second.send(Signal::KILL);
    eventually("what a dead process had is given back", || async { ceiling(&first).await == 12 }).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_crash_of_postgres_each_has_its_part_again_and_serves() {
    let mut site = Site::with(40).await;
    let shops =
        [site.catalog("one", &Site::settings("30", "5")).await, site.catalog("two", &Site::settings("30", "5")).await];
    let together = || async { ceiling(&shops[0]).await + ceiling(&shops[1]).await };
    eventually("all is shared", || async { together().await == 32 }).await;
    let backend = "select pid from pg_stat_activity where application_name like 'forebay-claim/%' limit 1";
    let backend: i32 = sqlx::query_scalar(backend).fetch_one(&mut site.observer).await.unwrap();
    // The postmaster ends all others too, and begins anew.
    kill_process(Pid::from_raw(backend).unwrap(), Signal::KILL).unwrap();
    for shop in &shops {
        eventually("it serves", || async { shop.http.text("/v1/categories/none").await.unwrap().0 == 404 }).await;
    }
    let options: PgConnectOptions = site.server.url("postgres").parse().unwrap();
    site.observer = options.connect().await.unwrap();
    let claims = "select application_name from pg_stat_activity where application_name like 'forebay-claim/%'";
    let site = tokio::sync::Mutex::new(site);
    eventually("both have published again, and no more than there is", || async {
        let names: Vec<String> = sqlx::query_scalar(claims).fetch_all(&mut site.lock().await.observer).await.unwrap();
        let held: Vec<u64> = names.iter().map(|name| name.rsplit_once('/').unwrap().1.parse().unwrap()).collect();
        assert!(held.iter().sum::<u64>() <= 34, "{names:?}");
        held.len() == 2 && held.iter().sum::<u64>() == 34 && together().await == 32
    })
    .await;
    assert_eq!(site.lock().await.turned_away(), 0);
}

#[expect(clippy::disallowed_methods, reason = "a test has no configuration")]
fn asked(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// `FOREBAY_SECONDS=600 cargo test -p forebay-shop --test it -- --nocapture sharing::ten` tries it for longer;
/// `FOREBAY_CASE=<number>` with another seed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_that_are_killed_and_stopped_under_load_open_no_more_than_there_is_room() {
    let (seconds, seed) = (asked("FOREBAY_SECONDS").unwrap_or(20), asked("FOREBAY_CASE").unwrap_or(1));
    eprintln!("seed {seed}");
    let mut draw = StdRng::seed_from_u64(seed);
    let mut site = Site::with(60).await;
    let settings = Site::settings("40", "2");
    let databases = ["one", "two"];
    let mut shops = join_all((0..10).map(|at| site.catalog(databases[at % 2], &settings))).await;
    let mut buyers: Vec<Buyers> = shops.iter().map(|shop| Buyers::of(&shop.http, 4)).collect();
    let end = Instant::now() + Duration::from_secs(seconds);
    let (mut round, mut most, mut served, mut kills, mut stops, mut looks) = (0_u64, 0, 0, 0, 0, 0_u64);
    while Instant::now() < end {
        let at = draw.random_range(0..shops.len());
        round += 1;
        match round % 5 {
            1 => {
                kills += 1;
                shops[at].send(Signal::KILL);
                shops[at] = site.catalog(databases[at % 2], &settings).await;
                buyers[at] = Buyers::of(&shops[at].http, 4);
            }
            2 | 4 => {
                stops += 1;
                shops[at].send(Signal::STOP);
                for _ in 0..draw.random_range(10..60) {
                    sleep(Duration::from_millis(50)).await;
                    (most, looks) = (most.max(site.sessions().await), looks + 1);
                }
                shops[at].send(Signal::CONT);
            }
            _ => {
                served += buyers[at].served.load(Ordering::Relaxed);
                let many = [1, 1, 4, 40][draw.random_range(0..4)];
                buyers[at] = Buyers::of(&shops[at].http, many);
            }
        }
        for _ in 0..draw.random_range(1..20) {
            sleep(Duration::from_millis(50)).await;
            (most, looks) = (most.max(site.sessions().await), looks + 1);
        }
    }
    eprintln!(
        "{seconds} s: {kills} killed, {stops} stopped, {served} served at least, {looks} looks, most sessions {most}"
    );
    assert_eq!(site.turned_away(), 0);
    assert!(most <= 60 - 3, "{most} sessions");
    for shop in &shops {
        shop.send(Signal::CONT);
    }
    let (status, pool) = shops[0].admin.post("/pool", &[], json!({"max": 10})).await.unwrap();
    assert_eq!(status, 200, "{pool}");
}
