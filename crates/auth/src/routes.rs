//! The endpoints. Hashing happens between leases, never inside one.

use axum::Extension;
use axum::extract;
use axum::http::header::SET_COOKIE;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use forebay_platform::client::Client;
use forebay_platform::db::Tx;
use forebay_platform::extract::Json;
use forebay_platform::security::{self, Event, Outcome};
use forebay_pool::Admission;
use time::OffsetDateTime;
use tokio::time::Instant;
use uuid::Uuid;

use crate::domain::{
    Account, Credentials, Presented, RefreshToken, Registered, Registration, Role, Session, TokenHash, Tokens, User,
    Verdict, hash_of, judge,
};
use crate::error::Error;
use crate::lane::Rank;
use crate::throttle::{Attempt, Sender};
use crate::{State, quotas, store};

/// `POST /v1/auth/register`
pub(crate) async fn register(
    extract::State(state): extract::State<State>,
    Extension(admission): Extension<Admission>,
    client: Option<Client>,
    Json(wanted): Json<Registration>,
) -> Result<(StatusCode, Json<Registered>), Error> {
    wanted.check()?;
    let turn = state.passwords.turn(Rank::Clean, client.map(Sender::Client)).await?;
    let password_hash = state.passwords.hash(turn, wanted.password).await;
    let user = User { id: Uuid::now_v7(), email: wanted.email, name: wanted.name };
    let now = OffsetDateTime::now_utc();
    let (session, refresh) = (Session::start(user.id, Role::Customer, now), RefreshToken::generate());
    let mut lease = state.db.acquire(&admission).await?;
    let mut tx = lease.begin().await?;
    let opened = open_account(&mut tx, &user, &password_hash, &session, &refresh, now).await;
    end(tx, opened).await?;
    drop(lease);
    security::record(Event::Registered, Some(user.id));
    let tokens = Tokens::issue(&state.signing_key, &session, &refresh, now);
    Ok((StatusCode::CREATED, Json(Registered { user, tokens })))
}

async fn open_account(
    tx: &mut Tx<'_>,
    user: &User,
    password_hash: &str,
    session: &Session,
    first: &RefreshToken,
    now: OffsetDateTime,
) -> Result<(), Error> {
    if !store::insert_user(&mut tx.conn(), user, password_hash).await? {
        return Err(Error::EmailTaken);
    }
    Ok(store::open_session(&mut tx.conn(), session, first, now).await?)
}

/// `POST /v1/auth/login`
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
    let account = proven(&state, &admission, attempt, credentials).await?;
    let now = OffsetDateTime::now_utc();
    let (session, refresh) = (Session::start(account.id, account.role, now), RefreshToken::generate());
    let mut lease = state.db.acquire(&admission).await?;
    store::open_session(&mut lease.conn(), &session, &refresh, now).await?;
    drop(lease);
    security::record(Event::Login(Outcome::Good), Some(account.id));
    let mut answer = Json(Tokens::issue(&state.signing_key, &session, &refresh, now)).into_response();
    if device.is_none() {
        answer.headers_mut().insert(SET_COOKIE, state.devices.cookie(&name));
    }
    Ok(answer)
}

/// The account, where this is its password.
async fn proven(
    state: &State,
    admission: &Admission,
    attempt: Attempt<'_>,
    credentials: Credentials,
) -> Result<Account, Error> {
    let throttled = |spent| {
        security::record(Event::Login(Outcome::Throttled), None);
        Error::Throttled(spent)
    };
    if let Some(Sender::Client(client)) = attempt.sender {
        state.admit.spend(quotas::LOGIN, client).map_err(throttled)?;
    }
    let rank = state.throttle.judge(attempt, Instant::now()).map_err(throttled)?;
    if !credentials.possible() {
        security::record(Event::Login(Outcome::Bad), None);
        return Err(Error::InvalidCredentials);
    }
    state.passwords.has_room(rank, attempt.sender)?;
    let account = account(state, admission, &credentials.email).await?;
    let turn = state.passwords.turn(rank, attempt.sender).await?;
    // Others of the same sender, who were before it in the queue, may have been wrong meanwhile.
    state.throttle.judge(attempt, Instant::now()).map_err(throttled)?;
    let kept = account.as_ref().map(|account| account.password_hash.clone());
    if state.passwords.matches(turn, credentials.password, kept).await
        && let Some(account) = account
    {
        state.throttle.right(attempt);
        return Ok(account);
    }
    state.throttle.wrong(attempt, Instant::now());
    security::record(Event::Login(Outcome::Bad), account.map(|account| account.id));
    Err(Error::InvalidCredentials)
}

/// `POST /v1/auth/refresh`
pub(crate) async fn refresh(
    extract::State(state): extract::State<State>,
    Extension(admission): Extension<Admission>,
    Json(presented): Json<Presented>,
) -> Result<Json<Tokens>, Error> {
    let token = hash_of(&presented.refresh_token);
    let (next, now) = (RefreshToken::generate(), OffsetDateTime::now_utc());
    let mut lease = state.db.acquire(&admission).await?;
    let mut tx = lease.begin().await?;
    let rotated = rotate(&mut tx, &token, &next, now).await;
    let session = end(tx, rotated).await?;
    drop(lease);
    if session.revoked {
        security::record(Event::RefreshReused, Some(session.user_id));
        return Err(Error::RefreshTokenReused);
    }
    Ok(Json(Tokens::issue(&state.signing_key, &session, &next, now)))
}

/// `GET /.well-known/jwks.json`
pub(crate) async fn key_set(extract::State(state): extract::State<State>, headers: HeaderMap) -> Response {
    state.key_set.answer(&headers)
}

/// The session, which goes on with `next`; or which is over since someone has a copy of its token.
async fn rotate(
    tx: &mut Tx<'_>,
    token: &TokenHash,
    next: &RefreshToken,
    now: OffsetDateTime,
) -> Result<Session, Error> {
    let session = store::lock_session_of(&mut tx.conn(), token, now).await?.ok_or(Error::RefreshTokenInvalid)?;
    let kept = store::kept(&mut tx.conn(), token).await?.ok_or(Error::RefreshTokenInvalid)?;
    let overtaken = match judge(&session, &kept, now) {
        Verdict::Invalid => return Err(Error::RefreshTokenInvalid),
        Verdict::Rotate => None,
        Verdict::Replace(lost) => Some(lost),
        Verdict::Reused => {
            store::revoke(&mut tx.conn(), session.id, "refresh token reused", now).await?;
            return Ok(Session { revoked: true, ..session });
        }
    };
    store::rotate(&mut tx.conn(), &session, token, overtaken.as_ref(), next, now).await?;
    Ok(session)
}

/// Commits what went well. A refusal, ours or the server's, is rolled back before it is answered, so that its connection
/// goes back clean. Where the connection itself failed, the transaction is dropped, and the pool sees to what is left.
async fn end<T>(tx: Tx<'_>, outcome: Result<T, Error>) -> Result<T, Error> {
    match &outcome {
        Ok(_) => tx.commit().await?,
        Err(Error::Store(error)) if error.as_database_error().is_none() => drop(tx),
        Err(_) => {
            if let Err(error) = tx.rollback().await {
                tracing::debug!(error = %forebay_pool::describe(&error), "a refused transaction was not rolled back; the pool sees to it");
            }
        }
    }
    outcome
}

/// A lease of its own, over before the password is looked at.
async fn account(state: &State, admission: &Admission, email: &str) -> Result<Option<Account>, Error> {
    let mut lease = state.db.acquire(admission).await?;
    Ok(store::account_by_email(&mut lease.conn(), email).await?)
}
