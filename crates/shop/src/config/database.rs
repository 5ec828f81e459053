//! Where the database is: two addresses, and the variables of libpq for what they do not say.

use std::path::{Path, PathBuf};

use forebay_platform::config::Reader;
use secrecy::SecretString;

use super::Purpose;
use crate::{
    Address,
    address::{EXAMPLE, Libpq, MODES},
};

/// A file of authorities with none in it.
pub(crate) const NOBODY: &str = "/dev/null";

/// What was read.
pub(super) struct Addresses {
    pub(super) database_url: Option<Address>,
    pub(super) pool_url: Option<Address>,
    pub(super) pgpassword: Option<SecretString>,
    pub(super) trusts_too_many: bool,
}

pub(super) fn read(settings: &mut Reader<'_>, purpose: Purpose) -> Addresses {
    let database_url = read_address(settings, "DATABASE_URL");
    let pool_url = read_address(settings, "FOREBAY_POOL_URL");
    let needed = matches!(purpose, Purpose::Serve(_));
    let is_set = settings.is_set("DATABASE_URL");
    settings.require(is_set || !needed, "DATABASE_URL", "`shop serve` starts no database of its own", EXAMPLE);
    if !is_set && pool_url.is_none() {
        return Addresses { database_url, pool_url, pgpassword: None, trusts_too_many: false };
    }
    let (libpq, pgpassword) = read_libpq(settings);
    let database_url = secure(settings, "DATABASE_URL", database_url, &libpq);
    let pool_url = secure(settings, "FOREBAY_POOL_URL", pool_url, &libpq);
    let trusts_too_many = read_trust(settings, [database_url.as_ref(), pool_url.as_ref()]);
    Addresses { database_url, pool_url, pgpassword, trusts_too_many }
}

fn read_address(settings: &mut Reader<'_>, name: &'static str) -> Option<Address> {
    let address: Option<Address> = settings.secret_of(name, EXAMPLE);
    if let Some(address) = &address {
        settings.reveal(name, address);
    }
    address
}

fn secure(settings: &mut Reader<'_>, name: &'static str, address: Option<Address>, libpq: &Libpq) -> Option<Address> {
    match address?.secured(libpq) {
        Ok(address) => Some(address),
        Err(fault) => {
            settings.require(false, name, &fault.to_string(), "postgres://user@db.example/shop?sslmode=verify-full");
            None
        }
    }
}

/// sqlx reads them by itself, and passes over what it does not understand: here it is a fault.
fn read_libpq(settings: &mut Reader<'_>) -> (Libpq, Option<SecretString>) {
    for name in ["PGHOST", "PGHOSTADDR"] {
        let host: Option<String> = settings.optional(name, "db.example");
        let one = host.is_none_or(|host| !host.contains(','));
        settings.require(one, name, "names several hosts, and this shop dials one", "db.example");
    }
    settings.port("PGPORT", 5432);
    for (name, example) in [("PGUSER", "shop"), ("PGDATABASE", "shop"), ("PGOPTIONS", "-c geqo=off")] {
        settings.optional::<String>(name, example);
    }
    settings.optional::<PathBuf>("PGPASSFILE", "~/.pgpass");
    let pgpassword = settings.secret("PGPASSWORD");
    let libpq = Libpq {
        mode: settings.word("PGSSLMODE", &MODES),
        root_certificate: settings.optional("PGSSLROOTCERT", "./ca.pem"),
        certificate: settings.optional("PGSSLCERT", "./client.pem"),
        key: read_key(settings),
    };
    (libpq, pgpassword)
}

/// The key's file, or the key itself, which nobody may see.
fn read_key(settings: &mut Reader<'_>) -> Option<String> {
    use secrecy::ExposeSecret as _;
    let key = settings.secret("PGSSLKEY")?.expose_secret().to_owned();
    if Path::new(&key).is_file() {
        settings.reveal("PGSSLKEY", &key);
    }
    Some(key)
}

