//! Transforms with what they have learned, and how they are applied. Applying has one code path, for the tables of a
//! build and for new ones. What they learn and how is in [`learn`].

mod counts;
mod date;
mod hash;
mod learn;
mod numeric;
mod rank;
mod statistics;
mod text;
mod vector;
mod vocabulary;

use gsl_plan::graph::{DatePart, Transform};
use serde::{Deserialize, Serialize};

use super::error::Fault;
use super::value::{Located, Numbers, Value, numbers};
use crate::text::Models;

pub(crate) use learn::Learner;
pub use rank::{KNOTS, Ranks};
pub use text::{FittedText, Model};
pub use vocabulary::{Lexicon, Vocabulary, sort_as_numbers_or_texts, used_texts, words};

/// A transform with what it has learned. Where a list is of columns it has one entry per column, or one for all.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum FittedTransform {
    Standardize {
        mean: Vec<f64>,
        std: Vec<f64>,
    },
    MinMax {
        min: Vec<f64>,
        max: Vec<f64>,
    },
    SumNormalize {
        sum: Vec<f64>,
    },
    GaussRank {
        ranks: Vec<Ranks>,
    },
    Quantile {
        ranks: Vec<Ranks>,
    },
    Log1p,
    Sqrt,
    Abs,
    Clip {
        low: f64,
        high: f64,
    },
    /// Ascending bounds. Each interval that x ± window / 2 touches is set.
    Bucket {
        bounds: Vec<Vec<f64>>,
        window: f64,
    },
    /// `others`: one more column, for the values that have none of their own.
    OneHot {
        vocabulary: Vocabulary,
        others: bool,
    },
    MultiHot {
        separator: String,
        vocabulary: Lexicon,
    },
    Hash {
        columns: usize,
    },
    Fill {
        values: Vec<f64>,
    },
    FillText {
        text: String,
    },
    NormalizeRows {
        p: u8,
    },
    /// `more`: a row may have more numbers than the first `width`, which are taken.
    Vector {
        width: usize,
        separator: Option<String>,
        more: bool,
    },
    Part(DatePart),
    Cyclic {
        period: f64,
    },
    Text(FittedText),
}

impl FittedTransform {
    /// Learns from the rows of one value that `trains` names (all, if none).
    pub fn fit(
        transform: &Transform,
        input: Value,
        rows: usize,
        trains: Option<&[bool]>,
    ) -> Result<Self, Located> {
        match Learner::of(transform) {
            Err(known) => Ok(known),
            Ok(mut learner) => {
                learner.see(input, rows, trains)?;
                Ok(learner.finish()?)
            }
        }
    }

    /// rows × width in, rows × width' out.
    pub fn apply(&self, input: Value, rows: usize) -> Result<Value, Located> {
        Ok(Value::Numbers(match (self, input) {
            (FittedTransform::FillText { text }, input) => {
                return vocabulary::fill(input, text).map(Value::Text);
            }
            (FittedTransform::OneHot { vocabulary, others }, input) => {
                vocabulary.one_hot(input, rows, *others)?
            }
            (FittedTransform::MultiHot { separator, vocabulary }, input) => {
                vocabulary.multi_hot(input, separator)?
            }
            (FittedTransform::Hash { columns }, input) => hash::one_hot(input, rows, *columns)?,
            (FittedTransform::Vector { width, separator: Some(separator), more }, input) => {
                vector::of_texts(input, separator, *width, *more)?
            }
            (FittedTransform::Vector { width, separator: None, more }, Value::Lists(lists)) => {
                vector::of_lists(&lists, *width, *more)?
            }
            (FittedTransform::Part(part), input) => date::part(*part, input)?,
            (FittedTransform::Text(text), input) => text.apply(&input, &Models::default())?.0,
            (_, input) => self.apply_to_numbers(numbers(input, rows, self.name())?)?,
        }))
    }

