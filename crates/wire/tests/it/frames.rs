use forebay_wire::{Frame, Kind, Malformed, Piece, Session, Side};
use proptest::prelude::*;

/// Reads all of it, in chunks that end at these places; what came out, and the bytes to pass on.
fn read(session: &mut Session, from: Side, bytes: &[u8], cuts: &[usize]) -> Result<(Vec<Frame>, Vec<u8>), Malformed> {
    let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut % (bytes.len() + 1)).chain([0, bytes.len()]).collect();
    cuts.sort_unstable();
    let (mut frames, mut passed) = (Vec::new(), Vec::new());
    for pair in cuts.windows(2) {
        let mut chunk = &bytes[pair[0]..pair[1]];
        while let Some(piece) = session.read(from, &mut chunk)? {
            match piece {
                Piece::Begin(_, head) => passed.extend_from_slice(head.bytes()),
                Piece::Body(body) => passed.extend_from_slice(body),
                Piece::End(frame) => frames.push(frame),
            }
        }
        assert!(chunk.is_empty(), "it asks for more only when it has taken everything");
    }
    Ok((frames, passed))
}

fn packet(code: u32, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len() + 8).expect("short");
    [&length.to_be_bytes()[..], &code.to_be_bytes(), body].concat()
}

fn message(tag: u8, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len() + 4).expect("short");
    [&[tag][..], &length.to_be_bytes(), body].concat()
}

const SSL: u32 = 80_877_103;
const GSS: u32 = 80_877_104;
const CANCEL: u32 = 80_877_102;

fn body() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![4 => prop::collection::vec(any::<u8>(), 0..40), 1 => prop::collection::vec(any::<u8>(), 0..5_000)]
}

fn frontend_message() -> impl Strategy<Value = (Kind, Vec<u8>)> {
    let free = (prop::sample::select(b"BCDEFPQdfp".to_vec()), body());
    let bare = prop::sample::select(b"SHXc".to_vec()).prop_map(|tag| (tag, Vec::new()));
    prop_oneof![2 => free, 1 => bare].prop_map(|(tag, body)| (Kind::Message(tag), message(tag, &body)))
}

fn backend_message() -> impl Strategy<Value = (Kind, Vec<u8>)> {
    let free = (prop::sample::select(b"ACDEGHNSTVWdtv".to_vec()), body());
    let bare = prop::sample::select(b"123Icns".to_vec()).prop_map(|tag| (tag, Vec::new()));
    let ready = prop::sample::select(b"ITE".to_vec()).prop_map(|status| (b'Z', vec![status]));
    let key = any::<[u8; 8]>().prop_map(|key| (b'K', key.to_vec()));
    prop_oneof![4 => free, 2 => bare, 1 => ready, 1 => key]
        .prop_map(|(tag, body)| (Kind::Message(tag), message(tag, &body)))
}

/// What a client and its server say, frame by frame: questions for encryption, the startup, messages.
#[derive(Clone, Debug)]
struct Talk {
    frontend: Vec<(Kind, Vec<u8>)>,
    backend: Vec<(Kind, Vec<u8>)>,
}

fn talk() -> impl Strategy<Value = Talk> {
    let questions = prop::collection::vec(any::<bool>(), 0..3);
    let asked = prop::collection::vec(frontend_message(), 0..20);
    let answered = prop::collection::vec(backend_message(), 0..20);
    (questions, body(), asked, answered).prop_map(|(questions, startup, asked, answered)| {
        let mut frontend: Vec<_> = questions.iter().map(|tls| question(*tls)).collect();
        let mut backend = vec![(Kind::EncryptionAnswer, b"N".to_vec()); frontend.len()];
        frontend.push((Kind::Startup, packet(0x0003_0000, &startup)));
        frontend.extend(asked);
        backend.extend(answered);
        Talk { frontend, backend }
    })
}

fn question(tls: bool) -> (Kind, Vec<u8>) {
    if tls { (Kind::SslRequest, packet(SSL, &[])) } else { (Kind::GssRequest, packet(GSS, &[])) }
}

fn bytes(frames: &[(Kind, Vec<u8>)]) -> Vec<u8> {
    frames.iter().flat_map(|(_, bytes)| bytes.clone()).collect()
}

fn outline(frames: &[(Kind, Vec<u8>)]) -> Vec<(Kind, u64)> {
    frames.iter().map(|(kind, bytes)| (*kind, bytes.len() as u64)).collect()
}

proptest! {
    #[test]
    fn however_a_stream_is_cut_it_is_the_same_frames_and_the_same_bytes(
        talk in talk(),
        cuts in prop::collection::vec(any::<usize>(), 0..30),
    ) {
        let mut session = Session::new();
        for (from, said) in [(Side::Frontend, &talk.frontend), (Side::Backend, &talk.backend)] {
            let bytes = bytes(said);
            let (frames, passed) = read(&mut session, from, &bytes, &cuts).expect("it is valid");
            let heard: Vec<_> = frames.iter().map(|frame| (frame.kind, frame.size)).collect();
            prop_assert_eq!(heard, outline(said));
            prop_assert_eq!(passed, bytes);
            prop_assert!(session.is_between_frames(from));
        }
    }

    #[test]
    fn the_lead_of_a_frame_is_the_beginning_of_its_body(
        body in prop::collection::vec(any::<u8>(), 0..40),
        cuts in prop::collection::vec(any::<usize>(), 0..10),
    ) {
        let (frames, _) = read(&mut Session::new(), Side::Backend, &message(b'D', &body), &cuts).expect("it is valid");
        let mut lead = body;
        lead.resize(8, 0);
        prop_assert_eq!(&frames[0].lead()[..], &lead[..]);
    }

    #[test]
    fn no_bytes_at_all_are_a_panic_and_after_a_fault_nothing_is_read(
        turns in prop::collection::vec((any::<bool>(), garbage()), 0..30),
        cuts in prop::collection::vec(any::<usize>(), 0..10),
    ) {
        let mut session = Session::new();
        for (client, bytes) in turns {
            let from = if client { Side::Frontend } else { Side::Backend };
            if let Err(first) = read(&mut session, from, &bytes, &cuts) {
                let again = read(&mut session, from, &[0], &[]).expect_err("nothing can be read after that");
                prop_assert_eq!(first, again);
            }
        }
    }
}

