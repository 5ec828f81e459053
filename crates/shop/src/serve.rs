//! `shop serve`: one service alone, on a database that others start and bring up to date.

use std::{path::PathBuf, sync::Arc};

use forebay_auth::{AUDIENCE, ISSUER, SigningKey};
use forebay_catalog::stock::RemoteStock;
use forebay_platform::{db::Db, identity::Verifier};
use sqlx::postgres::PgConnectOptions;

use crate::{
    App, Config, Failure, Purpose, Service, Services, Signals,
    app::Holding,
    claim,
    console::say,
    database::DatabaseError,
    running::{self, address, listen},
    schema, up, waiting,
};

/// Waits for the database and its schema, serves one service until the first signal, and drains. Migrates nothing.
///
/// # Errors
///
/// See [`Failure`].
pub async fn serve(config: Config, service: Service, mut signals: Signals) -> Result<(), Failure> {
    // A port that is taken is told at once. But it is not held while there is nobody to answer: whoever dials it is
    // refused, and dials another replica.
    drop((listen(config.http, "FOREBAY_HTTP").await?, listen(config.admin, "FOREBAY_ADMIN").await?));
    let app = tokio::select! {
        app = prepare(&config, service) => app?,
        () = signals.next() => {
            say("stopped before it was up");
            return Ok(());
        }
    };
    let http = listen(config.http, "FOREBAY_HTTP").await?;
    let admin = listen(config.admin, "FOREBAY_ADMIN").await?;
    let (public, own) = (address(&http), address(&admin));
    say(&format!("{} is open: http://{public} (metrics, probes, pool: http://{own})", service.name()));
    running::run(app, http, admin, None, signals).await
}

async fn prepare(config: &Config, service: Service) -> Result<App, Failure> {
    let Config { database_url, start_wait, drain_delay, drain, .. } = config;
    let url = database_url.as_ref().ok_or(DatabaseError::NoUrl)?;
    // Before the database is waited for: what is wrong with a file is said at once.
    let key = if service == Service::Auth { Some(signing_key(config)?) } else { None };
    let options = url.options();
    let connection = waiting::until_ready(&claim::options(&options), *start_wait, say).await?;
    let granted = running::claim(config, Purpose::Serve(service), &options, connection).await?;
    let (db, claim) = running::pool(config, &options, granted).await?;
    Ok(App {
        services: services(config, service, &db, (&options, &claim), key)?,
        db,
        probe: claim.session(),
        claim: Some(claim),
        http_limits: config.http_limits,
        admin_limits: config.admin_limits,
        drain_delay: *drain_delay,
        drain: *drain,
        admin_guard: config.admin_guard.clone(),
        admin_extra: axum::Router::new(),
    })
}

fn services(
    config: &Config,
    service: Service,
    db: &Db,
    (options, claim): (&PgConnectOptions, &Holding),
    key: Option<SigningKey>,
) -> Result<Services, Failure> {
    let (db, admit) = (db.clone(), running::admit(config, db));
    let mut services = Services::default().behind(config.edge.clone()).telling(config.events.clone());
    match service {
        Service::Catalog => {
            let mut catalog = forebay_catalog::State::new(db, admit).keeping_pages();
            if let Some(jwks) = config.jwks.clone() {
                let verifier = Verifier::remote(ISSUER, AUDIENCE, jwks);
                services.keys = Some(verifier.clone());
                catalog = catalog.for_admins(verifier);
            }
            services.catalog = Some(catalog);
            match config.stock.clone() {
                Some(uri) => services.stock = Some(Arc::new(RemoteStock::at(uri))),
                None => tracing::warn!("availability is not kept up to date: FOREBAY_STOCK_URL is not set"),
            }
        }
        Service::Auth => services.auth = key.map(|key| forebay_auth::State::new(db, admit, key)),
        Service::Checkout => {
            let jwks = config.jwks.clone().ok_or(Failure::NoKeys)?;
            let verifier = Verifier::remote(ISSUER, AUDIENCE, jwks);
            services.keys = Some(verifier.clone());
            let (payments, ttl) =
                (running::payments(config, options, &claim.named("payments")), config.reservation_ttl);
            services.checkout = Some(forebay_checkout::State::new(db, admit, verifier, payments, ttl));
        }
    }
    Ok(services)
}

/// The only service that needs a folder is the one that keeps a key in it.
fn signing_key(config: &Config) -> Result<SigningKey, Failure> {
    let folder = match &config.signing_key_file {
        Some(_) => PathBuf::new(),
        None => schema::folder(config)?,
    };
    Ok(up::signing_key(config, &folder)?)
}
