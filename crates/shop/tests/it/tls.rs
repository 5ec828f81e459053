//! The database behind TLS: every `sslmode`, the wrong name, the wrong authority, a client's certificate.

use std::{os::unix::fs::MetadataExt as _, path::Path};

use forebay_embedded::{Options, Server};
use forebay_shop::migrate;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rustix::process::Signal;
use sqlx::{ConnectOptions as _, PgConnection, postgres::PgConnectOptions};

use crate::process::{Shop, eventually, home, run, service, shop};

/// An authority, and what it signs.
pub(crate) struct Authority(Issuer<'static, KeyPair>, String);

impl Authority {
    pub(crate) fn new(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap().pem();
        Self(Issuer::new(params, key), certificate)
    }

    /// Its own certificate.
    pub(crate) fn certificate(&self) -> &str {
        &self.1
    }

    /// A certificate and its key.
    pub(crate) fn sign(&self, common_name: &str, names: &[&str]) -> (String, String) {
        let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        params.distinguished_name.push(DnType::CommonName, common_name);
        let key = KeyPair::generate().unwrap();
        (params.signed_by(&key, &self.0).unwrap().pem(), key.serialize_pem())
    }
}

/// A server on 127.0.0.1 whose certificate bears `localhost`, and whose role `certified` comes with a certificate.
struct Encrypted {
    _server: Server,
    home: tempfile::TempDir,
    options: PgConnectOptions,
    port: u16,
    password: String,
    authority: Authority,
}

impl Encrypted {
    async fn start() -> Self {
        let home = home();
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let options = Options { port: Some(port), durable: false, ..Options::new(home.path().join("pg")) };
        let server = Server::start(options, |_| {}).await.expect("a test needs Postgres");
        let (password, options) = (server.password().unwrap(), server.url("postgres").parse().unwrap());
        let authority = Authority::new("the right one");
        Self { _server: server, home, options, port, password, authority }
    }

    /// Switches TLS on.
    async fn encrypting() -> Self {
        let this = Self::start().await;
        let (certificate, key) = this.authority.sign("db", &["localhost"]);
        let data = this.home.path().join("pg");
        this.give(&data.join("server.crt"), &certificate);
        this.give(&data.join("server.key"), &key);
        this.give(&data.join("root.crt"), &this.authority.1);
        let rules = std::fs::read_to_string(data.join("pg_hba.conf")).unwrap();
        std::fs::write(data.join("pg_hba.conf"), format!("hostssl all certified 127.0.0.1/32 cert\n{rules}")).unwrap();
        let mut connection = this.session().await;
        for sql in [
            "CREATE ROLE certified LOGIN SUPERUSER",
            "ALTER SYSTEM SET ssl_ca_file = 'root.crt'",
            "ALTER SYSTEM SET ssl = on",
            "SELECT pg_reload_conf()",
        ] {
            sqlx::raw_sql(sql).execute(&mut connection).await.unwrap();
        }
        eventually("the server encrypts", || async {
            let on = sqlx::query_scalar::<_, String>("SHOW ssl").fetch_one(&mut this.session().await).await.unwrap();
            on == "on"
        })
        .await;
        this
    }

    async fn session(&self) -> PgConnection {
        self.options.connect().await.unwrap()
    }

    /// A file that the server takes for its own.
    fn give(&self, path: &Path, text: &str) {
        std::fs::write(path, text).unwrap();
        std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
        let owner = std::fs::metadata(self.home.path().join("pg")).unwrap();
        std::os::unix::fs::chown(path, Some(owner.uid()), Some(owner.gid())).unwrap();
    }

    fn file(&self, name: &str, text: &str) -> String {
        let path = self.home.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    }

    fn url(&self, host: &str, query: &str) -> String {
        format!("postgres://forebay:{}@{host}:{}/postgres?{query}", self.password, self.port)
    }

    /// What `shop check` says, and whether it found nothing wrong.
    async fn checked(&self, url: &str, settings: &[(&str, &str)]) -> (bool, String) {
        let mut command = shop(self.home.path(), settings);
        command.env("DATABASE_URL", url).env("FOREBAY_POOL_MAX", "10").arg("check");
        let (status, out, err) = run(command).await;
        assert!(!format!("{out}{err}").contains(&self.password), "{out}{err}");
        (status.success(), format!("{out}{err}"))
    }
}

#[tokio::test]
async fn every_sslmode_asks_of_the_server_what_it_says() {
    let server = Encrypted::encrypting().await;
    let right = server.file("right.pem", &server.authority.1);
    let wrong = server.file("wrong.pem", &Authority::new("another one").1);
    let (verify_ca, verify_full) = ("sslmode=verify-ca&sslrootcert=", "sslmode=verify-full&sslrootcert=");
    let unknown = "The authority that signed the server's certificate is not in the file that sslrootcert names";
    let cases = [
        ("localhost", "sslmode=disable".to_owned(), Ok("none, within this machine")),
        ("127.0.0.1", "sslmode=allow".to_owned(), Ok("TLSv1.3, sslmode prefer")),
        ("127.0.0.1", String::new(), Ok("TLSv1.3, sslmode prefer")),
        ("127.0.0.1", "sslmode=require".to_owned(), Ok("TLSv1.3, sslmode require")),
        ("127.0.0.1", format!("{verify_ca}{right}"), Ok("TLSv1.3, sslmode verifyca")),
        ("localhost", format!("{verify_ca}{wrong}"), Err(unknown)),
        ("localhost", format!("sslmode=require&sslrootcert={wrong}"), Err(unknown)),
        ("localhost", format!("{verify_full}{right}"), Ok("TLSv1.3, sslmode verifyfull")),
        ("localhost", format!("{verify_full}{wrong}"), Err(unknown)),
        ("127.0.0.1", format!("{verify_full}{right}"), Err("must bear `127.0.0.1` as subjectAltName")),
    ];
    for (host, query, wanted) in cases {
        let (well, said) = server.checked(&server.url(host, &query), &[]).await;
        let (Ok(part) | Err(part)) = wanted;
        assert!(well == wanted.is_ok() && said.contains(part), "{host} {query}: {said}");
    }
}

/// sqlx alone would take the certificates of both.
#[tokio::test]
async fn who_names_an_authority_trusts_no_other() {
    let server = Encrypted::encrypting().await;
    let right = server.file("right.pem", &server.authority.1);
    let wrong = server.file("wrong.pem", &Authority::new("another one").1);
    let of_the_system = [("SSL_CERT_FILE", right.as_str())];
    let (well, said) = server.checked(&server.url("localhost", "sslmode=verify-full"), &of_the_system).await;
    assert!(well, "the system's are trusted when no others are named: {said}");
    let (well, said) = server.checked(&server.url("localhost", "sslrootcert=system"), &of_the_system).await;
    assert!(well && said.contains("verifyfull"), "{said}");
    for mode in ["verify-ca", "verify-full"] {
        let url = server.url("localhost", &format!("sslmode={mode}&sslrootcert={wrong}"));
        let (well, said) = server.checked(&url, &of_the_system).await;
        assert!(!well && said.contains("is not in the file that sslrootcert names"), "{mode}: {said}");
        let (well, said) = server.checked(&url, &[("SSL_CERT_DIR", server.home.path().to_str().unwrap())]).await;
        assert!(!well, "{mode}: {said}");
    }
}

#[tokio::test]
async fn a_client_may_have_to_show_a_certificate_too() {
    let server = Encrypted::encrypting().await;
    let (certificate, key) = server.authority.sign("certified", &[]);
    let (certificate, key) = (server.file("client.crt", &certificate), server.file("client.key", &key));
    let url = server.url("localhost", "sslmode=require").replace("forebay:", "certified:");
    let (well, said) = server.checked(&url, &[]).await;
    assert!(!well && said.contains("The server wants a client's certificate: sslcert and sslkey"), "{said}");
    let (well, said) = server.checked(&format!("{url}&sslcert={certificate}&sslkey={key}"), &[]).await;
    assert!(well && said.contains("TLSv1.3"), "{said}");
    let (well, said) = server.checked(&url, &[("PGSSLCERT", &certificate), ("PGSSLKEY", &key)]).await;
    assert!(well, "{said}");
    let (strange, its_key) = Authority::new("another one").sign("certified", &[]);
    let (strange, its_key) = (server.file("strange.crt", &strange), server.file("strange.key", &its_key));
    let (well, said) = server.checked(&format!("{url}&sslcert={strange}&sslkey={its_key}"), &[]).await;
    assert!(!well && said.contains("wrong database"), "{said}");
}

#[tokio::test]
async fn a_server_that_does_not_encrypt_is_served_only_to_who_does_not_insist() {
    let server = Encrypted::start().await;
    let (well, said) = server.checked(&server.url("127.0.0.1", ""), &[]).await;
    assert!(well && said.contains("none, within this machine"), "{said}");
    let (well, said) = server.checked(&server.url("127.0.0.1", ""), &[("PGSSLMODE", "require")]).await;
    assert!(!well && said.contains("Switch `ssl` on in the server"), "{said}");
}

#[tokio::test]
async fn every_session_of_a_shop_is_encrypted() {
    let server = Encrypted::encrypting().await;
    migrate(&server.options).await.unwrap();
    let right = server.file("right.pem", &server.authority.1);
    let url = server.url("localhost", &format!("sslmode=verify-full&sslrootcert={right}"));
    let catalog = Shop::start(server.home.path(), service(server.home.path(), "catalog", &url, &[])).await;
    assert_eq!(catalog.http.text("/v1/products?limit=1").await.unwrap().0, 200);
    let sessions = "SELECT count(*) FILTER (WHERE ssl), count(*) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) \
         WHERE application_name LIKE 'forebay-%'";
    let (encrypted, all): (i64, i64) = sqlx::query_as(sessions).fetch_one(&mut server.session().await).await.unwrap();
    assert!(all >= 2 && encrypted == all, "{encrypted} of {all}");
    catalog.send(Signal::TERM);
    assert!(catalog.ended().await.0.success());
}
