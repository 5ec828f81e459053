//! How connections to the database are encrypted, by libpq's words.

use std::{
    fmt, fs,
    path::{Path, PathBuf},
};

use sqlx::postgres::{PgConnectOptions, PgSslMode};

use super::{Address, Part};

/// The values of `sslmode`. sqlx encrypts nothing in `allow`, also where the server insists on it: who allows it is served
/// by `prefer`.
pub(crate) const MODES: [(&str, Mode); 6] = [
    ("disable", Mode::Disable),
    ("allow", Mode::Prefer),
    ("prefer", Mode::Prefer),
    ("require", Mode::Require),
    ("verify-ca", Mode::VerifyCa),
    ("verify-full", Mode::VerifyFull),
];

/// How much is asked of the server, in rising order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Mode {
    Disable,
    #[default]
    Prefer,
    Require,
    VerifyCa,
    VerifyFull,
}

/// What libpq's variables say of TLS; sqlx reads them too, but for a mode that it does not know, which it passes over.
#[derive(Clone, Debug, Default)]
pub(crate) struct Libpq {
    pub(crate) mode: Option<Mode>,
    pub(crate) root_certificate: Option<String>,
    pub(crate) certificate: Option<String>,
    pub(crate) key: Option<String>,
}

/// How the connections of an address are encrypted, and what the server has to prove.
#[derive(Clone, Debug, Default)]
pub struct Tls {
    mode: Mode,
    root_certificate: Option<PathBuf>,
    certificate: Option<PathBuf>,
    key: Option<PathBuf>,
    /// Whether only the authorities of a file are trusted.
    own_authorities: bool,
}

/// What does not fit together.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct TlsFault(String);

/// The word for the authorities that the system trusts.
const SYSTEM: &str = "system";

impl Tls {
    pub(super) fn of(address: &Address, libpq: &Libpq) -> Result<Self, TlsFault> {
        let given = match address.part(Part::Mode) {
            Some(word) => Some(mode(word)?),
            None => libpq.mode,
        };
        if address.is_socket() {
            return Ok(Self { mode: Mode::Disable, ..Self::default() });
        }
        if address.part(Part::RootCertificate).is_none() && libpq.root_certificate.as_deref() == Some(SYSTEM) {
            return fault("PGSSLROOTCERT=system is a file's name to the driver: say sslrootcert=system in the address");
        }
        let root = Source::of(address, Part::RootCertificate, libpq.root_certificate.as_deref());
        let system = root.is(SYSTEM);
        let mode = match given {
            Some(mode) if system && mode != Mode::VerifyFull => {
                return fault(
                    "sslrootcert=system needs sslmode=verify-full: everybody can have some certificate of a public authority",
                );
            }
            // As libpq has it: who names an authority wants it to be asked for.
            Some(Mode::Require) if root.is_given() => Mode::VerifyCa,
            Some(mode) => mode,
            None if system => Mode::VerifyFull,
            None => Mode::default(),
        };
        if mode == Mode::Disable {
            return Ok(Self { mode, ..Self::default() });
        }
        if mode == Mode::VerifyCa && !root.is_given() {
            return fault("sslmode=verify-ca needs sslrootcert, the file with your authority's certificate");
        }
        if mode == Mode::VerifyFull && address.part(Part::HostAddress).is_some() && address.part(Part::Host).is_some() {
            return fault("the driver checks the name that it dials: with sslmode=verify-full leave out hostaddr");
        }
        let certificate = Source::of(address, Part::Certificate, libpq.certificate.as_deref());
        let key = Source::of(address, Part::Key, libpq.key.as_deref());
        if certificate.is_given() != key.is_given() {
            return fault("sslcert and sslkey belong together: one of them is missing");
        }
        if !system {
            root.check("sslrootcert", "CERTIFICATE-----")?;
        }
        certificate.check("sslcert", "CERTIFICATE-----")?;
        key.check("sslkey", "PRIVATE KEY-----")?;
        Ok(Self {
            mode,
            own_authorities: root.is_given() && !system && mode >= Mode::VerifyCa,
            root_certificate: root.path_in_address().filter(|_| !system),
            certificate: certificate.path_in_address(),
            key: key.path_in_address(),
        })
    }

