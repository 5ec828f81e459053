//! The endpoints. Hashing happens between leases, never inside one.

use axum::Extension;
use axum::extract;
use axum::http::StatusCode;
use forebay_platform::extract::Json;
use forebay_pool::Admission;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::domain::{
    Account, Credentials, Presented, RefreshToken, Registered, Registration, Role, Session, Tokens, User, Verdict,
    hash_of, judge,
};
use crate::error::Error;
use crate::{State, store};

/// `POST /v1/auth/register`
pub(crate) async fn register(
    extract::State(state): extract::State<State>,
    Extension(admission): Extension<Admission>,
    Json(wanted): Json<Registration>,
) -> Result<(StatusCode, Json<Registered>), Error> {
    wanted.check()?;
    let password_hash = state.passwords.hash(wanted.password).await?;
    let user = User { id: Uuid::now_v7(), email: wanted.email, name: wanted.name };
    let now = OffsetDateTime::now_utc();
    let (session, refresh) = (Session::start(user.id, Role::Customer, now), RefreshToken::generate());
    let mut lease = state.db.acquire(&admission).await?;
    let mut tx = lease.begin().await?;
    if !store::insert_user(&mut tx.conn(), &user, &password_hash).await? {
        return Err(Error::EmailTaken);
    }
    store::open_session(&mut tx.conn(), &session, &refresh, now).await?;
    tx.commit().await?;
    drop(lease);
    let tokens = Tokens::issue(&state.signing_key, &session, &refresh, now);
    Ok((StatusCode::CREATED, Json(Registered { user, tokens })))
}

/// `POST /v1/auth/login`
pub(crate) async fn login(
    extract::State(state): extract::State<State>,
    Extension(admission): Extension<Admission>,
    Json(credentials): Json<Credentials>,
) -> Result<Json<Tokens>, Error> {
    if !credentials.possible() {
        return Err(Error::InvalidCredentials);
    }
    let account = account(&state, &admission, &credentials.email).await?;
    let kept = account.as_ref().map(|account| account.password_hash.clone());
    let matches = state.passwords.matches(credentials.password, kept).await?;
    let account = account.filter(|_| matches).ok_or(Error::InvalidCredentials)?;
    let now = OffsetDateTime::now_utc();
    let (session, refresh) = (Session::start(account.id, account.role, now), RefreshToken::generate());
    let mut lease = state.db.acquire(&admission).await?;
    store::open_session(&mut lease.conn(), &session, &refresh, now).await?;
    drop(lease);
    Ok(Json(Tokens::issue(&state.signing_key, &session, &refresh, now)))
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
    let session = store::lock_session_of(&mut tx.conn(), &token, now).await?.ok_or(Error::RefreshTokenInvalid)?;
    let kept = store::kept(&mut tx.conn(), &token).await?.ok_or(Error::RefreshTokenInvalid)?;
    match judge(&session, &kept, now) {
        Verdict::Invalid => return Err(Error::RefreshTokenInvalid),
        Verdict::Rotate => store::rotate(&mut tx.conn(), &session, &token, None, &next, now).await?,
        Verdict::Replace(lost) => store::rotate(&mut tx.conn(), &session, &token, Some(&lost), &next, now).await?,
        Verdict::Reused => {
            store::revoke(&mut tx.conn(), session.id, "refresh token reused", now).await?;
            tx.commit().await?;
            return Err(Error::RefreshTokenReused);
        }
    }
    tx.commit().await?;
    drop(lease);
    Ok(Json(Tokens::issue(&state.signing_key, &session, &next, now)))
}

/// A lease of its own, over before the password is looked at.
async fn account(state: &State, admission: &Admission, email: &str) -> Result<Option<Account>, Error> {
    let mut lease = state.db.acquire(admission).await?;
    Ok(store::account_by_email(&mut lease.conn(), email).await?)
}
