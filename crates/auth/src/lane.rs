//! The lane for work that takes a whole core for a while: as many at once as there are cores, a bounded queue behind
//! them, and a refusal for the rest. Without it, tokio's blocking pool would hash 512 passwords at once, in 10 GiB.
//!
//! Whoever most likely has the right password is served first, and no sender has more than half of the queue: guesses are
//! many, and shall not stand before those who know.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::timeout;

use crate::throttle::Sender;

/// How many wait, for each that runs.
const QUEUE_PER_CORE: usize = 16;

/// How long they wait.
const PATIENCE: Duration = Duration::from_secs(2);

/// Who is served first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Rank {
    /// A device that has been let in before.
    Known,
    /// Nothing is held against the sender.
    Clean,
    /// The sender gave a wrong password not long ago.
    Suspect,
}

#[derive(Debug)]
pub(crate) struct Lane(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    /// How many may wait.
    room: usize,
    queue: Mutex<Queue>,
}

#[derive(Debug)]
struct Queue {
    /// While one is free nobody waits.
    free: usize,
    /// By rank, then by arrival.
    waiting: VecDeque<Waiter>,
}

#[derive(Debug)]
struct Waiter {
    rank: Rank,
    sender: Option<Sender>,
    turn: oneshot::Sender<Place>,
}

/// No room, or no turn in time; the work was not begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Full;

/// The right to use one core. Dropped, it goes to the next.
#[derive(Debug)]
pub(crate) struct Place(Arc<Shared>);

impl Lane {
    pub(crate) fn new(cores: usize) -> Self {
        let queue = Mutex::new(Queue { free: cores, waiting: VecDeque::new() });
        Self(Arc::new(Shared { room: cores * QUEUE_PER_CORE, queue }))
    }

    /// Whether somebody like this would be let into the queue now: to be asked before anything is done for a turn.
    pub(crate) fn has_room(&self, rank: Rank, sender: Option<Sender>) -> Result<(), Full> {
        self.0.lock().room(rank, sender, self.0.room)
    }

    /// Waits for a place. Dropping the future leaves the queue.
    pub(crate) async fn enter(&self, rank: Rank, sender: Option<Sender>) -> Result<Place, Full> {
        let turn = {
            let mut queue = self.0.lock();
            if queue.free > 0 {
                queue.free -= 1;
                return Ok(Place(Arc::clone(&self.0)));
            }
            queue.join(rank, sender, self.0.room)?
        };
        match timeout(PATIENCE, turn).await {
            Ok(Ok(place)) => Ok(place),
            Ok(Err(_displaced)) => Err(Full),
            Err(_elapsed) => Err(Full),
        }
    }
}

impl Queue {
    /// There is room for whoever has a higher rank than the last, who gives up its place.
    fn room(&mut self, rank: Rank, sender: Option<Sender>, room: usize) -> Result<(), Full> {
        self.waiting.retain(|waiter| !waiter.turn.is_closed());
        let of_sender = self.waiting.iter().filter(|waiter| sender.is_some() && waiter.sender == sender).count();
        let some = self.waiting.len() < room || self.waiting.back().is_some_and(|last| last.rank > rank);
        if some && of_sender < room.div_ceil(2) { Ok(()) } else { Err(Full) }
    }

