//! Who is calling: verifies access tokens ([RFC 9068](https://www.rfc-editor.org/rfc/rfc9068)) without any I/O, so that
//! trouble with logging in never reaches those who already are.

use std::collections::HashMap;
use std::sync::Arc;

use axum::extract::{FromRef, FromRequestParts, OptionalFromRequestParts};
use http::header::AUTHORIZATION;
use http::request::Parts;
use jsonwebtoken::errors::{Error, ErrorKind};
use jsonwebtoken::{Algorithm, DecodingKey, Header, Validation, decode, decode_header};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::problem::{Code, Problem};

/// The type of token that opens the API; any other token, however well signed, does not.
pub const TOKEN_TYPE: &str = "at+jwt";

/// How far the clocks of issuer and verifier may differ, in seconds.
const LEEWAY: u64 = 30;

/// What an access token says. Issuer and verifier share this one description.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Claims {
    /// Issuer.
    pub iss: String,
    /// Audience.
    pub aud: String,
    /// The user.
    pub sub: Uuid,
    /// Not accepted from this second of Unix time on.
    pub exp: i64,
    /// Not accepted before this second.
    pub nbf: i64,
    /// Issued at this second.
    pub iat: i64,
    /// This token.
    pub jti: Uuid,
    /// The session, which is the family of refresh tokens that this token came from.
    pub sid: Uuid,
    /// Space-separated.
    pub scope: String,
}

/// Knows the issuer's public keys. Cheap to clone.
#[derive(Clone)]
pub struct Verifier {
    inner: Arc<Inner>,
}

struct Inner {
    keys: HashMap<String, DecodingKey>,
    validation: Validation,
}

/// The caller, once a token was verified. As an extractor it answers 401 by itself; `Option<Principal>` answers 401
/// only where a token was sent and is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Principal {
    /// The user.
    pub user_id: Uuid,
    /// The session the token came from.
    pub session_id: Uuid,
    /// What the token permits, space-separated.
    pub scope: String,
}

impl Verifier {
    /// Accepts what `issuer` signed for `audience` with one of `keys` (key id and Ed25519 public key).
    #[must_use]
    pub fn new(issuer: &str, audience: &str, keys: impl IntoIterator<Item = (String, [u8; 32])>) -> Self {
        let mut validation = Validation::new(Algorithm::EdDSA);
        validation.set_issuer(&[issuer]);
        validation.set_audience(&[audience]);
        validation.set_required_spec_claims(&["exp", "nbf", "iss", "aud", "sub"]);
        validation.validate_nbf = true;
        validation.leeway = LEEWAY;
        let keys = keys.into_iter().map(|(id, public)| (id, DecodingKey::from_ed_der(&public))).collect();
        Self { inner: Arc::new(Inner { keys, validation }) }
    }

    /// # Errors
    /// `401 token-expired` for a token that was good once, else `401 unauthenticated`.
    pub fn verify(&self, token: &str) -> Result<Principal, Problem> {
        let key = decode_header(token).ok().and_then(|header| self.key_of(&header)).ok_or_else(wrong_token)?;
        let claims = decode::<Claims>(token, key, &self.inner.validation).map_err(|error| refusal(&error))?.claims;
        Ok(Principal { user_id: claims.sub, session_id: claims.sid, scope: claims.scope })
    }

    /// The key is one of ours, named by its id: never one that the token brings along. A header that says it must be
    /// understood in a way we do not know (`crit`) is refused.
    fn key_of(&self, header: &Header) -> Option<&DecodingKey> {
        let ours =
            header.typ.as_deref().is_some_and(|typ| typ.eq_ignore_ascii_case(TOKEN_TYPE)) && header.crit.is_none();
        header.kid.as_ref().filter(|_| ours).and_then(|id| self.inner.keys.get(id))
    }
}

impl std::fmt::Debug for Verifier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Verifier").field("keys", &self.inner.keys.keys()).finish_non_exhaustive()
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Principal
where
    Verifier: FromRef<S>,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        match bearer(parts)? {
            Some(token) => Verifier::from_ref(state).verify(token),
            None => Err(Code::Unauthenticated.into()),
        }
    }
}

impl<S: Send + Sync> OptionalFromRequestParts<S> for Principal
where
    Verifier: FromRef<S>,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Option<Self>, Problem> {
        bearer(parts)?.map(|token| Verifier::from_ref(state).verify(token)).transpose()
    }
}

fn bearer(parts: &Parts) -> Result<Option<&str>, Problem> {
    let Some(header) = parts.headers.get(AUTHORIZATION) else {
        return Ok(None);
    };
    let (scheme, token) = header.to_str().ok().and_then(|text| text.split_once(' ')).ok_or_else(wrong_token)?;
    if scheme.eq_ignore_ascii_case("bearer") { Ok(Some(token.trim())) } else { Err(wrong_token()) }
}

fn refusal(error: &Error) -> Problem {
    match error.kind() {
        ErrorKind::ExpiredSignature => Problem::new(Code::TokenExpired).token_error("invalid_token"),
        _ => wrong_token(),
    }
}

fn wrong_token() -> Problem {
    Problem::new(Code::Unauthenticated).token_error("invalid_token")
}
