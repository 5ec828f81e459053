//! The shop's settings, one variable each.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use forebay_platform::{
    admit::TimeLimits,
    config::{ConfigFaults, Env, Reader},
    telemetry::LogConfig,
};
use forebay_pool::{Mode, Rules};
use secrecy::SecretString;

use crate::Scale;

/// Every knob of the shop.
#[derive(Clone, Debug)]
pub struct Config {
    /// `FOREBAY_HTTP`: where the API listens. Default 127.0.0.1:8080.
    pub http: SocketAddr,
    /// `FOREBAY_ADMIN`: where metrics, probes and the pool's state listen. Default 127.0.0.1:9090.
    pub admin: SocketAddr,
    /// `DATABASE_URL`: use this server instead of an embedded one.
    pub database_url: Option<SecretString>,
    /// `FOREBAY_DATA`: holds the embedded server's data and the signing key. Default `./.forebay`.
    pub data_dir: Option<PathBuf>,
    /// `FOREBAY_PG_PORT`: the embedded server also listens on this port of 127.0.0.1.
    pub pg_port: Option<u16>,
    /// `FOREBAY_SIGNING_KEY_FILE`: a PKCS #8 PEM file with an Ed25519 key. Default `signing-key.pem` in the data folder.
    pub signing_key_file: Option<PathBuf>,
    /// `FOREBAY_SEED`: `full`, `small` or `none`. Default `full`.
    pub seed: Option<Scale>,
    /// `FOREBAY_POOL_*`.
    pub pool: forebay_pool::Config,
    /// `FOREBAY_DEADLINE_CRITICAL_MS`, `FOREBAY_DEADLINE_NORMAL_MS`: when an answer is of no use any more.
    pub time_limits: TimeLimits,
    /// `FOREBAY_PAYMENT_*`: the simulated provider.
    pub payment: PaymentConfig,
    /// `FOREBAY_RESERVATION_TTL_MS`: how long stock stays reserved for an order that is not paid. Default 15 min.
    pub reservation_ttl: Duration,
    /// `FOREBAY_DRAIN_MS`: how long requests in flight may take when the shop stops. Default 10 s.
    pub drain: Duration,
    /// `FOREBAY_LOG`, `FOREBAY_LOG_FORMAT`.
    pub log: LogConfig,
}

/// The simulated payment provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PaymentConfig {
    /// `FOREBAY_PAYMENT_LATENCY_MS`: how long it takes to answer. Default 80 ms.
    pub latency: Duration,
    /// `FOREBAY_PAYMENT_DECLINE_PERCENT`: how many it declines. Default 0.
    pub decline_percent: u8,
}

impl Config {
    /// Reads the environment.
    ///
    /// # Errors
    ///
    /// All faults at once, each with its variable and an example.
    pub fn read(env: &Env) -> Result<Self, ConfigFaults> {
        let mut settings = env.reader();
        let config = Self {
            http: settings.or("FOREBAY_HTTP", SocketAddr::from(([127, 0, 0, 1], 8080))),
            admin: settings.or("FOREBAY_ADMIN", SocketAddr::from(([127, 0, 0, 1], 9090))),
            database_url: settings.secret("DATABASE_URL"),
            data_dir: settings.optional("FOREBAY_DATA", "./.forebay"),
            pg_port: settings.optional("FOREBAY_PG_PORT", 5433),
            signing_key_file: settings.optional("FOREBAY_SIGNING_KEY_FILE", "./signing-key.pem"),
            seed: read_seed(&mut settings),
            pool: read_pool(&mut settings),
            time_limits: read_time_limits(&mut settings),
            payment: read_payment(&mut settings),
            reservation_ttl: settings.millis("FOREBAY_RESERVATION_TTL_MS", Duration::from_secs(15 * 60)),
            drain: settings.millis("FOREBAY_DRAIN_MS", Duration::from_secs(10)),
            log: LogConfig::read(&mut settings),
        };
        let apart = config.http.port() == 0 || config.http != config.admin;
        settings.require(apart, "FOREBAY_ADMIN", "is the same address as FOREBAY_HTTP", "127.0.0.1:9090");
        settings.finish().map(|()| config)
    }
}

