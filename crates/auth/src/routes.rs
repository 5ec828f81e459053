//! The endpoints: here coming in, and the resources of an account in a file each. Hashing happens between leases, never
//! inside one.

use axum::Extension;
use axum::extract;
use axum::http::header::SET_COOKIE;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use forebay_platform::client::Client;
use forebay_platform::db::Tx;
use forebay_platform::extract::Json;
use forebay_platform::identity::RevokedList;
use forebay_platform::security::{self, Event, Outcome};
use forebay_pool::Admission;
use secrecy::SecretString;
use time::OffsetDateTime;
use tokio::time::Instant;
use uuid::Uuid;

use crate::domain::{
    Account, Credentials, EmailAddress, Login, Presented, RefreshToken, Registered, Registration, Session, Tokens,
    User, Verdict, hash_of, is_possible, judge,
};
use crate::error::Error;
use crate::lane::Rank;
use crate::passwords::Comparison;
use crate::published::KeySet;
use crate::signing::SigningKey;
use crate::throttle::{Attempt, Sender};
use crate::{State, quotas, store};

pub(crate) mod addresses;
pub(crate) mod audit;
pub(crate) mod me;
pub(crate) mod sessions;

/// Opens an account, and a session of it.
#[utoipa::path(
    post, path = "/v1/auth/register", operation_id = "register", tag = "auth",
    responses(
        (status = 201, description = "The account, and tokens for its first session", body = Registered),
        (status = 409, description = "`email-taken`: the address has an account"),
        (status = 429),
    )
)]
pub(crate) async fn register(
    extract::State(state): extract::State<State>,
    Extension(admission): Extension<Admission>,
    client: Option<Client>,
    headers: HeaderMap,
    Json(wanted): Json<Registration>,
) -> Result<(StatusCode, Json<Registered>), Error> {
    let email = wanted.check()?;
    let user = User { id: Uuid::now_v7(), email: email.typed().to_owned(), name: wanted.name };
    let turn = state.passwords.turn(Rank::Clean, client.map(Sender::Client)).await?;
    let hashed = state.passwords.hash(turn, wanted.password, user.words()).await;
    let password_hash = hashed.map_err(|_guessable| Error::guessable("/password"))?;
    let now = OffsetDateTime::now_utc();
    let login = Login::start(user.id, &headers, now);
    let mut lease = state.db.acquire(&admission).await?;
    let mut tx = lease.begin().await?;
    let opened = open_account(&mut tx, (&user, &email), &password_hash, login, now).await;
    let login = tx.end(opened).await?;
    drop(lease);
    security::record(Event::Registered, Some(user.id));
    let tokens = Tokens::issue(&state.signing_key, &login.session, &login.refresh, now);
    Ok((StatusCode::CREATED, Json(Registered { user, tokens })))
}

async fn open_account(
    tx: &mut Tx<'_>,
    (user, email): (&User, &EmailAddress),
    password_hash: &str,
    login: Login,
    now: OffsetDateTime,
) -> Result<Login, Error> {
    if !store::users::insert(&mut tx.conn(), user, email, password_hash).await? {
        return Err(Error::EmailTaken);
    }
    store::sessions::open(&mut tx.conn(), login, now).await?.ok_or(Error::AccountClosed)
}

/// Opens a session.
#[utoipa::path(
    post, path = "/v1/auth/login", operation_id = "login", tag = "auth",
    responses(
        (status = 200, description = "Tokens, and a cookie by which the device is known again", body = Tokens),
        (status = 401, description = "`invalid-credentials`: no such account, or another password"),
        (status = 429),
    )
)]
pub(crate) async fn login(
    extract::State(state): extract::State<State>,
    Extension(admission): Extension<Admission>,
    client: Option<Client>,
    headers: HeaderMap,
    Json(credentials): Json<Credentials>,
) -> Result<Response, Error> {
    let name = credentials.account();
    let device = state.devices.known(&headers, &name).filter(|_| state.throttle.favours(&name, Instant::now()));
    let attempt = Attempt { account: &name, sender: device.map(Sender::Device).or(client.map(Sender::Client)) };
    let Proven { account, renewed } = proven(&state, &admission, attempt, credentials).await?;
    let now = OffsetDateTime::now_utc();
    let login = Login::start(account.id, &headers, now);
    let mut lease = state.db.acquire(&admission).await?;
    if let Some(renewed) = renewed {
        // False where the password was changed meanwhile, which is as well.
        store::users::replace_password(&mut lease.conn(), account.id, &account.password_hash, &renewed).await?;
    }
    // None where it was disabled meanwhile.
    let login = store::sessions::open(&mut lease.conn(), login, now).await?.ok_or(Error::InvalidCredentials)?;
    drop(lease);
    security::record(Event::Login(Outcome::Good), Some(account.id));
    let mut answer = Json(Tokens::issue(&state.signing_key, &login.session, &login.refresh, now)).into_response();
    if device.is_none() {
        answer.headers_mut().insert(SET_COOKIE, state.devices.cookie(&name));
    }
    Ok(answer)
}

/// An account whose password was given.
struct Proven {
    account: Account,
    /// A hash to keep in place of the old one, where that was made otherwise than it is today.
    renewed: Option<String>,
}

