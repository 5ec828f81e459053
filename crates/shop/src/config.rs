//! The shop's settings, one variable each.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use forebay_checkout::Payments;
use forebay_platform::{
    admin::{Guard, Tokens},
    admit::TimeLimits,
    client::Proxies,
    config::{ConfigFaults, Env, Reader},
    identity::JwksUri,
    quota::Quota,
    serve::Limits,
    telemetry::LogConfig,
};
use forebay_pool::{Bouncer, Mode, Rules, ServerRole, Sizing, http::TicketKeys};

use crate::{Address, Scale, Service};

mod database;
mod limits;
mod password;

pub(crate) use database::NOBODY;

/// What the settings are read for: what it needs must be there, and some defaults are its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// `shop up`.
    Up,
    /// `shop serve`: needs `DATABASE_URL`, and for checkout `FOREBAY_JWKS_URL`.
    Serve(Service),
    /// `shop migrate` and `shop seed`.
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
    /// its clients. Default 512 connections, or what the limit of open files leaves room for.
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
    /// `FOREBAY_JWKS_URL`: where checkout finds the keys that verify access tokens, when it runs alone.
    pub jwks: Option<JwksUri>,
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
    /// `FOREBAY_POOL_URL`: the pool's own way to that database, through a bouncer. Default the same way.
    pub pool_url: Option<Address>,
    /// `FOREBAY_POOL_*`. At most 60 connections for all services in one process; alone, catalog has 16, auth 8, checkout 12.
    pub pool: forebay_pool::Config,
    /// `FOREBAY_DEADLINE_CRITICAL_MS`, `FOREBAY_DEADLINE_NORMAL_MS`: when an answer is of no use any more.
    pub time_limits: TimeLimits,
    /// `FOREBAY_TRUSTED_PROXIES`: whose word on who sends a request is taken; by default nobody's.
    pub proxies: Proxies,
    /// `FOREBAY_QUOTA_*`: what each client may send.
    pub quotas: QuotaConfig,
    /// `FOREBAY_TICKET_KEYS`: what retry tickets are signed with, so that replicas honour each other's. By default each
    /// process has a key of its own.
    pub ticket_keys: Option<TicketKeys>,
    /// `FOREBAY_PAYMENT_*`: the simulated provider.
    pub payment: PaymentConfig,
    /// `FOREBAY_RESERVATION_TTL_MS`: how long stock stays reserved for an order that is not paid. Default 15 min.
    pub reservation_ttl: Duration,
    /// `FOREBAY_DRAIN_DELAY_MS`: how long it goes on accepting once it says that it is draining. Default 0.
    pub drain_delay: Duration,
    /// `FOREBAY_DRAIN_MS`: how long requests in flight may take when the shop stops. Default 10 s.
    pub drain: Duration,
    /// `FOREBAY_LOG`, `FOREBAY_LOG_FORMAT`.
    pub log: LogConfig,
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

