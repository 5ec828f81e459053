use secrecy::ExposeSecret as _;

use super::*;

#[test]
fn what_is_not_set_or_empty_reads_as_its_default() {
    let env = Env::of([("FOREBAY_POOL_MAX", "")]);
    let mut settings = env.reader();
    assert_eq!(settings.or("FOREBAY_POOL_MAX", 24_u32), 24);
    assert_eq!(settings.millis("FOREBAY_DRAIN_MS", Duration::from_secs(3)), Duration::from_secs(3));
    assert_eq!(settings.finish(), Ok(()));
}

#[test]
fn every_fault_names_its_variable_and_an_example() {
    let env = Env::of([("FOREBAY_HTTP", "localhost"), ("FOREBAY_LOG_FORMAT", "xml")]);
    let mut settings = env.reader();
    let default: std::net::SocketAddr = ([127, 0, 0, 1], 8080).into();
    assert_eq!(settings.or("FOREBAY_HTTP", default), default);
    assert_eq!(settings.word("FOREBAY_LOG_FORMAT", &[("human", 1), ("json", 2)]), None);
    settings.require(false, "FOREBAY_POOL_MIN", "must not exceed FOREBAY_POOL_MAX", 4);
    let said = settings.finish().unwrap_err().to_string();
    for part in [
        "3 settings",
        "FOREBAY_HTTP=localhost",
        "example: FOREBAY_HTTP=127.0.0.1:8080",
        "one of human, json",
        "FOREBAY_POOL_MIN is not set",
    ] {
        assert!(said.contains(part), "{said}");
    }
}

#[test]
fn a_secret_is_never_shown() {
    let env = Env::of([("DATABASE_URL", "postgres://me:secret@db/shop")]);
    let mut settings = env.reader();
    let url = settings.secret("DATABASE_URL").unwrap();
    assert!(url.expose_secret().contains("secret"));
    settings.require(false, "FOREBAY_POOL_MAX", "wrong", 1);
    let shown = format!("{env:?} {url:?} {}", settings.finish().unwrap_err());
    assert!(!shown.contains("me:secret"), "{shown}");
}

#[test]
fn a_secret_that_is_wrong_is_not_shown_either() {
    let env = Env::of([("FOREBAY_TICKET_KEYS", "hush")]);
    let mut settings = env.reader();
    assert_eq!(settings.secret_of::<u8>("FOREBAY_TICKET_KEYS", "7"), None);
    let said = settings.finish().unwrap_err().to_string();
    assert!(said.contains("FOREBAY_TICKET_KEYS=(not shown): invalid digit"), "{said}");
}

#[test]
fn a_misspelt_variable_is_noticed() {
    let env = Env::of([("FOREBAY_HTPP", "x"), ("FOREBAY_HTTP", "127.0.0.1:1"), ("PATH", "/bin")]);
    let mut settings = env.reader();
    settings.optional::<String>("FOREBAY_HTTP", "");
    settings.finish().unwrap();
    assert_eq!(env.unread("FOREBAY_"), ["FOREBAY_HTPP"]);
}

#[test]
fn what_the_standard_library_says_is_put_into_words_of_settings() {
    let env = Env::of([
        ("FOREBAY_DRAIN_MS", "10s"),
        ("FOREBAY_PG_PORT", "80000"),
        ("FOREBAY_POOL_MAX", "many"),
        ("FOREBAY_HTTP", "localhost:8080"),
        ("FOREBAY_OTHER_PORT", "0"),
    ]);
    let mut settings = env.reader();
    settings.millis("FOREBAY_DRAIN_MS", Duration::from_secs(10));
    settings.port("FOREBAY_PG_PORT", 5433);
    settings.port("FOREBAY_OTHER_PORT", 5433);
    settings.or("FOREBAY_POOL_MAX", 60_u32);
    settings.or("FOREBAY_HTTP", std::net::SocketAddr::from(([127, 0, 0, 1], 8080)));
    let said = settings.finish().unwrap_err().to_string();
    for part in [
        "FOREBAY_DRAIN_MS=10s: must be milliseconds, a whole number without a unit (example: FOREBAY_DRAIN_MS=10000)",
        "FOREBAY_PG_PORT=80000: must be a port, a whole number from 1 to 65535 (example: FOREBAY_PG_PORT=5433)",
        "FOREBAY_OTHER_PORT=0: must be a port",
        "FOREBAY_POOL_MAX=many: must be a whole number from 0 to 4294967295",
        "FOREBAY_HTTP=localhost:8080: must be an IP address and a port up to 65535",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
}

#[test]
fn a_secret_that_is_empty_is_a_fault() {
    let env = Env::of([("DATABASE_URL", " "), ("FOREBAY_TICKET_KEYS", ""), ("FOREBAY_DATA", "")]);
    let mut settings = env.reader();
    assert!(settings.secret("DATABASE_URL").is_none());
    assert_eq!(settings.secret_of::<u8>("FOREBAY_TICKET_KEYS", "7"), None);
    assert_eq!(settings.optional::<String>("FOREBAY_DATA", "./data"), None, "this one is no secret");
    assert!(settings.secret("PGPASSWORD").is_none(), "nor is what is not set");
    let said = settings.finish().unwrap_err().to_string();
    for part in ["2 settings", "DATABASE_URL=(empty): a secret that was not filled in?", "FOREBAY_TICKET_KEYS=(empty)"]
    {
        assert!(said.contains(part), "{part}: {said}");
    }
}

#[test]
fn every_setting_that_was_read_is_known_with_its_default_and_no_secret() {
    let env = Env::of([("FOREBAY_POOL_MAX", "7"), ("DATABASE_URL", "postgres://me:hush@db/shop"), ("TOKEN", "hush")]);
    let mut settings = env.reader();
    settings.or("FOREBAY_POOL_MAX", 60_u32);
    settings.millis("FOREBAY_DRAIN_MS", Duration::from_secs(3));
    assert_eq!(settings.word_or("FOREBAY_LOG_FORMAT", &[("human", 1), ("json", 2)], 1), 1);
    settings.secret("DATABASE_URL");
    settings.reveal("DATABASE_URL", "postgres://me@db/shop");
    settings.reveal("FOREBAY_TICKET_KEYS", "it is not set");
    settings.secret("TOKEN");
    settings.require(false, "TOKEN", "is too short", "longer");
    let faults = settings.finish().unwrap_err().to_string();
    assert!(!faults.contains("hush") && faults.contains("TOKEN=(not shown): is too short"), "{faults}");
    let read: Vec<_> = env.settings();
    let shown: Vec<_> = read.iter().map(|setting| (setting.name, setting.value(), setting.source())).collect();
    let wanted = [
        ("FOREBAY_POOL_MAX", Some("7"), "environment"),
        ("FOREBAY_DRAIN_MS", Some("3000"), "default"),
        ("FOREBAY_LOG_FORMAT", Some("human"), "default"),
        ("DATABASE_URL", Some("postgres://me@db/shop"), "environment"),
        ("FOREBAY_TICKET_KEYS", None, "default"),
        ("TOKEN", Some("(not shown)"), "environment"),
    ];
    assert_eq!(shown, wanted);
    assert_eq!(read[0].default.as_deref(), Some("60"));
}
