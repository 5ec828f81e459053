//! Spans to a collector over OTLP (`http/protobuf`).
//!
//! A request never waits for it: a span that has ended goes into a queue of [`QUEUE`] places, and is dropped where none is
//! free. A thread of its own sends what is there, once a second or when a batch is full.

use std::{
    cell::Cell,
    fmt,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use axum::body::Bytes;
use http::{HeaderValue, Request, Response, Uri};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{
        Client,
        connect::{Connect, HttpConnector},
    },
    rt::{TokioExecutor, TokioTimer},
};
use opentelemetry::{
    Context, KeyValue, SpanId, TraceFlags, TraceId,
    trace::{SpanContext, TraceContextExt as _, TraceState, TracerProvider as _},
};
use opentelemetry_http::{HttpClient, HttpError};
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::{
    Resource,
    trace::{BatchConfigBuilder, BatchSpanProcessor, IdGenerator, RandomIdGenerator, Sampler, SdkTracerProvider},
};
use tokio::{runtime::Handle, time::timeout};
use tracing::{Metadata, Span, Subscriber, level_filters::LevelFilter, subscriber::Interest};
use tracing_opentelemetry::OpenTelemetrySpanExt as _;
use tracing_subscriber::{
    Layer,
    layer::{self, Filter},
    registry::LookupSpan,
};

use crate::{
    outbound,
    telemetry::{TraceConfig, Unsendable},
    trace::{Parent, Trace},
};

/// Spans that wait to be sent.
const QUEUE: usize = 2_048;
/// Spans in one request, and how often one is sent that is not full.
const BATCH: usize = 512;
const EVERY: Duration = Duration::from_secs(1);
/// How long the collector may take to answer.
const LIMIT: Duration = Duration::from_secs(3);
/// Of an answer's body, in bytes.
const LONGEST_ANSWER: usize = 64 * 1024;

/// What is sent, until it is ended.
#[derive(Clone, Debug)]
pub(crate) struct Exporter(SdkTracerProvider);

impl Exporter {
    /// Sends to the collector that the settings name. To be called on the runtime that will do it.
    pub(crate) fn to(endpoint: &Uri, config: &TraceConfig) -> Result<Self, Unsendable> {
        let exporter = SpanExporter::builder().with_http();
        let exporter = if endpoint.scheme_str() == Some("https") {
            exporter.with_http_client(Courier::over(encrypted()?))
        } else {
            exporter.with_http_client(Courier::over(HttpConnector::new()))
        };
        let exporter = exporter
            .with_endpoint(format!("{}/v1/traces", endpoint.to_string().trim_end_matches('/')))
            .with_protocol(Protocol::HttpBinary)
            .with_timeout(LIMIT)
            .with_headers(config.headers.0.iter().cloned().collect())
            .build()
            .map_err(|error| Unsendable(error.to_string()))?;
        let batches = BatchConfigBuilder::default()
            .with_max_queue_size(QUEUE)
            .with_max_export_batch_size(BATCH)
            .with_scheduled_delay(EVERY)
            .build();
        let attributes = config.resource().into_iter().map(|(name, value)| KeyValue::new(name, value));
        let provider = SdkTracerProvider::builder()
            .with_span_processor(BatchSpanProcessor::builder(exporter).with_batch_config(batches).build())
            .with_resource(Resource::builder_empty().with_attributes(attributes).build())
            .with_id_generator(Ids::default())
            // Spans of others are not made.
            .with_sampler(Sampler::AlwaysOn)
            .build();
        Ok(Self(provider))
    }

    /// Turns spans of sampled traces into what is sent.
    pub(crate) fn layer<S>(&self) -> impl Layer<S> + Send + Sync + use<S>
    where
        S: Subscriber + for<'a> LookupSpan<'a> + Send + Sync,
    {
        tracing_opentelemetry::layer()
            .with_tracer(self.0.tracer("forebay"))
            // A span's parent is the one of `tracing`; where the code of a span is, its fields say.
            .with_context_activation(false)
            .with_location(false)
            .with_threads(false)
            .with_tracked_inactivity(false)
            .with_filter(Sampled)
    }

    /// Sends what is left, for no longer than `within`.
    pub(crate) async fn end(self, within: Duration) {
        let ended = tokio::task::spawn_blocking(move || self.0.shutdown_with_timeout(within));
        match timeout(within, ended).await {
            Ok(Ok(Ok(()))) => {}
            Ok(Ok(Err(error))) => tracing::warn!(%error, "the last spans were not sent"),
            Ok(Err(_)) | Err(_) => tracing::warn!("the last spans were not sent in time"),
        }
    }
}

