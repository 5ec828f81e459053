//! Ctrl-C: asked once, everything is stopped in order.

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

/// Whether somebody asked to stop. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Stop {
    asked: watch::Receiver<bool>,
}

impl Stop {
    /// Takes over SIGINT and SIGTERM of this process.
    ///
    /// # Errors
    /// The system's.
    pub fn on_signals() -> std::io::Result<Self> {
        let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
        let (sender, asked) = watch::channel(false);
        tokio::spawn(async move {
            loop {
                tokio::select! {
                    _ = interrupt.recv() => {}
                    _ = terminate.recv() => {}
                }
                sender.send_replace(true);
            }
        });
        Ok(Self { asked })
    }

    /// Never asks, for tests.
    #[must_use]
    pub fn never() -> Self {
        let (sender, asked) = watch::channel(false);
        tokio::spawn(async move {
            sender.closed().await;
        });
        Self { asked }
    }

    /// Completes when somebody asked to stop.
    pub async fn asked(&self) {
        let mut asked = self.asked.clone();
        if asked.wait_for(|asked| *asked).await.is_err() {
            // Nobody can ask any more.
            std::future::pending::<()>().await;
        }
    }

    /// Whether somebody has asked already.
    #[must_use]
    pub fn was_asked(&self) -> bool {
        *self.asked.borrow()
    }
}
