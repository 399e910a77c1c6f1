//! Transforms: what each learns from the training rows, and how it is applied. Applying has one code path, for the
//! tables of a build and for new ones.

use gsl_plan::graph::{Fill, Transform};
use gsl_tables::{Interner, MISSING, TextColumn, TextValues};
use serde::{Deserialize, Serialize};

use super::error::Fault;
use super::value::{Located, Numbers, Value, numbers};

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

/// The distribution of the fitted values: `below[i]` is the share of values less than `values[i]`, `to[i]` of those
/// not greater. At most [`KNOTS`] of the distinct values are kept; between two of them the share is interpolated.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Ranks {
    pub values: Vec<f64>,
    pub below: Vec<f64>,
    pub to: Vec<f64>,
    pub count: u64,
}

/// The values that have a column of their own, ascending.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Vocabulary {
    Texts(Vec<String>),
    Numbers(Vec<f64>),
}

pub const KNOTS: usize = 4096;

impl FittedTransform {
    /// Learns from the rows that `fitted` names (all, if none). Vocabularies are taken from all rows: they say which
    /// columns there are, and a value that no training row has is told from the others by its neighbours alone.
    pub fn fit(transform: &Transform, input: &Value, fitted: Option<&[bool]>) -> Result<Self, Located> {
        let learn = |name| sorted_columns(input, fitted, name);
        Ok(match transform {
            Transform::Standardize => fit_standardize(&learn("standardize")?),
            Transform::MinMax => fit_min_max(&learn("min_max")?),
            Transform::GaussRank => FittedTransform::GaussRank {
                ranks: learn("gauss_rank")?.iter().map(|v| Ranks::of(v)).collect(),
            },
            Transform::Log1p => FittedTransform::Log1p,
            Transform::Sqrt => FittedTransform::Sqrt,
            Transform::Abs => FittedTransform::Abs,
            Transform::Clip { low, high } => FittedTransform::Clip { low: *low, high: *high },
            Transform::Bucket { bounds } => {
                let mut bounds = bounds.clone();
                bounds.sort_by(f64::total_cmp);
                FittedTransform::Bucket { bounds }
            }
            Transform::OneHot => FittedTransform::OneHot { vocabulary: Vocabulary::of(input)? },
            Transform::MultiHot { separator } => {
                let Value::Text(text) = input else {
                    return Err(Fault::TextWanted { transform: "multi_hot" }.into());
                };
                let vocabulary = words_of(text, separator);
                nothing_if(vocabulary.is_empty(), "multi_hot")?;
                FittedTransform::MultiHot { separator: separator.clone(), vocabulary }
            }
            Transform::Fill(Fill::Constant(x)) => FittedTransform::Fill { values: vec![*x] },
            Transform::Fill(Fill::Mean) => {
                FittedTransform::Fill { values: learn("fill")?.iter().map(|v| mean(v)).collect() }
            }
            Transform::Fill(Fill::Median) => {
                FittedTransform::Fill { values: learn("fill")?.iter().map(|v| median(v)).collect() }
            }
            Transform::NormalizeRows { p } => FittedTransform::NormalizeRows { p: *p },
            Transform::Vector => match input {
                Value::Numbers(numbers) => FittedTransform::Vector { width: numbers.width },
                Value::Scalar(_) => FittedTransform::Vector { width: 1 },
                Value::Text(_) => return Err(Fault::NumberWanted { transform: "vector" }.into()),
            },
        })
    }

