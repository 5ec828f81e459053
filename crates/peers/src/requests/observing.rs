//! What the metrics cost: those who lease connections, and a process that is asked for all of them.

use std::hint::black_box;
use std::net::{Ipv4Addr, SocketAddr};
use std::str::FromStr as _;
use std::time::Duration;

use forebay_embedded::Server;
use forebay_platform::db::PoolMetrics;
use forebay_pool::{Admission, Class, Config, Fixed, Observer, Pool, Rules, Unobserved};
use sqlx::{ConnectOptions as _, Executor as _, postgres::PgConnectOptions};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use super::journey::{Client, Journey};
use super::shop::{self, Shop};
use super::{Build, queries};
use crate::BenchError;
use crate::book::Spread;
use crate::machine::{Machine, Used};
use crate::precedence::Precedence;
use crate::report::spread;
use crate::web::Line;

/// Leases in a turn.
const LEASES: u32 = 100_000;
/// What telling of a lease may take, in nanoseconds.
const MOST_NS: f64 = 40.0;
/// What a page may take, in milliseconds, but for one in a hundred.
const MOST_MS: f64 = 5.0;
/// Between two pages, as Prometheus asks for them.
const EVERY: Duration = Duration::from_secs(5);
/// What these may take of a core, in per cent.
const MOST_OF_A_CORE: f64 = 0.5;
/// Mixed requests before the pages, so that there is something to tell.
const REQUESTS: usize = 4_000;
/// Who wants a connection while there is none.
const CROWD: usize = 40;
/// Of one who was refused.
const PAUSE: Duration = Duration::from_millis(20);

/// What was measured.
#[derive(Clone, Debug)]
pub struct Report {
    machine: Machine,
    name: String,
    leases: Leases,
    pages: Pages,
}

/// Nanoseconds a lease, round by round.
#[derive(Clone, Debug, Default)]
struct Leases {
    unobserved: Vec<f64>,
    observed: Vec<f64>,
    /// What is told of a lease, without a pool, and without what it takes to tell nobody.
    told: Vec<f64>,
}

#[derive(Clone, Debug)]
struct Pages {
    /// Milliseconds, the quickest first.
    took: Vec<f64>,
    /// Lines that are series.
    series: usize,
    bytes: usize,
    /// Of those who wanted a connection meanwhile, how many were refused.
    refused: usize,
    /// Milliseconds of processor time for one page.
    processor: f64,
}

/// Leases from pools that tell and from pools that do not, in turn; then has a shop whose connections all wait for a lock show its metrics.
///
/// # Errors
/// There is no server, or the shop does not open.
pub async fn run(
    build: &Build,
    rounds: u32,
    pages: u32,
    progress: impl Fn(&str) + Send + Sync,
) -> Result<Report, BenchError> {
    let machine = Machine::here(shop::postgres_version()?, Precedence::Nobody);
    progress("starting a server");
    let server = queries::server(&progress).await?;
    let leases = leases(&server, rounds).await?;
    progress(&format!("starting {}", build.name));
    let admin = free_port().await?;
    let mut build = build.clone();
    let own = [("FOREBAY_SEED", "small"), ("FOREBAY_ADMIN", &admin.to_string())];
    build.settings.splice(0..0, own.map(|(name, value)| (name.to_owned(), value.to_owned())));
    let shop = Shop::start_on(&build, &server).await?;
    let pages = show(&shop, &server, admin, pages, progress).await;
    shop.stop().await?;
    // The run is over: whatever is wrong with the stop, the guardian ends the server with this process.
    _ = server.shutdown().await;
    Ok(Report { machine, name: build.name, leases, pages: pages? })
}

async fn leases(server: &Server, rounds: u32) -> Result<Leases, BenchError> {
    let options = PgConnectOptions::from_str(&server.url("postgres"))?;
    let (silent, telling) = (pool(&options, Unobserved)?, pool(&options, PoolMetrics::new())?);
    let (nobody, metrics): (&dyn Observer, &dyn Observer) = (&Unobserved, &PoolMetrics::new());
    for pool in [&silent, &telling] {
        lease(pool).await?;
    }
    let mut leases = Leases::default();
    for round in 0..rounds {
        // Whoever is first may find the processor in another state than who is second.
        let in_turn = if round % 2 == 0 { [false, true] } else { [true, false] };
        let (mut pooled, mut alone) = ([0.0; 2], [0.0; 2]);
        for observed in in_turn {
            pooled[usize::from(observed)] = lease(if observed { &telling } else { &silent }).await?;
            alone[usize::from(observed)] = tell(black_box(if observed { metrics } else { nobody }));
        }
        leases.unobserved.push(pooled[0]);
        leases.observed.push(pooled[1]);
        leases.told.push(alone[1] - alone[0]);
    }
    silent.close().await;
    telling.close().await;
    Ok(leases)
}

