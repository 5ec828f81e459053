//! Which trace a request belongs to ([W3C Trace Context](https://www.w3.org/TR/trace-context/)).
//!
//! Every request has one: its sender's, or its own. What is recorded of it is a span of target `…::span`; the feature `otlp`
//! sends spans to a collector, and without it nobody takes the trouble to make one.

use std::{cell::OnceCell, fmt, future::Future};

use axum::extract::MatchedPath;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use tracing::{Instrument as _, Span, field::Empty};

mod sampling;

pub use sampling::Sampling;

pub(crate) const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

/// The target of the spans of this crate and of the services.
pub const SPAN: &str = "forebay::span";

/// The flags of a `traceparent` that mean something: that the trace is recorded, and (level 2) that its id is drawn at random.
const SAMPLED: u8 = 1;
const RANDOM: u8 = 1 << 1;

/// The longest `tracestate` that is passed on, in bytes, and how many members it has.
const LONGEST_STATE: usize = 512;
const MOST_MEMBERS: usize = 32;

tokio::task_local! {
    static CONTEXT: Context;
}

/// A place in a trace: its id, and that of our part of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trace {
    id: u128,
    part: u64,
    flags: u8,
}

impl Trace {
    /// That of what this task does: the request that it serves, or the question that it asks meanwhile.
    #[must_use]
    pub fn current() -> Option<Self> {
        CONTEXT.try_with(|context| context.trace).ok()
    }

    /// Whether its spans are recorded: the sender's decision or ours, as [`Sampling`] has it.
    #[must_use]
    pub const fn is_sampled(self) -> bool {
        self.flags & SAMPLED != 0
    }

    /// The trace's id. Never zero.
    #[must_use]
    pub const fn id(self) -> u128 {
        self.id
    }

    /// The id of our part, the span. Never zero.
    #[must_use]
    pub const fn part(self) -> u64 {
        self.part
    }

    /// As `traceparent`, for the answer and for requests to others.
    #[must_use]
    pub fn header(self) -> HeaderValue {
        let text = format!("00-{self}-{:016x}-{:02x}", self.part, self.flags);
        HeaderValue::try_from(text).expect("hexadecimal digits are plain ASCII")
    }
}

/// The trace's id alone.
impl fmt::Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.id)
    }
}

/// What goes on with a trace: where it is, what others have to say of it, and the span that records this part.
#[derive(Clone, Debug)]
pub struct Context {
    trace: Trace,
    /// The sender's part, and those of its flags that mean something.
    sent: Option<(u64, u8)>,
    /// `tracestate`, which is passed on as it came.
    state: Option<HeaderValue>,
    /// Of the request that is served, once it is known.
    route: OnceCell<MatchedPath>,
    span: Span,
}

impl Context {
    /// A new part of the trace that a request names in its one, valid `traceparent`; else a trace of its own.
    #[must_use]
    pub fn of(request: &HeaderMap) -> Self {
        let sampling = Sampling::of_process();
        let Some((id, part, flags)) = sent(request) else { return Self::begin() };
        let sampled = sampling.takes(id, Some(flags & SAMPLED != 0));
        let ours = flags & RANDOM | if sampled { SAMPLED } else { 0 };
        Self { sent: Some((part, flags)), state: state(request), ..Self::new(id, ours) }
    }

    /// A trace of its own.
    #[must_use]
    pub fn begin() -> Self {
        let id = rand::random::<u128>().max(1);
        Self::new(id, u8::from(Sampling::of_process().takes(id, None)))
    }

    fn new(id: u128, flags: u8) -> Self {
        let trace = Trace { id, part: fresh_part(), flags };
        Self { trace, sent: None, state: None, route: OnceCell::new(), span: Span::none() }
    }

    /// That of what this task does, for a task that goes on with it. It does not keep the span open.
    #[must_use]
    pub fn current() -> Option<Self> {
        CONTEXT.try_with(|context| Self { span: Span::none(), ..context.clone() }).ok()
    }

    /// The trace.
    #[must_use]
    pub const fn trace(&self) -> Trace {
        self.trace
    }

