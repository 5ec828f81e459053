use sqlx::postgres::PgSslMode;

use super::{tls::Mode, *};

fn address(text: &str) -> Address {
    text.parse().unwrap_or_else(|fault| panic!("{text}: {fault}"))
}

fn options(text: &str) -> PgConnectOptions {
    address(text).secured(&Libpq::default()).unwrap().options()
}

fn refused(text: &str) -> String {
    let fault = text.parse::<Address>().err().unwrap_or_else(|| panic!("{text} is taken")).to_string();
    assert!(!fault.contains("hush"), "{text}: {fault}");
    fault
}

/// What the driver makes of a password is only in its debug text.
fn password(options: &PgConnectOptions) -> String {
    let text = format!("{options:?}");
    let (_, rest) = text.split_once("password: ").unwrap();
    rest.split_once(", database").unwrap().0.to_owned()
}

#[test]
fn what_an_address_says_is_what_is_dialed() {
    let options =
        options("postgresql://me%40home:p%2Fa%3Fs%23s%25+%C3%A9@db.example:6000/my%20shop?application_name=x");
    assert_eq!((options.get_host(), options.get_port()), ("db.example", 6000));
    assert_eq!((options.get_username(), options.get_database()), ("me@home", Some("my shop")));
    assert_eq!(password(&options), r#"Some("p/a?s#s%+é")"#);
    assert_eq!(options.get_socket(), None);
    let queried = self::options("POSTGRES://?host=db&port=6000&user=me&password=a+b%2Bc&dbname=shop");
    assert_eq!((queried.get_host(), queried.get_port(), queried.get_database()), ("db", 6000, Some("shop")));
    assert_eq!(password(&queried), r#"Some("a+b+c")"#, "a plus is a plus, as libpq has it");
}

#[test]
fn a_unix_socket_is_the_path_of_its_folder_either_way_and_is_never_asked_to_encrypt() {
    for text in
        ["postgres://me@%2Frun%2Fpostgresql/shop?sslmode=require", "postgres://me@localhost/shop?host=/run/postgresql"]
    {
        let options = options(text);
        assert_eq!(options.get_socket().unwrap().to_str(), Some("/run/postgresql"), "{text}");
        assert!(matches!(options.get_ssl_mode(), PgSslMode::Disable), "{text}");
    }
}

#[test]
fn an_address_of_ipv6_stands_in_brackets_and_is_dialed_without_them() {
    let options = options("postgres://me@[::1]:6000/shop");
    assert_eq!((options.get_host(), options.get_port()), ("::1", 6000));
    assert_eq!(address("postgres://me:hush@[::1]:6000/shop").to_string(), "postgres://me:***@[::1]:6000/shop");
    assert!(refused("postgres://me@::1:6000/shop").contains("in brackets"));
    assert!(refused("postgres://me@[::1/shop").contains("no `]`"));
}

#[test]
fn options_are_kept_in_both_forms() {
    let text = "postgres://db/shop?options=-c%20geqo%3Doff&options[work_mem]=8MB&options[search_path]=a, b";
    let options = options(&text.replace(", ", ",%20"));
    assert_eq!(options.get_options(), Some(r"-c geqo=off -c work_mem=8MB -c search_path=a,\ b"));
    let ours = options.options([("idle_session_timeout", "0")]);
    assert!(ours.get_options().unwrap().ends_with(" -c idle_session_timeout=0"), "the last one counts");
}

#[test]
fn what_the_driver_would_misread_is_refused_by_name_without_a_secret() {
    for (text, part) in [
        ("mysql://me:hush@db/shop", "begins with `mysql://`, and this shop needs Postgres"),
        ("postgresql+asyncpg://me:hush@db/shop", "begins with `postgresql+asyncpg://`"),
        ("jdbc:postgresql://db:6000/shop?password=hush", "begins with `jdbc:`, the form of Java"),
        ("hush", "does not begin with postgres://"),
        ("localhost:5432/hush", "does not begin with postgres://"),
        ("hush hush://db", "does not begin with postgres://"),
        ("host=db password=hush", "is a list of keywords"),
        ("postgres://me:hush@a,b/shop", "several hosts"),
        ("postgres://me:hush@a:1,b:2/shop", "several hosts"),
        ("postgres:///shop?host=a,b&password=hush", "several hosts"),
        ("postgres://me:12#hush@db/shop", "written %23"),
        ("postgres://me:12/hush@db/shop", "`/` is written %2F"),
        ("postgres://me:12?hush@db/shop", "`?` %3F"),
        ("postgres://me:p@hush/word@db/shop", "`@` %40"),
        ("postgres://me:100%hush@db/shop", "a `%` in the password"),
        ("postgres://me:hush@db/shop?password=1%", "a `%` in the parameter password"),
        ("postgres://me:hush%FF@db/shop", "an escape in the password that is no UTF-8"),
        ("postgres://me:hush%00@db/shop", "an escape in the password"),
        ("postgres://me:hu sh@db/shop", "a space is written %20"),
        ("postgres://me:hush@db:80000/shop", "a port that is no whole number from 1 to 65535"),
        ("postgres://me:hush@db:0/shop", "a port"),
        ("postgres://me:hush@db:hush/shop", "a port"),
        ("postgres://me:hush@db/shop?hostaddr=hush", "hostaddr that is no IP address"),
        ("postgres://me:hush@db/shop?statement-cache-capacity=hush", "statement-cache-capacity"),
        ("postgres://me:hush@db/shop?host=run/hush", "a unix socket is the absolute path"),
    ] {
        let fault = refused(text);
        assert!(fault.contains(part), "{text}: {fault}");
    }
}

#[test]
fn parameters_that_do_nothing_are_named_without_their_values() {
    let address = address("postgres://me@db/shop?sslpassword=hush&connect_timeout=hush&h%20ush=1&sslmode=require");
    assert_eq!(address.ignored(), ["sslpassword", "connect_timeout", "(one with an odd name)"]);
    assert!(!format!("{address} {address:?} {:?}", address.options()).contains("hush"));
}

#[test]
fn an_address_is_shown_without_its_password() {
    let shown = |text: &str| address(text).to_string();
    assert_eq!(
        shown("postgres://me:hush@db:6000/shop?sslmode=require"),
        "postgres://me:***@db:6000/shop?sslmode=require"
    );
    assert_eq!(shown("postgres://db/shop?password=hush"), "postgres://:***@db/shop");
    assert_eq!(shown("postgres://"), "postgres:///");
}

#[test]
fn what_is_said_of_tls_fits_together_or_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let ca = file("ca.pem", "-----BEGIN CERTIFICATE-----\n");
    let key = file("key.pem", "-----BEGIN PRIVATE KEY-----\n");
    let locked = file("locked.pem", "-----BEGIN ENCRYPTED PRIVATE KEY-----\n");
    let secured = |query: &str, libpq: &Libpq| {
        let secured = address(&format!("postgres://db/shop?{query}")).secured(libpq);
        secured.map(|address| address.tls().to_string()).map_err(|fault| fault.to_string())
    };
    let nothing = Libpq::default();
    let of_environment = Libpq { mode: Some(Mode::Require), root_certificate: Some(ca.clone()), ..Libpq::default() };
    let wrong_key = format!("sslcert={ca}&sslkey={locked}");
    for (query, libpq, mode) in [
        ("", &nothing, Ok("prefer")),
        ("sslmode=allow", &nothing, Ok("prefer")),
        ("sslmode=disable", &of_environment, Ok("disable")),
        ("", &of_environment, Ok("verify-ca")),
        ("sslmode=verify-full", &of_environment, Ok("verify-full")),
        ("sslmode=verify-full", &nothing, Ok("verify-full")),
        ("sslrootcert=system", &nothing, Ok("verify-full")),
        (&format!("sslmode=require&sslrootcert={ca}"), &nothing, Ok("verify-ca")),
        (&format!("sslmode=verify-ca&sslrootcert={ca}&sslcert={ca}&sslkey={key}"), &nothing, Ok("verify-ca")),
        ("sslmode=verify_full", &nothing, Err("sslmode must be one of disable, allow, prefer")),
        ("sslmode=verify-ca", &nothing, Err("needs sslrootcert")),
        ("sslmode=require&sslrootcert=system", &nothing, Err("needs sslmode=verify-full")),
        ("sslmode=require&sslrootcert=/nope", &nothing, Err("sslrootcert: cannot read /nope")),
        (&format!("sslmode=verify-full&sslrootcert={key}"), &nothing, Err("holds no PEM text of that kind")),
        (&format!("sslcert={ca}"), &nothing, Err("belong together")),
        (&wrong_key, &nothing, Err("`openssl pkey -in ")),
        ("sslmode=verify-full&hostaddr=1.2.3.4", &nothing, Err("leave out hostaddr")),
        ("", &Libpq { root_certificate: Some("system".to_owned()), ..Libpq::default() }, Err("in the address")),
    ] {
        match (secured(query, libpq), mode) {
            (Ok(found), Ok(mode)) => assert_eq!(found, mode, "{query}"),
            (Err(fault), Err(part)) => assert!(fault.contains(part), "{query}: {fault}"),
            (found, wanted) => panic!("{query}: {found:?}, not {wanted:?}"),
        }
    }
}

#[test]
fn whom_a_server_proves_itself_to_is_known() {
    let folder = tempfile::tempdir().unwrap();
    let ca = folder.path().join("ca.pem");
    std::fs::write(&ca, "-----BEGIN CERTIFICATE-----\n").unwrap();
    let tls = |query: &str| {
        let address = address(&format!("postgres://db/shop?{query}")).secured(&Libpq::default()).unwrap();
        (address.tls().trusts_its_own_authorities(), address.tls().trusts_those_of_the_system())
    };
    assert_eq!(tls("sslmode=require"), (false, false));
    assert_eq!(tls(&format!("sslmode=verify-ca&sslrootcert={}", ca.display())), (true, false));
    assert_eq!(tls("sslmode=verify-full"), (false, true));
}