fn pool(options: &PgConnectOptions, observer: impl Observer + 'static) -> Result<Pool, BenchError> {
    let rules = Rules { min_idle: 2, initial_limit: 2, ceiling: 4, ..Rules::default() };
    let config = Config { rules, ..Config::named("bench") };
    Pool::builder(options.clone(), config).sizer(Fixed).observer(observer).connect().map_err(BenchError::turn)
}

/// Nanoseconds to get a connection and give it back, with nobody else there.
async fn lease(pool: &Pool) -> Result<f64, BenchError> {
    let pool = pool.clone();
    let task = tokio::spawn(async move {
        let began = Instant::now();
        for _ in 0..LEASES {
            let admission = Admission::within(Class::Normal, Duration::from_secs(10));
            drop(pool.acquire(&admission).await.map_err(BenchError::turn)?);
        }
        Ok(a_lease(began))
    });
    task.await.map_err(BenchError::turn)?
}

/// The same of what an observer makes of it: nobody waited, and connections were out for 0.1 to 5 ms.
fn tell(observer: &dyn Observer) -> f64 {
    let began = Instant::now();
    for number in 0..LEASES {
        observer.acquired(black_box(Class::Normal), black_box(Duration::ZERO));
        observer.released(black_box(Class::Normal), Duration::from_micros(100 + u64::from(number % 701) * 7));
    }
    a_lease(began)
}

fn a_lease(began: Instant) -> f64 {
    began.elapsed().as_secs_f64() * 1e9 / f64::from(LEASES)
}

async fn free_port() -> Result<SocketAddr, BenchError> {
    let there = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.map_err(BenchError::io("looking for a port"))?;
    there.local_addr().map_err(BenchError::io("looking for a port"))
}

async fn show(
    shop: &Shop,
    server: &Server,
    admin: SocketAddr,
    pages: u32,
    progress: impl Fn(&str),
) -> Result<Pages, BenchError> {
    let mut client = Client::open(shop, Journey::Mixed, 0).await?;
    for step in 0..REQUESTS {
        client.ask(step).await?;
    }
    progress("no connection is to be had from now on");
    let mut lock = PgConnectOptions::from_str(&server.url("postgres"))?.connect().await?;
    lock.execute("begin; lock table catalog.products in access exclusive mode").await?;
    let mut crowd = JoinSet::new();
    for number in 0..CROWD {
        crowd.spawn(want(shop.address, number));
    }
    sleep(Duration::from_secs(1)).await;
    let mut operator = Line::open(admin).await.map_err(BenchError::io("reaching the admin listener"))?;
    let mut took = Vec::new();
    for _ in 0..pages {
        let began = Instant::now();
        page(&mut operator).await?;
        took.push(began.elapsed().as_secs_f64() * 1e3);
        sleep(Duration::from_millis(10)).await;
    }
    took.sort_by(f64::total_cmp);
    let text = String::from_utf8_lossy(operator.body()).into_owned();
    crowd.abort_all();
    let refused = number_of(&text, "http_server_requests_total{", "status=\"503\"");
    lock.execute("rollback").await?;
    sleep(Duration::from_secs(3)).await;

    let processor = processor(shop, &mut operator, pages).await?;
    let series = text.lines().filter(|line| !line.starts_with('#')).count();
    Ok(Pages { took, series, bytes: text.len(), refused, processor })
}

/// Asks for products from now on, and again when it was refused.
async fn want(shop: SocketAddr, number: usize) {
    let here = Ipv4Addr::new(127, 0, 7, u8::try_from(number % 250 + 1).unwrap_or(1));
    loop {
        if let Ok(mut line) = Line::open_from(here, shop).await {
            while line.send(b"GET /v1/products?limit=1 HTTP/1.1\r\nhost: shop\r\n\r\n").await.is_ok() {
                sleep(PAUSE).await;
            }
        }
        sleep(PAUSE).await;
    }
}

async fn page(operator: &mut Line) -> Result<(), BenchError> {
    let question =
        b"GET /metrics HTTP/1.1\r\nhost: localhost\r\naccept: application/openmetrics-text;version=1.0.0\r\n\r\n";
    match operator.send(question).await.map_err(BenchError::io("asking for the metrics"))? {
        200 => Ok(()),
        status => Err(BenchError::turn(format!("/metrics answered {status}"))),
    }
}

/// Milliseconds of the shop's processor time for a page, beyond what it does in the same time anyhow.
async fn processor(shop: &Shop, operator: &mut Line, pages: u32) -> Result<f64, BenchError> {
    let used = || Ok::<Used, BenchError>(shop.processor()?.shop);
    let (began, before) = (Instant::now(), used()?);
    for _ in 0..pages {
        page(operator).await?;
    }
    let (took, after) = (began.elapsed(), used()?);
    sleep(took).await;
    let idle = used()?.since(after);
    Ok(after.since(before).saturating_sub(idle).as_secs_f64() * 1e3 / f64::from(pages))
}

