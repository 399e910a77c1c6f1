//! Values that have a column of their own.

use std::sync::OnceLock;

use gsl_tables::{Interner, MISSING, TextColumn, TextValues};
use serde::{Deserialize, Serialize};

use super::super::error::Fault;
use super::super::value::{Located, Numbers, Value, numbers};

/// The values that have a column of their own, ascending.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Vocabulary {
    Texts(Vec<String>),
    Numbers(Vec<f64>),
}

impl FromIterator<String> for Vocabulary {
    fn from_iter<I: IntoIterator<Item = String>>(texts: I) -> Self {
        let mut texts: Vec<String> = texts.into_iter().collect();
        texts.sort_unstable();
        Vocabulary::Texts(texts)
    }
}

impl FromIterator<f64> for Vocabulary {
    fn from_iter<I: IntoIterator<Item = f64>>(numbers: I) -> Self {
        let mut numbers: Vec<f64> = numbers.into_iter().collect();
        numbers.sort_unstable_by(f64::total_cmp);
        Vocabulary::Numbers(numbers)
    }
}

impl Vocabulary {
    pub fn len(&self) -> usize {
        match self {
            Vocabulary::Texts(texts) => texts.len(),
            Vocabulary::Numbers(numbers) => numbers.len(),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// A 1 in the column of each row's value; nothing for a missing one. A value without a column has the last one if there
    /// is one for `others`, else nothing.
    pub(super) fn one_hot(&self, input: Value, rows: usize, others: bool) -> Result<Numbers, Located> {
        let width = self.len() + usize::from(others);
        let other = others.then_some(self.len());
        let mut data = vec![0.0; rows * width];
        let mut set = |row: usize, column: Option<usize>| {
            if let Some(column) = column {
                data[row * width + column] = 1.0;
            }
        };
        match (self, input) {
            (Vocabulary::Texts(known), Value::Text(text)) => {
                let column = |t: &str| known.binary_search_by(|k| k.as_str().cmp(t)).ok().or(other);
                let columns: Vec<Option<usize>> = text.values.iter().map(column).collect();
                for (row, &code) in text.codes.iter().enumerate().filter(|(_, code)| **code != MISSING) {
                    set(row, columns[code as usize]);
                }
            }
            (Vocabulary::Numbers(known), input) => {
                let x = numbers(input, rows, "one_hot")?;
                if x.width != 1 {
                    return Err(Fault::Widths { found: x.width, expected: 1 }.into());
                }
                for row in (0..rows).filter(|&row| !x.is_missing(row)) {
                    set(row, known.binary_search_by(|k| k.total_cmp(&(x.data[row] + 0.0))).ok().or(other));
                }
            }
            _ => return Err(Fault::TextWanted { transform: "one_hot" }.into()),
        }
        Ok(Numbers::new(width, data))
    }
}

/// Words that have a column each, in the order of the columns. Stored as a list.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(from = "Vec<String>", into = "Vec<String>")]
pub struct Lexicon {
    words: Vec<String>,
    index: OnceLock<Interner>,
}

impl From<Vec<String>> for Lexicon {
    fn from(words: Vec<String>) -> Self {
        Lexicon { words, index: OnceLock::new() }
    }
}

impl From<Lexicon> for Vec<String> {
    fn from(lexicon: Lexicon) -> Self {
        lexicon.words
    }
}

impl PartialEq for Lexicon {
    fn eq(&self, other: &Self) -> bool {
        self.words == other.words
    }
}

impl Lexicon {
    pub fn len(&self) -> usize {
        self.words.len()
    }

    pub fn is_empty(&self) -> bool {
        self.words.is_empty()
    }

    pub fn words(&self) -> &[String] {
        &self.words
    }

    /// The column of a word.
    pub fn find(&self, word: &str) -> Option<usize> {
        let index = || Interner::from_values(self.words.iter().map(String::as_str).collect::<TextValues>());
        self.index.get_or_init(index).get(word).map(|column| column as usize)
    }

    /// A 1 in the column of each word of a text, or of each text of a list; nothing for unknown ones and missing rows.
    pub(super) fn multi_hot(&self, input: Value, separator: &str) -> Result<Numbers, Located> {
        match input {
            Value::Text(text) => {
                let columns_of = |cell| words(cell, separator).filter_map(|word| self.find(word)).collect();
                let columns: Vec<Vec<usize>> = text.values.iter().map(columns_of).collect();
                Ok(self.hot(text.codes.len(), |row| match text.codes[row] {
                    MISSING => [].iter(),
                    code => columns[code as usize].iter(),
                }))
            }
            Value::Texts(list) => {
                let columns: Vec<Option<usize>> = list.values.iter().map(|text| self.find(text)).collect();
                let column = |code: &u32| columns[*code as usize].as_ref();
                Ok(self.hot(list.len(), |row| list.row(row).iter().filter_map(column)))
            }
            _ => Err(Fault::TextWanted { transform: "multi_hot" }.into()),
        }
    }

    /// A 1 in each of a row's columns.
    fn hot<'a, I: Iterator<Item = &'a usize>>(&self, rows: usize, columns: impl Fn(usize) -> I) -> Numbers {
        let mut data = vec![0.0; rows * self.len()];
        for row in 0..rows {
            columns(row).for_each(|column| data[row * self.len() + column] = 1.0);
        }
        Numbers::new(self.len(), data)
    }
}

/// `with` in the rows that have no text.
pub(super) fn fill(input: Value, with: &str) -> Result<TextColumn, Located> {
    let Value::Text(mut text) = input else { return Err(Fault::TextWanted { transform: "fill" }.into()) };
    if text.codes.contains(&MISSING) {
        let known = text.values.iter().position(|value| value == with);
        let code = known.unwrap_or_else(|| {
            text.values.push(with);
            text.values.len() - 1
        });
        text.codes.iter_mut().filter(|c| **c == MISSING).for_each(|c| *c = code as u32);
    }
    Ok(text)
}

/// The distinct texts that some row has, ascending.
pub fn used_texts(text: &TextColumn) -> Vec<String> {
    let used = text.used();
    let mut texts: Vec<String> =
        text.values.iter().zip(&used).filter(|(_, used)| **used).map(|(t, _)| t.to_string()).collect();
    texts.sort_unstable();
    texts
}

/// The words of a cell. A separator of blanks is any number of them.
pub fn words<'a>(cell: &'a str, separator: &'a str) -> impl Iterator<Item = &'a str> {
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
