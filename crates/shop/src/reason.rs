//! Why a database cannot be had, and what to do about it.

use std::{fmt, io};

use forebay_pool::describe;
use sqlx::postgres::PgConnectOptions;

/// Why a connection could not be opened or used, in words that help.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reason {
    said: String,
    advice: Option<String>,
    /// Whether waiting changes nothing: somebody has to do something first.
    is_final: bool,
    /// Whether a server answered.
    answered: bool,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.said)?;
        self.advice.as_ref().map_or(Ok(()), |advice| write!(f, ". {advice}"))
    }
}

impl Reason {
    /// What `error` means to somebody who dialed by `options`.
    pub(crate) fn of(error: &sqlx::Error, options: &PgConnectOptions) -> Self {
        let plain = Self { said: describe(error).to_string(), advice: None, is_final: false, answered: false };
        match error {
            sqlx::Error::Database(answer) => {
                let code = answer.code().unwrap_or_default();
                Self { answered: true, ..plain }.of_answer(&code, answer.message(), options)
            }
            sqlx::Error::Io(error) => plain.of_network(error, options),
            // A server that can begin no session says so before it has read the question.
            sqlx::Error::Protocol(said) if said.ends_with("0x45") => plain,
            sqlx::Error::Protocol(_) => plain.no_postgres(),
            sqlx::Error::Tls(_) | sqlx::Error::Configuration(_) => {
                let advice = tls_advice(&plain.said, options.get_host());
                Self { is_final: true, ..plain.advising(advice) }
            }
            _ => plain,
        }
    }

    /// It took longer than that.
    pub(crate) fn silence(seconds: u64) -> Self {
        Self { said: format!("no answer within {seconds} s"), advice: None, is_final: false, answered: false }
            .advising(NOBODY)
    }

    /// Whether waiting changes nothing.
    pub(crate) const fn is_final(&self) -> bool {
        self.is_final
    }

    /// Whether a server answered.
    pub(crate) const fn answered(&self) -> bool {
        self.answered
    }

    fn advising(self, advice: impl Into<String>) -> Self {
        Self { advice: Some(advice.into()), ..self }
    }

    fn of_answer(self, code: &str, message: &str, options: &PgConnectOptions) -> Self {
        let (user, database) = (options.get_username(), database(options));
        let is_final = ["28", "42", "22", "0A"].iter().any(|class| code.starts_with(class));
        let this = Self { is_final, ..self };
        match code {
            "3D000" => {
                let place = server_arguments(options);
                this.advising(format!("The server runs; make the database: `createdb {place} -O {user} {database}`"))
            }
            "28P01" => this.advising("The user or the password in DATABASE_URL (or PGUSER, PGPASSWORD) is wrong"),
            "28000" if message.contains("no encryption") => {
                this.advising("The server wants encryption: sslmode=require in DATABASE_URL, or better verify-full")
            }
            "28000" if message.contains("certificate") => {
                this.advising("The server wants a client's certificate: sslcert and sslkey in DATABASE_URL")
            }
            "28000" => this.advising(format!(
                "The server does not know `{user}`, or its pg_hba.conf does not let that role in from here"
            )),
            "42501" => match grant(message, user) {
                Some(grant) => this.advising(grant),
                None => this.advising(format!("The role `{user}` lacks a right")),
            },
            "53300" => this.advising("Its connections are used up: end some sessions, or raise max_connections"),
            "25006" => this.advising("It takes no writes: is it a standby?"),
            _ => this,
        }
    }

    fn of_network(self, error: &io::Error, options: &PgConnectOptions) -> Self {
        let said = error.to_string();
        match error.kind() {
            // What rustls refuses arrives so.
            io::ErrorKind::InvalidData => {
                let advice = tls_advice(&said, options.get_host());
                let said = format!("the encryption failed: {said}");
                Self { said, is_final: true, answered: true, ..self }.advising(advice)
            }
            io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => self.advising(CLOSED),
            io::ErrorKind::UnexpectedEof if said.contains("got 0 bytes") => self.advising(CLOSED),
            io::ErrorKind::UnexpectedEof => self.no_postgres(),
            _ if said.contains("lookup address") => {
                let host = options.get_host().to_owned();
                self.advising(format!("The name `{host}` is not known here: is it spelt right?"))
            }
            _ => self.advising(NOBODY),
        }
    }

    fn no_postgres(self) -> Self {
        let said = "what answers there is no Postgres server".to_owned();
        Self { said, advice: None, is_final: true, answered: true }.advising("Are host and port in DATABASE_URL right?")
    }
}