/// Bytes of chance, and valid beginnings with something wrong in them.
fn garbage() -> impl Strategy<Value = Vec<u8>> {
    let valid = prop_oneof![frontend_message(), backend_message(), any::<bool>().prop_map(question)];
    let damaged = (valid, any::<prop::sample::Index>(), any::<u8>()).prop_map(|((_, mut bytes), at, byte)| {
        let at = at.index(bytes.len());
        bytes[at] = byte;
        bytes
    });
    prop_oneof![
        prop::collection::vec(any::<u8>(), 0..60),
        damaged,
        Just(packet(0x0003_0000, &[0])),
        Just(b"N".to_vec())
    ]
}

fn refused(from: Side, before: &[u8], bytes: &[u8]) -> String {
    let mut session = Session::new();
    read(&mut session, from, before, &[]).expect("valid so far");
    read(&mut session, from, bytes, &[]).expect_err("malformed").to_string()
}

#[test]
fn what_is_wrong_is_said_before_anything_is_waited_for() {
    let startup = packet(0x0003_0000, &[0]);
    let cases = [
        (refused(Side::Frontend, &[], &[0, 0, 0, 7]), "the client began with a packet of 7 bytes"),
        (refused(Side::Frontend, &[], &[255, 255, 255, 255]), "4294967295 bytes, and 8 to 10,000 are allowed"),
        (refused(Side::Frontend, &[], &packet(SSL, &[1])), "a TLS request of 9 bytes"),
        (refused(Side::Frontend, &[], &packet(CANCEL, &[])), "a cancel request of 8 bytes"),
        (refused(Side::Frontend, &packet(CANCEL, &[0; 8]), b"Q"), "more after a cancel request"),
        (refused(Side::Frontend, &startup, b"\0"), "type '\\x00', which does not exist"),
        (refused(Side::Frontend, &startup, &[b'Q', 0, 0, 0, 3]), "message 'Q' with length 3, and 4 to 1073741823"),
        (refused(Side::Frontend, &startup, &[b'S', 0, 0, 0, 5]), "message 'S' with length 5, and 4 to 4 are allowed"),
        (refused(Side::Backend, &[], &[b'D', 0x40, 0, 0, 0]), "the server sent a message 'D' with length 1073741824"),
        (refused(Side::Backend, &[], &[b'Z', 0, 0, 0, 4]), "message 'Z' with length 4, and 5 to 5 are allowed"),
    ];
    for (said, expected) in cases {
        assert!(said.contains(expected), "{said}");
    }
}

#[test]
fn a_server_that_agrees_to_encrypt_is_refused_and_one_that_knows_no_encryption_is_not() {
    let mut session = Session::new();
    read(&mut session, Side::Frontend, &packet(SSL, &[]), &[]).expect("valid");
    let mut other = session.clone();
    let error = read(&mut session, Side::Backend, b"S", &[]).expect_err("no frames after that");
    assert!(error.to_string().contains("sslmode=disable"), "{error}");
    let (frames, _) = read(&mut other, Side::Backend, &message(b'E', b"SERROR\0\0"), &[]).expect("an error message");
    assert_eq!(frames[0].kind, Kind::Message(b'E'));
}

#[test]
fn a_round_trip_is_a_question_with_its_ready_and_the_beginning_is_none() {
    let mut session = Session::new();
    let mut say = |from, bytes: Vec<u8>| {
        read(&mut session, from, &bytes, &[]).expect("valid");
        (session.counts().ready, session.counts().round_trips, session.is_busy())
    };
    let ready = || message(b'Z', b"I");
    say(Side::Frontend, packet(0x0003_0000, &[0]));
    assert_eq!(say(Side::Backend, ready()), (1, 0, false));
    assert_eq!(say(Side::Frontend, message(b'Q', b"select 1\0")), (1, 0, true));
    assert_eq!(say(Side::Backend, ready()), (1, 1, false));
    let parse_and_sync = [message(b'P', b"\0\0\0\0"), message(b'S', b"")].concat();
    assert_eq!(say(Side::Frontend, parse_and_sync.repeat(2)), (1, 1, true));
    assert_eq!(say(Side::Backend, ready()), (1, 2, true));
    assert_eq!(say(Side::Backend, ready()), (1, 3, false));
    assert_eq!(say(Side::Backend, ready()), (1, 3, false), "a ready that nobody asked for is no round trip");
}

#[test]
fn a_cancel_names_the_process_it_is_meant_for() {
    let mut session = Session::new();
    read(&mut session, Side::Frontend, &packet(CANCEL, &[0, 0, 1, 2, 9, 9, 9, 9]), &[3, 11]).expect("valid");
    assert_eq!(session.cancels(), Some(258));
    let mut server = Session::new();
    read(&mut server, Side::Backend, &message(b'K', &[0, 0, 1, 2, 9, 9, 9, 9]), &[3, 8]).expect("valid");
    assert_eq!(server.pid(), Some(258));
}