    /// `traceparent` for the answer, where the request named a trace.
    pub(crate) fn answer(&self) -> Option<HeaderValue> {
        self.sent.map(|_| self.trace.header())
    }

    /// Runs it as part of this trace: its log lines, spans and questions to others say so. For what goes on in a task of its
    /// own: `tokio::spawn(context.scope(work))`.
    pub fn scope<F: Future>(self, work: F) -> impl Future<Output = F::Output> {
        CONTEXT.scope(self, work)
    }

    /// Records how a request was answered. The path is not among it: the route says what was asked for, and a path may name
    /// more than that.
    pub(crate) fn serve<F: Future>(mut self, method: &'static str, serving: F) -> impl Future<Output = F::Output> {
        let trace = self.trace;
        self.span = within(&self, || {
            tracing::debug_span!(
                target: SPAN,
                "request",
                otel.name = method,
                otel.kind = "server",
                otel.status_code = Empty,
                http.request.method = method,
                url.scheme = "http",
                http.route = Empty,
                http.response.status_code = Empty,
                error.type = Empty,
            )
        });
        let parent = self.sent.map(|(part, flags)| Parent { part, flags, is_remote: true });
        begin(&self.span, trace, parent, self.state.as_ref());
        let span = self.span.clone();
        self.scope(serving.instrument(span))
    }

    /// The same where nothing is waited for.
    #[cfg(test)]
    pub(crate) fn sync_scope<T>(self, work: impl FnOnce() -> T) -> T {
        CONTEXT.sync_scope(self, work)
    }
}

/// The request that this task serves goes there.
pub(crate) fn goes_to(route: &MatchedPath) {
    // Set already, it is the same one.
    _ = CONTEXT.try_with(|context| context.route.set(route.clone()));
}

