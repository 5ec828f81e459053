//! Hashes and compares passwords: argon2id with the parameters of the OWASP minimum (19 MiB, two passes, one lane).

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use argon2::password_hash::phc::{Output, ParamsString, Salt};
use argon2::{ARGON2ID_IDENT, Algorithm, Argon2, Block, Params, PasswordHash, Version};
use secrecy::{ExposeSecret, SecretString};
use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::State;
use crate::domain::{is_guessable, prepared};
use crate::lane::{Full, Lane, Place, Rank};
use crate::throttle::Sender;

/// Memory in KiB, passes, lanes: <https://cheatsheetseries.owasp.org/cheatsheets/Password_Storage_Cheat_Sheet.html>.
const COST: (u32, u32, u32) = (19_456, 2, 1);

/// Memory that was not used for this long is given back.
const EVERY: Duration = Duration::from_secs(2);

const WAIT: &str = "auth_hash_wait_seconds";
const DURATION: &str = "auth_hash_duration_seconds";

pub(crate) struct Passwords {
    lane: Lane,
    memory: Arc<Memory>,
    /// The hash that an unknown user's password is compared with, so that the answer takes as long as for a known one.
    nobody: String,
}

impl Passwords {
    pub(crate) fn new() -> Self {
        metrics::describe_histogram!(WAIT, "How long those who got a core for their password had waited for it");
        metrics::describe_histogram!(DURATION, "How long it took to hash or compare a password");
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let memory = Arc::<Memory>::default();
        let nobody = hash(&rand::random::<[u8; 16]>(), &memory);
        Self { lane: Lane::new(cores), memory, nobody }
    }

    /// Frees what no hash has used since the last time.
    pub(crate) fn tidy_up(&self) {
        self.memory.tidy_up();
    }

    /// Whether there would be a turn; asked before anything is done for one.
    pub(crate) fn has_room(&self, rank: Rank, sender: Option<Sender>) -> Result<(), Full> {
        self.lane.has_room(rank, sender)
    }

    /// Waits for a turn, which the two others take up. Dropping the future leaves the queue.
    pub(crate) async fn turn(&self, rank: Rank, sender: Option<Sender>) -> Result<Place, Full> {
        let began = Instant::now();
        let place = self.lane.enter(rank, sender).await?;
        metrics::histogram!(WAIT).record(began.elapsed());
        Ok(place)
    }

    /// The hash to keep of a new password, as a PHC string with a salt of its own. `about` are words about its owner.
    pub(crate) async fn hash(
        &self,
        turn: Place,
        password: SecretString,
        about: Vec<String>,
    ) -> Result<String, Guessable> {
        let memory = Arc::clone(&self.memory);
        let hashed = turn.run(move || {
            let password = prepared(&password);
            let password = password.expose_secret();
            if is_guessable(password, &about) {
                Err(Guessable)
            } else {
                Ok(timed(|| hash(password.as_bytes(), &memory)))
            }
        });
        hashed.await.0
    }

    /// Whether `password` is the one behind `kept`. Without one it is not, after the same work. The place is to be kept until a
    /// wrong one was counted: the next who waits may be the same guesser.
    pub(crate) async fn compare(
        &self,
        turn: Place,
        password: SecretString,
        kept: Option<String>,
    ) -> (Comparison, Place) {
        let known = kept.is_some();
        let kept = kept.unwrap_or_else(|| self.nobody.clone());
        let memory = Arc::clone(&self.memory);
        let (comparison, place) = turn.run(move || timed(|| compare(&password, &kept, &memory))).await;
        (if known { comparison } else { Comparison::Different }, place)
    }
}

/// Every few seconds, gives back the memory in which no password was hashed lately. Never returns; dropping the future stops it.
pub async fn keep_small(state: State) {
    let mut ticks = interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        state.passwords.tidy_up();
    }
}

/// A new password that would be found by guessing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Guessable;

/// What came of comparing.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Comparison {
    Different,
    Same,
    /// The same, and what is kept was made otherwise than it is today: this is the hash to keep in its place.
    SameAs(String),
}

/// The working memory of hashes, 19 MiB each, used again: one for each that runs at once. It is given back once nobody has
/// hashed for a while.
#[derive(Default)]
struct Memory(Mutex<Vec<Working>>);

struct Working {
    blocks: Vec<Block>,
    /// Not used since it was last tidied up.
    rests: bool,
}

/// More than glibc would ever keep of what is freed, which it does for each thread that ever hashed: what is larger than 32 MiB it
/// asks the system for, and gives back to it. Of what is asked for only what is touched takes memory.
const ASKED_FOR: usize = 33 << 20;

impl Memory {
    fn with<T>(&self, work: impl FnOnce(&mut Vec<Block>) -> T) -> T {
        let kept = self.shelf().pop();
        let mut blocks = kept.map_or_else(|| Vec::with_capacity(ASKED_FOR / size_of::<Block>()), |kept| kept.blocks);
        let value = work(&mut blocks);
        self.shelf().push(Working { blocks, rests: false });
        value
    }

    /// Frees what nobody has used since the last time.
    fn tidy_up(&self) {
        let mut shelf = self.shelf();
        let unused: Vec<_> = shelf.extract_if(.., |kept| std::mem::replace(&mut kept.rests, true)).collect();
        drop(shelf);
        drop(unused);
    }

