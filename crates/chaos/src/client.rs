//! The client of a user: HTTP/1.1 with keep-alive, a time-out per attempt, and an answer told apart.

use std::net::SocketAddr;
use std::time::Duration;

use http::header::{CONTENT_TYPE, HeaderName};
use http::uri::Authority;
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde::Deserialize;

use crate::record::{Refusal, Reply};

/// An attempt without an answer is given up after this long. It is longer than the legacy pool's acquire time-out:
/// with the two equal, no 503 would ever be seen.
pub const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(6);
/// No answer of a shop comes near this many bytes. A larger one counts as broken: it is something else's.
const LARGEST_BODY: usize = 8 * 1024 * 1024;

/// What a user's request says, apart from where it is sent.
#[derive(Clone, Debug)]
pub struct Ask {
    /// The method.
    pub method: Method,
    /// Path and query.
    pub path: String,
    /// Headers besides the content type.
    pub headers: Vec<(HeaderName, String)>,
    /// The JSON body, if any.
    pub body: Option<String>,
}

impl Ask {
    /// A GET.
    #[must_use]
    pub fn get(path: impl Into<String>) -> Self {
        Self { method: Method::GET, path: path.into(), headers: Vec::new(), body: None }
    }

    /// A request with a JSON body.
    #[must_use]
    pub fn json(method: Method, path: impl Into<String>, body: &serde_json::Value) -> Self {
        Self { method, path: path.into(), headers: Vec::new(), body: Some(body.to_string()) }
    }

    /// Adds a header.
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }
}

/// An answer as it came.
#[derive(Clone, Debug)]
pub struct Response {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// All of the body.
    pub body: Bytes,
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoAnswer {
    /// There was no connection, for this reason: nothing was sent.
    Unreachable(String),
    /// The connection broke: whether the request was carried out is unknown.
    Broken,
    /// Nothing came within [`ATTEMPT_TIMEOUT`]: whether the request was carried out is unknown.
    TimedOut,
}

/// An answer that arrived, or did not.
#[derive(Clone, Debug)]
pub struct Exchange {
    /// How it counts.
    pub reply: Reply,
    /// Its body; empty without an answer.
    pub body: Bytes,
}

/// Sends requests to one address over kept-alive connections. Cheap to clone; clones share the connections.
///
/// A request for which a kept connection turns out to be closed before anything was sent goes out on a new one, unseen, as
/// browsers do.
#[derive(Clone, Debug)]
pub struct Caller {
    client: Client<HttpConnector, Full<Bytes>>,
    to: Authority,
}

impl Caller {
    /// A client of the server at `to`.
    #[must_use]
    pub fn new(to: SocketAddr) -> Self {
        Self::of(to.to_string().parse().expect("every socket address is an authority"))
    }

    /// A client of the server of that name and port; without a port it is 80.
    #[must_use]
    pub fn of(to: Authority) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        Self { client: Client::builder(TokioExecutor::new()).build(connector), to }
    }

    /// Sends `ask` once and waits for its answer, at most [`ATTEMPT_TIMEOUT`].
    ///
    /// If the future is dropped, the connection is closed, as a browser does.
    pub async fn attempt(&self, ask: &Ask) -> Exchange {
        match self.ask(ask).await {
            Ok(Response { status, body, .. }) => Exchange { reply: reply(status, &body), body },
            Err(NoAnswer::Unreachable(_) | NoAnswer::Broken) => Exchange { reply: Reply::Lost, body: Bytes::new() },
            Err(NoAnswer::TimedOut) => Exchange { reply: Reply::TimedOut, body: Bytes::new() },
        }
    }

    /// The same with all that the answer says.
    ///
    /// # Errors
    /// No answer came; see [`NoAnswer`].
    pub async fn ask(&self, ask: &Ask) -> Result<Response, NoAnswer> {
        tokio::time::timeout(ATTEMPT_TIMEOUT, self.exchange(ask)).await.unwrap_or(Err(NoAnswer::TimedOut))
    }

    async fn exchange(&self, ask: &Ask) -> Result<Response, NoAnswer> {
        let response = self.client.request(self.request(ask)).await.map_err(|error| match error.is_connect() {
            true => NoAnswer::Unreachable(cause(&error)),
            false => NoAnswer::Broken,
        })?;
        let (head, body) = response.into_parts();
        let body = Limited::new(body, LARGEST_BODY).collect().await.map_err(|_cut_off| NoAnswer::Broken)?.to_bytes();
        Ok(Response { status: head.status, headers: head.headers, body })
    }

    fn request(&self, ask: &Ask) -> Request<Full<Bytes>> {
        let mut request = Request::builder().method(ask.method.clone()).uri(format!("http://{}{}", self.to, ask.path));
        for (name, value) in &ask.headers {
            request = request.header(name, value);
        }
        if ask.body.is_some() {
            request = request.header(CONTENT_TYPE, "application/json");
        }
        let body = ask.body.clone().unwrap_or_default();
        request.body(Full::from(body)).expect("paths and headers are built from ids and tokens")
    }
}

/// The innermost error, which says what really happened.
fn cause(error: &(dyn std::error::Error + 'static)) -> String {
    std::iter::successors(Some(error), |error| error.source()).last().map_or_else(String::new, ToString::to_string)
}

#[derive(Deserialize)]
struct Problem {
    code: String,
    reason: Option<String>,
}

fn reply(status: StatusCode, body: &Bytes) -> Reply {
    if status == StatusCode::ACCEPTED {
        return Reply::Accepted;
    }
    if status.is_success() {
        return Reply::Success;
    }
    let problem = serde_json::from_slice::<Problem>(body).ok();
    let reason = problem.as_ref().and_then(|problem| problem.reason.as_deref());
    match (status, reason, problem.as_ref().map(|problem| problem.code.as_str())) {
        (StatusCode::SERVICE_UNAVAILABLE, Some(reason), _) => Reply::Shed(Refusal::named(reason)),
        (StatusCode::CONFLICT, _, Some("idempotency-in-flight")) => Reply::InFlight,
        _ if status.is_server_error() => Reply::Failed(status.as_u16()),
        _ => Reply::Rejected(status.as_u16()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(status: u16, body: &'static str) -> Reply {
        reply(StatusCode::from_u16(status).expect("a status"), &Bytes::from_static(body.as_bytes()))
    }

    #[test]
    fn a_shed_is_told_from_a_time_out_by_its_reason() {
        assert_eq!(of(503, r#"{"code":"overloaded","reason":"predicted_wait"}"#), Reply::Shed(Refusal::PredictedWait));
        assert_eq!(of(503, r#"{"code":"overloaded","reason":"sojourn"}"#), Reply::Shed(Refusal::Sojourn));
        assert_eq!(of(503, r#"{"code":"overloaded","reason":"mood"}"#), Reply::Shed(Refusal::Other));
        assert_eq!(of(503, r#"{"code":"overloaded"}"#), Reply::Failed(503));
        assert_eq!(of(502, "<html>"), Reply::Failed(502));
    }

    #[test]
    fn a_conflict_with_a_running_attempt_is_not_a_rejection() {
        assert_eq!(of(409, r#"{"code":"idempotency-in-flight"}"#), Reply::InFlight);
        assert_eq!(of(409, r#"{"code":"insufficient-stock"}"#), Reply::Rejected(409));
        assert_eq!(of(202, ""), Reply::Accepted);
    }
}
