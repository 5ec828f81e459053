//! Whatever both sides send, reading it never panics, passes on what came in, and does not depend on how it was cut.
#![no_main]

use forebay_wire::{Frame, Malformed, Piece, Session, Side};
use libfuzzer_sys::fuzz_target;

/// All that comes of one turn: frames, the bytes to pass on, and why it ended if it did.
type Heard = (Vec<Frame>, Vec<u8>, Option<Malformed>);

fn read(session: &mut Session, from: Side, bytes: &[u8], step: usize) -> Heard {
    let (mut frames, mut passed) = (Vec::new(), Vec::new());
    for mut chunk in bytes.chunks(step) {
        loop {
            match session.read(from, &mut chunk) {
                Ok(Some(Piece::Begin(_, head))) => passed.extend_from_slice(head.bytes()),
                Ok(Some(Piece::Body(body))) => passed.extend_from_slice(body),
                Ok(Some(Piece::End(frame))) => frames.push(frame),
                Ok(None) => break,
                Err(malformed) => return (frames, passed, Some(malformed)),
            }
        }
        assert!(chunk.is_empty());
    }
    (frames, passed, None)
}

// The first byte of a turn says who sends, how long the turn is, and how it is cut.
fuzz_target!(|data: &[u8]| {
    let (mut whole, mut cut) = (Session::new(), Session::new());
    let mut sent = [Vec::new(), Vec::new()];
    let mut passed = [Vec::new(), Vec::new()];
    let mut rest = data;
    while let [how, after @ ..] = rest {
        let side = usize::from(how & 1);
        let from = [Side::Frontend, Side::Backend][side];
        let (turn, left) = after.split_at(usize::from(how >> 3).min(after.len()));
        rest = left;
        let first = read(&mut whole, from, turn, usize::MAX);
        let second = read(&mut cut, from, turn, 1 + usize::from((how >> 1) & 3));
        assert_eq!(first, second);
        assert_eq!(whole.counts(), cut.counts());
        sent[side].extend_from_slice(turn);
        passed[side].extend_from_slice(&first.1);
        assert!(sent[side].starts_with(&passed[side]));
        if first.2.is_some() {
            return;
        }
        // Only the head of a frame is ever held.
        assert!(sent[side].len() - passed[side].len() < 8);
    }
});
