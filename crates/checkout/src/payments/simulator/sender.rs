//! What the simulated provider says by itself.

use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use axum::http::Uri;
use axum::http::uri::InvalidUri;
use forebay_platform::instant;
use forebay_platform::trace::Context;
use forebay_platform::webhook::{self, Secrets};
use tokio::sync::Semaphore;
use tokio::time::sleep;
use uuid::Uuid;

use super::drawn;
use crate::payments::message::Message;

/// How many messages may be under way, those that are not due yet among them.
const AT_ONCE: usize = 1_000;
/// How often a message is sent until somebody takes it; after each attempt the pause is twice as long.
const ATTEMPTS: u32 = 6;
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// How long an attempt may take.
const LIMIT: Duration = Duration::from_secs(15);

/// Where the simulated provider sends a message for each charge and refund that ends, and how well it does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Messages {
    /// Where to.
    pub to: MessageUrl,
    /// How late.
    pub delay: Duration,
    /// How many of a hundred it sends twice.
    pub duplicate_percent: u8,
}

/// Where messages are sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MessageUrl(Uri);

/// Why messages are not sent there.
#[derive(Debug, thiserror::Error)]
pub enum InvalidMessageUrl {
    /// No URI at all.
    #[error("is no URI: {0}")]
    Malformed(#[from] InvalidUri),
    /// Another scheme, no host, or a user before it.
    #[error("must look like http://127.0.0.1:8080/v1/payments/webhook")]
    Shape,
}

impl FromStr for MessageUrl {
    type Err = InvalidMessageUrl;

    fn from_str(text: &str) -> Result<Self, InvalidMessageUrl> {
        let uri: Uri = text.parse()?;
        let names_a_host = uri.host().is_some_and(|host| !host.is_empty());
        let has_user = uri.authority().is_some_and(|authority| authority.as_str().contains('@'));
        if matches!(uri.scheme_str(), Some("http" | "https")) && names_a_host && !has_user {
            Ok(Self(uri))
        } else {
            Err(InvalidMessageUrl::Shape)
        }
    }
}

#[derive(Debug)]
pub(super) struct Sender {
    messages: Messages,
    secrets: Secrets,
    post: Arc<webhook::Sender>,
    under_way: Arc<Semaphore>,
}

impl Sender {
    pub(super) fn new(messages: Messages, secrets: Secrets) -> Self {
        let post = Arc::new(webhook::Sender::new(LIMIT));
        Self { messages, secrets, post, under_way: Arc::new(Semaphore::new(AT_ONCE)) }
    }

    /// Sends it in the background; whoever was charged does not wait for it. `of` is the order's or the refund's id.
    pub(super) fn send(&self, of: Uuid, message: &Message) {
        let Ok(place) = Arc::clone(&self.under_way).try_acquire_owned() else {
            tracing::warn!(%of, "a message of the simulated provider is lost: too many are under way");
            return;
        };
        let Messages { to, delay, duplicate_percent } = self.messages.clone();
        let times = if drawn("message", of, message.attempt()) < u32::from(duplicate_percent) { 2 } else { 1 };
        let letter = Letter {
            id: format!("evt_{}", message.reference()),
            body: message.write(instant::now()),
            to,
            secrets: self.secrets.clone(),
            post: Arc::clone(&self.post),
        };
        let delivery = async move {
            sleep(delay).await;
            for _ in 0..times {
                letter.deliver().await;
            }
            drop(place);
        };
        // It tells of what was done for a request, and goes on with its trace.
        match Context::current() {
            Some(context) => tokio::spawn(context.scope(delivery)),
            None => tokio::spawn(delivery),
        };
    }
}

struct Letter {
    id: String,
    body: String,
    to: MessageUrl,
    secrets: Secrets,
    post: Arc<webhook::Sender>,
}

impl Letter {
    async fn deliver(&self) {
        let (message, mut pause) = (webhook::Message { id: &self.id, body: &self.body }, FIRST_PAUSE);
        for attempt in 1..=ATTEMPTS {
            match self.post.post(&self.to.0, message, &self.secrets, instant::now()).await {
                Ok(answer) if answer.status.is_success() => return,
                Ok(answer) => tracing::debug!(id = self.id, attempt, status = %answer.status, "was not taken"),
                Err(error) => tracing::debug!(id = self.id, attempt, %error, "was not taken"),
            }
            if attempt < ATTEMPTS {
                sleep(pause.mul_f64(rand::random_range(0.5..1.0))).await;
                pause *= 2;
            }
        }
        tracing::warn!(id = self.id, "a message of the simulated provider was not taken, and is not sent any more");
    }
}
