//! The address of the database, read before the driver reads it its own way.
//!
//! sqlx looks at no scheme (`mysql://` is dialed as Postgres, `jdbc:postgresql://db/shop` becomes localhost), takes a list of
//! hosts for one name, and logs the values of parameters that it does not know. So what it gets is written anew here, from
//! parts that can be read in one way only.

use std::{collections::BTreeMap, fmt, str::FromStr};

use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use sqlx::{ConnectOptions as _, postgres::PgConnectOptions};

mod tls;

pub(crate) use tls::{Libpq, MODES};
pub use tls::{Tls, TlsFault};

/// What an address looks like.
pub(crate) const EXAMPLE: &str = "postgres://user:password@localhost:5432/shop";

/// Where one Postgres server is, who asks, and how: all that its text says, checked. What it does not say comes from
/// `PGPASSWORD` and the other variables of libpq.
#[derive(Clone)]
pub struct Address {
    /// By the names of libpq.
    parts: BTreeMap<Part, String>,
    ignored: Vec<String>,
    tls: Tls,
}

/// Shows everything but the password.
impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let part = |part| self.part(part).unwrap_or_default();
        let password = if self.part(Part::Password).is_some() { ":***" } else { "" };
        let at = if self.part(Part::User).is_some() || !password.is_empty() { "@" } else { "" };
        let port = self.part(Part::Port).map_or_else(String::new, |port| format!(":{port}"));
        let host =
            if part(Part::Host).contains(':') { format!("[{}]", part(Part::Host)) } else { part(Part::Host).into() };
        write!(f, "postgres://{}{password}{at}{host}{port}/{}", part(Part::User), part(Part::Database))?;
        let rest = [Part::HostAddress, Part::Mode, Part::RootCertificate, Part::Certificate, Part::Key, Part::Options];
        let mut mark = '?';
        for (name, value) in rest.iter().filter_map(|part| Some((part.name(), self.part(*part)?))) {
            write!(f, "{mark}{name}={value}")?;
            mark = '&';
        }
        Ok(())
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Address").field(&self.to_string()).finish()
    }
}

/// Why a text is no address of a Postgres server. Nothing of the text is in it but the scheme and names of parameters.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct AddressFault(String);

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Part {
    User,
    Password,
    Host,
    HostAddress,
    Port,
    Database,
    Mode,
    RootCertificate,
    Certificate,
    Key,
    Options,
    Cache,
}

/// Each with the name by which sqlx takes it, and others that mean the same.
const PARTS: [(Part, &[&str]); 12] = [
    (Part::User, &["user"]),
    (Part::Password, &["password"]),
    (Part::Host, &["host"]),
    (Part::HostAddress, &["hostaddr"]),
    (Part::Port, &["port"]),
    (Part::Database, &["dbname"]),
    (Part::Mode, &["sslmode", "ssl-mode"]),
    (Part::RootCertificate, &["sslrootcert", "ssl-root-cert", "ssl-ca"]),
    (Part::Certificate, &["sslcert", "ssl-cert"]),
    (Part::Key, &["sslkey", "ssl-key"]),
    (Part::Options, &["options"]),
    (Part::Cache, &["statement-cache-capacity"]),
];

impl Part {
    fn named(name: &str) -> Option<Self> {
        PARTS.iter().find(|(_, names)| names.contains(&name)).map(|(part, _)| *part)
    }

    fn name(self) -> &'static str {
        PARTS.iter().find(|(part, _)| *part == self).map_or("", |(_, names)| names[0])
    }
}

impl Address {
    /// What sqlx dials.
    pub fn options(&self) -> PgConnectOptions {
        let driven = self.parts.iter().filter(|(part, _)| !part.is_of_tls());
        let pairs =
            driven.map(|(part, value)| format!("{}={}", part.name(), utf8_percent_encode(value, NON_ALPHANUMERIC)));
        let url = format!("postgres:///?{}", pairs.collect::<Vec<_>>().join("&"));
        let options = PgConnectOptions::from_str(&url).expect("its parts were checked");
        self.tls.applied_to(options).disable_statement_logging()
    }

