//! What a ticket is made of, and how it is written: a byte for the key's id, the slot's start and length, a number drawn for it, and the
//! signature over these and over what the ticket does not say: for whom and for what it is.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::Mac as _;
use http::HeaderValue;
use sha2::{Digest as _, Sha256};

use super::{Principal, TicketFate};
use crate::Class;

pub(super) const SIGNATURE: usize = 32;
/// The key's id, the start and the length of the slot, the number.
const SIGNED: usize = 1 + 8 + 4 + 8;
const TICKET: usize = SIGNED + SIGNATURE;

pub(super) type Signer = hmac::Hmac<Sha256>;

#[cfg(test)]
thread_local! {
    /// How often this thread has hashed.
    pub(super) static HASHED: std::cell::Cell<u32> = const { std::cell::Cell::new(0) };
}

/// A hash of these parts, each apart from the next.
pub(super) fn hash(parts: &[&[u8]]) -> [u8; 32] {
    #[cfg(test)]
    HASHED.with(|hashed| hashed.set(hashed.get() + 1));
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update(u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
        hasher.update(part);
    }
    hasher.finalize().into()
}

/// For whom a ticket is, and for what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Binding([u8; 32]);

impl Binding {
    pub(super) fn of(principal: &Principal, method: &str, path: &str, class: Class) -> Self {
        let purpose = b"forebay retry ticket 1";
        Self(hash(&[purpose, &principal.hash(), method.as_bytes(), path.as_bytes(), class.name().as_bytes()]))
    }
}

/// When a ticket is good, in milliseconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Slot {
    start: u64,
    lasts: u32,
}

impl Slot {
    /// A client's timer, or a replica's clock, may be so far ahead.
    const SLACK: u32 = 250;
    /// How long after the moment that was told: `Retry-After` has whole seconds, and good clients come a little later than
    /// they were told.
    const LASTS: u32 = 5_000;

    /// For somebody who was told at `now` to wait for so long.
    pub(super) fn after(now: SystemTime, wait: Duration) -> Option<Self> {
        let told = millis(now)?.checked_add(u64::try_from(wait.as_millis()).ok()?)?;
        Some(Self { start: told.saturating_sub(Self::SLACK.into()), lasts: Self::LASTS + Self::SLACK })
    }

    /// The first moment at which it is not good any more.
    pub(super) fn end(self) -> u64 {
        self.start.saturating_add(self.lasts.into())
    }

    /// Why a ticket is worth nothing at this moment, if it is.
    pub(super) fn fate_at(self, now: SystemTime) -> Option<TicketFate> {
        match millis(now) {
            Some(now) if now >= self.end() => Some(TicketFate::Late),
            Some(now) if now >= self.start => None,
            _ => Some(TicketFate::Early),
        }
    }
}

pub(super) fn millis(moment: SystemTime) -> Option<u64> {
    u64::try_from(moment.duration_since(UNIX_EPOCH).ok()?.as_millis()).ok()
}

/// A ticket whose signature holds.
#[derive(Debug)]
pub(super) struct Ticket {
    pub(super) slot: Slot,
    /// Tells it from any other.
    pub(super) signature: [u8; SIGNATURE],
}

/// The text of a ticket.
pub(super) fn write(id: u8, slot: Slot, number: u64, signer: Signer, claim: &Binding) -> HeaderValue {
    let mut bytes = [0; TICKET];
    bytes[0] = id;
    bytes[1..9].copy_from_slice(&slot.start.to_be_bytes());
    bytes[9..13].copy_from_slice(&slot.lasts.to_be_bytes());
    bytes[13..SIGNED].copy_from_slice(&number.to_be_bytes());
    let signature = sign(signer, &bytes[..SIGNED], claim).finalize().into_bytes();
    bytes[SIGNED..].copy_from_slice(&signature);
    HeaderValue::try_from(URL_SAFE_NO_PAD.encode(bytes)).expect("base64 is fit for a header")
}

/// Reads a ticket that was signed by one of `keys`; the comparison takes the same time however much of it is right.
pub(super) fn read(text: &HeaderValue, key: impl Fn(u8) -> Option<Signer>, claim: &Binding) -> Option<Ticket> {
    // Two more than it takes: the decoder wants room for whole groups.
    let mut bytes = [0; TICKET + 2];
    let length = URL_SAFE_NO_PAD.decode_slice(text.as_bytes(), &mut bytes).ok()?;
    let (signed, signature) = bytes[..TICKET].split_at(SIGNED);
    if length != TICKET {
        return None;
    }
    sign(key(signed[0])?, signed, claim).verify_slice(signature).ok()?;
    let start = u64::from_be_bytes(signed[1..9].try_into().ok()?);
    let lasts = u32::from_be_bytes(signed[9..13].try_into().ok()?);
    Some(Ticket { slot: Slot { start, lasts }, signature: signature.try_into().ok()? })
}

fn sign(signer: Signer, signed: &[u8], claim: &Binding) -> Signer {
    signer.chain_update(signed).chain_update(claim.0)
}
