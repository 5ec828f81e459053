//! What a product costs by the shop, over what its statements cost by `pgbench`: the least that a client can do with them.

use std::fmt::Write as _;
use std::path::Path;
use std::str::FromStr as _;
use std::time::Duration;

use forebay_embedded::Server;
use sqlx::postgres::PgConnectOptions;
use sqlx::{Connection as _, PgConnection};
use tempfile::NamedTempFile;
use tokio::process::Command;
use tokio::time::timeout;

use super::journey::{Client, Journey};
use super::shop::{self, Shop, filled};
use super::{Build, CLIENTS, Case, Cost, over, queries, turn};
use crate::BenchError;
use crate::book::Spread;
use crate::machine::{Machine, time_of_ended_children, time_of_server};
use crate::precedence::Precedence;
use crate::report::spread;

/// What the shop and its database may take of what `pgbench` and its database take.
const MOST: f64 = 3.0;
const LIMIT: Duration = Duration::from_secs(120);

/// What was measured.
#[derive(Clone, Debug)]
pub struct Report {
    machine: Machine,
    name: String,
    products: usize,
    figures: Vec<Figure>,
}

/// With so many clients, round by round.
#[derive(Clone, Debug)]
struct Figure {
    clients: usize,
    shop: Vec<Cost>,
    /// Its client as the shop.
    pgbench: Vec<Cost>,
}

/// Has the shop answer for `products` in each round, and `pgbench` run the statements as often, in turn on one server.
///
/// # Errors
/// There is no server or no `pgbench`, the shop does not open, or an answer is not what it was to be.
pub async fn run(
    build: &Build,
    rounds: u32,
    products: usize,
    progress: impl Fn(&str) + Send + Sync,
) -> Result<Report, BenchError> {
    let machine = Machine::here(shop::postgres_version()?, Precedence::Nobody);
    progress("starting a server, and filling it");
    let server = queries::server(&progress).await?;
    filled(&build.program, &server.url("postgres")).await?;
    let shop = Shop::start_on(build, &server).await?;
    let figures = measure(&shop, &server, rounds, products, progress).await;
    shop.stop().await?;
    // The run is over: whatever is wrong with the stop, the guardian ends the server with this process.
    _ = server.shutdown().await;
    Ok(Report { machine, name: build.name.clone(), products, figures: figures? })
}

async fn measure(
    shop: &Shop,
    server: &Server,
    rounds: u32,
    products: usize,
    progress: impl Fn(&str),
) -> Result<Vec<Figure>, BenchError> {
    let options = PgConnectOptions::from_str(&server.url("postgres"))?;
    let mut conn = PgConnection::connect_with(&options).await?;
    let mut client = Client::open(shop, Journey::Product, 0).await?;
    let statements = queries::of_a_product(&mut conn, server, client.ask(0)).await?;
    let mut figures: Vec<_> = CLIENTS.map(|clients| Figure { clients, shop: Vec::new(), pgbench: Vec::new() }).into();
    for round in 0..=rounds {
        progress(&if round == 0 { "warming up".to_owned() } else { format!("round {round} of {rounds}") });
        for figure in &mut figures {
            let case = Case { journey: Journey::Product, clients: figure.clients };
            let id = shop.goods.product(round as usize);
            let (asked, run) = if round % 2 == 0 {
                let asked = turn(shop, case, products).await?;
                (asked, pgbench(server, &options, &statements, id, figure.clients, products).await?)
            } else {
                let run = pgbench(server, &options, &statements, id, figure.clients, products).await?;
                (turn(shop, case, products).await?, run)
            };
            // The first one warms both up.
            if round > 0 {
                figure.shop.push(asked);
                figure.pgbench.push(run);
            }
        }
    }
    Ok(figures)
}

