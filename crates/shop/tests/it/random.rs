//! Requests drawn at random, for every endpoint that docs/api.md lists and for the admin listener's: as they should be, and
//! with things wrong. Whatever is asked, the answer comes, is one that the page lists, and tells nothing of the program.

mod documented;
mod json;
mod judge;
mod larder;
mod request;
mod wire;

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;

use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{RngExt as _, SeedableRng as _};
use rustix::process::Signal;
use tokio::task::JoinSet;

use crate::admins::Administrator;
use crate::metrics::{are_well_formed, openmetrics, series};
use crate::process::{Shop, home};
pub(crate) use documented::{Documented, Endpoint};
use larder::Larder;
use request::Draft;
use wire::{Line, Outcome};

/// Who asks at once, each on a line of its own.
const CLIENTS: usize = 4;
/// Requests on one line, if nothing ends it before.
const LINE: u32 = 100;
/// After so many requests an admin logs in anew: a token is good for ten minutes.
const RENEWED: usize = 2_000;
/// An instance has fewer series.
const MOST_SERIES: usize = 1_500;
/// How many of a kind of fault are kept to be looked at, each of another endpoint.
const KEPT: usize = 3;

/// Requests in all: as many as `FOREBAY_CASES` says, 3,000 by default.
#[expect(clippy::disallowed_methods, reason = "how long a test runs is no setting of a service")]
fn cases() -> usize {
    std::env::var("FOREBAY_CASES").ok().and_then(|text| text.parse().ok()).unwrap_or(3_000)
}

