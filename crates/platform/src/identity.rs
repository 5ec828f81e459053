//! Who is calling: verifies access tokens ([RFC 9068](https://www.rfc-editor.org/rfc/rfc9068)) by keys that are at hand, so
//! that trouble with logging in never reaches those who already are.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{FromRef, FromRequestParts, OptionalFromRequestParts};
use http::header::AUTHORIZATION;
use http::request::Parts;
use jsonwebtoken::errors::{Error, ErrorKind};
use jsonwebtoken::{Algorithm, DecodingKey, Header, Validation, decode, decode_header};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::problem::{Code, Problem};

mod admin;
mod fetch;
mod follow;
mod jwks_uri;
mod key_set;
mod keyring;
mod remote;
mod revoked;
#[cfg(test)]
mod tests;

pub use admin::{ADMIN_SCOPE, Admin};
use follow::Follower;
pub use jwks_uri::{InvalidJwksUri, JwksUri};
use key_set::KeySet;
use keyring::Missing;
use remote::Remote;
pub use revoked::{RevokedList, RevokedSessions};

/// The type of token that opens the API; any other token, however well signed, does not.
pub const TOKEN_TYPE: &str = "at+jwt";

/// How long an access token is good.
pub const ACCESS_LIFE: Duration = Duration::from_secs(600);

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

/// Knows the issuer's public keys, and which of its sessions have ended. Cheap to clone.
#[derive(Clone)]
pub struct Verifier {
    inner: Arc<Inner>,
    revoked: RevokedSessions,
}

struct Inner {
    keys: Keys,
    validation: Validation,
}

#[derive(Debug)]
enum Keys {
    Fixed(KeySet),
    Remote(Box<Elsewhere>),
}

/// What an issuer elsewhere publishes.
#[derive(Debug)]
struct Elsewhere {
    keys: Remote,
    sessions: Follower,
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
        Self::by(Keys::Fixed(KeySet::of(keys)), issuer, audience, RevokedSessions::default())
    }

    /// Accepts what `issuer` signed for `audience` with one of the Ed25519 keys that are published at `jwks`, unless its
    /// session is listed beside them, in `revoked-sessions.json`. Both come only while [`keep_fresh`](Self::keep_fresh) of
    /// this verifier or of a clone runs; until the first keys have come, and when none came for a day, every token is
    /// answered `503 dependency-unavailable`.
    #[must_use]
    pub fn remote(issuer: &str, audience: &str, jwks: JwksUri) -> Self {
        let revoked = RevokedSessions::default();
        let sessions = Follower::new(&jwks, revoked.clone());
        Self::by(Keys::Remote(Box::new(Elsewhere { keys: Remote::new(jwks), sessions })), issuer, audience, revoked)
    }

    /// The same, which refuses tokens of these sessions, and of those that are added to them.
    #[must_use]
    pub fn refusing(self, revoked: RevokedSessions) -> Self {
        Self { revoked, ..self }
    }

    fn by(keys: Keys, issuer: &str, audience: &str, revoked: RevokedSessions) -> Self {
        let mut validation = Validation::new(Algorithm::EdDSA);
        validation.set_issuer(&[issuer]);
        validation.set_audience(&[audience]);
        validation.set_required_spec_claims(&["exp", "nbf", "iss", "aud", "sub"]);
        validation.validate_nbf = true;
        validation.leeway = LEEWAY;
        Self { inner: Arc::new(Inner { keys, validation }), revoked }
    }

    /// Has the published keys asked for: every five minutes, after a failure within ten seconds, and for a token whose
    /// key is not known, but for such tokens once in ten seconds; and the list of ended sessions every two seconds, of
    /// which what is known stays where no more comes. Never returns; with fixed keys there is nothing to do.
    /// Only one at a time asks, whoever else runs this. Dropping the future stops it, and what has come stays good for
    /// its day.
    pub async fn keep_fresh(self) {
        match &self.inner.keys {
            Keys::Fixed(_) => std::future::pending().await,
            Keys::Remote(issuer) => _ = tokio::join!(issuer.keys.keep_fresh(), issuer.sessions.keep_up()),
        }
    }

    /// Who presents `token`. Waits only where its key is not known and the issuer may be asked: a second at most.
    /// Dropping the future takes nothing from others who wait.
    ///
    /// # Errors
    /// `401 token-expired` for a token that was good once, else `401 unauthenticated`, also where its session has ended; `503 dependency-unavailable`
    /// where nobody can tell, for want of keys.
    pub async fn verify(&self, token: &str) -> Result<Principal, Problem> {
        let header = decode_header(token).ok().filter(is_ours).ok_or_else(wrong_token)?;
        let id = header.kid.ok_or_else(wrong_token)?;
        let key = self.key(&id).await.map_err(without_key)?;
        let claims = decode::<Claims>(token, &key, &self.inner.validation).map_err(|error| refusal(&error))?.claims;
        if self.revoked.contains(claims.sid) {
            return Err(wrong_token().detail("the session has ended: log in again"));
        }
        Ok(Principal { user_id: claims.sub, session_id: claims.sid, scope: claims.scope })
    }

    /// The key is one of the issuer's, named by its id: never one that the token brings along or points to.
    async fn key(&self, id: &str) -> Result<Arc<DecodingKey>, Missing> {
        match &self.inner.keys {
            Keys::Fixed(keys) => keys.get(id).ok_or(Missing::Key),
            Keys::Remote(issuer) => issuer.keys.key(id).await,
        }
    }
}

