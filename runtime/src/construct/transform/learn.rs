//! What transforms learn: collected batch by batch, in any order, and put together to the same bits.
//!
//! Sums are exact, order statistics come from the sorted multiset, values are counted. What is learned of numbers, and how
//! frequent a value is, comes from the training rows. Which values `one_hot` and `multi_hot` know comes from all rows: they say
//! which columns there are, and a value that no training row has is told from the others by its neighbours alone.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use gsl_plan::graph::{Buckets, Fill, TextTransform, Transform};

use super::super::error::Fault;
use super::super::scratch::Scratch;
use super::super::value::{Located, Numbers, Value, numbers};
use super::super::values::{Sorted, Values};
use super::super::words::Frequencies;
use super::counts::{Counts, Limit, MOST_VALUES};
use super::statistics::{Extremes, Moments, present};
use super::vocabulary::Vocabulary;
use super::{FittedText, FittedTransform, Ranks, rank, vector};

/// A transform that has yet to learn, with what it has seen.
pub(crate) struct Learner {
    transform: Transform,
    /// None until a value has told its kind.
    seen: Option<Seen>,
    /// Bounds what batches are merged into; a batch itself is in memory.
    scratch: Option<Scratch>,
}

/// One entry per column where a list is of columns; empty until a value has told how many there are.
enum Seen {
    Moments(Vec<Moments>),
    Extremes(Vec<Extremes>),
    Values(Vec<Values>),
    Counts(Counts),
    Words(Frequencies),
    /// How many rows have lists of which width.
    Widths(BTreeMap<usize, u64>),
}

impl Learner {
    /// A learner of one batch, or the transform itself if it learns nothing.
    pub(crate) fn of(transform: &Transform) -> Result<Self, FittedTransform> {
        match known(transform) {
            Some(known) => Err(known),
            None => Ok(Learner { transform: transform.clone(), seen: None, scratch: None }),
        }
    }

    /// A learner that batches are merged into.
    pub(crate) fn with_scratch(self, scratch: Scratch) -> Self {
        Learner { scratch: Some(scratch), ..self }
    }

    /// Learns from a value of one batch; from the rows that `trains` names (all, if none) where it matters.
    pub(crate) fn see(&mut self, input: Value, rows: usize, trains: Option<&[bool]>) -> Result<(), Located> {
        let (name, limit) = (name(&self.transform), self.limit());
        let seen = match &mut self.seen {
            Some(seen) => seen,
            none => none.insert(start(&self.transform, &input)?),
        };
        match (seen, &self.transform, input) {
            (Seen::Counts(counts), transform, Value::Text(text)) => {
                let separator = match transform {
                    Transform::MultiHot { separator } => Some(separator.as_str()),
                    _ => None,
                };
                counts.see_texts(&text, separator, trains);
                Ok(counts.refuse_beyond(limit, name)?)
            }
            (Seen::Counts(counts), _, Value::Texts(list)) => {
                counts.see_lists(&list, trains);
                Ok(counts.refuse_beyond(limit, name)?)
            }
            (Seen::Counts(counts), _, input) => {
                let x = numbers(input, rows, name)?;
                if x.width != 1 {
                    return Err(Fault::Widths { found: x.width, expected: 1 }.into());
                }
                counts.see_numbers(&x, trains)?;
                Ok(counts.refuse_beyond(limit, name)?)
            }
            (Seen::Words(words), _, Value::Text(text)) => {
                words.see(&text, trains);
                Ok(words.refuse_beyond(limit.memory, name)?)
            }
            (Seen::Widths(widths), Transform::Vector { separator, .. }, input) => {
                vector::widths(&input, separator)?.for_each(|width| *widths.entry(width).or_default() += 1);
                Ok(())
            }
            (seen, transform, input) => {
                let squared = *transform == Transform::Standardize;
                seen.see_numbers(&numbers(input, rows, name)?, trains, squared)
            }
        }
    }

