//! The user's identifiers and dense node ids.
//!
//! Nodes are numbered in ascending order of their keys (texts by bytes), so that a node's id, and all that follows from it,
//! does not depend on the order of rows or files. Without a key column the row number is the key.

use gsl_plan::graph::KeyKind;
use gsl_tables::{Column, Interner, MISSING, TextValues, Values, Want};
use rustc_hash::FxHashMap;

use super::frame::ABSENT;

/// The keys of a node type, in the order of the ids.
#[derive(Debug, Clone, PartialEq)]
pub enum Keys {
    Rows(usize),
    Ints(Vec<i64>),
    Texts(TextValues),
}

/// Key -> id.
pub enum KeyIndex {
    /// Keys are first, first + 1, …
    Dense {
        first: i64,
        count: usize,
    },
    Ints(FxHashMap<i64, u32>),
    Texts(Interner),
}

/// Rows of a key column in the order of their keys, and what does not fit.
pub struct Sorted {
    pub keys: Keys,
    /// Row of each id: the first of its key.
    pub rows: Vec<u32>,
    /// Rows whose key an earlier row has, with that row, in row order.
    pub repeats: Vec<(u32, u32)>,
    /// Rows without a key.
    pub missing: Vec<u32>,
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
            Keys::Rows(count) => *count,
            Keys::Ints(keys) => keys.len(),
            Keys::Texts(keys) => keys.len(),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub fn want(&self) -> Want {
        match self {
            Keys::Texts(_) => Want::Text,
            _ => Want::Int,
        }
    }

    pub fn show(&self, id: usize) -> String {
        match self {
            Keys::Rows(_) => id.to_string(),
            Keys::Ints(keys) => keys[id].to_string(),
            Keys::Texts(keys) => keys.get(id as u32).to_string(),
        }
    }

    /// Calls `f` with the bytes that stand for the key of `id`: the text, or the decimal digits.
    pub fn with_bytes<T>(&self, id: usize, f: impl FnOnce(&[u8]) -> T) -> T {
        match self {
            Keys::Rows(_) => f(&(id as i64).to_le_bytes()),
            Keys::Ints(keys) => f(&keys[id].to_le_bytes()),
            Keys::Texts(keys) => f(keys.get(id as u32).as_bytes()),
        }
    }

    pub fn index(&self) -> KeyIndex {
        match self {
            Keys::Rows(count) => KeyIndex::Dense { first: 0, count: *count },
            Keys::Ints(keys) => match keys.as_slice() {
                [first, .., last] if last.wrapping_sub(*first) as u64 == keys.len() as u64 - 1 => {
                    KeyIndex::Dense { first: *first, count: keys.len() }
                }
                keys => KeyIndex::Ints(keys.iter().enumerate().map(|(id, &key)| (key, id as u32)).collect()),
            },
            Keys::Texts(keys) => KeyIndex::Texts(Interner::from_values(keys.clone())),
        }
    }

    /// The distinct keys of several columns, ascending: a type that its edges declare.
    pub fn union(columns: &[&Column]) -> Keys {
        let texts = columns.iter().any(|column| matches!(column.values, Values::Text(_)));
        if !texts {
            let mut keys: Vec<i64> = columns.iter().flat_map(|column| present_ints(column)).collect();
            keys.sort_unstable();
            keys.dedup();
            return Keys::Ints(keys);
        }
        let mut keys: Vec<&str> = columns.iter().flat_map(|column| present_texts(column)).collect();
        keys.sort_unstable();
        keys.dedup();
        Keys::Texts(keys.into_iter().collect())
    }
}

fn present_ints(column: &Column) -> Vec<i64> {
    match &column.values {
        Values::Int(v) => {
            v.iter().enumerate().filter(|(row, _)| column.is_valid(*row)).map(|(_, k)| *k).collect()
        }
        _ => Vec::new(),
    }
}

fn present_texts(column: &Column) -> Vec<&str> {
    let Values::Text(text) = &column.values else { return Vec::new() };
    let mut used = vec![false; text.values.len()];
    text.codes.iter().filter(|&&code| code != MISSING).for_each(|&code| used[code as usize] = true);
    text.values.iter().zip(used).filter(|(_, used)| *used).map(|(text, _)| text).collect()
}

