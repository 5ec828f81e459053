//! Each way to start wrong says what is wrong and what to do.

use std::{
    io::{Read as _, Write as _},
    path::Path,
    process::ExitStatus,
    time::Duration,
};

use forebay_embedded::{Options, Server, testing::database};
use forebay_shop::migrate;
use sqlx::{AssertSqlSafe, ConnectOptions as _, PgConnection, postgres::PgConnectOptions};
use tokio::time::{Instant, timeout};

use crate::process::{home, run, service, shop};

/// What a start says on standard error, which ends with this code, and soon.
async fn fails(command: tokio::process::Command, code: i32) -> String {
    let (status, out, err) = timeout(Duration::from_secs(30), run(command)).await.expect("it ends at once");
    assert_eq!(status.code(), Some(code), "{out}{err}");
    assert!(!format!("{out}{err}").contains("hush"), "{out}{err}");
    err
}

fn says(err: &str, parts: &[&str]) {
    for part in parts {
        assert!(err.contains(part), "{part}: {err}");
    }
    assert!(!err.contains("at line"), "a line of Postgres' own source: {err}");
}

async fn execute(options: &PgConnectOptions, sql: &str) {
    let mut connection = options.connect().await.unwrap();
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut connection).await.unwrap();
}

/// A server on 127.0.0.1 that asks for passwords.
struct Guarded {
    _server: Server,
    _home: tempfile::TempDir,
    port: u16,
    password: String,
}

/// Not every machine has it; a container often does not.
fn has_ipv6() -> bool {
    std::net::TcpListener::bind("[::1]:0").is_ok()
}

impl Guarded {
    async fn start() -> Self {
        let home = home();
        let port = free_port();
        let listens_on = if has_ipv6() { "127.0.0.1, ::1" } else { "127.0.0.1" };
        let settings = vec![("listen_addresses".to_owned(), listens_on.to_owned())];
        let options = Options { port: Some(port), durable: false, settings, ..Options::new(home.path().join("pg")) };
        let server = Server::start(options, |_| {}).await.expect("a test needs Postgres");
        let password = server.password().unwrap();
        Self { _server: server, _home: home, port, password }
    }

    fn url(&self, password: &str, database: &str) -> String {
        format!("postgres://forebay:{password}@127.0.0.1:{}/{database}", self.port)
    }
}

fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

#[tokio::test]
async fn a_missing_database_is_named_with_the_command_that_makes_it() {
    let (home, database) = (home(), database().await);
    let name = database.options().get_database().unwrap().to_owned();
    let url = database.url().replace(&name, "nodb");
    let err = fails(shop(home.path(), &[("DATABASE_URL", &url)]), 1).await;
    says(&err, &["database \"nodb\" does not exist", "`createdb -h ", " -O forebay nodb`"]);
    assert!(!err.contains("Is it running"), "it runs: {err}");
}

#[tokio::test]
async fn a_wrong_password_is_final_at_once_also_for_a_service_that_waits() {
    let (home, server) = (home(), Guarded::start().await);
    let url = server.url("hush", "postgres");
    let wrong = "The user or the password in DATABASE_URL (or PGUSER, PGPASSWORD) is wrong";
    let begun = Instant::now();
    says(&fails(service(home.path(), "catalog", &url, &[]), 1).await, &["password authentication failed", wrong]);
    says(&fails(shop(home.path(), &[("DATABASE_URL", &url)]), 1).await, &["password authentication failed", wrong]);
    assert!(begun.elapsed() < Duration::from_secs(30), "nothing was waited for");
    let nobody = url.replace("forebay:hush", &format!("nobody:{}", server.password));
    says(&fails(service(home.path(), "catalog", &nobody, &[]), 1).await, &["password authentication failed"]);
    let right = server.url(&server.password, "nodb");
    let soon = [("FOREBAY_START_WAIT_MS", "300")];
    says(
        &fails(service(home.path(), "catalog", &right, &soon), 1).await,
        &["was not ready within 0.3 s", "`createdb "],
    );
}

