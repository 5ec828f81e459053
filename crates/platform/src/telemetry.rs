//! Logs and metrics: where they go. What they say belongs to whoever says it.

use std::{io::IsTerminal as _, sync::OnceLock};

use tracing_subscriber::EnvFilter;

use crate::{config::Reader, serve::ACCESS};

mod buckets;
mod page;
mod recorder;

pub use page::Form;
use recorder::Families;

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
        EnvFilter::try_new(format!("{filter},{ACCESS}={access}")).unwrap_or_else(|_| EnvFilter::new("info"))
    }
}

/// Sends logs to standard error from now on. A process has one destination: later calls change nothing.
pub fn install_logs(config: &LogConfig) {
    let (format, filter) = (config.format, config.levels());
    let colours = std::io::stderr().is_terminal();
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(colours);
    // An error says that there is a destination already.
    _ = match format {
        LogFormat::Human => lines.with_target(false).try_init(),
        LogFormat::Json => lines.json().flatten_event(true).with_current_span(true).with_span_list(false).try_init(),
    };
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
    use super::*;
    use crate::config::Env;

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

    #[test]
    fn a_filter_that_is_none_is_a_fault() {
        let env = Env::of([("FOREBAY_LOG", "forebay_pool=loudly")]);
        let mut settings = env.reader();
        LogConfig::read(&mut settings);
        assert!(settings.finish().unwrap_err().to_string().contains("FOREBAY_LOG=forebay_pool=loudly"));
    }
}
