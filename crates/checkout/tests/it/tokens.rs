//! Access tokens, good ones and bad ones, signed with the first key of RFC 8032, section 7.1.

use std::time::Duration;

use axum::body::Body;
use forebay_checkout::{Payments, State};
use forebay_platform::admit::{Admit, TimeLimits};
use forebay_platform::identity::Verifier;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::{Value, json};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::client::{Answer, request, send};
use crate::world::World;

pub(crate) const ISSUER: &str = "test-issuer";
pub(crate) const AUDIENCE: &str = "test-audience";
pub(crate) const KEY_ID: &str = "rfc8032-1";

const PKCS8_HEAD: [u8; 16] = [0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20];
const SECRET: [u8; 32] = [
    0x9d, 0x61, 0xb1, 0x9d, 0xef, 0xfd, 0x5a, 0x60, 0xba, 0x84, 0x4a, 0xf4, 0x92, 0xec, 0x2c, 0xc4, 0x44, 0x49, 0xc5,
    0x69, 0x7b, 0x32, 0x69, 0x19, 0x70, 0x3b, 0xac, 0x03, 0x1c, 0xae, 0x7f, 0x60,
];
pub(crate) const PUBLIC: [u8; 32] = [
    0xd7, 0x5a, 0x98, 0x01, 0x82, 0xb1, 0x0a, 0xb7, 0xd5, 0x4b, 0xfe, 0xd3, 0xc9, 0x64, 0x07, 0x3a, 0x0e, 0xe1, 0x72,
    0xf3, 0xda, 0xa6, 0x23, 0x25, 0xaf, 0x02, 0x1a, 0x68, 0xf7, 0x07, 0x51, 0x1a,
];

/// A good token, until something about it is changed.
pub(crate) struct Token {
    header: Header,
    claims: Value,
    secret: [u8; 32],
}

impl Token {
    pub(crate) fn of(user: Uuid) -> Self {
        let now = OffsetDateTime::now_utc().unix_timestamp();
        let mut header = Header::new(Algorithm::EdDSA);
        (header.typ, header.kid) = (Some("at+jwt".to_owned()), Some(KEY_ID.to_owned()));
        let claims = json!({
            "iss": ISSUER, "aud": AUDIENCE, "sub": user, "exp": now + 600, "nbf": now, "iat": now,
            "jti": Uuid::now_v7(), "sid": Uuid::now_v7(), "scope": "shop",
        });
        Self { header, claims, secret: SECRET }
    }

    /// Of somebody who runs the shop.
    pub(crate) fn of_admin(user: Uuid) -> Self {
        Self::of(user).claiming("scope", "shop admin")
    }

    fn claiming(mut self, claim: &str, value: impl Into<Value>) -> Self {
        self.claims[claim] = value.into();
        self
    }

    fn lacking(mut self, claim: &str) -> Self {
        self.claims.as_object_mut().unwrap().remove(claim);
        self
    }

    fn headed(mut self, change: impl Fn(&mut Header)) -> Self {
        change(&mut self.header);
        self
    }

    pub(crate) fn text(&self) -> String {
        let key = EncodingKey::from_ed_der(&[&PKCS8_HEAD[..], &self.secret].concat());
        encode(&self.header, &self.claims, &key).unwrap()
    }

    pub(crate) fn bearer(&self) -> String {
        format!("Bearer {}", self.text())
    }
}

async fn asked_with(world: &World, authorization: &str) -> Answer {
    let asked = request("GET", &format!("/v1/orders/{}", Uuid::now_v7())).header("authorization", authorization);
    world.send(asked.body(Body::empty()).unwrap()).await
}

#[tokio::test]
async fn a_good_token_gets_to_the_404_behind_it() {
    let world = World::with(0).await;
    let answer = asked_with(&world, &Token::of(Uuid::now_v7()).bearer()).await;
    assert_eq!(answer.problem(), (404, "not-found"));
}

#[tokio::test]
async fn without_a_token_the_challenge_names_no_error() {
    let world = World::with(0).await;
    let asked = request("GET", &format!("/v1/orders/{}", Uuid::now_v7())).body(Body::empty()).unwrap();
    let answer = world.send(asked).await;
    assert_eq!(answer.problem(), (401, "unauthenticated"));
    assert_eq!(answer.header("www-authenticate"), "Bearer realm=\"forebay\"");
}