impl KeyIndex {
    pub fn find_int(&self, key: i64) -> u32 {
        match self {
            KeyIndex::Dense { first, count } => {
                let offset = key.wrapping_sub(*first) as u64;
                if key >= *first && offset < *count as u64 { offset as u32 } else { ABSENT }
            }
            KeyIndex::Ints(map) => map.get(&key).copied().unwrap_or(ABSENT),
            KeyIndex::Texts(known) => known.get(&key.to_string()).unwrap_or(ABSENT),
        }
    }

    /// The id of each row's key, [`ABSENT`] where there is none. A text is looked up once per distinct value.
    pub fn find_all(&self, column: &Column) -> Vec<u32> {
        match (&column.values, self) {
            (Values::Int(keys), _) => keys
                .iter()
                .enumerate()
                .map(|(row, &key)| if column.is_valid(row) { self.find_int(key) } else { ABSENT })
                .collect(),
            (Values::Text(text), KeyIndex::Texts(known)) => {
                let ids: Vec<u32> = text.values.iter().map(|key| known.get(key).unwrap_or(ABSENT)).collect();
                text.codes
                    .iter()
                    .map(|&code| if code == MISSING { ABSENT } else { ids[code as usize] })
                    .collect()
            }
            _ => vec![ABSENT; column.len()],
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

/// Sorts the rows of a key column.
pub fn sort(column: &Column) -> Sorted {
    match &column.values {
        Values::Text(text) => {
            let ranks = ranks_of(&text.values);
            let key = |row: u32| ranks[text.codes[row as usize] as usize];
            let (rows, repeats, missing) = sort_rows(column, key);
            let keys = rows.iter().map(|&row| text.values.get(text.codes[row as usize])).collect();
            Sorted { keys: Keys::Texts(keys), rows, repeats, missing }
        }
        Values::Int(values) => {
            let (rows, repeats, missing) = sort_rows(column, |row| values[row as usize]);
            let keys = rows.iter().map(|&row| values[row as usize]).collect();
            Sorted { keys: Keys::Ints(keys), rows, repeats, missing }
        }
        _ => Sorted { keys: Keys::Rows(0), rows: Vec::new(), repeats: Vec::new(), missing: Vec::new() },
    }
}

fn ranks_of(values: &TextValues) -> Vec<u32> {
    let mut order: Vec<u32> = (0..values.len() as u32).collect();
    order.sort_unstable_by_key(|&code| values.get(code));
    let mut ranks = vec![0; order.len()];
    for (rank, &code) in order.iter().enumerate() {
        ranks[code as usize] = rank as u32;
    }
    ranks
}

type SortedRows = (Vec<u32>, Vec<(u32, u32)>, Vec<u32>);

fn sort_rows<K: Ord + Copy>(column: &Column, key: impl Fn(u32) -> K) -> SortedRows {
    let (mut rows, missing): (Vec<u32>, Vec<u32>) =
        (0..column.len() as u32).partition(|&row| column.is_valid(row as usize));
    rows.sort_by_key(|&row| key(row));
    let mut repeats = Vec::new();
    let mut first: Option<u32> = None;
    rows.retain(|&row| match first {
        Some(known) if key(known) == key(row) => {
            repeats.push((row, known));
            false
        }
        _ => {
            first = Some(row);
            true
        }
    });
    repeats.sort_unstable();
    (rows, repeats, missing)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_follow_keys_and_repeats_name_the_first_row() {
        let column = Column::new("k", Values::Int(vec![7, -1, 7, 3, -1]));
        let sorted = sort(&column);
        assert_eq!((sorted.keys, sorted.rows), (Keys::Ints(vec![-1, 3, 7]), vec![1, 3, 0]));
        assert_eq!(sorted.repeats, [(2, 0), (4, 1)]);
    }

    #[test]
    fn dense_and_hashed_keys_find_the_same() {
        let (dense, sparse) = (Keys::Ints(vec![-2, -1, 0]).index(), Keys::Ints(vec![-2, 0, 9]).index());
        assert!(matches!(dense, KeyIndex::Dense { first: -2, count: 3 }));
        assert_eq!(
            [-3, -2, 0, 1, i64::MIN, i64::MAX].map(|k| dense.find_int(k)),
            [ABSENT, 0, 2, ABSENT, ABSENT, ABSENT]
        );
        assert_eq!([-2, -1, 0, 9].map(|k| sparse.find_int(k)), [0, ABSENT, 1, 2]);
    }
}
