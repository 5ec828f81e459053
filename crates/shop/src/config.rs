//! The shop's settings, one variable each.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use axum::http::{Uri, uri::Scheme};
use forebay_checkout::{
    Payments, events,
    payments::{Knobs, MessageUrl, Messages},
};
use forebay_platform::{
    admin::{Guard, Tokens},
    admit::TimeLimits,
    config::{ConfigFaults, Env, Reader},
    identity::JwksUri,
    quota::Quota,
    serve::{Edge, Limits},
    telemetry::{LogConfig, TraceConfig},
    webhook::Secrets,
};
use forebay_pool::{Bouncer, tickets::TicketKeys};

use crate::{Address, Role, Scale, Service};

mod database;
mod limits;
mod password;
mod pool;

pub(crate) use database::NOBODY;

/// What the settings are read for: what it needs must be there, and some defaults are its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// `shop up`.
    Up,
    /// `shop serve`: needs `DATABASE_URL`, and for checkout `FOREBAY_JWKS_URL`.
    Serve(Service),
    /// `shop migrate`, `shop seed` and `shop admin`.
    Schema,
}

/// Every knob of the shop.
#[derive(Clone, Debug)]
pub struct Config {
    /// `FOREBAY_HTTP`: where the API listens. Default 127.0.0.1:8080.
    pub http: SocketAddr,
    /// `FOREBAY_ADMIN`: where metrics, probes and the pool's state listen. Default 127.0.0.1:9090.
    pub admin: SocketAddr,
    /// `FOREBAY_ADMIN_HOSTS`, `FOREBAY_ADMIN_TOKEN`: by which names it may be called there, and what an operator shows. The
    /// token is needed where other machines reach it.
    pub admin_guard: Guard,
    /// `FOREBAY_HTTP_HEAD_MS`, `_BODY_MS`, `_ANSWER_MS`, `_IDLE_MS`, `_HEAD_BYTES`, `_CONNECTIONS`: what the API puts up with from
    /// its clients. Default 256 connections, or what the limit of open files leaves room for.
    pub http_limits: Limits,
    /// The same for the admin listener, with `FOREBAY_ADMIN_CONNECTIONS` connections of its own. Default 16.
    pub admin_limits: Limits,
    /// `DATABASE_URL`: use this server instead of an embedded one. Where it holds no password, sqlx takes `PGPASSWORD`.
    pub database_url: Option<Address>,
    /// Whether certificates of the system's authorities would be taken where only those of `sslrootcert` are trusted: the
    /// driver adds the one to the other.
    pub trusts_too_many: bool,
    /// Whether the password in `DATABASE_URL` or `PGPASSWORD`, or an admin token, is one that is published as an example.
    pub example_password: bool,
    /// `FOREBAY_START_WAIT_MS`: how long a service that runs alone waits for its database and schema. Default 60 s.
    pub start_wait: Duration,
    /// `FOREBAY_JWKS_URL`: where checkout, and catalog for its admins, find the keys that verify access tokens, when they run
    /// alone.
    pub jwks: Option<JwksUri>,
    /// `FOREBAY_STOCK_URL`: where catalog hears what is in stock, when it runs alone. Without, that stays as it is known.
    pub stock: Option<Uri>,
    /// `FOREBAY_DATA`: holds the embedded server's data and the signing key. Default `./.forebay`.
    pub data_dir: Option<PathBuf>,
    /// `FOREBAY_PG_PORT`: the embedded server also listens on this port of 127.0.0.1.
    pub pg_port: Option<u16>,
    /// `FOREBAY_SIGNING_KEY_FILE`: a PKCS #8 PEM file with an Ed25519 key. Default `signing-key.pem` in the data folder.
    pub signing_key_file: Option<PathBuf>,
    /// `FOREBAY_PREVIOUS_KEY_FILE`: the key before that one, whose tokens are accepted while a rotation lasts.
    pub previous_key_file: Option<PathBuf>,
    /// `FOREBAY_SEED`: `full`, `small` or `none`. Default `full` for the embedded server, and `none` with `DATABASE_URL`.
    pub seed: Option<Scale>,
    /// `FOREBAY_ROLE_CATALOG_PASSWORD`, `FOREBAY_ROLE_CATALOG_CONNECTIONS`, and the same of auth and checkout: what `shop roles`
    /// gives the services to log in by. Default 34, 18 and 56 connections: two of catalog and of auth, four of checkout.
    pub roles: [Role; 3],
    /// `FOREBAY_POOL_URL`: the pool's own way to that database, through a bouncer. Default the same way.
    pub pool_url: Option<Address>,
    /// `FOREBAY_POOL_FLOOR`: what the pool is left of `FOREBAY_POOL_MAX` when others need connections. Default all of it, claimed
    /// once.
    pub pool_floor: Option<u32>,
    /// `FOREBAY_POOL_*`. At most 60 connections for all services in one process; alone, catalog has 16, auth 8, checkout 12.
    pub pool: forebay_pool::Config,
    /// `FOREBAY_DEADLINE_CRITICAL_MS`, `FOREBAY_DEADLINE_NORMAL_MS`: when an answer is of no use any more.
    pub time_limits: TimeLimits,
    /// `FOREBAY_TRUSTED_PROXIES`: whose word on who sends a request is taken; by default nobody's. `FOREBAY_CORS_ORIGINS`: whose
    /// web pages may call the API; by default nobody's but its own. `FOREBAY_SERVER_TIMING`: `off`, the default, or `on`.
    pub edge: Edge,
    /// `FOREBAY_QUOTA_*`: what each client may send.
    pub quotas: QuotaConfig,
    /// `FOREBAY_TICKET_KEYS`: what retry tickets are signed with, so that replicas honour each other's. By default each
    /// process has a key of its own.
    pub ticket_keys: Option<TicketKeys>,
    /// `FOREBAY_PAYMENT_*`: the simulated provider.
    pub payment: PaymentConfig,
    /// `FOREBAY_EVENTS_*`: how subscribers are told of events.
    pub events: events::Rules,
    /// `FOREBAY_RESERVATION_TTL_MS`: how long stock stays reserved for an order that is not paid. Default 15 min.
    pub reservation_ttl: Duration,
    /// `FOREBAY_DRAIN_DELAY_MS`: how long it goes on accepting once it says that it is draining. Default 0.
    pub drain_delay: Duration,
    /// `FOREBAY_DRAIN_MS`: how long requests in flight may take when the shop stops. Default 10 s.
    pub drain: Duration,
    /// `FOREBAY_LOG`, `FOREBAY_LOG_FORMAT`.
    pub log: LogConfig,
    /// `OTEL_*`: where spans go.
    pub traces: TraceConfig,
}

