//! Large answers in gzip.
//!
//! Only those that are the same for everybody: what holds a secret and words of a stranger tells of the secret by its length
//! (BREACH). A compressed answer is another representation, so its `ETag` is another one; both name the same version.

use std::io::Write as _;
use std::sync::OnceLock;

use axum::body::{Body, Bytes, HttpBody as _};
use axum::response::Response;
use flate2::{Compression, write::GzEncoder};
use http::header::{ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH, ETAG, VARY};
use http::{HeaderMap, HeaderValue, StatusCode};
use http_body_util::BodyExt as _;

/// What has fewer bytes is sent as it is: it fits into the packet that is sent anyway.
const LEAST: u64 = 1024;

/// What stands before the closing quote of a compressed answer's `ETag`.
pub(crate) const SUFFIX: &str = "-gzip";

/// Whether the client takes gzip: it names it, or everything, and not with a quality of zero.
pub(crate) fn is_taken(request: &HeaderMap) -> bool {
    let sent = request.get_all(ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    let mut all = None;
    for coding in sent.flat_map(|list| list.split(',')) {
        let (name, parameters) = coding.split_once(';').unwrap_or((coding, ""));
        let quality = parameters.trim().strip_prefix("q=").map(|quality| quality.trim().parse::<f32>());
        let taken = quality.is_none_or(|quality| quality.is_ok_and(|quality| quality > 0.0));
        match name.trim().to_ascii_lowercase().as_str() {
            "gzip" | "x-gzip" => return taken,
            "*" => all = Some(taken),
            _ => {}
        }
    }
    all.unwrap_or(false)
}

/// The answer as it is to be sent: in gzip where that is `taken`, and where it is large and everybody's.
pub(crate) async fn compressed(taken: bool, response: Response) -> Response {
    if !is_worth_it(&response) {
        return if is_known(&response) { varying(response) } else { response };
    }
    let (mut head, body) = varying(response).into_parts();
    if !taken {
        return Response::from_parts(head, body);
    }
    let body = if let Some(Ready(body)) = head.extensions.remove() {
        body
    } else {
        // It was made already: nothing is waited for.
        let Ok(body) = body.collect().await else { return Response::from_parts(head, Body::empty()) };
        gzip(&body.to_bytes(), Compression::fast())
    };
    head.headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    head.headers.insert(CONTENT_LENGTH, HeaderValue::from(body.len()));
    if let Some(tag) = head.headers.get(ETAG).and_then(suffixed) {
        head.headers.insert(ETAG, tag);
    }
    Response::from_parts(head, Body::from(body))
}

fn varying(mut response: Response) -> Response {
    response.headers_mut().append(VARY, HeaderValue::from_static("Accept-Encoding"));
    response
}

fn is_public(headers: &HeaderMap) -> bool {
    headers.get(CACHE_CONTROL).is_some_and(|policy| policy.as_bytes().starts_with(b"public"))
}

/// Whether it stands for one that may have been compressed (RFC 9110, section 15.4.5).
fn is_known(response: &Response) -> bool {
    response.status() == StatusCode::NOT_MODIFIED && is_public(response.headers())
}

/// Whether it is large, everybody's, and of a kind that becomes smaller.
fn is_worth_it(response: &Response) -> bool {
    let headers = response.headers();
    let large = response.body().size_hint().exact().is_some_and(|bytes| bytes > LEAST);
    is_public(headers)
        && large
        && response.status() == StatusCode::OK
        && is_text(headers)
        && !headers.contains_key(CONTENT_ENCODING)
}

/// The compressed body of an answer that is kept, so that nobody has it made again and again.
#[derive(Clone, Debug)]
struct Ready(Bytes);

/// Has the answer sent with what is in `kept`, where it is worth it and the client takes it; `body` is compressed for it once.
pub(crate) fn with_kept(kept: &OnceLock<Bytes>, body: &Bytes, request: &HeaderMap, mut response: Response) -> Response {
    if is_worth_it(&response) && is_taken(request) {
        let ready = kept.get_or_init(|| gzip(body, Compression::best())).clone();
        response.extensions_mut().insert(Ready(ready));
    }
    response
}

/// Pictures and the like are compressed in themselves.
fn is_text(headers: &HeaderMap) -> bool {
    let media_type = headers.get(http::header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    media_type.starts_with("text/") || media_type.contains("json") || media_type.contains("svg")
}

fn gzip(bytes: &[u8], level: Compression) -> Bytes {
    let mut encoder = GzEncoder::new(Vec::with_capacity(bytes.len() / 4), level);
    encoder.write_all(bytes).and_then(|()| encoder.finish()).expect("memory takes all bytes").into()
}

/// `"tag-gzip"` for `"tag"`.
pub(crate) fn suffixed(tag: &HeaderValue) -> Option<HeaderValue> {
    let bare = tag.to_str().ok()?.strip_suffix('"')?;
    HeaderValue::try_from(format!("{bare}{SUFFIX}\"")).ok()
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    fn asked(accept: &str) -> HeaderMap {
        HeaderMap::from_iter([(ACCEPT_ENCODING, accept.parse().unwrap())])
    }

    fn answer(policy: &'static str, bytes: usize) -> Response {
        let response = Response::builder().header(CACHE_CONTROL, policy).header("content-type", "application/json");
        response.header(ETAG, "\"tag\"").body(Body::from("x".repeat(bytes))).unwrap()
    }

    #[test]
    fn gzip_is_taken_by_who_says_so() {
        for yes in ["gzip", "br, gzip;q=0.5", "*", "GZIP", "identity;q=0, *;q=0.1"] {
            assert!(is_taken(&asked(yes)), "{yes}");
        }
        for no in ["", "br", "gzip;q=0", "gzip;q=0.0, *", "*;q=0", "gzip;q=x"] {
            assert!(!is_taken(&asked(no)), "{no}");
        }
        assert!(!is_taken(&HeaderMap::new()));
    }

    #[tokio::test]
    async fn what_is_large_and_everybodys_is_compressed_under_a_tag_of_its_own() {
        let response = compressed(true, answer("public, max-age=5", 5_000)).await;
        let headers = response.headers().clone();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        assert!(headers[CONTENT_ENCODING] == "gzip" && headers[VARY] == "Accept-Encoding", "{headers:?}");
        assert!(headers[ETAG] == "\"tag-gzip\"" && headers[CONTENT_LENGTH] == body.len().to_string(), "{headers:?}");
        let mut text = String::new();
        flate2::read::GzDecoder::new(&*body).read_to_string(&mut text).unwrap();
        assert_eq!(text, "x".repeat(5_000));
    }

    #[tokio::test]
    async fn secrets_and_what_is_small_are_sent_as_they_are() {
        for (policy, bytes) in [("private, no-store", 5_000), ("no-store", 5_000), ("public, max-age=5", 1_024)] {
            let response = compressed(true, answer(policy, bytes)).await;
            assert_eq!(response.headers().len(), 3, "{policy}, {bytes}: {response:?}");
        }
        let mut encoded = answer("public, max-age=5", 5_000);
        encoded.headers_mut().insert(CONTENT_ENCODING, HeaderValue::from_static("br"));
        let mut picture = answer("public, max-age=5", 5_000);
        picture.headers_mut().insert(http::header::CONTENT_TYPE, HeaderValue::from_static("image/png"));
        for kept in [encoded, picture] {
            let before = kept.headers().clone();
            let sent = compressed(true, kept).await;
            assert_eq!(sent.headers(), &before, "compressed in itself");
        }
        let mut known = answer("public, max-age=5", 0);
        *known.status_mut() = StatusCode::NOT_MODIFIED;
        assert_eq!(compressed(true, known).await.headers()[VARY], "Accept-Encoding");
        let plain = compressed(false, answer("public, max-age=5", 5_000)).await;
        assert!(plain.headers()[ETAG] == "\"tag\"" && plain.headers()[VARY] == "Accept-Encoding", "{plain:?}");
    }
}
