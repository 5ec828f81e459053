//! Access tokens, signed with the first key of RFC 8032, section 7.1.

use forebay_platform::identity::Verifier;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::json;
use time::OffsetDateTime;
use uuid::Uuid;

const ISSUER: &str = "test-issuer";
const AUDIENCE: &str = "test-audience";
const KEY_ID: &str = "rfc8032-1";

const PKCS8_HEAD: [u8; 16] = [0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20];
const SECRET: [u8; 32] = [
    0x9d, 0x61, 0xb1, 0x9d, 0xef, 0xfd, 0x5a, 0x60, 0xba, 0x84, 0x4a, 0xf4, 0x92, 0xec, 0x2c, 0xc4, 0x44, 0x49, 0xc5,
    0x69, 0x7b, 0x32, 0x69, 0x19, 0x70, 0x3b, 0xac, 0x03, 0x1c, 0xae, 0x7f, 0x60,
];
const PUBLIC: [u8; 32] = [
    0xd7, 0x5a, 0x98, 0x01, 0x82, 0xb1, 0x0a, 0xb7, 0xd5, 0x4b, 0xfe, 0xd3, 0xc9, 0x64, 0x07, 0x3a, 0x0e, 0xe1, 0x72,
    0xf3, 0xda, 0xa6, 0x23, 0x25, 0xaf, 0x02, 0x1a, 0x68, 0xf7, 0x07, 0x51, 0x1a,
];

pub(crate) fn verifier() -> Verifier {
    Verifier::new(ISSUER, AUDIENCE, [(KEY_ID.to_owned(), PUBLIC)])
}

/// Of somebody with this scope.
pub(crate) fn bearer(scope: &str) -> String {
    let now = OffsetDateTime::now_utc().unix_timestamp();
    let mut header = Header::new(Algorithm::EdDSA);
    (header.typ, header.kid) = (Some("at+jwt".to_owned()), Some(KEY_ID.to_owned()));
    let claims = json!({
        "iss": ISSUER, "aud": AUDIENCE, "sub": Uuid::now_v7(), "exp": now + 600, "nbf": now, "iat": now,
        "jti": Uuid::now_v7(), "sid": Uuid::now_v7(), "scope": scope,
    });
    let key = EncodingKey::from_ed_der(&[PKCS8_HEAD.as_slice(), &SECRET].concat());
    format!("Bearer {}", encode(&header, &claims, &key).unwrap())
}