    /// Options that dial so. What came from libpq's variables sqlx has read by itself.
    pub(super) fn applied_to(&self, options: PgConnectOptions) -> PgConnectOptions {
        let mut options = options.ssl_mode(match self.mode {
            Mode::Disable => PgSslMode::Disable,
            Mode::Prefer => PgSslMode::Prefer,
            Mode::Require => PgSslMode::Require,
            Mode::VerifyCa => PgSslMode::VerifyCa,
            Mode::VerifyFull => PgSslMode::VerifyFull,
        });
        // sqlx asks for encryption over a unix socket too, which no server gives.
        if options.get_socket().is_some() || options.get_host().starts_with('/') {
            options = options.ssl_mode(PgSslMode::Disable);
        }
        if let Some(root) = &self.root_certificate {
            options = options.ssl_root_cert(root);
        }
        if let Some(certificate) = &self.certificate {
            options = options.ssl_client_cert(certificate);
        }
        if let Some(key) = &self.key {
            options = options.ssl_client_key(key);
        }
        options
    }

    /// Whether the server proves who it is to a file of authorities, and to those alone.
    pub(crate) const fn trusts_its_own_authorities(&self) -> bool {
        self.own_authorities
    }

    /// Whether the server proves who it is to the authorities that the system trusts.
    pub(crate) fn trusts_those_of_the_system(&self) -> bool {
        self.mode == Mode::VerifyFull && !self.own_authorities
    }
}

/// The mode, as libpq writes it.
impl fmt::Display for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = MODES.iter().rfind(|(_, mode)| *mode == self.mode).map_or("", |(word, _)| word);
        f.write_str(word)
    }
}

impl Address {
    fn is_socket(&self) -> bool {
        self.part(Part::Host).is_some_and(|host| host.starts_with('/'))
    }
}

/// One file, and who names it.
#[derive(Clone, Copy, Debug)]
enum Source<'a> {
    Address(&'a str),
    Libpq(&'a str),
    Nobody,
}

impl<'a> Source<'a> {
    fn of(address: &'a Address, part: Part, libpq: Option<&'a str>) -> Self {
        match (address.part(part), libpq) {
            (Some(path), _) => Self::Address(path),
            (None, Some(path)) => Self::Libpq(path),
            (None, None) => Self::Nobody,
        }
    }

    const fn text(self) -> Option<&'a str> {
        match self {
            Self::Address(text) | Self::Libpq(text) => Some(text),
            Self::Nobody => None,
        }
    }

    fn is(self, text: &str) -> bool {
        self.text() == Some(text)
    }

    const fn is_given(self) -> bool {
        !matches!(self, Self::Nobody)
    }

    fn path_in_address(self) -> Option<PathBuf> {
        match self {
            Self::Address(path) => Some(path.into()),
            Self::Libpq(_) | Self::Nobody => None,
        }
    }

    /// Whether the file can be read and holds such a thing: the driver would say which file it was not.
    fn check(self, name: &str, holds: &str) -> Result<(), TlsFault> {
        let Some(path) = self.text().filter(|text| !text.trim_start().starts_with("-----BEGIN")) else { return Ok(()) };
        let pem = fs::read_to_string(Path::new(path))
            .or_else(|error| fault(format!("{name}: cannot read {path}: {error}")))?;
        if pem.contains("ENCRYPTED") && name == "sslkey" {
            let made = format!("openssl pkey -in {path} -out plain.key");
            return fault(format!("sslkey: the key in {path} is encrypted, and there is nobody to ask: `{made}`"));
        }
        if pem.contains(holds) { Ok(()) } else { fault(format!("{name}: {path} holds no PEM text of that kind")) }
    }
}

fn mode(word: &str) -> Result<Mode, TlsFault> {
    let known = MODES.iter().find(|(known, _)| *known == word).map(|(_, mode)| *mode);
    let words = || MODES.map(|(word, _)| word).join(", ");
    known.ok_or_else(|| TlsFault(format!("sslmode must be one of {}", words())))
}

fn fault<T>(wrong: impl Into<String>) -> Result<T, TlsFault> {
    Err(TlsFault(wrong.into()))
}
