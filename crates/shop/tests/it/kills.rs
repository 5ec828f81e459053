//! `kill -9` of the shop, of Postgres and of a receiver of webhooks, again and again, while guests, customers and an admin use the
//! shop: nothing is sold, charged, given back or told twice or without its counterpart, and whatever a client was told stays so.

mod books;
mod crowd;
mod receiver;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs::{self, File};
use std::path::Path;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::seq::{IndexedRandom as _, SliceRandom as _};
use rand::{RngExt as _, SeedableRng as _};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;
use tempfile::TempDir;
use tokio::process::Command;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

use crate::admins::Administrator;
use crate::process::{self, LIMIT, Shop, eventually, home, nobody_left, run};
use crate::reconcile::reconcile;
use books::Units;
use crowd::{Crowd, SCARCE, Told};
use receiver::Receiver;

/// After so many kills all of it comes to rest, and is looked at once more. The receiver is told of little meanwhile, so that what it has
/// to catch up with grows by each.
const REST_EVERY: usize = 50;
/// A customer's and the admin's word for letting them in.
const PASSWORD: &str = "correct-horse-battery";
const CUSTOMERS: [&str; 2] = ["buyer.one", "buyer.two"];

/// What is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Target {
    Shop,
    /// The one that comes after a shop that was killed, before it is open.
    ShopThatOpens,
    /// And what would stop its Postgres, which goes on without them.
    ShopAndGuardian,
    /// Its children end when they notice. The shop ends by itself.
    Postmaster,
    /// Or another process of the server, of which the postmaster then makes all anew. The shop goes on.
    Backend,
    Receiver,
    Everything,
}

const TARGETS: [Target; 7] = [
    Target::Shop,
    Target::ShopThatOpens,
    Target::ShopAndGuardian,
    Target::Postmaster,
    Target::Backend,
    Target::Receiver,
    Target::Everything,
];

/// How many kills: `FOREBAY_CASES`; by default one of each kind.
#[expect(clippy::disallowed_methods, reason = "a test has no configuration")]
fn kills() -> usize {
    std::env::var("FOREBAY_CASES").ok().map_or(TARGETS.len(), |cases| cases.parse().unwrap())
}

