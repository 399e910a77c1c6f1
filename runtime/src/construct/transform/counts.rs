//! Which values there are, and how often among the training rows.

use std::cmp::Reverse;

use gsl_tables::{Interner, MISSING, TextColumn, TextList};
use rustc_hash::FxHashMap;

use super::super::error::Fault;
use super::super::value::{Located, Numbers};
use super::hash::told_apart;
use super::vocabulary::{Vocabulary, sort_as_numbers_or_texts, words};

/// Values with how many training rows have them; 0 for those that only other rows have.
pub(super) enum Counts {
    Texts {
        texts: Interner,
        counts: Vec<u64>,
    },
    /// By the bits of the number.
    Numbers(FxHashMap<u64, u64>),
}

/// How much may be held.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limit {
    /// Values that will have a column each.
    pub(super) values: usize,
    /// Bytes.
    pub(super) memory: u64,
}

/// The most values that may have a column each.
pub const MOST_VALUES: usize = 65_536;

impl Counts {
    pub(super) fn texts() -> Self {
        Counts::Texts { texts: Interner::new(), counts: Vec::new() }
    }

    pub(super) fn numbers() -> Self {
        Counts::Numbers(FxHashMap::default())
    }

    /// Counts the texts of a column, or the words in them where a separator parts words.
    pub(super) fn see_texts(
        &mut self,
        column: &TextColumn,
        separator: Option<&str>,
        trains: Option<&[bool]>,
    ) {
        let mut here = vec![(false, 0u64); column.values.len()];
        for (row, &code) in column.codes.iter().enumerate().filter(|(_, code)| **code != MISSING) {
            let (used, count) = &mut here[code as usize];
            *used = true;
            *count += u64::from(trains.is_none_or(|trains| trains[row]));
        }
        for (cell, (_, count)) in column.values.iter().zip(here).filter(|(_, (used, _))| *used) {
            match separator {
                Some(separator) => words(cell, separator).for_each(|word| self.add_text(word, count)),
                None => self.add_text(cell, count),
            }
        }
    }

    /// Counts the texts in lists; one that a list repeats is counted as often.
    pub(super) fn see_lists(&mut self, lists: &TextList, trains: Option<&[bool]>) {
        let mut here = vec![(false, 0u64); lists.values.len()];
        for row in 0..lists.len() {
            let trained = u64::from(trains.is_none_or(|trains| trains[row]));
            for &code in lists.row(row) {
                let (used, count) = &mut here[code as usize];
                *used = true;
                *count += trained;
            }
        }
        for (text, (_, count)) in lists.values.iter().zip(here).filter(|(_, (used, _))| *used) {
            self.add_text(text, count);
        }
    }

    pub(super) fn see_numbers(&mut self, x: &Numbers, trains: Option<&[bool]>) -> Result<(), Located> {
        let Counts::Numbers(counts) = self else { return Ok(()) };
        for (row, &value) in x.data.iter().enumerate().filter(|(row, _)| !x.is_missing(*row)) {
            let count = counts.entry(told_apart(row, value)?.to_bits()).or_default();
            *count += u64::from(trains.is_none_or(|trains| trains[row]));
        }
        Ok(())
    }

    fn add_text(&mut self, text: &str, count: u64) {
        let Counts::Texts { texts, counts } = self else { return };
        let Some(code) = texts.intern(text) else { return };
        counts.resize(texts.len(), 0);
        counts[code as usize] += count;
    }

    pub(super) fn merge(&mut self, other: Counts) {
        match other {
            Counts::Texts { texts, counts } => {
                texts.values().iter().zip(counts).for_each(|(text, count)| self.add_text(text, count));
            }
            #[allow(clippy::iter_over_hash_type, reason = "sums of integers have no order")]
            Counts::Numbers(other) => {
                let Counts::Numbers(counts) = self else { return };
                other.into_iter().for_each(|(bits, count)| *counts.entry(bits).or_default() += count);
            }
        }
    }

