//! Names that may stand before a parenthesis and leave nothing in the session.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::LazyLock;

/// Whose a name is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Source {
    /// The grammar's, or a function of the server's.
    Postgres,
    Extension,
}

/// FNV-1a: the names are ours, short, and looked up for every statement.
struct Fnv(u64);

impl Default for Fnv {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Hasher for Fnv {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }

    fn write_usize(&mut self, length: usize) {
        self.0 ^= length as u64;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

static KNOWN: LazyLock<HashMap<&'static [u8], Source, BuildHasherDefault<Fnv>>> = LazyLock::new(|| {
    let lists = [
        (include_str!("names/extensions.txt"), Source::Extension),
        (include_str!("names/postgres.txt"), Source::Postgres),
    ];
    let names = lists.into_iter().flat_map(|(list, source)| {
        let lines = list.lines().filter(|line| !line.starts_with('#'));
        lines.flat_map(str::split_whitespace).map(move |name| (name.as_bytes(), source))
    });
    names.collect()
});

/// Functions that change what no reset gives back: it ends with the session.
const UNTIL_THE_END: &[&str] = &[
    "setseed",
    "dblink_connect",
    "dblink_connect_u",
    "pg_backup_start",
    "pg_start_backup",
    "pg_replication_origin_session_setup",
    "pg_create_physical_replication_slot",
    "pg_create_logical_replication_slot",
    "pg_copy_physical_replication_slot",
    "pg_copy_logical_replication_slot",
];

/// The longest name that the server knows.
const LONGEST: usize = 63;

/// Whether a name, called in this schema or without one, leaves nothing in the session.
pub(super) fn is_harmless(name: &[u8], schema: Option<&[u8]>) -> bool {
    let mut buffer = [0; LONGEST];
    let Some(lower) = buffer.get_mut(..name.len()) else { return false };
    for (lower, byte) in lower.iter_mut().zip(name) {
        *lower = byte.to_ascii_lowercase();
    }
    match KNOWN.get(&*lower) {
        Some(Source::Postgres) => schema.is_none_or(|schema| schema.eq_ignore_ascii_case(b"pg_catalog")),
        Some(Source::Extension) => true,
        // Those of PostGIS are too many to list.
        None => lower.starts_with(b"st_"),
    }
}

/// Whether a function changes what no reset gives back.
pub(super) fn is_for_good(name: &[u8]) -> bool {
    UNTIL_THE_END.iter().any(|known| name.eq_ignore_ascii_case(known.as_bytes()))
}

/// Whether the pool's user says of a function that it leaves nothing. `app_*` is all that begin with `app_`.
pub(super) fn is_trusted(name: &[u8], trusted: &[String]) -> bool {
    trusted.iter().any(|known| match known.as_bytes().split_last() {
        Some((b'*', prefix)) => name.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix)),
        _ => name.eq_ignore_ascii_case(known.as_bytes()),
    })
}

#[cfg(test)]
mod tests {
    use super::{is_for_good, is_harmless, is_trusted};

    #[test]
    fn a_name_is_known_in_any_case_and_only_in_its_schema() {
        for name in ["count", "COALESCE", "values", "uuid_generate_v4", "ST_Within", "hashtext"] {
            assert!(is_harmless(name.as_bytes(), None), "{name}");
        }
        assert!(is_harmless(b"lower", Some(b"pg_catalog")));
        assert!(!is_harmless(b"lower", Some(b"app")));
        assert!(is_harmless(b"digest", Some(b"extensions")));
        for name in ["set_config", "pg_advisory_lock", "query_to_xml", "my_fn", "", &"x".repeat(1000)] {
            assert!(!is_harmless(name.as_bytes(), None), "{name}");
        }
    }

    #[test]
    fn what_changes_a_session_is_not_taken_for_harmless() {
        for name in super::UNTIL_THE_END {
            assert!(is_for_good(name.as_bytes()) && !is_harmless(name.as_bytes(), None), "{name}");
        }
    }

    #[test]
    fn a_trusted_name_may_be_the_beginning_of_many() {
        let trusted = ["app_*".to_owned(), "Total".to_owned()];
        for name in ["app_x", "APP_", "total"] {
            assert!(is_trusted(name.as_bytes(), &trusted), "{name}");
        }
        for name in ["app", "totals", ""] {
            assert!(!is_trusted(name.as_bytes(), &trusted), "{name}");
        }
        assert!(is_trusted(b"anything", &["*".to_owned()]));
        assert!(!is_trusted(b"anything", &[]));
    }
}
