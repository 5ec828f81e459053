//! Which of the three services a process serves.

use std::{sync::Arc, time::Duration};

use axum::Router;
use forebay_auth::SigningKey;
use forebay_catalog::stock::Stock;
use forebay_checkout::{
    Payments,
    events::{self, Publisher},
};
use forebay_platform::{
    admin::Writes,
    admit::Admit,
    db::Db,
    identity::Verifier,
    serve::{self, Edge},
};

use crate::{openapi, stock::OwnStock};

/// One of the three.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Service {
    /// Products.
    Catalog,
    /// Accounts.
    Auth,
    /// Carts and orders.
    Checkout,
}

impl Service {
    /// As it is called on the command line, in metrics and in logs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Catalog => "catalog",
            Self::Auth => "auth",
            Self::Checkout => "checkout",
        }
    }
}

/// The state of each service that this process serves; a process may serve one, or all on one pool.
#[derive(Clone, Debug, Default)]
pub struct Services {
    /// Products. Where they are served, it is followed what is in stock.
    pub catalog: Option<forebay_catalog::State>,
    /// Accounts. Where they are served, what has ended is looked up every second, and what is past its time deleted: in several
    /// processes at once too.
    pub auth: Option<forebay_auth::State>,
    /// Carts and orders. Where it is served its sweeper runs: several at once settle each order once; and its cleaning.
    pub checkout: Option<forebay_checkout::State>,
    /// How what happens to orders is told, where checkout is served: several processes tell each event once.
    pub events: events::Rules,
    /// Who tells catalog what is in stock. Without, that stays as it is known.
    pub stock: Option<Arc<dyn Stock>>,
    /// Whose keys have to be fetched, and fetched again, while they are served.
    pub keys: Option<Verifier>,
    /// What stands between clients and them.
    pub edge: Edge,
}

impl Services {
    /// All three behind one door, on one pool, verifying what they signed themselves, and refusing at once whom they logged out. Stock stays reserved for an order
    /// that is not paid for `reservation_ttl`.
    #[must_use]
    pub fn all(db: &Db, admit: &Admit, signing_key: SigningKey, payments: Payments, reservation_ttl: Duration) -> Self {
        let (db, admit) = (|| db.clone(), || admit.clone());
        let auth = forebay_auth::State::new(db(), admit(), signing_key);
        let checkout = forebay_checkout::State::new(db(), admit(), auth.verifier(), payments, reservation_ttl);
        Self {
            catalog: Some(forebay_catalog::State::new(db(), admit()).for_admins(auth.verifier())),
            stock: Some(Arc::new(OwnStock::of(checkout.clone()))),
            checkout: Some(checkout),
            auth: Some(auth),
            events: events::Rules::default(),
            keys: None,
            edge: Edge::default(),
        }
    }

    /// The same, with catalog answering from the pages that it has when the pool refuses.
    #[must_use]
    pub fn keeping_pages(self) -> Self {
        Self { catalog: self.catalog.map(forebay_catalog::State::keeping_pages), ..self }
    }

    /// The same, with events told by these rules.
    #[must_use]
    pub fn telling(self, events: events::Rules) -> Self {
        Self { events, ..self }
    }

    /// What tells subscribers of orders.
    pub(crate) fn publisher(&self) -> Option<Publisher> {
        self.checkout.as_ref().map(|checkout| Publisher::new(checkout, self.events.clone()))
    }

    /// The same, behind this.
    #[must_use]
    pub fn behind(self, edge: Edge) -> Self {
        Self { edge, ..self }
    }

    /// Which writes they make: browsing makes none, and is all that is left of a shop without them.
    pub fn writes(&self) -> Writes {
        match (&self.catalog, self.auth.is_some() || self.checkout.is_some()) {
            (Some(_), true) => Writes::Sometimes,
            (None, true) => Writes::Mostly,
            (_, false) => Writes::Never,
        }
    }

    /// Their public API, and the description of the whole one. What none of them knows is a 404.
    pub fn router(&self) -> Router {
        let services = [
            ("catalog", self.catalog.clone().map(forebay_catalog::router)),
            ("auth", self.auth.clone().map(forebay_auth::router)),
            ("checkout", self.checkout.clone().map(forebay_checkout::router)),
            // Where products are: whoever opens the shop looks at these first.
            ("storefront", self.catalog.as_ref().map(|_| forebay_storefront::router())),
        ];
        let served = services.into_iter().filter_map(|(name, router)| Some((name, router?)));
        let all = served.fold(Router::new(), |all, (name, router)| all.merge(serve::measured(router, name)));
        let all = all.merge(serve::measured(openapi::router(), "openapi"));
        serve::public(all, self.edge.clone())
    }
}
