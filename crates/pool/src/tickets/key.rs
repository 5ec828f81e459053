use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::KeyInit as _;
use http::HeaderValue;

use super::seal::{self, Binding, Signer, Slot, Ticket};

/// What tickets are signed with: a key, and the one before it, whose tickets are still honoured while a rotation lasts.
///
/// Replicas that are to honour each other's tickets are given the same keys, as text: the key's number, a colon, and at least
/// 32 secret bytes in base64; after a comma the one before. To rotate, put a key with another number in front, everywhere,
/// and leave the old one behind it for as long as tickets are out, half a minute or so. A replica that does not have a key yet
/// treats its tickets as forged.
///
/// ```
/// use forebay_pool::tickets::TicketKeys;
/// let (new, old) = ("2:QkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkI=", "1:QUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUE=");
/// let keys: TicketKeys = format!("{new},{old}").parse().expect("two keys");
/// assert_eq!(format!("{keys:?}"), "TicketKeys { current: 2, before: Some(1) }");
/// ```
#[derive(Clone)]
pub struct TicketKeys {
    current: Key,
    before: Option<Key>,
}

#[derive(Clone)]
struct Key {
    id: u8,
    signer: Signer,
}

impl TicketKeys {
    /// How long a secret must be, in bytes: as long as the signature.
    const SECRET: usize = 32;

    /// A key that nobody else has: for a process that is alone, or whose tickets only it shall honour.
    ///
    /// ```
    /// use forebay_pool::tickets::{TicketKeys, Tickets};
    /// let tickets = Tickets::new(TicketKeys::random(), |_| None);
    /// # drop(tickets);
    /// ```
    ///
    /// # Panics
    /// Where the operating system has no random numbers.
    #[must_use]
    pub fn random() -> Self {
        let secret: [u8; Self::SECRET] = rand::random();
        let signer = Signer::new_from_slice(&secret).expect("any length will do");
        Self { current: Key { id: 0, signer }, before: None }
    }

    pub(super) fn seal(&self, slot: Slot, number: u64, claim: &Binding) -> HeaderValue {
        seal::write(self.current.id, slot, number, self.current.signer.clone(), claim)
    }

    pub(super) fn open(&self, presented: &HeaderValue, claim: &Binding) -> Option<Ticket> {
        seal::read(presented, |id| self.of(id).map(|key| key.signer.clone()), claim)
    }

    fn of(&self, id: u8) -> Option<&Key> {
        [Some(&self.current), self.before.as_ref()].into_iter().flatten().find(|key| key.id == id)
    }
}

impl FromStr for Key {
    type Err = InvalidTicketKeys;

    fn from_str(text: &str) -> Result<Self, InvalidTicketKeys> {
        let (id, secret) = text.split_once(':').ok_or(InvalidTicketKeys::Form)?;
        let id = id.trim().parse().map_err(|_not_a_byte| InvalidTicketKeys::Form)?;
        let secret = STANDARD.decode(secret.trim()).map_err(|_not_base64| InvalidTicketKeys::Form)?;
        if secret.len() < TicketKeys::SECRET {
            return Err(InvalidTicketKeys::Short);
        }
        Ok(Self { id, signer: Signer::new_from_slice(&secret).expect("any length will do") })
    }
}

impl FromStr for TicketKeys {
    type Err = InvalidTicketKeys;

    fn from_str(text: &str) -> Result<Self, InvalidTicketKeys> {
        let (current, before) = match text.split_once(',') {
            None => (text.parse::<Key>()?, None),
            Some((current, before)) => (current.parse::<Key>()?, Some(before.parse::<Key>()?)),
        };
        if before.as_ref().is_some_and(|before| before.id == current.id) {
            return Err(InvalidTicketKeys::SameNumber);
        }
        Ok(Self { current, before })
    }
}

/// Only the numbers: the secrets are nobody's business.
impl fmt::Debug for TicketKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let before = self.before.as_ref().map(|key| key.id);
        f.debug_struct("TicketKeys").field("current", &self.current.id).field("before", &before).finish()
    }
}

/// Why a text is no [`TicketKeys`]. It never quotes the text.
///
/// ```
/// use forebay_pool::tickets::{InvalidTicketKeys, TicketKeys};
/// assert_eq!("1:c2hvcnQ=".parse::<TicketKeys>().unwrap_err(), InvalidTicketKeys::Short);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum InvalidTicketKeys {
    /// A key is a number below 256, a colon and base64; two are separated by a comma.
    Form,
    /// A secret has fewer than 32 bytes.
    Short,
    /// Both keys have the same number.
    SameNumber,
}

impl fmt::Display for InvalidTicketKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Form => {
                "must be a number below 256, a colon and a secret in base64, or two of these with a comma between"
            }
            Self::Short => "a secret must have at least 32 bytes",
            Self::SameNumber => "the two keys must have different numbers",
        })
    }
}

impl std::error::Error for InvalidTicketKeys {}
