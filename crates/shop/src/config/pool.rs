//! `FOREBAY_POOL_*`, and which server the pool wants.

use forebay_platform::config::Reader;
use forebay_pool::{Bouncer, Mode, Rules, ServerRole, Sizing};

use super::Purpose;
use crate::Service;

/// And what the pool is left when others need connections, if it shares.
pub(super) fn read(settings: &mut Reader<'_>, purpose: Purpose) -> (forebay_pool::Config, Option<u32>) {
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
    settings.without("FOREBAY_POOL_FLOOR", "the claim never moves");
    let floor = settings.optional("FOREBAY_POOL_FLOOR", (ceiling / 4).max(2));
    let floor_fits =
        floor.is_none_or(|floor| (2.max(rules.min_idle)..=ceiling).contains(&floor)) || !holds_any || !fits;
    let bounds = "must lie between FOREBAY_POOL_MIN, at least 2, and FOREBAY_POOL_MAX";
    settings.require(floor_fits, "FOREBAY_POOL_FLOOR", bounds, (ceiling / 4).max(2));
    let acquire_timeout = settings.millis("FOREBAY_ACQUIRE_TIMEOUT_MS", defaults.acquire_timeout);
    settings.require(acquire_timeout <= Rules::LONGEST, "FOREBAY_ACQUIRE_TIMEOUT_MS", "is more than a year", 1000);
    let bouncer = settings.word_or("FOREBAY_POOL_BOUNCER", &bouncers, defaults.bouncer);
    let role = read_role(settings, purpose);
    (forebay_pool::Config { rules, acquire_timeout, bouncer, role, ..defaults }, floor)
}

fn read_role(settings: &mut Reader<'_>, purpose: Purpose) -> ServerRole {
    const NAME: &str = "FOREBAY_DATABASE_ROLE";
    let roles = [("primary", ServerRole::Primary), ("standby", ServerRole::Standby), ("any", ServerRole::Any)];
    let role = settings.word_or(NAME, &roles, ServerRole::default());
    let serves = role == ServerRole::Primary || purpose == Purpose::Serve(Service::Catalog);
    settings.require(serves, NAME, "only catalog, served alone, can do without writes", "primary");
    role
}
