//! Each service on a role of its own: it can do all that it does, and nothing to what is another's.

use forebay_embedded::{
    Options, Server,
    testing::{TestDatabase, database},
};
use forebay_shop::{Role, Scale, Service, migrate, roles, seed};
use sqlx::{Connection as _, PgConnection, postgres::PgConnectOptions};

use crate::process::{Shop, home, run, service, shop};

const ROLES: [&str; 3] = ["forebay_catalog", "forebay_auth", "forebay_checkout"];

fn password(role: &str) -> String {
    format!("it's a password: {role}")
}

/// The same database, as this role.
fn address(database: &TestDatabase, role: &str) -> String {
    let password = password(role).replace(' ', "%20").replace(':', "%3A").replace('\'', "%27");
    let options = database.options();
    let (host, port, name) = (options.get_host(), options.get_port(), options.get_database().unwrap());
    match options.get_socket() {
        Some(socket) => format!("postgres://{role}:{password}@localhost:{port}/{name}?host={}", socket.display()),
        None => format!("postgres://{role}:{password}@{host}:{port}/{name}"),
    }
}

async fn as_role(database: &TestDatabase, role: &str) -> PgConnection {
    let options: PgConnectOptions = address(database, role).parse().unwrap();
    PgConnection::connect_with(&options).await.unwrap()
}

async fn code_of(connection: &mut PgConnection, statement: &'static str) -> Option<String> {
    let done = sqlx::raw_sql(statement).execute(connection).await;
    done.err().map(|error| error.as_database_error().and_then(|answer| answer.code()).unwrap().into_owned())
}

#[tokio::test]
async fn a_service_can_do_all_that_it_does_and_nothing_to_what_is_anothers() {
    let (home, database) = (home(), database().await);
    migrate(&database.options()).await.unwrap();
    let given: Vec<_> =
        ROLES.map(|role| (role.replace("forebay", "FOREBAY_ROLE").to_uppercase() + "_PASSWORD", password(role))).into();
    let roles = |more: &[(&str, &str)]| {
        let given = given.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let settings: Vec<_> = given.chain(more.iter().copied()).chain([("DATABASE_URL", database.url())]).collect();
        let mut command = shop(home.path(), &settings);
        command.arg("roles");
        run(command)
    };
    let (status, out, err) = roles(&[]).await;
    assert!(status.success() && ROLES.iter().all(|role| out.contains(&format!("{role}: made; "))), "{out}{err}");
    assert!(!out.contains("it's a password"), "{out}");
    seed(&database.options(), Scale::Small, |_| {}).await.unwrap();

    journey(&home, &database).await;
    statements(&database).await;
    guards(&database).await;
    refusals(&database).await;

    let (status, out, err) = roles(&[("FOREBAY_ROLE_AUTH_CONNECTIONS", "2")]).await;
    assert!(
        status.success() && out.contains("forebay_auth: there, with this password now; 2 connections"),
        "{out}{err}"
    );
    let (_one, _two) = (as_role(&database, "forebay_auth").await, as_role(&database, "forebay_auth").await);
    let options: PgConnectOptions = address(&database, "forebay_auth").parse().unwrap();
    let third = PgConnection::connect_with(&options).await.unwrap_err();
    assert_eq!(third.as_database_error().unwrap().code().as_deref(), Some("53300"));

    // Who may not make roles is told what is missing.
    let settings = [("DATABASE_URL", &*address(&database, "forebay_catalog"))];
    let mut command = shop(home.path(), &settings);
    command.arg("roles");
    let (status, _, err) = run(command).await;
    assert!(!status.success() && err.contains("CREATEROLE") && err.contains("Nothing was changed"), "{err}");
}

