//! The distinct keys of a stream of columns.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use gsl_tables::{Column, Interner, Values};
use rustc_hash::FxHashSet;

use super::error::Result;
use super::keysort::{KeyRef, KeySorter};
use super::scratch::Scratch;

/// Sets that threads fill side by side.
const SHARDS: usize = 64;
/// What an integer and a text take in a set, besides the text.
const INT_BYTES: u64 = 18;
const TEXT_BYTES: u64 = 28;

/// Collects keys from any thread. Sets that exceed the limit go to sorted runs.
pub struct Distinct {
    shards: Vec<Mutex<Shard>>,
    held: AtomicU64,
    limit: u64,
    sorter: KeySorter,
}

#[derive(Default)]
struct Shard {
    ints: FxHashSet<i64>,
    texts: Interner,
}

impl Distinct {
    pub fn new(scratch: &Scratch, limit: u64) -> Self {
        Self {
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            held: AtomicU64::new(0),
            limit: limit / 2,
            sorter: KeySorter::new(scratch, limit / 2),
        }
    }

    /// Adds the keys of a column; missing ones are passed over.
    pub fn see(&self, column: &Column) -> Result<()> {
        let added = match &column.values {
            Values::Int(keys) => {
                self.see_ints(keys.iter().enumerate().filter(|(row, _)| column.is_valid(*row)))
            }
            Values::Text(text) => {
                let used = text.used();
                self.see_texts(text.values.iter().zip(used).filter(|(_, used)| *used).map(|(text, _)| text))
            }
            _ => 0,
        };
        if self.held.fetch_add(added, Ordering::Relaxed) + added > self.limit {
            self.drain()?;
        }
        Ok(())
    }

    fn see_ints<'a>(&self, keys: impl Iterator<Item = (usize, &'a i64)>) -> u64 {
        let mut dealt: Vec<Vec<i64>> = vec![Vec::new(); SHARDS];
        keys.for_each(|(_, &key)| dealt[shard_of(key as u64)].push(key));
        let mut added = 0;
        for (shard, keys) in self.shards.iter().zip(dealt).filter(|(_, keys)| !keys.is_empty()) {
            let mut shard = shard.lock().expect("no thread panics here");
            added += keys.into_iter().filter(|&key| shard.ints.insert(key)).count() as u64;
        }
        added * INT_BYTES
    }

    fn see_texts<'a>(&self, texts: impl Iterator<Item = &'a str>) -> u64 {
        let mut dealt: Vec<Vec<&str>> = vec![Vec::new(); SHARDS];
        for text in texts {
            let bytes = text.as_bytes();
            let end = u64::from_le_bytes(std::array::from_fn(|i| *bytes.iter().rev().nth(i).unwrap_or(&0)));
            dealt[shard_of(end ^ bytes.len() as u64)].push(text);
        }
        let mut added = 0;
        for (shard, texts) in self.shards.iter().zip(dealt).filter(|(_, texts)| !texts.is_empty()) {
            let mut shard = shard.lock().expect("no thread panics here");
            for text in texts {
                let before = shard.texts.len();
                shard.texts.intern(text);
                added += (shard.texts.len() - before) as u64 * (TEXT_BYTES + text.len() as u64);
            }
        }
        added
    }

    fn drain(&self) -> Result<()> {
        self.held.store(0, Ordering::Relaxed);
        for shard in &self.shards {
            let shard = std::mem::take(&mut *shard.lock().expect("no thread panics here"));
            let mut ints: Vec<i64> = shard.ints.into_iter().collect();
            ints.sort_unstable();
            ints.into_iter().try_for_each(|key| self.sorter.push_one(KeyRef::Int(key), 0))?;
            let texts = shard.texts.values();
            texts.iter().try_for_each(|text| self.sorter.push_one(KeyRef::Text(text.as_bytes()), 0))?;
        }
        Ok(())
    }

    /// Calls `each` with every key once, ascending.
    pub fn finish(self, each: &mut dyn FnMut(KeyRef)) -> Result<()> {
        self.drain()?;
        let mut last: Option<Vec<u8>> = None;
        let mut last_int: Option<i64> = None;
        self.sorter.finish(&mut |key, _| match key {
            KeyRef::Int(key) if last_int != Some(key) => {
                last_int = Some(key);
                each(KeyRef::Int(key));
            }
            KeyRef::Text(text) if last.as_deref() != Some(text) => {
                let last = last.get_or_insert_default();
                last.clear();
                last.extend_from_slice(text);
                each(KeyRef::Text(text));
            }
            _ => {}
        })
    }
}

fn shard_of(bits: u64) -> usize {
    (bits.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 58) as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    proptest! {
        #[test]
        fn each_key_comes_once_and_in_order(keys in prop::collection::vec(-40i64..40, 0..200), limit in 0u64..2000) {
            let distinct = Distinct::new(&Scratch::temporary().unwrap(), limit);
            for some in keys.chunks(13) {
                distinct.see(&Column::new("k", Values::Int(some.to_vec()))).unwrap();
            }
            let mut found: Vec<i64> = Vec::new();
            distinct.finish(&mut |key| {
                let KeyRef::Int(key) = key else { panic!("an integer") };
                found.push(key);
            }).unwrap();
            let expected: Vec<i64> = keys.into_iter().collect::<BTreeSet<_>>().into_iter().collect();
            prop_assert_eq!(found, expected);
        }

        #[test]
        fn texts_too(keys in prop::collection::vec("[ab]{0,6}", 0..200), limit in 0u64..2000) {
            let distinct = Distinct::new(&Scratch::temporary().unwrap(), limit);
            for some in keys.chunks(13) {
                let mut interner = Interner::new();
                let codes = some.iter().map(|text| interner.intern(text).unwrap()).collect();
                let text = gsl_tables::TextColumn { codes, values: interner.into_values() };
                distinct.see(&Column::new("k", Values::Text(text))).unwrap();
            }
            let mut found: Vec<String> = Vec::new();
            distinct.finish(&mut |key| {
                let KeyRef::Text(text) = key else { panic!("a text") };
                found.push(String::from_utf8(text.to_vec()).unwrap());
            }).unwrap();
            let expected: Vec<String> = keys.into_iter().collect::<BTreeSet<_>>().into_iter().collect();
            prop_assert_eq!(found, expected);
        }
    }
}
