//! Whose web pages may call the API.

use std::str::FromStr;
use std::time::Duration;

use http::header::{
    ACCEPT, ALLOW, AUTHORIZATION, CONTENT_TYPE, ETAG, HeaderName, IF_MATCH, IF_NONE_MATCH, LINK, LOCATION, RETRY_AFTER,
    WWW_AUTHENTICATE,
};
use http::{HeaderValue, Method, Uri};
use tower_http::cors::{AllowOrigin, CorsLayer};

/// How long a browser need not ask again whether it may.
const MAX_AGE: Duration = Duration::from_secs(600);

const fn named(name: &'static str) -> HeaderName {
    HeaderName::from_static(name)
}

/// The origins of these pages, each exactly as browsers send it. By default there is none.
///
/// ```
/// use forebay_platform::cors::Origins;
///
/// assert!("https://shop.example, http://localhost:5173".parse::<Origins>().is_ok());
/// assert!("*".parse::<Origins>().is_err());
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origins(Vec<HeaderValue>);

impl Origins {
    /// What tells browsers so, where there are any. Cookies are nobody's but the shop's own pages': with credentials no foreign
    /// page is answered.
    pub(crate) fn layer(&self) -> Option<CorsLayer> {
        let layer = CorsLayer::new()
            .allow_origin(AllowOrigin::list(self.0.iter().cloned()))
            .allow_methods([Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE])
            .allow_headers([
                ACCEPT,
                AUTHORIZATION,
                CONTENT_TYPE,
                IF_MATCH,
                IF_NONE_MATCH,
                named("idempotency-key"),
                named("request-timeout-ms"),
                named("retry-ticket"),
                named("traceparent"),
                named("tracestate"),
                named("x-cart-token"),
                named("x-request-id"),
            ])
            .expose_headers([
                ALLOW,
                ETAG,
                LINK,
                LOCATION,
                RETRY_AFTER,
                WWW_AUTHENTICATE,
                named("cache-status"),
                named("deprecation"),
                named("idempotent-replayed"),
                named("ratelimit"),
                named("ratelimit-policy"),
                named("retry-after-ms"),
                named("retry-ticket"),
                named("sunset"),
                named("traceparent"),
                named("x-request-id"),
            ])
            .max_age(MAX_AGE);
        (!self.0.is_empty()).then_some(layer)
    }
}

impl FromStr for Origins {
    type Err = InvalidOrigin;

    /// Origins with commas between: `https://shop.example, http://localhost:5173`.
    fn from_str(text: &str) -> Result<Self, InvalidOrigin> {
        text.split(',').map(str::trim).map(origin).collect::<Result<_, _>>().map(Self)
    }
}

/// A scheme, a host and perhaps a port, in lower case and with nothing behind: anything else is never sent by a browser.
fn origin(text: &str) -> Result<HeaderValue, InvalidOrigin> {
    let invalid = || InvalidOrigin(text.to_owned());
    let uri: Uri = text.parse().map_err(|_no_uri| invalid())?;
    let (scheme, authority) = (uri.scheme_str().unwrap_or_default(), uri.authority().map_or("", |at| at.as_str()));
    let usual = matches!((scheme, uri.port_u16()), ("http", Some(80)) | ("https", Some(443)));
    let exact = format!("{scheme}://{authority}").to_ascii_lowercase() == text;
    if matches!(scheme, "http" | "https") && exact && !usual && !authority.is_empty() && !authority.contains(['@', '*'])
    {
        HeaderValue::try_from(text).map_err(|_no_header| invalid())
    } else {
        Err(invalid())
    }
}

/// An entry that no browser would send as its origin.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no origin: a scheme, a host, and a port unless it is the usual one, with nothing behind")]
pub struct InvalidOrigin(String);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_written_as_browsers_send_it() {
        for good in
            ["https://shop.example", "http://localhost:5173", "http://[::1]:3000", "https://a.example,http://b.example"]
        {
            good.parse::<Origins>().unwrap();
        }
        for bad in [
            "",
            "*",
            "null",
            "shop.example",
            "https://shop.example/",
            "https://Shop.example",
            "https://shop.example:443",
            "https://*.shop.example",
            "https://ada@shop.example",
            "ftp://shop.example",
            "https://a.example,,https://b.example",
        ] {
            assert!(bad.parse::<Origins>().is_err(), "{bad}");
        }
        assert!(Origins::default().layer().is_none());
    }
}
