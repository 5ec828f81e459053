use std::future::{pending, ready};
use std::sync::Arc;

use forebay_embedded::Server;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::time::{Instant, sleep};

use super::*;
use crate::{Admission, Config, Pool, Rules};

/// What becomes of a knock, after so many milliseconds.
#[derive(Clone, Copy, Debug)]
enum Fate {
    Accepted(u64),
    Refused(u64),
    Swallowed,
}

use Fate::{Accepted, Refused, Swallowed};

/// A name that stands for addresses with these fates: 10.0.0.1 and on.
#[derive(Clone, Debug, Default)]
struct Fake {
    fates: Arc<Mutex<Vec<Fate>>>,
    knocks: Arc<Mutex<Vec<Instant>>>,
    lookups: Arc<Mutex<u32>>,
}

impl Network for Fake {
    fn resolve<'a>(&'a self, _: &'a str, port: u16) -> BoxFuture<'a, io::Result<Vec<SocketAddr>>> {
        *self.lookups.lock().unwrap() += 1;
        let count = self.fates.lock().unwrap().len();
        Box::pin(ready(Ok((1..=count).map(|nth| SocketAddr::new(address(nth), port)).collect())))
    }

    fn knock(&self, address: SocketAddr) -> BoxFuture<'static, io::Result<()>> {
        let IpAddr::V4(number) = address.ip() else { panic!("only of the fourth version") };
        let fate = self.fates.lock().unwrap()[usize::from(number.octets()[3]) - 1];
        self.knocks.lock().unwrap().push(Instant::now());
        Box::pin(async move {
            match fate {
                Accepted(after) => sleep(Duration::from_millis(after)).await,
                Refused(after) => {
                    sleep(Duration::from_millis(after)).await;
                    return Err(io::ErrorKind::ConnectionRefused.into());
                }
                Swallowed => pending().await,
            }
            Ok(())
        })
    }
}

fn address(nth: usize) -> IpAddr {
    IpAddr::from([10, 0, 0, u8::try_from(nth).unwrap()])
}

fn at(nth: usize) -> Target {
    Target::At(address(nth))
}

impl Fake {
    fn with(fates: &[Fate]) -> Self {
        let fake = Self::default();
        fake.become_of(fates);
        fake
    }

    fn become_of(&self, fates: &[Fate]) {
        *self.fates.lock().unwrap() = fates.to_vec();
    }

    fn addresses(&self) -> Addresses {
        Addresses::on(Box::new(self.clone()))
    }

    fn knocks(&self) -> usize {
        self.knocks.lock().unwrap().len()
    }
}

fn named(name: &str) -> PgConnectOptions {
    PgConnectOptions::new_without_pgpass().host(name).port(5432)
}

/// What is chosen, which then opens or does not.
async fn dial(addresses: &Addresses, opens: bool) -> Target {
    let choice = addresses.choose(&named("db")).await.unwrap();
    let target = choice.target;
    if opens {
        choice.opened();
    }
    target
}

#[tokio::test(start_paused = true)]
async fn an_address_that_swallows_packets_is_passed_over_in_a_quarter_of_a_second() {
    for fates in [&[Swallowed, Accepted(5)][..], &[Accepted(5), Swallowed], &[Swallowed, Refused(1), Accepted(5)]] {
        let begun = Instant::now();
        let there = 1 + fates.iter().position(|fate| matches!(fate, Accepted(_))).unwrap();
        assert_eq!(dial(&Fake::with(fates).addresses(), true).await, at(there), "{fates:?}");
        assert!(begun.elapsed() <= Duration::from_millis(510), "{fates:?}: {:?}", begun.elapsed());
    }
}

