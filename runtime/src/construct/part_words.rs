//! Words in the column of a split: those that name a part, and those that name none.

use std::collections::BTreeMap;

use gsl_plan::graph::Part;
use gsl_tables::{Column, MISSING, Values};
use serde::{Deserialize, Serialize};

/// The part that a word names, in any case of letters.
pub fn part_named(word: &str) -> Option<Part> {
    match word.trim().to_ascii_lowercase().as_str() {
        "train" | "training" => Some(Part::Train),
        "valid" | "val" | "validation" => Some(Part::Valid),
        "test" | "testing" => Some(Part::Test),
        _ => None,
    }
}

/// How many rows of a column have words that name no part, and which ones. Rows without a word are not among them.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct OtherWords {
    pub column: String,
    pub rows: u64,
    /// The first in the order of texts, with their rows.
    pub first: BTreeMap<String, u64>,
}

/// Words that are kept. The smallest are, so that what is kept of them does not depend on the order of rows.
const KEPT: usize = 16;
/// Words that a message names.
const NAMED: usize = 5;

impl OtherWords {
    pub fn of(column: &Column) -> Self {
        let mut found = OtherWords { column: column.name.clone(), ..OtherWords::default() };
        let Values::Text(text) = &column.values else { return found };
        let mut rows: BTreeMap<u32, u64> = BTreeMap::new();
        for &code in text.codes.iter().filter(|&&code| code != MISSING) {
            *rows.entry(code).or_default() += 1;
        }
        for (code, rows) in rows {
            let word = text.values.get(code);
            if part_named(word).is_none() {
                found.add(word, rows);
            }
        }
        found
    }

    fn add(&mut self, word: &str, rows: u64) {
        self.rows += rows;
        *self.first.entry(word.to_string()).or_default() += rows;
        if self.first.len() > KEPT {
            self.first.pop_last();
        }
    }

    pub fn merge(&mut self, other: OtherWords) {
        if self.column.is_empty() {
            self.column = other.column;
        }
        let named: u64 = other.first.values().sum();
        other.first.iter().for_each(|(word, rows)| self.add(word, *rows));
        self.rows += other.rows - named;
    }

    pub fn is_empty(&self) -> bool {
        self.rows == 0
    }

    /// What the column has, and that no part is named so; nothing where all words name parts.
    pub fn said(&self) -> Option<String> {
        if self.is_empty() {
            return None;
        }
        let rows = |n: u64| if n == 1 { "1 row".to_string() } else { format!("{n} rows") };
        let named: Vec<String> =
            self.first.iter().take(NAMED).map(|(word, n)| format!("`{word}` in {}", rows(*n))).collect();
        let rest = self.rows - self.first.values().take(NAMED).sum::<u64>();
        let rest = if rest == 0 { String::new() } else { format!(" and others in {}", rows(rest)) };
        let verb = if self.first.len() == 1 { "which names" } else { "which name" };
        let column = &self.column;
        Some(format!(
            "column `{column}` has {}{rest}, {verb} no part: train, valid (val), test",
            named.join(", ")
        ))
    }

    /// The rule that would make parts of the column, if its words are numbers. `split`: what stands before `=`.
    pub fn rule(&self, split: &str) -> Option<String> {
        let mut numbers: Vec<f64> =
            self.first.keys().map(|word| word.trim().parse().ok()).collect::<Option<_>>()?;
        numbers.sort_by(f64::total_cmp);
        let valid = numbers.iter().rev().nth(1)?;
        let column = &self.column;
        Some(format!("{split} = by {column} (train: < {valid}, valid: {valid}, test: > {valid})"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(words: &[(&str, u64)]) -> OtherWords {
        let mut found = OtherWords { column: "fold".into(), ..OtherWords::default() };
        words.iter().for_each(|(word, rows)| found.add(word, *rows));
        found
    }

    #[test]
    fn what_is_kept_does_not_depend_on_the_order() {
        let all: Vec<(String, u64)> = (0..40).map(|i| (format!("w{i:02}"), 1 + i % 3)).collect();
        let all: Vec<(&str, u64)> = all.iter().map(|(word, rows)| (word.as_str(), *rows)).collect();
        let backwards: Vec<(&str, u64)> = all.iter().rev().copied().collect();
        assert_eq!(words(&all), words(&backwards));
        let mut merged = words(&all[20..]);
        merged.merge(words(&all[..20]));
        assert_eq!(merged, words(&all));
        assert_eq!(merged.rows, all.iter().map(|(_, rows)| rows).sum::<u64>());
    }

    #[test]
    fn words_are_named_and_numbers_make_a_rule() {
        assert_eq!(words(&[]).said(), None);
        let said = words(&[("dev", 500)]).said().unwrap();
        assert_eq!(
            said,
            "column `fold` has `dev` in 500 rows, which names no part: train, valid (val), test"
        );
        let many = words(&[("a", 1), ("b", 2), ("c", 1), ("d", 1), ("e", 1), ("f", 7)]).said().unwrap();
        assert!(many.contains("`e` in 1 row and others in 7 rows, which name no part"), "{many}");
        assert_eq!(words(&[("dev", 1), ("2", 1)]).rule("split kind"), None);
        let folds = words(&[("0", 3), ("9", 3), ("10", 3)]).rule("split kind").unwrap();
        assert_eq!(folds, "split kind = by fold (train: < 9, valid: 9, test: > 9)");
    }
}
