//! Signs access tokens with Ed25519 (RFC 8037, RFC 9068).

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use forebay_platform::identity::{Claims, TOKEN_TYPE, Verifier};
use jsonwebtoken::jwk::{AlgorithmParameters, Jwk};
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use sha2::{Digest, Sha256};

pub(crate) const ISSUER: &str = "forebay-auth";
pub(crate) const AUDIENCE: &str = "forebay";

/// The DER of a PKCS #8 private key (RFC 8410) up to the 32 bytes of an Ed25519 seed.
const PKCS8_HEAD: [u8; 16] = [0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20];

/// The private key that signs access tokens. Cheap to clone; its `Debug` shows only the key id.
#[derive(Clone)]
pub struct SigningKey {
    inner: Arc<Inner>,
}

struct Inner {
    private: EncodingKey,
    public: [u8; 32],
    header: Header,
}

impl SigningKey {
    /// A new key from the system's randomness. Tokens signed with it die with it: keep a seed where they should not.
    #[must_use]
    pub fn generate() -> Self {
        let mut seed = [0; 32];
        rand::fill(&mut seed);
        Self::from_seed(seed)
    }

    /// The key that these 32 secret bytes stand for; the same bytes give the same key.
    #[must_use]
    pub fn from_seed(seed: [u8; 32]) -> Self {
        let private = EncodingKey::from_ed_der(&[&PKCS8_HEAD[..], &seed].concat());
        let public = public_part(&private).expect("any 32 bytes are an Ed25519 seed");
        let mut header = Header::new(Algorithm::EdDSA);
        header.typ = Some(TOKEN_TYPE.to_owned());
        header.kid = Some(key_id(&public));
        Self { inner: Arc::new(Inner { private, public, header }) }
    }

    /// What accepts this key's tokens, and no others.
    #[must_use]
    pub fn verifier(&self) -> Verifier {
        Verifier::new(ISSUER, AUDIENCE, [(key_id(&self.inner.public), self.inner.public)])
    }

    pub(crate) fn sign(&self, claims: &Claims) -> String {
        encode(&self.inner.header, claims, &self.inner.private).expect("a valid key signs any claims")
    }
}

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SigningKey").field("kid", &self.inner.header.kid).finish_non_exhaustive()
    }
}

fn public_part(private: &EncodingKey) -> Option<[u8; 32]> {
    let jwk = Jwk::from_encoding_key(private, Algorithm::EdDSA).ok()?;
    match jwk.algorithm {
        AlgorithmParameters::OctetKeyPair(pair) => URL_SAFE_NO_PAD.decode(pair.x).ok()?.try_into().ok(),
        _ => None,
    }
}

/// Derived from the key, so that a new key never reuses an old id.
fn key_id(public: &[u8; 32]) -> String {
    URL_SAFE_NO_PAD.encode(&Sha256::digest(public)[..12])
}
