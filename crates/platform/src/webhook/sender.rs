use std::sync::OnceLock;
use std::time::Duration;

use axum::body::Bytes;
use http::header::{CONTENT_TYPE, USER_AGENT};
use http::response::Parts;
use http::{Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::{Connect, HttpConnector};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use time::OffsetDateTime;
use tokio::time::timeout;

use super::{ID, Message, SIGNATURE, Secret, TIMESTAMP, signatures};
use crate::outbound::{self, OutboundError};
use crate::trace;

/// Of an answer's body nothing is used. So much is read that the connection can be used again.
const LONGEST_BODY: usize = 16 * 1024;
const DRAIN: Duration = Duration::from_secs(1);
const LONGEST_HEAD: usize = 16 * 1024;
const MOST_IDLE: usize = 4;
const AGENT: &str = concat!("forebay/", env!("CARGO_PKG_VERSION"));

/// Posts webhooks over HTTP or HTTPS, each once: when to try again is the caller's to say.
#[derive(Debug)]
pub struct Sender {
    plain: Client<HttpConnector, Full<Bytes>>,
    /// The system's authorities are read when the first address needs them.
    encrypted: OnceLock<Result<Encrypted, String>>,
    within: Duration,
}

type Encrypted = Client<HttpsConnector<HttpConnector>, Full<Bytes>>;

/// What a receiver said.
#[derive(Clone, Copy, Debug)]
pub struct ReceiverAnswer {
    /// 2xx alone says that it has it.
    pub status: StatusCode,
    /// How long it asks to be left alone.
    pub told: Duration,
}

impl Sender {
    /// Waits `within` at most for an answer: the name, the connection, all of its head.
    #[must_use]
    pub fn new(within: Duration) -> Self {
        Self { plain: client(HttpConnector::new()), encrypted: OnceLock::new(), within }
    }

    /// Posts it as part of the trace of this task, or of one of its own, signed by each of the secrets as of `at`. Any status is an answer; redirects are not followed. Dropped, the
    /// exchange is broken off, and whether it was received is unknown.
    ///
    /// # Errors
    /// There was no answer in time, or none at all.
    pub async fn post(
        &self,
        url: &Uri,
        message: Message<'_>,
        secrets: &[Secret],
        at: OffsetDateTime,
    ) -> Result<ReceiverAnswer, OutboundError> {
        let server = url.host().unwrap_or_default();
        trace::asking("webhook", server, OutboundError::kind, self.post_once(url, message, secrets, at)).await
    }

    async fn post_once(
        &self,
        url: &Uri,
        message: Message<'_>,
        secrets: &[Secret],
        at: OffsetDateTime,
    ) -> Result<ReceiverAnswer, OutboundError> {
        let mut request = Request::post(url)
            .header(CONTENT_TYPE, "application/json")
            .header(USER_AGENT, AGENT)
            .header(ID, message.id)
            .header(TIMESTAMP, at.unix_timestamp())
            .header(SIGNATURE, signatures(secrets, message, at))
            .body(Full::from(message.body.to_owned()))
            .map_err(|error| OutboundError::Exchange(error.to_string()))?;
        trace::write_to(request.headers_mut());
        let (parts, body) = timeout(self.within, self.exchange(request)).await.unwrap_or(Err(OutboundError::Late))?;
        // However this ends: the answer has come.
        _ = timeout(DRAIN, Limited::new(body, LONGEST_BODY).collect()).await;
        let answer = Response::from_parts(parts, Bytes::new());
        Ok(ReceiverAnswer { status: answer.status(), told: outbound::told(&answer) })
    }

    async fn exchange(&self, request: Request<Full<Bytes>>) -> Result<(Parts, Incoming), OutboundError> {
        let asked = if request.uri().scheme_str() == Some("https") {
            self.encrypted().map_err(OutboundError::Connect)?.request(request)
        } else {
            self.plain.request(request)
        };
        Ok(asked.await.map_err(OutboundError::of_exchange)?.into_parts())
    }

    fn encrypted(&self) -> Result<&Encrypted, String> {
        let made = self.encrypted.get_or_init(|| {
            let tls = HttpsConnectorBuilder::new().with_native_roots().map_err(|error| error.to_string())?;
            let mut http = HttpConnector::new();
            http.enforce_http(false);
            Ok(client(tls.https_only().enable_http1().wrap_connector(http)))
        });
        made.as_ref().map_err(Clone::clone)
    }
}

fn client<C>(connector: C) -> Client<C, Full<Bytes>>
where
    C: Connect + Clone + Send + Sync + 'static,
{
    Client::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .pool_max_idle_per_host(MOST_IDLE)
        .http1_max_buf_size(LONGEST_HEAD)
        .build(connector)
}
