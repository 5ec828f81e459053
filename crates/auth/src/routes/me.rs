//! An account, as its own user sees and changes it.

use axum::Extension;
use axum::body::Bytes;
use axum::extract;
use axum::http::header::{CONTENT_TYPE, ETAG};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::Response;
use forebay_platform::client::Client;
use forebay_platform::db::Tx;
use forebay_platform::etag;
use forebay_platform::extract::Json;
use forebay_platform::identity::Principal;
use forebay_platform::security::{self, Event, Outcome};
use forebay_pool::Admission;
use secrecy::SecretString;
use time::OffsetDateTime;
use tokio::time::Instant;
use uuid::Uuid;

use crate::domain::{Account, NewName, PasswordChange, User, is_possible, name_of_account};
use crate::error::Error;
use crate::lane::Rank;
use crate::passwords::Comparison;
use crate::throttle::{Attempt, Sender};
use crate::{State, quotas, store};

/// The account of the bearer.
#[utoipa::path(
    get, path = "/v1/me", operation_id = "me", tag = "account", security(("bearer" = [])),
    responses((status = 200, description = "The account", body = User), (status = 304))
)]
pub(crate) async fn read(
    extract::State(state): extract::State<State>,
    Extension(admission): Extension<Admission>,
    principal: Principal,
    headers: HeaderMap,
) -> Result<Response, Error> {
    let mut lease = state.db.acquire(&admission).await?;
    let user = store::users::find(&mut lease.conn(), principal.user_id).await?.ok_or(Error::AccountClosed)?;
    drop(lease);
    let (answer, body) = tagged(&user);
    Ok(etag::unless_known(&headers, answer, body))
}

/// Changes the name of the account.
#[utoipa::path(
    patch, path = "/v1/me", operation_id = "change_me", tag = "account", security(("bearer" = [])),
    responses((status = 200, description = "The account as it is now", body = User), (status = 412))
)]
pub(crate) async fn change(
    extract::State(state): extract::State<State>,
    Extension(admission): Extension<Admission>,
    principal: Principal,
    headers: HeaderMap,
    Json(wanted): Json<NewName>,
) -> Result<(HeaderMap, Bytes), Error> {
    wanted.check()?;
    let mut lease = state.db.acquire(&admission).await?;
    let mut tx = lease.begin().await?;
    let renamed = rename(&mut tx, principal.user_id, &headers, wanted.name).await;
    let user = tx.end(renamed).await?;
    drop(lease);
    Ok(tagged(&user))
}

async fn rename(tx: &mut Tx<'_>, id: Uuid, headers: &HeaderMap, name: String) -> Result<User, Error> {
    let user = store::users::lock(&mut tx.conn(), id).await?.ok_or(Error::AccountClosed)?;
    let (now, _) = tagged(&user);
    etag::check_match(headers, &now[ETAG]).map_err(Error::OtherVersion)?;
    store::users::rename(&mut tx.conn(), id, &name).await?;
    Ok(User { name, ..user })
}

/// The body, and a tag that is another one when anything in it is.
fn tagged(user: &User) -> (HeaderMap, Bytes) {
    let body = Bytes::from(serde_json::to_vec(user).expect("strings and ids always serialize"));
    let headers = [(CONTENT_TYPE, HeaderValue::from_static("application/json")), (ETAG, etag::tag_of(&body))];
    (headers.into_iter().collect(), body)
}

/// Changes the password, and ends all other sessions.
#[utoipa::path(
    put, path = "/v1/me/password", operation_id = "change_password", tag = "account", security(("bearer" = [])),
    responses(
        (status = 204, description = "It is changed"),
        (status = 401, description = "`invalid-credentials`: `current` is not the password; or no good access token"),
        (status = 429),
    )
)]
pub(crate) async fn change_password(
    extract::State(state): extract::State<State>,
    Extension(admission): Extension<Admission>,
    principal: Principal,
    client: Option<Client>,
    Json(wanted): Json<PasswordChange>,
) -> Result<StatusCode, Error> {
    wanted.check()?;
    let account = account(&state, &admission, principal.user_id).await?;
    let sender = client.map(Sender::Client);
    require_current(&state, &account, sender, wanted.current).await?;
    let turn = state.passwords.turn(Rank::Clean, sender).await?;
    let hashed = state.passwords.hash(turn, wanted.new, account.words()).await;
    let password_hash = hashed.map_err(|_guessable| Error::guessable("/new"))?;
    let mut lease = state.db.acquire(&admission).await?;
    let mut tx = lease.begin().await?;
    let replaced = replace_password(&mut tx, &account, &password_hash, principal.session_id).await;
    let ended = tx.end(replaced).await?;
    drop(lease);
    state.revoked.add(ended);
    security::record(Event::PasswordChange(Outcome::Good), Some(account.id));
    Ok(StatusCode::NO_CONTENT)
}

/// A lease of its own, over before anything is hashed.
async fn account(state: &State, admission: &Admission, id: Uuid) -> Result<Account, Error> {
    let mut lease = state.db.acquire(admission).await?;
    store::users::account(&mut lease.conn(), id).await?.ok_or(Error::AccountClosed)
}

/// Wrong ones are counted as those of logins are: who has stolen a token shall not find the password by it.
async fn require_current(
    state: &State,
    account: &Account,
    sender: Option<Sender>,
    password: SecretString,
) -> Result<(), Error> {
    let tried = |outcome| security::record(Event::PasswordChange(outcome), Some(account.id));
    let throttled = |spent| {
        tried(Outcome::Throttled);
        Error::Throttled(spent)
    };
    let name = name_of_account(&account.email);
    let attempt = Attempt { account: &name, sender };
    if let Some(Sender::Client(client)) = sender {
        state.admit.spend(quotas::LOGIN, client).map_err(throttled)?;
    }
    let rank = state.throttle.judge(attempt, Instant::now()).map_err(throttled)?;
    let turn = state.passwords.turn(rank, sender).await?;
    // Others of the same sender, who were before it in the queue, may have been wrong meanwhile.
    state.throttle.judge(attempt, Instant::now()).map_err(throttled)?;
    let kept = Some(account.password_hash.clone());
    let compared =
        if is_possible(&password) { Some(state.passwords.compare(turn, password, kept).await) } else { None };
    if compared.as_ref().is_some_and(|(comparison, _)| *comparison != Comparison::Different) {
        state.throttle.right(attempt);
        return Ok(());
    }
    state.throttle.wrong(attempt, Instant::now());
    drop(compared);
    tried(Outcome::Bad);
    Err(Error::InvalidCredentials)
}

/// The ids of the sessions that have ended by it: all but `current`.
async fn replace_password(
    tx: &mut Tx<'_>,
    account: &Account,
    password_hash: &str,
    current: Uuid,
) -> Result<Vec<Uuid>, Error> {
    let (id, old) = (account.id, &account.password_hash);
    if !store::users::replace_password(&mut tx.conn(), id, old, password_hash).await? {
        return Err(Error::InvalidCredentials);
    }
    let now = OffsetDateTime::now_utc();
    Ok(store::sessions::revoke_all(&mut tx.conn(), id, Some(current), "password changed", now).await?)
}
