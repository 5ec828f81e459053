use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

/// Key ids are 0 to 3.
fn set(ids: &BTreeSet<u8>) -> KeySet {
    KeySet::of(ids.iter().map(|id| (id.to_string(), [0; 32])))
}

#[derive(Clone, Debug)]
enum Step {
    /// Milliseconds pass.
    Pass(u64),
    /// A token names this key.
    Search(u8),
    /// The next request goes out, and ends so many milliseconds later: with these keys, or with so many seconds of rest
    /// asked for.
    Ask(u64, Result<BTreeSet<u8>, u64>),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let time = prop_oneof![0..20_u64, 0..15_000_u64, 0..600_000_u64, 0..50_000_000_u64];
    let keys = prop_oneof![
        proptest::collection::btree_set(0..4_u8, 0..3).prop_map(Ok),
        prop_oneof![Just(0), 1..600_u64].prop_map(Err),
    ];
    let step = prop_oneof![
        2 => time.prop_map(Step::Pass),
        4 => (0..4_u8).prop_map(Step::Search),
        2 => (0..1_000_u64, keys).prop_map(|(took, keys)| Step::Ask(took, keys)),
    ];
    proptest::collection::vec(step, 1..80)
}

/// What must hold, written down without knowing how it is brought about.
struct Model {
    now: Instant,
    ring: Keyring,
    came: Option<(Instant, BTreeSet<u8>)>,
    demands: Vec<Instant>,
    /// Until when the issuer is to be left alone.
    rest: Instant,
    told: Option<Standing>,
}

impl Model {
    fn new() -> Self {
        let now = Instant::now();
        Self { now, ring: Keyring::empty(now), came: None, demands: Vec::new(), rest: now, told: None }
    }

    fn expected(&self, id: u8) -> Result<(), Missing> {
        let young = self.came.as_ref().filter(|(came, _)| self.now.duration_since(*came) <= GOOD);
        let (_, keys) = young.ok_or(Missing::Keys)?;
        keys.contains(&id).then_some(()).ok_or(Missing::Key)
    }

    fn search(&mut self, id: u8) {
        let expected = self.expected(id);
        assert_eq!(self.ring.find(&id.to_string(), self.now).map(|_| ()), expected);
        let waited_for = self.ring.is_demanded();
        match self.ring.search(&id.to_string(), self.now) {
            Search::Over(found) => assert_eq!(found.map(|_| ()), expected),
            Search::Waits(attempts) => {
                assert!(expected.is_err(), "for what?");
                assert!(self.ring.is_demanded() || self.ring.due() <= self.now, "on whom?");
                assert_eq!(attempts, self.ring.attempts());
            }
        }
        if self.ring.is_demanded() && !waited_for {
            assert!(self.rest <= self.now, "nobody is to ask yet");
            self.demands.push(self.now);
        }
    }

    fn ask(&mut self, took: u64, keys: Result<BTreeSet<u8>, u64>, chance: f64) {
        let due = self.ring.due();
        if !self.ring.is_demanded() {
            self.now = self.now.max(due);
        }
        self.ring.begin();
        assert!(!self.ring.is_demanded());
        self.now += Duration::from_millis(took);
        let keys = keys.map_err(Duration::from_secs);
        let outcome = keys.as_ref().map(set).map_err(|told| *told);
        let news = self.ring.end(outcome, self.now, chance);
        assert!(self.ring.due() > self.now, "it would ask without a pause");
        match keys {
            Ok(keys) => {
                assert!(self.ring.due() <= self.now + FRESH);
                self.came = Some((self.now, keys));
            }
            Err(told) if due > self.now => {
                assert_eq!(self.ring.due(), due, "a schedule was moved before its time");
                self.rest = self.now + told.min(FRESH);
            }
            Err(told) => {
                self.rest = self.now + told.min(FRESH);
                assert!(self.rest < self.ring.due() && self.ring.due() <= self.rest + LAST_RETRY);
            }
        }
        self.hear(news);
    }

    fn hear(&mut self, news: Option<Standing>) {
        let stands = match &self.came {
            Some((came, _)) if *came == self.now => Standing::Current,
            Some((came, _)) if self.now.duration_since(*came) <= GOOD => Standing::Kept,
            _ => Standing::Without,
        };
        assert_eq!(news, (self.told != Some(stands)).then_some(stands));
        self.told = Some(stands);
    }
}

proptest! {
    #[test]
    fn whatever_happens_keys_hold_as_long_as_they_should_and_demands_are_rare(
        steps in steps(),
        chance in 0.0..1.0_f64,
    ) {
        let mut model = Model::new();
        for step in steps {
            match step {
                Step::Pass(time) => model.now += Duration::from_millis(time),
                Step::Search(id) => model.search(id),
                // No time at all is for the clock to know, and would make two outcomes one instant.
                Step::Ask(took, keys) => model.ask(took + 1, keys, chance),
            }
        }
        prop_assert!(model.demands.windows(2).all(|pair| pair[1] - pair[0] >= DEMAND_EVERY));
    }
}

#[test]
fn the_pause_after_a_failure_doubles_up_to_ten_seconds() {
    let pauses: Vec<_> = (1..=7).map(|failures| retry(failures).as_millis()).collect();
    assert_eq!(pauses, [500, 1_000, 2_000, 4_000, 8_000, 10_000, 10_000]);
    assert_eq!(retry(u32::MAX), LAST_RETRY);
}

#[test]
fn keys_are_good_for_a_day_to_the_instant() {
    let now = Instant::now();
    let mut ring = Keyring::empty(now);
    ring.begin();
    ring.end(Ok(set(&[1].into())), now, 0.5);
    assert!(ring.find("1", now + GOOD).is_ok());
    assert_eq!(ring.find("1", now + GOOD + Duration::from_nanos(1)).map(|_| ()), Err(Missing::Keys));
}

#[test]
fn a_key_that_is_no_longer_published_is_no_longer_accepted() {
    let now = Instant::now();
    let mut ring = Keyring::empty(now);
    for (published, other) in [(1, 2), (2, 1)] {
        ring.begin();
        ring.end(Ok(set(&[published].into())), now, 0.5);
        assert!(ring.find(&published.to_string(), now).is_ok());
        assert_eq!(ring.find(&other.to_string(), now).map(|_| ()), Err(Missing::Key));
    }
}