/// `FOREBAY_CASES_SEED`, to draw the same again.
#[expect(clippy::disallowed_methods, reason = "what a test draws is no setting of a service")]
fn seed() -> u64 {
    std::env::var("FOREBAY_CASES_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or_else(rand::random)
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_is_asked_the_answer_is_one_that_is_documented() {
    let (cases, seed, home) = (cases(), seed(), home());
    // A slow machine is no fault, and a payment takes as long as it takes.
    let settings = [
        ("FOREBAY_PAYMENT_LATENCY_MS", "0"),
        ("FOREBAY_PAYMENT_WEBHOOK_SECRET", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"),
        ("FOREBAY_DEADLINE_NORMAL_MS", "8000"),
        ("FOREBAY_DEADLINE_CRITICAL_MS", "8000"),
        ("FOREBAY_LOG", "error"),
    ];
    let shop = Shop::open(home.path(), &settings).await;
    let (documented, administrator) = (Arc::new(Documented::read()), Administrator::of(&shop, home.path()).await);
    let mut clients = JoinSet::new();
    for number in 0..CLIENTS {
        let client = Client::new(&shop, &documented, &administrator, seed.wrapping_add(number as u64));
        clients.spawn(client.ask((number..cases).step_by(CLIENTS).len()));
    }
    let found = clients.join_all().await.into_iter().fold(Found::default(), Found::and);
    eprintln!("seed {seed}: {}", found.summary());

    let (status, body) = shop.http.text("/v1/products?limit=1").await.expect("it still serves");
    assert_eq!(status, 200, "{body}");
    let (page, open) = (shop.admin.text("/metrics").await.unwrap().1, openmetrics(&shop.admin).await);
    are_well_formed(&page, &open);
    eprintln!("{} series in /metrics", series(&page));
    assert!(series(&page) < MOST_SERIES, "whatever is asked, there are few series:\n{page}");
    shop.send(Signal::TERM);
    assert!(shop.ended().await.0.success());
    assert!(found.faults.is_empty(), "FOREBAY_CASES_SEED={seed} FOREBAY_CASES={cases}\n{}", found.described());
    let good: usize = found.good.values().sum();
    assert!(good * 10 > cases, "too little of it was good: {}", found.summary());
}

#[tokio::test(flavor = "multi_thread")]
async fn no_route_of_admins_is_open_to_anybody_else_and_nothing_changes_by_asking() {
    let home = home();
    let shop = Shop::open(home.path(), &[("FOREBAY_LOG", "error")]).await;
    let documented = Documented::read();
    let customer = format!("Bearer {}", shop.http.register("eve").await.unwrap());
    let before = books(&shop).await;
    let mut dice = StdRng::seed_from_u64(seed());
    let admins: Vec<_> =
        documented.endpoints.iter().filter(|endpoint| endpoint.path.starts_with("/v1/admin/")).collect();
    assert!(!admins.is_empty() && admins.iter().all(|endpoint| endpoint.is_for_admins()), "{admins:?}");
    for endpoint in admins {
        for _ in 0..5 {
            let mut draft = Draft::of(endpoint, &Larder::default(), &mut dice);
            for (bearer, status) in [(None, 401), (Some(&customer), 403)] {
                draft.headers.retain(|(name, _)| name != "authorization");
                draft.headers.extend(bearer.map(|bearer| ("authorization".to_owned(), bearer.clone().into_bytes())));
                let mut line = Line::open(shop.address.parse().unwrap(), Ipv4Addr::LOCALHOST).await.unwrap();
                let Outcome::Answered(answer) = line.ask(&draft.write(), false, false).await else {
                    panic!("{endpoint}")
                };
                assert_eq!(answer.status, status, "{endpoint}: {}", answer.body.escape_ascii());
                assert!(answer.header("cache-control").is_some_and(|kept| kept.contains("no-store")), "{endpoint}");
                assert!(answer.header("www-authenticate").is_some_and(|challenge| challenge.starts_with("Bearer ")));
            }
        }
    }
    assert_eq!(books(&shop).await, before);
    shop.send(Signal::TERM);
    assert!(shop.ended().await.0.success());
}

/// What only those who run the shop change, in one number, and how much they did.
async fn books(shop: &Shop) -> (i64, i64) {
    let books = "select (select coalesce(sum(hashtext(i::text)), 0) from checkout.inventory i) \
         + (select coalesce(sum(hashtext(o::text)), 0) from checkout.orders o) \
         + (select coalesce(sum(hashtext(p.slug || p.name || p.status || p.base_price)), 0) from catalog.products p) \
         + (select coalesce(sum(hashtext(c::text)), 0) from catalog.categories c), (select count(*) from audit.log)";
    sqlx::query_as(books).fetch_one(&mut shop.database().await).await.unwrap()
}

/// One who asks, with dice of its own.
#[derive(Debug)]
struct Client {
    dice: StdRng,
    larder: Larder,
    documented: Arc<Documented>,
    administrator: Administrator,
    http: SocketAddr,
    admin: SocketAddr,
    found: Found,
}

/// What was answered, and what was wrong with it.
#[derive(Debug, Default)]
struct Found {
    statuses: BTreeMap<u16, usize>,
    /// How often a request to an endpoint was a good one.
    good: BTreeMap<String, usize>,
    /// Closed without an answer, where that is nobody's fault.
    closed: usize,
    /// By kind: how often, and some of the requests.
    faults: BTreeMap<String, (usize, Vec<Example>)>,
}

#[derive(Debug)]
struct Example {
    endpoint: String,
    request: Vec<u8>,
    answer: String,
}

impl Client {
    fn new(shop: &Shop, documented: &Arc<Documented>, administrator: &Administrator, seed: u64) -> Self {
        let address = |text: &str| text.parse().expect("an address");
        let (http, admin) = (address(&shop.address), address(&shop.admin_address));
        let (dice, documented, administrator) =
            (StdRng::seed_from_u64(seed), Arc::clone(documented), administrator.clone());
        Self { dice, larder: Larder::default(), documented, administrator, http, admin, found: Found::default() }
    }

    async fn ask(mut self, requests: usize) -> Found {
        let documented = Arc::clone(&self.documented);
        // Something to ask with.
        for path in [
            "/v1/products",
            "/v1/products/{id or slug}",
            "/v1/auth/login",
            "/v1/auth/register",
            "/v1/carts",
            "/v1/carts",
        ] {
            let first = documented.endpoints.iter().find(|endpoint| endpoint.path == path).expect("the shop has it");
            let draft = Draft::of(first, &self.larder, &mut self.dice);
            self.exchange(&mut None, first, &draft).await;
        }
        // Without items there are no orders.
        let often = |endpoint: &&Endpoint| {
            (endpoint.method == "PUT" && endpoint.path.ends_with("{sku}")) || endpoint.needs.contains("Key")
        };
        let drawn: Vec<_> =
            documented.endpoints.iter().chain(documented.endpoints.iter().filter(often).cycle().take(6)).collect();
        let (mut line, mut admin_line) = (None, None);
        for number in 0..requests {
            // A shop that is busy may refuse: then the token of before is shown.
            if number % RENEWED == 0
                && let Some(token) = self.administrator.token().await
            {
                self.larder.admin_token = token;
            }
            let endpoint = *drawn.choose(&mut self.dice).expect("there are some");
            let mut draft = Draft::of(endpoint, &self.larder, &mut self.dice);
            // A third is as it should be.
            for _ in 0..*[0, 0, 1, 1, 2, 4].choose(&mut self.dice).expect("some") {
                draft.spoil(&self.larder, &mut self.dice);
            }
            let line = if endpoint.admin { &mut admin_line } else { &mut line };
            self.exchange(line, endpoint, &draft).await;
        }
        self.found
    }

    /// Asks on the line that is open, or on a new one, and leaves it where it can be used again.
    async fn exchange(&mut self, kept: &mut Option<(Line, u32)>, endpoint: &Endpoint, draft: &Draft) {
        let (request, head) = (draft.write(), draft.method == "HEAD");
        let (mut line, mut left, mut outcome) = match kept.take() {
            Some((mut line, left)) => {
                let outcome = line.ask(&request, head, draft.broken).await;
                (Some(line), left, outcome)
            }
            None => (None, 0, Outcome::Closed { reset: false }),
        };
        // Whoever keeps a line may find that it was closed meanwhile.
        if matches!(outcome, Outcome::Closed { .. }) {
            let mut new = self.line(endpoint).await;
            outcome = new.ask(&request, head, draft.broken).await;
            (line, left) = (Some(new), LINE);
        }
        let mut faults = judge::faults(&self.documented, endpoint, draft, &outcome);
        if let (Outcome::Answered(answer), Some(line)) = (&outcome, line) {
            if answer.last {
                let closed = line.closes().await;
                faults.extend((!closed).then(|| "said that it closes, and did not within 10 s".to_owned()));
            } else if !draft.broken && left > 0 {
                *kept = Some((line, left - 1));
            }
        }
        self.note(endpoint, draft, request, &outcome, faults);
    }

    async fn line(&mut self, endpoint: &Endpoint) -> Line {
        let to = if endpoint.admin { self.admin } else { self.http };
        let from = Ipv4Addr::new(
            127,
            self.dice.random_range(1..255),
            self.dice.random::<u8>(),
            self.dice.random_range(1..255),
        );
        Line::open(to, from).await.expect("the shop accepts")
    }

    fn note(&mut self, endpoint: &Endpoint, draft: &Draft, request: Vec<u8>, outcome: &Outcome, faults: Vec<String>) {
        let Outcome::Answered(answer) = outcome else {
            self.found.closed += 1;
            return self.found.note(endpoint, request, &format!("{outcome:?}"), faults);
        };
        *self.found.statuses.entry(answer.status).or_default() += 1;
        let good = usize::from(draft.at_endpoint && answer.status < 400);
        *self.found.good.entry(endpoint.to_string()).or_default() += good;
        if answer.status < 300
            && draft.at_endpoint
            && let Ok(body) = serde_json::from_slice(&answer.body)
        {
            self.larder.keep(&endpoint.path, &body, &mut self.dice);
        }
        let shown = String::from_utf8_lossy(&answer.body[..answer.body.len().min(600)]).into_owned();
        self.found.note(endpoint, request, &format!("{} {shown}", answer.status), faults);
    }
}

impl Found {
    fn note(&mut self, endpoint: &Endpoint, request: Vec<u8>, answer: &str, faults: Vec<String>) {
        for fault in faults {
            let (count, examples) = self.faults.entry(fault).or_default();
            *count += 1;
            let endpoint = endpoint.to_string();
            if examples.len() < KEPT && !examples.iter().any(|known| known.endpoint == endpoint) {
                examples.push(Example { endpoint, request: request.clone(), answer: answer.to_owned() });
            }
        }
    }

    fn and(mut self, other: Self) -> Self {
        self.closed += other.closed;
        for (status, count) in other.statuses {
            *self.statuses.entry(status).or_default() += count;
        }
        for (endpoint, count) in other.good {
            *self.good.entry(endpoint).or_default() += count;
        }
        for (kind, (count, examples)) in other.faults {
            let (all, kept) = self.faults.entry(kind).or_default();
            *all += count;
            kept.extend(examples);
            kept.truncate(KEPT);
        }
        self
    }

    fn summary(&self) -> String {
        let statuses: Vec<_> = self.statuses.iter().map(|(status, count)| format!("{status} x {count}")).collect();
        let never: Vec<_> =
            self.good.iter().filter(|(_, good)| **good == 0).map(|(endpoint, _)| endpoint.as_str()).collect();
        let never = if never.is_empty() { "none".to_owned() } else { never.join(", ") };
        format!(
            "{}; closed without an answer x {}; endpoints without a good request: {never}",
            statuses.join(", "),
            self.closed
        )
    }

    /// Each kind of fault, with requests in files that can be sent again.
    fn described(&self) -> String {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("random-requests");
        std::fs::create_dir_all(&folder).unwrap();
        let mut text = String::new();
        for (number, (kind, (count, examples))) in self.faults.iter().enumerate() {
            text.push_str(&format!("{kind} (x {count})\n"));
            for (at, example) in examples.iter().enumerate() {
                let file = folder.join(format!("{number}-{at}.http"));
                std::fs::write(&file, &example.request).unwrap();
                text.push_str(&example.described(&file));
            }
        }
        text
    }
}

impl Example {
    fn described(&self, file: &Path) -> String {
        let port = if self.endpoint.contains("/v1") || self.endpoint.contains("/.well-known") { 8080 } else { 9090 };
        let head: Vec<_> = self.request.iter().copied().take(300).collect();
        format!(
            "  for {}: {}\n    -> {}\n    bash -c 'exec 3<>/dev/tcp/127.0.0.1/{port}; cat {} >&3; timeout 3 cat <&3'\n",
            self.endpoint,
            head.escape_ascii(),
            self.answer,
            file.display(),
        )
    }
}
