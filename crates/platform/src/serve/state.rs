//! What a connection does. Its own task notes it; its listener reads it, and may end what nobody works for.

use std::{
    sync::atomic::{AtomicU8, AtomicU64, Ordering},
    time::Duration,
};

use tokio::time::Instant;

use super::Limits;

/// What a connection does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Phase {
    /// Nothing has come yet.
    Silent,
    /// The last request is answered, and nothing of a next one has come.
    Idle,
    /// A part of a head has come.
    Head,
    /// A request is being worked for. Its time is its handler's concern.
    Working,
    /// A handler waits for its request's body.
    Body,
    /// The client does not take its answer as fast as it is written.
    Answer,
    /// All is said; a while passes in which the client can hear it.
    Closing,
    /// The listener has ended it. No request begins any more.
    Ended,
}

/// How far the answer to the present request is. Without a request the last one is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
enum Exchange {
    Asked,
    Answering,
    Answered,
}

/// The phase and since when it lasts, in one word: whoever changes it knows what it was. Milliseconds from the listener's
/// start, and the phase in the lowest byte.
#[derive(Debug)]
pub(super) struct State {
    epoch: Instant,
    word: AtomicU64,
    exchange: AtomicU8,
}

/// A connection that could be done without, as it was when it was looked at.
#[derive(Clone, Copy, Debug)]
pub(super) struct Dispensable {
    word: u64,
    /// How much is lost with it, and since when nothing has come of it: the least is the first to go.
    pub(super) rank: (u8, u64),
}

impl State {
    /// A connection that was just accepted. `epoch` is not later than now.
    pub(super) fn new(epoch: Instant) -> Self {
        let this = Self { epoch, word: AtomicU64::new(0), exchange: AtomicU8::new(Exchange::Answered as u8) };
        this.word.store(pack(Phase::Silent, this.now()), Ordering::Release);
        this
    }

    pub(super) fn phase(&self) -> Phase {
        unpack(self.word.load(Ordering::Acquire)).0
    }

    /// Bytes have come. False where the listener has ended it.
    pub(super) fn heard(&self) -> bool {
        self.turn(|phase, since| match phase {
            Phase::Silent | Phase::Idle => (Phase::Head, self.now()),
            _ => (phase, since),
        })
    }

    /// A head is complete. False where the listener has ended it: then the request must not be looked at.
    pub(super) fn begin(&self) -> bool {
        self.exchange.store(Exchange::Asked as u8, Ordering::Release);
        self.turn(|_, _| (Phase::Working, self.now()))
    }

    /// The handler waits for more of the body.
    pub(super) fn wants_body(&self) {
        // Once it answers, what it does not read of its request is no concern of its client.
        if self.exchange_is(Exchange::Asked) {
            self.turn(|phase, since| (if phase == Phase::Working { Phase::Body } else { phase }, since));
        }
    }

    /// It does not any more. False where the listener has ended it.
    pub(super) fn has_body(&self) -> bool {
        self.turn(|phase, since| (if phase == Phase::Body { Phase::Working } else { phase }, since))
    }

    /// The handler has made its answer's head.
    pub(super) fn answering(&self) {
        self.exchange.store(Exchange::Answering as u8, Ordering::Release);
    }

    /// All of the answer is made; parts of it may have to be written still.
    pub(super) fn answered(&self) {
        self.exchange.store(Exchange::Answered as u8, Ordering::Release);
    }

    /// The client takes nothing more at present.
    pub(super) fn blocked(&self) {
        if !self.exchange_is(Exchange::Asked) {
            self.turn(|phase, since| match phase {
                Phase::Working => (Phase::Answer, self.now()),
                _ => (phase, since),
            });
        }
    }

    /// All that was made is written.
    pub(super) fn flushed(&self) {
        if self.exchange_is(Exchange::Answered) {
            self.turn(|phase, since| match phase {
                Phase::Working | Phase::Answer => (Phase::Idle, self.now()),
                _ => (phase, since),
            });
        }
    }

    /// All is said.
    pub(super) fn closing(&self) {
        self.turn(|_, _| (Phase::Closing, self.now()));
    }

    /// When its client has used up the time of its phase.
    pub(super) fn due(&self, limits: &Limits) -> Option<Instant> {
        let (phase, since) = unpack(self.word.load(Ordering::Acquire));
        let limit = match phase {
            Phase::Silent | Phase::Head => limits.head,
            Phase::Idle => limits.idle,
            Phase::Body => limits.body,
            Phase::Answer => limits.answer,
            Phase::Working | Phase::Closing | Phase::Ended => return None,
        };
        Some(self.epoch + Duration::from_millis(since) + limit)
    }

    /// Whether it could be done without: at once if no request is lost with it, else once its client was waited for that long.
    /// Never while it is worked for.
    pub(super) fn dispensable(&self, patience: Duration) -> Option<Dispensable> {
        let word = self.word.load(Ordering::Acquire);
        let (phase, since) = unpack(word);
        let patient = u128::from(self.now() - since) < patience.as_millis();
        let loss = match phase {
            Phase::Silent | Phase::Idle | Phase::Head | Phase::Closing if !patient => 0,
            Phase::Body | Phase::Answer if !patient => 1,
            // It may be just about to send its request.
            Phase::Silent | Phase::Idle | Phase::Head | Phase::Closing => 2,
            _ => return None,
        };
        Some(Dispensable { word, rank: (loss, since) })
    }