/// What each client may send, such as `60/min`, or `off`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QuotaConfig {
    /// `FOREBAY_QUOTA_REGISTER`: new accounts. Default 30 an hour.
    pub register: Quota,
    /// `FOREBAY_QUOTA_LOGIN`: attempts to log in, but for devices that the account knows. Default 60 a minute.
    pub login: Quota,
    /// `FOREBAY_QUOTA_REFRESH`: new tokens for old ones. Default 120 a minute.
    pub refresh: Quota,
    /// `FOREBAY_QUOTA_CARTS`: new carts. Default 60 a minute.
    pub carts: Quota,
    /// `FOREBAY_QUOTA_ORDERS`: orders, and repeats of orders. Default 60 a minute.
    pub orders: Quota,
}

impl QuotaConfig {
    /// By the names that the services and their clients know.
    pub fn named(&self) -> [(&'static str, Quota); 5] {
        let Self { register, login, refresh, carts, orders } = *self;
        [
            (forebay_auth::quotas::REGISTER, register),
            (forebay_auth::quotas::LOGIN, login),
            (forebay_auth::quotas::REFRESH, refresh),
            (forebay_checkout::quotas::CARTS, carts),
            (forebay_checkout::quotas::ORDERS, orders),
        ]
    }
}

/// The simulated payment provider, and its messages.
#[derive(Clone, Debug)]
pub struct PaymentConfig {
    /// `FOREBAY_PAYMENT_LATENCY_MS` (80 ms), `_DECLINE_PERCENT`, `_LOST_PERCENT` (none): how it behaves.
    pub knobs: Knobs,
    /// `FOREBAY_PAYMENT_WEBHOOK_SECRET`: what its messages are signed with. Without it none is believed, and none sent.
    pub secrets: Option<Secrets>,
    /// `FOREBAY_PAYMENT_WEBHOOK_URL`, `_DELAY_MS`, `_DUPLICATE_PERCENT`: where it sends them, how late, and how many twice.
    /// Default nowhere.
    pub messages: Option<Messages>,
}

impl Purpose {
    /// What a process with this purpose is called.
    pub const fn process(self) -> &'static str {
        match self {
            Self::Serve(service) => service.name(),
            Self::Up | Self::Schema => "shop",
        }
    }

