//! A process of the shop: its services on one pool, a public listener and an admin one.

use std::{future::Future, sync::Arc, time::Duration};

use axum::Router;
use forebay_catalog::stock::Follower;
use forebay_platform::{
    admin::{Admin, Bounds, Guard, Live, ProbeSession, Readiness},
    alarm,
    db::{Db, tell_of_sheds, tell_rest_of_sheds},
    serve::{self, Drained, Limits},
    telemetry::Metrics,
};
use tokio::{net::TcpListener, sync::watch, task::JoinSet};

use crate::{Services, claim::Claim, sharing::Sharing};

/// How long the leases may take to come back once every request was answered.
const CLOSE_LIMIT: Duration = Duration::from_secs(2);

/// Everything a process of the shop is made of, handed in.
#[derive(Debug)]
pub struct App {
    /// Leases, shared by the services.
    pub db: Db,
    /// What is served.
    pub services: Services,
    /// What the readiness probe looks over: never the pool.
    pub probe: ProbeSession,
    /// What the pool was granted of the server's connections, where it has to ask for more.
    pub claim: Option<Holding>,
    /// What the public listener puts up with.
    pub http_limits: Limits,
    /// What the admin listener puts up with.
    pub admin_limits: Limits,
    /// How long it goes on as before, once it says that it is draining, so that a balancer can notice.
    pub drain_delay: Duration,
    /// How long requests in flight may take at the end.
    pub drain: Duration,
    /// Who may use the admin listener.
    pub admin_guard: Guard,
    /// Further routes of the admin listener.
    pub admin_extra: Router,
}

/// What a process holds of the server's connections.
#[derive(Clone, Debug)]
pub enum Holding {
    /// A claim that moves when somebody says so.
    Fixed(Arc<Claim>),
    /// A part that moves with what all need.
    Shared(Arc<Sharing>),
}

impl Holding {
    /// The session that carries it.
    pub fn session(&self) -> ProbeSession {
        match self {
            Self::Fixed(claim) => claim.session(),
            Self::Shared(sharing) => sharing.session(),
        }
    }

    /// The `application_name` of another session beside the pool.
    pub(crate) fn named(&self, what: &str) -> String {
        match self {
            Self::Fixed(_) => format!("forebay-{what}"),
            Self::Shared(sharing) => sharing.identity().named(what),
        }
    }

    fn bounds(&self) -> Arc<dyn Bounds> {
        match self {
            Self::Fixed(claim) => Arc::<Claim>::clone(claim),
            Self::Shared(sharing) => Arc::<Sharing>::clone(sharing),
        }
    }

    async fn keep(&self) {
        match self {
            Self::Fixed(claim) => claim.keep_small().await,
            Self::Shared(sharing) => sharing.keep().await,
        }
    }
}

impl App {
    /// Serves until `shutdown` completes. From then on the admin listener says `draining`; the public one goes on for the
    /// drain's delay, takes no more connections, and answers what is in flight. The admin listener stays until then, and
    /// the pool is closed at the end. Dropping the future cuts everything off.
    pub async fn serve(
        self,
        http: TcpListener,
        admin_listener: TcpListener,
        shutdown: impl Future<Output = ()> + Send + 'static,
    ) -> Drained {
        let metrics = Metrics::of_process();
        let (draining, hears) = watch::channel(false);
        let readiness = Readiness::new(hears).making(self.services.writes());
        // Aborted when this is dropped, as the sweeper is.
        let mut companions = JoinSet::new();
        companions.spawn(readiness.clone().probe(self.probe));
        let mut bounds: Arc<dyn Bounds> = Arc::new(self.db.clone());
        if let Some(claim) = self.claim {
            bounds = claim.bounds();
            companions.spawn(async move { claim.keep().await });
        }
        companions.spawn(alarm::watch(self.db.clone()));
        companions.spawn(tell_of_sheds(self.db.clone()));
        if let Some(keys) = self.services.keys.clone() {
            companions.spawn(keys.keep_fresh());
        }
        if let Some(auth) = self.services.auth.clone() {
            companions.spawn(forebay_auth::keep_told(auth.clone()));
            companions.spawn(forebay_auth::keep_small(auth.clone()));
            companions.spawn(forebay_auth::keep_clean(auth));
        }
        if let (Some(catalog), Some(stock)) = (self.services.catalog.clone(), self.services.stock.clone()) {
            companions.spawn(Follower::new(catalog, stock).keep_up());
        }
        if let Some(checkout) = self.services.checkout.clone() {
            companions.spawn(forebay_checkout::keep_clean(checkout));
        }
        if let Some(publisher) = self.services.publisher() {
            companions.spawn(publisher.keep_publishing());
        }
        let _sweeper = self.services.checkout.clone().map(|state| AbortOnDrop(forebay_checkout::spawn_sweeper(state)));
        let live = Live::new(self.db.clone(), self.admin_limits.connections);
        companions.spawn(live.clone().keep_up());
        let admin = Admin { db: self.db.clone(), readiness, metrics, bounds, live };
        let admin_router = admin.router().merge(self.admin_extra);
        let admin_router = self.admin_guard.over(admin_router);
        let forever = std::future::pending();
        let probed = serve::serve("admin", admin_listener, admin_router, self.admin_limits, forever, Duration::ZERO);
        companions.spawn(async move { _ = probed.await });
        let told = async move {
            shutdown.await;
            draining.send_replace(true);
            tokio::time::sleep(self.drain_delay).await;
        };
        let drained = serve::serve("public", http, self.services.router(), self.http_limits, told, self.drain).await;
        let out = self.db.close(CLOSE_LIMIT).await;
        tell_rest_of_sheds(&self.db);
        match out {
            0 => drained,
            out => {
                tracing::warn!(out, "leases were still out when the pool was closed");
                Drained::CutOff
            }
        }
    }
}

struct AbortOnDrop(tokio::task::JoinHandle<()>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}