    fn join(&mut self, rank: Rank, sender: Option<Sender>, room: usize) -> Result<oneshot::Receiver<Place>, Full> {
        self.room(rank, sender, room)?;
        if self.waiting.len() >= room {
            self.waiting.pop_back();
        }
        let (turn, told) = oneshot::channel();
        let place = self.waiting.partition_point(|waiter| waiter.rank <= rank);
        self.waiting.insert(place, Waiter { rank, sender, turn });
        Ok(told)
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    /// Runs `work` on a blocking thread, and gives the place back with what came of it: the next one shall know of that. Dropped, the
    /// work ends for nobody, and the place is free only then.
    pub(crate) async fn run<T: Send + 'static>(self, work: impl FnOnce() -> T + Send + 'static) -> (T, Self) {
        let task = tokio::task::spawn_blocking(move || (work(), self));
        task.await.expect("hashing neither panics nor is aborted")
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let next = {
            let mut queue = self.0.lock();
            let next = queue.waiting.pop_front();
            queue.free += usize::from(next.is_none());
            next
        };
        if let Some(next) = next {
            // Where nobody waits any more the place comes back, is dropped, and goes to the next but one.
            drop(next.turn.send(Self(Arc::clone(&self.0))));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use forebay_platform::client::Client;
    use tokio::task::JoinHandle;

    use super::*;

    fn sender(number: u32) -> Option<Sender> {
        Some(Sender::Client(Client::of(Ipv4Addr::from_bits(number).into())))
    }

    /// One more in the queue, which is there when this returns.
    async fn queued(lane: &Arc<Lane>, rank: Rank, sender: Option<Sender>) -> JoinHandle<Result<Place, Full>> {
        let like_it = || lane.0.lock().waiting.iter().filter(|one| (one.rank, one.sender) == (rank, sender)).count();
        let (before, entering) = (like_it(), Arc::clone(lane));
        let task = tokio::spawn(async move { entering.enter(rank, sender).await });
        let coming = async {
            while like_it() == before && !task.is_finished() {
                tokio::task::yield_now().await;
            }
        };
        timeout(Duration::from_secs(20), coming).await.expect("it waits, or has its place");
        task
    }

    #[tokio::test]
    async fn what_finds_no_room_is_refused_at_once() {
        let lane = Arc::new(Lane::new(1));
        let running = lane.enter(Rank::Clean, None).await.unwrap();
        let mut waiting = Vec::new();
        for _ in 0..QUEUE_PER_CORE {
            waiting.push(queued(&lane, Rank::Clean, None).await);
        }
        assert_eq!(lane.enter(Rank::Clean, None).await.unwrap_err(), Full);
        drop(running);
        for task in waiting {
            task.await.unwrap().unwrap();
        }
    }

    #[tokio::test]
    async fn a_place_is_the_next_ones_only_once_it_is_known_what_came_of_the_work() {
        let lane = Arc::new(Lane::new(1));
        let running = lane.enter(Rank::Clean, None).await.unwrap();
        let next = queued(&lane, Rank::Clean, None).await;
        let (done, place) = running.run(|| 7).await;
        assert!(done == 7 && !next.is_finished() && lane.0.lock().waiting.len() == 1);
        drop(place);
        drop(next.await.unwrap().unwrap());
        let left = lane.enter(Rank::Clean, None).await.unwrap().run(|| 7);
        drop(left);
        assert_eq!(lane.0.lock().free, 1);
    }

    #[tokio::test]
    async fn who_guesses_makes_room_for_who_knows_and_is_served_after() {
        let lane = Arc::new(Lane::new(1));
        let running = lane.enter(Rank::Suspect, None).await.unwrap();
        let mut guesses = Vec::new();
        for number in 0..QUEUE_PER_CORE {
            guesses.push(queued(&lane, Rank::Suspect, sender(u32::try_from(number).unwrap())).await);
        }
        let clean = queued(&lane, Rank::Clean, sender(100)).await;
        let known = queued(&lane, Rank::Known, sender(101)).await;
        drop(running);
        let first = known.await.unwrap().unwrap();
        assert!(!clean.is_finished());
        drop(first);
        let second = clean.await.unwrap().unwrap();
        assert_eq!(guesses.pop().unwrap().await.unwrap().unwrap_err(), Full, "the last was displaced");
        assert_eq!(guesses.pop().unwrap().await.unwrap().unwrap_err(), Full, "and the last but one");
        assert!(guesses.iter().all(|guess| !guess.is_finished()));
        drop(second);
        for guess in guesses {
            guess.await.unwrap().unwrap();
        }
    }

    #[tokio::test]
    async fn no_sender_has_more_than_half_of_the_queue() {
        let lane = Arc::new(Lane::new(1));
        let _running = lane.enter(Rank::Clean, None).await.unwrap();
        let mut of_one = Vec::new();
        for _ in 0..QUEUE_PER_CORE / 2 {
            of_one.push(queued(&lane, Rank::Clean, sender(1)).await);
        }
        assert_eq!(lane.enter(Rank::Clean, sender(1)).await.unwrap_err(), Full);
        let other = queued(&lane, Rank::Clean, sender(2)).await;
        assert!(!other.is_finished());
    }

    #[tokio::test]
    async fn who_left_is_passed_over_and_keeps_no_place() {
        let lane = Arc::new(Lane::new(1));
        let running = lane.enter(Rank::Clean, None).await.unwrap();
        let gone = queued(&lane, Rank::Clean, None).await;
        let next = queued(&lane, Rank::Clean, None).await;
        gone.abort();
        assert!(gone.await.unwrap_err().is_cancelled());
        drop(running);
        drop(next.await.unwrap().unwrap());
        assert_eq!(lane.0.lock().free, 1);
    }
}