/// A server that lets in over TCP by a password alone, with SCRAM.
#[tokio::test]
async fn a_service_is_let_in_by_its_password_and_by_no_other() {
    let home = home();
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let options = Options { port: Some(port), durable: false, ..Options::new(home.path().join("pg")) };
    let server = Server::start(options, |_| {}).await.expect("a test needs Postgres");
    let owner: PgConnectOptions = server.url("postgres").parse().unwrap();
    migrate(&owner).await.unwrap();
    let give = async |passwords: [&str; 3]| {
        let services =
            [(Service::Catalog, 34), (Service::Auth, 18), (Service::Checkout, 56)].into_iter().zip(passwords);
        let given = services.map(|((service, connections), password)| Role {
            service,
            password: Some(password.to_owned().into()),
            connections,
        });
        roles(&owner, &given.collect::<Vec<_>>(), |_| {}).await.unwrap();
    };
    let log_in = async |role: &str, password: &str| {
        let options = PgConnectOptions::new_without_pgpass().host("127.0.0.1").port(port).database("postgres");
        let connected = PgConnection::connect_with(&options.username(role).password(password)).await;
        connected.map(|_| ()).map_err(|error| error.as_database_error().unwrap().code().unwrap().into_owned())
    };
    let wrong = Err("28P01".to_owned());

    let passwords = ["of catalog's own", "p%40ss: \\\"/?#", "~!$^&*()"];
    give(passwords).await;
    for (role, password) in ROLES.into_iter().zip(passwords) {
        assert_eq!(log_in(role, password).await, Ok(()), "{role}");
        for other in passwords.iter().filter(|other| **other != password).chain(&["no", role]) {
            assert_eq!(log_in(role, other).await, wrong, "{role}: {other:?}");
        }
    }

    // A new one takes the place of the old one, for the service's program too.
    give(["new", "new-of-auth", "new"]).await;
    assert_eq!((log_in(ROLES[1], passwords[1]).await, log_in(ROLES[1], "new-of-auth").await), (wrong, Ok(())));
    let url = format!("postgres://{}:new-of-auth@127.0.0.1:{port}/postgres", ROLES[1]);
    let auth = Shop::start(home.path(), service(home.path(), "auth", &url, &[])).await;
    assert!(auth.http.register("by-password").await.is_some());
}

/// Everything through the public API of three processes.
async fn journey(home: &tempfile::TempDir, database: &TestDatabase) {
    let open = |name: &'static str, settings: Vec<(&'static str, String)>| {
        let url = address(database, &format!("forebay_{name}"));
        let settings: Vec<_> = settings.iter().map(|(name, value)| (*name, value.as_str())).collect();
        Shop::start(home.path(), service(home.path(), name, &url, &settings))
    };
    let auth = open("auth", Vec::new()).await;
    let jwks = format!("http://{}/.well-known/jwks.json", auth.address);
    let (catalog, checkout) = tokio::join!(
        open("catalog", Vec::new()),
        open("checkout", vec![("FOREBAY_JWKS_URL", jwks), ("FOREBAY_PAYMENT_LATENCY_MS", "0".to_owned())])
    );
    for path in ["/v1/products?limit=3&sort=popular", "/v1/products?sort=price_asc", "/v1/products?sort=name"] {
        let (status, page) = catalog.http.text(path).await.unwrap();
        assert!(status == 200 && page.contains("next_cursor"), "{path}: {page}");
    }
    let token = auth.http.register("of-roles").await.unwrap();
    let cart = checkout.http.cart_of("SKU-000001").await.unwrap();
    let (status, order) = checkout.http.order(&token, &cart).await.unwrap();
    assert_eq!((status.as_u16(), order["status"].as_str()), (201, Some("paid")), "{order}");
}

