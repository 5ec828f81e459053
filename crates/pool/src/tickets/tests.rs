use std::convert::Infallible;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::UNIX_EPOCH;

use futures_util::FutureExt as _;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{RngExt as _, SeedableRng as _};
use tower_layer::Layer as _;
use tower_service::Service as _;

use super::*;
use crate::http::{AdmissionLayer, refusal};
use crate::{AcquireError, Admission, ShedReason};

mod door;

/// Tickets at a time that the test decides.
struct Office {
    tickets: Tickets,
    now: Arc<AtomicU64>,
}

const A: &str = "1:QUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUE=";
const B: &str = "2:QkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkI=";
const WAIT: Duration = Duration::from_secs(3);

impl Office {
    fn new(keys: &str) -> Self {
        let now = Arc::new(AtomicU64::new(1_700_000_000_000));
        let clock = Arc::clone(&now);
        let clock = move || UNIX_EPOCH + Duration::from_millis(clock.load(Ordering::Relaxed));
        let tickets = Tickets::with_clock(keys.parse().expect("keys"), |_| None, clock);
        Self { tickets, now }
    }

    fn after(&self, millis: u64) -> &Self {
        self.now.fetch_add(millis, Ordering::Relaxed);
        self
    }

    fn issue(&self) -> HeaderValue {
        self.tickets.issue(&claim(), WAIT).expect("a moment that can be written")
    }

    fn redeem(&self, ticket: &HeaderValue) -> TicketFate {
        self.tickets.redeem(&claim(), ticket)
    }
}

fn claim() -> Binding {
    Binding::of(&Principal::of("somebody"), "GET", "/list", Class::Normal)
}

#[test]
fn a_ticket_is_good_once_from_the_moment_that_was_told() {
    let office = Office::new(A);
    let ticket = office.issue();
    assert_eq!(office.redeem(&ticket), TicketFate::Early);
    assert_eq!(office.after(2_749).redeem(&ticket), TicketFate::Early);
    assert_eq!(office.after(251).redeem(&ticket), TicketFate::Honoured);
    assert_eq!(office.redeem(&ticket), TicketFate::Replayed);
    assert_eq!(office.after(4_999).redeem(&ticket), TicketFate::Replayed);
    assert_eq!(office.after(1).redeem(&ticket), TicketFate::Late);
    assert_eq!(office.after(1_000_000).redeem(&ticket), TicketFate::Late);
}

#[test]
fn two_tickets_of_one_moment_are_two() {
    let office = Office::new(A);
    let (one, other) = (office.issue(), office.issue());
    office.after(3_000);
    assert_eq!([&one, &other, &one].map(|ticket| office.redeem(ticket)), {
        use TicketFate::{Honoured, Replayed};
        [Honoured, Honoured, Replayed]
    });
}

#[test]
fn another_principal_method_path_or_class_has_no_use_for_it() {
    let office = Office::new(A);
    let ticket = office.issue();
    office.after(3_000);
    let of = |who: &str, method: &str, path: &str, class| Binding::of(&Principal::of(who), method, path, class);
    let others = [
        of("somebody else", "GET", "/list", Class::Normal),
        of("somebody", "POST", "/list", Class::Normal),
        of("somebody", "GET", "/list/", Class::Normal),
        of("somebody", "GE", "T/list", Class::Normal),
        of("somebody", "GET", "/list", Class::Low),
    ];
    for other in others {
        assert_eq!(office.tickets.redeem(&other, &ticket), TicketFate::Forged);
    }
    assert_eq!(office.redeem(&ticket), TicketFate::Honoured, "they have not used it up");
}

#[test]
fn the_key_before_is_honoured_until_it_is_taken_away() {
    let ticket = Office::new(A).issue();
    for (keys, fate) in [
        (format!("{B},{A}"), TicketFate::Honoured),
        (B.to_owned(), TicketFate::Forged),
        (A.replace("QUF", "QkJ"), TicketFate::Forged),
    ] {
        assert_eq!(Office::new(&keys).after(3_000).redeem(&ticket), fate, "{keys}");
    }
    let random = Tickets::new(TicketKeys::random(), |_| None);
    assert_eq!(random.redeem(&claim(), &ticket), TicketFate::Forged);
}

#[test]
fn no_more_are_honoured_in_a_slot_than_are_remembered() {
    let office = Office::new(A);
    let tickets: Vec<_> = (0..=Seen::MOST).map(|_| office.issue()).collect();
    office.after(3_000);
    let (last, all) = tickets.split_last().expect("some");
    assert!(all.iter().all(|ticket| office.redeem(ticket) == TicketFate::Honoured));
    assert_eq!(office.redeem(last), TicketFate::Crowded);
    assert_eq!(office.redeem(&all[0]), TicketFate::Replayed);
    let next = office.after(5_000).issue();
    assert_eq!(office.after(3_000).redeem(&next), TicketFate::Honoured);
}

#[test]
fn a_clock_that_is_set_back_makes_no_ticket_good_again() {
    let office = Office::new(A);
    let ticket = office.issue();
    assert_eq!(office.after(3_000).redeem(&ticket), TicketFate::Honoured);
    let next = office.after(60_000).issue();
    assert_eq!(office.after(3_000).redeem(&next), TicketFate::Honoured);
    office.now.fetch_sub(63_000, Ordering::Relaxed);
    assert_eq!(office.redeem(&ticket), TicketFate::Late);
}

