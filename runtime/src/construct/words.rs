//! Words without a model: how a text is cut into words, hashed counts of them, and tf-idf.

use std::borrow::Cow;

use gsl_tables::{MISSING, TextColumn};
use rustc_hash::FxHashMap;
use serde::{Deserialize, Serialize};

use super::error::Fault;

/// Keys the hash of words. Changing it changes every graph with a `bag_of_words`.
const HASH_KEY: [u8; 32] = *b"gsl: columns of words, version 1";

/// The words of a text: runs of letters and digits of any script, in lower case.
pub fn words(text: &str) -> impl Iterator<Item = Cow<'_, str>> {
    text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).map(lower)
}

fn lower(word: &str) -> Cow<'_, str> {
    let is_lower = |c: char| c.is_lowercase() || !c.is_uppercase();
    match word.chars().all(is_lower) {
        true => Cow::Borrowed(word),
        false => Cow::Owned(word.to_lowercase()),
    }
}

/// Adds 1 to the column of each word of a text. Words that share a column are counted together.
pub fn count_hashed(text: &str, counts: &mut [f64]) {
    for word in words(text) {
        counts[column_of(&word, counts.len())] += 1.0;
    }
}

/// One of `columns` equal parts of the range of the word's hash.
fn column_of(word: &str, columns: usize) -> usize {
    let hash = blake3::keyed_hash(&HASH_KEY, word.as_bytes());
    let (first, _) = hash.as_bytes().split_first_chunk::<8>().expect("a hash has 32 bytes");
    ((u128::from(u64::from_le_bytes(*first)) * columns as u128) >> 64) as usize
}

/// Of an entry of a table of words, besides the word: string, count and what is free.
const WORD_BYTES: u64 = 64;

/// In how many texts each word occurs.
#[derive(Debug, Default)]
pub struct Frequencies {
    texts: u64,
    /// Of the words themselves.
    bytes: u64,
    of: FxHashMap<String, u64>,
}

/// Words that have a column of their own, ascending, and the weight of each.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Weights {
    pub words: Vec<String>,
    /// ln((1 + N) / (1 + df)) + 1, N texts, df of them with the word.
    pub idf: Vec<f64>,
}

impl Frequencies {
    /// Counts the rows that `trains` names (all, if none) and that have a text.
    pub fn see(&mut self, column: &TextColumn, trains: Option<&[bool]>) {
        let mut rows = vec![0u64; column.values.len()];
        for (row, &code) in column.codes.iter().enumerate() {
            if code != MISSING && trains.is_none_or(|trains| trains[row]) {
                rows[code as usize] += 1;
            }
        }
        for (text, rows) in column.values.iter().zip(rows).filter(|(_, rows)| *rows > 0) {
            self.add(text, rows);
        }
    }

    fn add(&mut self, text: &str, rows: u64) {
        let mut distinct: Vec<Cow<str>> = words(text).collect();
        distinct.sort_unstable();
        distinct.dedup();
        self.texts += rows;
        for word in distinct {
            match self.of.get_mut(word.as_ref()) {
                Some(count) => *count += rows,
                None => {
                    self.bytes += word.len() as u64;
                    self.of.insert(word.into_owned(), rows);
                }
            }
        }
    }

    pub fn merge(&mut self, other: Frequencies) {
        self.texts += other.texts;
        #[allow(clippy::iter_over_hash_type, reason = "sums of integers have no order")]
        for (word, rows) in other.of {
            let length = word.len() as u64;
            let count = self.of.entry(word).or_insert_with(|| {
                self.bytes += length;
                0
            });
            *count += rows;
        }
    }

    /// # Errors
    /// The words take more than `memory` bytes.
    pub fn refuse_beyond(&self, memory: u64, transform: &'static str) -> Result<(), Fault> {
        match self.bytes + WORD_BYTES * self.of.len() as u64 {
            bytes if bytes > memory => Err(Fault::NoRoomForValues { transform, values: self.of.len() }),
            _ => Ok(()),
        }
    }

    /// The `most` words of most texts, of equals those that come first. None: there is no word.
    pub fn weights(self, most: usize) -> Option<Weights> {
        #[allow(clippy::iter_over_hash_type, reason = "sorted below")]
        let mut all: Vec<(String, u64)> = self.of.into_iter().collect();
        all.sort_unstable_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        all.truncate(most);
        all.sort_unstable();
        let texts = self.texts as f64;
        let idf = all.iter().map(|(_, df)| ((1.0 + texts) / (1.0 + *df as f64)).ln() + 1.0).collect();
        let words = all.into_iter().map(|(word, _)| word).collect();
        Some(Weights { words, idf }).filter(|weights| !weights.words.is_empty())
    }
}