    /// How many connections such a process opens beside its pool: the readiness probe's, and the payment simulator's.
    pub const fn beside(self) -> u32 {
        match self {
            Self::Serve(Service::Catalog | Service::Auth) => 1,
            Self::Serve(Service::Checkout) | Self::Up | Self::Schema => 1 + Payments::CONNECTIONS,
        }
    }

    /// The pool's usual ceiling: together they leave a server with 100 connections room for replicas (docs/budget.md).
    const fn ceiling(self) -> u32 {
        match self {
            Self::Serve(Service::Catalog) => 16,
            Self::Serve(Service::Auth) => 8,
            Self::Serve(Service::Checkout) => 12,
            Self::Up | Self::Schema => 60,
        }
    }
}

impl Config {
    /// Reads the environment.
    ///
    /// # Errors
    ///
    /// All faults at once, each with its variable and an example.
    pub fn read(env: &Env, purpose: Purpose) -> Result<Self, ConfigFaults> {
        let mut settings = env.reader();
        let database::Addresses { database_url, pool_url, pgpassword, trusts_too_many } =
            database::read(&mut settings, purpose);
        let admin_tokens = read_admin_tokens(&mut settings);
        let example_password = password::is_an_example(database_url.as_ref(), pgpassword.as_ref())
            || admin_tokens.as_ref().is_some_and(|tokens| tokens.any_begins_with(password::EXAMPLE));
        let admin = read_admin(&mut settings);
        require_admin_token(&mut settings, admin, admin_tokens.is_some(), purpose);
        let (pool, pool_floor) = pool::read(&mut settings, purpose);
        let database = pool.rules.ceiling.saturating_add(purpose.beside());
        let (http_limits, admin_limits) = limits::read(&mut settings, purpose != Purpose::Schema, database);
        let config = Self {
            http: settings.or("FOREBAY_HTTP", SocketAddr::from(([127, 0, 0, 1], 8080))),
            admin,
            admin_guard: read_admin_guard(&mut settings, admin, admin_tokens),
            http_limits,
            admin_limits,
            example_password,
            seed: read_seed(&mut settings, database_url.is_some()),
            roles: read_roles(&mut settings),
            database_url,
            trusts_too_many,
            start_wait: settings.millis("FOREBAY_START_WAIT_MS", Duration::from_secs(60)),
            jwks: read_jwks(&mut settings, purpose),
            stock: read_stock(&mut settings),
            data_dir: read_data_dir(&mut settings),
            pg_port: settings.port("FOREBAY_PG_PORT", 5433),
            signing_key_file: read_signing_key_file(&mut settings),
            previous_key_file: settings.optional("FOREBAY_PREVIOUS_KEY_FILE", "./previous-key.pem"),
            pool_url,
            pool_floor,
            pool,
            time_limits: read_time_limits(&mut settings),
            edge: read_edge(&mut settings),
            quotas: read_quotas(&mut settings),
            ticket_keys: settings.secret_of("FOREBAY_TICKET_KEYS", "1:<32 secret bytes in base64>"),
            payment: read_payment(&mut settings),
            events: read_events(&mut settings),
            reservation_ttl: settings.millis("FOREBAY_RESERVATION_TTL_MS", Duration::from_secs(15 * 60)),
            drain_delay: settings.millis("FOREBAY_DRAIN_DELAY_MS", Duration::ZERO),
            drain: settings.millis("FOREBAY_DRAIN_MS", Duration::from_secs(10)),
            log: LogConfig::read(&mut settings),
            traces: TraceConfig::read(&mut settings, purpose.process()),
        };
        let apart = config.http.port() == 0 || config.http != config.admin;
        settings.require(apart, "FOREBAY_ADMIN", "is the same address as FOREBAY_HTTP", "127.0.0.1:9090");
        settings.require(
            config.pool.bouncer == Bouncer::None || config.pool_url.is_some(),
            "FOREBAY_POOL_BOUNCER",
            "claims and migrations need sessions of their own: set FOREBAY_POOL_URL to the bouncer, and DATABASE_URL past it",
            "none",
        );
        settings.finish().map(|()| config)
    }
}

