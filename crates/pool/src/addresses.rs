//! Which of a name's addresses is dialed.
//!
//! The driver tries them one after another, and each for as long as the system does: behind one that swallows packets no other
//! is ever reached in time. So where a name has several, they are knocked at side by side, as in RFC 8305, before the dial.

use std::fmt;
use std::future::Future;
use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::PoisonError;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use sqlx::postgres::{PgConnectOptions, PgSslMode};
use sqlx::{ConnectOptions as _, PgConnection};

use crate::network::Sockets;
use crate::standstill::timeout;
use crate::sync::{Mutex, MutexGuard};

/// Dials a server, and remembers which of its name's addresses it was found at: that one is dialed again. After a failure the
/// others are, in turn.
///
/// Only a name with several addresses is knocked at: each gets a connection that is closed again at once. When all of them
/// answer, the name is dialed and the driver chooses. Otherwise one that accepts is dialed by its number: the server is then
/// not told the name (SNI). With [`PgSslMode::VerifyFull`], where the certificate must bear what is dialed, it is always the
/// name, and addresses that swallow packets are waited for.
///
/// ```no_run
/// # async fn example() -> Result<(), sqlx::Error> {
/// use std::time::Duration;
/// let options = "postgres://db.example/shop".parse()?;
/// let connection = forebay_pool::Addresses::default().connect(&options, Duration::from_secs(10)).await?;
/// # drop(connection); Ok(()) }
/// ```
#[derive(Debug)]
pub struct Addresses {
    network: Box<dyn Network>,
    memory: Mutex<Memory>,
}

/// What a dial is told: the name, or one of its addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Target {
    Name,
    At(IpAddr),
}

#[derive(Debug, Default)]
struct Memory {
    /// What the last dial opened.
    good: Option<Target>,
    /// What was dialed in vain since.
    failed: Vec<Target>,
}

/// What is asked of the network.
pub(crate) trait Network: fmt::Debug + Send + Sync {
    fn resolve<'a>(&'a self, host: &'a str, port: u16) -> BoxFuture<'a, io::Result<Vec<SocketAddr>>>;

    /// Waits until the address accepts a connection, or refuses it.
    fn knock(&self, address: SocketAddr) -> BoxFuture<'static, io::Result<()>>;
}

impl Default for Addresses {
    fn default() -> Self {
        Self::on(Box::new(Sockets))
    }
}

impl Addresses {
    /// Connects within `limit`. Dropping the future gives the dial up.
    ///
    /// # Errors
    /// The server's or the network's; [`io::ErrorKind::TimedOut`] after `limit`.
    pub async fn connect(&self, options: &PgConnectOptions, limit: Duration) -> Result<PgConnection, sqlx::Error> {
        let dialing = async {
            let choice = self.choose(options).await?;
            let connection = choice.of(options.clone()).connect().await?;
            choice.opened();
            Ok(connection)
        };
        timeout(limit, dialing).await.unwrap_or_else(|_| Err(no_answer(limit)))
    }

    pub(crate) fn on(network: Box<dyn Network>) -> Self {
        Self { network, memory: Mutex::default() }
    }

    /// Chooses what to dial. The choice counts as a failure when it is dropped before it has [`Choice::opened`].
    pub(crate) async fn choose(&self, options: &PgConnectOptions) -> Result<Choice<'_>, sqlx::Error> {
        let target =
            if self.is_name_good() || !may_choose(options) { Target::Name } else { self.find(options).await? };
        Ok(Choice { addresses: self, target, opened: false })
    }

    fn is_name_good(&self) -> bool {
        self.memory().good == Some(Target::Name)
    }

    async fn find(&self, options: &PgConnectOptions) -> Result<Target, io::Error> {
        let mut found = self.network.resolve(options.get_host(), options.get_port()).await?;
        found.truncate(Self::MOST);
        if found.len() < 2 {
            return Ok(Target::Name);
        }
        let good = self.memory().good;
        if let Some(target) = good.filter(|good| found.iter().any(|address| *good == Target::At(address.ip()))) {
            return Ok(target);
        }
        let answers = knock_at_all(&*self.network, alternating(found)).await?;
        Ok(self.memory().next(answers.targets()))
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Of more addresses than these the rest is not looked at.
    const MOST: usize = 16;
    /// Between one knock and the next, and how long the others are waited for when one is there (RFC 8305, section 5).
    const STAGGER: Duration = Duration::from_millis(250);
    /// All are knocked at in this time, however many there are: an opening may take no longer than a second.
    const ALL_WITHIN: Duration = Duration::from_millis(500);
}

/// A name may stand for several addresses; a number, a socket, and what a certificate must bear are dialed as they are.
fn may_choose(options: &PgConnectOptions) -> bool {
    let host = options.get_host();
    let is_socket = options.get_socket().is_some() || host.starts_with('/');
    let is_number = host.trim_matches(['[', ']']).parse::<IpAddr>().is_ok();
    !is_socket && !is_number && !matches!(options.get_ssl_mode(), PgSslMode::VerifyFull)
}