    /// Adds what a learner of one batch has seen.
    pub(crate) fn merge(&mut self, batch: Learner) -> Result<(), Located> {
        let (name, limit) = (name(&self.transform), self.limit());
        let Some(batch) = batch.seen else { return Ok(()) };
        let seen = self.seen.get_or_insert_with(|| batch.empty());
        match (seen, batch) {
            (Seen::Moments(all), Seen::Moments(batch)) => {
                all.resize_with(all.len().max(batch.len()), Moments::default);
                all.iter_mut().zip(&batch).for_each(|(all, batch)| all.merge(batch));
            }
            (Seen::Extremes(all), Seen::Extremes(batch)) => {
                all.resize_with(all.len().max(batch.len()), Extremes::default);
                all.iter_mut().zip(&batch).for_each(|(all, batch)| all.merge(batch));
            }
            (Seen::Values(all), Seen::Values(batch)) => {
                let share = self.scratch.as_ref().map(|scratch| scratch.share(batch.len()));
                let new = || share.clone().map_or_else(Values::new, Values::bounded);
                all.resize_with(all.len().max(batch.len()), new);
                all.iter_mut().zip(batch).try_for_each(|(all, batch)| all.merge(batch))?;
            }
            (Seen::Counts(all), Seen::Counts(batch)) => {
                all.merge(batch);
                all.refuse_beyond(limit, name)?;
            }
            (Seen::Words(all), Seen::Words(batch)) => {
                all.merge(batch);
                all.refuse_beyond(limit.memory, name)?;
            }
            (Seen::Widths(all), Seen::Widths(batch)) => {
                batch.into_iter().for_each(|(width, rows)| *all.entry(width).or_default() += rows);
            }
            _ => return Err(Fault::NumberWanted { transform: name }.into()),
        }
        Ok(())
    }

    fn limit(&self) -> Limit {
        let counted =
            matches!(self.transform, Transform::OneHot { top: Some(_) } | Transform::Fill(Fill::Mode));
        Limit {
            values: if counted { usize::MAX } else { MOST_VALUES },
            memory: self.scratch.as_ref().map_or(u64::MAX, |scratch| scratch.memory),
        }
    }

    pub(crate) fn finish(self) -> Result<FittedTransform, Fault> {
        let transform = name(&self.transform);
        let nothing = || Fault::NothingToFit { transform };
        match self.seen.ok_or_else(nothing)? {
            seen if seen.lacks_values() => Err(nothing()),
            Seen::Moments(columns) => from_moments(&self.transform, &columns),
            Seen::Extremes(columns) => Ok(from_extremes(&self.transform, &columns)),
            Seen::Values(columns) => {
                let columns: Vec<Sorted> = columns.into_iter().map(Values::into_sorted).collect();
                from_values(&self.transform, &columns)
            }
            Seen::Counts(counts) => from_counts(self.transform, counts).ok_or_else(nothing),
            Seen::Words(words) => match self.transform {
                Transform::Text(TextTransform::Tfidf { words: most }) => {
                    let weights = words.weights(most).ok_or_else(nothing)?;
                    Ok(FittedTransform::Text(FittedText::Tfidf(weights)))
                }
                _ => Err(nothing()),
            },
            Seen::Widths(widths) => match self.transform {
                Transform::Vector { separator, .. } => {
                    Ok(FittedTransform::Vector { width: most_frequent(&widths)?, separator, more: false })
                }
                _ => Err(Fault::NoWidth),
            },
        }
    }
}

impl Seen {
    /// Of the same kind, without anything.
    fn empty(&self) -> Self {
        match self {
            Seen::Moments(_) => Seen::Moments(Vec::new()),
            Seen::Extremes(_) => Seen::Extremes(Vec::new()),
            Seen::Values(_) => Seen::Values(Vec::new()),
            Seen::Counts(Counts::Texts { .. }) => Seen::Counts(Counts::texts()),
            Seen::Counts(Counts::Numbers(_)) => Seen::Counts(Counts::numbers()),
            Seen::Words(_) => Seen::Words(Frequencies::default()),
            Seen::Widths(_) => Seen::Widths(BTreeMap::new()),
        }
    }

    fn see_numbers(&mut self, x: &Numbers, trains: Option<&[bool]>, squared: bool) -> Result<(), Located> {
        match self {
            Seen::Moments(columns) => {
                columns.resize_with(x.width, Moments::default);
                present(x, trains, |row, column, value| match squared {
                    true => columns[column].add_square(row, value),
                    false => {
                        columns[column].add(value);
                        Ok(())
                    }
                })
            }
            Seen::Extremes(columns) => {
                columns.resize_with(x.width, Extremes::default);
                present(x, trains, |_, column, value| {
                    columns[column].add(value);
                    Ok(())
                })
            }
            Seen::Values(columns) => {
                columns.resize_with(x.width, Values::new);
                present(x, trains, |_, column, value| Ok(columns[column].push(value)?))
            }
            Seen::Counts(_) | Seen::Widths(_) => Ok(()),
            Seen::Words(_) => Err(Fault::TextWanted { transform: "tfidf" }.into()),
        }
    }

