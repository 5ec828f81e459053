//! Against an issuer that listens on a socket.

use std::net::SocketAddr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{FromRef, State};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;
use futures_util::stream;
use http::{Request, StatusCode};
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{EncodingKey, encode};
use serde_json::{Value, json};
use time::OffsetDateTime;
use tokio::net::TcpListener;
use tokio::task::{JoinHandle, JoinSet};
use tower::ServiceExt as _;

use super::fetch::{FetchError, client, fetch};
use super::key_set::KeySet;
use super::*;
use crate::outbound::OutboundError;

const ISSUER: &str = "test-issuer";
const AUDIENCE: &str = "test-audience";
const PKCS8_HEAD: [u8; 16] = [0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20];

/// A private key, whose seed is this byte throughout, and whose id is its number.
#[derive(Clone, Copy)]
struct Signer(u8);

const OLD: Signer = Signer(1);
const NEW: Signer = Signer(2);

impl Signer {
    fn private(self) -> EncodingKey {
        EncodingKey::from_ed_der(&[&PKCS8_HEAD[..], &[self.0; 32]].concat())
    }

    fn published(self) -> Value {
        let mut key = serde_json::to_value(Jwk::from_encoding_key(&self.private(), Algorithm::EdDSA).unwrap()).unwrap();
        key["kid"] = self.0.to_string().into();
        key
    }

    fn token(self) -> String {
        self.token_with(|_| {})
    }

    /// As an admin has it.
    fn token_of_scope(self, scope: &str) -> String {
        let mut claims = claims();
        scope.clone_into(&mut claims.scope);
        self.sign(|_| {}, &claims)
    }

    fn token_with(self, change: impl FnOnce(&mut Header)) -> String {
        self.sign(change, &claims())
    }

    fn sign(self, change: impl FnOnce(&mut Header), claims: &Claims) -> String {
        let mut header = Header::new(Algorithm::EdDSA);
        (header.typ, header.kid) = (Some(TOKEN_TYPE.to_owned()), Some(self.0.to_string()));
        change(&mut header);
        encode(&header, claims, &self.private()).unwrap()
    }
}

fn claims() -> Claims {
    let now = OffsetDateTime::now_utc().unix_timestamp();
    Claims {
        iss: ISSUER.to_owned(),
        aud: AUDIENCE.to_owned(),
        sub: Uuid::now_v7(),
        exp: now + 600,
        nbf: now,
        iat: now,
        jti: Uuid::now_v7(),
        sid: Uuid::now_v7(),
        scope: "shop".to_owned(),
    }
}

fn document(signers: &[Signer]) -> Bytes {
    let keys: Vec<_> = signers.iter().map(|signer| signer.published()).collect();
    json!({ "keys": keys }).to_string().into()
}

type Answer = Box<dyn Fn() -> Response + Send>;

/// Publishes what it is told to, and counts who asks.
struct Issuer {
    address: SocketAddr,
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

struct Shared {
    answer: Mutex<Answer>,
    requests: AtomicUsize,
}

impl Issuer {
    async fn with(signers: &[Signer]) -> Self {
        let body = document(signers);
        Self::answering(move || body.clone().into_response()).await
    }

    async fn answering(answer: impl Fn() -> Response + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared { answer: Mutex::new(Box::new(answer)), requests: AtomicUsize::new(0) });
        let router = Router::new().route("/keys", get(published)).with_state(Arc::clone(&shared));
        let task = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { address, shared, task }
    }

    fn answers(&self, answer: impl Fn() -> Response + Send + 'static) {
        *self.shared.answer.lock().unwrap() = Box::new(answer);
    }

    fn publishes(&self, signers: &[Signer]) {
        let body = document(signers);
        self.answers(move || body.clone().into_response());
    }

    fn requests(&self) -> usize {
        self.shared.requests.load(Ordering::Relaxed)
    }

    async fn fetch(&self) -> Result<KeySet, FetchError> {
        fetch(&client(), &self.uri()).await
    }

    fn uri(&self) -> JwksUri {
        format!("http://{}/keys", self.address).parse().unwrap()
    }

    fn verifier(&self) -> Verifier {
        let verifier = Verifier::remote(ISSUER, AUDIENCE, self.uri());
        tokio::spawn(verifier.clone().keep_fresh());
        verifier
    }

    async fn stop(self) -> usize {
        self.task.abort();
        assert!(self.task.await.unwrap_err().is_cancelled(), "from here on its port is closed");
        self.shared.requests.load(Ordering::Relaxed)
    }
}

