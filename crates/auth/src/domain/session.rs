//! Sessions, and what becomes of a refresh token that is presented.

use axum::http::HeaderMap;
use axum::http::header::USER_AGENT;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use forebay_platform::identity::{ACCESS_LIFE, Claims};
use hmac::{Hmac, KeyInit, Mac};
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;
use sha2::{Digest, Sha256};
use time::{Duration, OffsetDateTime};
use utoipa::ToSchema;
use uuid::Uuid;

use super::Role;
use crate::signing::{AUDIENCE, ISSUER, SigningKey};
use crate::store::sessions::Listed;

/// A session that nobody uses for so long cannot be refreshed any more.
pub(crate) const REFRESH_LIFE: Duration = Duration::days(14);
const SESSION_LIFE: Duration = Duration::days(30);

/// A token that was spent this short a while ago may be presented again, while its successor was not used: its answer was
/// lost on the way, or another tab of the same client was faster. Without this, our own overload would log people out.
const GRACE: Duration = Duration::seconds(30);

/// What the secret is for that successors are made with.
const SUCCESSORS: &str = "successors of refresh tokens";

/// In characters; the rest of what a client calls itself is left out.
const USER_AGENT_LENGTH: usize = 200;

/// 256 random bits, of which only the hash is kept.
#[derive(Debug)]
pub(crate) struct RefreshToken {
    pub(crate) secret: SecretString,
    pub(crate) hash: TokenHash,
}

pub(crate) type TokenHash = [u8; 32];

impl RefreshToken {
    pub(crate) fn generate() -> Self {
        Self::of(rand::random())
    }

    /// The successor of a token that is spent: the same one each time, so that whoever presents the token again can be given
    /// it again, although it is kept nowhere. It takes both the token and the key to know it.
    pub(crate) fn after(spent: &SecretString, key: &SigningKey) -> Self {
        Self::made_with(&key.secret_for(SUCCESSORS), spent)
    }

    /// The same, if it was made by us or a replica: the one with this hash.
    pub(crate) fn made_before(spent: &SecretString, key: &SigningKey, hash: &TokenHash) -> Option<Self> {
        let mut made = key.secrets_for(SUCCESSORS).map(|secret| Self::made_with(&secret, spent));
        made.find(|token| token.hash == *hash)
    }

    fn made_with(secret: &[u8; 32], spent: &SecretString) -> Self {
        let mut mac = Hmac::<Sha256>::new_from_slice(secret).expect("HMAC takes keys of any length");
        mac.update(spent.expose_secret().as_bytes());
        Self::of(mac.finalize().into_bytes().into())
    }

    fn of(bits: [u8; 32]) -> Self {
        let secret = SecretString::from(URL_SAFE_NO_PAD.encode(bits));
        let hash = hash_of(&secret);
        Self { secret, hash }
    }
}

pub(crate) fn hash_of(secret: &SecretString) -> TokenHash {
    Sha256::digest(secret.expose_secret()).into()
}

/// A login: the family of refresh tokens that descend from it.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) id: Uuid,
    pub(crate) user_id: Uuid,
    pub(crate) role: Role,
    pub(crate) ends_at: OffsetDateTime,
    pub(crate) revoked: bool,
}

impl Session {
    /// Of a customer, until it is opened and the account says otherwise.
    pub(crate) fn start(user_id: Uuid, now: OffsetDateTime) -> Self {
        let (id, role) = (Uuid::now_v7(), Role::Customer);
        Self { id, user_id, role, ends_at: now + SESSION_LIFE, revoked: false }
    }

    /// Sliding, but never past the session's own end.
    pub(crate) fn refresh_until(&self, now: OffsetDateTime) -> OffsetDateTime {
        self.ends_at.min(now + REFRESH_LIFE)
    }
}

/// A session that begins now, with its first token.
#[derive(Debug)]
pub(crate) struct Login {
    pub(crate) session: Session,
    pub(crate) refresh: RefreshToken,
    /// What the client calls itself.
    pub(crate) user_agent: Option<String>,
}