#[tokio::test]
async fn an_expired_token_says_so_and_thirty_seconds_are_forgiven() {
    let world = World::with(0).await;
    let now = OffsetDateTime::now_utc().unix_timestamp();
    let late = Token::of(Uuid::now_v7()).claiming("exp", now - 40);
    let answer = asked_with(&world, &late.bearer()).await;
    assert_eq!(answer.problem(), (401, "token-expired"));
    assert_eq!(answer.header("www-authenticate"), "Bearer realm=\"forebay\", error=\"invalid_token\"");
    let barely = Token::of(Uuid::now_v7()).claiming("exp", now - 10);
    assert_eq!(asked_with(&world, &barely.bearer()).await.status, 404);
}

#[tokio::test]
async fn every_other_token_is_refused() {
    let world = World::with(0).await;
    let good = || Token::of(Uuid::now_v7());
    let later = OffsetDateTime::now_utc().unix_timestamp() + 300;
    let none = "eyJhbGciOiJub25lIiwidHlwIjoiYXQrand0Iiwia2lkIjoicmZjODAzMi0xIn0";
    let mut forged = good();
    forged.secret = [1; 32];
    let text = good().text();
    let (_, payload) = text.split_once('.').unwrap();
    let (payload, signature) = payload.split_once('.').unwrap();
    let wrong = [
        ("garbage", "Bearer garbage".to_owned()),
        ("empty", "Bearer ".to_owned()),
        ("no scheme", good().text()),
        ("another scheme", "Basic YTpi".to_owned()),
        ("alg none, unsigned", format!("Bearer {none}.{payload}.")),
        ("alg none, signed", format!("Bearer {none}.{payload}.{signature}")),
        ("another key", forged.bearer()),
        ("an unknown key id", good().headed(|header| header.kid = Some("other".into())).bearer()),
        ("no key id", good().headed(|header| header.kid = None).bearer()),
        ("a token of another type", good().headed(|header| header.typ = Some("JWT".into())).bearer()),
        ("a header that must be understood", good().headed(|header| header.crit = Some(vec!["x".into()])).bearer()),
        ("another issuer", good().claiming("iss", "other").bearer()),
        ("another audience", good().claiming("aud", "other").bearer()),
        ("not valid yet", good().claiming("nbf", later).bearer()),
        ("a subject that is no user", good().claiming("sub", "admin").bearer()),
        ("no end", good().lacking("exp").bearer()),
        ("no audience", good().lacking("aud").bearer()),
        ("no session", good().lacking("sid").bearer()),
    ];
    for (name, authorization) in wrong {
        let answer = asked_with(&world, &authorization).await;
        assert_eq!(answer.problem(), (401, "unauthenticated"), "{name}");
        assert_eq!(answer.header("www-authenticate"), "Bearer realm=\"forebay\", error=\"invalid_token\"", "{name}");
    }
}

#[tokio::test]
async fn while_the_keys_are_not_known_a_token_is_answered_503_and_not_401() {
    let world = World::with(0).await;
    // Nobody fetches them: `keep_fresh` does not run.
    let verifier = Verifier::remote(ISSUER, AUDIENCE, "http://127.0.0.1:1/keys".parse().unwrap());
    let patient = Duration::from_secs(60);
    let admit = Admit::new(&world.db, TimeLimits { critical: patient, normal: patient });
    let payments = Payments::simulated(world.database.options(), Duration::ZERO, 0);
    let router = forebay_checkout::router(State::new(world.db.clone(), admit, verifier, payments, patient));
    let asked = || request("GET", &format!("/v1/orders/{}", Uuid::now_v7()));
    let with_token = asked().header("authorization", Token::of(Uuid::now_v7()).bearer());
    let answer = send(&router, with_token.body(Body::empty()).unwrap()).await;
    assert_eq!(answer.problem(), (503, "dependency-unavailable"));
    assert_eq!(answer.header("retry-after"), "2");
    let answer = send(&router, asked().body(Body::empty()).unwrap()).await;
    assert_eq!(answer.problem(), (401, "unauthenticated"), "no key would help who sends no token");
}
