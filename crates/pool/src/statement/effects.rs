use std::collections::HashMap;
use std::sync::{PoisonError, RwLock};

use super::Effect;
use crate::statements::Kind;

/// What the texts of a pool's statements do, and whose account they are on. A service sends the same few again and again: each
/// is read once.
#[derive(Debug, Default)]
pub(crate) struct Effects {
    /// Of these texts, which are no longer than [`Self::LONGEST`].
    known: RwLock<HashMap<Box<str>, (Effect, Kind)>>,
}

impl Effects {
    /// Texts that are known at once. One more, and all are forgotten: whoever sends ever new ones gains nothing here, and what
    /// is sent again and again is soon known again.
    const MOST: usize = 512;
    /// Bytes of a text. So all of them take 2 MiB at most.
    const LONGEST: usize = 4 << 10;

    /// What `text` does, which is read unless it is known.
    pub(super) fn of(&self, text: &str, read: impl FnOnce(&str) -> (Effect, Kind)) -> (Effect, Kind) {
        if let Some(known) = self.known.read().unwrap_or_else(PoisonError::into_inner).get(text) {
            return *known;
        }
        let means = read(text);
        if text.len() <= Self::LONGEST {
            let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
            if known.len() == Self::MOST && !known.contains_key(text) {
                known.clear();
            }
            known.insert(text.into(), means);
        }
        means
    }
}

#[cfg(test)]
mod tests {
    use super::{Effect, Effects, Kind};

    /// Whether it is read.
    fn is_read(effects: &Effects, text: &str) -> bool {
        let mut read = false;
        let effect = effects.of(text, |text| {
            read = true;
            (Effect::of(text, &[]), Kind::BEGIN)
        });
        assert_eq!(effect, (Effect::of(text, &[]), Kind::BEGIN), "{text}");
        read
    }

    #[test]
    fn a_text_is_read_once_and_means_the_same_each_time() {
        let effects = Effects::default();
        for text in ["", "select 1", "set role x", "begin", "commit", "select f($1)", "begin; listen x"] {
            assert!(is_read(&effects, text), "{text}");
            assert!(!is_read(&effects, text), "{text}");
        }
        assert!(is_read(&effects, "select 2"), "another text is another statement");
    }

    #[test]
    fn no_more_texts_are_known_than_their_bound_and_no_longer_ones() {
        let effects = Effects::default();
        for n in 0..3 * Effects::MOST {
            assert!(is_read(&effects, &format!("select {n}")));
            assert!(effects.known.read().unwrap().len() <= Effects::MOST);
        }
        let (longest, longer) = (Effects::LONGEST, Effects::LONGEST + 1);
        for (length, again) in [(longest, false), (longer, true)] {
            let text = format!("{:length$}", "select 1");
            assert!(is_read(&effects, &text));
            assert_eq!(is_read(&effects, &text), again, "{length} bytes");
        }
    }
}
