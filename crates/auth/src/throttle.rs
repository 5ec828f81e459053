//! Who may try a password now, and who has to wait.
//!
//! Wrong passwords are counted where they come from, so that nobody is kept out by what others do:
//!
//! - for each account and sender: after five of them the next one waits five seconds, and then twice as long each time, up to
//!   15 minutes. The sender is the device, if it was let into this account before ([`Device`]), else its site;
//! - for each account: while a hundred have come from senders that it does not know, such a sender has one attempt, and
//!   then waits 15 minutes. Whoever has not been wrong has one at any time.
//!
//! All of it is forgotten after 15 minutes without another. An account that does not exist is counted like one that does.

use std::time::Duration;

use forebay_platform::client::Client;
use forebay_platform::quota::{Spent, Table};
use tokio::time::Instant;

use crate::device::Device;
use crate::lane::Rank;

/// So many wrong passwords are forgiven.
const FREE: u32 = 5;
/// From so many on, by strangers, an account is under attack (NIST SP 800-63B, section 5.2.2).
const UNDER_ATTACK: u32 = 100;
const FIRST_WAIT: Duration = Duration::from_secs(5);
const LONGEST_WAIT: Duration = Duration::from_secs(15 * 60);
/// How long a wrong password is remembered once nobody has to wait for it any more.
const MEMORY: Duration = Duration::from_secs(15 * 60);
/// So many logins of an account's devices in an hour are served before others and beside all quotas. Nobody needs more, and who
/// has accounts of their own shall not stand before all others with them.
const FAVOURS: u32 = 10;
const FAVOURS_IN: Duration = Duration::from_secs(60 * 60);
/// Places for 458,752 entries, in at most 13 MiB. An entry costs whoever makes it the hash of a password.
const SHARDS: usize = 16;

/// Who tries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Sender {
    /// One that was let into the account before.
    Device(Device),
    /// Any other.
    Client(Client),
}

/// One attempt to log in.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Attempt<'a> {
    /// The address, as accounts are told apart by it.
    pub(crate) account: &'a str,
    /// None where there is no connection, as in a test.
    pub(crate) sender: Option<Sender>,
}

/// Knows of wrong passwords, until the process ends.
#[derive(Debug)]
pub(crate) struct Throttle {
    began: Instant,
    failures: Table<Failures>,
}

/// Whose wrong passwords are counted.
#[derive(Hash)]
enum Of<'a> {
    /// Of one sender, for one account.
    Both(&'a str, Option<Sender>),
    /// Of all strangers, for one account.
    Account(&'a str),
    /// Not wrong passwords, but logins of the devices of one account.
    Favours(&'a str),
    /// Of one client, for all accounts.
    Client(Client),
}

/// Greater is what has to be waited for longer: that is what a full table keeps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Failures {
    /// When another attempt is looked at; since the throttle began.
    free_at: Duration,
    count: u32,
}

impl Attempt<'_> {
    fn lane(&self) -> Of<'_> {
        let sender = self.sender.map(|sender| match sender {
            Sender::Client(client) => Sender::Client(client.site()),
            device @ Sender::Device(_) => device,
        });
        Of::Both(self.account, sender)
    }

    fn stranger(&self) -> bool {
        !matches!(self.sender, Some(Sender::Device(_)))
    }
}

impl Throttle {
    pub(crate) fn new() -> Self {
        Self { began: Instant::now(), failures: Table::new(SHARDS) }
    }

    /// Whether a device of this account is treated as one this time. Otherwise it is a client as any other.
    pub(crate) fn favours(&self, account: &str, now: Instant) -> bool {
        let now = now.duration_since(self.began);
        self.failures.update(Of::Favours(account), |kept| {
            let kept = kept.filter(|favours| now < favours.free_at);
            let Failures { free_at, count } = kept.unwrap_or(Failures { free_at: now + FAVOURS_IN, count: 0 });
            let favoured = count < FAVOURS;
            (Some(Failures { free_at, count: count + u32::from(favoured) }), favoured)
        })
    }

    /// Whether the attempt is looked at now, and in which rank.
    pub(crate) fn judge(&self, attempt: Attempt<'_>, now: Instant) -> Result<Rank, Spent> {
        let now = now.duration_since(self.began);
        let own = self.read(&attempt.lane(), now);
        if own.free_at > now {
            let wait = own.free_at - now;
            return Err(Spent { policy: "login-failures", requests: FREE, window: MEMORY, wait });
        }
        let elsewhere = match attempt.sender {
            Some(Sender::Device(_)) => return Ok(Rank::Known),
            Some(Sender::Client(client)) => self.read(&Of::Client(client), now).count,
            None => 0,
        };
        Ok(if own.count + elsewhere == 0 { Rank::Clean } else { Rank::Suspect })
    }

    /// Counts a wrong password.
    pub(crate) fn wrong(&self, attempt: Attempt<'_>, now: Instant) {
        let now = now.duration_since(self.began);
        let mut attacked = false;
        if attempt.stranger() {
            attacked = self.add(&Of::Account(attempt.account), now, |_| Duration::ZERO) > UNDER_ATTACK;
        }
        if let Some(Sender::Client(client)) = attempt.sender {
            self.add(&Of::Client(client), now, |_| Duration::ZERO);
        }
        self.add(&attempt.lane(), now, |count| if attacked { LONGEST_WAIT } else { wait_after(count) });
    }

