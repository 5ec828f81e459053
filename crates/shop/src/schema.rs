//! `shop migrate` and `shop seed`: the database, brought up to date and filled.

use std::path::{Path, PathBuf};

use crate::{
    Config, Failure, Signals,
    console::{Bar, say},
    database::{Database, dial},
    migrations::{Schema, migrate},
    place,
    roles::roles,
    running,
    seed::{Scale, Seeded, seed, seed_anew},
};

/// `shop migrate`: brings the schemas up to date.
///
/// # Errors
///
/// See [`Failure`].
pub async fn migrate_only(config: Config, mut signals: Signals) -> Result<(), Failure> {
    let work = async |database: &Database| {
        let migrated = migrate(&database.options).await?;
        say_if_newer(database).await;
        Ok(migrated)
    };
    let migrated = on_database(Box::pin(open(&config)), &mut signals, work).await?;
    say(&format!("the schema is up to date: {} migrations", migrated.known));
    Ok(())
}

/// `shop roles`: a role of its own for each service, on schemas that are migrated.
///
/// # Errors
///
/// See [`Failure`].
pub async fn roles_only(config: Config, mut signals: Signals) -> Result<(), Failure> {
    let work = async |database: &Database| Ok(roles(&database.options, &config.roles, say).await?);
    on_database(Box::pin(open(&config)), &mut signals, work).await
}

/// What `shop seed` is asked for beside the settings.
#[derive(Clone, Copy, Debug, Default)]
pub struct SeedOrder {
    /// In place of what `FOREBAY_SEED` says.
    pub scale: Option<Scale>,
    /// Whether to begin by deleting what there is.
    pub anew: bool,
}

/// `shop seed`: brings the schemas up to date and fills them.
///
/// # Errors
///
/// See [`Failure`].
pub async fn seed_only(config: Config, order: SeedOrder, mut signals: Signals) -> Result<(), Failure> {
    let scale = order.scale.or(config.seed);
    let work = async |database: &Database| {
        bring_schema_up_to_date(database).await?;
        let filled = match scale {
            Some(scale) if order.anew => Some(fill_anew(database, scale).await?),
            Some(scale) => Some(fill(database, scale).await?),
            None => None,
        };
        warn_of_the_seed(database).await;
        Ok(filled)
    };
    say(match on_database(Box::pin(open(&config)), &mut signals, work).await? {
        Some(Seeded::Filled) => "the shop is filled",
        Some(Seeded::HadProducts) => "the shop has products already, and nothing was filled in",
        None => {
            "the schema is up to date, and nothing was filled in: --scale, or FOREBAY_SEED=full or small does, with accounts whose password is published"
        }
    });
    Ok(())
}

/// Has the database opened, does `work` on it unless a signal comes first, and stops what was started.
pub(crate) async fn on_database<T>(
    opening: impl Future<Output = Result<Database, Failure>>,
    signals: &mut Signals,
    work: impl AsyncFnOnce(&Database) -> Result<T, Failure>,
) -> Result<T, Failure> {
    let database = tokio::select! {
        opened = opening => opened?,
        () = signals.next() => return Err(Failure::Interrupted),
    };
    let done = tokio::select! {
        done = work(&database) => done,
        () = signals.next() => Err(Failure::Interrupted),
    };
    running::stop(database.server, signals).await;
    done
}

async fn open(config: &Config) -> Result<Database, Failure> {
    Ok(Database::open(config, &folder(config)?, say).await?)
}

/// The data folder, which is made where it is missing.
pub(crate) fn folder(config: &Config) -> Result<PathBuf, Failure> {
    let asked = config.data_dir.as_deref();
    let path = asked.unwrap_or(Path::new(".forebay")).to_owned();
    let place =
        place::choose(asked, config.database_url.is_none()).map_err(|source| Failure::Folder { path, source })?;
    if let Some(note) = &place.note {
        say(note);
    }
    Ok(place.folder)
}

/// Applies what is missing of the schema, and fills an empty shop. Says whether the accounts of the seed are there.
pub(crate) async fn bring_up_to_date(config: &Config, database: &Database) -> Result<bool, Failure> {
    bring_schema_up_to_date(database).await?;
    if let Some(scale) = config.seed {
        fill(database, scale).await?;
    }
    Ok(warn_of_the_seed(database).await)
}

async fn bring_schema_up_to_date(database: &Database) -> Result<(), Failure> {
    say("bringing the schema up to date");
    migrate(&database.options).await?;
    say_if_newer(database).await;
    Ok(())
}

async fn fill(database: &Database, scale: Scale) -> Result<Seeded, Failure> {
    let bar = Bar::default();
    Ok(seed(&database.options, scale, |step| bar.show(step.number, step.of, &step.doing)).await?)
}

async fn fill_anew(database: &Database, scale: Scale) -> Result<Seeded, Failure> {
    let bar = Bar::default();
    seed_anew(&database.options, scale, |step| bar.show(step.number, step.of, &step.doing)).await?;
    Ok(Seeded::Filled)
}

/// Whether its accounts are there.
async fn warn_of_the_seed(database: &Database) -> bool {
    let seeded = has_accounts_of_the_seed(database).await.unwrap_or(false);
    if seeded && database.server.is_none() {
        say(
            "warning: this database has the accounts of the seed, whose password is published (user00001@example.test and so \
             on): keep others from this shop, or begin with an empty database and without FOREBAY_SEED",
        );
    }
    seeded
}

/// Was it not to be learned, nothing is said: what comes next asks the database too.
async fn say_if_newer(database: &Database) {
    let schema = async { Schema::read(&mut dial(&database.options).await?).await };
    if let Some(newer) = schema.await.ok().and_then(|schema| schema.newer()) {
        say(&format!("warning: {newer}"));
    }
}

async fn has_accounts_of_the_seed(database: &Database) -> sqlx::Result<bool> {
    let asked = "SELECT EXISTS (SELECT FROM auth.users WHERE email = 'user00001@example.test')";
    sqlx::query_scalar(asked).fetch_one(&mut dial(&database.options).await?).await
}
