//! What the shop has in memory after many requests, and after as many again.

use std::fmt::Write as _;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::sleep;

use super::Build;
use super::journey::{Client, Journey, MIX};
use super::shop::{self, Shop};
use crate::BenchError;
use crate::machine::{Machine, Resident};
use crate::precedence::Precedence;

/// Clients that ask at once, each as soon as it was answered.
const CLIENTS: usize = 8;
/// Parts of a half of the run, after each of which is looked.
const LOOKS: usize = 10;
/// The shop may have so much in memory once a half is over.
const MOST_MIB: f64 = 40.0;
/// And so much more after the second half than after the first: what allocators are off by.
const GROWTH_MIB: f64 = 2.0;
/// After each half, so that what the last requests needed is given back: 19 MiB for each password that is hashed at once.
const REST: Duration = Duration::from_secs(8);

/// What was seen of one shop.
#[derive(Clone, Debug)]
pub struct Report {
    machine: Machine,
    name: String,
    seen: Vec<Seen>,
}

#[derive(Clone, Copy, Debug)]
struct Seen {
    /// Requests answered so far.
    answered: usize,
    /// Whether that was a while ago.
    rested: bool,
    resident: Resident,
}

/// Sends `requests` to a shop on the full seed, and as many again; tells `progress` about it line by line.
///
/// # Errors
/// The shop does not open, or an answer is not what it was to be.
pub async fn run(build: &Build, requests: usize, progress: impl Fn(&str)) -> Result<Report, BenchError> {
    let machine = Machine::here(shop::postgres_version()?, Precedence::Nobody);
    progress(&format!("starting {}", build.name));
    let mut build = build.clone();
    build.settings.insert(0, ("FOREBAY_SEED".to_owned(), "full".to_owned()));
    let shop = Shop::start(&build).await?;
    let seen = watch(&shop, requests, progress).await;
    shop.stop().await?;
    Ok(Report { machine, name: build.name, seen: seen? })
}

async fn watch(shop: &Shop, requests: usize, progress: impl Fn(&str)) -> Result<Vec<Seen>, BenchError> {
    let look = |answered, rested| Ok::<_, BenchError>(Seen { answered, rested, resident: shop.resident()? });
    let mut seen = vec![look(0, false)?];
    let part = (requests / LOOKS).div_ceil(100).max(1);
    let mut clients = Vec::new();
    for number in 0..CLIENTS {
        clients.push(Client::open(shop, Journey::Mixed, number).await?);
    }
    for turn in 0..2 * LOOKS {
        let steps = turn * part * MIX..(turn + 1) * part * MIX;
        let mut asking = JoinSet::new();
        for (number, mut client) in clients.drain(..).enumerate() {
            let share = steps.clone().skip(number).step_by(CLIENTS);
            asking.spawn(async move {
                for step in share {
                    client.ask(step).await?;
                }
                Ok::<_, BenchError>(client)
            });
        }
        while let Some(done) = asking.join_next().await {
            clients.push(done.map_err(BenchError::turn)??);
        }
        let answered = (turn + 1) * part * 100;
        seen.push(look(answered, false)?);
        if (turn + 1) % LOOKS == 0 {
            sleep(REST).await;
            seen.push(look(answered, true)?);
        }
        let now = seen.last().map_or(0.0, |seen| mib(seen.resident.now));
        progress(&format!("{answered} requests: {now:.1} MiB"));
    }
    Ok(seen)
}

fn mib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

/// What became of it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Judged {
    /// MiB after the first half of the run.
    pub first: f64,
    /// And after the second.
    pub second: f64,
}

impl Judged {
    /// Whether it is little enough, and stays so.
    #[must_use]
    pub fn holds(self) -> bool {
        self.is_small() && self.is_flat()
    }

    fn is_small(self) -> bool {
        self.first <= MOST_MIB
    }

    fn is_flat(self) -> bool {
        self.second <= self.first + GROWTH_MIB
    }
}

impl Report {
    /// What became of it.
    #[must_use]
    pub fn judged(&self) -> Judged {
        let mut rested = self.seen.iter().filter(|seen| seen.rested).map(|seen| mib(seen.resident.now));
        let mut next = || rested.next().unwrap_or(f64::INFINITY);
        Judged { first: next(), second: next() }
    }

    /// As text with a table.
    #[must_use]
    pub fn markdown(&self) -> String {
        let machine = self.machine.line("");
        let half = self.seen.iter().find(|seen| seen.rested).map_or(0, |seen| seen.answered);
        let mut text = format!(
            "# The shop's memory: {}\n\n\
             {machine}\n\n\
             **Method.** One shop with its three services on the full seed, {half} requests by {CLIENTS} clients, and {half} more. Of a hundred one is a \
             login, nine are three orders (cart, item, order), ten search, twenty read lists and sixty a product. Resident memory of the shop's process \
             alone, after each tenth of a half, and {} s after each half; *own* is what is no page of the program or of a library.\n\n\
             | requests | resident, MiB | own, MiB | most so far, MiB |\n|---|---|---|---|\n",
            self.name,
            REST.as_secs(),
        );
        for Seen { answered, rested, resident: Resident { now, peak, own } } in &self.seen {
            let rested = if *rested { ", at rest" } else { "" };
            _ = writeln!(text, "| {answered}{rested} | {:.1} | {:.1} | {:.1} |", mib(*now), mib(*own), mib(*peak));
        }
        let judged = self.judged();
        let verdict = |held| if held { "held" } else { "**missed**" };
        _ = writeln!(
            text,
            "\nAt most {MOST_MIB} MiB after {half} requests: {:.1}, {}. At most {GROWTH_MIB} MiB more after the next {half}: {:+.1}, {}.",
            judged.first,
            verdict(judged.is_small()),
            judged.second - judged.first,
            verdict(judged.is_flat()),
        );
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_small_and_stays_so_holds() {
        let holds = |first, second| Judged { first, second }.holds();
        assert!(holds(40.0, 42.0) && holds(30.0, 20.0));
        assert!(!holds(40.1, 40.0), "more than it may have");
        assert!(!holds(20.0, 22.1), "it grows");
    }

    #[test]
    fn what_is_there_at_rest_counts_and_is_missing_where_nobody_looked() {
        let resident = |now: u64| Resident { now: now << 20, peak: 90 << 20, own: 1 };
        let seen = |answered, rested, now| Seen { answered, rested, resident: resident(now) };
        let machine = Machine::here(String::new(), Precedence::Nobody);
        let mut report = Report { machine, name: String::new(), seen: vec![seen(10, false, 80), seen(10, true, 30)] };
        assert!(!report.judged().holds());
        report.seen.extend([seen(20, false, 81), seen(20, true, 31)]);
        assert_eq!(report.judged(), Judged { first: 30.0, second: 31.0 });
        let said = "At most 40 MiB after 10 requests: 30.0, held. At most 2 MiB more after the next 10: +1.0, held.";
        assert!(report.markdown().contains(said), "{}", report.markdown());
    }
}
