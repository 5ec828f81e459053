//! What is known of many clients, in bounded memory.

use std::{
    collections::{HashMap, hash_map::Entry},
    fmt,
    hash::{BuildHasher as _, Hash, RandomState},
    sync::{Mutex, PoisonError},
};

/// As many entries as a hash map of 32,768 slots takes before it doubles.
const ROOM: usize = 28_672;

/// A map that stays small whoever fills it. Keys are kept as hashes of 64 bits with a secret of this process: they cannot
/// be read from it, nor can anybody choose two that meet.
///
/// A full shard forgets the half of its entries whose values are least. So let a value be the greater the more depends on its
/// being kept, as the time until which somebody has to wait: then nobody gets rid of a wait by making entries for others,
/// since those have less of it.
pub struct Table<V> {
    secret: RandomState,
    shards: Box<[Mutex<HashMap<u64, V>>]>,
}

impl<V: Copy + Ord> Table<V> {
    /// Empty, with 28,672 places in each of its shards. With values of 8 bytes a shard takes at most 560 KiB.
    #[must_use]
    pub fn new(shards: usize) -> Self {
        Self { secret: RandomState::new(), shards: (0..shards.max(1)).map(|_| Mutex::default()).collect() }
    }

    /// Puts what `change` makes of the value of `key`, and gives what it answers. No value is no entry.
    pub fn update<R>(&self, key: impl Hash, change: impl FnOnce(Option<V>) -> (Option<V>, R)) -> R {
        let hash = self.secret.hash_one(key);
        let shards = self.shards.len() as u64;
        let shard = usize::try_from((hash >> 32) % shards).unwrap_or_default();
        let mut shard = self.shards[shard].lock().unwrap_or_else(PoisonError::into_inner);
        if shard.len() == shard.capacity() && shard.len() > ROOM / 2 && !shard.contains_key(&hash) {
            *shard = made_room(&shard);
        }
        match shard.entry(hash) {
            Entry::Occupied(mut entry) => {
                let (value, answer) = change(Some(*entry.get()));
                match value {
                    Some(value) => *entry.get_mut() = value,
                    None => _ = entry.remove(),
                }
                answer
            }
            Entry::Vacant(entry) => {
                let (value, answer) = change(None);
                if let Some(value) = value {
                    entry.insert(value);
                }
                answer
            }
        }
    }
}

/// The same in a map of its own, since one in which entries were removed may double though it is not full; without the
/// lesser half, if it is. Takes some hundred microseconds, once in some ten thousand new entries.
fn made_room<V: Copy + Ord>(shard: &HashMap<u64, V>) -> HashMap<u64, V> {
    let mut values: Vec<V> = shard.values().copied().collect();
    let full = values.len() > ROOM / 4 * 3;
    let least = full.then(|| *values.select_nth_unstable(ROOM / 2).1);
    let mut kept = HashMap::with_capacity(ROOM);
    kept.extend(shard.iter().filter(|(_, value)| least.is_none_or(|least| **value > least)));
    kept
}

impl<V> fmt::Debug for Table<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Table").field("shards", &self.shards.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shard_never_has_more_slots_than_its_room_needs() {
        let table = Table::new(1);
        for number in 0..300_000_u64 {
            table.update(number, |_| (Some(number), ()));
            // Half of the entries go again by themselves.
            table.update(number / 2 * 2, |_| (None, ()));
        }
        let shard = table.shards[0].lock().unwrap();
        assert!(shard.capacity() <= ROOM, "{}", shard.capacity());
        assert!(shard.contains_key(&table.secret.hash_one(299_999_u64)), "the greatest value is kept");
    }
}
