//! The public keys as others fetch them ([RFC 7517](https://www.rfc-editor.org/rfc/rfc7517), RFC 8037).

use axum::body::Bytes;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, IF_NONE_MATCH};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::signing::PublicKey;

/// As long as our own verifiers keep it before they ask again.
const POLICY: HeaderValue = HeaderValue::from_static("public, max-age=300");

/// RFC 7517, section 8.5.
const MEDIA_TYPE: HeaderValue = HeaderValue::from_static("application/jwk-set+json");

/// Made once: keys change only with the process.
#[derive(Debug)]
pub(crate) struct KeySet {
    body: Bytes,
    tag: HeaderValue,
}

impl KeySet {
    pub(crate) fn of(keys: &[PublicKey]) -> Self {
        let keys: Vec<_> = keys.iter().map(published).collect();
        let body = Bytes::from(json!({ "keys": keys }).to_string());
        let tag = tag_of(&body);
        Self { body, tag }
    }

    /// 200 with the keys, or 304 where the client has exactly these.
    pub(crate) fn answer(&self, request: &HeaderMap) -> Response {
        let headers = [(CACHE_CONTROL, POLICY), (ETAG, self.tag.clone())];
        if self.known(request) {
            return (StatusCode::NOT_MODIFIED, headers).into_response();
        }
        (headers, [(CONTENT_TYPE, MEDIA_TYPE)], self.body.clone()).into_response()
    }

    /// RFC 9110, section 13.1.2: a list of tags compared weakly, or `*`.
    fn known(&self, request: &HeaderMap) -> bool {
        let sent = request.get_all(IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
        sent.flat_map(|list| list.split(','))
            .map(|candidate| candidate.trim().trim_start_matches("W/"))
            .any(|candidate| candidate == "*" || candidate.as_bytes() == self.tag.as_bytes())
    }
}

fn published(key: &PublicKey) -> Value {
    let x = URL_SAFE_NO_PAD.encode(key.bytes);
    json!({ "kty": "OKP", "crv": "Ed25519", "use": "sig", "alg": "EdDSA", "kid": key.id, "x": x })
}

/// A strong validator: the hash of the very bytes.
fn tag_of(body: &[u8]) -> HeaderValue {
    let digest = URL_SAFE_NO_PAD.encode(&Sha256::digest(body)[..16]);
    HeaderValue::from_str(&format!("\"{digest}\"")).expect("base64 is plain ASCII")
}