async fn published(State(shared): State<Arc<Shared>>) -> Response {
    shared.requests.fetch_add(1, Ordering::Relaxed);
    let answer = shared.answer.lock().unwrap();
    answer()
}

async fn problem(verifier: &Verifier, token: &str) -> (u16, &'static str) {
    let problem = verifier.verify(token).await.unwrap_err();
    (problem.status().as_u16(), problem.code().as_str())
}

#[tokio::test]
async fn a_token_is_verified_by_the_published_key() {
    let issuer = Issuer::with(&[OLD]).await;
    let verifier = issuer.verifier();
    for _ in 0..10 {
        assert_eq!(verifier.verify(&OLD.token()).await.unwrap().scope, "shop");
    }
    assert_eq!(issuer.requests(), 1);
}

#[tokio::test]
async fn a_rotation_is_noticed_by_the_first_token_of_the_new_key() {
    let issuer = Issuer::with(&[OLD]).await;
    let verifier = issuer.verifier();
    let before = OLD.token();
    verifier.verify(&before).await.unwrap();
    issuer.publishes(&[NEW, OLD]);
    for token in [&NEW.token(), &before, &OLD.token()] {
        verifier.verify(token).await.unwrap();
    }
    assert_eq!(issuer.requests(), 2);
}

#[tokio::test]
async fn tokens_are_verified_while_the_issuer_is_away() {
    let issuer = Issuer::with(&[OLD]).await;
    let verifier = issuer.verifier();
    verifier.verify(&OLD.token()).await.unwrap();
    let requests = issuer.stop().await;
    assert_eq!(problem(&verifier, &NEW.token()).await, (401, "unauthenticated"));
    verifier.verify(&OLD.token()).await.unwrap();
    assert_eq!(requests, 1);
}

#[tokio::test]
async fn the_next_unknown_key_is_refused_without_a_request() {
    let issuer = Issuer::with(&[OLD]).await;
    let verifier = issuer.verifier();
    verifier.verify(&OLD.token()).await.unwrap();
    issuer.answers(|| StatusCode::SERVICE_UNAVAILABLE.into_response());
    for number in 2..100 {
        assert_eq!(problem(&verifier, &Signer(number).token()).await, (401, "unauthenticated"));
    }
    assert_eq!(issuer.requests(), 2);
}

#[tokio::test]
async fn a_thousand_forged_key_ids_at_once_cause_exactly_one_request() {
    let issuer = Issuer::with(&[OLD]).await;
    let verifier = issuer.verifier();
    verifier.verify(&OLD.token()).await.unwrap();
    let mut tokens = JoinSet::new();
    for _ in 0..1_000 {
        let (verifier, id) = (verifier.clone(), Uuid::now_v7().to_string());
        let token = NEW.token_with(|header| header.kid = Some(id));
        tokens.spawn(async move { problem(&verifier, &token).await });
    }
    assert!(tokens.join_all().await.into_iter().all(|problem| problem == (401, "unauthenticated")));
    assert_eq!(issuer.requests(), 2);
}

#[tokio::test]
async fn without_any_keys_the_answer_is_503_and_heals_by_itself() {
    let issuer = Issuer::answering(|| StatusCode::INTERNAL_SERVER_ERROR.into_response()).await;
    let verifier = issuer.verifier();
    let refused = verifier.verify(&OLD.token()).await.unwrap_err().into_response();
    assert_eq!(refused.status(), 503);
    assert!(refused.headers().contains_key("retry-after") && !refused.headers().contains_key("www-authenticate"));
    assert_eq!(problem(&verifier, &OLD.token()).await, (503, "dependency-unavailable"));
    assert_eq!(problem(&verifier, "garbage").await, (401, "unauthenticated"), "no key would help");
    issuer.publishes(&[OLD]);
    let healed = async {
        while verifier.verify(&OLD.token()).await.is_err() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), healed).await.unwrap();
}