impl Config {
    /// The least that its pool is left, where its part of the server's connections moves with what all need. Behind a bouncer
    /// sessions are not the pool's own.
    pub fn shares(&self) -> Option<u32> {
        let direct = self.pool_url.is_none() && self.pool.bouncer == Bouncer::None;
        self.pool_floor.filter(|_| direct)
    }

    /// Parameters of an address that do nothing, with the variable that has them.
    pub fn ignored_parameters(&self) -> Vec<(&'static str, String)> {
        let addresses = [("DATABASE_URL", &self.database_url), ("FOREBAY_POOL_URL", &self.pool_url)];
        let ignored = |(name, address): (&'static str, &Option<Address>)| {
            let parameters = address.as_ref().map_or(&[][..], Address::ignored);
            parameters.iter().map(|parameter| (name, parameter.clone())).collect::<Vec<_>>()
        };
        addresses.into_iter().flat_map(ignored).collect()
    }
}

/// `FOREBAY_ADMIN` alone: all that `shop health` needs to know.
///
/// # Errors
///
/// It is no address.
pub fn admin_address(env: &Env) -> Result<SocketAddr, ConfigFaults> {
    let mut settings = env.reader();
    let admin = read_admin(&mut settings);
    settings.finish().map(|()| admin)
}

fn read_admin(settings: &mut Reader<'_>) -> SocketAddr {
    settings.or("FOREBAY_ADMIN", SocketAddr::from(([127, 0, 0, 1], 9090)))
}

fn read_admin_tokens(settings: &mut Reader<'_>) -> Option<Tokens> {
    settings.secret_of("FOREBAY_ADMIN_TOKEN", "<what `openssl rand -hex 32` says>")
}

/// Of the listener's address, so that nothing of a token is shown.
fn require_admin_token(settings: &mut Reader<'_>, admin: SocketAddr, has_token: bool, purpose: Purpose) {
    let closed = admin.ip().to_canonical().is_loopback() || purpose == Purpose::Schema;
    settings.require(
        closed || has_token,
        "FOREBAY_ADMIN",
        "other machines reach it there, and the pool's control needs a token: set FOREBAY_ADMIN_TOKEN to what \
         `openssl rand -hex 32` says, or keep it on loopback",
        "127.0.0.1:9090",
    );
}

fn read_admin_guard(settings: &mut Reader<'_>, admin: SocketAddr, tokens: Option<Tokens>) -> Guard {
    let names = settings.optional("FOREBAY_ADMIN_HOSTS", "catalog,metrics.internal").unwrap_or_default();
    Guard::new(admin, names, tokens)
}

