//! The issuer's public keys, and the document that carries them ([RFC 7517](https://www.rfc-editor.org/rfc/rfc7517)).

use std::collections::HashMap;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::DecodingKey;
use serde::Deserialize;
use serde_json::Value;

/// How many keys an issuer may have at once: one that signs, one of before, one to come, and room.
const MAX_KEYS: usize = 16;

/// Public keys by their ids. Cheap to clone.
#[derive(Clone, Default)]
pub(super) struct KeySet {
    keys: Arc<HashMap<String, Arc<DecodingKey>>>,
}

/// Why a document gives no keys.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unusable {
    #[error("it is no key set: {0}")]
    Malformed(#[from] serde_json::Error),
    #[error("it has no Ed25519 key that has an id and is for signatures")]
    Empty,
    #[error("it has more than {MAX_KEYS} keys")]
    TooMany,
    #[error("two of its keys have the same id")]
    Ambiguous,
}

#[derive(Deserialize)]
struct Document {
    keys: Vec<Value>,
}

/// Of a published key, what decides whether it is for us.
#[derive(Deserialize)]
struct Jwk {
    kty: String,
    crv: String,
    x: String,
    kid: String,
    r#use: Option<String>,
    alg: Option<String>,
}

impl KeySet {
    /// Ids, and Ed25519 public keys.
    pub(super) fn of(keys: impl IntoIterator<Item = (String, [u8; 32])>) -> Self {
        let keys = keys.into_iter().map(|(id, public)| (id, Arc::new(DecodingKey::from_ed_der(&public))));
        Self { keys: Arc::new(keys.collect()) }
    }

    /// The keys of a document that are for us; others may stand beside them (RFC 7517, section 5).
    pub(super) fn parse(document: &[u8]) -> Result<Self, Unusable> {
        let document: Document = serde_json::from_slice(document)?;
        let keys: Vec<_> = document.keys.iter().filter_map(taken).collect();
        let (read, set) = (keys.len(), Self::of(keys));
        match read {
            0 => Err(Unusable::Empty),
            read if read > MAX_KEYS => Err(Unusable::TooMany),
            read if read > set.keys.len() => Err(Unusable::Ambiguous),
            _ => Ok(set),
        }
    }

    pub(super) fn get(&self, id: &str) -> Option<Arc<DecodingKey>> {
        self.keys.get(id).cloned()
    }
}

impl std::fmt::Debug for KeySet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.keys.keys()).finish()
    }
}

/// Id and public key of what is an Ed25519 key for signatures. A key of another length is none: it would be used
/// without a further look.
fn taken(key: &Value) -> Option<(String, [u8; 32])> {
    let key = Jwk::deserialize(key).ok()?;
    let or_absent = |value: &Option<String>, wanted| value.as_deref().is_none_or(|value| value == wanted);
    let ours = key.kty == "OKP" && key.crv == "Ed25519" && or_absent(&key.r#use, "sig") && or_absent(&key.alg, "EdDSA");
    let public = URL_SAFE_NO_PAD.decode(&key.x).ok()?.try_into().ok()?;
    ours.then_some((key.kid, public))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// The public key of RFC 8037, appendix A.2.
    const X: &str = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";

    fn good(id: &str) -> Value {
        json!({ "kty": "OKP", "crv": "Ed25519", "kid": id, "x": X })
    }

    fn with(member: &str, value: impl Into<Value>) -> Value {
        let mut key = good("other");
        key[member] = value.into();
        key
    }

    fn parsed(keys: impl Into<Value>) -> Result<KeySet, Unusable> {
        KeySet::parse(json!({ "keys": keys.into(), "extension": 1 }).to_string().as_bytes())
    }

    #[test]
    fn a_key_is_taken_with_or_without_what_is_optional() {
        let keys = vec![good("plain"), with("use", "sig"), json!({"kid": "lone"})];
        let set = parsed(keys).unwrap();
        assert!(set.get("plain").is_some() && set.get("other").is_some() && set.get("lone").is_none());
        assert!(parsed(vec![with("alg", "EdDSA")]).is_ok());
    }

    #[test]
    fn keys_that_are_not_for_us_are_passed_over() {
        let foreign = [
            with("kty", "RSA"),
            with("kty", "oct"),
            with("crv", "X25519"),
            with("use", "enc"),
            with("alg", "RS256"),
            with("x", "AAAA"),
            with("x", ""),
            with("x", format!("{X}AA")),
            with("x", format!("{X}=")),
            with("x", "!"),
            with("kid", 7),
            with("kid", Value::Null),
            json!({ "kty": "OKP", "crv": "Ed25519", "x": X }),
            json!("no object"),
            Value::Null,
        ];
        for key in foreign {
            assert!(matches!(parsed(vec![key.clone()]), Err(Unusable::Empty)), "{key}");
            let set = parsed(vec![key.clone(), good("ours")]).unwrap();
            assert!(set.get("ours").is_some() && set.get("other").is_none(), "{key}");
        }
    }

    #[test]
    fn a_document_of_another_form_is_refused() {
        for document in ["", "null", "[]", "{}", "{\"keys\":{}}", "{\"keys\":[]", "<html>", "\u{0}"] {
            assert!(matches!(KeySet::parse(document.as_bytes()), Err(Unusable::Malformed(_))), "{document:?}");
        }
        assert!(matches!(KeySet::parse(b"\xff\xfe"), Err(Unusable::Malformed(_))));
        assert!(matches!(KeySet::parse("[".repeat(60_000).as_bytes()), Err(Unusable::Malformed(_))));
        assert!(matches!(parsed(Vec::<Value>::new()), Err(Unusable::Empty)));
    }

    #[test]
    fn too_many_keys_and_an_id_twice_are_refused() {
        let keys = |count: usize| (0..count).map(|number| good(&number.to_string())).collect::<Vec<_>>();
        assert!(parsed(keys(16)).is_ok());
        assert!(matches!(parsed(keys(17)), Err(Unusable::TooMany)));
        assert!(matches!(parsed(vec![good("same"), good("same")]), Err(Unusable::Ambiguous)));
        let foreign = vec![with("kty", "RSA"); 100];
        assert!(parsed([foreign, keys(1)].concat()).is_ok(), "only our kind counts");
    }
}
