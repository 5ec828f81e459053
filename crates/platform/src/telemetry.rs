//! Logs and metrics: where they go. What they say belongs to whoever says it.

use std::{io::IsTerminal as _, sync::OnceLock, time::Duration};

use tracing::{Event, Subscriber};
use tracing_subscriber::{
    EnvFilter, Layer,
    fmt::{
        self, FmtContext, FormatEvent, MakeWriter,
        format::{Format, Json, JsonFields, Writer},
    },
    layer::SubscriberExt as _,
    registry::LookupSpan,
    util::SubscriberInitExt as _,
};

#[cfg(feature = "otlp")]
use crate::otlp::Exporter;
use crate::{config::Reader, serve::ACCESS, trace};

mod buckets;
mod page;
mod recorder;
mod traces;

pub use page::Form;
use recorder::Families;
pub use traces::{NoPairs, Pairs, TraceConfig, Unsendable};

/// How a log line looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// For people, with colours where the terminal has them.
    #[default]
    Human,
    /// One JSON object a line.
    Json,
}

impl LogFormat {
    /// Reads `FOREBAY_LOG_FORMAT` alone: all that whoever reports a fault in the settings needs.
    pub fn read(settings: &mut Reader<'_>) -> Self {
        let words = [("human", Self::Human), ("json", Self::Json)];
        settings.word_or("FOREBAY_LOG_FORMAT", &words, Self::default())
    }
}

/// What is logged, and how.
#[derive(Clone, Debug)]
pub struct LogConfig {
    /// `FOREBAY_LOG_FORMAT`: `human` or `json`.
    pub format: LogFormat,
    /// `FOREBAY_LOG`: levels by target, such as `info,forebay_pool=debug`.
    pub filter: String,
    /// `FOREBAY_ACCESS_LOG`: whether each request is a line, of target `access`.
    pub access: bool,
}

impl LogConfig {
    /// Reads the three variables.
    pub fn read(settings: &mut Reader<'_>) -> Self {
        let format = LogFormat::read(settings);
        let access = settings.word_or("FOREBAY_ACCESS_LOG", &[("off", false), ("on", true)], false);
        let filter: String = settings.or("FOREBAY_LOG", "info,sqlx=warn".to_owned());
        let understood = EnvFilter::try_new(&filter).is_ok();
        settings.require(understood, "FOREBAY_LOG", "is no list of levels by target", "info,forebay_pool=debug");
        Self { format, filter, access }
    }

    fn levels(&self) -> EnvFilter {
        let Self { filter, access, .. } = self;
        let access = if *access { "info" } else { "off" };
        // Spans for a collector say nothing to whoever reads lines.
        EnvFilter::try_new(format!("{filter},{ACCESS}={access},forebay::span=off,forebay_pool::span=off"))
            .unwrap_or_else(|_| EnvFilter::new("info"))
    }
}

/// Sends logs to standard error from now on. A process has one destination: later calls change nothing.
pub fn install_logs(config: &LogConfig) {
    // An error says that there is a destination already.
    _ = tracing_subscriber::registry().with(config.levels()).with(lines(config.format, std::io::stderr)).try_init();
}

/// Logs to standard error, and spans to the collector, where one is named and this build sends any. What is recorded of which
/// trace is decided from now on. On the runtime that sends, before it serves.
///
/// # Errors
/// The system's authorities cannot be read, or a further variable of OpenTelemetry's is wrong.
pub fn begin(logs: &LogConfig, traces: &TraceConfig) -> Result<Telemetry, Unsendable> {
    #[cfg(feature = "otlp")]
    if let Some(endpoint) = &traces.endpoint {
        let exporter = Exporter::to(endpoint, traces)?;
        let lines = lines(logs.format, std::io::stderr).with_filter(logs.levels());
        _ = tracing_subscriber::registry().with(lines).with(exporter.layer()).try_init();
        traces.sampling.install();
        return Ok(Telemetry(Some(exporter)));
    }
    install_logs(logs);
    #[cfg(not(feature = "otlp"))]
    if traces.endpoint.is_some() {
        tracing::warn!(
            "OTEL_EXPORTER_OTLP_ENDPOINT is set, and this build sends no traces: build it with `--features otlp`, as the \
             container's image is, or unset it"
        );
    }
    Ok(Telemetry::default())
}

/// What is to be ended when the process ends.
#[derive(Debug, Default)]
pub struct Telemetry(#[cfg(feature = "otlp")] Option<Exporter>);

impl Telemetry {
    /// Sends the spans that are left. A collector that does not take them is waited for no longer than `within`.
    #[cfg_attr(
        not(feature = "otlp"),
        expect(clippy::unused_async, reason = "with the feature there is something to send")
    )]
    pub async fn end(self, within: Duration) {
        #[cfg(feature = "otlp")]
        if let Some(exporter) = self.0 {
            exporter.end(within).await;
        }
        #[cfg(not(feature = "otlp"))]
        let _ = within;
    }
}

/// Lines of this format. As JSON each tells the trace, span and route of the request that it was written for.
fn lines<S, W>(format: LogFormat, to: W) -> Box<dyn Layer<S> + Send + Sync>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let lines = fmt::layer().with_writer(to).with_ansi(std::io::stderr().is_terminal());
    match format {
        LogFormat::Human => lines.with_target(false).boxed(),
        LogFormat::Json => lines.json().flatten_event(true).with_span_list(false).map_event_format(Traced).boxed(),
    }
}