fn read_data_dir(settings: &mut Reader<'_>) -> Option<PathBuf> {
    settings.without("FOREBAY_DATA", "./.forebay");
    // The embedded server looks for its programs by itself; here it is only known.
    settings.without("FOREBAY_PG_BIN", "the newest that is found");
    settings.optional::<PathBuf>("FOREBAY_PG_BIN", "/usr/lib/postgresql/17/bin");
    settings.optional("FOREBAY_DATA", "./.forebay")
}

fn read_signing_key_file(settings: &mut Reader<'_>) -> Option<PathBuf> {
    settings.without("FOREBAY_SIGNING_KEY_FILE", "signing-key.pem in the data folder");
    settings.optional("FOREBAY_SIGNING_KEY_FILE", "./signing-key.pem")
}

fn read_jwks(settings: &mut Reader<'_>, purpose: Purpose) -> Option<JwksUri> {
    const NAME: &str = "FOREBAY_JWKS_URL";
    let example = "http://auth:8080/.well-known/jwks.json";
    let given = settings.optional::<String>(NAME, example).is_some();
    let needed = purpose == Purpose::Serve(Service::Checkout);
    settings.require(
        given || !needed,
        NAME,
        "checkout verifies access tokens by the keys that auth publishes",
        example,
    );
    settings.optional(NAME, example)
}

fn read_stock(settings: &mut Reader<'_>) -> Option<Uri> {
    const NAME: &str = "FOREBAY_STOCK_URL";
    let example = "http://checkout:8080/v1/availability/changes";
    settings.without(NAME, "nobody is asked");
    let uri = settings.optional::<Uri>(NAME, example);
    let is_one = uri.as_ref().is_none_or(|uri| {
        uri.scheme() == Some(&Scheme::HTTP) && uri.host().is_some_and(|host| !host.is_empty()) && uri.query().is_none()
    });
    settings.require(is_one, NAME, "must be the http:// address of checkout's changes, without a query", example);
    uri
}

/// A seed has accounts with a published password: a server that is somebody else's gets them only when it is asked for.
fn read_seed(settings: &mut Reader<'_>, given_database: bool) -> Option<Scale> {
    let words = [("full", Some(Scale::Full)), ("small", Some(Scale::Small)), ("none", None)];
    settings.word_or("FOREBAY_SEED", &words, if given_database { None } else { Some(Scale::Full) })
}

fn read_roles(settings: &mut Reader<'_>) -> [Role; 3] {
    let mut role = |service, password, connections, usual| {
        settings.without(password, "as it is");
        let (password, limit) = (settings.secret(password), settings.or(connections, usual));
        settings.require(limit > 0, connections, "lets nobody in", usual);
        Role { service, password, connections: limit }
    };
    // As many processes as docs/budget.md makes room for, with what each claims.
    let usual = |service: Service, processes: u32| {
        let purpose = Purpose::Serve(service);
        processes * (purpose.ceiling() + purpose.beside())
    };
    use Service::{Auth, Catalog, Checkout};
    [
        role(Catalog, "FOREBAY_ROLE_CATALOG_PASSWORD", "FOREBAY_ROLE_CATALOG_CONNECTIONS", usual(Catalog, 2)),
        role(Auth, "FOREBAY_ROLE_AUTH_PASSWORD", "FOREBAY_ROLE_AUTH_CONNECTIONS", usual(Auth, 2)),
        role(Checkout, "FOREBAY_ROLE_CHECKOUT_PASSWORD", "FOREBAY_ROLE_CHECKOUT_CONNECTIONS", usual(Checkout, 4)),
    ]
}

fn read_time_limits(settings: &mut Reader<'_>) -> TimeLimits {
    let defaults = TimeLimits::default();
    TimeLimits {
        critical: settings.millis("FOREBAY_DEADLINE_CRITICAL_MS", defaults.critical),
        normal: settings.millis("FOREBAY_DEADLINE_NORMAL_MS", defaults.normal),
    }
}

