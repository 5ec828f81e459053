//! The scenarios that the program brings along: `loadtests/scenarios`, so that it needs no folder.

use super::filed::Filed;

macro_rules! shipped {
    ($($name:literal),* $(,)?) => {
        /// Their names and texts.
        pub const NAMES: [(&str, &str); [$($name),*].len()] =
            [$(($name, include_str!(concat!("../../../../loadtests/scenarios/", $name, ".toml")))),*];
    };
}

shipped!("incident", "leak", "overload", "retry-storm", "thundering-herd", "slow-db");

/// One of them.
///
/// # Panics
/// There is none of this name, or its file is wrong: a test reads all of them.
#[must_use]
pub fn named(name: &str) -> Filed {
    let found = NAMES.iter().find(|(known, _)| *known == name);
    let (_, text) = found.unwrap_or_else(|| panic!("there is no scenario {name}"));
    Filed::parse(name, name, text).unwrap_or_else(|faults| panic!("{faults}"))
}

/// All of them.
#[must_use]
pub fn all() -> Vec<Filed> {
    NAMES.iter().map(|(name, _)| named(name)).collect()
}