/// sqlx keeps the brackets of `postgres://[::1]/shop`, and looks for a name with brackets in it.
fn without_brackets(options: PgConnectOptions) -> PgConnectOptions {
    let bare = options.get_host().strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    match bare.and_then(|bare| bare.parse::<Ipv6Addr>().ok()) {
        Some(address) => options.host(&address.to_string()),
        None => options,
    }
}

pub(crate) fn no_answer(limit: Duration) -> sqlx::Error {
    sqlx::Error::Io(io::Error::new(io::ErrorKind::TimedOut, format!("no connection within {limit:?}")))
}

impl Memory {
    /// The first of these that was not dialed in vain, or the first of all when each was.
    fn next(&mut self, targets: Vec<Target>) -> Target {
        if targets.iter().all(|target| self.failed.contains(target)) {
            self.failed.clear();
        }
        let fresh = targets.iter().find(|target| !self.failed.contains(target));
        *fresh.expect("one at least answers")
    }
}

/// What is dialed, until it is known whether it opens.
#[derive(Debug)]
pub(crate) struct Choice<'a> {
    addresses: &'a Addresses,
    target: Target,
    opened: bool,
}

impl Choice<'_> {
    /// The options that dial it.
    pub(crate) fn of(&self, options: PgConnectOptions) -> PgConnectOptions {
        match self.target {
            Target::Name => without_brackets(options),
            Target::At(address) => options.host(&address.to_string()),
        }
    }

    /// It has opened, and is what was wanted.
    pub(crate) fn opened(mut self) {
        self.opened = true;
    }
}

impl Drop for Choice<'_> {
    fn drop(&mut self) {
        let mut memory = self.addresses.memory();
        if self.opened {
            *memory = Memory { good: Some(self.target), failed: Vec::new() };
        } else {
            memory.good = None;
            if !memory.failed.contains(&self.target) && memory.failed.len() <= Addresses::MOST {
                memory.failed.push(self.target);
            }
        }
    }
}

/// The families in turn, beginning with that of the first (RFC 8305, section 4).
fn alternating(found: Vec<SocketAddr>) -> Vec<SocketAddr> {
    let first = found.first().is_some_and(SocketAddr::is_ipv6);
    let (these, others): (Vec<_>, Vec<_>) = found.into_iter().partition(|address| address.is_ipv6() == first);
    let longer = these.len().max(others.len());
    (0..longer).flat_map(|nth| [these.get(nth), others.get(nth)]).flatten().copied().collect()
}

/// How the addresses of a name have answered.
#[derive(Debug, Default)]
struct Answers {
    /// In the order in which they were.
    accepted: Vec<IpAddr>,
    refused: Vec<(SocketAddr, io::Error)>,
    all: bool,
}

impl Answers {
    /// What may be dialed. With one that keeps silent the name may not: the driver would wait for that one.
    fn targets(self) -> Vec<Target> {
        let name = self.all.then_some(Target::Name);
        name.into_iter().chain(self.accepted.into_iter().map(Target::At)).collect()
    }

    fn note(&mut self, address: SocketAddr, answer: io::Result<()>) {
        match answer {
            Ok(()) => self.accepted.push(address.ip()),
            Err(error) => self.refused.push((address, error)),
        }
    }

    fn error(self) -> io::Error {
        let kind = self.refused.first().map_or(io::ErrorKind::AddrNotAvailable, |(_, error)| error.kind());
        let each = self.refused.iter().map(|(address, error)| format!("{address}: {error}"));
        io::Error::new(kind, each.collect::<Vec<_>>().join("; "))
    }
}

/// Knocks at one after another, a little apart, until one accepts; at the rest then at once, and hears what they say.
async fn knock_at_all(network: &dyn Network, order: Vec<SocketAddr>) -> io::Result<Answers> {
    let apart = Addresses::STAGGER.min(Addresses::ALL_WITHIN / u32::try_from(order.len()).unwrap_or(u32::MAX));
    let knock = |address: SocketAddr| async move { (address, network.knock(address).await) };
    let (mut knocks, mut rest) = (FuturesUnordered::new(), order.into_iter());
    let mut answers = Answers::default();
    while answers.accepted.is_empty() {
        let begun = rest.next().map(|address| knocks.push(knock(address)));
        let answer = within(begun.map(|()| apart), knocks.next()).await;
        match answer {
            None => {}
            Some(None) => return Err(answers.error()),
            Some(Some((address, answer))) => answers.note(address, answer),
        }
    }
    knocks.extend(rest.map(knock));
    let hearing = async {
        while let Some((address, answer)) = knocks.next().await {
            answers.note(address, answer);
        }
    };
    answers.all = timeout(Addresses::STAGGER, hearing).await.is_ok();
    Ok(answers)
}

/// Waits for it, no longer than the limit if there is one.
async fn within<F: Future>(limit: Option<Duration>, future: F) -> Option<F::Output> {
    match limit {
        Some(limit) => timeout(limit, future).await.ok(),
        None => Some(future.await),
    }
}

#[cfg(test)]
mod tests;