#[tokio::test]
async fn a_document_that_is_of_no_use_leaves_the_keys_of_before() {
    let useless: [(&str, Answer); 6] = [
        ("garbage", Box::new(|| "<html>no keys here</html>".into_response())),
        ("no keys", Box::new(|| document(&[]).into_response())),
        ("an error, whatever the body", Box::new(|| (StatusCode::BAD_GATEWAY, document(&[NEW])).into_response())),
        ("elsewhere", Box::new(|| Redirect::temporary("/keys").into_response())),
        ("too many keys", Box::new(|| document(&(2..19).map(Signer).collect::<Vec<_>>()).into_response())),
        ("huge", Box::new(|| [document(&[NEW]), vec![b' '; 64 * 1024].into()].concat().into_response())),
    ];
    for (name, answer) in useless {
        let issuer = Issuer::with(&[OLD]).await;
        let verifier = issuer.verifier();
        verifier.verify(&OLD.token()).await.unwrap();
        issuer.answers(answer);
        assert_eq!(problem(&verifier, &NEW.token()).await, (401, "unauthenticated"), "{name}");
        assert_eq!(issuer.requests(), 2, "{name}");
        verifier.verify(&OLD.token()).await.unwrap();
    }
}

#[tokio::test]
async fn a_body_may_have_64_kib_and_not_a_byte_more() {
    let padded = |size: usize| {
        let mut body = document(&[OLD]).to_vec();
        body.resize(size, b' ');
        body
    };
    let issuer = Issuer::answering(move || padded(64 * 1024).into_response()).await;
    issuer.fetch().await.unwrap();
    issuer.answers(move || padded(64 * 1024 + 1).into_response());
    assert!(matches!(issuer.fetch().await, Err(FetchError::Unanswered(OutboundError::TooLong(65_536)))));
    let endless = || stream::repeat_with(|| Ok::<_, std::convert::Infallible>(Bytes::from_static(&[b' '; 16 * 1024])));
    issuer.answers(move || Body::from_stream(endless()).into_response());
    assert!(matches!(issuer.fetch().await, Err(FetchError::Unanswered(OutboundError::TooLong(65_536)))));
}

#[tokio::test]
async fn an_issuer_that_says_nothing_or_never_ends_is_late() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let uri = format!("http://{}/keys", silent.local_addr().unwrap()).parse().unwrap();
    let late = fetch(&client(), &uri).await;
    assert!(
        matches!(late, Err(FetchError::Unanswered(OutboundError::Late))),
        "accepted by the system, answered by nobody"
    );
    let halting = || Body::from_stream(stream::pending::<Result<Bytes, std::convert::Infallible>>()).into_response();
    let issuer = Issuer::answering(halting).await;
    let late = issuer.fetch().await;
    assert!(matches!(late, Err(FetchError::Unanswered(OutboundError::Late))), "a head without a body");
}

#[tokio::test]
async fn an_issuer_that_is_gone_or_speaks_no_http_is_said_so() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let uri: JwksUri = format!("http://{}/keys", listener.local_addr().unwrap()).parse().unwrap();
    let rude = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        tokio::io::AsyncWriteExt::write_all(&mut stream, b"220 mail ready\r\n").await.unwrap();
    });
    assert!(matches!(fetch(&client(), &uri).await, Err(FetchError::Unanswered(OutboundError::Exchange(_)))));
    rude.await.unwrap();
    assert!(matches!(fetch(&client(), &uri).await, Err(FetchError::Unanswered(OutboundError::Connect(_)))));
}

#[tokio::test]
async fn a_token_cannot_bring_its_key_nor_say_where_it_is() {
    let (issuer, foreign) = (Issuer::with(&[OLD]).await, Issuer::with(&[NEW, OLD]).await);
    let verifier = issuer.verifier();
    let there = foreign.uri().to_string();
    let brought: Jwk = serde_json::from_value(NEW.published()).unwrap();
    let forged = [
        NEW.token_with(|header| header.jku = Some(there.clone())),
        NEW.token_with(|header| header.x5u = Some(there.clone())),
        NEW.token_with(|header| header.jwk = Some(brought.clone())),
        NEW.token_with(|header| (header.kid, header.jwk) = (Some("1".to_owned()), Some(brought.clone()))),
        NEW.token_with(|header| (header.kid, header.jku) = (Some("1".to_owned()), Some(there.clone()))),
    ];
    for token in &forged {
        assert_eq!(problem(&verifier, token).await, (401, "unauthenticated"));
    }
    assert_eq!(foreign.requests(), 0);
}

#[tokio::test]
async fn what_is_no_access_token_causes_no_request() {
    let issuer = Issuer::with(&[OLD]).await;
    let verifier = issuer.verifier();
    verifier.verify(&OLD.token()).await.unwrap();
    let hopeless = [
        "garbage".to_owned(),
        NEW.token_with(|header| header.typ = Some("JWT".to_owned())),
        NEW.token_with(|header| header.kid = None),
        NEW.token_with(|header| header.crit = Some(vec!["x".to_owned()])),
    ];
    for token in &hopeless {
        assert_eq!(problem(&verifier, token).await, (401, "unauthenticated"));
    }
    assert_eq!(issuer.requests(), 1);
}