    /// Ends it, unless something has happened since it was looked at.
    pub(super) fn end(&self, seen: Dispensable) -> bool {
        let ended = pack(Phase::Ended, self.now());
        self.word.compare_exchange(seen.word, ended, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }

    fn exchange_is(&self, exchange: Exchange) -> bool {
        self.exchange.load(Ordering::Acquire) == exchange as u8
    }

    fn turn(&self, next: impl Fn(Phase, u64) -> (Phase, u64)) -> bool {
        let turned = self.word.fetch_update(Ordering::AcqRel, Ordering::Acquire, |word| {
            let (phase, since) = unpack(word);
            if phase == Phase::Ended {
                return None;
            }
            let (phase, since) = next(phase, since);
            Some(pack(phase, since))
        });
        turned.is_ok()
    }

    fn now(&self) -> u64 {
        u64::try_from(self.epoch.elapsed().as_millis()).unwrap_or(u64::MAX >> 8)
    }
}

fn pack(phase: Phase, since: u64) -> u64 {
    since << 8 | u64::from(phase as u8)
}

fn unpack(word: u64) -> (Phase, u64) {
    const PHASES: [Phase; 8] = [
        Phase::Silent,
        Phase::Idle,
        Phase::Head,
        Phase::Working,
        Phase::Body,
        Phase::Answer,
        Phase::Closing,
        Phase::Ended,
    ];
    let phase = PHASES.iter().find(|phase| **phase as u64 == word & 0xff);
    (phase.copied().unwrap_or(Phase::Ended), word >> 8)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state() -> State {
        State::new(Instant::now())
    }

    fn answer(state: &State) {
        assert!(state.heard() && state.begin());
        state.answering();
        state.answered();
        state.flushed();
    }

    #[tokio::test]
    async fn a_connection_is_idle_again_only_when_its_answer_is_written() {
        let state = state();
        assert_eq!(state.phase(), Phase::Silent);
        state.flushed();
        assert_eq!(state.phase(), Phase::Silent, "nothing was asked");
        assert!(state.heard());
        assert_eq!(state.phase(), Phase::Head);
        assert!(state.begin());
        state.flushed();
        assert_eq!(state.phase(), Phase::Working, "as after 100 Continue");
        state.answering();
        state.flushed();
        assert_eq!(state.phase(), Phase::Working, "a body that is being made");
        state.blocked();
        state.answered();
        assert_eq!(state.phase(), Phase::Answer);
        state.flushed();
        assert_eq!(state.phase(), Phase::Idle);
    }

    #[tokio::test]
    async fn who_is_worked_for_is_never_dispensable_and_who_waits_for_a_client_only_after_a_while() {
        let state = state();
        let rank = |patience| state.dispensable(patience).map(|seen| seen.rank.0);
        assert_eq!((rank(Duration::ZERO), rank(Duration::MAX)), (Some(0), Some(2)), "silent");
        assert!(state.heard() && state.begin());
        assert_eq!(rank(Duration::ZERO), None, "worked for");
        state.wants_body();
        assert_eq!((rank(Duration::MAX), rank(Duration::ZERO)), (None, Some(1)), "a slow body");
        assert!(state.has_body());
        state.answering();
        state.blocked();
        assert_eq!((rank(Duration::MAX), rank(Duration::ZERO)), (None, Some(1)), "a slow reader");
        state.answered();
        state.flushed();
        assert_eq!((rank(Duration::ZERO), rank(Duration::MAX)), (Some(0), Some(2)), "idle");
    }

    #[tokio::test]
    async fn what_was_ended_begins_nothing_and_what_has_begun_is_not_ended() {
        let state = state();
        answer(&state);
        let seen = state.dispensable(Duration::MAX).unwrap();
        assert!(state.heard() && state.begin());
        assert!(!state.end(seen), "a request came in between");
        state.answering();
        state.answered();
        state.flushed();
        assert!(state.end(state.dispensable(Duration::MAX).unwrap()));
        assert!(!state.heard() && !state.begin());
    }

    #[tokio::test]
    async fn every_phase_that_waits_for_a_client_has_an_end() {
        let (state, limits) = (state(), Limits::default());
        assert!(state.due(&limits).is_some(), "silent");
        assert!(state.heard() && state.due(&limits).is_some(), "a head");
        assert!(state.begin() && state.due(&limits).is_none(), "worked for");
        state.wants_body();
        assert!(state.due(&limits).is_some(), "a body");
        assert!(state.has_body());
        state.answering();
        state.blocked();
        assert!(state.due(&limits).is_some(), "an answer");
        state.answered();
        state.flushed();
        assert!(state.due(&limits).is_some(), "idle");
    }
}
