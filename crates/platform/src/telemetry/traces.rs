use std::{fmt, str::FromStr};

use http::Uri;
use percent_encoding::percent_decode_str;

use crate::{config::Reader, trace::Sampling};

/// Where spans go, and of which traces. As OpenTelemetry's programs read it.
#[derive(Clone, Debug)]
pub struct TraceConfig {
    /// `OTEL_EXPORTER_OTLP_ENDPOINT`: the collector, such as `http://collector:4318`. Default none: nothing is recorded.
    pub endpoint: Option<Uri>,
    /// `OTEL_SERVICE_NAME`: what this process is called there.
    pub service: String,
    /// `OTEL_RESOURCE_ATTRIBUTES`: what else is said of this process.
    pub attributes: Pairs,
    /// `OTEL_EXPORTER_OTLP_HEADERS`: what the collector is shown, such as a key.
    pub headers: Pairs,
    /// `OTEL_TRACES_SAMPLER`, `OTEL_TRACES_SAMPLER_ARG`. Default what the sender decided, and all others.
    pub sampling: Sampling,
}

impl TraceConfig {
    /// Reads the variables. `process` is what the process is called where they do not say.
    pub fn read(settings: &mut Reader<'_>, process: &str) -> Self {
        const ENDPOINT: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
        let example = "http://collector:4318";
        settings.without(ENDPOINT, "none");
        let endpoint = settings.optional::<Uri>(ENDPOINT, example);
        let is_one = endpoint.as_ref().is_none_or(|uri| {
            let names_a_host = uri.host().is_some_and(|host| !host.is_empty());
            let has_user = uri.authority().is_some_and(|authority| authority.as_str().contains('@'));
            matches!(uri.scheme_str(), Some("http" | "https")) && names_a_host && !has_user && uri.query().is_none()
        });
        let wrong = "must be the http:// or https:// address of a collector, without a user or a query";
        settings.require(is_one, ENDPOINT, wrong, example);
        let attributes = settings.optional("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=production");
        let headers = settings.secret_of("OTEL_EXPORTER_OTLP_HEADERS", "x-api-key=<the key>");
        Self {
            endpoint,
            service: settings.or("OTEL_SERVICE_NAME", format!("forebay-{process}")),
            attributes: attributes.unwrap_or_default(),
            headers: headers.unwrap_or_default(),
            sampling: Sampling::read(settings),
        }
    }

    /// What a collector is told of this process.
    #[cfg(feature = "otlp")]
    pub(crate) fn resource(&self) -> Vec<(String, String)> {
        let mut all = vec![
            ("service.version".to_owned(), env!("CARGO_PKG_VERSION").to_owned()),
            ("service.instance.id".to_owned(), uuid::Uuid::now_v7().to_string()),
        ];
        all.extend(self.attributes.0.iter().cloned());
        // Named by itself it counts, whatever else is said.
        all.retain(|(name, _)| name != "service.name");
        all.push(("service.name".to_owned(), self.service.clone()));
        all
    }
}

/// `name=value`, several after commas; `%2C` in a value is a comma.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Pairs(pub(crate) Vec<(String, String)>);

/// Names alone: a value may be a key.
impl fmt::Debug for Pairs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.iter().map(|(name, _)| name)).finish()
    }
}

/// It is no list of `name=value`.
#[derive(Debug, thiserror::Error)]
#[error("must be name=value, several after commas")]
pub struct NoPairs;

impl FromStr for Pairs {
    type Err = NoPairs;

    fn from_str(text: &str) -> Result<Self, NoPairs> {
        let pair = |pair: &str| {
            let (name, value) = pair.split_once('=').ok_or(NoPairs)?;
            let value = percent_decode_str(value.trim()).decode_utf8().map_err(|_not_text| NoPairs)?;
            if name.trim().is_empty() { Err(NoPairs) } else { Ok((name.trim().to_owned(), value.into_owned())) }
        };
        text.split(',').filter(|part| !part.trim().is_empty()).map(pair).collect::<Result<_, _>>().map(Self)
    }
}

/// What only the library and the system know of the settings.
#[derive(Debug, thiserror::Error)]
#[error("traces cannot be sent: {0}; unset OTEL_EXPORTER_OTLP_ENDPOINT to do without")]
pub struct Unsendable(pub(crate) String);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Env;

    #[test]
    fn all_that_is_wrong_with_it_is_said_at_once_and_no_key_with_it() {
        let env = Env::of([
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4318"),
            ("OTEL_RESOURCE_ATTRIBUTES", "production"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "the-secret-key"),
            ("OTEL_TRACES_SAMPLER", "sometimes"),
        ]);
        let mut settings = env.reader();
        TraceConfig::read(&mut settings, "shop");
        let faults = settings.finish().unwrap_err().to_string();
        for part in ["4 settings are wrong", "OTEL_EXPORTER_OTLP_ENDPOINT=collector:4318", "name=value", "parentbased_"]
        {
            assert!(faults.contains(part), "{faults}");
        }
        assert!(!faults.contains("the-secret-key"), "{faults}");
        for wrong in ["http://", "ftp://collector", "http://user:secret@collector:4318", "http://collector?a=b"] {
            let env = Env::of([("OTEL_EXPORTER_OTLP_ENDPOINT", wrong)]);
            let mut settings = env.reader();
            TraceConfig::read(&mut settings, "shop");
            assert!(settings.finish().is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_is_said_of_the_process_is_decoded_and_keys_are_not_shown() {
        let env = Env::of([
            ("OTEL_RESOURCE_ATTRIBUTES", "host.name=a%2Cb, k8s.pod.name=shop-1 ,"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20secret"),
        ]);
        let mut settings = env.reader();
        let config = TraceConfig::read(&mut settings, "catalog");
        settings.finish().unwrap();
        assert_eq!(config.attributes.0[0], ("host.name".to_owned(), "a,b".to_owned()));
        assert_eq!(config.attributes.0[1], ("k8s.pod.name".to_owned(), "shop-1".to_owned()));
        assert_eq!((config.endpoint.as_ref(), config.service.as_str()), (None, "forebay-catalog"));
        assert_eq!(config.headers.0[0].1, "Bearer secret");
        assert!(!format!("{config:?}").contains("secret"), "{config:?}");
    }
}
