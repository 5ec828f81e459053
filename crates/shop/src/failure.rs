//! Why the shop does not run.

use std::{
    io,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use forebay_auth::admins::AdminError;
use forebay_checkout::events::SubscriptionError;
use forebay_checkout::reconciliation::ReconciliationError;
use forebay_embedded::StartError;
use forebay_platform::{config::ConfigFaults, telemetry};

use crate::{
    claim::ClaimError, database::DatabaseError, migrations::MigrationFailed, place, roles::RolesError, seed::SeedError,
    signing_key::KeyError, waiting::NotReady,
};

/// Why the shop does not run, with what to do about it.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The settings.
    #[error("{0}")]
    Config(#[from] ConfigFaults),
    /// Where spans go.
    #[error("{0}")]
    Traces(#[from] telemetry::Unsendable),
    /// A port that is taken, or an address that is not ours.
    #[error("{}", busy(*.address, .variable, .source))]
    Listen {
        /// Where.
        address: SocketAddr,
        /// The setting that names it.
        variable: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// The program could not start itself again.
    #[error(
        "cannot start again with SSL_CERT_FILE=/dev/null, which keeps the system's authorities out: {0}. Set it by hand"
    )]
    Again(io::Error),
    /// The data folder.
    #[error("cannot use the data folder {}: {}. Name another with FOREBAY_DATA", path.display(), folder_fault(path, source))]
    Folder {
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The database.
    #[error("{}", no_database(.0))]
    Database(#[from] DatabaseError),
    /// What `shop serve` waited for.
    #[error("{0}")]
    NotReady(#[from] NotReady),
    /// A migration.
    #[error("{0}")]
    Migration(#[from] MigrationFailed),
    /// The seed.
    #[error(
        "filling the shop failed: {0}. Start again: what is half filled is filled anew. FOREBAY_SEED=none leaves it empty"
    )]
    Seed(#[from] SeedError),
    /// The services' roles.
    #[error("{0}")]
    Roles(#[from] RolesError),
    /// The signing key.
    #[error("{0}")]
    Key(#[from] KeyError),
    /// Checkout, alone, was not told where the keys are.
    #[error("FOREBAY_JWKS_URL is not set, and checkout has no keys of its own to verify access tokens by")]
    NoKeys,
    /// The connections that would be opened.
    #[error("{0}")]
    Claim(#[from] ClaimError),
    /// The pool's own rules.
    #[error("{0}")]
    Pool(#[from] forebay_pool::InvalidConfig),
    /// Making or unmaking an admin.
    #[error("{0}")]
    Admin(#[from] AdminError),
    /// What `shop reconcile` asked was not answered.
    #[error("cannot compare: {0}")]
    Reconciliation(#[from] ReconciliationError),
    /// `shop events`.
    #[error("{0}")]
    Events(#[from] SubscriptionError),
    /// The signals that end a process.
    #[error("cannot listen for signals: {0}")]
    Signals(io::Error),
    /// A signal, while `shop migrate`, `shop seed` or `shop admin` was at work.
    #[error("stopped before it was done. Start again: what is done stays, what is half done is undone")]
    Interrupted,
    /// The embedded server ended while the shop ran.
    #[error("Postgres ended while the shop ran ({status}); its log is {}. Start again: it recovers by itself", log.display())]
    PostgresEnded {
        /// How.
        status: String,
        /// Its log.
        log: PathBuf,
    },
}

fn busy(address: SocketAddr, variable: &str, source: &io::Error) -> String {
    match source.kind() {
        io::ErrorKind::AddrInUse => {
            let other = SocketAddr::new(address.ip(), address.port().saturating_add(1));
            format!(
                "{address} is in use, perhaps by another shop: stop that one, or choose another address, such as {variable}={other}"
            )
        }
        io::ErrorKind::PermissionDenied => {
            format!(
                "no permission to listen on {address}: choose a port above 1023, such as {variable}={}:8080",
                address.ip()
            )
        }
        _ => format!("cannot listen on {address} ({source}): choose another address with {variable}"),
    }
}

/// `File exists` and `Not a directory` do not say that what is there is a file.
fn folder_fault(path: &Path, source: &io::Error) -> String {
    match place::file_in_the_way(path) {
        Some(file) => format!("{} is a file", file.display()),
        None => source.to_string(),
    }
}

fn no_database(error: &DatabaseError) -> String {
    match error {
        DatabaseError::Start(StartError::NoPrograms { .. } | StartError::Lacks { .. }) => format!(
            "{error}.\nThere are three ways out:\n\
             \x20 1. install the package of Postgres' server (`bin/up` does it where it may), and start again;\n\
             \x20 2. `docker run -d -p 5432:5432 -e POSTGRES_PASSWORD=shop postgres:17`, then the third way with \
             postgres://postgres:shop@localhost:5432/postgres;\n\
             \x20 3. set DATABASE_URL=postgres://user:password@host:5432/database to use a server that runs elsewhere"
        ),
        DatabaseError::Connect { reason, .. } if !reason.answered() => {
            format!("{error} Without DATABASE_URL the shop starts its own")
        }
        DatabaseError::Start(StartError::PortInUse { .. }) => {
            format!("{error}. Choose another with FOREBAY_PG_PORT, or unset it: the shop itself needs none")
        }
        _ => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_without_postgres_is_told_three_ways_out() {
        let looked = vec![PathBuf::from("/usr/lib/postgresql/bin")];
        let said = Failure::from(DatabaseError::from(StartError::NoPrograms { looked })).to_string();
        for part in ["/usr/lib/postgresql/bin", "apt-get install postgresql", "three ways out", "DATABASE_URL"] {
            assert!(said.contains(part), "{part}: {said}");
        }
    }
}
