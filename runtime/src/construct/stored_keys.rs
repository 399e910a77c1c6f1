//! Keys that stay in the arrays they were written to: read in slices that fit into memory, or one by one.
//!
//! What is looked up row by row of a large table goes through slices, each with an index ([`super::nodes::Nodes::each_slice`]); what is
//! looked up now and then is searched for by halving: log2 of the number of keys reads of a few bytes.

use std::cmp::Ordering;
use std::io;
use std::ops::Range;

use gsl_tables::{Column, MISSING, TextValues, Values, Want};
use rayon::prelude::*;

use super::error::{BuildError, Result};
use super::frame::ABSENT;
use super::index::{IntIndex, TextIndex};
use super::keys::Keys;
use super::keysort::KeyRef;
use super::stages::Arrays;
use crate::graph::piece::Piece;

/// The keys of a node type, ascending, as they were written.
#[derive(Clone)]
pub enum StoredKeys {
    Ints(Piece),
    Texts { offsets: Piece, bytes: Piece },
}

/// The error of arrays that cannot be read, or are no keys.
fn unreadable(error: io::Error) -> BuildError {
    BuildError::Scratch { file: "keys".into(), error }
}

impl StoredKeys {
    /// Those that are among the arrays of a type. None: its nodes have no keys but their numbers.
    pub fn of(arrays: &Arrays) -> Option<Self> {
        let find =
            |name: &str| arrays.iter().find(|(known, _)| known == name).map(|(_, piece)| piece.clone());
        match (find("keys/int"), find("keys/offsets"), find("keys/bytes")) {
            (Some(ints), _, _) => Some(StoredKeys::Ints(ints)),
            (_, Some(offsets), Some(bytes)) => Some(StoredKeys::Texts { offsets, bytes }),
            _ => None,
        }
    }

    pub fn len(&self) -> usize {
        match self {
            StoredKeys::Ints(keys) => keys.len(),
            StoredKeys::Texts { offsets, .. } => offsets.len().saturating_sub(1),
        }
    }

    pub fn want(&self) -> Want {
        match self {
            StoredKeys::Ints(_) => Want::Int,
            StoredKeys::Texts { .. } => Want::Text,
        }
    }

    /// In memory if they and an index of them take at most `room` bytes, or are neighbouring integers; else as they are.
    pub fn held(self, room: u64) -> Result<Keys> {
        if let Some(dense) = self.dense()? {
            return Ok(dense);
        }
        match self.cost(0..self.len())? <= room {
            true => self.load(0..self.len()),
            false => Ok(Keys::Stored(self)),
        }
    }

    fn dense(&self) -> Result<Option<Keys>> {
        let (StoredKeys::Ints(piece), count) = (self, self.len()) else { return Ok(None) };
        if count == 0 {
            return Ok(None);
        }
        let end = |id: usize| piece.load_some::<i64>(id..id + 1).map_err(unreadable);
        let (first, last) = (end(0)?[0], end(count - 1)?[0]);
        Ok((last.wrapping_sub(first) as u64 == count as u64 - 1).then_some(Keys::Dense { first, count }))
    }

    /// The keys with these ids, in memory.
    pub fn load(&self, ids: Range<usize>) -> Result<Keys> {
        match self {
            StoredKeys::Ints(piece) => Ok(Keys::of_ints(piece.load_some(ids).map_err(unreadable)?)),
            StoredKeys::Texts { offsets, bytes } => {
                let mut offsets = offsets.load_some::<u64>(ids.start..ids.end + 1).map_err(unreadable)?;
                let start = offsets[0];
                offsets.iter_mut().for_each(|at| *at -= start);
                let mut texts = vec![0; offsets[ids.len()] as usize];
                bytes.read_at(start, &mut texts).map_err(unreadable)?;
                let texts = TextValues::from_parts(texts, offsets);
                texts.map(Keys::Texts).ok_or_else(|| unreadable(io::ErrorKind::InvalidData.into()))
            }
        }
    }

    /// Bytes that these keys and an index of them take in memory.
    fn cost(&self, ids: Range<usize>) -> Result<u64> {
        Ok(match self {
            StoredKeys::Ints(_) => 8 * ids.len() as u64 + IntIndex::bytes_for(ids.len()),
            StoredKeys::Texts { .. } => {
                let texts = self.offset(ids.end)? - self.offset(ids.start)?;
                texts + 8 * (ids.len() as u64 + 1) + TextIndex::bytes_for(ids.len())
            }
        })
    }

    fn offset(&self, id: usize) -> Result<u64> {
        let StoredKeys::Texts { offsets, .. } = self else { return Ok(0) };
        let mut word = [0; 8];
        offsets.read_at(8 * id as u64, &mut word).map_err(unreadable)?;
        Ok(u64::from_ne_bytes(word))
    }

    /// Where a slice from `first` on ends that takes at most `memory` bytes with its index; it has at least one key.
    pub fn slice_end(&self, first: usize, memory: u64) -> Result<usize> {
        let (mut fits, mut beyond) = (first + 1, self.len() + 1);
        while fits + 1 < beyond {
            let middle = fits + (beyond - fits) / 2;
            match self.cost(first..middle)? <= memory {
                true => fits = middle,
                false => beyond = middle,
            }
        }
        Ok(fits)
    }