    fn shelf(&self) -> std::sync::MutexGuard<'_, Vec<Working>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn timed<T>(work: impl FnOnce() -> T) -> T {
    let began = Instant::now();
    let done = work();
    metrics::histogram!(DURATION).record(began.elapsed());
    done
}

/// The raw hash of a password.
fn derive(password: &[u8], salt: &[u8], params: Params, memory: &Memory) -> Result<Output, argon2::Error> {
    let blocks_needed = params.block_count();
    let mut raw = [0; Params::DEFAULT_OUTPUT_LEN];
    memory.with(|blocks| {
        blocks.resize(blocks_needed.max(blocks.len()), Block::default());
        let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
        argon2.hash_password_into_with_memory(password, salt, &mut raw, &mut blocks[..blocks_needed])
    })?;
    Ok(Output::new(&raw).expect("32 bytes are an output"))
}

fn hash(password: &[u8], memory: &Memory) -> String {
    let (cost, passes, lanes) = COST;
    let params = Params::new(cost, passes, lanes, None).expect("the OWASP minimum is within argon2's bounds");
    let salt = rand::random::<[u8; 16]>();
    let output = derive(password, &salt, params.clone(), memory).expect("a password of at most 512 bytes suits argon2");
    PasswordHash {
        algorithm: ARGON2ID_IDENT,
        version: Some(Version::V0x13.into()),
        params: ParamsString::try_from(&params).expect("three numbers are parameters"),
        salt: Some(Salt::new(&salt).expect("16 bytes are a salt")),
        hash: Some(output),
    }
    .to_string()
}

/// In the form that is hashed today, else as it was typed: that is how it was hashed before.
fn compare(password: &SecretString, kept: &str, memory: &Memory) -> Comparison {
    let form = prepared(password);
    let (form, typed) = (form.expose_secret().as_bytes(), password.expose_secret().as_bytes());
    if verify(form, kept, memory) {
        return if is_of_today(kept) { Comparison::Same } else { Comparison::SameAs(hash(form, memory)) };
    }
    if typed != form && verify(typed, kept, memory) {
        return Comparison::SameAs(hash(form, memory));
    }
    Comparison::Different
}

fn is_of_today(kept: &str) -> bool {
    let Ok(kept) = PasswordHash::new(kept) else { return false };
    let cost = Params::try_from(&kept).map(|params| (params.m_cost(), params.t_cost(), params.p_cost()));
    cost == Ok(COST) && kept.version == Some(Version::V0x13.into())
}

/// A hash that does not parse, or of another algorithm, matches nothing.
fn verify(password: &[u8], kept: &str, memory: &Memory) -> bool {
    let Ok(kept) = PasswordHash::new(kept) else { return false };
    let (Some(salt), Some(expected), true) = (kept.salt, kept.hash, kept.algorithm == ARGON2ID_IDENT) else {
        return false;
    };
    let Ok(params) = Params::try_from(&kept) else { return false };
    // The comparison of two outputs takes the same time wherever they differ.
    derive(password, salt.as_ref(), params, memory).is_ok_and(|output| output == expected)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_names_the_owasp_minimum_and_matches_only_its_password() {
        let memory = Memory::default();
        let kept = hash(b"correct-horse-battery", &memory);
        assert!(kept.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{kept}");
        assert!(verify(b"correct-horse-battery", &kept, &memory));
        assert!(!verify(b"correct-horse-batterz", &kept, &memory));
        assert!(!verify(b"anything", "no hash at all", &memory));
        assert_eq!(memory.shelf().len(), 1, "the working memory is used again");
    }

    #[test]
    fn working_memory_is_given_back_once_nobody_has_hashed_for_a_while() {
        let memory = Memory::default();
        for _ in 0..2 {
            memory.with(|_| memory.with(|_| ()));
            memory.tidy_up();
            assert_eq!(memory.shelf().len(), 2, "both were used just now");
            memory.with(|_| ());
            memory.tidy_up();
            assert_eq!(memory.shelf().len(), 1, "one was enough");
            memory.tidy_up();
            assert!(memory.shelf().is_empty(), "and none was");
        }
    }

    #[test]
    fn a_hash_of_other_parameters_or_of_another_form_is_made_anew() {
        let memory = Memory::default();
        let password = || SecretString::from("rene\u{301}-horse-battery");
        let today = hash(prepared(&password()).expose_secret().as_bytes(), &memory);
        assert_eq!(compare(&password(), &today, &memory), Comparison::Same);
        assert_eq!(compare(&SecretString::from("another"), &today, &memory), Comparison::Different);
        let as_typed = hash(password().expose_secret().as_bytes(), &memory);
        let weaker = Argon2::new(Algorithm::Argon2id, Version::V0x13, Params::new(8 * 1024, 1, 1, None).unwrap());
        let weaker = {
            use argon2::password_hash::PasswordHasher;
            weaker.hash_password(prepared(&password()).expose_secret().as_bytes()).unwrap().to_string()
        };
        for old in [as_typed, weaker] {
            let Comparison::SameAs(renewed) = compare(&password(), &old, &memory) else { panic!("{old}") };
            assert!(is_of_today(&renewed) && !old.contains(&renewed));
            assert_eq!(compare(&password(), &renewed, &memory), Comparison::Same);
        }
    }

    #[test]
    fn it_is_argon2_as_others_know_it() {
        use argon2::password_hash::PasswordVerifier;
        let kept = hash(b"correct-horse-battery", &Memory::default());
        assert!(Argon2::default().verify_password(b"correct-horse-battery", &*kept).is_ok());
    }
}
