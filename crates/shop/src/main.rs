//! The shop. Settings come from the environment; README.md lists them.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use forebay_platform::{config::Env, telemetry};
use forebay_shop::{
    Config, Failure, Purpose, Service, Signals, config,
    console::{complain, say, speak_as_logs_do},
    health::Health,
    schema, serve, up,
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
    /// Serve one service alone, on the database that DATABASE_URL names; migrates and seeds nothing
    Serve {
        /// Which
        service: Service,
    },
    /// Bring the schema up to date, and end
    Migrate,
    /// Bring the schema up to date, fill it (FOREBAY_SEED), and end
    Seed,
    /// Ask the process whose admin listener is at FOREBAY_ADMIN whether it is ready, and end with 0 if it is
    Health,
}

#[tokio::main]
async fn main() -> ExitCode {
    match Arguments::parse().command.unwrap_or(Command::Up) {
        Command::Up => work(Purpose::Up, up::up).await,
        Command::Serve { service } => {
            let serve = async |config, signals| serve::serve(config, service, signals).await;
            work(Purpose::Serve(service), serve).await
        }
        Command::Migrate => work(Purpose::Schema, schema::migrate_only).await,
        Command::Seed => work(Purpose::Schema, schema::seed_only).await,
        Command::Health => health().await,
    }
}

async fn work(purpose: Purpose, job: impl AsyncFnOnce(Config, Signals) -> Result<(), Failure>) -> ExitCode {
    speak_as_logs_do(&Env::of_process());
    say(&format!("Forebay {}", env!("CARGO_PKG_VERSION")));
    let done = async {
        let signals = Signals::take().map_err(Failure::Signals)?;
        job(configure(purpose)?, signals).await
    };
    match done.await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(&error);
            ExitCode::from(if matches!(error, Failure::Config(_)) { 2 } else { 1 })
        }
    }
}

fn configure(purpose: Purpose) -> Result<Config, Failure> {
    let env = Env::of_process();
    let config = Config::read(&env, purpose)?;
    telemetry::install_logs(&config.log);
    for name in env.unread("FOREBAY_") {
        tracing::warn!(%name, "there is no such setting");
    }
    if config.example_password {
        say(
            "warning: a published example password or token is in use; change it in .env before anybody else can reach this",
        );
    }
    Ok(config)
}

/// Never 2: to Docker that is no answer to the question.
async fn health() -> ExitCode {
    let asked = match config::admin_address(&Env::of_process()) {
        Ok(admin) => Health::ask(admin).await.map_err(|error| error.to_string()),
        Err(faults) => Err(faults.to_string()),
    };
    match asked {
        Ok(health) => {
            say(&health.to_string());
            if health.is_ready() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(error) => {
            say(&error);
            ExitCode::FAILURE
        }
    }
}
