//! The user's identifiers and dense node ids.
//!
//! Nodes are numbered in ascending order of their keys (texts by bytes), so that a node's id, and all that follows from it,
//! does not depend on the order of rows or files. Without a key column the row number is the key.

use gsl_plan::graph::KeyKind;
use gsl_tables::{Column, MISSING, TextValues, Values, Want};

use super::error::Result;
use super::frame::ABSENT;
use super::index::{IntIndex, TextIndex};
use super::keysort::KeyRef;
use super::stored_keys::StoredKeys;

/// The keys of a node type, in the order of the ids.
#[derive(Clone)]
pub enum Keys {
    /// first, first + 1, …: row numbers, or integers without a gap.
    Dense {
        first: i64,
        count: usize,
    },
    Ints(Vec<i64>),
    Texts(TextValues),
    /// More than memory has room for.
    Stored(StoredKeys),
}

/// Key -> id. What it finds is checked against the keys that it is of.
pub enum KeyIndex {
    /// Keys are first, first + 1, …
    Dense {
        first: i64,
        count: usize,
    },
    Ints(IntIndex),
    Texts(TextIndex),
}

pub fn want_of(kind: Option<KeyKind>) -> Want {
    match kind {
        Some(KeyKind::Text) => Want::Text,
        Some(KeyKind::Int) | None => Want::Int,
    }
}

impl Keys {
    pub fn len(&self) -> usize {
        match self {
            Keys::Dense { count, .. } => *count,
            Keys::Ints(keys) => keys.len(),
            Keys::Texts(keys) => keys.len(),
            Keys::Stored(keys) => keys.len(),
        }
    }

    pub fn want(&self) -> Want {
        match self {
            Keys::Dense { .. } | Keys::Ints(_) => Want::Int,
            Keys::Texts(_) => Want::Text,
            Keys::Stored(keys) => keys.want(),
        }
    }

    /// Integers, which are ascending.
    pub fn of_ints(keys: Vec<i64>) -> Self {
        match keys.as_slice() {
            [first, .., last] if last.wrapping_sub(*first) as u64 == keys.len() as u64 - 1 => {
                Keys::Dense { first: *first, count: keys.len() }
            }
            _ => Keys::Ints(keys),
        }
    }

    /// For a message: what cannot be read is shown as the reason for that.
    pub fn show(&self, id: usize) -> String {
        match self {
            Keys::Dense { first, .. } => (first + id as i64).to_string(),
            Keys::Ints(keys) => keys[id].to_string(),
            Keys::Texts(keys) => keys.get(id as u32).to_string(),
            Keys::Stored(keys) => keys.with(id, show_key).unwrap_or_else(|error| format!("({error})")),
        }
    }

    /// Calls `f` with the bytes that stand for the key of `id`: the text, or the integer in eight.
    pub fn with_bytes<T>(&self, id: usize, f: impl FnOnce(&[u8]) -> T) -> Result<T> {
        match self {
            Keys::Dense { first, .. } => Ok(f(&(first + id as i64).to_le_bytes())),
            Keys::Ints(keys) => Ok(f(&keys[id].to_le_bytes())),
            Keys::Texts(keys) => Ok(f(keys.get(id as u32).as_bytes())),
            Keys::Stored(keys) => keys.with(id, |key| match key {
                KeyRef::Int(key) => f(&key.to_le_bytes()),
                KeyRef::Text(text) => f(text),
            }),
        }
    }

    /// An index of all keys, which are in memory.
    pub fn index(&self) -> KeyIndex {
        match self {
            Keys::Dense { first, count } => KeyIndex::Dense { first: *first, count: *count },
            Keys::Ints(keys) => KeyIndex::Ints(IntIndex::of(keys)),
            Keys::Texts(keys) => KeyIndex::Texts(TextIndex::of(keys)),
            Keys::Stored(_) => unreachable!("stored keys are indexed slice by slice"),
        }
    }

    /// Bytes that the keys and an index of them take in memory.
    pub fn resident(&self) -> u64 {
        match self {
            Keys::Dense { .. } | Keys::Stored(_) => 0,
            Keys::Ints(keys) => size_of_val(keys.as_slice()) as u64 + IntIndex::bytes_for(keys.len()),
            Keys::Texts(keys) => {
                let bytes = (keys.bytes().len() + size_of_val(keys.offsets())) as u64;
                bytes + TextIndex::bytes_for(keys.len())
            }
        }
    }
}