    /// No column, or one of which no training row has a value.
    fn lacks_values(&self) -> bool {
        match self {
            Seen::Moments(columns) => columns.is_empty() || columns.iter().any(Moments::is_empty),
            Seen::Extremes(columns) => columns.is_empty() || columns.iter().any(Extremes::is_empty),
            Seen::Values(columns) => columns.is_empty() || columns.iter().any(Values::is_empty),
            Seen::Counts(counts) => counts.is_empty(),
            Seen::Words(_) | Seen::Widths(_) => false,
        }
    }
}

/// The transform itself, where it learns nothing.
fn known(transform: &Transform) -> Option<FittedTransform> {
    Some(match transform {
        Transform::MinMax { low: Some(low), high: Some(high) } => {
            FittedTransform::MinMax { min: vec![*low], max: vec![*high] }
        }
        Transform::Log1p => FittedTransform::Log1p,
        Transform::Sqrt => FittedTransform::Sqrt,
        Transform::Abs => FittedTransform::Abs,
        Transform::Clip { low, high } => FittedTransform::Clip { low: *low, high: *high },
        Transform::Bucket(Buckets::Bounds(bounds)) => {
            let mut bounds = bounds.clone();
            bounds.sort_by(f64::total_cmp);
            FittedTransform::Bucket { bounds: vec![bounds], window: 0.0 }
        }
        Transform::Bucket(Buckets::Even { count, from, to, window }) => {
            let bound = |i: usize| from + (to - from) * i as f64 / *count as f64;
            FittedTransform::Bucket { bounds: vec![(1..*count).map(bound).collect()], window: *window }
        }
        Transform::Hash { columns } => FittedTransform::Hash { columns: *columns },
        Transform::Fill(Fill::Constant(x)) => FittedTransform::Fill { values: vec![*x] },
        Transform::Fill(Fill::Text(text)) => FittedTransform::FillText { text: text.clone() },
        Transform::NormalizeRows { p } => FittedTransform::NormalizeRows { p: *p },
        Transform::Vector { separator, take: Some(take) } => {
            FittedTransform::Vector { width: *take, separator: separator.clone(), more: true }
        }
        Transform::Part(part) => FittedTransform::Part(*part),
        Transform::Cyclic { period } => FittedTransform::Cyclic { period: *period },
        Transform::Text(text) => FittedTransform::Text(FittedText::known(text)?),
        Transform::Standardize
        | Transform::MinMax { .. }
        | Transform::SumNormalize
        | Transform::GaussRank
        | Transform::Quantile
        | Transform::OneHot { .. }
        | Transform::MultiHot { .. }
        | Transform::Bucket(Buckets::Quantiles(_))
        | Transform::Fill(Fill::Mean | Fill::Median | Fill::Mode)
        | Transform::Vector { take: None, .. } => return None,
    })
}

/// What a transform collects of values like this one.
fn start(transform: &Transform, input: &Value) -> Result<Seen, Fault> {
    let is_text = matches!(input, Value::Text(_));
    Ok(match transform {
        Transform::Vector { .. } => Seen::Widths(BTreeMap::new()),
        Transform::MultiHot { .. } if !is_text && !matches!(input, Value::Texts(_)) => {
            return Err(Fault::TextWanted { transform: "multi_hot" });
        }
        Transform::Text(_) if !is_text => return Err(Fault::TextWanted { transform: "tfidf" }),
        Transform::Text(_) => Seen::Words(Frequencies::default()),
        Transform::OneHot { .. } if !is_text => Seen::Counts(Counts::numbers()),
        Transform::OneHot { .. } | Transform::MultiHot { .. } => Seen::Counts(Counts::texts()),
        Transform::Fill(Fill::Mode) if is_text => Seen::Counts(Counts::texts()),
        Transform::MinMax { .. } => Seen::Extremes(Vec::new()),
        Transform::Standardize | Transform::SumNormalize | Transform::Fill(Fill::Mean) => {
            Seen::Moments(Vec::new())
        }
        _ => Seen::Values(Vec::new()),
    })
}

