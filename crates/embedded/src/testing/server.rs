//! The server that the tests of a process share: embedded, or in a container.

use std::error::Error;

use super::choice::Choice;
#[cfg(feature = "testing-containers")]
use super::container::Container;
use crate::Server;

/// What both kinds are told.
const SETTINGS: [(&str, &str); 4] =
    [("max_connections", "200"), ("shared_buffers", "32MB"), ("max_wal_size", "256MB"), ("log_statement", "none")];

/// The running server that all tests of a process share.
#[derive(Debug)]
pub struct TestServer(Kind);

#[derive(Debug)]
enum Kind {
    Embedded(Server),
    #[cfg(feature = "testing-containers")]
    Container(Box<Container>),
}

impl TestServer {
    /// Starts the kind that the environment names. If the future is dropped, whatever it started is stopped.
    pub(super) async fn start() -> Result<Self, Box<dyn Error + Send + Sync>> {
        let kind = match Choice::of_environment()? {
            Choice::Embedded => {
                let settings = SETTINGS.map(|(name, value)| (name.to_owned(), value.to_owned()));
                Kind::Embedded(Server::start_temporary(settings.into(), |_| {}).await?)
            }
            #[cfg(feature = "testing-containers")]
            Choice::Container(image) => Kind::Container(Container::start(&image, &SETTINGS).await?.into()),
        };
        Ok(Self(kind))
    }

    /// The address of `database`, as superuser, as `PgConnectOptions::from_str` reads it.
    pub fn url(&self, database: &str) -> String {
        match &self.0 {
            Kind::Embedded(server) => server.url(database),
            #[cfg(feature = "testing-containers")]
            Kind::Container(container) => container.url(database),
        }
    }

    /// The server itself, where it is embedded: for what only that kind has, such as its socket.
    pub fn embedded(&self) -> Option<&Server> {
        match &self.0 {
            Kind::Embedded(server) => Some(server),
            #[cfg(feature = "testing-containers")]
            Kind::Container(_) => None,
        }
    }

    /// What to read when something failed.
    pub(super) async fn log(&self) -> String {
        match &self.0 {
            Kind::Embedded(server) => format!("the server's log is {}", server.log_file().display()),
            #[cfg(feature = "testing-containers")]
            Kind::Container(container) => format!("the end of the container's log:\n{}", container.log().await),
        }
    }
}