    fn apply_to_numbers(&self, x: Numbers) -> Result<Numbers, Located> {
        match self {
            FittedTransform::Standardize { mean, std } => {
                let (mean, std) = (by_column(mean, &x)?, by_column(std, &x)?);
                x.map(|_, c, x| Ok(if std(c) > &0.0 { (x - mean(c)) / std(c) } else { 0.0 }))
            }
            FittedTransform::MinMax { min, max } => {
                let (min, max) = (by_column(min, &x)?, by_column(max, &x)?);
                x.map(|_, c, x| Ok(numeric::min_max(x, *min(c), *max(c))))
            }
            FittedTransform::SumNormalize { sum } => {
                let sum = by_column(sum, &x)?;
                x.map(|_, c, x| Ok(x / sum(c)))
            }
            FittedTransform::GaussRank { ranks } => {
                let ranks = by_column(ranks, &x)?;
                x.map(|_, c, x| Ok(ranks(c).gauss(x)))
            }
            FittedTransform::Quantile { ranks } => {
                let ranks = by_column(ranks, &x)?;
                x.map(|_, c, x| Ok(ranks(c).share(x)))
            }
            FittedTransform::Log1p => x.map(|row, _, x| match x > -1.0 {
                true => Ok(x.ln_1p()),
                false => Err(Located::at(row, Fault::LogBelowMinusOne { found: x })),
            }),
            FittedTransform::Sqrt => x.map(|row, _, x| match x >= 0.0 {
                true => Ok(x.sqrt()),
                false => Err(Located::at(row, Fault::RootOfNegative { found: x })),
            }),
            FittedTransform::Abs => x.map(|_, _, x| Ok(x.abs())),
            FittedTransform::Clip { low, high } => x.map(|_, _, x| Ok(x.max(*low).min(*high))),
            FittedTransform::Bucket { bounds, window } => numeric::bucket(&x, bounds, *window),
            FittedTransform::Fill { values } => numeric::fill(x, values),
            FittedTransform::NormalizeRows { p } => Ok(numeric::normalize_rows(x, *p)),
            FittedTransform::Cyclic { period } => Ok(numeric::cyclic(&x, *period)),
            FittedTransform::Vector { width, separator: None, .. } if x.width == *width => Ok(x),
            FittedTransform::Vector { width, .. } => {
                Err(Fault::Widths { found: x.width, expected: *width }.into())
            }
            FittedTransform::OneHot { .. }
            | FittedTransform::MultiHot { .. }
            | FittedTransform::Hash { .. }
            | FittedTransform::FillText { .. }
            | FittedTransform::Part(_)
            | FittedTransform::Text(_) => Err(Fault::TextWanted { transform: self.name() }.into()),
        }
    }

    /// Numbers a row that it gives for `input` numbers a row.
    pub fn width(&self, input: usize) -> usize {
        match self {
            FittedTransform::OneHot { vocabulary, others } => vocabulary.len() + usize::from(*others),
            FittedTransform::MultiHot { vocabulary, .. } => vocabulary.len(),
            FittedTransform::Hash { columns } => *columns,
            FittedTransform::Bucket { bounds, .. } => match bounds.as_slice() {
                [bounds] => (bounds.len() + 1) * input,
                bounds => bounds.iter().map(|bounds| bounds.len() + 1).sum(),
            },
            FittedTransform::Vector { width, .. } => *width,
            FittedTransform::Cyclic { .. } => 2 * input,
            FittedTransform::Text(text) => text.width(),
            _ => input,
        }
    }

    /// What it gives for every value, where the training rows had one value only.
    pub fn constant(&self) -> bool {
        match self {
            FittedTransform::Standardize { std, .. } => std.contains(&0.0),
            FittedTransform::MinMax { min, max } => min.iter().zip(max).any(|(min, max)| min >= max),
            _ => false,
        }
    }

    /// Its name in the language.
    pub fn name(&self) -> &'static str {
        match self {
            FittedTransform::Standardize { .. } => "standardize",
            FittedTransform::MinMax { .. } => "min_max",
            FittedTransform::SumNormalize { .. } => "sum_normalize",
            FittedTransform::GaussRank { .. } => "gauss_rank",
            FittedTransform::Quantile { .. } => "quantile",
            FittedTransform::Log1p => "log1p",
            FittedTransform::Sqrt => "sqrt",
            FittedTransform::Abs => "abs",
            FittedTransform::Clip { .. } => "clip",
            FittedTransform::Bucket { .. } => "bucket",
            FittedTransform::OneHot { .. } => "one_hot",
            FittedTransform::MultiHot { .. } => "multi_hot",
            FittedTransform::Hash { .. } => "hash",
            FittedTransform::Fill { .. } | FittedTransform::FillText { .. } => "fill",
            FittedTransform::NormalizeRows { .. } => "normalize_rows",
            FittedTransform::Vector { .. } => "vector",
            FittedTransform::Part(part) => date::name(*part),
            FittedTransform::Cyclic { .. } => "cyclic",
            FittedTransform::Text(text) => text.name(),
        }
    }
}

/// The entry of each column: one for all, or one for each.
fn by_column<'a, T>(entries: &'a [T], x: &Numbers) -> Result<impl Fn(usize) -> &'a T + use<'a, T>, Located> {
    let several = entries.len() != 1;
    if several && entries.len() != x.width {
        return Err(Fault::Widths { found: x.width, expected: entries.len() }.into());
    }
    Ok(move |column| &entries[if several { column } else { 0 }])
}

#[cfg(test)]
mod tests;
