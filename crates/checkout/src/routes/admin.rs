//! The endpoints of those who run the shop. Each change is a line of the audit log, in the transaction that makes it.

use forebay_platform::audit::{self, Entry};
use forebay_platform::db::Tx;
use forebay_pool::Admission;

use crate::State;
use crate::answer::Answer;
use crate::error::Error;
use crate::refunds::{Refund, RefundState, settle};
use crate::store::keys::{self, Claim};

pub(crate) mod inventory;
pub(crate) mod orders;
pub(crate) mod refunds;
pub(crate) mod returns;

/// Does `work` once for its key, all of it or nothing, with the line that tells of it.
async fn change(
    state: &State,
    admission: &Admission,
    claim: &Claim,
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
    state: &State,
    admission: &Admission,
    claim: &Claim,
    work: impl AsyncFnOnce(&mut Tx<'_>) -> Result<(T, Option<Refund>, Entry), Error>,
    answer: impl Fn(&T, Option<&Refund>) -> Answer,
) -> Result<Answer, Error> {
    let mut asked = None;
    let first = change(state, admission, claim, async |tx| {
        let (subject, refund, entry) = work(tx).await?;
        let first = answer(&subject, refund.as_ref());
        asked = refund.map(|refund| (subject, refund));
        Ok((first, entry))
    });
    let first = first.await?;
    // Nothing is to be given back, or it was asked before.
    let Some((subject, refund)) = asked else { return Ok(first) };
    let refund = settle(state, refund).await;
    if refund.state == RefundState::Requested {
        return Ok(first);
    }
    let last = answer(&subject, Some(&refund));
    keep(state, admission, claim, &last).await;
    Ok(last)
}

/// Where that fails, whoever asks again is told that it was asked for, which is true as well.
async fn keep(state: &State, admission: &Admission, claim: &Claim, answer: &Answer) {
    let kept = async {
        let mut lease = state.db.acquire(admission).await?;
        keys::keep(&mut lease.conn(), claim, answer).await?;
        Ok::<_, Error>(())
    };
    if let Err(error) = kept.await {
        tracing::warn!(%error, "what became of a refund is not kept under its key");
    }
}