    pub(super) fn refuse_beyond(&self, limit: Limit, transform: &'static str) -> Result<(), Fault> {
        let (values, bytes) = match self {
            Counts::Texts { texts, counts } => {
                (texts.len(), texts.values().bytes().len() + 32 * counts.len())
            }
            Counts::Numbers(counts) => (counts.len(), 32 * counts.len()),
        };
        match values {
            values if values > limit.values => Err(Fault::TooManyValues { transform }),
            values if bytes as u64 > limit.memory => Err(Fault::NoRoomForValues { transform, values }),
            _ => Ok(()),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        match self {
            Counts::Texts { texts, .. } => texts.is_empty(),
            Counts::Numbers(counts) => counts.is_empty(),
        }
    }

    /// All values, ascending.
    pub(super) fn all(self) -> Vocabulary {
        match self {
            Counts::Texts { texts, .. } => texts.values().iter().map(str::to_string).collect(),
            Counts::Numbers(counts) => counts.into_keys().map(f64::from_bits).collect(),
        }
    }

    /// All words; ascending as numbers if all are, else as texts.
    pub(super) fn words(self) -> Vec<String> {
        let Counts::Texts { texts, .. } = self else { return Vec::new() };
        let mut words: Vec<String> = texts.values().iter().map(str::to_string).collect();
        sort_as_numbers_or_texts(&mut words);
        words
    }

    /// The `n` values that most training rows have, the smaller of equals first chosen; ascending.
    pub(super) fn most_frequent(self, n: usize) -> Vocabulary {
        match self {
            Counts::Texts { texts, counts } => {
                let all = texts.values().iter().zip(counts).filter(|(_, count)| *count > 0);
                let mut all: Vec<(Reverse<u64>, &str)> =
                    all.map(|(text, count)| (Reverse(count), text)).collect();
                all.sort_unstable();
                all.into_iter().take(n).map(|(_, text)| text.to_string()).collect()
            }
            Counts::Numbers(counts) => {
                let mut all: Vec<(u64, f64)> =
                    counts.into_iter().map(|(bits, count)| (count, f64::from_bits(bits))).collect();
                all.retain(|(count, _)| *count > 0);
                all.sort_unstable_by(|a, b| b.0.cmp(&a.0).then(a.1.total_cmp(&b.1)));
                all.into_iter().take(n).map(|(_, value)| value).collect()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(cells: &[&str]) -> TextColumn {
        let mut interner = Interner::new();
        let codes = cells.iter().map(|cell| interner.intern(cell).unwrap()).collect();
        TextColumn { codes, values: interner.into_values() }
    }

    #[test]
    fn the_most_frequent_of_the_training_rows() {
        let mut counts = Counts::texts();
        let mask = [true, true, true, true, false, false];
        counts.see_texts(&text(&["b", "a", "c", "c", "d", "d"]), None, Some(&mask));
        counts.see_texts(&text(&["e"]), None, None);
        assert_eq!(counts.most_frequent(3), Vocabulary::Texts(["a", "b", "c"].map(String::from).to_vec()));
        let mut counts = Counts::numbers();
        let x = Numbers { width: 1, data: vec![3.0, 3.0, -0.0, 0.0, 9.0, 9.0], missing: Vec::new() };
        counts.see_numbers(&x, Some(&mask)).unwrap();
        assert_eq!(counts.most_frequent(1), Vocabulary::Numbers(vec![0.0]));
    }

    #[test]
    fn limits_are_of_values_and_of_bytes() {
        let mut counts = Counts::texts();
        counts.see_texts(&text(&["a", "b"]), None, None);
        let limit = Limit { values: 2, memory: 1_000 };
        assert_eq!(counts.refuse_beyond(limit, "one_hot"), Ok(()));
        let few = counts.refuse_beyond(Limit { values: 1, ..limit }, "one_hot").unwrap_err();
        assert_eq!(few, Fault::TooManyValues { transform: "one_hot" });
        let small = counts.refuse_beyond(Limit { memory: 60, ..limit }, "one_hot").unwrap_err();
        assert_eq!(small, Fault::NoRoomForValues { transform: "one_hot", values: 2 });
    }
}
