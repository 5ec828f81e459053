//! Asks an issuer for its keys, once.

use std::time::Duration;

use axum::body::Bytes;
use http::header::{ACCEPT, CONNECTION};
use http::{Request, StatusCode};

use super::jwks_uri::JwksUri;
use super::key_set::{KeySet, Unusable};
use crate::outbound::{self, Outbound, OutboundError};

/// For all of it: the name, the connection, the last byte.
pub(super) const LIMIT: Duration = Duration::from_secs(1);

/// The largest document, in bytes.
const MAX_SIZE: usize = 64 * 1024;

/// Why the keys were not had.
#[derive(Debug, thiserror::Error)]
pub(super) enum FetchError {
    #[error(transparent)]
    Unanswered(#[from] OutboundError),
    #[error("the answer is {status}")]
    Status { status: StatusCode, told: Duration },
    #[error("the document is of no use: {0}")]
    Unusable(#[from] Unusable),
}

impl FetchError {
    /// How long the issuer asked to be left alone.
    pub(super) fn told(&self) -> Duration {
        if let Self::Status { told, .. } = self { *told } else { Duration::ZERO }
    }
}

/// A client for it: when to ask again is the [keyring](super::keyring)'s to decide.
pub(super) fn client() -> Outbound {
    Outbound::new().without_repetitions().longest_body(MAX_SIZE)
}

/// Asks at `uri`, over a connection of its own; follows no redirect. Dropping the future closes the connection.
pub(super) async fn fetch(client: &Outbound, uri: &JwksUri) -> Result<KeySet, FetchError> {
    let answer = client.send(request(uri), LIMIT).await?;
    if answer.status() != StatusCode::OK {
        return Err(FetchError::Status { status: answer.status(), told: outbound::told(&answer) });
    }
    Ok(KeySet::parse(answer.body())?)
}

fn request(uri: &JwksUri) -> Request<Bytes> {
    Request::get(uri.as_uri())
        .header(ACCEPT, "application/jwk-set+json, application/json")
        .header(CONNECTION, "close")
        .body(Bytes::new())
        .expect("a valid URI makes a valid request")
}
