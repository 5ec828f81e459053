//! `shop migrate` and `shop seed`: the database, brought up to date and filled.

use std::path::{Path, PathBuf};

use crate::{
    Config, Failure, Signals,
    console::say,
    database::{Database, dial},
    migrations::{Schema, migrate},
    place, running, seed,
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

/// `shop seed`: brings the schemas up to date and fills them.
///
/// # Errors
///
/// See [`Failure`].
pub async fn seed_only(config: Config, mut signals: Signals) -> Result<(), Failure> {
    on_database(Box::pin(open(&config)), &mut signals, async |database| bring_up_to_date(&config, database).await)
        .await?;
    say(match config.seed {
        Some(_) => "the shop is filled",
        None => {
            "the schema is up to date, and nothing was filled in: FOREBAY_SEED=full or small does, with accounts whose password is published"
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
    say("bringing the schema up to date");
    migrate(&database.options).await?;
    say_if_newer(database).await;
    if let Some(scale) = config.seed {
        seed(&database.options, scale, say).await?;
    }
    let seeded = has_accounts_of_the_seed(database).await.unwrap_or(false);
    if seeded && database.server.is_none() {
        say(
            "warning: this database has the accounts of the seed, whose password is published (user00001@example.test and so \
             on): keep others from this shop, or begin with an empty database and without FOREBAY_SEED",
        );
    }
    Ok(seeded)
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