/// The simulated payment provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PaymentConfig {
    /// `FOREBAY_PAYMENT_LATENCY_MS`: how long it takes to answer. Default 80 ms.
    pub latency: Duration,
    /// `FOREBAY_PAYMENT_DECLINE_PERCENT`: how many it declines. Default 0.
    pub decline_percent: u8,
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
        let pool = read_pool(&mut settings, purpose);
        let database = pool.rules.ceiling.saturating_add(purpose.beside());
        let (http_limits, admin_limits) = limits::read(&mut settings, database);
        let config = Self {
            http: settings.or("FOREBAY_HTTP", SocketAddr::from(([127, 0, 0, 1], 8080))),
            admin,
            admin_guard: read_admin_guard(&mut settings, admin, admin_tokens),
            http_limits,
            admin_limits,
            example_password,
            seed: read_seed(&mut settings, database_url.is_some()),
            database_url,
            trusts_too_many,
            start_wait: settings.millis("FOREBAY_START_WAIT_MS", Duration::from_secs(60)),
            jwks: read_jwks(&mut settings, purpose),
            data_dir: read_data_dir(&mut settings),
            pg_port: settings.port("FOREBAY_PG_PORT", 5433),
            signing_key_file: read_signing_key_file(&mut settings),
            previous_key_file: settings.optional("FOREBAY_PREVIOUS_KEY_FILE", "./previous-key.pem"),
            pool_url,
            pool,
            time_limits: read_time_limits(&mut settings),
            proxies: settings.optional("FOREBAY_TRUSTED_PROXIES", "10.0.0.0/8").unwrap_or_default(),
            quotas: read_quotas(&mut settings),
            ticket_keys: settings.secret_of("FOREBAY_TICKET_KEYS", "1:<32 secret bytes in base64>"),
            payment: read_payment(&mut settings),
            reservation_ttl: settings.millis("FOREBAY_RESERVATION_TTL_MS", Duration::from_secs(15 * 60)),
            drain_delay: settings.millis("FOREBAY_DRAIN_DELAY_MS", Duration::ZERO),
            drain: settings.millis("FOREBAY_DRAIN_MS", Duration::from_secs(10)),
            log: LogConfig::read(&mut settings),
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

/// A seed has accounts with a published password: a server that is somebody else's gets them only when it is asked for.
fn read_seed(settings: &mut Reader<'_>, given_database: bool) -> Option<Scale> {
    let words = [("full", Some(Scale::Full)), ("small", Some(Scale::Small)), ("none", None)];
    settings.word_or("FOREBAY_SEED", &words, if given_database { None } else { Some(Scale::Full) })
}

fn read_time_limits(settings: &mut Reader<'_>) -> TimeLimits {
    let defaults = TimeLimits::default();
    TimeLimits {
        critical: settings.millis("FOREBAY_DEADLINE_CRITICAL_MS", defaults.critical),
        normal: settings.millis("FOREBAY_DEADLINE_NORMAL_MS", defaults.normal),
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
    let latency = settings.millis("FOREBAY_PAYMENT_LATENCY_MS", Duration::from_millis(80));
    let decline_percent = settings.or("FOREBAY_PAYMENT_DECLINE_PERCENT", 0);
    settings.require(decline_percent <= 100, "FOREBAY_PAYMENT_DECLINE_PERCENT", "is more than 100", 5);
    PaymentConfig { latency, decline_percent }
}

fn read_pool(settings: &mut Reader<'_>, purpose: Purpose) -> forebay_pool::Config {
    let defaults = forebay_pool::Config::named(format!("forebay-{}", purpose.process()));
    let modes = [("off", Mode::Off), ("report-only", Mode::ReportOnly), ("enforce", Mode::Enforce)];
    let sizings = [("fixed", Sizing::Fixed), ("shadow", Sizing::Shadow), ("adaptive", Sizing::Adaptive)];
    let bouncers = [("none", Bouncer::None), ("session", Bouncer::Session), ("transaction", Bouncer::Transaction)];
    let ceiling = settings.or("FOREBAY_POOL_MAX", purpose.ceiling());
    let rules = Rules {
        ceiling,
        min_idle: settings.or("FOREBAY_POOL_MIN", defaults.rules.min_idle.min(ceiling)),
        initial_limit: settings.or("FOREBAY_POOL_START", defaults.rules.initial_limit.min(ceiling.saturating_sub(1))),
        queue_capacity: settings.or("FOREBAY_POOL_QUEUE", defaults.rules.queue_capacity),
        sizing: settings.word_or("FOREBAY_POOL_SIZING", &sizings, defaults.rules.sizing),
        mode: settings.word_or("FOREBAY_POOL_MODE", &modes, defaults.rules.mode),
        ..defaults.rules
    };
    let holds_any = rules.ceiling >= 2;
    let least = "is less than one lease and one reserved place";
    settings.require(holds_any, "FOREBAY_POOL_MAX", least, purpose.ceiling());
    // Of what follows from that nothing is said.
    let fits = rules.min_idle <= rules.ceiling || !holds_any;
    settings.require(fits, "FOREBAY_POOL_MIN", "is more than FOREBAY_POOL_MAX", 2);
    let startable = (1..=rules.ceiling).contains(&rules.initial_limit) || !holds_any;
    settings.require(startable, "FOREBAY_POOL_START", "must lie between 1 and FOREBAY_POOL_MAX", 10);
    settings.require(rules.queue_capacity > 0, "FOREBAY_POOL_QUEUE", "nobody could wait", 1024);
    let acquire_timeout = settings.millis("FOREBAY_ACQUIRE_TIMEOUT_MS", defaults.acquire_timeout);
    settings.require(acquire_timeout <= Rules::LONGEST, "FOREBAY_ACQUIRE_TIMEOUT_MS", "is more than a year", 1000);
    let bouncer = settings.word_or("FOREBAY_POOL_BOUNCER", &bouncers, defaults.bouncer);
    let role = read_role(settings, purpose);
    forebay_pool::Config { rules, acquire_timeout, bouncer, role, ..defaults }
}

fn read_role(settings: &mut Reader<'_>, purpose: Purpose) -> ServerRole {
    const NAME: &str = "FOREBAY_DATABASE_ROLE";
    let roles = [("primary", ServerRole::Primary), ("standby", ServerRole::Standby), ("any", ServerRole::Any)];
    let role = settings.word_or(NAME, &roles, ServerRole::default());
    let serves = role == ServerRole::Primary || purpose == Purpose::Serve(Service::Catalog);
    settings.require(serves, NAME, "only catalog, served alone, can do without writes", "primary");
    role
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_catalog_is_served_from_a_standby() {
        let read = |purpose| {
            let settings = [
                ("FOREBAY_DATABASE_ROLE", "standby"),
                ("DATABASE_URL", "postgres://localhost/shop"),
                ("FOREBAY_JWKS_URL", "http://auth:8080/.well-known/jwks.json"),
            ];
            Config::read(&Env::of(settings), purpose)
        };
        assert_eq!(read(Purpose::Serve(Service::Catalog)).unwrap().pool.role, ServerRole::Standby);
        for purpose in [Purpose::Up, Purpose::Serve(Service::Auth), Purpose::Serve(Service::Checkout)] {
            let faults = read(purpose).unwrap_err().to_string();
            assert!(faults.contains("FOREBAY_DATABASE_ROLE"), "{faults}");
        }
    }

    #[test]
    fn an_admin_listener_that_others_reach_needs_a_token_and_none_is_shown() {
        let read = |purpose, settings: &[(&str, &str)]| {
            let all = [("DATABASE_URL", "postgres://db/shop")].into_iter().chain(settings.iter().copied());
            Config::read(&Env::of(all), purpose).map_err(|faults| faults.to_string())
        };
        let (open, token) = (("FOREBAY_ADMIN", "0.0.0.0:9090"), ("FOREBAY_ADMIN_TOKEN", "ops:0123456789abcdef"));
        for purpose in [Purpose::Up, Purpose::Serve(Service::Catalog)] {
            let said = read(purpose, &[open]).unwrap_err();
            assert!(said.contains("FOREBAY_ADMIN=0.0.0.0:9090") && said.contains("set FOREBAY_ADMIN_TOKEN"), "{said}");
            assert!(!read(purpose, &[open, token]).unwrap().example_password);
        }
        assert!(read(Purpose::Schema, &[open]).is_ok(), "it listens nowhere");
        assert!(read(Purpose::Up, &[("FOREBAY_ADMIN", "[::1]:9090")]).is_ok());
        let said = read(Purpose::Up, &[open, ("FOREBAY_ADMIN_TOKEN", "letmein")]).unwrap_err();
        assert!(said.contains("at least 16") && !said.contains("letmein"), "{said}");
        let published = read(Purpose::Up, &[open, ("FOREBAY_ADMIN_TOKEN", "change-me-admin-token")]).unwrap();
        assert!(published.example_password && !format!("{published:?}").contains("change-me"));
    }

    #[test]
    fn nothing_set_is_a_working_configuration() {
        let config = Config::read(&Env::default(), Purpose::Up).unwrap();
        assert_eq!(config.http.to_string(), "127.0.0.1:8080");
        assert_eq!(config.seed, Some(Scale::Full));
        let given = [("DATABASE_URL", "postgres://db/shop")];
        assert_eq!(Config::read(&Env::of(given), Purpose::Up).unwrap().seed, None, "nobody asked for it by name");
        let asked = [given[0], ("FOREBAY_SEED", "small")];
        assert_eq!(Config::read(&Env::of(asked), Purpose::Up).unwrap().seed, Some(Scale::Small));
        assert_eq!(config.pool.rules.faults(), Vec::<String>::new());
    }

    #[test]
    fn all_faults_are_told_at_once() {
        let env = Env::of([
            ("FOREBAY_HTTP", "8080"),
            ("FOREBAY_SEED", "large"),
            ("FOREBAY_PAYMENT_DECLINE_PERCENT", "101"),
            ("FOREBAY_POOL_MIN", "80"),
            ("FOREBAY_DRAIN_MS", "10s"),
        ]);
        let faults = Config::read(&env, Purpose::Up).unwrap_err();
        let names: Vec<_> = faults.iter().map(|fault| fault.name).collect();
        for name in
            ["FOREBAY_HTTP", "FOREBAY_SEED", "FOREBAY_PAYMENT_DECLINE_PERCENT", "FOREBAY_POOL_MIN", "FOREBAY_DRAIN_MS"]
        {
            assert!(names.contains(&name), "{name} in {faults}");
        }
    }

    #[test]
    fn what_a_service_needs_is_a_fault_where_it_is_missing() {
        let said = |service, pairs: &[(&str, &str)]| {
            let env = Env::of(pairs.iter().copied());
            Config::read(&env, Purpose::Serve(service)).map(|_| ()).map_err(|faults| faults.to_string())
        };
        let url = ("DATABASE_URL", "postgres://me@db/shop");
        let jwks = ("FOREBAY_JWKS_URL", "http://auth:8080/.well-known/jwks.json");
        let nothing = said(Service::Checkout, &[]).unwrap_err();
        for part in ["2 settings are wrong", "DATABASE_URL is not set", "(example: FOREBAY_JWKS_URL=http://auth:8080/"]
        {
            assert!(nothing.contains(part), "{nothing}");
        }
        assert_eq!(said(Service::Checkout, &[url, jwks]), Ok(()));
        assert_eq!(said(Service::Catalog, &[url]), Ok(()));
        let wrong = said(Service::Checkout, &[url, ("FOREBAY_JWKS_URL", "auth:8080")]).unwrap_err();
        assert!(wrong.starts_with("one setting is wrong"), "{wrong}");
    }

    #[test]
    fn a_pool_is_told_what_stands_before_its_server() {
        let bouncer = |pairs: &[(&str, &str)]| {
            let config = Config::read(&Env::of(pairs.iter().copied()), Purpose::Up);
            config.map(|config| config.pool.bouncer).map_err(|faults| faults.to_string())
        };
        assert_eq!(bouncer(&[]), Ok(Bouncer::None));
        let (transaction, url) =
            (("FOREBAY_POOL_BOUNCER", "transaction"), ("FOREBAY_POOL_URL", "postgres://bouncer/shop"));
        assert_eq!(bouncer(&[transaction, url]), Ok(Bouncer::Transaction));
        let no_way = bouncer(&[transaction]).unwrap_err();
        assert!(no_way.contains("set FOREBAY_POOL_URL to the bouncer"), "{no_way}");
        let wrong = bouncer(&[("FOREBAY_POOL_BOUNCER", "statement")]).unwrap_err();
        assert!(wrong.contains("must be one of none, session, transaction"), "{wrong}");
    }

    #[test]
    fn a_pool_has_the_bounds_and_the_name_of_its_process() {
        let env = Env::of([("DATABASE_URL", "postgres://db/shop"), ("FOREBAY_JWKS_URL", "http://auth/k")]);
        let pool = |purpose| {
            let forebay_pool::Config { name, rules, .. } = Config::read(&env, purpose).unwrap().pool;
            assert_eq!(rules.faults(), Vec::<String>::new());
            (name, rules.ceiling)
        };
        assert_eq!(pool(Purpose::Up), ("forebay-shop".to_owned(), 60));
        assert_eq!(pool(Purpose::Serve(Service::Catalog)), ("forebay-catalog".to_owned(), 16));
        assert_eq!(pool(Purpose::Serve(Service::Auth)), ("forebay-auth".to_owned(), 8));
        assert_eq!(pool(Purpose::Serve(Service::Checkout)), ("forebay-checkout".to_owned(), 12));
    }
}
