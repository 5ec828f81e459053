//! The shop. Settings come from the environment; README.md lists them.

use std::{process::ExitCode, time::Duration};

use clap::{Parser, Subcommand};
use forebay_platform::{
    config::Env,
    telemetry::{self, Telemetry},
};
use forebay_shop::{
    Config, Factor, Failure, Purpose, Scale, Service, Signals,
    admins::{self, Order},
    advise, check, config,
    console::{complain, say, speak_as_logs_do},
    events,
    health::Health,
    reconcile,
    schema::{self, SeedOrder},
    serve,
    settings::Effective,
    trust, up,
};

/// A shop that survives its own postmortem: catalog, accounts and orders over REST on Postgres.
#[derive(Debug, Parser)]
#[command(version, after_help = SETTINGS)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
}

const SETTINGS: &str = "Settings come from the environment: `shop config` lists each with its value and where it comes from, \
    README.md says what each does, and `shop check` tries them. Most often needed:\n  \
    DATABASE_URL   postgres://user:password@host:5432/database; without it the shop starts a Postgres of its own\n  \
    FOREBAY_HTTP   where the API listens, 127.0.0.1:8080\n  \
    FOREBAY_ADMIN  where metrics, probes and the pool listen, 127.0.0.1:9090\n  \
    FOREBAY_DATA   the folder of that Postgres and of the signing key, ./.forebay\n  \
    FOREBAY_SEED   full, small or none: what an empty shop is filled with";

#[derive(Clone, Debug, Subcommand)]
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
    /// Bring the schema up to date, fill an empty shop, and end
    Seed {
        /// How much: so many times the full seed, 0.1 to 10; without it what FOREBAY_SEED says
        #[arg(long, value_name = "FACTOR")]
        scale: Option<Factor>,
        /// Delete all that there is first, but the audit log; asks for --yes-delete-everything
        #[arg(long)]
        reset: bool,
        /// That is meant
        #[arg(long, requires = "reset")]
        yes_delete_everything: bool,
    },
    /// Make a role of its own for each service, as which it logs in with no more rights than it needs (FOREBAY_ROLE_*), and end
    Roles,
    /// Say who runs the shop: whose access tokens open /v1/admin. Works beside a shop that runs
    Admin {
        #[command(subcommand)]
        order: Order,
    },
    /// Hold what the payment provider says against our tables. Ends with 1 if they differ, and with 2 if that cannot be told.
    /// Works beside a shop that runs
    Reconcile {
        #[command(flatten)]
        order: reconcile::Order,
    },
    /// Say who holds connections, which statements take the time, and what to change (docs/advise.md), from the numbers of a shop that
    /// runs. Ends with 2 if neither it nor its database was seen. Changes nothing
    Advise {
        #[command(flatten)]
        order: advise::Order,
    },
    /// Say who is told of what happens to orders, and send it again (docs/events.md). Works beside a shop that runs
    Events {
        #[command(subcommand)]
        order: events::Order,
    },
    /// Ask the process whose admin listener is at FOREBAY_ADMIN whether it is ready, and end with 0 if it is
    Health,
    /// Print the settings in force and where each comes from; secrets are not shown. Ends with 2 if one is wrong
    Config {
        /// As `shop serve SERVICE` reads them; without it as `shop up` does
        service: Option<Service>,
        /// As one JSON object
        #[arg(long)]
        json: bool,
    },
    /// Try all that a start needs, without serving and without changing anything. Ends with 1 if something is wrong
    Check {
        /// For `shop serve SERVICE`; without it for `shop up`
        service: Option<Service>,
    },
}

#[tokio::main]
async fn main() -> ExitCode {
    let purpose = |service: Option<Service>| service.map_or(Purpose::Up, Purpose::Serve);
    match Arguments::parse().command.unwrap_or(Command::Up) {
        Command::Up => work(Purpose::Up, up::up).await,
        Command::Serve { service } => {
            let serve = async |config, signals| serve::serve(config, service, signals).await;
            work(Purpose::Serve(service), serve).await
        }
        Command::Migrate => work(Purpose::Schema, schema::migrate_only).await,
        Command::Seed { reset: true, yes_delete_everything: false, .. } => {
            complain(
                &"--reset deletes every product, account, cart and order of this shop. If that is meant, say also --yes-delete-everything",
            );
            ExitCode::from(2)
        }
        Command::Seed { scale, reset, .. } => {
            let order = SeedOrder { scale: scale.map(Scale::Times), anew: reset };
            let seed = async |config, signals| schema::seed_only(config, order, signals).await;
            work(Purpose::Schema, seed).await
        }
        Command::Roles => work(Purpose::Schema, schema::roles_only).await,
        Command::Admin { order } => {
            let administer = async |config, signals| admins::administer(config, &order, signals).await;
            work(Purpose::Schema, administer).await
        }
        Command::Reconcile { order } => compare(order).await,
        Command::Advise { order } => counsel(order).await,
        Command::Events { order } => {
            let arrange = async |config, signals| events::arrange(config, &order, signals).await;
            work(Purpose::Schema, arrange).await
        }
        Command::Health => health().await,
        Command::Config { service, json } => show(purpose(service), json),
        Command::Check { service } => check(purpose(service)).await,
    }
}