#[test]
fn a_principal_is_the_same_however_it_is_known_and_shows_nothing() {
    let (request, ()) =
        http::Request::get("/").header("authorization", "Bearer secret").body(()).expect("one").into_parts();
    let of_header = Principal::of_header(&request, &http::header::AUTHORIZATION).expect("it has one");
    assert_eq!(of_header, Principal::of("Bearer secret"));
    assert!(!format!("{of_header:?}").contains("secret"));
    let (peer, behind) = ("192.0.2.1".parse().expect("an address"), HeaderValue::from_static("198.51.100.7"));
    assert_eq!(Principal::of_sender(peer, None), Principal::of_sender(peer, None));
    assert_ne!(Principal::of_sender(peer, None), Principal::of_sender(peer, Some(&behind)));
}

/// The hashes that one request costs at an open door, and how it was answered.
fn hashes_of(request: http::Request<String>) -> (u32, u16) {
    let principal = |request: &Parts| Principal::of_header(request, &http::header::AUTHORIZATION);
    let admit = |_: &http::Request<String>| Admission::within(Class::Normal, WAIT);
    let door =
        AdmissionLayer::new(None, admit, refusal::<String>).tickets(Tickets::new(A.parse().expect("keys"), principal));
    let inner = tower::service_fn(async |request: http::Request<String>| {
        Ok::<_, Infallible>(match request.uri().path() {
            "/shed" => refusal::<String>(&AcquireError::Shed {
                class: Class::Normal,
                reason: ShedReason::Sojourn,
                retry_after: WAIT,
            }),
            _ => Response::default(),
        })
    });
    let before = seal::HASHED.get();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let Ok(answer) = runtime.block_on(door.layer(inner).call(request));
    (seal::HASHED.get() - before, answer.status().as_u16())
}

#[test]
fn who_is_let_in_without_a_ticket_costs_no_hash() {
    let ask = |path: &str| http::Request::get(path).header("authorization", "Bearer token");
    let send = |request: http::request::Builder| hashes_of(request.body(String::new()).expect("a request"));
    assert_eq!(send(ask("/list")), (0, 200));
    assert_eq!(send(ask("/shed")), (2, 503), "the principal and the claim, for its ticket");
    assert_eq!(send(ask("/list").header(RETRY_TICKET, "made up")), (2, 200));
}

#[test]
fn keys_are_read_or_refused_without_being_quoted() {
    for wrong in ["", "1", "1:", "300:QUFB", "x:QUFB", "1:QUFB", "1:!!!!"] {
        let fault = wrong.parse::<TicketKeys>().expect_err(wrong).to_string();
        assert!(!fault.contains("QUFB"), "{fault}");
    }
    assert_eq!(format!("{A},{A}").parse::<TicketKeys>().expect_err("twice"), InvalidTicketKeys::SameNumber);
    assert!(!format!("{:?}", A.parse::<TicketKeys>()).contains("QUF"));
}

/// As many as `FOREBAY_CASES` says, a million by default.
#[expect(clippy::disallowed_methods, reason = "how long a test runs is no setting of a service")]
fn cases() -> u64 {
    std::env::var("FOREBAY_CASES").ok().and_then(|text| text.parse().ok()).unwrap_or(1_000_000)
}

/// A text that is no ticket of ours, made of one that is, or of nothing.
fn forgery(chance: &mut StdRng, real: &[HeaderValue]) -> Vec<u8> {
    const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut text = real.choose(chance).expect("some").as_bytes().to_vec();
    let (at, letter) = (chance.random_range(..text.len()), *ALPHABET.choose(chance).expect("some"));
    match chance.random_range(0..8) {
        // One letter is another.
        0..=2 => text[at] = letter,
        // Some letters are others.
        3 => {
            for _ in 0..chance.random_range(1..20) {
                text[chance.random_range(..71_usize)] = *ALPHABET.choose(chance).expect("some");
            }
        }
        // The head of one ticket and the rest of another.
        4 => text[at..].copy_from_slice(&real.choose(chance).expect("some").as_bytes()[at..]),
        5 => text.truncate(at),
        6 => text.insert(at, letter),
        // Nothing of it is real.
        _ => text = (0..chance.random_range(0..100)).map(|_| chance.random_range(b' '..=b'~')).collect(),
    }
    text
}

#[test]
fn what_was_not_signed_is_never_accepted() {
    let office = Office::new(&format!("{A},{B}"));
    let real: Vec<_> = (0..100).map(|_| office.issue()).collect();
    office.after(3_000);
    let seed = rand::random();
    let mut chance = StdRng::seed_from_u64(seed);
    for case in 0..cases() {
        let text = forgery(&mut chance, &real);
        let Ok(forged) = HeaderValue::from_bytes(&text) else { continue };
        if !real.contains(&forged) {
            assert_eq!(office.redeem(&forged), TicketFate::Forged, "seed {seed}, case {case}: {forged:?}");
        }
    }
    assert!(real.iter().all(|ticket| office.redeem(ticket) == TicketFate::Honoured), "seed {seed}");
}

#[test]
fn nothing_becomes_critical_and_background_keeps_to_its_share() {
    let higher = |class: &Class| one_higher(*class).map(Class::name);
    let all: Vec<_> = Class::ALL.iter().map(higher).collect();
    assert_eq!(all, [None, None, Some("high"), Some("normal"), None]);
}