/// Writes `,"trace_id":…,"span_id":…,"route":…` of this task's trace, but no route where the line has one of its own.
pub(crate) fn write_members(line: &mut String, has_route: bool) {
    _ = CONTEXT.try_with(|context| {
        let Trace { part, .. } = context.trace;
        line.push_str(&format!(r#","trace_id":"{}","span_id":"{part:016x}""#, context.trace));
        if let Some(route) = context.route.get().filter(|_| !has_route) {
            line.push_str(&format!(r#","route":{}"#, serde_json::Value::from(route.as_str())));
        }
    });
}

/// How the request that this task serves was answered. `error` is why it failed, in a fixed word.
pub(crate) fn answered(method: &str, status: StatusCode, error: Option<&str>) {
    _ = CONTEXT.try_with(|context| {
        let span = &context.span;
        if span.is_disabled() {
            return;
        }
        if let Some(route) = context.route.get().map(MatchedPath::as_str) {
            rename(span, format!("{method} {route}"));
            span.record("http.route", route);
        }
        // Signed, since a layer of OpenTelemetry writes other numbers down as text.
        span.record("http.response.status_code", i64::from(status.as_u16()));
        if let Some(error) = error {
            span.record("error.type", error);
            span.record("otel.status_code", "ERROR");
        }
    });
}

/// Asks somebody else, `server`, as a part of the trace of this task; without one, of a trace of its own. A failure is named by
/// `name_of`, in a fixed word.
pub async fn asking<T, E>(
    name: &'static str,
    server: &str,
    name_of: impl Fn(&E) -> &'static str,
    asking: impl Future<Output = Result<T, E>>,
) -> Result<T, E> {
    let above = Context::current();
    let parent = above.as_ref().map(|above| {
        let Trace { part, flags, .. } = above.trace;
        Parent { part, flags, is_remote: false }
    });
    let mut context = above.unwrap_or_else(Context::begin);
    context.trace.part = fresh_part();
    context.span = within(&context, || {
        tracing::debug_span!(
            target: SPAN,
            "ask",
            otel.name = name,
            otel.kind = "client",
            otel.status_code = Empty,
            server.address = server,
            error.type = Empty,
        )
    });
    begin(&context.span, context.trace, parent, context.state.as_ref());
    let span = context.span.clone();
    let answer = context.scope(asking.instrument(span.clone())).await;
    if let Err(error) = &answer {
        span.record("error.type", name_of(error));
        span.record("otel.status_code", "ERROR");
    }
    answer
}

/// Writes the trace of this task into the head of a request to others.
pub(crate) fn write_to(head: &mut HeaderMap) {
    _ = CONTEXT.try_with(|context| {
        head.insert(TRACEPARENT, context.trace.header());
        if let Some(state) = &context.state {
            head.insert(TRACESTATE, state.clone());
        }
    });
}

/// The span above another.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(not(feature = "otlp"), expect(dead_code, reason = "nobody records"))]
pub(crate) struct Parent {
    pub(crate) part: u64,
    pub(crate) flags: u8,
    pub(crate) is_remote: bool,
}

/// A span of a sampled trace; of others none, without asking anybody.
fn within(context: &Context, span: impl FnOnce() -> Span) -> Span {
    if context.trace.is_sampled() { CONTEXT.sync_scope(context.clone(), span) } else { Span::none() }
}

#[cfg(feature = "otlp")]
use crate::otlp::{begin, rename};

#[cfg(not(feature = "otlp"))]
fn begin(_: &Span, _: Trace, _: Option<Parent>, _: Option<&HeaderValue>) {}
#[cfg(not(feature = "otlp"))]
fn rename(_: &Span, _: String) {}

fn fresh_part() -> u64 {
    // Zero is no id.
    rand::random::<u64>().max(1)
}

/// The id and part of the one `traceparent`, and its flags but those that mean nothing yet: they are not passed on.
fn sent(request: &HeaderMap) -> Option<(u128, u64, u8)> {
    let mut sent = request.get_all(TRACEPARENT).iter();
    let (one, none) = (sent.next()?, sent.next());
    let (id, part, flags) = parse(one.to_str().ok()?).filter(|_| none.is_none())?;
    Some((id, part, flags & (SAMPLED | RANDOM)))
}

/// `tracestate` in one line, in the order in which it came. One that is too long, or no list of `key=value`, is dropped.
fn state(request: &HeaderMap) -> Option<HeaderValue> {
    let mut members = Vec::new();
    for line in request.get_all(TRACESTATE) {
        let line = line.to_str().ok()?;
        members
            .extend(line.split(',').map(|member| member.trim_matches([' ', '\t'])).filter(|member| !member.is_empty()));
    }
    let state = members.join(",");
    let is_one = !members.is_empty()
        && members.len() <= MOST_MEMBERS
        && state.len() <= LONGEST_STATE
        && members.iter().all(|member| is_member(member));
    is_one.then(|| HeaderValue::try_from(state).ok()).flatten()
}

fn is_member(member: &str) -> bool {
    let of_key = |byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-' | b'*' | b'/' | b'@');
    member.split_once('=').is_some_and(|(key, value)| {
        key.bytes().next().is_some_and(|first| matches!(first, b'a'..=b'z' | b'0'..=b'9'))
            && key.bytes().all(of_key)
            && value.bytes().all(|byte| matches!(byte, b' '..=b'~') && byte != b'=')
    })
}

/// The fields of `00-<32 digits>-<16 digits>-<2 digits>`; of later versions, those that stand in the same places.
fn parse(text: &str) -> Option<(u128, u64, u8)> {
    let mut fields = text.split('-');
    let (version, id, part, flags) = (fields.next()?, fields.next()?, fields.next()?, fields.next()?);
    let as_written = |field: &str, length| {
        field.len() == length && field.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    };
    let written = as_written(version, 2) && as_written(id, 32) && as_written(part, 16) && as_written(flags, 2);
    let version_holds = version != "ff" && (version != "00" || fields.next().is_none());
    let (id, part) = (u128::from_str_radix(id, 16).ok()?, u64::from_str_radix(part, 16).ok()?);
    let flags = u8::from_str_radix(flags, 16).ok()?;
    (written && version_holds && id != 0 && part != 0).then_some((id, part, flags))
}

#[cfg(test)]
mod tests;
