//! `shop check`: tries what a start needs, one after the other, and changes nothing.

use std::{net::SocketAddr, path::Path, time::Duration};

use axum::http::Uri;
use forebay_platform::config::ConfigFaults;
use tokio::{net::TcpStream, time::timeout};

use crate::{
    Config, Failure, Purpose, Service, place,
    running::listen,
    signing_key::{self, KeyError},
};

mod database;

/// For a look at another service.
const LOOK_LIMIT: Duration = Duration::from_secs(3);

/// What one look found.
#[derive(Debug)]
enum Found {
    Well(String),
    /// It works, and somebody should know.
    Noted(String),
    Wrong(String),
}

impl<E: std::fmt::Display> From<Result<String, E>> for Found {
    fn from(result: Result<String, E>) -> Self {
        result.map_or_else(|wrong| Self::Wrong(wrong.to_string()), Self::Well)
    }
}

/// Says each line as it is known, and whether one was wrong.
struct Report<S> {
    say: S,
    is_well: bool,
}

impl<S: Fn(&str)> Report<S> {
    fn line(&mut self, what: &str, found: impl Into<Found>) {
        let (verdict, text) = match found.into() {
            Found::Well(text) => ("ok", text),
            Found::Noted(text) => ("note", text),
            Found::Wrong(text) => ("wrong", text),
        };
        self.is_well &= verdict != "wrong";
        (self.say)(&format!("{verdict:<6}{what:<13}{}", text.replace('\n', "\n                   ")));
    }
}

/// Tries everything that a start with this purpose needs; `say` hears a line for each, and of `unknown` variables. True when nothing is wrong. Takes no
/// longer than some seconds for each line; dropping the future leaves nothing behind.
pub async fn check(
    config: Result<&Config, &ConfigFaults>,
    unknown: &[String],
    purpose: Purpose,
    say: impl Fn(&str),
) -> bool {
    let mut report = Report { say, is_well: true };
    for name in unknown {
        report.line("settings", Found::Noted(format!("{name} is not known, and does nothing: misspelt?")));
    }
    let config = match config {
        Ok(config) => config,
        Err(faults) => {
            report.line("settings", Found::Wrong(faults.to_string()));
            return false;
        }
    };
    report.line("settings", Found::Well("each is well-formed; `shop config` lists them".to_owned()));
    for (name, parameter) in config.ignored_parameters() {
        report.line(
            "settings",
            Found::Noted(format!("{name}: the parameter `{parameter}` is not known, and does nothing")),
        );
    }
    if purpose != Purpose::Schema {
        report.line("public port", port(config.http, "FOREBAY_HTTP").await);
        report.line("admin port", port(config.admin, "FOREBAY_ADMIN").await);
    }
    if matches!(purpose, Purpose::Up | Purpose::Serve(Service::Auth)) {
        report.line("signing key", key(config));
    }
    if let Some(uri) = config.jwks.as_ref().filter(|_| purpose == Purpose::Serve(Service::Checkout)) {
        report.line("keys", keys(&uri.to_string()).await);
    }
    match &config.database_url {
        Some(address) => database::check(config, purpose, address, &mut report).await,
        None => report.line("database", embedded(config)),
    }
    report.is_well
}

async fn port(address: SocketAddr, setting: &'static str) -> Result<String, Failure> {
    listen(address, setting).await.map(|_listener| format!("{address} is free"))
}

/// The folder of the settings, whether it is there or not.
fn folder(config: &Config) -> &Path {
    config.data_dir.as_deref().unwrap_or(Path::new(".forebay"))
}

fn key(config: &Config) -> Result<String, KeyError> {
    let usual = folder(config).join(signing_key::USUAL);
    let said = match &config.signing_key_file {
        Some(path) => {
            signing_key::read(path).map_err(KeyError::named_by("FOREBAY_SIGNING_KEY_FILE"))?;
            format!("{} is one", path.display())
        }
        None if usual.exists() => {
            signing_key::read(&usual)?;
            format!("{} is one", usual.display())
        }
        None => format!("{} is made by the first start", usual.display()),
    };
    if let Some(path) = &config.previous_key_file {
        signing_key::read(path).map_err(KeyError::named_by("FOREBAY_PREVIOUS_KEY_FILE"))?;
    }
    Ok(said)
}

/// Checkout starts without them, and asks again.
async fn keys(uri: &str) -> Found {
    let later =
        |why: String| Found::Noted(format!("{uri} does not answer now ({why}); checkout asks again while it serves"));
    let Some(authority) = uri.parse::<Uri>().ok().and_then(|uri| uri.authority().cloned()) else {
        return later("no address".to_owned());
    };
    let at = (authority.host().trim_matches(['[', ']']).to_owned(), authority.port_u16().unwrap_or(80));
    match timeout(LOOK_LIMIT, TcpStream::connect(at)).await {
        Ok(Ok(_connected)) => Found::Well(format!("somebody answers at {authority}")),
        Ok(Err(error)) => later(error.to_string()),
        Err(_elapsed) => later(format!("nothing within {} s", LOOK_LIMIT.as_secs())),
    }
}

/// The server that a start would start: its programs, its folder, its port.
fn embedded(config: &Config) -> Found {
    let programs = match forebay_embedded::find_programs() {
        Ok(programs) => programs,
        Err(error) => return Found::Wrong(Failure::from(crate::database::DatabaseError::from(error)).to_string()),
    };
    let folder = folder(config);
    if let Some(file) = place::file_in_the_way(folder) {
        return Found::Wrong(format!(
            "{} is a file, and is to be the data folder: name another with FOREBAY_DATA",
            file.display()
        ));
    }
    if let Some(port) = config.pg_port
        && std::net::TcpListener::bind(("127.0.0.1", port)).is_err()
    {
        return Found::Wrong(format!("127.0.0.1:{port} is in use: choose another with FOREBAY_PG_PORT, or unset it"));
    }
    let state = if folder.join("pg").join("PG_VERSION").exists() { "holds one" } else { "gets one" };
    Found::Well(format!("a start runs its own server, Postgres {}; {} {state}", programs.major, folder.display()))
}
