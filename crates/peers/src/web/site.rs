use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;

use super::{App, Line};
use crate::{BenchError, Held, Peer, Refused, Statement};

/// A pool behind an app, asked over HTTP: one request takes a connection, does the app's work on it, and gives it back.
#[derive(Debug)]
pub(crate) struct Site<P> {
    app: Arc<App>,
    peer: P,
    /// Lines that nobody asks on. Whoever finds none opens one.
    idle: Arc<Mutex<Vec<Line>>>,
}

/// An answer. The work is done.
#[derive(Debug)]
pub(crate) struct Page;

impl<P: Peer> Site<P> {
    /// Serves on so many threads; see [`App::serve`].
    pub(crate) async fn open(
        threads: usize,
        build: impl Future<Output = Result<(Router, P), BenchError>> + Send + 'static,
    ) -> Result<Self, BenchError> {
        let (app, peer) = App::serve(threads, build).await?;
        Ok(Self { app: Arc::new(app), peer, idle: Arc::default() })
    }

    async fn ask(&self) -> io::Result<u16> {
        let idle = self.idle.lock().expect("nobody panics with it").pop();
        let mut line = match idle {
            Some(line) => line,
            None => Line::open(self.app.address()).await?,
        };
        let status = line.ask().await?;
        self.idle.lock().expect("nobody panics with it").push(line);
        Ok(status)
    }
}

impl<P: Clone> Clone for Site<P> {
    fn clone(&self) -> Self {
        Self { app: Arc::clone(&self.app), peer: self.peer.clone(), idle: Arc::clone(&self.idle) }
    }
}

impl<P: Peer> Peer for Site<P> {
    type Lease = Page;

    async fn acquire(&self, _within: Duration) -> Result<Page, Refused> {
        match self.ask().await {
            Ok(200) => Ok(Page),
            Ok(503) => Err(Refused::Busy { after: None }),
            Ok(other) => Err(Refused::Failed(format!("the answer is {other}"))),
            Err(error) => Err(Refused::Failed(error.to_string())),
        }
    }

    async fn close(self) {
        self.peer.close().await;
    }
}

impl Held for Page {
    async fn run(&mut self, _statement: Statement) -> sqlx::Result<()> {
        Ok(())
    }
}
