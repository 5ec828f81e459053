//! `shop config` and `shop check`; the README's table names the settings that there are.

use std::collections::BTreeMap;

use forebay_embedded::testing::database;
use forebay_platform::config::Env;
use forebay_shop::{Purpose, Service, migrate, settings::Effective};
use serde_json::Value;
use tokio::process::Command;

use crate::process::{home, run, shop};

const README: &str = include_str!("../../../../README.md");

/// Each variable of the README's table with its default, as far as it is one word. `FOREBAY_POOL_MIN`, `_START` is short for
/// two of one family, with a default each.
fn documented() -> BTreeMap<String, Option<String>> {
    let (_, table) = README.split_once("\n## Settings\n").unwrap();
    let (table, _) = table.split_once("\n## ").unwrap();
    let rows = table.lines().filter(|line| line.starts_with("| `"));
    rows.flat_map(|row| {
        let cells: Vec<_> = row.trim_matches('|').split('|').map(str::trim).collect();
        let words = |cell: &str| cell.split(", ").map(|word| word.trim_matches('`').to_owned()).collect::<Vec<_>>();
        let (names, defaults) = (words(cells[0]), words(cells[1]));
        let first = names[0].clone();
        names.into_iter().enumerate().map(move |(nth, name)| {
            // Of FOREBAY_DEADLINE_CRITICAL_MS, to which _NORMAL_MS is short, the family is FOREBAY_DEADLINE.
            let shorter = |family| str::rsplit_once(family, '_').map_or(family, |(less, _)| less);
            let family = name.matches('_').fold(first.as_str(), |family, _| shorter(family));
            let whole = if name.starts_with('_') { format!("{family}{name}") } else { name };
            (whole, defaults.get(nth).filter(|default| !default.is_empty()).cloned())
        })
    })
    .collect()
}

#[test]
fn the_readme_names_every_setting_with_its_default_and_no_other() {
    let documented = documented();
    let purposes = [Purpose::Up, Purpose::Serve(Service::Checkout), Purpose::Serve(Service::Auth)];
    let mut read = BTreeMap::new();
    for purpose in purposes {
        for setting in Effective::read(&Env::default(), purpose).settings() {
            read.entry(setting.name).or_insert_with(|| setting.default.clone());
        }
    }
    let env = Env::of([("DATABASE_URL", "postgres://db/shop")]);
    for setting in Effective::read(&env, Purpose::Up).settings() {
        read.entry(setting.name).or_insert_with(|| setting.default.clone());
    }
    for (name, default) in &read {
        let told = documented.get(*name).unwrap_or_else(|| panic!("{name} is not in the README"));
        // A default in words is for people.
        if let (Some(default), Some(told)) = (default, told)
            && !default.contains(' ')
            && !told.contains(' ')
        {
            assert_eq!(default, told, "{name}");
        }
    }
    for name in documented.keys() {
        assert!(read.contains_key(name.as_str()), "the README names {name}, which nobody reads");
    }
}

fn command(home: &std::path::Path, settings: &[(&str, &str)], arguments: &[&str]) -> Command {
    let mut command = shop(home, settings);
    command.args(arguments);
    command
}

#[tokio::test]
async fn the_settings_in_force_are_listed_with_where_they_come_from_and_without_secrets() {
    let home = home();
    let settings = [
        ("DATABASE_URL", "postgres://me:hush@db.example:6000/shop?sslpassword=hush&sslmode=require"),
        ("PGPASSWORD", "hush"),
        ("FOREBAY_TICKET_KEYS", "1:aHVzaGh1c2hodXNoaHVzaGh1c2hodXNoaHVzaGh1c2g="),
        ("FOREBAY_PAYMENT_WEBHOOK_SECRET", "whsec_aHVzaGh1c2hodXNoaHVzaGh1c2hodXNoaHVzaGh1c2g="),
        ("FOREBAY_HTPP", "127.0.0.1:1"),
    ];
    let (status, out, err) = run(command(home.path(), &settings, &["config"])).await;
    assert!(status.success() && !format!("{out}{err}").contains("hush") && !out.contains("aHVz"), "{out}{err}");
    let line = |name: &str| {
        let line = out.lines().find(|line| line.starts_with(name)).unwrap_or_else(|| panic!("{name}: {out}"));
        line.split_whitespace().map(str::to_owned).collect::<Vec<_>>()
    };
    let database = "postgres://me:***@db.example:6000/shop?sslmode=require";
    assert_eq!(line("DATABASE_URL "), ["DATABASE_URL", "environment", database]);
    assert_eq!(line("FOREBAY_SEED"), ["FOREBAY_SEED", "environment", "small"]);
    assert_eq!(line("FOREBAY_POOL_MAX"), ["FOREBAY_POOL_MAX", "default", "60"]);
    assert!(line("FOREBAY_HTPP").contains(&"misspelt?".to_owned()));
    assert!(out.contains("the parameter `sslpassword` does nothing"), "{out}");

    let (status, out, _) = run(command(home.path(), &settings, &["config", "catalog", "--json"])).await;
    let shown: Value = serde_json::from_str(&out).unwrap();
    assert!(status.success() && !out.contains("hush"), "{out}");
    let ceiling = shown["settings"].as_array().unwrap().iter().find(|setting| setting["name"] == "FOREBAY_POOL_MAX");
    assert_eq!(ceiling.unwrap()["value"], "16", "as catalog has it");
    assert_eq!(shown["unknown"][0], "FOREBAY_HTPP");

    let (status, out, err) = run(command(home.path(), &[("FOREBAY_DRAIN_MS", "10s")], &["config"])).await;
    assert!(
        status.code() == Some(2) && out.contains("FOREBAY_DRAIN_MS") && err.contains("one setting is wrong"),
        "{err}"
    );
}

