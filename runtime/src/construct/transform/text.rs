//! Numbers of texts: tokens, vectors of a language model, and counts of words. Each distinct text is worked on once.

use gsl_plan::graph::{Pool, TextTransform};
use gsl_tables::{MISSING, TextColumn};
use serde::{Deserialize, Serialize};

use super::super::error::Fault;
use super::super::value::{Numbers, Value};
use super::super::words::{Weights, count_hashed};
use crate::text::{Models, Refusal};

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

    /// rows × width; a missing text is zeros, for tokens -1.
    pub(in super::super) fn apply(&self, input: &Value, models: &Models) -> Result<Numbers, Fault> {
        let Value::Text(column) = input else { return Err(Fault::TextWanted { transform: self.name() }) };
        let used = column.used();
        let texts: Vec<Option<&str>> =
            column.values.iter().zip(used).map(|(text, used)| used.then_some(text)).collect();
        Ok(match self {
            FittedText::Tokens { model, length } => {
                model.check(models)?;
                let found = models.tokens(&model.folder, &texts, *length).map_err(|e| refused(model, e))?;
                spread(column, *length, -1.0, |code| &found[code * length..(code + 1) * length])
            }
            FittedText::Embed { model, length, pool, width } => {
                model.check(models)?;
                let (found, data) =
                    models.embed(&model.folder, &texts, *length, *pool).map_err(|e| refused(model, e))?;
                if found != *width {
                    return Err(Fault::Widths { found, expected: *width });
                }
                let wide: Vec<f64> = data.into_iter().map(f64::from).collect();
                spread(column, *width, 0.0, |code| &wide[code * width..(code + 1) * width])
            }
            FittedText::BagOfWords { columns } => counted(column, &texts, *columns, count_hashed),
            FittedText::Tfidf(weights) => {
                counted(column, &texts, weights.words.len(), |text, row| weights.row(text, row))
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