/// Who trusts only the authorities of a file must be the only one in this process to trust any: the driver adds those of the
/// system, but for `SSL_CERT_FILE`, which stands for them.
fn read_trust(settings: &mut Reader<'_>, addresses: [Option<&Address>; 2]) -> bool {
    let any = |holds: fn(&Address) -> bool| addresses.iter().flatten().any(|address| holds(address));
    let own = any(|address| address.tls().trusts_its_own_authorities());
    let systems = any(|address| address.tls().trusts_those_of_the_system());
    settings.require(
        !(own && systems),
        "FOREBAY_POOL_URL",
        "one of the two addresses trusts the authorities of a file, and the other those of the system: name sslrootcert in both",
        "postgres://user@db.example/shop?sslmode=verify-full&sslrootcert=./ca.pem",
    );
    let file: Option<PathBuf> = settings.optional("SSL_CERT_FILE", "/etc/ssl/certs/ca-certificates.crt");
    let folder: Option<PathBuf> = settings.optional("SSL_CERT_DIR", "/etc/ssl/certs");
    own && (file.as_deref() != Some(Path::new(NOBODY)) || folder.is_some())
}

#[cfg(test)]
mod tests {
    use forebay_platform::config::Env;

    use crate::{Config, Purpose};

    fn read(pairs: &[(&str, &str)]) -> Result<Config, String> {
        Config::read(&Env::of(pairs.iter().copied()), Purpose::Up).map_err(|faults| faults.to_string())
    }

    #[test]
    fn what_libpq_is_told_is_checked_where_the_driver_passes_over_it() {
        let said = read(&[
            ("DATABASE_URL", "postgres://me@db/shop"),
            ("PGSSLMODE", "verify_full"),
            ("PGPORT", "80000"),
            ("PGHOST", "a,b"),
            ("PGPASSWORD", ""),
        ])
        .unwrap_err();
        for part in [
            "PGSSLMODE=verify_full: must be one of disable, allow, prefer, require, verify-ca, verify-full",
            "PGPORT=80000: must be a port",
            "PGHOST=a,b: names several hosts",
            "PGPASSWORD=(empty): a secret that was not filled in?",
        ] {
            assert!(said.contains(part), "{part}: {said}");
        }
        assert!(read(&[("PGSSLMODE", "verify_full")]).is_ok(), "the embedded server is not dialed by it");
    }

    #[test]
    fn both_addresses_are_told_with_everything_else_that_is_wrong_and_never_shown() {
        let said = read(&[
            ("DATABASE_URL", "mysql://me:hush@db/shop"),
            ("FOREBAY_POOL_URL", "postgres://me:hush@db/shop?sslmode=verify-ca"),
            ("FOREBAY_DRAIN_MS", "10s"),
        ])
        .unwrap_err();
        for part in ["3 settings are wrong", "DATABASE_URL=(not shown): begins with `mysql://`", "needs sslrootcert"] {
            assert!(said.contains(part), "{part}: {said}");
        }
        assert!(!said.contains("hush") && !said.contains("is not set"), "{said}");
    }

    #[test]
    fn an_empty_address_is_a_fault_and_not_the_embedded_server() {
        let said = read(&[("DATABASE_URL", "")]).unwrap_err();
        assert!(said.contains("DATABASE_URL=(empty): a secret that was not filled in?"), "{said}");
    }

    #[test]
    fn the_systems_authorities_are_too_many_where_a_file_names_them() {
        let folder = tempfile::tempdir().unwrap();
        let ca = folder.path().join("ca.pem");
        std::fs::write(&ca, "-----BEGIN CERTIFICATE-----\n").unwrap();
        let own = format!("postgres://db/shop?sslmode=verify-full&sslrootcert={}", ca.display());
        let systems = "postgres://db/shop?sslmode=verify-full";
        let too_many = |pairs: &[(&str, &str)]| read(pairs).map(|config| config.trusts_too_many);
        let (url, nobody) = (("DATABASE_URL", own.as_str()), ("SSL_CERT_FILE", "/dev/null"));
        assert_eq!(too_many(&[url]), Ok(true));
        assert_eq!(too_many(&[url, nobody]), Ok(false));
        assert_eq!(too_many(&[url, nobody, ("SSL_CERT_DIR", "/etc/ssl/certs")]), Ok(true));
        assert_eq!(too_many(&[("DATABASE_URL", systems)]), Ok(false));
        assert!(too_many(&[url, ("FOREBAY_POOL_URL", systems)]).unwrap_err().contains("name sslrootcert in both"));
    }
}
