//! Transforms with what they have learned, and how they are applied. Applying has one code path, for the tables of a
//! build and for new ones. What they learn and how is in [`learn`].

mod learn;
mod numeric;
mod rank;
mod vector;
mod vocabulary;

use gsl_plan::graph::Transform;
use serde::{Deserialize, Serialize};

use super::error::Fault;
use super::value::{Located, Numbers, Value, numbers};

pub(crate) use learn::Learner;
pub use rank::{KNOTS, Ranks};
pub use vocabulary::{Vocabulary, sort_as_numbers_or_texts, used_texts};

/// A transform with what it has learned. One entry per column where a list is of columns.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum FittedTransform {
    Standardize { mean: Vec<f64>, std: Vec<f64> },
    MinMax { min: Vec<f64>, max: Vec<f64> },
    GaussRank { ranks: Vec<Ranks> },
    Log1p,
    Sqrt,
    Abs,
    Clip { low: f64, high: f64 },
    Bucket { bounds: Vec<f64> },
    OneHot { vocabulary: Vocabulary },
    MultiHot { separator: String, vocabulary: Vec<String> },
    Fill { values: Vec<f64> },
    NormalizeRows { p: u8 },
    Vector { width: usize },
}

impl FittedTransform {
    /// Learns from the rows of one value that `trains` names (all, if none).
    pub fn fit(
        transform: &Transform,
        input: &Value,
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
        let done = match (self, input) {
            (FittedTransform::OneHot { vocabulary }, input) => vocabulary.one_hot(input, rows)?,
            (FittedTransform::MultiHot { separator, vocabulary }, Value::Text(text)) => {
                vocabulary::multi_hot(&text, separator, vocabulary)
            }
            (FittedTransform::MultiHot { .. }, _) => {
                return Err(Fault::TextWanted { transform: "multi_hot" }.into());
            }
            (FittedTransform::Vector { width }, Value::Lists(lists)) => vector::of_lists(&lists, *width)?,
            (_, input) => self.apply_to_numbers(numbers(input, rows, self.name())?)?,
        };
        Ok(Value::Numbers(done))
    }

    fn apply_to_numbers(&self, x: Numbers) -> Result<Numbers, Located> {
        match self {
            FittedTransform::Standardize { mean, std } => {
                expect_width(&x, mean.len())?;
                x.map(|_, c, x| Ok(if std[c] > 0.0 { (x - mean[c]) / std[c] } else { 0.0 }))
            }
            FittedTransform::MinMax { min, max } => {
                expect_width(&x, min.len())?;
                x.map(|_, c, x| Ok(numeric::min_max(x, min[c], max[c])))
            }
            FittedTransform::GaussRank { ranks } => {
                expect_width(&x, ranks.len())?;
                x.map(|_, c, x| Ok(ranks[c].gauss(x)))
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
            FittedTransform::Bucket { bounds } => Ok(numeric::bucket(x, bounds)),
            FittedTransform::Fill { values } => numeric::fill(x, values),
            FittedTransform::NormalizeRows { p } => Ok(numeric::normalize_rows(x, *p)),
            FittedTransform::Vector { width } => {
                expect_width(&x, *width)?;
                Ok(x)
            }
            FittedTransform::OneHot { .. } | FittedTransform::MultiHot { .. } => Ok(x),
        }
    }

    /// Numbers a row that it gives for `input` numbers a row.
    pub fn width(&self, input: usize) -> usize {
        match self {
            FittedTransform::OneHot { vocabulary } => vocabulary.len(),
            FittedTransform::MultiHot { vocabulary, .. } => vocabulary.len(),
            FittedTransform::Bucket { bounds } => (bounds.len() + 1) * input,
            FittedTransform::Vector { width } => *width,
            _ => input,
        }
    }

    /// Its name in the language.
    pub fn name(&self) -> &'static str {
        match self {
            FittedTransform::Standardize { .. } => "standardize",
            FittedTransform::MinMax { .. } => "min_max",
            FittedTransform::GaussRank { .. } => "gauss_rank",
            FittedTransform::Log1p => "log1p",
            FittedTransform::Sqrt => "sqrt",
            FittedTransform::Abs => "abs",
            FittedTransform::Clip { .. } => "clip",
            FittedTransform::Bucket { .. } => "bucket",
            FittedTransform::OneHot { .. } => "one_hot",
            FittedTransform::MultiHot { .. } => "multi_hot",
            FittedTransform::Fill { .. } => "fill",
            FittedTransform::NormalizeRows { .. } => "normalize_rows",
            FittedTransform::Vector { .. } => "vector",
        }
    }
}

fn expect_width(x: &Numbers, expected: usize) -> Result<(), Located> {
    match x.width == expected {
        true => Ok(()),
        false => Err(Fault::Widths { found: x.width, expected }.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(data: &[f64]) -> Value {
        Value::Numbers(Numbers::new(1, data.to_vec()))
    }

    fn applied(transform: &Transform, data: &[f64]) -> Vec<f64> {
        let fitted = FittedTransform::fit(transform, &column(data), data.len(), None).unwrap();
        match fitted.apply(column(data), data.len()).unwrap() {
            Value::Numbers(numbers) => numbers.data,
            _ => unreachable!(),
        }
    }

    #[test]
    fn standardize_has_mean_0_and_deviation_1() {
        let z = applied(&Transform::Standardize, &[1.0, 2.0, 3.0, 6.0]);
        assert!(z.iter().sum::<f64>().abs() < 1e-12);
        assert!((z.iter().map(|x| x * x).sum::<f64>() / 4.0 - 1.0).abs() < 1e-12);
        assert_eq!(applied(&Transform::Standardize, &[0.1, 0.1, 0.1]), [0.0; 3]);
    }

    #[test]
    fn gauss_rank_is_odd_and_shares_ties() {
        let z = applied(&Transform::GaussRank, &[5.0, 1.0, 3.0, 3.0, 7.0, 100.0]);
        assert_eq!(z[2], z[3]);
        assert!((z[1] + z[5]).abs() < 1e-12 && z[1] < z[2] && z[2] < z[0]);
    }

    #[test]
    fn buckets_are_half_open() {
        let hot = applied(&Transform::Bucket { bounds: vec![1.0, 2.0] }, &[0.5, 1.0, 2.0]);
        assert_eq!(hot, [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0]);
    }

    #[test]
    fn statistics_see_the_named_rows_only() {
        let mask = [true, true, false];
        let fitted =
            FittedTransform::fit(&Transform::MinMax, &column(&[0.0, 10.0, 99.0]), 3, Some(&mask)).unwrap();
        assert_eq!(fitted, FittedTransform::MinMax { min: vec![0.0], max: vec![10.0] });
        let none = FittedTransform::fit(&Transform::MinMax, &column(&[1.0]), 1, Some(&[false]));
        assert_eq!(none.unwrap_err().fault, Fault::NothingToFit { transform: "min_max" });
    }
}