fn read_seed(settings: &mut Reader<'_>) -> Option<Scale> {
    let words = [("full", Some(Scale::Full)), ("small", Some(Scale::Small)), ("none", None)];
    settings.word("FOREBAY_SEED", &words).unwrap_or(Some(Scale::Full))
}

fn read_time_limits(settings: &mut Reader<'_>) -> TimeLimits {
    let defaults = TimeLimits::default();
    TimeLimits {
        critical: settings.millis("FOREBAY_DEADLINE_CRITICAL_MS", defaults.critical),
        normal: settings.millis("FOREBAY_DEADLINE_NORMAL_MS", defaults.normal),
    }
}

fn read_payment(settings: &mut Reader<'_>) -> PaymentConfig {
    let latency = settings.millis("FOREBAY_PAYMENT_LATENCY_MS", Duration::from_millis(80));
    let decline_percent = settings.or("FOREBAY_PAYMENT_DECLINE_PERCENT", 0);
    settings.require(decline_percent <= 100, "FOREBAY_PAYMENT_DECLINE_PERCENT", "is more than 100", 5);
    PaymentConfig { latency, decline_percent }
}

fn read_pool(settings: &mut Reader<'_>) -> forebay_pool::Config {
    let defaults = forebay_pool::Config::named("shop");
    let modes = [("off", Mode::Off), ("report-only", Mode::ReportOnly), ("enforce", Mode::Enforce)];
    let ceiling = settings.or("FOREBAY_POOL_MAX", defaults.rules.ceiling);
    let rules = Rules {
        ceiling,
        min_idle: settings.or("FOREBAY_POOL_MIN", defaults.rules.min_idle.min(ceiling)),
        initial_limit: settings.or("FOREBAY_POOL_START", defaults.rules.initial_limit.min(ceiling.saturating_sub(1))),
        queue_capacity: settings.or("FOREBAY_POOL_QUEUE", defaults.rules.queue_capacity),
        mode: settings.word("FOREBAY_POOL_MODE", &modes).unwrap_or(defaults.rules.mode),
        ..defaults.rules
    };
    settings.require(rules.ceiling >= 2, "FOREBAY_POOL_MAX", "is less than one lease and one reserved place", 60);
    settings.require(rules.min_idle <= rules.ceiling, "FOREBAY_POOL_MIN", "is more than FOREBAY_POOL_MAX", 2);
    let startable = (1..=rules.ceiling).contains(&rules.initial_limit);
    settings.require(startable, "FOREBAY_POOL_START", "must lie between 1 and FOREBAY_POOL_MAX", 10);
    settings.require(rules.queue_capacity > 0, "FOREBAY_POOL_QUEUE", "nobody could wait", 1024);
    let acquire_timeout = settings.millis("FOREBAY_ACQUIRE_TIMEOUT_MS", defaults.acquire_timeout);
    forebay_pool::Config { rules, acquire_timeout, ..defaults }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_set_is_a_working_configuration() {
        let config = Config::read(&Env::default()).unwrap();
        assert_eq!(config.http.to_string(), "127.0.0.1:8080");
        assert_eq!(config.seed, Some(Scale::Full));
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
        let faults = Config::read(&env).unwrap_err();
        let names: Vec<_> = faults.iter().map(|fault| fault.name).collect();
        for name in
            ["FOREBAY_HTTP", "FOREBAY_SEED", "FOREBAY_PAYMENT_DECLINE_PERCENT", "FOREBAY_POOL_MIN", "FOREBAY_DRAIN_MS"]
        {
            assert!(names.contains(&name), "{name} in {faults}");
        }
    }
}