    /// Names of parameters that are not known here, and so do nothing.
    pub fn ignored(&self) -> &[String] {
        &self.ignored
    }

    /// The password that the text holds.
    pub(crate) fn password(&self) -> Option<&str> {
        self.part(Part::Password)
    }

    /// How its connections are encrypted.
    pub fn tls(&self) -> &Tls {
        &self.tls
    }

    /// The same, with what it says of TLS and what libpq's variables say, put together and checked.
    pub(crate) fn secured(self, libpq: &Libpq) -> Result<Self, TlsFault> {
        Ok(Self { tls: Tls::of(&self, libpq)?, ..self })
    }

    fn part(&self, part: Part) -> Option<&str> {
        self.parts.get(&part).map(String::as_str)
    }
}

impl Part {
    const fn is_of_tls(self) -> bool {
        matches!(self, Self::Mode | Self::RootCertificate | Self::Certificate | Self::Key)
    }
}

impl FromStr for Address {
    type Err = AddressFault;

    fn from_str(text: &str) -> Result<Self, AddressFault> {
        let rest = after_scheme(text)?;
        if rest.contains('#') {
            return fault("contains a `#`, at which an address ends: in a name or a password it is written %23");
        }
        if rest.contains(|c: char| c.is_whitespace() || c.is_control()) {
            return fault("contains a space or a control character: a space is written %20");
        }
        let (place, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (authority, database) = place.split_once('/').unwrap_or((place, ""));
        let mut address = Self { parts: BTreeMap::new(), ignored: Vec::new(), tls: Tls::default() };
        if database.contains(['@', '/']) || query.split('&').any(|pair| key(pair).contains('@')) {
            return fault(
                "has a `/` or a `@` after its host: in a user's name or a password `/` is written %2F, `?` %3F, `@` %40, `:` %3A",
            );
        }
        address.read_authority(authority)?;
        address.set(Part::Database, database, "the database's name")?;
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            address.read_parameter(key(pair), pair.split_once('=').map_or("", |(_, value)| value))?;
        }
        address.check()?;
        Ok(address)
    }
}

impl Address {
    fn read_authority(&mut self, authority: &str) -> Result<(), AddressFault> {
        let (user, place) = authority.rsplit_once('@').unwrap_or(("", authority));
        let (user, password) = user.split_once(':').unwrap_or((user, ""));
        self.set(Part::User, user, "the user's name")?;
        self.set(Part::Password, password, "the password")?;
        if place.contains(',') {
            return several();
        }
        let (host, port) = match place.strip_prefix('[') {
            Some(rest) => {
                let Some((host, port)) = rest.split_once(']') else {
                    return fault("has a `[` before its host and no `]` after it");
                };
                (host, port.strip_prefix(':').unwrap_or(port))
            }
            None if place.matches(':').count() > 1 => {
                return fault("has several `:` in its host: an address of IPv6 stands in brackets, such as [::1]:5432");
            }
            None => place.split_once(':').unwrap_or((place, "")),
        };
        self.set(Part::Host, host, "the host")?;
        self.set(Part::Port, port, "the port")
    }

    fn read_parameter(&mut self, name: &str, value: &str) -> Result<(), AddressFault> {
        let name = decoded(name, "the name of a parameter")?;
        if let Some(part) = Part::named(&name) {
            return self.set(part, value, &format!("the parameter {name}"));
        }
        // sqlx's own form of one option.
        if let Some(option) = name.strip_prefix("options[").and_then(|rest| rest.strip_suffix(']')) {
            let value = decoded(value, "a parameter options[..]")?;
            let one = format!("{option}={value}").replace('\\', r"\\").replace(' ', r"\ ");
            let all = self.part(Part::Options).map_or_else(String::new, |before| format!("{before} "));
            self.parts.insert(Part::Options, format!("{all}-c {one}"));
            return Ok(());
        }
        let readable = name.len() <= 40 && name.chars().all(|c| c.is_ascii_alphanumeric() || "_-.".contains(c));
        self.ignored.push(if readable { name } else { "(one with an odd name)".to_owned() });
        Ok(())
    }