impl Login {
    pub(crate) fn start(user_id: Uuid, headers: &HeaderMap, now: OffsetDateTime) -> Self {
        let (session, refresh) = (Session::start(user_id, now), RefreshToken::generate());
        Self { session, refresh, user_agent: user_agent(headers) }
    }
}

/// What the client calls itself, cut to what may be kept. None where it says nothing, or nothing readable.
fn user_agent(headers: &HeaderMap) -> Option<String> {
    let said = headers.get(USER_AGENT)?.to_str().ok()?.trim();
    (!said.is_empty()).then(|| said.chars().take(USER_AGENT_LENGTH).collect())
}

/// What is known of a refresh token that someone presents.
#[derive(Clone, Debug)]
pub(crate) struct KnownToken {
    pub(crate) expires_at: OffsetDateTime,
    pub(crate) spent: Option<Spent>,
}

#[derive(Clone, Debug)]
pub(crate) struct Spent {
    pub(crate) at: OffsetDateTime,
    pub(crate) successor: TokenHash,
    pub(crate) successor_used: bool,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Good: a successor takes its place.
    Rotate,
    /// Spent a moment ago, for this successor, which nobody used yet: it is the answer once more.
    Repeat(TokenHash),
    /// Expired or revoked.
    Invalid,
    /// Spent, and what came after it was used, or should have been by now: someone has a copy. The whole family ends.
    Reused,
}

/// What to do with a token that is known.
pub(crate) fn judge(session: &Session, kept: &KnownToken, now: OffsetDateTime) -> Verdict {
    if session.revoked || now >= session.ends_at || now >= kept.expires_at {
        return Verdict::Invalid;
    }
    match &kept.spent {
        None => Verdict::Rotate,
        Some(spent) if !spent.successor_used && now - spent.at <= GRACE => Verdict::Repeat(spent.successor),
        Some(_) => Verdict::Reused,
    }
}

/// What a session shows from now on.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Tokens {
    /// Sent as `Authorization: Bearer`, until it ends.
    access_token: String,
    /// `Bearer`.
    token_type: &'static str,
    /// In how many seconds the access token ends.
    expires_in: u64,
    /// Gives the next tokens, once.
    refresh_token: String,
}

impl Tokens {
    pub(crate) fn issue(key: &SigningKey, session: &Session, refresh: &RefreshToken, now: OffsetDateTime) -> Self {
        let issued = now.unix_timestamp();
        let claims = Claims {
            iss: ISSUER.to_owned(),
            aud: AUDIENCE.to_owned(),
            sub: session.user_id,
            exp: (now + ACCESS_LIFE).unix_timestamp(),
            nbf: issued,
            iat: issued,
            jti: Uuid::now_v7(),
            sid: session.id,
            scope: session.role.scope().to_owned(),
        };
        Self {
            access_token: key.sign(&claims),
            token_type: "Bearer",
            expires_in: ACCESS_LIFE.as_secs(),
            refresh_token: refresh.secret.expose_secret().to_owned(),
        }
    }
}

/// A place where the account is logged in.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Session)]
pub(crate) struct SessionView {
    /// Names it in the path.
    id: Uuid,
    /// When it logged in.
    #[serde(serialize_with = "forebay_platform::instant::serialize")]
    created_at: OffsetDateTime,
    /// When it logged in, or was last given new tokens.
    #[serde(serialize_with = "forebay_platform::instant::serialize")]
    last_seen_at: OffsetDateTime,
    /// What the client said of itself when it logged in; null where it said nothing.
    user_agent: Option<String>,
    /// Whether it is the one that asks.
    current: bool,
}

impl SessionView {
    pub(crate) fn new(listed: Listed, current: Uuid) -> Self {
        let Listed { id, created_at, last_seen_at, user_agent } = listed;
        Self { id, created_at, last_seen_at, user_agent, current: id == current }
    }
}

#[cfg(test)]
mod tests;