#[tokio::test(start_paused = true)]
async fn the_name_is_dialed_when_each_of_its_addresses_answers() {
    for fates in [&[Accepted(5)][..], &[Accepted(200), Accepted(5)], &[Refused(1), Accepted(5)], &[Refused(0)]] {
        assert_eq!(dial(&Fake::with(fates).addresses(), true).await, Target::Name, "{fates:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn however_many_swallow_packets_the_last_is_reached_in_time_for_an_opening() {
    for count in 2..=20 {
        let mut fates = vec![Swallowed; count];
        fates[count.min(Addresses::MOST) - 1] = Accepted(100);
        let begun = Instant::now();
        assert_eq!(dial(&Fake::with(&fates).addresses(), true).await, at(count.min(Addresses::MOST)));
        assert!(begun.elapsed() < Duration::from_millis(900), "{count}: {:?}", begun.elapsed());
    }
}

#[tokio::test(start_paused = true)]
async fn what_opened_is_dialed_again_without_a_knock() {
    for fates in [[Accepted(5), Accepted(5)], [Swallowed, Accepted(5)]] {
        let fake = Fake::with(&fates);
        let addresses = fake.addresses();
        let first = dial(&addresses, true).await;
        for _ in 0..5 {
            assert_eq!(dial(&addresses, true).await, first);
        }
        assert_eq!(fake.knocks(), 2);
    }
}

#[tokio::test(start_paused = true)]
async fn one_address_is_never_knocked_at() {
    let fake = Fake::with(&[Swallowed]);
    let addresses = fake.addresses();
    for opens in [false, true, true] {
        assert_eq!(dial(&addresses, opens).await, Target::Name);
    }
    assert_eq!(fake.knocks(), 0);
}

#[tokio::test(start_paused = true)]
async fn addresses_that_accept_and_do_not_open_are_dialed_in_turn() {
    let fake = Fake::with(&[Accepted(5), Accepted(9), Accepted(7)]);
    let addresses = fake.addresses();
    let mut dialed = Vec::new();
    for _ in 0..5 {
        dialed.push(dial(&addresses, false).await);
    }
    assert_eq!(dialed, [Target::Name, at(1), at(3), at(2), Target::Name], "and all over again");
    assert_eq!(dial(&addresses, true).await, at(1));
    assert_eq!(dial(&addresses, true).await, at(1), "that one is the right one");
}

#[tokio::test(start_paused = true)]
async fn a_dial_that_is_cut_off_counts_as_one_that_failed() {
    let addresses = Fake::with(&[Accepted(5), Accepted(9)]).addresses();
    let hangs = async {
        let _choice = addresses.choose(&named("db")).await.unwrap();
        pending::<()>().await;
    };
    timeout(Duration::from_secs(1), hangs).await.unwrap_err();
    assert_eq!(dial(&addresses, true).await, at(1));
}

#[tokio::test(start_paused = true)]
async fn an_address_that_is_not_the_names_any_more_is_forgotten() {
    let fake = Fake::with(&[Swallowed, Swallowed, Accepted(5)]);
    let addresses = fake.addresses();
    assert_eq!(dial(&addresses, true).await, at(3));
    fake.become_of(&[Swallowed, Accepted(5)]);
    assert_eq!(dial(&addresses, true).await, at(2));
}

#[tokio::test(start_paused = true)]
async fn where_all_refuse_each_is_named_and_where_all_keep_silent_the_limit_ends_it() {
    let refused = Fake::with(&[Refused(5), Refused(1)]).addresses();
    let error = refused.choose(&named("db")).await.unwrap_err();
    let said = error.to_string();
    assert!(said.contains("10.0.0.1:5432: ") && said.contains("10.0.0.2:5432: "), "{said}");
    let silent = Fake::with(&[Swallowed, Swallowed]).addresses();
    let error = silent.connect(&named("db"), Duration::from_secs(1)).await.unwrap_err();
    assert_eq!(error.to_string(), no_answer(Duration::from_secs(1)).to_string());
}

#[tokio::test(start_paused = true)]
async fn numbers_sockets_and_what_a_certificate_must_bear_are_dialed_as_they_are() {
    let fake = Fake::with(&[Swallowed, Accepted(5)]);
    let verified = named("db").ssl_mode(PgSslMode::VerifyFull);
    for options in
        [named("127.0.0.1"), named("[::1]"), named("::1"), named("/tmp"), named("db").socket("/tmp"), verified]
    {
        assert_eq!(fake.addresses().choose(&options).await.unwrap().target, Target::Name, "{options:?}");
    }
    assert_eq!((*fake.lookups.lock().unwrap(), fake.knocks()), (0, 0));
}

#[test]
fn families_take_turns() {
    let of = |text: &str| format!("{text}:1").parse::<SocketAddr>().unwrap();
    let found = ["[::1]", "[::2]", "[::3]", "1.1.1.1", "2.2.2.2"].map(of);
    let order = ["[::1]", "1.1.1.1", "[::2]", "2.2.2.2", "[::3]"].map(of);
    assert_eq!(alternating(found.to_vec()), order);
    assert_eq!(alternating(found[3..].to_vec()), found[3..]);
}

/// A name on this machine's own network.
#[derive(Debug)]
struct Loopback(Vec<IpAddr>);

impl Network for Loopback {
    fn resolve<'a>(&'a self, _: &'a str, port: u16) -> BoxFuture<'a, io::Result<Vec<SocketAddr>>> {
        Box::pin(ready(Ok(self.0.iter().map(|address| SocketAddr::new(*address, port)).collect())))
    }

    fn knock(&self, address: SocketAddr) -> BoxFuture<'static, io::Result<()>> {
        Sockets.knock(address)
    }
}

/// A port that swallows packets: as many connections wait to be accepted as may.
async fn swallowing(address: SocketAddr) -> (TcpListener, Vec<TcpStream>) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(address).unwrap();
    let listener = socket.listen(0).unwrap();
    let mut waiting = Vec::new();
    while let Ok(connected) = timeout(Duration::from_millis(300), TcpStream::connect(address)).await {
        waiting.push(connected.unwrap());
        assert!(waiting.len() < 100, "its backlog has no end");
    }
    (listener, waiting)
}

