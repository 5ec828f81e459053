//! The lane for work that takes a whole core for a while: as many at once as there are cores, a bounded queue behind
//! them, and a refusal for the rest. Without it, tokio's blocking pool would hash 512 passwords at once, in 10 GiB.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

/// How many wait, for each that runs.
const QUEUE_PER_CORE: usize = 10;

/// How long they wait.
const PATIENCE: Duration = Duration::from_secs(2);

#[derive(Debug)]
pub(crate) struct Lane {
    /// Permits for everyone inside, waiting or running.
    inside: Arc<Semaphore>,
    running: Arc<Semaphore>,
}

/// No room, or no turn in time; the work was not begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Full;

impl Lane {
    pub(crate) fn new(cores: usize) -> Self {
        let running = Arc::new(Semaphore::new(cores));
        Self { inside: Arc::new(Semaphore::new(cores + cores * QUEUE_PER_CORE)), running }
    }

    /// Runs `work` on a blocking thread. Dropped while waiting, it was never begun; dropped later, the work ends for
    /// nobody, and its place is free only then.
    pub(crate) async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, Full> {
        let places = self.enter().await?;
        let task = tokio::task::spawn_blocking(move || {
            let done = work();
            drop(places);
            done
        });
        Ok(task.await.expect("hashing neither panics nor is aborted"))
    }

    async fn enter(&self) -> Result<[OwnedSemaphorePermit; 2], Full> {
        let inside = Arc::clone(&self.inside).try_acquire_owned().map_err(|_taken| Full)?;
        let turn = timeout(PATIENCE, Arc::clone(&self.running).acquire_owned()).await;
        let running = turn.map_err(|_elapsed| Full)?.expect("the lane's semaphores are never closed");
        Ok([inside, running])
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use super::*;

    #[tokio::test]
    async fn what_finds_no_room_is_refused_at_once() {
        let lane = Arc::new(Lane::new(1));
        let (release, gate) = channel::<()>();
        let gate = Arc::new(std::sync::Mutex::new(gate));
        let inside: Vec<_> = (0..=QUEUE_PER_CORE)
            .map(|_| {
                let (lane, gate) = (Arc::clone(&lane), Arc::clone(&gate));
                tokio::spawn(async move { lane.run(move || gate.lock().unwrap().recv()).await })
            })
            .collect();
        while lane.inside.available_permits() > 0 {
            tokio::task::yield_now().await;
        }
        assert_eq!(lane.run(|| ()).await, Err(Full));
        for _ in &inside {
            release.send(()).unwrap();
        }
        for task in inside {
            task.await.unwrap().unwrap().unwrap();
        }
        assert_eq!(lane.run(|| 7).await, Ok(7));
    }
}