async fn work(purpose: Purpose, job: impl AsyncFnOnce(Config, Signals) -> Result<(), Failure>) -> ExitCode {
    speak_as_logs_do(&Env::of_process());
    let done = async {
        let (config, telemetry) = configure(purpose)?;
        let signals = Signals::take().map_err(Failure::Signals)?;
        let done = Box::pin(job(config, signals)).await;
        telemetry.end(LAST_SPANS).await;
        done
    };
    match done.await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(&error);
            ExitCode::from(if matches!(error, Failure::Config(_)) { 2 } else { 1 })
        }
    }
}

/// As `diff` ends; and only what was found goes to standard output.
async fn compare(order: reconcile::Order) -> ExitCode {
    let env = Env::of_process();
    speak_as_logs_do(&env);
    let done = async {
        let config = Config::read(&env, Purpose::Schema)?;
        trust::narrow(&config)?;
        telemetry::install_logs(&config.log);
        let signals = Signals::take().map_err(Failure::Signals)?;
        reconcile::reconcile(config, order, signals).await
    };
    match Box::pin(done).await {
        Ok(found) => {
            say(&found.text);
            ExitCode::from(u8::from(!found.is_same))
        }
        Err(error) => {
            complain(&error);
            ExitCode::from(2)
        }
    }
}

/// Only the report goes to standard output.
async fn counsel(order: advise::Order) -> ExitCode {
    let env = Env::of_process();
    speak_as_logs_do(&env);
    let configured = || {
        let config = Config::read(&env, Purpose::Schema)?;
        trust::narrow(&config)?;
        telemetry::install_logs(&config.log);
        Ok::<_, Failure>(config)
    };
    match configured() {
        Ok(config) => {
            let found = Box::pin(advise::advise(&config, advise::token(&env).as_ref(), order)).await;
            say(&found.text);
            ExitCode::from(if found.is_blind { 2 } else { 0 })
        }
        Err(error) => {
            complain(&error);
            ExitCode::from(2)
        }
    }
}

/// How long the spans that are left at the end may take.
const LAST_SPANS: Duration = Duration::from_secs(1);

fn configure(purpose: Purpose) -> Result<(Config, Telemetry), Failure> {
    let env = Env::of_process();
    let config = Config::read(&env, purpose)?;
    // May begin this process anew: nothing was said before.
    trust::narrow(&config)?;
    say(&format!("Forebay {}", env!("CARGO_PKG_VERSION")));
    let telemetry = telemetry::begin(&config.log, &config.traces)?;
    for name in env.unread("FOREBAY_") {
        tracing::warn!(%name, "there is no such setting");
    }
    for (name, parameter) in config.ignored_parameters() {
        tracing::warn!(%name, %parameter, "this parameter is not known, and does nothing");
    }
    if config.example_password {
        say(
            "warning: a published example password or token is in use; change it in .env before anybody else can reach this",
        );
    }
    Ok((config, telemetry))
}

fn show(purpose: Purpose, json: bool) -> ExitCode {
    let effective = Effective::read(&Env::of_process(), purpose);
    if json {
        say(&effective.json().to_string());
    } else {
        say(effective.to_string().trim_end());
    }
    match effective.faults() {
        None => ExitCode::SUCCESS,
        Some(faults) => {
            complain(faults);
            ExitCode::from(2)
        }
    }
}

async fn check(purpose: Purpose) -> ExitCode {
    let env = Env::of_process();
    let config = Config::read(&env, purpose);
    if let Ok(config) = &config
        && let Err(error) = trust::narrow(config)
    {
        complain(&error);
        return ExitCode::FAILURE;
    }
    if check::check(config.as_ref(), &env.unread("FOREBAY_"), purpose, say).await {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
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
