//! The shop as one process: three services on one pool, a public listener and an admin one.

use std::{future::Future, io, time::Duration};

use axum::Router;
use forebay_auth::SigningKey;
use forebay_checkout::Payments;
use forebay_platform::{
    admin::{Admin, Readiness},
    admit::Admit,
    db::Db,
    serve::{self, Drained},
    telemetry::Metrics,
};
use sqlx::postgres::PgConnectOptions;
use tokio::{net::TcpListener, sync::watch, task::JoinSet};

/// How long the leases may take to come back once every request was answered.
const CLOSE_LIMIT: Duration = Duration::from_secs(2);

/// Everything the shop is made of, handed in.
#[derive(Debug)]
pub struct App {
    /// Leases, shared by the three services.
    pub db: Db,
    /// The door.
    pub admit: Admit,
    /// Signs access tokens.
    pub signing_key: SigningKey,
    /// The payment provider.
    pub payments: Payments,
    /// How long stock stays reserved for an order that is not paid.
    pub reservation_ttl: Duration,
    /// The readiness probe's own connection goes here: never through the pool.
    pub probe: PgConnectOptions,
    /// How long requests in flight may take at the end.
    pub drain: Duration,
    /// Further routes of the admin listener.
    pub admin_extra: Router,
}

impl App {
    /// The public API.
    pub fn router(&self) -> Router {
        let services = [
            ("catalog", forebay_catalog::router(self.catalog())),
            ("auth", forebay_auth::router(self.auth())),
            ("checkout", forebay_checkout::router(self.checkout())),
        ];
        let merged =
            services.into_iter().fold(Router::new(), |all, (name, router)| all.merge(serve::measured(router, name)));
        serve::public(merged)
    }

    /// Serves until `shutdown` completes, then drains. The admin listener stays until the public one has drained, and
    /// says `draining` meanwhile. The pool is closed at the end. Dropping the future cuts everything off.
    ///
    /// # Errors
    ///
    /// A listener's.
    pub async fn serve(
        self,
        http: TcpListener,
        admin: TcpListener,
        shutdown: impl Future<Output = ()> + Send + 'static,
    ) -> io::Result<Drained> {
        let metrics = Metrics::of_process();
        let (draining, mut hears) = watch::channel(false);
        let readiness = Readiness::new(draining.subscribe());
        // Aborted when this is dropped, as the sweeper is.
        let mut companions = JoinSet::new();
        companions.spawn(readiness.clone().probe(self.probe.clone()));
        companions.spawn({
            let metrics = metrics.clone();
            async move { metrics.keep_up().await }
        });
        let _sweeper = AbortOnDrop(forebay_checkout::spawn_sweeper(self.checkout()));
        let admin_router = Admin { db: self.db.clone(), readiness, metrics }.router().merge(self.admin_extra.clone());
        companions.spawn(async move {
            let forever = serve::serve(admin, admin_router, std::future::pending(), Duration::ZERO).await;
            if let Err(error) = forever {
                tracing::error!(%error, "the admin listener ended");
            }
        });
        let told = async move {
            shutdown.await;
            draining.send_replace(true);
            // Held open until the listener is gone, so that the probe can still say so.
            _ = hears.changed().await;
        };
        let drained = serve::serve(http, self.router(), told, self.drain).await?;
        match self.db.close(CLOSE_LIMIT).await {
            0 => Ok(drained),
            out => {
                tracing::warn!(out, "leases were still out when the pool was closed");
                Ok(Drained::CutOff)
            }
        }
    }

    fn catalog(&self) -> forebay_catalog::State {
        forebay_catalog::State::new(self.db.clone(), self.admit.clone())
    }

    fn auth(&self) -> forebay_auth::State {
        forebay_auth::State::new(self.db.clone(), self.admit.clone(), self.signing_key.clone())
    }

    fn checkout(&self) -> forebay_checkout::State {
        let verifier = self.signing_key.verifier();
        forebay_checkout::State::new(
            self.db.clone(),
            self.admit.clone(),
            verifier,
            self.payments.clone(),
            self.reservation_ttl,
        )
    }
}

struct AbortOnDrop(tokio::task::JoinHandle<()>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}
