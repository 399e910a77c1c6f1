//! Numbers of texts: tokens, vectors of a language model, and counts of words. Each distinct text is worked on once.

use gsl_plan::graph::{Pool, TextTransform};
use gsl_tables::{MISSING, TextColumn};
use serde::{Deserialize, Serialize};

use super::super::error::Fault;
use super::super::value::{Numbers, Value};
use super::super::words::{Weights, count_hashed};
use crate::text::{Models, Refusal, Told};

/// A transform of texts with what it has learned.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum FittedText {
    Tokens { model: Model, length: usize },
    Embed { model: Model, length: usize, pool: Pool, width: usize },
    BagOfWords { columns: usize },
    Tfidf(Weights),
}

/// A model by its folder, and by a hash of its files once the feature is fitted: other files give other numbers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Model {
    pub folder: String,
    pub fingerprint: Option<String>,
}

impl FittedText {
    /// What learns nothing from the rows. None: `tfidf`.
    pub(super) fn known(transform: &TextTransform) -> Option<Self> {
        let model = |folder: &String| Model { folder: folder.clone(), fingerprint: None };
        Some(match transform {
            TextTransform::Tokens { model: folder, length } => {
                FittedText::Tokens { model: model(folder), length: *length }
            }
            TextTransform::Embed { model: folder, length, pool, width } => {
                FittedText::Embed { model: model(folder), length: *length, pool: *pool, width: *width }
            }
            TextTransform::BagOfWords { columns } => FittedText::BagOfWords { columns: *columns },
            TextTransform::Tfidf { .. } => return None,
        })
    }

    /// Notes which model it is.
    pub(in super::super) fn sign(&mut self, models: &Models) -> Result<(), Fault> {
        match self {
            FittedText::Tokens { model, .. } | FittedText::Embed { model, .. } => {
                model.fingerprint = Some(models.fingerprint(&model.folder).map_err(|e| refused(model, e))?);
                Ok(())
            }
            FittedText::BagOfWords { .. } | FittedText::Tfidf(_) => Ok(()),
        }
    }

    /// rows × width, and how many of the texts have been cut at a length; a missing text is zeros, for tokens -1.
    pub(in super::super) fn apply(&self, input: &Value, models: &Models) -> Result<(Numbers, u64), Fault> {
        let Value::Text(column) = input else { return Err(Fault::TextWanted { transform: self.name() }) };
        let used = column.used();
        let texts: Vec<Option<&str>> =
            column.values.iter().zip(used).map(|(text, used)| used.then_some(text)).collect();
        Ok(match self {
            FittedText::Tokens { model, length } => {
                model.check(models)?;
                let found = models.tokens(&model.folder, &texts, *length).map_err(|e| refused(model, e))?;
                told(column, -1.0, &found)
            }
            FittedText::Embed { model, length, pool, width } => {
                model.check(models)?;
                let found =
                    models.embed(&model.folder, &texts, *length, *pool).map_err(|e| refused(model, e))?;
                if found.width != *width {
                    return Err(Fault::Widths { found: found.width, expected: *width });
                }
                told(column, 0.0, &found)
            }
            FittedText::BagOfWords { columns } => (counted(column, &texts, *columns, count_hashed), 0),
            FittedText::Tfidf(weights) => {
                (counted(column, &texts, weights.words.len(), |text, row| weights.row(text, row)), 0)
            }
        })
    }

    pub(super) fn width(&self) -> usize {
        match self {
            FittedText::Tokens { length, .. } => *length,
            FittedText::Embed { width, .. } => *width,
            FittedText::BagOfWords { columns } => *columns,
            FittedText::Tfidf(weights) => weights.words.len(),
        }
    }

    /// Its name in the language.
    pub(super) fn name(&self) -> &'static str {
        match self {
            FittedText::Tokens { .. } => "tokens",
            FittedText::Embed { .. } => "embed",
            FittedText::BagOfWords { .. } => "bag_of_words",
            FittedText::Tfidf(_) => "tfidf",
        }
    }
}

impl Model {
    fn check(&self, models: &Models) -> Result<(), Fault> {
        let Some(before) = &self.fingerprint else { return Ok(()) };
        let now = models.fingerprint(&self.folder).map_err(|e| refused(self, e))?;
        match now == *before {
            true => Ok(()),
            false => Err(Fault::ModelChanged { folder: self.folder.clone() }),
        }
    }
}

fn refused(model: &Model, refusal: Refusal) -> Fault {
    Fault::Model { folder: model.folder.clone(), refusal: Box::new(refusal) }
}

/// What a model says of each row's text, and how many rows have one that was cut.
fn told(column: &TextColumn, absent: f64, found: &Told) -> (Numbers, u64) {
    let width = found.width;
    let numbers = spread(column, width, absent, |code| &found.data[code * width..(code + 1) * width]);
    let is_cut = |code: &&u32| **code != MISSING && found.cut[**code as usize];
    (numbers, column.codes.iter().filter(is_cut).count() as u64)
}

/// One row per text, by what `fill` does to a row of zeros; the same row wherever the text stands.
fn counted(
    column: &TextColumn,
    texts: &[Option<&str>],
    width: usize,
    fill: impl Fn(&str, &mut [f64]) + Sync,
) -> Numbers {
    let rows = column.codes.len();
    if texts.len() < rows {
        let mut distinct = vec![0.0; texts.len() * width];
        each_row(&mut distinct, width, |code, row| texts[code].iter().for_each(|text| fill(text, row)));
        return spread(column, width, 0.0, |code| &distinct[code * width..(code + 1) * width]);
    }
    let mut data = vec![0.0; rows * width];
    let text =
        |row: usize| Some(column.codes[row]).filter(|&code| code != MISSING).and_then(|c| texts[c as usize]);
    each_row(&mut data, width, |row, numbers| text(row).iter().for_each(|text| fill(text, numbers)));
    Numbers::new(width, data)
}

fn each_row(data: &mut [f64], width: usize, work: impl Fn(usize, &mut [f64]) + Sync) {
    use rayon::prelude::*;
    data.par_chunks_exact_mut(width.max(1)).enumerate().for_each(|(row, numbers)| work(row, numbers));
}

/// The row of each element's text; `absent` where there is none.
fn spread<'a>(column: &TextColumn, width: usize, absent: f64, row: impl Fn(usize) -> &'a [f64]) -> Numbers {
    let mut data = Vec::with_capacity(column.codes.len() * width);
    for &code in &column.codes {
        match code {
            MISSING => data.resize(data.len() + width, absent),
            code => data.extend_from_slice(row(code as usize)),
        }
    }
    Numbers::new(width, data)
}