/// `FOREBAY_CASES_SEED` draws the same targets, moments and wishes again; who comes first is up to the machine.
#[expect(clippy::disallowed_methods, reason = "a test has no configuration")]
fn seed() -> u64 {
    std::env::var("FOREBAY_CASES_SEED").ok().map_or_else(rand::random, |seed| seed.parse().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_is_killed_the_books_are_right_and_what_clients_were_told_stays_true() {
    let (kills, seed) = (kills(), seed());
    eprintln!("FOREBAY_CASES_SEED={seed} FOREBAY_CASES={kills}");
    let (mut dice, mut deck, mut killed) = (StdRng::seed_from_u64(seed), Vec::new(), BTreeMap::<Target, usize>::new());
    let (mut scene, mut life) = Scene::set(StdRng::seed_from_u64(dice.random())).await;
    let began = Instant::now();
    for number in 1..=kills {
        if deck.is_empty() {
            deck.extend(TARGETS);
            deck.shuffle(&mut dice);
        }
        let target = deck.pop().unwrap();
        scene.come_to(&mut dice, target).await;
        life = scene.kill(life, target, &mut dice).await;
        *killed.entry(target).or_default() += 1;
        scene.check(&life.shop).await;
        let answers = scene.crowd.told(|told| told.count);
        eprintln!("kill {number} of {kills}: {target:?}; {answers} answers, {} s", began.elapsed().as_secs());
        if number % REST_EVERY == 0 || number == kills {
            let shop = scene.rest(life).await;
            eprintln!("{number} kills in {} s, seed {seed}: {killed:?}", began.elapsed().as_secs());
            eprintln!("{}", scene.summary(&shop).await);
            life = scene.wake(shop).await;
        }
    }
    // Books of nothing are right too.
    let (bought, done) = scene.crowd.told(|told| (told.orders.len(), told.reasons.len()));
    assert!(bought > 0 && done > 0, "{bought} orders were answered as paid, {done} deeds of the admin as done");
    let Life { shop, workers } = life;
    shop.send(Signal::TERM);
    assert!(shop.ended().await.0.success());
    workers.join_all().await;
    nobody_left(scene.home.path()).await;
}

/// What outlives every kill.
#[derive(Debug)]
struct Scene {
    home: TempDir,
    crowd: Crowd,
    receiver: Receiver,
    units: Units,
    /// So much of what was heard is known to be in the outbox.
    looked_up: usize,
}

/// A shop that is open, and who uses it.
#[derive(Debug)]
struct Life {
    shop: Shop,
    workers: JoinSet<()>,
}

impl Scene {
    async fn set(dice: StdRng) -> (Self, Life) {
        let home = home();
        let receiver = Receiver::start(home.path()).await;
        let shop = open(home.path()).await;
        let stock = "UPDATE checkout.inventory SET on_hand = CASE sku WHEN 'SKU-000003' THEN 40 ELSE 1000000 END \
                     WHERE sku IN ('SKU-000002', 'SKU-000003')";
        let mut database = shop.database().await;
        sqlx::raw_sql(stock).execute(&mut database).await.unwrap();
        let units = books::units(&mut database).await;
        assert_eq!(units[SCARCE], 40);
        let mut subscribe = process::shop(home.path(), &[]);
        subscribe.args(["events", "subscribe", &receiver.url()]);
        let (status, out, err) = run(subscribe).await;
        assert!(status.success(), "{out}{err}");
        for customer in CUSTOMERS {
            shop.http.register(customer).await.unwrap();
        }
        Administrator::of(&shop, home.path()).await;
        let scene = Self { home, crowd: Crowd::new(dice), receiver, units, looked_up: 0 };
        let life = scene.wake(shop).await;
        (scene, life)
    }

    async fn log_in(&self, shop: &Shop) {
        let mut tokens = Vec::new();
        for name in CUSTOMERS.into_iter().chain(["the.admin"]) {
            let credentials = json!({ "email": format!("{name}@example.test"), "password": PASSWORD });
            let (status, answer) = shop.http.post("/v1/auth/login", &[], credentials).await.unwrap();
            assert_eq!(status, 200, "{answer}");
            tokens.push(answer["access_token"].as_str().unwrap().to_owned());
        }
        let admin = tokens.pop().unwrap();
        self.crowd.log_in(tokens, admin);
    }

    /// To a moment that is drawn: after some answers, or for the receiver some events, in the middle of others.
    async fn come_to(&self, dice: &mut StdRng, target: Target) {
        let count = || match target {
            Target::Receiver => self.receiver.heard().len(),
            _ => self.crowd.told(|told| told.count),
        };
        let enough = count() + dice.random_range(1..20);
        eventually("the shop is used", || async { count() >= enough }).await;
        sleep(Duration::from_micros(dice.random_range(0..30_000))).await;
    }

    /// What is open afterwards.
    async fn kill(&mut self, life: Life, target: Target, dice: &mut StdRng) -> Life {
        let Life { shop, workers } = life;
        match target {
            Target::Receiver => {
                self.receiver.kill().await;
                return Life { shop, workers };
            }
            Target::Backend => {
                let mut session = shop.database().await;
                let (mut tries, mut killed) = (0, false);
                while !killed {
                    assert!(tries < 100, "each that was found had ended");
                    killed = kill(self.a_backend(&shop, dice).await);
                    tries += 1;
                }
                // Until it notices it lets people in, and then it ends all sessions.
                let ended = timeout(LIMIT, sqlx::query("SELECT pg_sleep(600)").execute(&mut session)).await;
                ended.expect("Postgres notices").expect_err("and ends all sessions");
                eventually("Postgres has recovered", || async { shop.try_database().await.is_ok() }).await;
                return Life { shop, workers };
            }
            Target::Postmaster => {
                assert!(kill(self.postmaster()));
                let (status, said) = shop.ended().await;
                assert!(!status.success(), "the shop ended well without its database: {said}");
            }
            Target::Shop => shop.send(Signal::KILL),
            Target::ShopAndGuardian => {
                assert!(guardians(shop.pid()).into_iter().all(kill));
                shop.send(Signal::KILL);
            }
            Target::Everything => {
                self.receiver.kill().await;
                assert!(kill(self.postmaster()));
                shop.send(Signal::KILL);
            }
            Target::ShopThatOpens => {
                shop.send(Signal::KILL);
                let mut next = command(self.home.path()).spawn().unwrap();
                sleep(Duration::from_micros(dice.random_range(0..800_000))).await;
                next.kill().await.unwrap();
            }
        }
        timeout(LIMIT, workers.join_all()).await.expect("nobody waits for an answer of a shop that is gone");
        let shop = open(self.home.path()).await;
        let workers = self.crowd.work(&shop.http);
        Life { shop, workers }
    }

    fn postmaster(&self) -> u32 {
        let file = fs::read_to_string(self.home.path().join("data/pg/postmaster.pid")).unwrap();
        file.lines().next().unwrap().trim().parse().unwrap()
    }

    /// Any process of the server but the postmaster and those that end soon; as often as not one that is at work for the shop.
    async fn a_backend(&self, shop: &Shop, dice: &mut StdRng) -> u32 {
        let processes = "SELECT pid, coalesce(state, '') IN ('active', 'idle in transaction') FROM pg_stat_activity \
                         WHERE pid <> pg_backend_pid() AND backend_type NOT IN ('autovacuum worker', 'parallel worker')";
        let all: Vec<(i32, bool)> = sqlx::query_as(processes).fetch_all(&mut shop.database().await).await.unwrap();
        let busy: Vec<_> = all.iter().filter(|(_, is_busy)| *is_busy).copied().collect();
        let among = if busy.is_empty() || dice.random_bool(0.5) { &all } else { &busy };
        among.choose(dice).unwrap().0.unsigned_abs()
    }

    /// While the shop is used.
    async fn check(&mut self, shop: &Shop) {
        let mut database = shop.database().await;
        let heard = self.receiver.heard();
        let faults = books::faults(&mut database, &self.units, &heard[self.looked_up..]).await;
        self.fail_for(&faults);
        self.looked_up = heard.len();
    }

    /// Nobody asks for anything, until all is settled, told and free; then it is looked at.
    async fn rest(&mut self, life: Life) -> Shop {
        self.crowd.rest();
        let Life { shop, workers } = life;
        timeout(LIMIT, workers.join_all()).await.expect("everybody is answered");
        let at_rest = async || books::is_at_rest(&mut shop.database().await).await;
        eventually("all is settled, told, and free again", at_rest).await;
        self.check(&shop).await;
        let told = self.crowd.told(Told::clone);
        let mut faults = books::faults_at_rest(&mut shop.database().await, &self.receiver.heard(), &told).await;
        let (code, found, _) = reconcile(self.home.path(), &[], &[]).await;
        if code != Some(0) || !found.contains(" 0 under way: 0 differences") {
            faults.push(format!("the provider says otherwise: {found}"));
        }
        self.fail_for(&faults);
        eprintln!("at rest, and nothing is wrong: {}", found.trim_end());
        shop
    }

    async fn wake(&self, shop: Shop) -> Life {
        self.log_in(&shop).await;
        let workers = self.crowd.work(&shop.http);
        Life { shop, workers }
    }

    fn fail_for(&self, faults: &[String]) {
        if !faults.is_empty() {
            let log = fs::read_to_string(self.home.path().join("log")).unwrap_or_default();
            let lines: Vec<_> = log.lines().collect();
            let last = lines[lines.len().saturating_sub(40)..].join("\n");
            panic!("{}\nthe last that the shop said:\n{last}", faults.join("\n"));
        }
    }

    async fn summary(&self, shop: &Shop) -> String {
        let mut database = shop.database().await;
        let heard = self.receiver.heard();
        let events: BTreeSet<_> = heard.iter().map(|heard| heard.event).collect();
        let mut summary = String::new();
        for (what, sql) in books::FIGURES {
            _ = write!(summary, "{what} {}, ", books::number(&mut database, sql).await);
        }
        _ = write!(summary, "events heard {}, again {}", events.len(), heard.len() - events.len());
        self.crowd.told(|told| {
            _ = write!(summary, "\norders that a client was told are paid: {}", told.orders.len());
            for ((step, status), times) in &told.answers {
                _ = write!(summary, "\n{step:?} {status}: {times}");
            }
        });
        summary
    }
}

/// The shop's program, whose log outlives it. Its receiver is a bad one, and is asked again soon.
fn command(home: &Path) -> Command {
    let pauses = vec!["50"; 1_000].join(",");
    let settings = [
        ("FOREBAY_PAYMENT_LATENCY_MS", "10"),
        ("FOREBAY_RESERVATION_TTL_MS", "5000"),
        ("FOREBAY_EVENTS_TIMEOUT_MS", "500"),
        ("FOREBAY_EVENTS_RETRIES_MS", pauses.as_str()),
        ("FOREBAY_EVENTS_PROBE_MS", "100"),
        ("FOREBAY_DRAIN_MS", "200"),
        ("FOREBAY_LOG", "warn"),
    ];
    let mut command = process::shop(home, &settings);
    command.env_remove("FOREBAY_CASES").env_remove("FOREBAY_CASES_SEED");
    command.stderr(File::options().create(true).append(true).open(home.join("log")).unwrap());
    command
}

async fn open(home: &Path) -> Shop {
    Shop::start(home, command(home)).await
}

/// False where it has ended by itself meanwhile.
fn kill(pid: u32) -> bool {
    kill_process(Pid::from_raw(i32::try_from(pid).unwrap()).unwrap(), Signal::KILL).is_ok()
}

/// The shells that wait for the shop's end, where `/proc` tells of them.
fn guardians(shop: u32) -> Vec<u32> {
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let is_one = |pid: &u32| {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        stat.split_once(" (sh) ").is_some_and(|(_, rest)| rest.split(' ').nth(1) == Some(&shop.to_string()))
    };
    pids.filter(is_one).collect()
}
