//! The keys of an issuer elsewhere: carries out what the [`Keyring`] decides.

use std::sync::Arc;
use std::time::Duration;

use jsonwebtoken::DecodingKey;
use tokio::sync::{Mutex, watch};
use tokio::time::{Instant, timeout, timeout_at};

use super::fetch::{FetchError, client, fetch};
use super::jwks_uri::JwksUri;
use super::key_set::KeySet;
use super::keyring::{Keyring, Missing, Search, Standing};

/// How long a token with an unknown key waits for it.
const PATIENCE: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(super) struct Remote {
    uri: JwksUri,
    ring: watch::Sender<Keyring>,
    /// Held by the one who asks.
    turn: Mutex<()>,
}

impl Remote {
    pub(super) fn new(uri: JwksUri) -> Self {
        let ring = watch::Sender::new(Keyring::empty(Instant::now()));
        Self { uri, ring, turn: Mutex::new(()) }
    }

    /// The key with this id: at once where it is known, else after the issuer was asked, which is at most a second and
    /// not for everyone.
    pub(super) async fn key(&self, id: &str) -> Result<Arc<DecodingKey>, Missing> {
        match self.find(id) {
            Ok(key) => Ok(key),
            Err(_) => timeout(PATIENCE, self.search(id)).await.unwrap_or_else(|_elapsed| self.find(id)),
        }
    }

    fn find(&self, id: &str) -> Result<Arc<DecodingKey>, Missing> {
        self.ring.borrow().find(id, Instant::now())
    }

    async fn search(&self, id: &str) -> Result<Arc<DecodingKey>, Missing> {
        let mut ring = self.ring.subscribe();
        loop {
            match self.search_once(id) {
                Search::Over(found) => return found,
                // An error means that the ring is gone, which is ours.
                Search::Waits(attempts) => _ = ring.wait_for(|ring| ring.attempts() != attempts).await,
            }
        }
    }

    fn search_once(&self, id: &str) -> Search {
        let mut found = Search::Over(Err(Missing::Keys));
        self.ring.send_if_modified(|ring| {
            let before = ring.is_demanded();
            found = ring.search(id, Instant::now());
            ring.is_demanded() != before
        });
        found
    }

    /// Asks when keys are due or demanded; never returns. A second call does nothing until the first is dropped.
    pub(super) async fn keep_fresh(&self) {
        let client = client();
        self.keep_fresh_by(|| fetch(&client, &self.uri)).await;
    }

    async fn keep_fresh_by<F>(&self, mut fetch: impl FnMut() -> F)
    where
        F: Future<Output = Result<KeySet, FetchError>>,
    {
        let _turn = self.turn.lock().await;
        loop {
            self.next_request().await;
            let outcome = fetch().await;
            self.note(outcome);
        }
    }

    async fn next_request(&self) {
        let due = self.ring.borrow().due();
        // Elapsed is as good a reason as demanded.
        _ = timeout_at(due, self.ring.subscribe().wait_for(Keyring::is_demanded)).await;
        self.ring.send_if_modified(|ring| {
            ring.begin();
            false
        });
    }

    fn note(&self, outcome: Result<KeySet, FetchError>) {
        let (keys, error) = match outcome {
            Ok(keys) => (Ok(keys), None),
            Err(error) => (Err(error.told()), Some(error)),
        };
        let mut news = None;
        self.ring.send_modify(|ring| news = ring.end(keys, Instant::now(), rand::random()));
        if let Some(standing) = news {
            self.tell(standing, error);
        }
    }

    fn tell(&self, standing: Standing, error: Option<FetchError>) {
        let (uri, error) = (&self.uri, error.map(|error| error.to_string()));
        match standing {
            Standing::Current => tracing::info!(%uri, "the keys that verify access tokens have come"),
            Standing::Kept => {
                tracing::warn!(%uri, error, "the keys that verify access tokens did not come; those of before hold for a day");
            }
            Standing::Without => {
                tracing::error!(%uri, error, "there are no keys that verify access tokens; all tokens are answered 503");
            }
        }
    }
}

#[cfg(test)]
mod tests;