#[tokio::test]
async fn a_password_of_any_characters_is_the_one_that_is_sent_also_over_ipv6() {
    let host = if has_ipv6() { "[::1]" } else { "127.0.0.1" };
    let (home, server) = (home(), Guarded::start().await);
    let options = server.url(&server.password, "postgres").parse().unwrap();
    execute(&options, "CREATE ROLE \"me@home\" LOGIN SUPERUSER PASSWORD 'p@s/s:w?o#r%d +é'").await;
    let (user, password) = ("me%40home", "p%40s%2Fs%3Aw%3Fo%23r%25d%20%2B%C3%A9");
    for url in [
        format!("postgres://{user}:{password}@{host}:{}/postgres", server.port),
        format!(
            "postgresql://127.0.0.1:{}/postgres?user={user}&password={}",
            server.port,
            password.replace("%2B", "+")
        ),
    ] {
        let mut command = shop(home.path(), &[("DATABASE_URL", &url)]);
        command.arg("check");
        let (status, out, err) = run(command).await;
        assert!(status.success() && out.contains("lets `me@home` into `postgres`"), "{url}: {out}{err}");
        assert!(!out.contains("p@s/s") && !out.contains("p%40s"), "{out}");
    }
}

#[tokio::test]
async fn an_address_that_is_none_of_postgres_is_refused_before_anything_is_dialed() {
    let home = home();
    for (url, part) in [
        ("mysql://me:hush@127.0.0.1/shop", "begins with `mysql://`, and this shop needs Postgres"),
        ("jdbc:postgresql://db:6000/shop?password=hush", "begins with `jdbc:`"),
        ("127.0.0.1/hush", "does not begin with postgres://"),
        ("postgres://me:hush@a,b/shop", "names several hosts"),
        ("postgres://me:hush@db:80000/shop", "a port that is no whole number from 1 to 65535"),
        ("", "DATABASE_URL=(empty): a secret that was not filled in?"),
    ] {
        let err = fails(shop(home.path(), &[("DATABASE_URL", url)]), 2).await;
        says(&err, &["one setting is wrong", "DATABASE_URL=", part, "(example: DATABASE_URL=postgres://"]);
    }
    assert!(!home.path().join("data").exists(), "no server was started in its place");
}

/// Answers everybody with these bytes, once it has read something, and closes. Nobody waits for it.
fn answering(answer: &'static [u8]) -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        while let Ok((mut client, _)) = listener.accept() {
            let mut read = [0; 1024];
            if client.read(&mut read).is_ok() && client.write_all(answer).is_ok() {
                _ = client.shutdown(std::net::Shutdown::Write);
                // What is left unread would reset the connection, and take the answer with it.
                _ = client.set_read_timeout(Some(Duration::from_secs(5)));
                while client.read(&mut read).is_ok_and(|read| read > 0) {}
            }
        }
    });
    port
}