#[derive(Clone)]
struct AppState(Verifier);

impl FromRef<AppState> for Verifier {
    fn from_ref(state: &AppState) -> Self {
        state.0.clone()
    }
}

#[tokio::test]
async fn a_handler_is_not_run_while_nobody_can_tell_who_calls() {
    let uri = "http://127.0.0.1:1/keys".parse().unwrap();
    let state = AppState(Verifier::remote(ISSUER, AUDIENCE, uri));
    tokio::spawn(state.0.clone().keep_fresh());
    let router = Router::new()
        .route("/needed", get(|_caller: Principal| async {}))
        .route("/optional", get(|_caller: Option<Principal>| async {}))
        .with_state(state);
    let answered = |path: &'static str, token: Option<String>| {
        let request = token
            .into_iter()
            .fold(Request::get(path), |all, token| all.header("authorization", format!("Bearer {token}")));
        router.clone().oneshot(request.body(Body::empty()).unwrap())
    };
    for path in ["/needed", "/optional"] {
        assert_eq!(answered(path, Some(OLD.token())).await.unwrap().status(), 503, "{path}");
    }
    assert_eq!(answered("/needed", None).await.unwrap().status(), 401);
    assert_eq!(answered("/optional", None).await.unwrap().status(), 200, "who says nothing needs no key");
}

/// Counts how often a verifier is asked for.
#[derive(Clone)]
struct Counting(Verifier, Arc<AtomicUsize>);

impl FromRef<Counting> for Verifier {
    fn from_ref(Counting(verifier, asked): &Counting) -> Self {
        asked.fetch_add(1, Ordering::Relaxed);
        verifier.clone()
    }
}

#[tokio::test]
async fn a_token_is_verified_once_for_each_request_however_often_its_bearer_is_asked_for() {
    let issuer = Issuer::with(&[OLD]).await;
    let asked = Arc::new(AtomicUsize::new(0));
    let handler = async |one: Principal, other: Option<Principal>, third: Principal| {
        assert_eq!((Some(&one), &one), (other.as_ref(), &third));
        one.user_id.to_string()
    };
    let router = Router::new().route("/", get(handler)).with_state(Counting(issuer.verifier(), Arc::clone(&asked)));
    let answered = async |token: &str| {
        let request = Request::get("/").header("authorization", format!("Bearer {token}"));
        let answer = router.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
        (answer.status().as_u16(), axum::body::to_bytes(answer.into_body(), 1_000).await.unwrap())
    };
    let (mine, yours) = (answered(&OLD.token()).await, answered(&OLD.token()).await);
    assert!(mine.0 == 200 && yours.0 == 200 && mine.1 != yours.1, "each request has its own bearer");
    assert_eq!(asked.load(Ordering::Relaxed), 2);
    for _ in 0..2 {
        assert_eq!(answered(&NEW.token()).await.0, 401, "who was refused is not remembered as admitted");
    }
}

#[tokio::test]
async fn only_a_token_with_the_scope_admin_opens_what_is_for_admins() {
    let issuer = Issuer::with(&[OLD]).await;
    let router = Router::new().route("/", get(|_admin: Admin| async {})).with_state(AppState(issuer.verifier()));
    let answered = async |token: Option<String>| {
        let request = token
            .into_iter()
            .fold(Request::get("/"), |all, token| all.header("authorization", format!("Bearer {token}")));
        router.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap()
    };
    for scope in ["shop admin", "admin", "a admin b"] {
        assert_eq!(answered(Some(OLD.token_of_scope(scope))).await.status(), 200, "{scope}");
    }
    for scope in ["", "shop", "Admin", "administrator", "shop:admin", "admin,shop"] {
        let refused = answered(Some(OLD.token_of_scope(scope))).await;
        let challenge = "Bearer realm=\"forebay\", error=\"insufficient_scope\", scope=\"admin\"";
        assert_eq!(
            (refused.status().as_u16(), &refused.headers()["www-authenticate"]),
            (403, &challenge.parse().unwrap())
        );
    }
    let nobody = answered(None).await;
    assert_eq!(
        (nobody.status().as_u16(), &nobody.headers()["www-authenticate"]),
        (401, &"Bearer realm=\"forebay\"".parse().unwrap())
    );
    assert_eq!(
        answered(Some(NEW.token_of_scope("admin"))).await.status(),
        401,
        "anybody can sign with a key of their own"
    );
}