impl std::fmt::Debug for Verifier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Verifier").field("keys", &self.inner.keys).finish_non_exhaustive()
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Principal
where
    Verifier: FromRef<S>,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        caller(parts, state).await?.ok_or_else(|| Code::Unauthenticated.into())
    }
}

impl<S: Send + Sync> OptionalFromRequestParts<S> for Principal
where
    Verifier: FromRef<S>,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Option<Self>, Problem> {
        caller(parts, state).await
    }
}

/// Kept among a request's extensions: a signature costs more than most of what a handler does. Nobody else makes one.
#[derive(Clone)]
struct Verified(Principal);

/// Who sends the request, if it says so; its token is verified once, however often it is asked.
async fn caller<S>(parts: &mut Parts, state: &S) -> Result<Option<Principal>, Problem>
where
    Verifier: FromRef<S>,
{
    if let Some(Verified(principal)) = parts.extensions.get() {
        return Ok(Some(principal.clone()));
    }
    let Some(token) = bearer(parts)? else { return Ok(None) };
    let principal = Verifier::from_ref(state).verify(token).await?;
    parts.extensions.insert(Verified(principal.clone()));
    Ok(Some(principal))
}

fn bearer(parts: &Parts) -> Result<Option<&str>, Problem> {
    let Some(header) = parts.headers.get(AUTHORIZATION) else {
        return Ok(None);
    };
    let (scheme, token) = header.to_str().ok().and_then(|text| text.split_once(' ')).ok_or_else(wrong_token)?;
    if scheme.eq_ignore_ascii_case("bearer") { Ok(Some(token.trim())) } else { Err(wrong_token()) }
}

/// An access token, signed in the one way we know, whose header does not say that it must be understood in another
/// (`crit`). Whatever is none of it is refused before anybody is asked for a key.
fn is_ours(header: &Header) -> bool {
    let access_token = header.typ.as_deref().is_some_and(|typ| typ.eq_ignore_ascii_case(TOKEN_TYPE));
    access_token && header.alg == Algorithm::EdDSA && header.crit.is_none()
}

fn without_key(missing: Missing) -> Problem {
    match missing {
        Missing::Key => wrong_token(),
        Missing::Keys => Problem::new(Code::DependencyUnavailable)
            .detail("access tokens cannot be verified at the moment; nothing was executed"),
    }
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