    /// rows × width in, rows × width' out.
    pub fn apply(&self, input: Value, rows: usize) -> Result<Value, Located> {
        let done = match (self, input) {
            (FittedTransform::OneHot { vocabulary }, input) => vocabulary.one_hot(input, rows)?,
            (FittedTransform::MultiHot { separator, vocabulary }, Value::Text(text)) => {
                multi_hot(&text, separator, vocabulary)
            }
            (FittedTransform::MultiHot { .. }, _) => {
                return Err(Fault::TextWanted { transform: "multi_hot" }.into());
            }
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
                x.map(|_, c, x| Ok(min_max(x, min[c], max[c])))
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
            FittedTransform::Bucket { bounds } => Ok(bucket(x, bounds)),
            FittedTransform::Fill { values } => fill(x, values),
            FittedTransform::NormalizeRows { p } => Ok(normalize_rows(x, *p)),
            FittedTransform::Vector { width } => {
                expect_width(&x, *width)?;
                Ok(x)
            }
            FittedTransform::OneHot { .. } | FittedTransform::MultiHot { .. } => Ok(x),
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

fn nothing_if(nothing: bool, transform: &'static str) -> Result<(), Located> {
    if nothing { Err(Fault::NothingToFit { transform }.into()) } else { Ok(()) }
}

fn expect_width(x: &Numbers, expected: usize) -> Result<(), Located> {
    match x.width == expected {
        true => Ok(()),
        false => Err(Fault::Widths { found: x.width, expected }.into()),
    }
}

/// The fitted values of each column, ascending; none of them empty.
fn sorted_columns(
    input: &Value,
    fitted: Option<&[bool]>,
    transform: &'static str,
) -> Result<Vec<Vec<f64>>, Located> {
    let x = match input {
        Value::Numbers(x) => x,
        Value::Scalar(x) => return Ok(vec![vec![*x]]),
        Value::Text(_) => return Err(Fault::NumberWanted { transform }.into()),
    };
    let columns: Vec<Vec<f64>> = (0..x.width).map(|column| x.sorted(column, fitted)).collect();
    nothing_if(columns.iter().any(Vec::is_empty), transform)?;
    Ok(columns)
}

fn mean(sorted: &[f64]) -> f64 {
    sorted.iter().sum::<f64>() / sorted.len() as f64
}

fn median(sorted: &[f64]) -> f64 {
    let half = sorted.len() / 2;
    match sorted.len() % 2 {
        0 => (sorted[half - 1] + sorted[half]) / 2.0,
        _ => sorted[half],
    }
}

fn fit_standardize(columns: &[Vec<f64>]) -> FittedTransform {
    let means: Vec<f64> = columns.iter().map(|v| mean(v)).collect();
    let deviation = |(v, m): (&Vec<f64>, &f64)| {
        let constant = v.first() == v.last();
        let variance = v.iter().map(|x| (x - m) * (x - m)).sum::<f64>() / v.len() as f64;
        if constant { 0.0 } else { variance.sqrt() }
    };
    let std = columns.iter().zip(&means).map(deviation).collect();
    FittedTransform::Standardize { mean: means, std }
}

fn fit_min_max(columns: &[Vec<f64>]) -> FittedTransform {
    let ends = |pick: fn(&[f64]) -> Option<&f64>| {
        columns.iter().map(|v| pick(v).copied().unwrap_or_default()).collect()
    };
    FittedTransform::MinMax { min: ends(<[f64]>::first), max: ends(<[f64]>::last) }
}

fn min_max(x: f64, min: f64, max: f64) -> f64 {
    if max > min { ((x - min) / (max - min)).clamp(0.0, 1.0) } else { 0.0 }
}

fn bucket(x: Numbers, bounds: &[f64]) -> Numbers {
    let width = bounds.len() + 1;
    let mut data = vec![0.0; x.data.len() * width];
    for (index, value) in x.data.iter().enumerate() {
        if !x.is_missing(index / x.width) {
            data[index * width + bounds.partition_point(|bound| bound <= value)] = 1.0;
        }
    }
    Numbers { width: width * x.width, data, missing: x.missing }
}

fn fill(mut x: Numbers, values: &[f64]) -> Result<Numbers, Located> {
    if values.len() != 1 {
        expect_width(&x, values.len())?;
    }
    for row in 0..x.rows() {
        if x.is_missing(row) {
            for column in 0..x.width {
                x.data[row * x.width + column] = values[if values.len() == 1 { 0 } else { column }];
            }
        }
    }
    x.missing.clear();
    Ok(x)
}

fn normalize_rows(mut x: Numbers, p: u8) -> Numbers {
    for row in x.data.chunks_exact_mut(x.width.max(1)) {
        let norm = match p {
            2 => row.iter().map(|x| x * x).sum::<f64>().sqrt(),
            _ => row.iter().map(|x| x.abs()).sum::<f64>(),
        };
        if norm > 0.0 {
            row.iter_mut().for_each(|x| *x /= norm);
        }
    }
    x
}

impl Vocabulary {
    fn of(input: &Value) -> Result<Self, Located> {
        let vocabulary = match input {
            Value::Text(text) => Vocabulary::Texts(used_texts(text)),
            Value::Numbers(x) if x.width == 1 => {
                let mut values = x.sorted(0, None);
                values.dedup();
                Vocabulary::Numbers(values)
            }
            Value::Numbers(x) => return Err(Fault::Widths { found: x.width, expected: 1 }.into()),
            Value::Scalar(x) => Vocabulary::Numbers(vec![*x]),
        };
        nothing_if(vocabulary.len() == 0, "one_hot")?;
        Ok(vocabulary)
    }

    #[allow(clippy::len_without_is_empty)]
    pub fn len(&self) -> usize {
        match self {
            Vocabulary::Texts(texts) => texts.len(),
            Vocabulary::Numbers(numbers) => numbers.len(),
        }
    }

    /// A 1 in the column of each row's value; nothing for an unseen or missing one.
    fn one_hot(&self, input: Value, rows: usize) -> Result<Numbers, Located> {
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

fn words<'a>(cell: &'a str, separator: &'a str) -> impl Iterator<Item = &'a str> {
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

fn words_of(text: &TextColumn, separator: &str) -> Vec<String> {
    let mut interner = Interner::new();
    for cell in used_texts(text) {
        words(&cell, separator).for_each(|word| {
            interner.intern(word);
        });
    }
    let mut vocabulary: Vec<String> = interner.values().iter().map(str::to_string).collect();
    sort_as_numbers_or_texts(&mut vocabulary);
    vocabulary
}

fn multi_hot(text: &TextColumn, separator: &str, vocabulary: &[String]) -> Numbers {
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

impl Ranks {
    fn of(sorted: &[f64]) -> Self {
        let n = sorted.len() as f64;
        let (mut values, mut below, mut to) = (Vec::new(), Vec::new(), Vec::new());
        let mut start = 0;
        for run in sorted.chunk_by(|a, b| a == b) {
            values.push(run[0]);
            below.push(start as f64 / n);
            start += run.len();
            to.push(start as f64 / n);
        }
        let all = values.len();
        if all > KNOTS {
            let keep: Vec<usize> = (0..KNOTS).map(|i| i * (all - 1) / (KNOTS - 1)).collect();
            let thin = |v: &[f64]| keep.iter().map(|&i| v[i]).collect::<Vec<f64>>();
            (values, below, to) = (thin(&values), thin(&below), thin(&to));
        }
        Self { values, below, to, count: sorted.len() as u64 }
    }

    /// The share of fitted values below x, those equal to x counted half, mapped by the inverse of the normal distribution
    /// function. The share is kept half a rank away from 0 and 1.
    fn gauss(&self, x: f64) -> f64 {
        let next = self.values.partition_point(|v| *v < x);
        let share = match self.values.get(next) {
            Some(&v) if v == x => (self.below[next] + self.to[next]) / 2.0,
            None => 1.0,
            Some(_) if next == 0 => 0.0,
            Some(&v) => {
                let (a, from, upto) = (self.values[next - 1], self.to[next - 1], self.below[next]);
                from + (upto - from) * (x - a) / (v - a)
            }
        };
        let edge = 0.5 / self.count.max(1) as f64;
        inverse_normal(share.clamp(edge, 1.0 - edge))
    }
}

/// Φ⁻¹(p) for 0 < p < 1, by the rational approximation of Acklam; relative error below 1.2e-9.
fn inverse_normal(p: f64) -> f64 {
    const A: [f64; 6] = [
        -3.969683028665376e1,
        2.209460984245205e2,
        -2.759285104469687e2,
        1.38357751867269e2,
        -3.066479806614716e1,
        2.506628277459239,
    ];
    const B: [f64; 5] = [
        -5.447609879822406e1,
        1.615858368580409e2,
        -1.556989798598866e2,
        6.680131188771972e1,
        -1.328068155288572e1,
    ];
    const C: [f64; 6] = [
        -7.784894002430293e-3,
        -3.223964580411365e-1,
        -2.400758277161838,
        -2.549732539343734,
        4.374664141464968,
        2.938163982698783,
    ];
    const D: [f64; 4] = [7.784695709041462e-3, 3.224671290700398e-1, 2.445134137142996, 3.754408661907416];
    let horner = |coefficients: &[f64], x: f64| coefficients.iter().fold(0.0, |sum, c| sum * x + c);
    let tail = |p: f64| {
        let q = (-2.0 * p.ln()).sqrt();
        horner(&C, q) / (horner(&D, q) * q + 1.0)
    };
    if p == 0.5 {
        return 0.0;
    }
    if p > 0.5 {
        return -inverse_normal(1.0 - p);
    }
    if p < 0.02425 {
        return tail(p);
    }
    let q = p - 0.5;
    let r = q * q;
    horner(&A, r) * q / (horner(&B, r) * r + 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(data: &[f64]) -> Value {
        Value::Numbers(Numbers::new(1, data.to_vec()))
    }

    fn applied(transform: &Transform, data: &[f64]) -> Vec<f64> {
        let fitted = FittedTransform::fit(transform, &column(data), None).unwrap();
        match fitted.apply(column(data), data.len()).unwrap() {
            Value::Numbers(numbers) => numbers.data,
            _ => unreachable!(),
        }
    }

    #[test]
    fn inverse_normal_known_values() {
        for (p, z) in [(0.975, 1.959_963_984_540_054), (0.5, 0.0), (0.001, -3.090_232_306_167_813)] {
            assert!((inverse_normal(p) - z).abs() < 2e-8, "{p}: {}", inverse_normal(p));
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
            FittedTransform::fit(&Transform::MinMax, &column(&[0.0, 10.0, 99.0]), Some(&mask)).unwrap();
        assert_eq!(fitted, FittedTransform::MinMax { min: vec![0.0], max: vec![10.0] });
        let none = FittedTransform::fit(&Transform::MinMax, &column(&[1.0]), Some(&[false]));
        assert_eq!(none.unwrap_err().fault, Fault::NothingToFit { transform: "min_max" });
    }

    #[test]
    fn words_sort_as_numbers_when_all_are() {
        let values: TextValues = ["10 9", "2  9"].into_iter().collect();
        let text = TextColumn { codes: vec![1, 0], values };
        assert_eq!(words_of(&text, " "), ["2", "9", "10"]);
        assert_eq!(multi_hot(&text, " ", &words_of(&text, " ")).data, [1.0, 1.0, 0.0, 0.0, 1.0, 1.0]);
    }
}
