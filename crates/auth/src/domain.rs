//! Accounts, sessions, and what becomes of a refresh token that is presented.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use forebay_platform::identity::Claims;
use forebay_platform::text::Check;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use crate::error::Error;
use crate::signing::{AUDIENCE, ISSUER, SigningKey};

const ACCESS_LIFE: Duration = Duration::minutes(10);
const REFRESH_LIFE: Duration = Duration::days(14);
const SESSION_LIFE: Duration = Duration::days(30);

/// A token that was spent this short a while ago may be presented again, while its successor was never used: its
/// answer was lost on the way. Without this, our own overload would log people out.
const LOST_ANSWER_GRACE: Duration = Duration::seconds(30);

const PASSWORD_LENGTH: std::ops::RangeInclusive<usize> = 8..=128;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Registration {
    pub(crate) email: String,
    pub(crate) password: SecretString,
    pub(crate) name: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Credentials {
    pub(crate) email: String,
    pub(crate) password: SecretString,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Presented {
    pub(crate) refresh_token: SecretString,
}

impl Registration {
    pub(crate) fn check(&self) -> Result<(), Error> {
        let length = self.password.expose_secret().chars().count();
        let checked = Check::default()
            .rule(email_is_plausible(&self.email), "/email", "must be an email address of at most 254 characters")
            .rule(PASSWORD_LENGTH.contains(&length), "/password", "must have 8 to 128 characters")
            .line("/name", &self.name, 100);
        checked.finish().map_err(Error::Invalid)
    }
}

impl Credentials {
    /// The address, as accounts are told apart by it; whether there is one or not.
    pub(crate) fn account(&self) -> String {
        self.email.trim().to_lowercase()
    }

    /// No account has such a password, and hashing a long one is work for nothing. Answered like a wrong one.
    pub(crate) fn possible(&self) -> bool {
        self.password.expose_secret().chars().count() <= *PASSWORD_LENGTH.end()
    }
}

/// One `@`, something before it, a dot-separated name after it. Only a message that arrives proves more.
fn email_is_plausible(email: &str) -> bool {
    let Some((local, domain)) = email.split_once('@') else { return false };
    let labels = || domain.split('.');
    let clean = !email.chars().any(|char| char.is_whitespace() || char.is_control());
    let sized = email.chars().count() <= 254 && !local.is_empty();
    clean && sized && !domain.contains('@') && labels().count() >= 2 && labels().all(|label| !label.is_empty())
}

/// An account as the store knows it.
#[derive(Debug)]
pub(crate) struct Account {
    pub(crate) id: Uuid,
    pub(crate) role: Role,
    pub(crate) password_hash: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    Customer,
    Admin,
}

impl Role {
    pub(crate) fn named(name: &str) -> Self {
        if name == "admin" { Self::Admin } else { Self::Customer }
    }

    fn scope(self) -> &'static str {
        match self {
            Self::Customer => "shop",
            Self::Admin => "shop admin",
        }
    }
}

#[derive(Debug, Serialize)]
pub(crate) struct User {
    pub(crate) id: Uuid,
    pub(crate) email: String,
    pub(crate) name: String,
}

/// 256 random bits, of which only the hash is kept.
#[derive(Debug)]
pub(crate) struct RefreshToken {
    pub(crate) secret: SecretString,
    pub(crate) hash: TokenHash,
}

pub(crate) type TokenHash = [u8; 32];

impl RefreshToken {
    pub(crate) fn generate() -> Self {
        let secret = SecretString::from(URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>()));
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
    pub(crate) fn start(user_id: Uuid, role: Role, now: OffsetDateTime) -> Self {
        Self { id: Uuid::now_v7(), user_id, role, ends_at: now + SESSION_LIFE, revoked: false }
    }

    /// Sliding, but never past the session's own end.
    pub(crate) fn refresh_until(&self, now: OffsetDateTime) -> OffsetDateTime {
        self.ends_at.min(now + REFRESH_LIFE)
    }
}

/// What is known of a refresh token that someone presents.
#[derive(Debug)]
pub(crate) struct Kept {
    pub(crate) expires_at: OffsetDateTime,
    pub(crate) spent: Option<Spent>,
}

#[derive(Debug)]
pub(crate) struct Spent {
    pub(crate) at: OffsetDateTime,
    pub(crate) successor: TokenHash,
    pub(crate) successor_used: bool,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Good: a successor takes its place.
    Rotate,
    /// Spent a moment ago and its answer was lost: a new successor overtakes this one, which nobody used.
    Replace(TokenHash),
    /// Expired or revoked.
    Invalid,
    /// Spent or overtaken, and not by a lost answer: someone has a copy. The whole family ends.
    Reused,
}

/// What to do with a token that is known.
pub(crate) fn judge(session: &Session, kept: &Kept, now: OffsetDateTime) -> Verdict {
    if session.revoked || now >= session.ends_at || now >= kept.expires_at {
        return Verdict::Invalid;
    }
    match &kept.spent {
        None => Verdict::Rotate,
        Some(spent) if !spent.successor_used && now - spent.at <= LOST_ANSWER_GRACE => {
            Verdict::Replace(spent.successor)
        }
        Some(_) => Verdict::Reused,
    }
}

/// The answer to whoever may come in.
#[derive(Debug, Serialize)]
pub(crate) struct Tokens {
    access_token: String,
    token_type: &'static str,
    expires_in: i64,
    refresh_token: String,
}

impl Tokens {
    pub(crate) fn issue(key: &SigningKey, session: &Session, refresh: &RefreshToken, now: OffsetDateTime) -> Self {
        let issued = now.unix_timestamp();
        let claims = Claims {
            iss: ISSUER.to_owned(),
            aud: AUDIENCE.to_owned(),
            sub: session.user_id,
            exp: issued + ACCESS_LIFE.whole_seconds(),
            nbf: issued,
            iat: issued,
            jti: Uuid::now_v7(),
            sid: session.id,
            scope: session.role.scope().to_owned(),
        };
        Self {
            access_token: key.sign(&claims),
            token_type: "Bearer",
            expires_in: ACCESS_LIFE.whole_seconds(),
            refresh_token: refresh.secret.expose_secret().to_owned(),
        }
    }
}

/// The answer to a registration.
#[derive(Debug, Serialize)]
pub(crate) struct Registered {
    pub(crate) user: User,
    #[serde(flatten)]
    pub(crate) tokens: Tokens,
}

#[cfg(test)]
mod tests;
