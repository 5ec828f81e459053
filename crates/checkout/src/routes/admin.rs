//! The endpoints of those who run the shop. Each change is a line of the audit log, in the transaction that makes it.

use axum::Extension;
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use forebay_platform::audit::{self, Entry};
use forebay_platform::db::Tx;
use forebay_platform::extract::{IdempotencyKey, Path};
use forebay_platform::identity::Admin;
use forebay_platform::instant;
use forebay_pool::Admission;
use serde::Serialize;
use serde::de::DeserializeOwned;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::State;
use crate::answer::Answer;
use crate::error::Error;
use crate::refunds::{Refund, RefundState, settle};
use crate::store::keys::{self, KeyedRequest};

pub(crate) mod inventory;
pub(crate) mod orders;
pub(crate) mod refunds;
pub(crate) mod returns;

/// A change that somebody who runs the shop asks for: all of it that is not in the body.
pub(crate) struct Asked<Of = Uuid> {
    state: State,
    admission: Admission,
    admin: Admin,
    /// What is to be changed, as the path names it.
    of: Of,
    key: IdempotencyKey,
    /// The method and the path.
    target: String,
    now: OffsetDateTime,
}

impl<Of: DeserializeOwned + Send> FromRequestParts<State> for Asked<Of> {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, state: &State) -> Result<Self, Response> {
        let Extension(admission) = Extension::from_request_parts(parts, state).await.map_err(refused)?;
        // Who is no admin learns nothing of the rest.
        let admin = Admin::from_request_parts(parts, state).await.map_err(refused)?;
        let Path(of) = Path::from_request_parts(parts, state).await.map_err(refused)?;
        let key = IdempotencyKey::from_request_parts(parts, state).await.map_err(refused)?;
        let target = format!("{} {}", parts.method, parts.uri.path());
        Ok(Self { state: state.clone(), admission, admin, of, key, target, now: instant::now() })
    }
}

fn refused(rejection: impl IntoResponse) -> Response {
    rejection.into_response()
}

impl<Of> Asked<Of> {
    /// `action` is what it is called where people look it up, such as `order.ship`.
    fn claim(&self, action: &'static str, body: &impl Serialize) -> KeyedRequest {
        KeyedRequest::new(self.admin.0.user_id, &self.key, action, (&self.target, body), self.now)
    }
}

/// Does `work` once for its key, all of it or nothing, with the line that tells of it.
async fn change<Of>(
    Asked { state, admission, .. }: &Asked<Of>,
    claim: &KeyedRequest,
    work: impl AsyncFnOnce(&mut Tx<'_>) -> Result<(Answer, Entry), Error>,
) -> Result<Answer, Error> {
    let mut written = None;
    let mut lease = state.db.acquire(admission).await?;
    let mut tx = lease.begin().await?;
    let done = keys::once(&mut tx, claim, async |tx| {
        let (answer, entry) = work(tx).await?;
        audit::record(&mut tx.conn(), &entry).await?;
        written = Some(entry);
        Ok(answer)
    });
    let done = done.await;
    let answer = tx.end(done).await?;
    drop(lease);
    if let Some(entry) = written {
        entry.announce();
    }
    Ok(answer)
}

/// The same where it gives money back, which is asked for in the transaction and goes with no lease held. What is said of it
/// then is kept in place of what was said before.
async fn give_back<T>(
    asked: &Asked,
    claim: &KeyedRequest,
    work: impl AsyncFnOnce(&mut Tx<'_>) -> Result<(T, Option<Refund>, Entry), Error>,
    answer: impl Fn(&T, Option<&Refund>) -> Answer,
) -> Result<Answer, Error> {
    let mut requested = None;
    let first = change(asked, claim, async |tx| {
        let (subject, refund, entry) = work(tx).await?;
        let first = answer(&subject, refund.as_ref());
        requested = refund.map(|refund| (subject, refund));
        Ok((first, entry))
    });
    let first = first.await?;
    // Nothing is to be given back, or it was asked before.
    let Some((subject, refund)) = requested else { return Ok(first) };
    let refund = settle(&asked.state, refund).await;
    if refund.state == RefundState::Requested {
        return Ok(first);
    }
    let last = answer(&subject, Some(&refund));
    keep(asked, claim, &last).await;
    Ok(last)
}

/// Where that fails, whoever asks again is told that it was asked for, which is true as well.
async fn keep(Asked { state, admission, .. }: &Asked, claim: &KeyedRequest, answer: &Answer) {
    let kept = async {
        let mut lease = state.db.acquire(admission).await?;
        keys::keep(&mut lease.conn(), claim, answer).await?;
        Ok::<_, Error>(())
    };
    if let Err(error) = kept.await {
        tracing::warn!(%error, "what became of a refund is not kept under its key");
    }
}
