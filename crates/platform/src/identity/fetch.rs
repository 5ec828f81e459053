//! Asks an issuer for its keys, once.

use std::error::Error as StdError;
use std::io;
use std::time::Duration;

use axum::body::Bytes;
use http::header::{ACCEPT, CONNECTION, HOST};
use http::{Request, StatusCode};
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use super::jwks_uri::JwksUri;
use super::key_set::{KeySet, Unusable};

/// For all of it: the name, the connection, the last byte.
pub(super) const LIMIT: Duration = Duration::from_secs(1);

/// The largest answer, head and body each, in bytes.
const MAX_SIZE: usize = 64 * 1024;

/// Why the keys were not had.
#[derive(Debug, thiserror::Error)]
pub(super) enum FetchError {
    #[error("no whole answer within {} s", LIMIT.as_secs())]
    Late,
    #[error("cannot connect: {0}")]
    Connect(#[from] io::Error),
    #[error("the exchange broke off: {0}")]
    Exchange(#[from] hyper::Error),
    #[error("the answer is {0}")]
    Status(StatusCode),
    #[error("the body cannot be read: {0}")]
    Body(Box<dyn StdError + Send + Sync>),
    #[error("the document is of no use: {0}")]
    Unusable(#[from] Unusable),
}

/// Asks at `uri`, over a connection of its own; follows no redirect. Dropping the future closes the connection.
pub(super) async fn fetch(uri: &JwksUri) -> Result<KeySet, FetchError> {
    let document = tokio::time::timeout(LIMIT, get(uri)).await.map_err(|_elapsed| FetchError::Late)??;
    Ok(KeySet::parse(&document)?)
}

async fn get(uri: &JwksUri) -> Result<Bytes, FetchError> {
    let stream = TokioIo::new(TcpStream::connect(uri.peer()).await?);
    let (sender, connection) = http1::Builder::new().max_buf_size(MAX_SIZE).handshake(stream).await?;
    let exchange = exchange(sender, request(uri));
    tokio::pin!(exchange);
    tokio::select! {
        body = &mut exchange => body,
        // The last bytes were handed over, or will never come: the exchange knows which.
        _ = connection => exchange.await,
    }
}

fn request(uri: &JwksUri) -> Request<Empty<Bytes>> {
    Request::get(uri.path_and_query())
        .header(HOST, uri.authority())
        .header(ACCEPT, "application/jwk-set+json, application/json")
        .header(CONNECTION, "close")
        .body(Empty::new())
        .expect("the parts of a valid URI are a valid request")
}

async fn exchange(
    mut sender: http1::SendRequest<Empty<Bytes>>,
    request: Request<Empty<Bytes>>,
) -> Result<Bytes, FetchError> {
    let response = sender.send_request(request).await?;
    if response.status() != StatusCode::OK {
        return Err(FetchError::Status(response.status()));
    }
    let body = Limited::new(response.into_body(), MAX_SIZE).collect().await.map_err(FetchError::Body)?;
    Ok(body.to_bytes())
}
