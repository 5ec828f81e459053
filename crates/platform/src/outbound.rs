//! Asks another service over HTTP, and is no burden to it in its bad hour.

use std::error::Error as StdError;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use axum::body::Bytes;
use forebay_pool::http::REQUEST_TIMEOUT_MS;
use forebay_pool::tickets::RETRY_TICKET;
use forebay_pool::{RetryBudget, Rules};
use http::header::{HeaderName, HeaderValue};
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use time::OffsetDateTime;
use tokio::time::{Instant, sleep, timeout_at};

use crate::trace::{self, Trace};
use throttle::Throttle;
use wait::Wait;

mod throttle;
mod wait;

/// The header that makes any request fit to be sent again.
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// The longest head of an answer, in bytes.
const LONGEST_HEAD: usize = 64 * 1024;

/// A client for **one** other service, over plain HTTP; TLS belongs to the proxy between.
///
/// - It tells the service how long the answer is of use, in `Request-Timeout-Ms`: what is left, anew with each attempt.
/// - It repeats what is fit for it, up to twice: any request that found no connection, and one whose method is idempotent
///   (RFC 9110 9.2.2), or that has an `Idempotency-Key`, where the exchange broke off or the answer is 429, 502, 503 or 504.
/// - It comes back when it was told, not earlier (`Retry-After-Ms`, else `Retry-After`), with the `Retry-Ticket` that it was
///   given. Told nothing it backs off with full jitter, from 0.1 s on. Where the pause would outlast the time that is left it
///   does not wait: the refusal is the answer, and the caller can pass it on.
/// - It goes on with the trace of the request that is served meanwhile (`traceparent`, `tracestate`).
/// - No more than one repetition for ten answers ([`RetryBudget`]): when everything fails, repeating makes more of it.
/// - Where the service answers less than half of what it is asked, most requests are not sent at all.
///
/// ```no_run
/// # async fn example(admission: &forebay_pool::Admission) -> Result<(), Box<dyn std::error::Error>> {
/// use axum::body::Bytes;
/// use forebay_platform::outbound::Outbound;
///
/// let stock = Outbound::new(); // one for as long as the process lives
/// let request = http::Request::get("http://stock:8080/v1/stock/SKU-000001").body(Bytes::new())?;
/// let answer = stock.send(request, admission.remaining()).await?;
/// println!("{}: {} bytes", answer.status(), answer.body().len());
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct Outbound {
    client: Client<HttpConnector, Full<Bytes>>,
    repetitions: u32,
    longest_body: usize,
    budget: RetryBudget,
    throttle: Mutex<Throttle>,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum OutboundError {
    /// The time was over before all of it had come. Whether it was executed is unknown.
    #[error("no whole answer in time")]
    Late,
    /// It was not sent: of late the service answered less than half of what it was asked.
    #[error("not sent, since the service does not answer most requests")]
    Throttled,
    /// Nobody was reached: nothing was executed.
    #[error("cannot connect: {0}")]
    Connect(String),
    /// The exchange broke off, or was no HTTP. Whether it was executed is unknown.
    #[error("the exchange broke off: {0}")]
    Exchange(String),
    /// The body has more bytes than this.
    #[error("the answer has more than {0} bytes")]
    TooLong(usize),
    /// The body broke off.
    #[error("the body cannot be read: {0}")]
    Body(String),
}

impl Default for Outbound {
    fn default() -> Self {
        Self::new()
    }
}

impl Outbound {
    /// With two repetitions, and bodies of up to 1 MiB.
    #[must_use]
    pub fn new() -> Self {
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .http1_max_buf_size(LONGEST_HEAD)
            .build(HttpConnector::new());
        Self {
            client,
            repetitions: 2,
            longest_body: 1024 * 1024,
            budget: RetryBudget::default(),
            throttle: Mutex::new(Throttle::new(Instant::now())),
        }
    }

    /// Nothing is sent twice.
    #[must_use]
    pub fn without_repetitions(self) -> Self {
        Self { repetitions: 0, ..self }
    }

    /// The longest body of an answer, in bytes.
    #[must_use]
    pub fn longest_body(self, bytes: usize) -> Self {
        Self { longest_body: bytes, ..self }
    }

    /// Asks, and waits `within` at most for all of it: the name, the connection, pauses, the last byte. Give it what is left of
    /// the request that it is for ([`forebay_pool::Admission::remaining`]). Any status is an answer. Redirects are not followed.
    ///
    /// Dropping the future closes the connection; whether the request was executed is unknown then.
    ///
    /// # Errors
    /// See [`OutboundError`]: the last one, where attempts were repeated.
    pub async fn send(&self, request: Request<Bytes>, within: Duration) -> Result<Response<Bytes>, OutboundError> {
        if Trace::current().is_none() {
            return self.send_on(request, within).await;
        }
        let server = request.uri().host().unwrap_or_default().to_owned();
        trace::asking("http", &server, OutboundError::kind, self.send_on(request, within)).await
    }

    async fn send_on(&self, request: Request<Bytes>, within: Duration) -> Result<Response<Bytes>, OutboundError> {
        let deadline = Instant::now() + within.min(Rules::LONGEST);
        let (mut parts, body) = request.into_parts();
        trace::write_to(&mut parts.headers);
        let is_repeatable = parts.method.is_idempotent() || parts.headers.contains_key(IDEMPOTENCY_KEY);
        for repetition in 1.. {
            let left = deadline.saturating_duration_since(Instant::now());
            parts.headers.insert(REQUEST_TIMEOUT_MS, milliseconds(left));
            let attempt = Request::from_parts(parts.clone(), Full::new(body.clone()));
            let outcome = self.attempt(attempt, deadline).await;
            let Some(wait) = may_repeat(&outcome, is_repeatable) else { return outcome };
            let pause = wait.draw(repetition, rand::random());
            let is_in_time = pause < deadline.saturating_duration_since(Instant::now());
            if repetition > self.repetitions || !is_in_time || !self.budget.spend() {
                return outcome;
            }
            tracing::debug!(uri = %parts.uri, ?pause, repetition, "asks again");
            take_ticket(&mut parts.headers, &outcome);
            sleep(pause).await;
        }
        unreachable!("the repetitions end")
    }

    async fn attempt(
        &self,
        request: Request<Full<Bytes>>,
        deadline: Instant,
    ) -> Result<Response<Bytes>, OutboundError> {
        let now = Instant::now();
        if deadline <= now {
            return Err(OutboundError::Late);
        }
        if !self.throttled(|throttle| throttle.admits(now, rand::random())) {
            return Err(OutboundError::Throttled);
        }
        let outcome = timeout_at(deadline, self.exchange(request)).await.unwrap_or(Err(OutboundError::Late));
        let is_answered = match &outcome {
            Ok(answer) => !is_refusal(answer.status()),
            Err(error) => matches!(error, OutboundError::TooLong(_)),
        };
        self.throttled(|throttle| throttle.note(Instant::now(), is_answered));
        if is_answered {
            self.budget.earn();
        }
        outcome
    }

    async fn exchange(&self, request: Request<Full<Bytes>>) -> Result<Response<Bytes>, OutboundError> {
        let (parts, body) = self.client.request(request).await.map_err(OutboundError::of_exchange)?.into_parts();
        let body = Limited::new(body, self.longest_body).collect().await;
        let body = body.map_err(|error| OutboundError::of_body(&*error, self.longest_body))?;
        Ok(Response::from_parts(parts, body.to_bytes()))
    }

    /// Its numbers are right after every step, so that a panic elsewhere does them no harm.
    fn throttled<T>(&self, decide: impl FnOnce(&mut Throttle) -> T) -> T {
        decide(&mut self.throttle.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl OutboundError {
    /// What it is, in a fixed word.
    pub(crate) const fn kind(&self) -> &'static str {
        match self {
            Self::Late => "late",
            Self::Throttled => "throttled",
            Self::Connect(_) => "connect",
            Self::Exchange(_) => "exchange",
            Self::TooLong(_) => "too_long",
            Self::Body(_) => "body",
        }
    }

    pub(crate) fn of_exchange(error: hyper_util::client::legacy::Error) -> Self {
        let is_connect = error.is_connect();
        let said = innermost(&error);
        if is_connect { Self::Connect(said) } else { Self::Exchange(said) }
    }

    fn of_body(error: &(dyn StdError + Send + Sync + 'static), limit: usize) -> Self {
        if error.is::<LengthLimitError>() { Self::TooLong(limit) } else { Self::Body(innermost(error)) }
    }
}

/// What went wrong, without the layers that only say that something did.
pub(crate) fn innermost(error: &(dyn StdError + 'static)) -> String {
    let mut cause = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    cause.to_string()
}

/// The service, or a proxy before it, says that it cannot now.
fn is_refusal(status: StatusCode) -> bool {
    matches!(status.as_u16(), 429 | 502 | 503 | 504)
}

/// How long to wait before it may be sent again; none where it may not.
fn may_repeat(outcome: &Result<Response<Bytes>, OutboundError>, is_repeatable: bool) -> Option<Wait> {
    match outcome {
        Ok(answer) if is_repeatable && is_refusal(answer.status()) => {
            Some(wait::told(answer.headers(), OffsetDateTime::now_utc().into()).unwrap_or_default())
        }
        Err(OutboundError::Connect(_)) => Some(Wait::default()),
        Err(OutboundError::Exchange(_) | OutboundError::Body(_)) if is_repeatable => Some(Wait::default()),
        _ => None,
    }
}

/// How long the answer asks to be left alone, if it is a refusal that says so.
pub(crate) fn told(answer: &Response<Bytes>) -> Duration {
    let told = wait::told(answer.headers(), OffsetDateTime::now_utc().into());
    told.filter(|_| is_refusal(answer.status())).map_or(Duration::ZERO, |wait| wait.least())
}

/// A refusal's ticket takes the place of the one that was shown, which is spent; where nobody answered it may still be good.
fn take_ticket(headers: &mut HeaderMap, outcome: &Result<Response<Bytes>, OutboundError>) {
    let Ok(answer) = outcome else { return };
    headers.remove(RETRY_TICKET);
    if let Some(ticket) = answer.headers().get(RETRY_TICKET) {
        headers.insert(RETRY_TICKET, ticket.clone());
    }
}

fn milliseconds(time: Duration) -> HeaderValue {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX).into()
}

#[cfg(test)]
mod tests;
