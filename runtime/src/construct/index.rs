//! Hash tables from keys to ids, made for batches: the memory that a group of look-ups will touch is asked for before it is read,
//! so that their cache misses overlap.

use std::hash::Hasher;

use gsl_tables::TextValues;
use rustc_hash::FxHasher;

use super::frame::ABSENT;
use crate::prefetch::prefetch;

/// Look-ups whose misses overlap.
const GROUP: usize = 32;

/// Integer -> id. Keys are in the cache line that their hash chooses, or in the next that has room.
pub struct IntIndex {
    lines: Vec<IntLine>,
}

const LINE_KEYS: usize = 5;

/// One cache line of keys; ids are [`ABSENT`] where there is room.
#[derive(Clone, Copy)]
#[repr(align(64))]
struct IntLine {
    keys: [i64; LINE_KEYS],
    ids: [u32; LINE_KEYS],
}

/// Text -> id by open addressing. A slot holds 32 bits of the hash and the id; equal hashes are told apart by the bytes.
pub struct TextIndex {
    slots: Vec<u64>,
    shift: u32,
}

const FREE: u64 = u64::MAX;

/// At least twice as many slots as keys.
fn slots_for(keys: usize) -> usize {
    (keys.max(1) * 2).next_power_of_two()
}

/// The high bits of a multiplied hash are the well mixed ones.
fn spread(hash: u64) -> u64 {
    hash.wrapping_mul(0x9E37_79B9_7F4A_7C15)
}

impl IntLine {
    const EMPTY: Self = Self { keys: [0; LINE_KEYS], ids: [ABSENT; LINE_KEYS] };

    /// The id of the key, [`ABSENT`] if it is not here. All keys are looked at: a branch that depends on where it stands costs more.
    #[inline]
    fn find(&self, key: i64) -> u32 {
        let id = |(&known, &id): (&i64, &u32)| if known == key { id } else { ABSENT };
        self.keys.iter().zip(&self.ids).map(id).fold(ABSENT, u32::min)
    }

    fn is_full(&self) -> bool {
        self.ids[LINE_KEYS - 1] != ABSENT
    }
}

impl IntIndex {
    /// Ids are the positions of the keys, which are distinct.
    pub fn of(keys: &[i64]) -> Self {
        let mut index = Self { lines: vec![IntLine::EMPTY; lines_for(keys.len())] };
        for (ahead, group) in keys.chunks(GROUP).enumerate() {
            group.iter().for_each(|&key| prefetch(&raw const index.lines[index.line(key)]));
            for (at, &key) in group.iter().enumerate() {
                index.insert(key, (ahead * GROUP + at) as u32);
            }
        }
        index
    }

    pub fn bytes_for(keys: usize) -> u64 {
        (lines_for(keys) * size_of::<IntLine>()) as u64
    }

    /// The line that the hash of the key chooses: its share of all lines.
    #[inline]
    fn line(&self, key: i64) -> usize {
        let hash = spread(key as u64 ^ (key as u64 >> 32));
        ((u128::from(hash) * self.lines.len() as u128) >> 64) as usize
    }

    fn next(&self, line: usize) -> usize {
        if line + 1 == self.lines.len() { 0 } else { line + 1 }
    }

    fn insert(&mut self, key: i64, id: u32) {
        let mut at = self.line(key);
        while self.lines[at].is_full() {
            at = self.next(at);
        }
        let line = &mut self.lines[at];
        let free = line.ids.iter().position(|&id| id == ABSENT).unwrap_or(LINE_KEYS - 1);
        (line.keys[free], line.ids[free]) = (key, id);
    }

    #[inline]
    fn find(&self, key: i64) -> u32 {
        let mut at = self.line(key);
        loop {
            let line = &self.lines[at];
            let id = line.find(key);
            if id != ABSENT || !line.is_full() {
                return id;
            }
            at = self.next(at);
        }
    }

    /// The id of each key, [`ABSENT`] where there is none.
    pub fn find_all(&self, keys: &[i64]) -> Vec<u32> {
        let ahead = |key: &i64| prefetch(&raw const self.lines[self.line(*key)]);
        keys.iter().take(GROUP).for_each(ahead);
        let found = |(at, &key): (usize, &i64)| {
            keys.get(at + GROUP).into_iter().for_each(ahead);
            self.find(key)
        };
        keys.iter().enumerate().map(found).collect()
    }
}

/// Lines that are half full, so that few keys are not in the line that was chosen.
fn lines_for(keys: usize) -> usize {
    keys.max(1).div_ceil(LINE_KEYS) * 2
}

impl TextIndex {
    /// Ids are the positions of the keys, which are distinct.
    pub fn of(keys: &TextValues) -> Self {
        let count = slots_for(keys.len());
        let mut index = Self { slots: vec![FREE; count], shift: 64 - count.trailing_zeros().max(1) };
        let mut hashes = [0; GROUP];
        let mut first = 0;
        while first < keys.len() {
            let upto = keys.len().min(first + GROUP);
            for id in first..upto {
                hashes[id - first] = hash(text_at(keys.bytes(), keys.offsets(), id));
                prefetch(&raw const index.slots[index.slot(hashes[id - first])]);
            }
            for id in first..upto {
                index.insert(hashes[id - first], id as u32);
            }
            first = upto;
        }
        index
    }

    pub fn bytes_for(keys: usize) -> u64 {
        (slots_for(keys) * size_of::<u64>()) as u64
    }

    fn slot(&self, hash: u64) -> usize {
        (hash >> self.shift) as usize & (self.slots.len() - 1)
    }

