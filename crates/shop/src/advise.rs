//! `shop advise`: who holds connections, which statements take the time, and what to change, from the numbers of a shop that runs.

use std::{net::SocketAddr, path::Path, time::Duration};

use clap::Args;
use forebay_platform::config::Env;
use secrecy::SecretString;

use crate::{Config, database::Database};

mod database;
mod plan;
mod pool;
mod report;

pub use report::Report;

/// What is asked for.
#[derive(Clone, Copy, Debug, Args)]
pub struct Order {
    /// Advise on no less than so many seconds of numbers
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    after: u64,
    /// As one JSON object
    #[arg(long)]
    json: bool,
}

/// What was found, as it is to be shown.
#[derive(Debug)]
pub struct Found {
    /// Ready to be printed.
    pub text: String,
    /// Whether neither the shop nor its database was seen.
    pub is_blind: bool,
}

/// Asks the admin listener of the settings, and the database that `DATABASE_URL` names, or the embedded server that runs for the
/// shop. Starts nothing, changes nothing, and runs none of the statements that it explains; takes a minute at most. What could not be
/// seen is said in the report.
pub async fn advise(config: &Config, token: Option<&SecretString>, order: Order) -> Found {
    let (seen, database) = tokio::join!(pool::Seen::ask(config.admin, token), look(config));
    let report = Report::of(seen, database, Duration::from_secs(order.after));
    let text = if order.json { serde_json::json!(report).to_string() } else { report.to_string() };
    Found { text, is_blind: report.is_blind() }
}

/// The first token of `FOREBAY_ADMIN_TOKEN`, whose form was checked before.
#[must_use]
pub fn token(env: &Env) -> Option<SecretString> {
    use secrecy::ExposeSecret as _;
    let tokens = env.reader().secret("FOREBAY_ADMIN_TOKEN")?;
    let first = tokens.expose_secret().split(',').next()?.trim();
    Some(first.split_once(':').map_or(first, |(_, token)| token).into())
}

async fn look(config: &Config) -> Result<database::Seen, String> {
    let folder = config.data_dir.as_deref().unwrap_or(Path::new(".forebay"));
    match Database::that_runs(config, folder) {
        Ok(options) => database::Seen::look(&options).await,
        Err(error) => Err(error.to_string()),
    }
}

/// An address that stands for all of this machine's is asked over loopback.
fn reachable(admin: SocketAddr) -> SocketAddr {
    SocketAddr::new(crate::health::reachable(admin.ip()), admin.port())
}
