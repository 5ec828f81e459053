//! The shop. Settings come from the environment; README.md lists them.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use forebay_platform::{config::Env, telemetry};
use forebay_shop::{
    Config,
    up::{self, Signals, UpError, say},
};

/// A shop that survives its own postmortem: catalog, accounts and orders over REST on Postgres.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Clone, Copy, Debug, Subcommand)]
enum Command {
    /// Start the database if need be, migrate, seed and serve (the default)
    Up,
    /// Bring the schema up to date, and end
    Migrate,
    /// Bring the schema up to date, fill it (FOREBAY_SEED), and end
    Seed,
}

#[tokio::main]
async fn main() -> ExitCode {
    let command = Arguments::parse().command.unwrap_or(Command::Up);
    say(&format!("Forebay {}", env!("CARGO_PKG_VERSION")));
    match run(command).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("\n{error}");
            ExitCode::from(if matches!(error, UpError::Config(_)) { 2 } else { 1 })
        }
    }
}

async fn run(command: Command) -> Result<(), UpError> {
    let signals = Signals::take().map_err(UpError::Serve)?;
    let env = Env::of_process();
    let config = Config::read(&env)?;
    telemetry::install_logs(&config.log);
    for name in env.unread("FOREBAY_") {
        tracing::warn!(%name, "there is no such setting");
    }
    match command {
        Command::Up => up::up(config, signals).await,
        Command::Migrate => up::migrate_only(config, signals).await,
        Command::Seed => up::seed_only(config, signals).await,
    }
}