impl Weights {
    /// Counts of the known words times their weights, divided by the Euclidean norm of the row; zeros where no word is known.
    /// (Salton and Buckley 1988; the smoothing is that of scikit-learn's `TfidfVectorizer`.)
    pub fn row(&self, text: &str, row: &mut [f64]) {
        for word in words(text) {
            if let Ok(column) = self.words.binary_search_by(|known| known.as_str().cmp(&word)) {
                row[column] += 1.0;
            }
        }
        row.iter_mut().zip(&self.idf).for_each(|(x, idf)| *x *= idf);
        let norm = row.iter().map(|x| x * x).sum::<f64>().sqrt();
        if norm > 0.0 {
            row.iter_mut().for_each(|x| *x /= norm);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(rows: &[Option<&str>]) -> TextColumn {
        let mut interner = gsl_tables::Interner::new();
        let codes =
            rows.iter().map(|text| text.and_then(|t| interner.intern(t)).unwrap_or(MISSING)).collect();
        TextColumn { codes, values: interner.values().clone() }
    }

    fn cut(text: &str) -> Vec<String> {
        words(text).map(Cow::into_owned).collect()
    }

    #[test]
    fn words_are_letters_and_digits_of_any_script() {
        assert_eq!(cut("Graph-based, GNNs: 3rd ed."), ["graph", "based", "gnns", "3rd", "ed"]);
        assert_eq!(cut("Straße ÜBER Ångström 東京 2024"), ["straße", "über", "ångström", "東京", "2024"]);
        assert_eq!(cut(" \t…—!"), Vec::<String>::new());
    }

    #[test]
    fn hashed_counts_are_the_same_everywhere() {
        let mut counts = vec![0.0; 8];
        count_hashed("a graph is a Graph", &mut counts);
        assert_eq!(counts.iter().sum::<f64>(), 5.0);
        assert_eq!(["graph", "node", "edge"].map(|word| column_of(word, 1024)), [534, 581, 902]);
    }

    #[test]
    fn hashed_columns_are_even() {
        let mut counts = vec![0.0; 16];
        (0..16_000).for_each(|i| count_hashed(&format!("w{i}"), &mut counts));
        assert!(counts.iter().all(|&n| (n - 1000.0_f64).abs() < 150.0), "{counts:?}");
    }

    /// Three training texts; the fourth does not train, the fifth is missing. By hand.
    #[test]
    fn tf_idf_follows_its_formula() {
        let rows = [Some("cat sat"), Some("cat ran, cat hid"), Some("a dog"), Some("dog dog dog"), None];
        let mut all = Frequencies::default();
        all.see(&column(&rows), Some(&[true, true, true, false, true]));
        let weights = all.weights(3).unwrap();
        assert_eq!(weights.words, ["a", "cat", "dog"], "ties go to the first in order");
        let idf = |df: f64| ((1.0f64 + 3.0) / (1.0 + df)).ln() + 1.0;
        assert_eq!(weights.idf, [idf(1.0), idf(2.0), idf(1.0)]);
        let mut row = [0.0; 3];
        weights.row("dog! a cat, a mouse", &mut row);
        let (a, cat, dog) = (2.0 * idf(1.0), idf(2.0), idf(1.0));
        let norm = (a * a + cat * cat + dog * dog).sqrt();
        row.iter().zip([a, cat, dog]).for_each(|(x, y)| assert!((x - y / norm).abs() < 1e-15));
        let mut unknown = [0.0; 3];
        weights.row("mouse", &mut unknown);
        assert_eq!(unknown, [0.0; 3]);
    }

    #[test]
    fn frequencies_do_not_depend_on_batches() {
        let rows: Vec<String> = (0..60).map(|i| format!("w{} w{} w{}", i % 7, i % 5, i % 3)).collect();
        let rows: Vec<Option<&str>> = rows.iter().map(|row| Some(row.as_str())).collect();
        let of = |batches: &[&[Option<&str>]]| {
            let mut all = Frequencies::default();
            for rows in batches {
                let mut batch = Frequencies::default();
                batch.see(&column(rows), None);
                all.merge(batch);
            }
            all.weights(5)
        };
        let whole = of(&[&rows]);
        assert_eq!(whole, of(&[&rows[40..], &rows[..13], &rows[13..40]]));
        assert_eq!(whole.map(|weights| weights.words.len()), Some(5));
        assert!(Frequencies::default().weights(5).is_none());
    }
}
