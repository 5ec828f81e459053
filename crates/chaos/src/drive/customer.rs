//! A client that behaves as the API asks: it repeats what may be repeated, when it was told to, and writes it all down.

use std::time::Duration;

use serde::de::DeserializeOwned;
use tokio::time::{Instant, sleep};

use super::patience::{Meaning, Repeat, Seen, Tries};
use super::record::Notebook;
use super::route::Route;
use crate::client::{Ask, Caller};

/// Cheap to clone; clones share connections and notebook.
#[derive(Clone, Debug)]
pub(crate) struct Customer {
    pub(crate) caller: Caller,
    pub(crate) notebook: Notebook,
}

/// How a request ended.
#[derive(Debug)]
pub(crate) struct End<T> {
    /// The last that came.
    pub(crate) seen: Seen<T>,
    /// Whether an attempt may have been executed without an answer that said so.
    pub(crate) lost: bool,
}

impl Customer {
    /// One whose requests appear in no account.
    pub(crate) fn unrecorded(caller: Caller) -> Self {
        Self { caller, notebook: Notebook::default() }
    }

    /// Sends `ask` until it succeeds or patience ends.
    pub(crate) async fn request<T: DeserializeOwned>(&self, route: Route, ask: &Ask, repeat: Repeat) -> End<T> {
        self.request_since(Instant::now(), route, ask, repeat).await
    }

    /// The same for a request that should have left at `since`: its latency counts from there.
    pub(crate) async fn request_since<T: DeserializeOwned>(
        &self,
        since: Instant,
        route: Route,
        ask: &Ask,
        repeat: Repeat,
    ) -> End<T> {
        let (began, mut tries) = (Instant::now(), Tries::new(repeat));
        let seen = loop {
            let seen = self.attempt(route, ask, tries.is_first()).await;
            match tries.next(&seen, began.elapsed()) {
                Some(wait) => sleep(wait).await,
                None => break seen,
            }
        };
        let took = since.elapsed().max(Duration::from_micros(1));
        let success = (seen.meaning() == Meaning::Success).then_some(took);
        self.notebook.with(|record| record.request(route, success));
        End { seen, lost: tries.lost() }
    }

    async fn attempt<T: DeserializeOwned>(&self, route: Route, ask: &Ask, first: bool) -> Seen<T> {
        self.notebook.with(|record| record.counts.sent += 1);
        let seen = Seen::from(self.caller.ask(ask).await);
        self.notebook.with(|record| record.attempt(route, first, &seen));
        seen
    }
}

impl<T> End<T> {
    pub(crate) fn success(self) -> Option<T> {
        match self.seen {
            Seen::Good(_, said) => Some(said),
            _ => None,
        }
    }
}
