//! Who opens an address by hand: a browser gets a page, and a shell the commands in plain text.

use http::{
    HeaderMap,
    header::{ACCEPT, HOST},
};

/// Whether HTML is named as a type that is wanted: `curl` takes anything, and names nothing.
pub(crate) fn wants_html(request: &HeaderMap) -> bool {
    let accepted = request.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
    accepted.flat_map(|list| list.split(',')).any(|range| {
        let mut parts = range.split(';').map(str::trim);
        let named = parts.next().is_some_and(|kind| kind.eq_ignore_ascii_case("text/html"));
        let refused = |part: &str| part.strip_prefix("q=").and_then(|q| q.parse().ok()).is_some_and(|q: f32| q <= 0.0);
        named && !parts.any(refused)
    })
}

/// Where the request was sent to, if it is no more than a host and a port: it stands in lines for a shell.
pub(crate) fn host(request: &HeaderMap) -> Option<&str> {
    let host = request.get(HOST)?.to_str().ok()?;
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b':' | b'-' | b'[' | b']');
    (!host.is_empty() && host.bytes().all(plain)).then_some(host)
}