#[tokio::test]
async fn a_server_that_is_no_postgres_is_told_from_one_that_is_away() {
    let home = home();
    let http = answering(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
    let mail = answering(b"220 mail ESMTP\r\n");
    let shell = answering(b"SSH-2.0-OpenSSH_9.2\r\n");
    for (port, query) in [(http, ""), (http, "?sslmode=disable"), (mail, ""), (shell, "")] {
        let url = format!("postgres://me:hush@127.0.0.1:{port}/shop{query}");
        let err = fails(service(home.path(), "catalog", &url, &[]), 1).await;
        assert!(err.contains("is no Postgres server") || err.contains("Is that a Postgres server?"), "{err}");
    }
}

#[tokio::test]
async fn the_port_of_the_embedded_server_is_named_when_it_is_taken_or_none() {
    let home = home();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let err = fails(shop(home.path(), &[("FOREBAY_PG_PORT", &port)]), 1).await;
    says(&err, &[&format!("127.0.0.1:{port}"), "is in use", "Choose another with FOREBAY_PG_PORT"]);
    assert!(!home.path().join("data/pg").exists(), "nothing was made for it");
    let err = fails(shop(home.path(), &[("FOREBAY_PG_PORT", "80000")]), 2).await;
    says(&err, &["FOREBAY_PG_PORT=80000: must be a port, a whole number from 1 to 65535"]);
}

#[tokio::test]
async fn of_a_pool_of_one_only_the_cause_is_told() {
    let home = home();
    let err = fails(shop(home.path(), &[("FOREBAY_POOL_MAX", "1"), ("FOREBAY_DRAIN_MS", "10s")]), 2).await;
    says(
        &err,
        &["2 settings are wrong", "FOREBAY_POOL_MAX=1: is less than", "FOREBAY_DRAIN_MS=10s: must be milliseconds"],
    );
}

#[tokio::test]
async fn a_key_is_looked_at_before_the_database_is_touched() {
    let (home, database) = (home(), database().await);
    let key = home.path().join("key.pem").to_str().unwrap().to_owned();
    let make = format!("`openssl genpkey -algorithm ed25519 -out {key}`");
    let missing = [("DATABASE_URL", database.url()), ("FOREBAY_SIGNING_KEY_FILE", &key)];
    says(&fails(shop(home.path(), &missing), 1).await, &["FOREBAY_SIGNING_KEY_FILE: ", &make]);
    std::fs::write(&key, "-----BEGIN PRIVATE KEY-----\nhush\n-----END PRIVATE KEY-----\n").unwrap();
    says(
        &fails(shop(home.path(), &missing), 1).await,
        &["FOREBAY_SIGNING_KEY_FILE: ", "no Ed25519 private key", &make],
    );
    let previous = [("DATABASE_URL", database.url()), ("FOREBAY_PREVIOUS_KEY_FILE", &key)];
    says(&fails(shop(home.path(), &previous), 1).await, &["FOREBAY_PREVIOUS_KEY_FILE: "]);
    let tables: i64 =
        count(&database.options(), "SELECT count(*) FROM pg_class WHERE relname = '_sqlx_migrations'").await;
    assert_eq!(tables, 0, "nothing was migrated");
}

async fn count(options: &PgConnectOptions, sql: &'static str) -> i64 {
    let mut connection: PgConnection = options.connect().await.unwrap();
    sqlx::query_scalar(sql).fetch_one(&mut connection).await.unwrap()
}

#[tokio::test]
async fn connections_that_do_not_fit_are_told_before_anything_is_migrated() {
    let (home, database) = (home(), database().await);
    let settings = [("DATABASE_URL", database.url()), ("FOREBAY_POOL_MAX", "400")];
    says(&fails(shop(home.path(), &settings), 1).await, &["do not fit", "FOREBAY_POOL_MAX="]);
    assert_eq!(count(&database.options(), "SELECT count(*) FROM pg_class WHERE relname = '_sqlx_migrations'").await, 0);
}

#[tokio::test]
async fn a_data_folder_that_is_a_file_is_called_one() {
    let home = home();
    std::fs::write(home.path().join("data"), "").unwrap();
    says(&fails(shop(home.path(), &[]), 1).await, &["data is a file", "FOREBAY_DATA"]);
    let below = home.path().join("data/below");
    let err = fails(shop(home.path(), &[("FOREBAY_DATA", below.to_str().unwrap())]), 1).await;
    says(&err, &["data is a file", "FOREBAY_DATA"]);
}

/// A database that `tenant` may connect to and do nothing in, and its address.
async fn of_a_tenant(name: &str) -> (PgConnectOptions, String) {
    let database = database().await;
    let own = database.options().get_database().unwrap().to_owned();
    let role = format!("{name}_{own}");
    execute(&database.options(), &format!("CREATE ROLE {role} LOGIN; REVOKE CREATE ON SCHEMA public FROM PUBLIC"))
        .await;
    (database.options(), database.url().replace("forebay@", &format!("{role}@")))
}

#[tokio::test]
async fn a_role_without_rights_is_told_what_to_grant_and_then_it_works() {
    let home = home();
    let (options, url) = of_a_tenant("without").await;
    let user = url.strip_prefix("postgres://").unwrap().split('@').next().unwrap().to_owned();
    let migrate = || {
        let mut command = shop(home.path(), &[("DATABASE_URL", &url)]);
        command.arg("migrate");
        command
    };
    let tables = format!("GRANT USAGE, CREATE ON SCHEMA public TO {user}");
    says(&fails(migrate(), 1).await, &["permission denied for schema public", &tables]);
    execute(&options, &tables).await;
    let schemas = format!("GRANT CONNECT, CREATE ON DATABASE {} TO {user}", options.get_database().unwrap());
    says(&fails(migrate(), 1).await, &["permission denied for database", &schemas]);
    execute(&options, &schemas).await;
    let (status, out, err) = run(migrate()).await;
    assert!(status.success(), "{out}{err}");
}

#[tokio::test]
async fn a_start_that_may_not_look_at_the_servers_sessions_is_told_what_to_grant() {
    let (home, database) = (home(), database().await);
    migrate(&database.options()).await.unwrap();
    let role = format!("blind_{}", database.options().get_database().unwrap());
    let sql = format!(
        "CREATE ROLE {role} LOGIN; GRANT USAGE ON SCHEMA catalog TO {role}; GRANT SELECT ON ALL TABLES IN SCHEMA catalog, public \
         TO {role}; REVOKE SELECT ON pg_stat_activity FROM PUBLIC"
    );
    execute(&database.options(), &sql).await;
    let url = database.url().replace("forebay@", &format!("{role}@"));
    let err = fails(service(home.path(), "catalog", &url, &[]), 1).await;
    says(&err, &["permission denied for view pg_stat_activity", "GRANT SELECT ON TABLE pg_stat_activity TO"]);
}

#[tokio::test]
async fn a_migration_that_was_changed_stops_a_start_and_a_service() {
    let (home, database) = (home(), database().await);
    migrate(&database.options()).await.unwrap();
    execute(
        &database.options(),
        "UPDATE _sqlx_migrations SET checksum = '\\x00' WHERE version = (SELECT min(version) FROM _sqlx_migrations)",
    )
    .await;
    let parts = ["in another form than this program", "put the file back", "Nothing was changed"];
    says(&fails(shop(home.path(), &[("DATABASE_URL", database.url())]), 1).await, &parts);
    says(&fails(service(home.path(), "catalog", database.url(), &[]), 1).await, &parts);
}

#[tokio::test]
async fn a_schema_that_is_newer_is_served_with_a_word() {
    let (home, database) = (home(), database().await);
    migrate(&database.options()).await.unwrap();
    let newer = "INSERT INTO _sqlx_migrations VALUES (29990101000000, 'of tomorrow', now(), true, '\\x00', 1)";
    execute(&database.options(), newer).await;
    let mut command = shop(home.path(), &[("DATABASE_URL", database.url()), ("FOREBAY_SEED", "none")]);
    command.arg("migrate");
    let (status, out, err) = run(command).await;
    let parts = ["warning: the schema is newer than this program", "migration 29990101000000", "run the newer program"];
    assert!(status.success(), "{out}{err}");
    says(&out, &parts);
    let said = opened(home.path(), service(home.path(), "catalog", database.url(), &[])).await;
    says(&said, &parts);
}

/// What it says until it is open, and the line that says so, after which it is stopped.
async fn opened(home: &Path, mut command: tokio::process::Command) -> String {
    use tokio::io::{AsyncBufReadExt as _, BufReader};
    _ = home;
    let mut child = command.spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut said = String::new();
    let opening = async {
        while let Some(line) = lines.next_line().await.unwrap() {
            said.push_str(&line);
            said.push('\n');
            // The last line of either banner.
            if line.contains("is open") && !line.contains("The shop") || line.contains("README.md goes on") {
                return;
            }
        }
    };
    timeout(Duration::from_secs(60), opening).await.expect("it opens in time");
    child.kill().await.unwrap();
    said
}

#[tokio::test]
async fn published_passwords_go_only_where_they_are_asked_for_by_name_and_that_is_said() {
    let (home, database) = (home(), database().await);
    let start = |seed: Option<&str>| {
        let mut command = shop(home.path(), &[("DATABASE_URL", database.url())]);
        command.env_remove("FOREBAY_SEED");
        seed.map(|seed| command.env("FOREBAY_SEED", seed));
        command
    };
    let said = opened(home.path(), start(None)).await;
    assert!(!said.contains("correct-horse-battery") && !said.contains("warning"), "{said}");
    assert_eq!(count(&database.options(), "SELECT count(*) FROM auth.users").await, 0);
    let said = opened(home.path(), start(Some("small"))).await;
    says(
        &said,
        &["correct-horse-battery", "warning: this database has the accounts of the seed, whose password is published"],
    );
    let said = opened(home.path(), start(None)).await;
    says(&said, &["warning: this database has the accounts of the seed"]);
}

#[tokio::test]
async fn the_help_names_the_settings() {
    let home = home();
    let mut command = shop(home.path(), &[]);
    command.arg("--help");
    let (status, out, _): (ExitStatus, _, _) = run(command).await;
    assert!(status.success());
    says(&out, &["`shop config`", "`shop check`", "DATABASE_URL", "FOREBAY_HTTP", "README.md"]);
}
