//! What a request costs a shop in processor time, by one build of its program against another.
//!
//! Three shops run side by side, each with a database of its own: the build in question, the other one, and the other one
//! once more. In every round each takes its turn in every case, in an order drawn anew, with the same number of requests.
//! The ratio of the other one to itself says how much of a ratio is chance. Clients come from addresses of their own, so that
//! quotas are counted and not met.

mod journey;
pub mod memory;
pub mod observing;
pub mod pgbench;
pub mod queries;
mod report;
pub mod seed;
mod shop;

use std::path::PathBuf;
use std::time::Duration;

use rand::SeedableRng as _;
use rand::rngs::StdRng;
use rand::seq::SliceRandom as _;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::BenchError;
use crate::machine::Machine;
use crate::precedence::Precedence;
use journey::{Client, Journey};
use report::over;
pub use report::{Judged, Report};
use shop::Shop;
pub(crate) use shop::filled;

/// A build of the shop's program.
#[derive(Clone, Debug)]
pub struct Build {
    /// What the report calls it, such as a commit.
    pub name: String,
    /// The program.
    pub program: PathBuf,
    /// Settings that it is started with beside ours.
    pub settings: Vec<(String, String)>,
}

impl Build {
    /// Of a program that is there, which is called by its path where it has no name.
    ///
    /// # Errors
    /// There is none.
    pub fn of(program: PathBuf, name: Option<String>, settings: Vec<(String, String)>) -> Result<Self, BenchError> {
        let what = format!("looking for {}", program.display());
        let program = program.canonicalize().map_err(|error| BenchError::Io { what, error })?;
        Ok(Self { name: name.unwrap_or_else(|| program.display().to_string()), program, settings })
    }

    /// A setting as the command line has it.
    ///
    /// # Errors
    /// It is none.
    pub fn setting(text: &str) -> Result<(String, String), String> {
        let (name, value) = text.split_once('=').ok_or("a setting is NAME=VALUE")?;
        Ok((name.to_owned(), value.to_owned()))
    }
}

/// What is asked, and how often.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Turns of each shop in each case.
    pub rounds: u32,
    /// Draws the order of turns.
    pub seed: u64,
    /// Requests for a product in a turn; others are as many as take about as long.
    pub products: usize,
    /// What the build in question may take of what the other takes.
    pub at_most: f64,
}

/// Clients that ask at once, each as soon as it was answered.
const CLIENTS: [usize; 2] = [1, 8];

/// One thing that is asked, by so many clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Case {
    journey: Journey,
    clients: usize,
}

/// What a request took in one turn, in microseconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cost {
    shop: f64,
    postgres: f64,
    /// From the first request to the last answer, over the requests.
    wall: f64,
}

/// The costs of one case, by contestant and round.
#[derive(Clone, Debug)]
pub(crate) struct Figures {
    case: Case,
    ours: Vec<Cost>,
    other: Vec<Cost>,
    again: Vec<Cost>,
}

/// Measures, and tells `progress` about it line by line. Stops the shops it has started; dropping the future kills them.
///
/// # Errors
/// A shop does not open, or an answer is not what it was to be.
pub async fn run(plan: &Plan, ours: &Build, other: &Build, progress: impl Fn(&str)) -> Result<Report, BenchError> {
    let machine = Machine::here(shop::postgres_version()?, Precedence::Nobody);
    let mut shops = Vec::new();
    for build in [ours, other, other] {
        progress(&format!("starting {}", build.name));
        shops.push(Shop::start(build).await?);
    }
    let figures = measure(plan, &shops, progress).await;
    for shop in shops {
        shop.stop().await?;
    }
    let names = [ours.name.clone(), other.name.clone()];
    Ok(Report { machine, names, plan: plan.clone(), figures: figures? })
}

async fn measure(plan: &Plan, shops: &[Shop], progress: impl Fn(&str)) -> Result<Vec<Figures>, BenchError> {
    let mut dice = StdRng::seed_from_u64(plan.seed);
    let cases = Journey::ALL.into_iter().flat_map(|journey| CLIENTS.map(|clients| Case { journey, clients }));
    let mut figures: Vec<_> = cases.map(Figures::of).collect();
    progress("warming up");
    for shop in shops {
        for figures in &figures {
            turn(shop, figures.case, figures.case.journey.requests(plan.products).div_ceil(10)).await?;
        }
    }
    for round in 1..=plan.rounds {
        progress(&format!("round {round} of {}", plan.rounds));
        for figures in &mut figures {
            let requests = figures.case.journey.requests(plan.products);
            let mut turns = [0, 1, 2];
            turns.shuffle(&mut dice);
            for at in turns {
                let cost = turn(&shops[at], figures.case, requests).await?;
                [&mut figures.ours, &mut figures.other, &mut figures.again][at].push(cost);
            }
        }
    }
    Ok(figures)
}

impl Figures {
    fn of(case: Case) -> Self {
        Self { case, ours: Vec::new(), other: Vec::new(), again: Vec::new() }
    }
}

/// Lets the clients of a case share so many requests, and says what one of them took.
async fn turn(shop: &Shop, case: Case, requests: usize) -> Result<Cost, BenchError> {
    let mut clients = Vec::new();
    for number in 0..case.clients {
        clients.push(Client::open(shop, case.journey, number).await?);
    }
    let (before, began) = (shop.processor()?, Instant::now());
    let mut asking = JoinSet::new();
    for (number, mut client) in clients.into_iter().enumerate() {
        let share = (number..requests).step_by(case.clients);
        asking.spawn(async move {
            for request in share {
                client.ask(request).await?;
            }
            Ok::<_, BenchError>(())
        });
    }
    while let Some(done) = asking.join_next().await {
        done.map_err(BenchError::turn)??;
    }
    let (wall, after) = (began.elapsed(), shop.processor()?);
    let each = |time: Duration| time.as_secs_f64() * 1e6 / requests as f64;
    let postgres = after.postgres.saturating_sub(before.postgres);
    Ok(Cost { shop: each(after.shop.since(before.shop)), postgres: each(postgres), wall: each(wall) })
}