fn from_moments(transform: &Transform, columns: &[Moments]) -> Result<FittedTransform, Fault> {
    let mean = || columns.iter().map(Moments::mean).collect();
    Ok(match transform {
        Transform::Standardize => {
            let std = columns.iter().map(Moments::deviation).collect();
            FittedTransform::Standardize { mean: mean(), std }
        }
        Transform::SumNormalize => {
            let sum: Vec<f64> = columns.iter().map(Moments::sum).collect();
            if sum.contains(&0.0) {
                return Err(Fault::SumIsZero);
            }
            FittedTransform::SumNormalize { sum }
        }
        _ => FittedTransform::Fill { values: mean() },
    })
}

/// A stated bound stands for the one that was seen.
fn from_extremes(transform: &Transform, columns: &[Extremes]) -> FittedTransform {
    let (low, high) = match transform {
        Transform::MinMax { low, high } => (*low, *high),
        _ => (None, None),
    };
    FittedTransform::MinMax {
        min: columns.iter().map(|column| low.unwrap_or(column.min)).collect(),
        max: columns.iter().map(|column| high.unwrap_or(column.max)).collect(),
    }
}

fn from_values(transform: &Transform, columns: &[Sorted]) -> Result<FittedTransform, Fault> {
    let ranks = || columns.iter().map(Ranks::of).collect::<Result<_, _>>();
    let each = |f: fn(&Sorted) -> Result<f64, Fault>| columns.iter().map(f).collect::<Result<_, _>>();
    Ok(match transform {
        Transform::GaussRank => FittedTransform::GaussRank { ranks: ranks()? },
        Transform::Quantile => FittedTransform::Quantile { ranks: ranks()? },
        Transform::Bucket(Buckets::Quantiles(count)) => {
            let bounds = columns.iter().map(|column| rank::quantile_bounds(column, *count));
            FittedTransform::Bucket { bounds: bounds.collect::<Result<_, _>>()?, window: 0.0 }
        }
        Transform::Fill(Fill::Mode) => FittedTransform::Fill { values: each(rank::mode)? },
        _ => FittedTransform::Fill { values: each(rank::median)? },
    })
}

/// None where no training row has a value and one is needed.
fn from_counts(transform: Transform, counts: Counts) -> Option<FittedTransform> {
    Some(match transform {
        Transform::MultiHot { separator } => {
            FittedTransform::MultiHot { separator, vocabulary: counts.words().into() }
        }
        Transform::OneHot { top: Some(top) } => {
            let vocabulary = counts.most_frequent(top);
            (!vocabulary.is_empty()).then_some(FittedTransform::OneHot { vocabulary, others: true })?
        }
        Transform::OneHot { top: None } => {
            FittedTransform::OneHot { vocabulary: counts.all(), others: false }
        }
        _ => match counts.most_frequent(1) {
            Vocabulary::Texts(texts) => FittedTransform::FillText { text: texts.into_iter().next()? },
            Vocabulary::Numbers(numbers) => FittedTransform::Fill { values: vec![*numbers.first()?] },
        },
    })
}

/// The width of most rows, the smaller of equals: then a row that differs is the one that is named.
fn most_frequent(widths: &BTreeMap<usize, u64>) -> Result<usize, Fault> {
    let most = widths.iter().max_by_key(|(width, rows)| (**rows, Reverse(**width)));
    most.map(|(width, _)| *width).filter(|width| *width > 0).ok_or(Fault::NoWidth)
}

/// Its name in the language.
fn name(transform: &Transform) -> &'static str {
    match transform {
        Transform::Standardize => "standardize",
        Transform::MinMax { .. } => "min_max",
        Transform::SumNormalize => "sum_normalize",
        Transform::GaussRank => "gauss_rank",
        Transform::Quantile => "quantile",
        Transform::Bucket(_) => "bucket",
        Transform::OneHot { .. } => "one_hot",
        Transform::MultiHot { .. } => "multi_hot",
        Transform::Fill(_) => "fill",
        Transform::Vector { .. } => "vector",
        Transform::Text(TextTransform::Tfidf { .. }) => "tfidf",
        known_to_learn_nothing => known(known_to_learn_nothing).map_or("feature", |known| known.name()),
    }
}