/// What one product takes by it. Each session prepares the statements once, and passes the id.
async fn pgbench(
    server: &Server,
    options: &PgConnectOptions,
    statements: &[String],
    id: &str,
    clients: usize,
    products: usize,
) -> Result<Cost, BenchError> {
    let script: String = statements.iter().map(|text| format!("{};\n", text.replace("$1", ":id"))).collect();
    let file = NamedTempFile::new().map_err(BenchError::io("making the script"))?;
    std::fs::write(file.path(), script).map_err(BenchError::io("writing the script"))?;
    let programs = forebay_embedded::find_programs()?;
    let program = programs.postgres.parent().unwrap_or(Path::new("")).join("pgbench");
    let each = products.div_ceil(clients);
    let mut command = Command::new(&program);
    command
        .args(["--no-vacuum", "--protocol=prepared", "--jobs=2"])
        .args([format!("--client={clients}"), format!("--transactions={each}"), format!("--define=id={id}")])
        .arg("--file")
        .arg(file.path())
        .arg("--host")
        .arg(server.socket_dir())
        .args(["--port", &options.get_port().to_string(), "--username", options.get_username(), "postgres"])
        .kill_on_drop(true);
    let now = || time_of_ended_children().zip(time_of_server(server.pid()));
    let (before, began) = (now(), tokio::time::Instant::now());
    let ran = timeout(LIMIT, command.output()).await.map_err(|_late| BenchError::turn("pgbench takes for ever"))?;
    let ran = ran.map_err(BenchError::io(format!("starting {}, which comes with Postgres", program.display())))?;
    let (after, wall) = (now(), began.elapsed());
    let said = String::from_utf8_lossy(&ran.stderr);
    // Where a client ends early the rest goes on, and it says so.
    if !ran.status.success() || said.contains("error:") {
        return Err(BenchError::turn(said));
    }
    let Some(((client, server), (client_before, server_before))) = after.zip(before) else {
        return Err(BenchError::turn("the kernel does not tell processor times"));
    };
    let of = |time: Duration| time.as_secs_f64() * 1e6 / (each * clients) as f64;
    let (client, server) = (client.saturating_sub(client_before), server.saturating_sub(server_before));
    Ok(Cost { shop: of(client), postgres: of(server), wall: of(wall) })
}

impl Figure {
    fn ratio(&self) -> Option<Spread> {
        Spread::of(over(&self.shop, &self.pgbench, Cost::both))
    }

    fn holds(&self) -> bool {
        self.ratio().is_some_and(|ratio| ratio.median <= MOST)
    }
}

impl Report {
    /// Whether the medians are within what is promised.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.figures.iter().all(Figure::holds)
    }

    /// As text with a table.
    #[must_use]
    pub fn markdown(&self) -> String {
        let machine = self.machine.line("");
        let rounds = self.figures.first().map_or(0, |figure| figure.shop.len());
        let mut text = format!(
            "# A product by the shop and by pgbench: {}\n\n\
             {machine}\n\n\
             **Method.** {rounds} rounds on the full seed; in each the shop answers {} `GET /v1/products/{{id}}`, and pgbench runs the shop's own \
             statements for one of them as often, prepared, on the same server. µs of processor time for a product; medians with least..most, \
             ratios within a round.\n\n\
             | clients | shop | its Postgres | pgbench | its Postgres | both of the shop's | both of pgbench's | ratio | at most | |\n\
             |---|---|---|---|---|---|---|---|---|---|\n",
            self.name, self.products
        );
        for figure in &self.figures {
            let shown = |costs: &[Cost], of: fn(&Cost) -> f64| {
                Spread::of(costs.iter().map(of)).map_or_else(|| "-".to_owned(), spread)
            };
            _ = writeln!(
                text,
                "| {} | {} | {} | {} | {} | {} | {} | {} | {MOST} | {} |",
                figure.clients,
                shown(&figure.shop, Cost::shop),
                shown(&figure.shop, Cost::postgres),
                shown(&figure.pgbench, Cost::shop),
                shown(&figure.pgbench, Cost::postgres),
                shown(&figure.shop, Cost::both),
                shown(&figure.pgbench, Cost::both),
                figure.ratio().map_or_else(|| "-".to_owned(), spread),
                if figure.holds() { "held" } else { "**missed**" },
            );
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_times_what_pgbench_takes_is_as_much_as_it_may_be() {
        let cost = |shop, postgres| Cost { shop, postgres, wall: 1.0 };
        let holds = |shop| {
            let pgbench = vec![cost(10.0, 20.0); 3];
            Figure { clients: 1, shop: vec![cost(shop, 30.0), cost(0.0, 1.0), cost(99.0, 99.0)], pgbench }.holds()
        };
        assert!(holds(60.0), "the median is");
        assert!(!holds(61.0));
    }
}
