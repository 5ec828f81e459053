//! Ctrl-C: asked once, everything is stopped in order; who has no patience for that asks again.

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

/// Whether somebody asked to stop, and how often. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Stop {
    asked: watch::Receiver<u32>,
}

impl Stop {
    /// Takes over SIGINT and SIGTERM of this process.
    ///
    /// # Errors
    /// The system's.
    pub fn on_signals() -> std::io::Result<Self> {
        let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
        let (sender, asked) = watch::channel(0_u32);
        tokio::spawn(async move {
            loop {
                tokio::select! {
                    _ = interrupt.recv() => {}
                    _ = terminate.recv() => {}
                }
                sender.send_modify(|times| *times = times.saturating_add(1));
            }
        });
        Ok(Self { asked })
    }

    /// Never asks, for tests.
    #[must_use]
    pub fn never() -> Self {
        let (sender, asked) = watch::channel(0_u32);
        tokio::spawn(async move {
            sender.closed().await;
        });
        Self { asked }
    }

    /// Completes when somebody asked to stop.
    pub async fn asked(&self) {
        self.asked_times(1).await;
    }

    /// Completes when somebody asked twice: not even what takes its time shall be waited for.
    pub async fn asked_again(&self) {
        self.asked_times(2).await;
    }

    async fn asked_times(&self, times: u32) {
        let mut asked = self.asked.clone();
        if asked.wait_for(|asked| *asked >= times).await.is_err() {
            // Nobody can ask any more.
            std::future::pending::<()>().await;
        }
    }

    /// Whether somebody has asked already.
    #[must_use]
    pub fn was_asked(&self) -> bool {
        *self.asked.borrow() > 0
    }
}
