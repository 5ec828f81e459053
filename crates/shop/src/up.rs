//! `shop up`: from nothing to a shop that answers, and back.

use std::path::Path;

use forebay_auth::SigningKey;

use crate::{
    App, Config, Failure, Purpose, Services, Signals, claim,
    console::say,
    database::Database,
    running::{self, address, listen},
    schema,
    signing_key::{self, KeyError},
};

/// A shop that is about to serve.
#[derive(Debug)]
struct Prepared {
    app: App,
    database: Database,
    /// Whether the accounts of the seed are there.
    seeded: bool,
}

/// Opens the database, migrates, seeds, serves until the first signal, drains, and stops what it started.
///
/// # Errors
///
/// See [`Failure`].
pub async fn up(config: Config, mut signals: Signals) -> Result<(), Failure> {
    let http = listen(config.http, "FOREBAY_HTTP").await?;
    let admin = listen(config.admin, "FOREBAY_ADMIN").await?;
    let prepared = tokio::select! {
        prepared = prepare(&config) => prepared?,
        () = signals.next() => {
            say("stopped before it was up");
            return Ok(());
        }
    };
    let Prepared { app, database, seeded } = prepared;
    announce(&address(&http), &address(&admin), seeded);
    running::run(app, http, admin, database.server, signals).await
}

async fn prepare(config: &Config) -> Result<Prepared, Failure> {
    let Config { reservation_ttl, drain, drain_delay, .. } = config;
    // What may fail comes before what takes long.
    let folder = schema::folder(config)?;
    let signing_key = signing_key(config, &folder)?;
    let database = Database::open(config, &folder, say).await?;
    let connection = database.connect(&claim::options(&database.options), say).await?;
    let granted = running::claim(config, Purpose::Up, &database.options, connection).await?;
    let seeded = schema::bring_up_to_date(config, &database).await?;
    let (db, claim) = running::pool(config, &database.options, granted).await?;
    let admit = running::admit(config, &db);
    let payments = running::payments(config, &database.options, &claim.named("payments"));
    let app = App {
        services: Services::all(&db, &admit, signing_key, payments, *reservation_ttl)
            .keeping_pages()
            .telling(config.events.clone())
            .behind(config.edge.clone()),
        db,
        probe: claim.session(),
        claim: Some(claim),
        http_limits: config.http_limits,
        admin_limits: config.admin_limits,
        drain_delay: *drain_delay,
        drain: *drain,
        admin_guard: config.admin_guard.clone(),
        admin_extra: axum::Router::new(),
    };
    Ok(Prepared { app, database, seeded })
}

/// The key that was named, which must be there; else the one in the data folder, which is made on the first start.
pub(crate) fn signing_key(config: &Config, folder: &Path) -> Result<SigningKey, KeyError> {
    let key = match &config.signing_key_file {
        Some(path) => signing_key::read(path).map_err(KeyError::named_by("FOREBAY_SIGNING_KEY_FILE"))?,
        None => signing_key::read_or_make(&folder.join(signing_key::USUAL))?,
    };
    match &config.previous_key_file {
        Some(path) => signing_key::with_previous(key, path).map_err(KeyError::named_by("FOREBAY_PREVIOUS_KEY_FILE")),
        None => Ok(key),
    }
}

/// The login that it names is that of the seed.
fn announce(http: &str, admin: &str, seeded: bool) {
    let login = format!(
        "  curl -H 'content-type: application/json' -d '{{\"email\":\"user00001@example.test\",\"password\":\"correct-horse-battery\"}}' http://{http}/v1/auth/login\n"
    );
    say(&format!(
        "\nThe shop is open: http://{http} (metrics, probes, pool: http://{admin})\n\n  \
         curl 'http://{http}/v1/products?limit=3&sort=popular'\n{}  \
         curl http://{admin}/pool\n\nREADME.md goes on from here. Ctrl-C stops it.",
        if seeded { &login } else { "" }
    ));
}