#[tokio::test]
async fn an_address_of_ipv6_in_brackets_is_dialed() {
    // Not every machine has IPv6; a container often lacks it.
    let Ok(listener) = TcpListener::bind("[::1]:0").await else { return };
    let url = format!("postgres://me@[::1]:{}/shop", listener.local_addr().unwrap().port());
    let addresses = Addresses::default();
    let options = url.parse().unwrap();
    let dialing = addresses.connect(&options, Duration::from_secs(20));
    tokio::select! {
        knocked = listener.accept() => drop(knocked.unwrap()),
        refused = dialing => panic!("{:?}", refused.err()),
    }
}

/// A server on 127.0.0.1, and its options by a name.
async fn server() -> (Server, tempfile::TempDir, PgConnectOptions) {
    let home = tempfile::tempdir().unwrap();
    std::fs::set_permissions(home.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let data = home.path().join("pg");
    let options =
        forebay_embedded::Options { durable: false, port: Some(port), ..forebay_embedded::Options::new(data) };
    let server = Server::start(options, |_| {}).await.expect("a test needs Postgres");
    let named = named("db.invalid").port(port).username("forebay").password(&server.password().unwrap());
    (server, home, named.database("postgres"))
}

/// The first address is no server, and `in_its_place` says what it does with who connects.
async fn a_pool_serves_behind<T>(in_its_place: impl AsyncFnOnce(SocketAddr) -> T) {
    let (server, _home, options) = server().await;
    let dead = SocketAddr::from(([127, 0, 0, 9], options.get_port()));
    let _kept = in_its_place(dead).await;
    let addresses = Addresses::on(Box::new(Loopback(vec![dead.ip(), [127, 0, 0, 1].into()])));
    let rules = Rules { min_idle: 0, initial_limit: 2, ceiling: 4, ..Rules::default() };
    let mut builder = Pool::builder(options, Config { rules, ..Config::named("addresses") });
    builder.addresses = addresses;
    let pool = builder.connect().unwrap();
    let serving = async {
        while pool.acquire(&Admission::plain()).await.is_err() {
            sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(Duration::from_secs(20), serving).await.unwrap_or_else(|_| panic!("{:?}", pool.snapshot()));
    for _ in 0..3 {
        pool.flush_idle();
        pool.acquire(&Admission::plain()).await.expect("it has learned where the server is");
    }
    pool.close().await;
    server.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_pool_serves_though_the_first_address_of_its_server_swallows_packets() {
    a_pool_serves_behind(swallowing).await;
}

#[tokio::test]
async fn a_pool_serves_though_the_first_address_of_its_server_accepts_and_says_nothing() {
    a_pool_serves_behind(async |address| TcpListener::bind(address).await.unwrap()).await;
}