    /// Forgets the sender's wrong passwords for this account: it was the right one.
    pub(crate) fn right(&self, attempt: Attempt<'_>) {
        self.failures.update(attempt.lane(), |_| (None, ()));
    }

    fn read(&self, of: &Of<'_>, now: Duration) -> Failures {
        self.failures.update(of, |kept| {
            let kept = kept.filter(|failures| now < failures.free_at + MEMORY);
            (kept, kept.unwrap_or_default())
        })
    }

    /// One more; how many there are now.
    fn add(&self, of: &Of<'_>, now: Duration, wait: impl FnOnce(u32) -> Duration) -> u32 {
        self.failures.update(of, |kept| {
            let kept = kept.filter(|failures| now < failures.free_at + MEMORY).unwrap_or_default();
            let count = kept.count.saturating_add(1);
            let free_at = kept.free_at.max(now + wait(count));
            (Some(Failures { free_at, count }), count)
        })
    }
}

/// Nothing, then five seconds, and twice as long each time.
fn wait_after(wrong: u32) -> Duration {
    match wrong.checked_sub(FREE) {
        None => Duration::ZERO,
        Some(more) => (FIRST_WAIT * (1 << more.min(10))).min(LONGEST_WAIT),
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    fn from(number: u32) -> Attempt<'static> {
        let client = Client::of(Ipv4Addr::from_bits(number).into());
        Attempt { account: "ada@shop.example", sender: Some(Sender::Client(client)) }
    }

    fn seconds(throttle: &Throttle, attempt: Attempt<'_>, now: Instant) -> Option<u64> {
        throttle.judge(attempt, now).err().map(|spent| spent.wait.as_secs())
    }

    #[test]
    fn after_five_wrong_passwords_the_wait_grows_to_a_quarter_of_an_hour_and_is_forgotten() {
        let (throttle, mut now) = (Throttle::new(), Instant::now());
        for _ in 0..FREE {
            assert_eq!(seconds(&throttle, from(1), now), None);
            throttle.wrong(from(1), now);
        }
        let mut waits = Vec::new();
        for _ in 0..12 {
            let wait = throttle.judge(from(1), now).unwrap_err().wait;
            waits.push(wait.as_secs());
            now += wait;
            assert_eq!(throttle.judge(from(1), now), Ok(Rank::Suspect));
            throttle.wrong(from(1), now);
        }
        assert_eq!(waits, [5, 10, 20, 40, 80, 160, 320, 640, 900, 900, 900, 900]);
        now += LONGEST_WAIT + MEMORY;
        assert_eq!(throttle.judge(from(1), now), Ok(Rank::Clean));
    }

    #[test]
    fn who_guesses_keeps_nobody_else_out() {
        let (throttle, now) = (Throttle::new(), Instant::now());
        for guesser in 2..500 {
            for _ in 0..20 {
                throttle.wrong(from(guesser), now);
            }
        }
        assert_eq!(throttle.judge(from(1), now), Ok(Rank::Clean), "the owner, from a place that is not known");
        let device = Attempt { sender: Some(Sender::Device(Device([7; 16]))), ..from(1) };
        for _ in 0..FREE - 1 {
            throttle.wrong(device, now);
        }
        assert_eq!(
            throttle.judge(device, now),
            Ok(Rank::Known),
            "the owner's device, also when it was wrong four times"
        );
    }

    #[test]
    fn a_stranger_has_one_attempt_while_an_account_is_under_attack() {
        let (throttle, now) = (Throttle::new(), Instant::now());
        for guesser in 2..=UNDER_ATTACK + 1 {
            throttle.wrong(from(guesser), now);
        }
        assert_eq!(seconds(&throttle, from(1), now), None);
        throttle.wrong(from(1), now);
        assert_eq!(seconds(&throttle, from(1), now), Some(900));
        let other = Attempt { account: "eve@shop.example", ..from(1) };
        assert_eq!(throttle.judge(other, now), Ok(Rank::Suspect), "another account is not under attack");
    }

    #[test]
    fn an_account_has_ten_favours_an_hour() {
        let (throttle, now) = (Throttle::new(), Instant::now());
        let favoured = (0..20).filter(|_| throttle.favours("eve@shop.example", now)).count();
        assert_eq!(favoured, 10);
        assert!(throttle.favours("ada@shop.example", now));
        assert!(throttle.favours("eve@shop.example", now + FAVOURS_IN));
    }

    #[test]
    fn the_right_password_is_a_fresh_start() {
        let (throttle, now) = (Throttle::new(), Instant::now());
        for _ in 0..FREE - 1 {
            throttle.wrong(from(1), now);
        }
        throttle.right(from(1));
        throttle.wrong(from(1), now);
        assert_eq!(seconds(&throttle, from(1), now), None);
    }
}
