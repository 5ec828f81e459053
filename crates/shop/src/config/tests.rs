use forebay_pool::ServerRole;

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
        ("FOREBAY_QUOTA_CARTS", "60/day"),
        ("FOREBAY_TRUSTED_PROXIES", "edge"),
        ("FOREBAY_CORS_ORIGINS", "*"),
    ]);
    let faults = Config::read(&env, Purpose::Up).unwrap_err();
    let names: Vec<_> = faults.iter().map(|fault| fault.name).collect();
    for name in [
        "FOREBAY_HTTP",
        "FOREBAY_SEED",
        "FOREBAY_PAYMENT_DECLINE_PERCENT",
        "FOREBAY_POOL_MIN",
        "FOREBAY_DRAIN_MS",
        "FOREBAY_QUOTA_CARTS",
        "FOREBAY_TRUSTED_PROXIES",
        "FOREBAY_CORS_ORIGINS",
    ] {
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
    for part in ["2 settings are wrong", "DATABASE_URL is not set", "(example: FOREBAY_JWKS_URL=http://auth:8080/"] {
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
    let (transaction, url) = (("FOREBAY_POOL_BOUNCER", "transaction"), ("FOREBAY_POOL_URL", "postgres://bouncer/shop"));
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
