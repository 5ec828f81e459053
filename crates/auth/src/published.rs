//! Documents for those who verify access tokens: the public keys ([RFC 7517](https://www.rfc-editor.org/rfc/rfc7517), RFC
//! 8037), and the sessions that have ended while tokens of theirs are still good.

use std::sync::{Mutex, PoisonError};

use axum::body::Bytes;
use axum::http::{HeaderMap, HeaderValue};
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use forebay_platform::etag::Document;
use forebay_platform::identity::RevokedSessions;
use serde::Serialize;
use utoipa::ToSchema;

use crate::signing::PublicKey;

/// As long as our own verifiers keep the keys before they ask again.
const KEYS_POLICY: HeaderValue = HeaderValue::from_static("public, max-age=300");

/// RFC 7517, section 8.5.
const KEYS_TYPE: HeaderValue = HeaderValue::from_static("application/jwk-set+json");

/// To be asked for each time: a list that is old lets in who was logged out.
const SESSIONS_POLICY: HeaderValue = HeaderValue::from_static("no-cache");

const JSON: HeaderValue = HeaderValue::from_static("application/json");

fn document(content: &impl Serialize, media_type: HeaderValue, policy: HeaderValue) -> Document {
    let body = Bytes::from(serde_json::to_vec(content).expect("strings and ids always serialize"));
    Document::new(body, media_type, policy)
}

/// Made once: keys change only with the process.
pub(crate) fn of_keys(keys: &[PublicKey]) -> Document {
    let keys = keys.iter().map(Key::of).collect();
    document(&KeySet { keys }, KEYS_TYPE, KEYS_POLICY)
}

/// A JSON Web Key Set (RFC 7517).
#[derive(Serialize, ToSchema)]
pub(crate) struct KeySet {
    /// All that verify a token which may still be good.
    keys: Vec<Key>,
}

/// A JSON Web Key of Ed25519 (RFC 8037).
#[derive(Serialize, ToSchema)]
#[schema(as = PublicKey)]
struct Key {
    /// `OKP`.
    kty: &'static str,
    /// `Ed25519`.
    crv: &'static str,
    /// `sig`.
    r#use: &'static str,
    /// `EdDSA`.
    alg: &'static str,
    /// The `kid` in the head of the tokens that it verifies.
    kid: String,
    /// The public key, in base64url.
    x: String,
}

impl Key {
    fn of(key: &PublicKey) -> Self {
        let x = URL_SAFE_NO_PAD.encode(key.bytes);
        Self { kty: "OKP", crv: "Ed25519", r#use: "sig", alg: "EdDSA", kid: key.id.clone(), x }
    }
}

/// The list of ended sessions, rendered once for each change, whoever asks and how often.
#[derive(Debug)]
pub(crate) struct EndedSessions {
    sessions: RevokedSessions,
    rendered: Mutex<(u64, Document)>,
}

impl EndedSessions {
    pub(crate) fn new(sessions: RevokedSessions) -> Self {
        let rendered = Mutex::new(render(&sessions));
        Self { sessions, rendered }
    }

    pub(crate) fn answer(&self, request: &HeaderMap) -> Response {
        let mut rendered = self.rendered.lock().unwrap_or_else(PoisonError::into_inner);
        if rendered.0 != self.sessions.version() {
            *rendered = render(&self.sessions);
        }
        rendered.1.answer(request)
    }
}

fn render(sessions: &RevokedSessions) -> (u64, Document) {
    let (version, list) = sessions.list();
    (version, document(&list, JSON, SESSIONS_POLICY))
}
