//! Keeps up with the sessions that an issuer elsewhere has ended.

use std::time::Duration;

use axum::body::Bytes;
use http::header::{ACCEPT, ETAG, HeaderValue, IF_NONE_MATCH};
use http::{Request, StatusCode, Uri};
use tokio::sync::Mutex;
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::jwks_uri::JwksUri;
use super::revoked::{RevokedList, RevokedSessions};
use crate::outbound::{Outbound, OutboundError};

/// The document, beside the key set.
const DOCUMENT: &str = "revoked-sessions.json";

/// With the second in which the issuer itself hears of it from its replicas, and one for the answer, an ended session is
/// known everywhere within five seconds.
const EVERY: Duration = Duration::from_secs(2);

/// For one answer, to its last byte.
const LIMIT: Duration = Duration::from_secs(1);

/// The largest document, in bytes: [`RevokedSessions::MOST`] ids, and room.
const MAX_SIZE: usize = 1024 * 1024;

const AGE: &str = "revoked_sessions_age_seconds";

#[derive(Debug)]
pub(super) struct Follower {
    uri: Uri,
    sessions: RevokedSessions,
    /// Held by the one who asks.
    turn: Mutex<()>,
}

/// Why the list was not had.
#[derive(Debug, thiserror::Error)]
enum Unheard {
    #[error(transparent)]
    Unanswered(#[from] OutboundError),
    #[error("the answer is {0}")]
    Status(StatusCode),
    #[error("the document is of no use: {0}")]
    Unusable(#[from] serde_json::Error),
}

/// How it stands after an attempt.
struct Standing {
    /// When the list came last, or when it was first asked for.
    heard: Instant,
    is_current: Option<bool>,
    /// Of the list that came last.
    tag: Option<HeaderValue>,
}

impl Follower {
    pub(super) fn new(jwks: &JwksUri, sessions: RevokedSessions) -> Self {
        metrics::describe_gauge!(AGE, "How long ago the list of ended sessions came, whose access tokens are refused");
        Self { uri: jwks.beside(DOCUMENT), sessions, turn: Mutex::new(()) }
    }

    /// Asks every two seconds; never returns. What was heard stays where nothing more is. A second call does nothing until
    /// the first is dropped.
    pub(super) async fn keep_up(&self) {
        let _turn = self.turn.lock().await;
        let client = Outbound::new().without_repetitions().longest_body(MAX_SIZE);
        let mut standing = Standing { heard: Instant::now(), is_current: None, tag: None };
        let mut ticks = interval(EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let heard = self.ask(&client, &mut standing.tag).await;
            self.note(heard, &mut standing);
        }
    }

    async fn ask(&self, client: &Outbound, tag: &mut Option<HeaderValue>) -> Result<(), Unheard> {
        let answer = client.send(self.request(tag.as_ref()), LIMIT).await?;
        match answer.status() {
            StatusCode::OK => {
                let list: RevokedList = serde_json::from_slice(answer.body())?;
                self.sessions.add(list.revoked);
                *tag = answer.headers().get(ETAG).cloned();
                Ok(())
            }
            StatusCode::NOT_MODIFIED => Ok(()),
            other => Err(Unheard::Status(other)),
        }
    }

    fn request(&self, tag: Option<&HeaderValue>) -> Request<Bytes> {
        let mut request = Request::get(&self.uri).header(ACCEPT, "application/json");
        if let Some(tag) = tag {
            request = request.header(IF_NONE_MATCH, tag);
        }
        request.body(Bytes::new()).expect("a valid URI and a tag that came make a valid request")
    }

    fn note(&self, heard: Result<(), Unheard>, standing: &mut Standing) {
        let (uri, now) = (&self.uri, Instant::now());
        let is_news = standing.is_current.replace(heard.is_ok()) != Some(heard.is_ok());
        let age = now.saturating_duration_since(standing.heard);
        metrics::gauge!(AGE).set(if heard.is_ok() { 0.0 } else { age.as_secs_f64() });
        match heard {
            Ok(()) => {
                standing.heard = now;
                if is_news {
                    tracing::info!(%uri, "the list of ended sessions has come");
                }
            }
            Err(error) if is_news => {
                let age_s = age.as_secs();
                tracing::warn!(%uri, %error, age_s, "the list of ended sessions did not come; what is known of them stays");
            }
            Err(_) => {}
        }
    }
}