/// Every statement that the services are compiled with may be run by one of the roles. It is planned and not run, which is when
/// rights are looked at.
async fn statements(database: &TestDatabase) {
    let mut roles = Vec::new();
    for role in ROLES {
        roles.push((role, as_role(database, role).await, 0));
    }
    let folder = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../../.sqlx")).unwrap();
    for file in folder {
        let described: serde_json::Value =
            serde_json::from_slice(&std::fs::read(file.unwrap().path()).unwrap()).unwrap();
        let (text, parameters) = (&described["query"], &described["describe"]["parameters"]["Left"]);
        let (text, parameters) = (text.as_str().unwrap(), parameters.as_array().map_or(0, Vec::len));
        let values = vec!["NULL"; parameters].join(", ");
        let values = if parameters == 0 { values } else { format!("({values})") };
        let planned = format!("DEALLOCATE ALL; PREPARE one AS {text}; EXPLAIN EXECUTE one {values}");
        let mut refused = Vec::new();
        for (role, connection, can) in &mut roles {
            match sqlx::raw_sql(sqlx::AssertSqlSafe(planned.clone())).execute(connection).await {
                Ok(_) => *can += 1,
                Err(error) => refused.push(format!("{role}: {error}")),
            }
        }
        assert!(refused.len() < ROLES.len(), "nobody may run {text}: {refused:?}");
    }
    let can: Vec<_> = roles.iter().map(|(role, _, can)| (role, can)).collect();
    assert!(can.iter().all(|(_, can)| **can > 5), "{can:?}");
}

async fn guards(database: &TestDatabase) {
    for (role, statements) in ROLES.into_iter().zip(["2s", "3s", "5s"]) {
        let mut connection = as_role(database, role).await;
        let set = "SELECT current_setting('statement_timeout'), current_setting('lock_timeout'), \
             current_setting('idle_in_transaction_session_timeout'), \
             (SELECT rolconnlimit FROM pg_roles WHERE rolname = current_user)";
        let set: (String, String, String, i32) = sqlx::query_as(set).fetch_one(&mut connection).await.unwrap();
        assert_eq!((&*set.0, &*set.1, &*set.2), (statements, "500ms", "5s"), "{role}");
        assert!(set.3 >= 17, "{role}: {set:?}");
    }
}

async fn refusals(database: &TestDatabase) {
    let [mut catalog, mut auth, mut checkout] =
        [as_role(database, ROLES[0]).await, as_role(database, ROLES[1]).await, as_role(database, ROLES[2]).await];
    let denied = Some("42501".to_owned());
    for statement in
        ["SELECT FROM auth.users", "SELECT FROM checkout.orders", "UPDATE checkout.inventory SET on_hand = 9"]
    {
        assert_eq!(code_of(&mut catalog, statement).await, denied, "{statement}");
    }
    for statement in ["SELECT FROM catalog.products", "SELECT FROM checkout.carts", "SELECT FROM catalog.sku_prices"] {
        assert_eq!(code_of(&mut auth, statement).await, denied, "{statement}");
    }
    for statement in [
        "SELECT FROM catalog.products",
        "UPDATE catalog.skus SET price = 1",
        "SELECT FROM auth.users",
        "CREATE TABLE checkout.of_our_own ()",
        "DROP TABLE checkout.payments",
        "TRUNCATE checkout.order_events",
    ] {
        assert_eq!(code_of(&mut checkout, statement).await, denied, "{statement}");
    }
    assert_eq!(code_of(&mut checkout, "SELECT FROM catalog.sku_prices").await, None);
    let line = "INSERT INTO audit.log (operator, action, object_kind, object_id) VALUES ('test', 'tried', 'role', '1')";
    for connection in [&mut catalog, &mut auth, &mut checkout] {
        assert_eq!(code_of(connection, line).await, None);
        for statement in ["DELETE FROM audit.log", "UPDATE audit.log SET action = ''"] {
            assert_eq!(code_of(connection, statement).await, denied, "{statement}");
        }
    }
    assert_eq!(code_of(&mut auth, "SELECT FROM audit.log").await, None);
    for connection in [&mut catalog, &mut checkout] {
        assert_eq!(code_of(connection, "SELECT FROM audit.log").await, denied);
    }
}