async fn proven(
    state: &State,
    admission: &Admission,
    attempt: Attempt<'_>,
    credentials: Credentials,
) -> Result<Proven, Error> {
    let throttled = |spent| {
        security::record(Event::Login(Outcome::Throttled), None);
        Error::Throttled(spent)
    };
    if let Some(Sender::Client(client)) = attempt.sender {
        state.admit.spend(quotas::LOGIN, client).map_err(throttled)?;
    }
    let rank = state.throttle.judge(attempt, Instant::now()).map_err(throttled)?;
    if !is_possible(&credentials.password) {
        security::record(Event::Login(Outcome::Bad), None);
        return Err(Error::InvalidCredentials);
    }
    state.passwords.has_room(rank, attempt.sender)?;
    let account = account(state, admission, &credentials.email).await?;
    let turn = state.passwords.turn(rank, attempt.sender).await?;
    // Others of the same sender, who were before it in the queue, may have been wrong meanwhile.
    state.throttle.judge(attempt, Instant::now()).map_err(throttled)?;
    let kept = account.as_ref().map(|account| account.password_hash.clone());
    let (comparison, place) = state.passwords.compare(turn, credentials.password, kept).await;
    let id = account.as_ref().map(|account| account.id);
    let proven = match (comparison, account) {
        (Comparison::Same, Some(account)) => Proven { account, renewed: None },
        (Comparison::SameAs(hash), Some(account)) => Proven { account, renewed: Some(hash) },
        _ => {
            state.throttle.wrong(attempt, Instant::now());
            security::record(Event::Login(Outcome::Bad), id);
            return Err(Error::InvalidCredentials);
        }
    };
    state.throttle.right(attempt);
    drop(place);
    Ok(proven)
}

/// A lease of its own, over before the password is looked at. What is no address has no account.
async fn account(state: &State, admission: &Admission, email: &str) -> Result<Option<Account>, Error> {
    let Ok(email) = EmailAddress::parse(email) else { return Ok(None) };
    let mut lease = state.db.acquire(admission).await?;
    Ok(store::users::account_by_email(&mut lease.conn(), &email).await?)
}

/// Gives new tokens for a refresh token, which is spent by it.
#[utoipa::path(
    post, path = "/v1/auth/refresh", operation_id = "refresh", tag = "auth",
    responses(
        (status = 200, description = "The next tokens of the session", body = Tokens),
        (status = 401, description = "`refresh-token-invalid`, or `refresh-token-reused`: the session has ended"),
        (status = 429),
    )
)]
pub(crate) async fn refresh(
    extract::State(state): extract::State<State>,
    Extension(admission): Extension<Admission>,
    Json(presented): Json<Presented>,
) -> Result<Json<Tokens>, Error> {
    let now = OffsetDateTime::now_utc();
    let mut lease = state.db.acquire(&admission).await?;
    let mut tx = lease.begin().await?;
    let rotated = rotate(&mut tx, &presented.refresh_token, &state.signing_key, now).await;
    let rotated = tx.end(rotated).await?;
    drop(lease);
    match rotated {
        Rotated::To(session, refresh) => Ok(Json(Tokens::issue(&state.signing_key, &session, &refresh, now))),
        Rotated::Ended(session) => {
            state.revoked.add([session.id]);
            security::record(Event::RefreshReused, Some(session.user_id));
            Err(Error::RefreshTokenReused)
        }
    }
}

/// What became of a session whose refresh token was presented.
enum Rotated {
    /// It goes on, with this token.
    To(Session, RefreshToken),
    /// It is over, since someone has a copy.
    Ended(Session),
}

async fn rotate(
    tx: &mut Tx<'_>,
    presented: &SecretString,
    key: &SigningKey,
    now: OffsetDateTime,
) -> Result<Rotated, Error> {
    let token = hash_of(presented);
    let session = store::sessions::lock_of(&mut tx.conn(), &token, now).await?.ok_or(Error::RefreshTokenInvalid)?;
    let kept = store::sessions::kept(&mut tx.conn(), &token).await?.ok_or(Error::RefreshTokenInvalid)?;
    match judge(&session, &kept, now) {
        Verdict::Rotate => {
            let next = RefreshToken::after(presented, key);
            store::sessions::rotate(&mut tx.conn(), &session, &token, &next, now).await?;
            Ok(Rotated::To(session, next))
        }
        Verdict::Repeat(successor) => {
            let next = RefreshToken::made_before(presented, key, &successor).ok_or(Error::RefreshTokenInvalid)?;
            Ok(Rotated::To(session, next))
        }
        Verdict::Invalid => Err(Error::RefreshTokenInvalid),
        Verdict::Reused => {
            let why = "refresh token reused";
            store::sessions::revoke(&mut tx.conn(), session.user_id, session.id, why, now).await?;
            Ok(Rotated::Ended(session))
        }
    }
}

/// The keys that verify access tokens.
#[utoipa::path(
    get, path = "/.well-known/jwks.json", operation_id = "key_set", tag = "verification",
    responses(
        (status = 200, description = "A JSON Web Key Set (RFC 7517), of Ed25519 keys", body = KeySet, content_type = "application/jwk-set+json"),
        (status = 304),
    )
)]
pub(crate) async fn key_set(extract::State(state): extract::State<State>, headers: HeaderMap) -> Response {
    state.key_set.answer(&headers)
}

/// The sessions that have ended while access tokens of theirs may still be good.
#[utoipa::path(
    get, path = "/.well-known/revoked-sessions.json", operation_id = "revoked_sessions", tag = "verification",
    responses((status = 200, description = "Ids of sessions", body = RevokedList), (status = 304))
)]
pub(crate) async fn revoked_sessions(extract::State(state): extract::State<State>, headers: HeaderMap) -> Response {
    state.ended_sessions.answer(&headers)
}