/// To whoever got no answer.
const NOBODY: &str = "Is it running, and is DATABASE_URL right?";

/// To whoever was cut off.
const CLOSED: &str = "Something closed the connection without an answer: is that a Postgres server?";

/// The database that is asked for.
pub(crate) fn database(options: &PgConnectOptions) -> &str {
    options.get_database().unwrap_or(options.get_username())
}

/// Which server, for the programs that come with Postgres.
fn server_arguments(options: &PgConnectOptions) -> String {
    let host =
        options.get_socket().map_or_else(|| options.get_host().to_owned(), |socket| socket.display().to_string());
    format!("-h {host} -p {}", options.get_port())
}

/// What to say to the server, as somebody who may, when it denied `user` something.
pub(crate) fn grant(message: &str, user: &str) -> Option<String> {
    if message.starts_with("must be owner of") {
        return Some(format!("Run it as the role that made the schema, or make `{user}` a member of that role"));
    }
    let (kind, name) = message.strip_prefix("permission denied for ")?.split_once(' ')?;
    let name = name.trim_matches('"');
    let (right, on) = match kind {
        "schema" => ("USAGE, CREATE", "SCHEMA"),
        "database" => ("CONNECT, CREATE", "DATABASE"),
        "table" | "view" | "relation" => ("SELECT", "TABLE"),
        "sequence" => ("USAGE", "SEQUENCE"),
        "function" => ("EXECUTE", "FUNCTION"),
        _ => return None,
    };
    Some(format!("As the owner or a superuser say: GRANT {right} ON {on} {name} TO {user}"))
}

/// What to do about a fault of encryption. The words are those of rustls, whose types are not to be had here.
fn tls_advice(said: &str, host: &str) -> String {
    let has = |part: &str| said.contains(part);
    if has("does not support TLS") {
        "Switch `ssl` on in the server, or say sslmode=prefer or disable in DATABASE_URL".to_owned()
    } else if has("UnknownIssuer") || has("BadSignature") {
        "The authority that signed the server's certificate is not in the file that sslrootcert names".to_owned()
    } else if has("not valid for name") || has("NotValidForName") {
        format!("The server's certificate must bear `{host}` as subjectAltName (the common name does not count)")
    } else if has("CaUsedAsEndEntity") {
        "The server shows the certificate of an authority: sign another one with it for the server (CA:FALSE)"
            .to_owned()
    } else if has("Expired") || has("expired") {
        "The server's certificate has expired".to_owned()
    } else if has("UnsupportedCertVersion") {
        "The server's certificate is of version 1: make one of version 3, with a subjectAltName".to_owned()
    } else if has("received fatal alert") {
        "The server refuses our side: is its client authority the one that signed the file of sslcert?".to_owned()
    } else if has("corrupt message") {
        "Is that a Postgres server?".to_owned()
    } else {
        "See sslmode, sslrootcert, sslcert and sslkey in DATABASE_URL".to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whom_to_grant_what_is_read_from_what_the_server_denied() {
        let said = |message| grant(message, "shop");
        for (message, part) in [
            ("permission denied for schema public", "GRANT USAGE, CREATE ON SCHEMA public TO shop"),
            ("permission denied for database \"shop\"", "GRANT CONNECT, CREATE ON DATABASE shop TO shop"),
            ("permission denied for view pg_stat_activity", "GRANT SELECT ON TABLE pg_stat_activity TO shop"),
            ("permission denied for table _sqlx_migrations", "GRANT SELECT ON TABLE _sqlx_migrations TO shop"),
            ("must be owner of table products", "member of that role"),
        ] {
            assert!(said(message).unwrap().contains(part), "{message}");
        }
        assert_eq!(said("keine Berechtigung für Schema public"), None);
    }

    #[test]
    fn what_is_no_postgres_is_told_from_a_server_that_went_away() {
        let options = PgConnectOptions::new_without_pgpass().host("db");
        let eof = |text: &str| sqlx::Error::Io(io::Error::new(io::ErrorKind::UnexpectedEof, text.to_owned()));
        let other = Reason::of(&eof("expected to read 1414811696 bytes, got 103 bytes at EOF"), &options);
        assert!(other.is_final() && other.to_string().contains("is no Postgres server"), "{other}");
        let gone = Reason::of(&eof("expected to read 5 bytes, got 0 bytes at EOF"), &options);
        assert!(!gone.is_final(), "{gone}");
    }
}