    /// The keys are distinct, so the first free slot is the right one.
    fn insert(&mut self, hash: u64, id: u32) {
        let mut slot = self.slot(hash);
        while self.slots[slot] != FREE {
            slot = (slot + 1) & (self.slots.len() - 1);
        }
        self.slots[slot] = tag(hash) | u64::from(id);
    }

    /// The next slot from `slot` on that is free or has the tag of the hash.
    fn candidate(&self, mut slot: usize, hash: u64) -> usize {
        while self.slots[slot] != FREE && (self.slots[slot] ^ tag(hash)) >> 32 != 0 {
            slot = (slot + 1) & (self.slots.len() - 1);
        }
        slot
    }

    /// Adds to `ids` the ids of the texts from `ids.len()` on, [`ABSENT`] where there is none. `keys` are those that the index is of.
    pub fn find_rest(&self, keys: &TextValues, texts: &TextValues, ids: &mut Vec<u32>) {
        ids.reserve(texts.len() - ids.len());
        let (key_bytes, key_offsets) = (keys.bytes(), keys.offsets());
        let (bytes, offsets) = (texts.bytes(), texts.offsets());
        let (mut hashes, mut slots) = ([0; GROUP], [0; GROUP]);
        let mut first = ids.len();
        while first < texts.len() {
            let count = GROUP.min(texts.len() - first);
            for (at, slot) in hashes[..count].iter_mut().enumerate() {
                *slot = hash(text_at(bytes, offsets, first + at));
                prefetch(&raw const self.slots[self.slot(*slot)]);
            }
            for at in 0..count {
                slots[at] = self.candidate(self.slot(hashes[at]), hashes[at]);
                if self.slots[slots[at]] != FREE {
                    prefetch(&raw const key_offsets[self.slots[slots[at]] as u32 as usize]);
                }
            }
            for &slot in &slots[..count] {
                if self.slots[slot] != FREE {
                    let start = key_offsets[self.slots[slot] as u32 as usize];
                    prefetch(key_bytes.as_ptr().wrapping_add(start as usize));
                }
            }
            for at in 0..count {
                let text = text_at(bytes, offsets, first + at);
                ids.push(self.confirm(|id| text_at(key_bytes, key_offsets, id), slots[at], hashes[at], text));
            }
            first += count;
        }
    }

    /// The id of each text, [`ABSENT`] where there is none.
    pub fn find_all(&self, keys: &TextValues, texts: &TextValues) -> Vec<u32> {
        let mut ids = Vec::new();
        self.find_rest(keys, texts, &mut ids);
        ids
    }

    fn confirm<'a>(&self, key: impl Fn(usize) -> &'a [u8], mut slot: usize, hash: u64, text: &[u8]) -> u32 {
        loop {
            if self.slots[slot] == FREE {
                return ABSENT;
            }
            let id = self.slots[slot] as u32;
            if key(id as usize) == text {
                return id;
            }
            slot = self.candidate((slot + 1) & (self.slots.len() - 1), hash);
        }
    }
}

/// The lower half of the hash, above the id; the upper half chose the slot.
fn tag(hash: u64) -> u64 {
    hash << 32
}

/// Text `index` of those that stand end to end in `bytes`.
fn text_at<'a>(bytes: &'a [u8], offsets: &[u64], index: usize) -> &'a [u8] {
    &bytes[offsets[index] as usize..offsets[index + 1] as usize]
}

fn hash(text: &[u8]) -> u64 {
    let mut hasher = FxHasher::default();
    hasher.write(text);
    spread(hasher.finish())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::{BTreeMap, BTreeSet};

    proptest! {
        #[test]
        fn tables_find_what_a_tree_finds(
            keys in prop::collection::btree_set(-50i64..50, 0..60),
            wanted in prop::collection::vec(-60i64..60, 0..90),
        ) {
            let keys: Vec<i64> = keys.into_iter().collect();
            let tree: BTreeMap<i64, u32> = keys.iter().copied().zip(0..).collect();
            let expected: Vec<u32> = wanted.iter().map(|key| tree.get(key).copied().unwrap_or(ABSENT)).collect();
            prop_assert_eq!(IntIndex::of(&keys).find_all(&wanted), expected.clone());
            let shown: BTreeSet<String> = keys.iter().map(i64::to_string).collect();
            let texts: TextValues = shown.iter().map(String::as_str).collect();
            let found = TextIndex::of(&texts).find_all(&texts, &wanted.iter().map(i64::to_string).collect::<Vec<_>>().iter().map(String::as_str).collect());
            for (&id, key) in found.iter().zip(&wanted) {
                match id {
                    ABSENT => prop_assert!(!keys.contains(key)),
                    id => prop_assert_eq!(texts.get(id), key.to_string()),
                }
            }
        }
    }

    #[test]
    fn hashes_that_agree_in_their_tag_are_told_apart() {
        let texts: TextValues =
            (0..5000).map(|i| format!("key-{i}")).collect::<Vec<_>>().iter().map(String::as_str).collect();
        let mut index = TextIndex::of(&texts);
        index.slots.iter_mut().filter(|slot| **slot != FREE).for_each(|slot| *slot &= u64::from(u32::MAX));
        // Every tag is zero now, so a text of tag zero meets every key of its run of slots.
        for (slot, other) in ["other", "key-5000", ""].iter().enumerate() {
            let key = |id: usize| text_at(texts.bytes(), texts.offsets(), id);
            assert_eq!(index.confirm(key, slot * 997, 0, other.as_bytes()), ABSENT);
        }
    }
}