    /// Calls `f` with one key.
    pub fn with<T>(&self, id: usize, f: impl FnOnce(KeyRef) -> T) -> Result<T> {
        match self {
            StoredKeys::Ints(piece) => {
                let mut key = [0; 8];
                piece.read_at(8 * id as u64, &mut key).map_err(unreadable)?;
                Ok(f(KeyRef::Int(i64::from_ne_bytes(key))))
            }
            StoredKeys::Texts { bytes, .. } => {
                let (start, end) = (self.offset(id)?, self.offset(id + 1)?);
                let mut text = vec![0; (end - start) as usize];
                bytes.read_at(start, &mut text).map_err(unreadable)?;
                Ok(f(KeyRef::Text(&text)))
            }
        }
    }

    /// The id of a key, [`ABSENT`] if there is none.
    fn find(&self, key: KeyRef) -> Result<u32> {
        let (mut low, mut high) = (0, self.len());
        while low < high {
            let middle = low + (high - low) / 2;
            match self.with(middle, |found| found.cmp(&key))? {
                Ordering::Less => low = middle + 1,
                Ordering::Greater => high = middle,
                Ordering::Equal => return Ok(middle as u32),
            }
        }
        Ok(ABSENT)
    }

    /// The id of each row's key, [`ABSENT`] where there is none. A text is looked up once per distinct value.
    pub fn find_all(&self, column: &Column) -> Result<Vec<u32>> {
        match (&column.values, self) {
            (Values::Int(keys), _) => {
                let one = |row: usize| match (column.is_valid(row), self) {
                    (false, _) => Ok(ABSENT),
                    (true, StoredKeys::Ints(_)) => self.find(KeyRef::Int(keys[row])),
                    (true, StoredKeys::Texts { .. }) => {
                        self.find(KeyRef::Text(keys[row].to_string().as_bytes()))
                    }
                };
                (0..keys.len()).into_par_iter().map(one).collect()
            }
            (Values::Text(text), StoredKeys::Texts { .. }) => {
                let one = |code: usize| self.find(KeyRef::Text(text.values.get(code as u32).as_bytes()));
                let ids: Vec<u32> = (0..text.values.len()).into_par_iter().map(one).collect::<Result<_>>()?;
                let id = |&code: &u32| if code == MISSING { ABSENT } else { ids[code as usize] };
                Ok(text.codes.iter().map(id).collect())
            }
            _ => Ok(vec![ABSENT; column.len()]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gsl_tables::TextColumn;
    use proptest::prelude::*;

    fn ints(keys: &[i64]) -> StoredKeys {
        StoredKeys::Ints(Piece::of(keys, None))
    }

    fn texts(keys: &[String]) -> StoredKeys {
        let values: TextValues = keys.iter().map(String::as_str).collect();
        let (offsets, bytes) = (Piece::of(values.offsets(), None), Piece::of(values.bytes(), None));
        StoredKeys::Texts { offsets, bytes }
    }

    fn text_column(texts: &[String]) -> Column {
        let values = texts.iter().map(String::as_str).collect();
        Column::new("k", Values::Text(TextColumn { codes: (0..texts.len() as u32).collect(), values }))
    }

    /// What the slices find together, and how many they are.
    fn in_slices(stored: &StoredKeys, column: &Column, memory: u64) -> (Vec<u32>, usize) {
        let (mut ids, mut first, mut slices) = (vec![ABSENT; column.len()], 0, 0);
        while first < stored.len() {
            let end = stored.slice_end(first, memory).unwrap();
            let keys = stored.load(first..end).unwrap();
            let found = keys.index().find_all(&keys, column);
            let into = ids.iter_mut().zip(found).filter(|(_, found)| *found != ABSENT);
            into.for_each(|(id, found)| *id = first as u32 + found);
            (first, slices) = (end, slices + 1);
        }
        (ids, slices)
    }

    proptest! {
        #[test]
        fn slices_and_halving_find_what_an_index_finds(
            keys in prop::collection::btree_set(-300i64..300, 0..200),
            wanted in prop::collection::vec(-310i64..310, 0..90),
            memory in 0u64..4000,
        ) {
            let ints_of: Vec<i64> = keys.iter().copied().collect();
            let shown: Vec<String> = keys.iter().map(i64::to_string).collect::<std::collections::BTreeSet<_>>().into_iter().collect();
            let columns = [
                Column::new("k", Values::Int(wanted.clone())),
                text_column(&wanted.iter().map(i64::to_string).collect::<Vec<_>>()),
            ];
            for (stored, column) in [ints(&ints_of), texts(&shown)].iter().zip(&columns) {
                let held = stored.load(0..stored.len()).unwrap();
                let expected = held.index().find_all(&held, column);
                prop_assert_eq!(&stored.find_all(column).unwrap(), &expected);
                prop_assert_eq!(in_slices(stored, column, memory).0, expected);
            }
        }
    }

    #[test]
    fn keys_are_held_where_they_fit() {
        let sparse: Vec<i64> = (0..1000).map(|i| i * i).collect();
        assert!(matches!(ints(&sparse).held(1 << 20).unwrap(), Keys::Ints(_)));
        assert!(matches!(ints(&sparse).held(1 << 10).unwrap(), Keys::Stored(_)));
        assert!(matches!(ints(&[-1, 0, 1]).held(0).unwrap(), Keys::Dense { first: -1, count: 3 }));
        let column = Column::new("k", Values::Int(sparse.clone()));
        let (ids, slices) = in_slices(&ints(&sparse), &column, 10_000);
        assert_eq!(ids, (0..1000).collect::<Vec<u32>>());
        assert!((3..30).contains(&slices), "{slices} slices");
    }
}
