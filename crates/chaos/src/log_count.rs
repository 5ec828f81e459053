//! Counts acquire time-outs in the log, by service: what the on-call engineer saw at 2:40.

use std::fmt::Debug;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

use crate::schedule::Service;

/// A layer of the subscriber, and the counts it keeps. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct LogCount {
    counts: Arc<[AtomicU64; 3]>,
}

impl LogCount {
    /// Time-outs logged so far by catalog, auth and checkout.
    #[must_use]
    pub fn timeouts(&self) -> [u64; 3] {
        [0, 1, 2].map(|n: usize| self.counts[n].load(Ordering::Relaxed))
    }
}

#[derive(Default)]
struct Fields {
    service: Option<usize>,
    timeout: bool,
}

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "service" => self.service = Service::ALL.iter().position(|service| service.name() == value),
            "kind" => self.timeout = value == "timeout",
            _ => {}
        }
    }

    fn record_debug(&mut self, _: &Field, _: &dyn Debug) {}
}

impl<S: Subscriber> Layer<S> for LogCount {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut fields = Fields::default();
        event.record(&mut fields);
        if let (Some(service), true) = (fields.service, fields.timeout) {
            self.counts[service].fetch_add(1, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tracing_subscriber::layer::SubscriberExt;

    #[test]
    fn only_time_outs_of_the_three_services_count() {
        let count = LogCount::default();
        tracing::subscriber::with_default(tracing_subscriber::registry().with(count.clone()), || {
            tracing::warn!(service = "auth", kind = "timeout", "acquire timed out");
            tracing::warn!(service = "auth", kind = "shed", "shed");
            tracing::warn!(service = "report-job", kind = "timeout", "acquire timed out");
            tracing::warn!("acquire timed out");
        });
        assert_eq!(count.timeouts(), [0, 1, 0]);
    }
}
