//! Values that have a column of their own.

use gsl_tables::{Interner, MISSING, TextColumn, TextValues};
use serde::{Deserialize, Serialize};

use super::super::error::Fault;
use super::super::value::{Located, Numbers, Value, numbers};
use super::expect_width;

/// The values that have a column of their own, ascending.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Vocabulary {
    Texts(Vec<String>),
    Numbers(Vec<f64>),
}

/// The most values that may have a column each.
pub const MOST_VALUES: usize = 65_536;

impl Vocabulary {
    #[allow(clippy::len_without_is_empty)]
    pub fn len(&self) -> usize {
        match self {
            Vocabulary::Texts(texts) => texts.len(),
            Vocabulary::Numbers(numbers) => numbers.len(),
        }
    }

    /// A 1 in the column of each row's value; nothing for an unseen or missing one.
    pub(super) fn one_hot(&self, input: Value, rows: usize) -> Result<Numbers, Located> {
        let width = self.len();
        let mut data = vec![0.0; rows * width];
        let mut set = |row: usize, column: Option<usize>| {
            if let Some(column) = column {
                data[row * width + column] = 1.0;
            }
        };
        match (self, input) {
            (Vocabulary::Texts(known), Value::Text(text)) => {
                let columns: Vec<Option<usize>> =
                    text.values.iter().map(|t| known.binary_search_by(|k| k.as_str().cmp(t)).ok()).collect();
                for (row, &code) in text.codes.iter().enumerate() {
                    set(row, (code != MISSING).then(|| columns[code as usize]).flatten());
                }
            }
            (Vocabulary::Numbers(known), input) => {
                let x = numbers(input, rows, "one_hot")?;
                expect_width(&x, 1)?;
                for row in (0..rows).filter(|&row| !x.is_missing(row)) {
                    set(row, known.binary_search_by(|k| k.total_cmp(&(x.data[row] + 0.0))).ok());
                }
            }
            _ => return Err(Fault::TextWanted { transform: "one_hot" }.into()),
        }
        Ok(Numbers::new(width, data))
    }
}

/// The distinct texts that some row has, ascending.
pub fn used_texts(text: &TextColumn) -> Vec<String> {
    let mut used = vec![false; text.values.len()];
    text.codes.iter().filter(|&&code| code != MISSING).for_each(|&code| used[code as usize] = true);
    let mut texts: Vec<String> =
        text.values.iter().zip(&used).filter(|(_, used)| **used).map(|(t, _)| t.to_string()).collect();
    texts.sort_unstable();
    texts
}

/// The words of a cell. A separator of blanks is any number of them.
pub(super) fn words<'a>(cell: &'a str, separator: &'a str) -> impl Iterator<Item = &'a str> {
    let by_space = separator.trim().is_empty();
    let separator = if separator.is_empty() { " " } else { separator };
    let pieces: Box<dyn Iterator<Item = &str>> =
        if by_space { Box::new(cell.split_whitespace()) } else { Box::new(cell.split(separator)) };
    pieces.map(str::trim).filter(|word| !word.is_empty())
}

/// Ascending: as numbers if all are, else as texts.
pub fn sort_as_numbers_or_texts(texts: &mut [String]) {
    let numbers: Option<Vec<f64>> =
        texts.iter().map(|text| text.parse().ok().filter(|x: &f64| x.is_finite())).collect();
    match numbers {
        Some(_) => texts.sort_by(|a, b| {
            let (x, y): (f64, f64) = (a.parse().unwrap_or_default(), b.parse().unwrap_or_default());
            x.total_cmp(&y).then_with(|| a.cmp(b))
        }),
        None => texts.sort(),
    }
}

/// A 1 in the column of each word of a row.
pub(super) fn multi_hot(text: &TextColumn, separator: &str, vocabulary: &[String]) -> Numbers {
    let known = Interner::from_values(vocabulary.iter().map(String::as_str).collect::<TextValues>());
    let columns: Vec<Vec<u32>> = text
        .values
        .iter()
        .map(|cell| words(cell, separator).filter_map(|word| known.get(word)).collect())
        .collect();
    let mut data = vec![0.0; text.codes.len() * vocabulary.len()];
    for (row, &code) in text.codes.iter().enumerate().filter(|(_, code)| **code != MISSING) {
        for &column in &columns[code as usize] {
            data[row * vocabulary.len() + column as usize] = 1.0;
        }
    }
    Numbers::new(vocabulary.len(), data)
}

#[cfg(test)]
mod tests {
    use gsl_plan::graph::Transform;

    use super::super::FittedTransform;
    use super::*;

    #[test]
    fn words_sort_as_numbers_when_all_are() {
        let values: TextValues = ["10 9", "2  9"].into_iter().collect();
        let text = TextColumn { codes: vec![1, 0], values };
        let transform = Transform::MultiHot { separator: " ".to_string() };
        let fitted = FittedTransform::fit(&transform, &Value::Text(text.clone()), 2, None).unwrap();
        let FittedTransform::MultiHot { vocabulary, .. } = &fitted else { panic!("{fitted:?}") };
        assert_eq!(*vocabulary, ["2", "9", "10"]);
        assert_eq!(multi_hot(&text, " ", vocabulary).data, [1.0, 1.0, 0.0, 0.0, 1.0, 1.0]);
    }
}
