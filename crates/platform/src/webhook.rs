//! Webhooks as [Standard Webhooks](https://www.standardwebhooks.com) has them: an id that stays the same however often one is
//! sent, the time of the attempt, and a signature of both and the body.

use std::fmt;
use std::ops::Deref;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use http::HeaderMap;
use http::header::{HeaderName, HeaderValue};
use sha2::Sha256;
use subtle::ConstantTimeEq as _;
use time::{Duration, OffsetDateTime};

mod sender;

pub use sender::{ReceiverAnswer, Sender};

/// The header of an event's id, by which a receiver knows what it has already.
pub const ID: HeaderName = HeaderName::from_static("webhook-id");
/// The header of the time of the attempt, in seconds since 1970.
pub const TIMESTAMP: HeaderName = HeaderName::from_static("webhook-timestamp");
/// The header of the signatures, with spaces between them.
pub const SIGNATURE: HeaderName = HeaderName::from_static("webhook-signature");

/// How far the sender's clock and ours may be apart, the way of the message included.
pub const TOLERANCE: Duration = Duration::minutes(5);

const PREFIX: &str = "whsec_";

/// What a webhook's sender and receiver share. It is not shown, but by [`reveal`](Self::reveal).
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Vec<u8>);

/// A text that is no secret.
#[derive(Debug, thiserror::Error)]
#[error("a webhook's secret is whsec_ and 24 to 64 bytes in base64")]
pub struct InvalidSecret;

/// Why a webhook is not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unverified {
    /// A header is missing, stands twice, or is no text.
    #[error("webhook-id, webhook-timestamp and webhook-signature are needed, each once")]
    Missing,
    /// The time is none, or too far from now: an old message that is sent again by somebody else.
    #[error("webhook-timestamp is not within five minutes of our time: set the clock, and sign each attempt anew")]
    Stale,
    /// None of the signatures is right.
    #[error(
        "webhook-signature is not that of webhook-id, webhook-timestamp and the body by a secret that is known here: sign \
         the bytes that are sent, with the secret that both sides have"
    )]
    Forged,
}

/// What is sent: a body, and the id of what it tells.
#[derive(Clone, Copy, Debug)]
pub struct Message<'a> {
    /// The same however often it is sent.
    pub id: &'a str,
    /// Signed as it is, byte for byte.
    pub body: &'a str,
}

impl Secret {
    /// A new one of 32 bytes.
    #[must_use]
    pub fn random() -> Self {
        Self(rand::random::<[u8; 32]>().to_vec())
    }

    /// As both sides keep it: `whsec_` and base64.
    #[must_use]
    pub fn reveal(&self) -> String {
        format!("{PREFIX}{}", STANDARD.encode(&self.0))
    }

    fn mac(&self, id: &str, timestamp: i64, body: &[u8]) -> Hmac<Sha256> {
        let mac = Hmac::<Sha256>::new_from_slice(&self.0).expect("HMAC takes a key of any length");
        mac.chain_update(format!("{id}.{timestamp}.")).chain_update(body)
    }

    fn sign(&self, message: Message<'_>, timestamp: i64) -> String {
        let code = self.mac(message.id, timestamp, message.body.as_bytes()).finalize().into_bytes();
        format!("v1,{}", STANDARD.encode(code))
    }
}

/// A secret, and after a comma the one before it: while one takes the place of the other messages are signed by both, and what
/// either signed is believed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Secrets(Vec<Secret>);

impl Deref for Secrets {
    type Target = [Secret];

    fn deref(&self) -> &[Secret] {
        &self.0
    }
}

impl FromStr for Secrets {
    type Err = InvalidSecret;

    fn from_str(text: &str) -> Result<Self, InvalidSecret> {
        text.split(',').map(|secret| secret.trim().parse()).collect::<Result<_, _>>().map(Self)
    }
}

impl FromStr for Secret {
    type Err = InvalidSecret;

    fn from_str(text: &str) -> Result<Self, InvalidSecret> {
        let encoded = text.strip_prefix(PREFIX).ok_or(InvalidSecret)?;
        let bytes = STANDARD.decode(encoded).map_err(|_wrong| InvalidSecret)?;
        if (24..=64).contains(&bytes.len()) { Ok(Self(bytes)) } else { Err(InvalidSecret) }
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// The signatures of a message by each secret, for the header: two while one takes the place of the other.
#[must_use]
pub fn signatures(secrets: &[Secret], message: Message<'_>, at: OffsetDateTime) -> String {
    let signed: Vec<_> = secrets.iter().map(|secret| secret.sign(message, at.unix_timestamp())).collect();
    signed.join(" ")
}

/// Whether one of the secrets signed what came, not long before `now`. Gives its id, by which to see whether it came before.
/// Compares in constant time, and takes as long for one signature as for many.
///
/// # Errors
/// See [`Unverified`]: it is not from who it says, and 401 is the answer.
pub fn verify<'h>(
    secrets: &[Secret],
    headers: &'h HeaderMap,
    body: &[u8],
    now: OffsetDateTime,
) -> Result<&'h str, Unverified> {
    let text = |name| {
        let mut values = headers.get_all(name).iter().map(HeaderValue::to_str);
        values.next().and_then(Result::ok).filter(|_| values.next().is_none()).ok_or(Unverified::Missing)
    };
    let (id, timestamp, given) = (text(&ID)?, text(&TIMESTAMP)?, text(&SIGNATURE)?);
    let timestamp: i64 = timestamp.parse().map_err(|_wrong| Unverified::Stale)?;
    let seconds = now.unix_timestamp().abs_diff(timestamp);
    if seconds > TOLERANCE.whole_seconds().unsigned_abs() {
        return Err(Unverified::Stale);
    }
    let ours: Vec<_> = secrets.iter().map(|secret| secret.mac(id, timestamp, body).finalize().into_bytes()).collect();
    let given = given.split(' ').filter_map(|given| STANDARD.decode(given.strip_prefix("v1,")?).ok());
    let is_signed = given.into_iter().any(|given| ours.iter().any(|code| code.ct_eq(&given).into()));
    // With a dot in the id a part of the body could pass for the time.
    if is_signed && !id.contains('.') { Ok(id) } else { Err(Unverified::Forged) }
}

#[cfg(test)]
mod tests;