/// Spans alone, and of traces that are recorded: an event may say more than a collector is to know.
struct Sampled;

impl Sampled {
    fn is_ours(metadata: &Metadata<'_>) -> bool {
        let target = metadata.target();
        metadata.is_span() && target.starts_with("forebay") && target.ends_with("::span")
    }
}

impl<S> Filter<S> for Sampled {
    fn enabled(&self, metadata: &Metadata<'_>, _: &layer::Context<'_, S>) -> bool {
        Self::is_ours(metadata) && Trace::current().is_some_and(Trace::is_sampled)
    }

    fn callsite_enabled(&self, metadata: &'static Metadata<'static>) -> Interest {
        if Self::is_ours(metadata) { Interest::sometimes() } else { Interest::never() }
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(LevelFilter::DEBUG)
    }
}

thread_local! {
    /// Of the span that is begun.
    static BEGUN: Cell<Option<Trace>> = const { Cell::new(None) };
}

/// Gives each span the id that its [`Trace`] has, which others have been told or will be.
#[derive(Debug, Default)]
struct Ids(RandomIdGenerator);

impl IdGenerator for Ids {
    fn new_trace_id(&self) -> TraceId {
        BEGUN.get().map_or_else(|| self.0.new_trace_id(), |trace| trace.id().into())
    }

    fn new_span_id(&self) -> SpanId {
        BEGUN.get().map_or_else(|| self.0.new_span_id(), |trace| trace.part().into())
    }
}

/// Begins a span as this part of a trace.
pub(crate) fn begin(span: &Span, trace: Trace, parent: Option<Parent>, state: Option<&HeaderValue>) {
    if span.is_disabled() {
        return;
    }
    if let Some(Parent { part, flags, is_remote }) = parent {
        let state = state.and_then(|state| state.to_str().ok()?.parse::<TraceState>().ok()).unwrap_or_default();
        let parent = SpanContext::new(trace.id().into(), part.into(), TraceFlags::new(flags), is_remote, state);
        // Without the layer the span is nobody's.
        _ = span.set_parent(Context::new().with_remote_span_context(parent));
    }
    BEGUN.set(Some(trace));
    drop(span.context());
    BEGUN.set(None);
}

/// Gives a span that has begun another name.
pub(crate) fn rename(span: &Span, name: String) {
    span.context().span().update_name(name);
}

/// Carries what is sent, and says once that it does not arrive, and once that it does again.
#[derive(Debug)]
struct Courier<C> {
    client: Client<C, Full<Bytes>>,
    runtime: Handle,
    fails: AtomicBool,
}

fn encrypted() -> Result<HttpsConnector<HttpConnector>, Unsendable> {
    let tls = HttpsConnectorBuilder::new().with_native_roots().map_err(|error| Unsendable(error.to_string()))?;
    let mut http = HttpConnector::new();
    http.enforce_http(false);
    Ok(tls.https_only().enable_http1().wrap_connector(http))
}

impl<C: Connect + Clone + Send + Sync + 'static> Courier<C> {
    fn over(connector: C) -> Self {
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_max_idle_per_host(1)
            .build(connector);
        Self { client, runtime: Handle::current(), fails: AtomicBool::new(false) }
    }

    fn note(&self, failure: Option<String>) {
        if self.fails.swap(failure.is_some(), Ordering::Relaxed) == failure.is_some() {
            return;
        }
        match failure {
            Some(error) => tracing::warn!(error, "the collector takes no spans; they are dropped until it does"),
            None => tracing::info!("the collector takes spans again"),
        }
    }
}

#[async_trait::async_trait]
impl<C> HttpClient for Courier<C>
where
    C: Connect + Clone + fmt::Debug + Send + Sync + 'static,
{
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let client = self.client.clone();
        let exchange = async move {
            let (head, body) = client.request(request.map(Full::new)).await?.into_parts();
            let body = Limited::new(body, LONGEST_ANSWER).collect().await?.to_bytes();
            Ok::<_, HttpError>(Response::from_parts(head, body))
        };
        // The thread that asks has no runtime, and a time limit is made on one.
        let asked = self.runtime.spawn(async move { timeout(LIMIT, exchange).await }).await;
        let answer = match asked {
            Ok(Ok(answer)) => answer,
            Ok(Err(_elapsed)) => Err(format!("no answer within {} s", LIMIT.as_secs()).into()),
            Err(stopped) => Err(stopped.into()),
        };
        self.note(match &answer {
            Ok(answer) if answer.status().is_success() => None,
            Ok(answer) => Some(format!("it answers {}", answer.status())),
            Err(error) => Some(outbound::innermost(&**error)),
        });
        answer
    }
}