    /// What is empty is as if it were not there.
    fn set(&mut self, part: Part, text: &str, what: &str) -> Result<(), AddressFault> {
        if !text.is_empty() {
            self.parts.insert(part, decoded(text, what)?);
        }
        Ok(())
    }

    fn check(&self) -> Result<(), AddressFault> {
        if let Some(host) = self.part(Part::Host) {
            if host.contains(',') {
                return several();
            }
            let is_socket = host.starts_with('/');
            if !is_socket && host.contains(['/', '@', '[', ']', '%']) {
                return fault(
                    "has a host with characters that no name has; a unix socket is the absolute path of its folder",
                );
            }
        }
        if self.part(Part::HostAddress).is_some_and(|address| address.parse::<std::net::IpAddr>().is_err()) {
            return fault("has a parameter hostaddr that is no IP address");
        }
        if self.part(Part::Port).is_some_and(|port| !port.parse::<u16>().is_ok_and(|port| port > 0)) {
            return fault("has a port that is no whole number from 1 to 65535");
        }
        if self.part(Part::Cache).is_some_and(|size| size.parse::<usize>().is_err()) {
            return fault("has a parameter statement-cache-capacity that is no whole number");
        }
        Ok(())
    }
}

fn key(pair: &str) -> &str {
    pair.split_once('=').map_or(pair, |(key, _)| key)
}

/// What follows `postgres://`.
fn after_scheme(text: &str) -> Result<&str, AddressFault> {
    if text.get(..5).is_some_and(|start| start.eq_ignore_ascii_case("jdbc:")) {
        return fault(
            "begins with `jdbc:`, the form of Java: begin with postgres://, and put user and password before the host",
        );
    }
    let Some((scheme, rest)) = text.split_once("://") else {
        return if text.contains("host=") || text.contains("dbname=") {
            fault("is a list of keywords: write it as an address")
        } else {
            fault("does not begin with postgres://")
        };
    };
    if ["postgres", "postgresql"].iter().any(|known| known.eq_ignore_ascii_case(scheme)) {
        return Ok(rest);
    }
    let is_scheme = scheme.len() <= 30 && scheme.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c));
    if is_scheme && !scheme.is_empty() {
        fault(format!("begins with `{scheme}://`, and this shop needs Postgres: postgres://"))
    } else {
        fault("does not begin with postgres://")
    }
}

fn fault<T>(wrong: impl Into<String>) -> Result<T, AddressFault> {
    Err(AddressFault(wrong.into()))
}

fn several<T>() -> Result<T, AddressFault> {
    fault(
        "names several hosts, and this shop dials one: give a name that stands for all their addresses (they are tried side \
         by side), or a proxy before them",
    )
}

/// Undoes percent-encoding. A `+` is a `+`, as libpq has it.
fn decoded(text: &str, what: &str) -> Result<String, AddressFault> {
    let escapes = text.split('%').skip(1);
    let broken = |escape: &str| !escape.get(..2).is_some_and(|two| two.bytes().all(|byte| byte.is_ascii_hexdigit()));
    if escapes.into_iter().any(broken) {
        return fault(format!("has a `%` in {what} that begins no escape: a percent sign is written %25"));
    }
    match percent_decode_str(text).decode_utf8() {
        Ok(decoded) if !decoded.contains('\0') => Ok(decoded.into_owned()),
        _ => fault(format!("has an escape in {what} that is no UTF-8 text")),
    }
}

#[cfg(test)]
mod tests;
