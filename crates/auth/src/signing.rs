//! Signs access tokens with Ed25519 (RFC 8037, RFC 9068).

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use forebay_platform::identity::{Claims, TOKEN_TYPE, Verifier};
use hmac::{Hmac, KeyInit, Mac};
use jsonwebtoken::jwk::{AlgorithmParameters, Jwk};
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use sha2::{Digest, Sha256};

/// The `iss` of every access token that is signed here.
pub const ISSUER: &str = "forebay-auth";

/// The `aud` of every access token that is signed here.
pub const AUDIENCE: &str = "forebay";

/// The DER of a PKCS #8 private key (RFC 8410) up to the 32 bytes of an Ed25519 seed.
const PKCS8_HEAD: [u8; 16] = [0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20];

/// The private key that signs access tokens, and the public keys whose tokens are accepted. Cheap to clone; its `Debug`
/// shows only key ids.
#[derive(Clone)]
pub struct SigningKey {
    signer: Arc<Signer>,
    /// The signer's own comes first; no id twice.
    accepted: Arc<[PublicKey]>,
    /// What other secrets are made of; as many, in the same order.
    roots: Arc<[Root]>,
}

struct Signer {
    private: EncodingKey,
    header: Header,
}

/// What makes a key's secrets for other purposes: they tell nothing of the key, nor of each other.
#[derive(Clone)]
struct Root([u8; 32]);

impl Root {
    fn secret_for(&self, purpose: &str) -> [u8; 32] {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0).expect("HMAC takes keys of any length");
        mac.update(purpose.as_bytes());
        mac.finalize().into_bytes().into()
    }
}

/// What verifies the tokens of one key.
#[derive(Clone)]
pub(crate) struct PublicKey {
    pub(crate) id: String,
    pub(crate) bytes: [u8; 32],
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
        let public = PublicKey { id: key_id(&public), bytes: public };
        let mut header = Header::new(Algorithm::EdDSA);
        header.typ = Some(TOKEN_TYPE.to_owned());
        header.kid = Some(public.id.clone());
        let root = Root(Root(seed).secret_for("forebay-auth"));
        Self { signer: Arc::new(Signer { private, header }), accepted: Arc::new([public]), roots: Arc::new([root]) }
    }

    /// This key, which signs; what `other` signs is accepted too, and its public part is published. With the key of
    /// before in it, a rotation logs nobody out. With the key to come in it, verifiers know that one before the first
    /// token of it appears, which matters where several replicas do not change over in the same moment.
    #[must_use]
    pub fn also_accepting(self, other: Self) -> Self {
        let (mut accepted, mut roots) = (self.accepted.to_vec(), self.roots.to_vec());
        for (key, root) in other.accepted.iter().zip(other.roots.iter()) {
            if self.accepted.iter().all(|ours| ours.id != key.id) {
                accepted.push(key.clone());
                roots.push(root.clone());
            }
        }
        Self { accepted: accepted.into(), roots: roots.into(), ..self }
    }

    /// What accepts the tokens of this key and of those it was [told to accept](Self::also_accepting), and no others.
    #[must_use]
    pub fn verifier(&self) -> Verifier {
        Verifier::new(ISSUER, AUDIENCE, self.accepted.iter().map(|key| (key.id.clone(), key.bytes)))
    }

    pub(crate) fn accepted(&self) -> &[PublicKey] {
        &self.accepted
    }

    /// A secret for another purpose, which who knows it learns nothing of the key by. The same on every replica that signs
    /// with this key.
    pub(crate) fn secret_for(&self, purpose: &str) -> [u8; 32] {
        self.roots[0].secret_for(purpose)
    }

    /// The same, and those of replicas that sign with another key that is accepted, as during a rotation.
    pub(crate) fn secrets_for(&self, purpose: &str) -> impl Iterator<Item = [u8; 32]> {
        self.roots.iter().map(move |root| root.secret_for(purpose))
    }

    pub(crate) fn sign(&self, claims: &Claims) -> String {
        encode(&self.signer.header, claims, &self.signer.private).expect("a valid key signs any claims")
    }
}

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let accepted: Vec<_> = self.accepted.iter().map(|key| &key.id).collect();
        f.debug_struct("SigningKey")
            .field("kid", &self.signer.header.kid)
            .field("accepted", &accepted)
            .finish_non_exhaustive()
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