/// JSON with the trace at its end.
struct Traced(Format<Json>);

impl<S> FormatEvent<S, JsonFields> for Traced
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, JsonFields>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> std::fmt::Result {
        let mut line = String::new();
        self.0.format_event(context, Writer::new(&mut line), event)?;
        if let Some(open) = line.strip_suffix("}\n").map(str::len) {
            line.truncate(open);
            trace::write_members(&mut line, event.metadata().fields().field("route").is_some());
            line.push_str("}\n");
        }
        writer.write_str(&line)
    }
}

/// The metrics of this process. All share one recorder, which `metrics`' macros need to be global.
#[derive(Clone, Copy)]
pub struct Metrics(&'static Families);

impl Metrics {
    /// The recorder of the process, installed by the first call. A handle that was resolved before it records nothing. Where another crate
    /// has installed another recorder before, that one is told everything, and these stay empty.
    pub fn of_process() -> Self {
        static RECORDER: OnceLock<&'static Families> = OnceLock::new();
        Self(RECORDER.get_or_init(install))
    }

    /// All of them, as Prometheus' text.
    pub fn render(&self) -> String {
        self.page(Form::Text)
    }

    /// What `/metrics` answers in this form.
    pub fn page(&self, form: Form) -> String {
        page::render(self.0, form)
    }
}

impl std::fmt::Debug for Metrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

fn install() -> &'static Families {
    // It lives as long as the process, as the macros want it.
    let families: &'static Families = Box::leak(Box::default());
    if metrics::set_global_recorder(families).is_err() {
        tracing::warn!("another recorder of metrics is installed: /metrics stays empty");
    }
    describe_build();
    crate::serve::describe_metrics();
    crate::security::describe_metrics();
    crate::quota::describe_metrics();
    crate::db::describe_metrics();
    families
}

/// What runs here.
fn describe_build() {
    metrics::describe_gauge!("build_info", "Always 1: which version runs here, and whether it was built to be fast");
    let profile = if cfg!(debug_assertions) { "debug" } else { "release" };
    metrics::gauge!("build_info", "version" => env!("CARGO_PKG_VERSION"), "profile" => profile).set(1);
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use axum::{Router, body::Body, extract::Request, routing::get};
    use tower::ServiceExt as _;

    use super::*;
    use crate::{config::Env, serve};

    const SENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    #[test]
    fn histograms_of_seconds_have_buckets() {
        let metrics = Metrics::of_process();
        metrics::histogram!("a_test_seconds").record(0.003);
        let text = metrics.render();
        assert!(text.contains("a_test_seconds_bucket{le=\"0.005\"} 1"), "{text}");
        assert!(text.contains("a_test_seconds_bucket{le=\"0.0025\"} 0"), "{text}");
    }

    #[test]
    fn the_access_log_is_off_until_it_is_asked_for() {
        let lines = |access: &str| {
            let env = Env::of([("FOREBAY_ACCESS_LOG", access)]);
            let subscriber = tracing_subscriber::fmt().with_env_filter(LogConfig::read(&mut env.reader()).levels());
            let subscriber = subscriber.with_writer(std::io::sink).finish();
            tracing::subscriber::with_default(subscriber, || tracing::enabled!(target: ACCESS, tracing::Level::INFO))
        };
        assert!(!lines("") && !lines("off") && lines("on"));
    }

    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl std::io::Write for Written {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[tokio::test]
    async fn each_line_of_a_request_names_its_trace_span_and_route() {
        let written = Written::default();
        let to = written.clone();
        let config = LogConfig { format: LogFormat::Json, filter: "trace".to_owned(), access: true };
        let log = tracing_subscriber::registry().with(config.levels()).with(lines(config.format, move || to.clone()));
        let log = tracing::subscriber::set_default(log);
        let routes = Router::new().route("/things/{id}", get(async || tracing::info!(count = 3, "\"said\"")));
        let router = serve::public(serve::measured(routes, "test"), serve::Edge::default());
        let request = Request::get("/things/7").header("traceparent", SENT).body(Body::empty()).unwrap();
        let answer = router.oneshot(request).await.unwrap();
        tracing::info!("outside");
        drop(log);
        let text = String::from_utf8(written.0.lock().unwrap().clone()).unwrap();
        let lines: Vec<serde_json::Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let said = |message: &str| lines.iter().find(|line| line["message"] == message).unwrap();
        let inside = said("\"said\"");
        let told = answer.headers()["traceparent"].to_str().unwrap();
        assert_eq!(inside["trace_id"], told[3..35], "{text}");
        assert_eq!(inside["span_id"], told[36..52], "{text}");
        assert_eq!((&inside["route"], &inside["count"]), (&"/things/{id}".into(), &3.into()), "{text}");
        assert_eq!(inside["span"]["trace"], inside["trace_id"]);
        assert_eq!(
            text.lines().find(|line| line.contains("\"request\"")).map_or(1, |line| line.matches("\"route\"").count()),
            1
        );
        assert!(said("outside").get("trace_id").is_none());
    }

    #[test]
    fn a_filter_that_is_none_is_a_fault() {
        let env = Env::of([("FOREBAY_LOG", "forebay_pool=loudly")]);
        let mut settings = env.reader();
        LogConfig::read(&mut settings);
        assert!(settings.finish().unwrap_err().to_string().contains("FOREBAY_LOG=forebay_pool=loudly"));
    }
}