fn number_of(page: &str, family: &str, label: &str) -> usize {
    let lines = page.lines().filter(|line| line.starts_with(family) && line.contains(label));
    lines.filter_map(|line| line.rsplit_once(' ')?.1.parse::<usize>().ok()).sum()
}

impl Leases {
    fn told(&self) -> Option<Spread> {
        Spread::of(self.told.iter().copied())
    }
}

impl Pages {
    /// By the nearest rank.
    fn p99(&self) -> f64 {
        let rank = (self.took.len() * 99).div_ceil(100);
        self.took.get(rank.saturating_sub(1)).copied().unwrap_or(f64::INFINITY)
    }

    fn of_a_core(&self) -> f64 {
        self.processor / (EVERY.as_secs_f64() * 1e3) * 100.0
    }
}

impl Report {
    /// Whether all of it is little enough.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.lease_holds() && self.page_holds() && self.core_holds()
    }

    fn lease_holds(&self) -> bool {
        self.leases.told().is_some_and(|told| told.median <= MOST_NS)
    }

    fn page_holds(&self) -> bool {
        self.pages.p99() <= MOST_MS
    }

    fn core_holds(&self) -> bool {
        self.pages.of_a_core() <= MOST_OF_A_CORE
    }

    /// As text.
    #[must_use]
    pub fn markdown(&self) -> String {
        let Self { machine, name, leases, pages } = self;
        let shown = |values: &[f64]| Spread::of(values.iter().copied()).map_or_else(|| "-".to_owned(), spread);
        let difference: Vec<_> =
            leases.observed.iter().zip(&leases.unobserved).map(|(with, without)| with - without).collect();
        let verdict = |holds| if holds { "held" } else { "**missed**" };
        let machine = machine.line("");
        let Pages { took, series, bytes, refused, processor } = pages;
        let median = Spread::of(took.iter().copied()).map_or(0.0, |took| took.median);
        let (p99, of_a_core) = (pages.p99(), pages.of_a_core());
        format!(
            "# What the metrics cost: {name}\n\n\
             {machine}\n\n\
             **Method.** {} rounds of {LEASES} leases by one task with nobody else there, from a pool that tells its metrics and from one that tells \
             nobody, in turn; and what is told of as many leases, without a pool. Then {} pages of OpenMetrics, one after another, 10 ms apart, while all \
             connections wait for a lock on the products, which {CROWD} clients ask for.\n\n\
             | what | found | at most | |\n|---|---|---|---|\n\
             | a lease from a pool that tells nobody, ns | {} | | |\n\
             | from one that tells its metrics, ns | {} | | |\n\
             | the difference, within a round, ns | {} | | |\n\
             | what is told of a lease, alone, ns | {} | {MOST_NS} | {} |\n\
             | a page while the pool is full, p99, ms | {p99:.2} (median {median:.2}) | {MOST_MS} | {} |\n\
             | a page every {} s, % of a core | {of_a_core:.3} | {MOST_OF_A_CORE} | {} |\n\n\
             A page had {series} series in {bytes} bytes and took {processor:.2} ms of processor time; {refused} requests had been refused for want of a connection.\n",
            leases.told.len(),
            took.len(),
            shown(&leases.unobserved),
            shown(&leases.observed),
            shown(&difference),
            shown(&leases.told),
            verdict(self.lease_holds()),
            verdict(self.page_holds()),
            EVERY.as_secs(),
            verdict(self.core_holds()),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(told: f64, slowest: f64, processor: f64) -> Report {
        let mut took = vec![1.0; 98];
        took.extend([slowest; 2]);
        Report {
            machine: Machine::here(String::new(), Precedence::Nobody),
            name: String::new(),
            leases: Leases { unobserved: vec![300.0], observed: vec![330.0], told: vec![told] },
            pages: Pages { took, series: 1, bytes: 1, refused: 1, processor },
        }
    }

    #[test]
    fn each_of_the_three_has_to_hold() {
        assert!(report(40.0, 5.0, 25.0).holds());
        assert!(!report(40.1, 5.0, 25.0).holds());
        assert!(!report(40.0, 5.1, 25.0).holds(), "one in a hundred may take longer, not two");
        assert!(!report(40.0, 5.0, 25.1).holds());
        let text = report(40.1, 1.0, 1.0).markdown();
        assert!(text.contains("| 40.1 | 40 | **missed** |"), "{text}");
    }

    #[test]
    fn who_was_refused_is_counted_on_the_page() {
        let page = "http_server_requests_total{status=\"503\",outcome=\"shed\"} 7\nhttp_server_requests_total{status=\"200\"} 3\n";
        assert_eq!(number_of(page, "http_server_requests_total{", "status=\"503\""), 7);
    }
}