/// What `shop check` says, and whether it found nothing wrong.
async fn checked(home: &std::path::Path, settings: &[(&str, &str)], arguments: &[&str]) -> (Option<i32>, String) {
    let (status, out, err) = run(command(home, settings, &[&["check"], arguments].concat())).await;
    assert!(!format!("{out}{err}").contains("hush"), "{out}{err}");
    (status.code(), format!("{out}{err}"))
}

#[tokio::test]
async fn a_check_tries_what_a_start_needs_and_changes_nothing() {
    let (home, database) = (home(), database().await);
    let settings = [("DATABASE_URL", database.url()), ("FOREBAY_HTPP", "127.0.0.1:1")];
    let (code, said) = checked(home.path(), &settings, &[]).await;
    assert_eq!(code, Some(0), "{said}");
    for part in [
        "note  settings     FOREBAY_HTPP is not known",
        "ok    settings",
        "ok    public port",
        "ok    admin port",
        "ok    signing key",
        "is made by the first start",
        "ok    database",
        "ok    version      Postgres ",
        "ok    encryption   none, within this machine",
        "ok    role         the server is a primary",
        "migrations are missing; a start applies them",
        "ok    connections",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    assert!(!home.path().join("data").exists(), "no folder was made, and no key");

    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let settings = [
        ("DATABASE_URL", database.url()),
        ("FOREBAY_JWKS_URL", "http://127.0.0.1:1/keys"),
        ("FOREBAY_HTTP", &address),
        ("FOREBAY_POOL_MAX", "400"),
        ("FOREBAY_DATABASE_ROLE", "primary"),
    ];
    let (code, said) = checked(home.path(), &settings, &["checkout"]).await;
    assert_eq!(code, Some(1), "{said}");
    for part in [
        "wrong public port",
        "note  keys         http://127.0.0.1:1/keys does not answer now",
        "wrong schema",
        "`shop migrate`",
        "wrong connections",
        "Set FOREBAY_POOL_MAX=",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    migrate(&database.options()).await.unwrap();
    let settings = [("DATABASE_URL", database.url()), ("FOREBAY_DATABASE_ROLE", "standby")];
    let (code, said) = checked(home.path(), &settings, &["catalog"]).await;
    assert_eq!(code, Some(1), "{said}");
    assert!(
        said.contains("wrong role") && said.contains("ok    rights") && said.contains("migrations are there"),
        "{said}"
    );
}

#[tokio::test]
async fn a_check_without_a_database_looks_at_the_server_that_a_start_would_run() {
    let home = home();
    let (code, said) = checked(home.path(), &[], &[]).await;
    assert!(code == Some(0) && said.contains("a start runs its own server, Postgres "), "{said}");
    assert!(!home.path().join("data").exists(), "nothing was made");
    std::fs::write(home.path().join("data"), "").unwrap();
    let (code, said) = checked(home.path(), &[], &[]).await;
    assert!(code == Some(1) && said.contains("data is a file"), "{said}");
    let (code, said) = checked(home.path(), &[("DATABASE_URL", "mysql://hush@db"), ("FOREBAY_SEED", "big")], &[]).await;
    assert!(code == Some(1) && said.contains("wrong settings") && said.contains("mysql://"), "{said}");
}
