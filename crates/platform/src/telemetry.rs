//! Logs and metrics: where they go. What they say belongs to whoever says it.

use std::{io::IsTerminal as _, sync::OnceLock, time::Duration};

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use tracing_subscriber::EnvFilter;

use crate::{config::Reader, serve::ACCESS};

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

/// Upper bounds of the histogram buckets, in seconds: 0.5 ms to 10 s.
const SECONDS: [f64; 14] = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

/// How often histograms fold what was recorded into their buckets between scrapes.
const UPKEEP: Duration = Duration::from_secs(5);

/// The metrics of this process. All share one recorder, which `metrics`' macros need to be global.
#[derive(Clone)]
pub struct Metrics(PrometheusHandle);

impl Metrics {
    /// The recorder of the process, installed by the first call.
    ///
    /// # Panics
    ///
    /// Another crate has installed another recorder before.
    pub fn of_process() -> Self {
        static RECORDER: OnceLock<PrometheusHandle> = OnceLock::new();
        Self(RECORDER.get_or_init(install).clone())
    }

    /// The text that `/metrics` answers.
    ///
    /// The recorder's counters are whole numbers. One that is not, such as seconds, is a gauge to it, and is called what it is here.
    pub fn render(&self) -> String {
        self.0.render().replace("_total gauge\n", "_total counter\n")
    }

    /// Keeps the memory of unscraped histograms bounded; never returns. Dropping the future stops it.
    pub async fn keep_up(&self) {
        loop {
            tokio::time::sleep(UPKEEP).await;
            self.0.run_upkeep();
        }
    }
}

impl std::fmt::Debug for Metrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

fn install() -> PrometheusHandle {
    let handle = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &SECONDS)
        .expect("there are buckets")
        .install_recorder()
        .expect("nobody else installs a metrics recorder");
    crate::serve::describe_metrics();
    crate::security::describe_metrics();
    crate::quota::describe_metrics();
    crate::db::describe_metrics();
    handle
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