pub fn show_key(key: KeyRef) -> String {
    match key {
        KeyRef::Int(key) => key.to_string(),
        KeyRef::Text(text) => String::from_utf8_lossy(text).into_owned(),
    }
}

impl KeyIndex {
    /// The id of each row's key, [`ABSENT`] where there is none. A text is looked up once per distinct value.
    pub fn find_all(&self, keys: &Keys, column: &Column) -> Vec<u32> {
        match (&column.values, self) {
            (Values::Int(wanted), _) => {
                let mut ids = self.find_ints(keys, wanted);
                if column.validity.is_some() {
                    (0..ids.len()).filter(|&row| !column.is_valid(row)).for_each(|row| ids[row] = ABSENT);
                }
                ids
            }
            (Values::Text(text), KeyIndex::Texts(index)) => {
                let Keys::Texts(keys) = keys else { return vec![ABSENT; column.len()] };
                let ids = index.find_all(keys, &text.values);
                let id = |&code: &u32| if code == MISSING { ABSENT } else { ids[code as usize] };
                text.codes.iter().map(id).collect()
            }
            _ => vec![ABSENT; column.len()],
        }
    }

    /// As [`KeyIndex::find_all`]; `seen` holds the ids of the first `known` distinct texts from an earlier column of the same
    /// dictionary, and of all of them afterwards.
    pub fn find_all_seen(&self, keys: &Keys, column: &Column, known: usize, seen: &mut Vec<u32>) -> Vec<u32> {
        let (Values::Text(text), KeyIndex::Texts(index), Keys::Texts(keys)) = (&column.values, self, keys)
        else {
            return self.find_all(keys, column);
        };
        seen.truncate(known);
        index.find_rest(keys, &text.values, seen);
        let id = |&code: &u32| if code == MISSING { ABSENT } else { seen[code as usize] };
        text.codes.iter().map(id).collect()
    }

    fn find_ints(&self, keys: &Keys, wanted: &[i64]) -> Vec<u32> {
        match (self, keys) {
            (KeyIndex::Dense { first, count }, _) => {
                let id = |&key: &i64| {
                    let offset = key.wrapping_sub(*first) as u64;
                    if key >= *first && offset < *count as u64 { offset as u32 } else { ABSENT }
                };
                wanted.iter().map(id).collect()
            }
            (KeyIndex::Ints(index), _) => index.find_all(wanted),
            (KeyIndex::Texts(index), Keys::Texts(keys)) => {
                let texts: Vec<String> = wanted.iter().map(i64::to_string).collect();
                index.find_all(keys, &texts.iter().map(String::as_str).collect())
            }
            (KeyIndex::Texts(_), _) => vec![ABSENT; wanted.len()],
        }
    }
}

/// What a key cell holds, for a message.
pub fn show_cell(column: &Column, row: usize) -> String {
    match &column.values {
        _ if !column.is_valid(row) => "(nothing)".to_string(),
        Values::Int(keys) => keys[row].to_string(),
        Values::Text(text) => text.get(row).unwrap_or("(nothing)").to_string(),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dense_and_hashed_keys_find_the_same() {
        let (dense, sparse) = (Keys::of_ints(vec![-2, -1, 0]), Keys::of_ints(vec![-2, 0, 9]));
        assert!(matches!(dense.index(), KeyIndex::Dense { first: -2, count: 3 }));
        let found = dense.index().find_ints(&dense, &[-3, -2, 0, 1, i64::MIN, i64::MAX]);
        assert_eq!(found, [ABSENT, 0, 2, ABSENT, ABSENT, ABSENT]);
        assert_eq!(sparse.index().find_ints(&sparse, &[-2, -1, 0, 9]), [0, ABSENT, 1, 2]);
    }

    #[test]
    fn missing_cells_have_no_id() {
        let keys = Keys::Ints(vec![0, 5]);
        let validity = Some([true, false].into_iter().collect());
        let column = Column { validity, ..Column::new("k", Values::Int(vec![5, 0])) };
        assert_eq!(keys.index().find_all(&keys, &column), [1, ABSENT]);
    }
}