fn read_edge(settings: &mut Reader<'_>) -> Edge {
    settings.without("FOREBAY_TRUSTED_PROXIES", "none");
    settings.without("FOREBAY_CORS_ORIGINS", "none");
    Edge {
        proxies: settings.optional("FOREBAY_TRUSTED_PROXIES", "10.0.0.0/8, 192.0.2.7").unwrap_or_default(),
        origins: settings
            .optional("FOREBAY_CORS_ORIGINS", "https://shop.example, http://localhost:5173")
            .unwrap_or_default(),
        server_timing: settings.word_or("FOREBAY_SERVER_TIMING", &[("off", false), ("on", true)], false),
    }
}

fn read_quotas(settings: &mut Reader<'_>) -> QuotaConfig {
    QuotaConfig {
        register: settings.or("FOREBAY_QUOTA_REGISTER", Quota::per_hour(30)),
        login: settings.or("FOREBAY_QUOTA_LOGIN", Quota::per_minute(60)),
        refresh: settings.or("FOREBAY_QUOTA_REFRESH", Quota::per_minute(120)),
        carts: settings.or("FOREBAY_QUOTA_CARTS", Quota::per_minute(60)),
        orders: settings.or("FOREBAY_QUOTA_ORDERS", Quota::per_minute(60)),
    }
}

fn read_payment(settings: &mut Reader<'_>) -> PaymentConfig {
    let knobs = Knobs {
        latency: settings.millis("FOREBAY_PAYMENT_LATENCY_MS", Duration::from_millis(80)),
        decline_percent: read_percent(settings, "FOREBAY_PAYMENT_DECLINE_PERCENT"),
        lost_percent: read_percent(settings, "FOREBAY_PAYMENT_LOST_PERCENT"),
    };
    let secret = "whsec_<what `openssl rand -base64 32` says>";
    let secrets = settings.secret_of::<Secrets>("FOREBAY_PAYMENT_WEBHOOK_SECRET", secret);
    let url = "http://127.0.0.1:8080/v1/payments/webhook";
    let to = settings.optional::<MessageUrl>("FOREBAY_PAYMENT_WEBHOOK_URL", url);
    let delay = settings.millis("FOREBAY_PAYMENT_WEBHOOK_DELAY_MS", Duration::ZERO);
    let duplicate_percent = read_percent(settings, "FOREBAY_PAYMENT_WEBHOOK_DUPLICATE_PERCENT");
    settings.require(
        to.is_none() || secrets.is_some(),
        "FOREBAY_PAYMENT_WEBHOOK_URL",
        "the messages have to be signed: set FOREBAY_PAYMENT_WEBHOOK_SECRET to whsec_ and what `openssl rand -base64 32` says",
        url,
    );
    PaymentConfig { knobs, secrets, messages: to.map(|to| Messages { to, delay, duplicate_percent }) }
}

fn read_percent(settings: &mut Reader<'_>, name: &'static str) -> u8 {
    let percent = settings.or(name, 0);
    settings.require(percent <= 100, name, "is more than 100", 5);
    percent
}

fn read_events(settings: &mut Reader<'_>) -> events::Rules {
    let usual = events::Rules::default();
    let within = settings.millis("FOREBAY_EVENTS_TIMEOUT_MS", usual.within);
    settings.require(!within.is_zero(), "FOREBAY_EVENTS_TIMEOUT_MS", "nobody is that fast", usual.within.as_millis());
    events::Rules {
        pauses: settings.or("FOREBAY_EVENTS_RETRIES_MS", usual.pauses),
        within,
        probe_every: settings.millis("FOREBAY_EVENTS_PROBE_MS", usual.probe_every),
        ..usual
    }
}

#[cfg(test)]
mod tests;
