//! Access tokens for buyers, made beforehand: a login per buyer would take a core for minutes.

use forebay_platform::identity::Claims;
use jsonwebtoken::{Algorithm, EncodingKey, Header, decode_header, encode};
use uuid::Uuid;

/// The DER of a PKCS #8 private key (RFC 8410) up to the 32 bytes of an Ed25519 seed.
const PKCS8_HEAD: [u8; 16] = [0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20];
/// The slowest replay takes less than two hours.
const LIFE_S: i64 = 2 * 3600;

/// Makes tokens like the one that it was shown, for any user and for longer.
#[derive(Clone)]
pub struct Mint {
    key: EncodingKey,
    header: Header,
    claims: Claims,
}

impl Mint {
    /// `genuine` is a token that the shop issued with the key of `seed`; `None` if it is not a token.
    #[must_use]
    pub fn like(genuine: &str, seed: [u8; 32]) -> Option<Self> {
        let header = decode_header(genuine).ok()?;
        let claims = jsonwebtoken::dangerous::insecure_decode::<Claims>(genuine).ok()?.claims;
        let key = EncodingKey::from_ed_der(&[&PKCS8_HEAD[..], &seed].concat());
        (header.alg == Algorithm::EdDSA).then_some(Self { key, header, claims })
    }

    /// A token of `user`.
    #[must_use]
    pub fn token(&self, user: Uuid) -> String {
        let exp = self.claims.iat + LIFE_S;
        let claims = Claims { sub: user, exp, jti: Uuid::now_v7(), ..self.claims.clone() };
        encode(&self.header, &claims, &self.key).expect("a valid key signs any claims")
    }
}

impl std::fmt::Debug for Mint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Mint").field("kid", &self.header.kid).finish_non_exhaustive()
    }
}
