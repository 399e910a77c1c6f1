//! What transforms learn: collected batch by batch, in any order, and put together to the same bits.
//!
//! Sums are exact, order statistics come from the sorted multiset, vocabularies are counted. What is learned of numbers
//! comes from the training rows; the values of `one_hot` and `multi_hot` come from all rows: they say which columns there
//! are, and a value that no training row has is told from the others by its neighbours alone.

use std::collections::BTreeMap;

use gsl_plan::graph::{Fill, Transform};
use gsl_tables::Interner;
use rustc_hash::FxHashSet;

use super::super::error::Fault;
use super::super::exact::Exact;
use super::super::scratch::Scratch;
use super::super::value::{Located, Numbers, Value, numbers};
use super::super::values::{Sorted, Values};
use super::vocabulary::{MOST_VALUES, Vocabulary, sort_as_numbers_or_texts, words};
use super::{FittedTransform, Ranks, expect_width, rank, vector};

/// A transform that has yet to learn, with what it has seen.
pub(crate) struct Learner {
    transform: Transform,
    seen: Seen,
    /// Where numbers go that have no room in memory.
    scratch: Option<Scratch>,
}

/// One entry per column where a list is of columns; empty until a value has told how many there are.
enum Seen {
    Moments(Vec<Moments>),
    Extremes(Vec<Extremes>),
    Values(Vec<Values>),
    Texts(Interner),
    Numbers(FxHashSet<u64>),
    /// How many rows have lists of which width.
    Widths(BTreeMap<usize, u64>),
}

#[derive(Default)]
struct Moments {
    sum: Exact,
    squares: Exact,
    count: u64,
}

struct Extremes {
    min: f64,
    max: f64,
}

/// Beyond it squares are no longer numbers that can be added up.
const MOST_SQUARED: f64 = 1e100;

impl Learner {
    /// A learner of one batch, or the transform itself if it learns nothing.
    pub(crate) fn of(transform: &Transform) -> Result<Self, FittedTransform> {
        let seen = match transform {
            Transform::Standardize | Transform::Fill(Fill::Mean) => Seen::Moments(Vec::new()),
            Transform::MinMax => Seen::Extremes(Vec::new()),
            Transform::GaussRank | Transform::Fill(Fill::Median) => Seen::Values(Vec::new()),
            Transform::OneHot | Transform::MultiHot { .. } => Seen::Texts(Interner::new()),
            Transform::Vector => Seen::Widths(BTreeMap::new()),
            known => return Err(known_from_the_start(known)),
        };
        Ok(Learner { transform: transform.clone(), seen, scratch: None })
    }

    /// A learner that batches are merged into.
    pub(crate) fn with_scratch(self, scratch: Scratch) -> Self {
        Learner { scratch: Some(scratch), ..self }
    }

    pub(crate) fn see(&mut self, input: &Value, rows: usize, trains: Option<&[bool]>) -> Result<(), Located> {
        let name = self.name();
        match (&mut self.seen, input) {
            (Seen::Texts(texts), Value::Text(text)) => {
                for cell in super::used_texts(text) {
                    match &self.transform {
                        Transform::MultiHot { separator } => words(&cell, separator).for_each(|word| {
                            texts.intern(word);
                        }),
                        _ => {
                            texts.intern(&cell);
                        }
                    }
                }
                return refuse_many(texts.len(), name);
            }
            (Seen::Texts(_), _) if matches!(self.transform, Transform::MultiHot { .. }) => {
                return Err(Fault::TextWanted { transform: name }.into());
            }
            (Seen::Texts(texts), _) if texts.is_empty() => self.seen = Seen::Numbers(FxHashSet::default()),
            (Seen::Widths(widths), Value::Lists(lists)) => {
                vector::widths(lists).for_each(|width| *widths.entry(width).or_default() += 1);
                return Ok(());
            }
            (Seen::Widths(widths), Value::Numbers(x)) => {
                *widths.entry(x.width).or_default() += x.rows() as u64;
                return Ok(());
            }
            _ => {}
        }
        let x = numbers(input.clone(), rows, name)?;
        self.see_numbers(&x, trains)
    }

    fn see_numbers(&mut self, x: &Numbers, trains: Option<&[bool]>) -> Result<(), Located> {
        match &mut self.seen {
            Seen::Moments(columns) => {
                columns.resize_with(x.width, Moments::default);
                let squared = matches!(self.transform, Transform::Standardize);
                present(x, trains, |row, column, value| columns[column].add(row, value, squared))
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
            Seen::Numbers(known) => {
                expect_width(x, 1)?;
                present(x, None, |_, _, value| {
                    known.insert((value + 0.0).to_bits());
                    Ok(())
                })?;
                refuse_many(known.len(), "one_hot")
            }
            Seen::Widths(widths) => {
                *widths.entry(x.width).or_default() += x.rows() as u64;
                Ok(())
            }
            Seen::Texts(_) => Err(Fault::TextWanted { transform: self.name() }.into()),
        }
    }

    /// Adds what a learner of one batch has seen.
    pub(crate) fn merge(&mut self, batch: Learner) -> Result<(), Located> {
        match (&mut self.seen, batch.seen) {
            (Seen::Moments(all), Seen::Moments(batch)) => {
                all.resize_with(all.len().max(batch.len()), Moments::default);
                all.iter_mut().zip(&batch).for_each(|(all, batch)| all.merge(batch));
            }
            (Seen::Extremes(all), Seen::Extremes(batch)) => {
                all.resize_with(all.len().max(batch.len()), Extremes::default);
                for (all, batch) in all.iter_mut().zip(batch) {
                    all.add(batch.min);
                    all.add(batch.max);
                }
            }
            (Seen::Values(all), Seen::Values(batch)) => {
                let share = self.scratch.as_ref().map(|scratch| scratch.share(batch.len()));
                let new = || share.clone().map_or_else(Values::new, Values::bounded);
                all.resize_with(all.len().max(batch.len()), new);
                for (all, batch) in all.iter_mut().zip(batch) {
                    all.merge(batch)?;
                }
            }
            (Seen::Texts(all), Seen::Texts(batch)) => {
                for text in batch.values().iter() {
                    all.intern(text);
                }
                return refuse_many(all.len(), self.name());
            }
            (Seen::Texts(all), Seen::Numbers(batch)) if all.is_empty() => self.seen = Seen::Numbers(batch),
            (Seen::Numbers(all), Seen::Numbers(batch)) => {
                all.extend(batch);
                return refuse_many(all.len(), self.name());
            }
            (Seen::Widths(all), Seen::Widths(batch)) => {
                batch.into_iter().for_each(|(width, rows)| *all.entry(width).or_default() += rows);
            }
            _ => return Err(Fault::TextWanted { transform: self.name() }.into()),
        }
        Ok(())
    }

    pub(crate) fn finish(self) -> Result<FittedTransform, Fault> {
        let name = self.name();
        Ok(match (self.transform, self.seen) {
            (transform, Seen::Moments(columns)) => {
                nothing_if(columns.is_empty() || columns.iter().any(|c| c.count == 0), name)?;
                let mean = columns.iter().map(Moments::mean).collect();
                match transform {
                    Transform::Standardize => {
                        let std = columns.iter().map(Moments::deviation).collect();
                        FittedTransform::Standardize { mean, std }
                    }
                    _ => FittedTransform::Fill { values: mean },
                }
            }
            (_, Seen::Extremes(columns)) => {
                nothing_if(columns.is_empty() || columns.iter().any(|c| c.min > c.max), name)?;
                FittedTransform::MinMax {
                    min: columns.iter().map(|c| c.min).collect(),
                    max: columns.iter().map(|c| c.max).collect(),
                }
            }
            (transform, Seen::Values(columns)) => {
                let columns: Vec<Sorted> = columns.into_iter().map(Values::into_sorted).collect();
                nothing_if(columns.is_empty() || columns.iter().any(|c| c.len() == 0), name)?;
                match transform {
                    Transform::Fill(_) => {
                        let values = columns.iter().map(rank::median).collect::<Result<_, _>>()?;
                        FittedTransform::Fill { values }
                    }
                    _ => {
                        let ranks = columns.iter().map(Ranks::of).collect::<Result<_, _>>()?;
                        FittedTransform::GaussRank { ranks }
                    }
                }
            }
            (transform, Seen::Texts(texts)) => {
                nothing_if(texts.is_empty(), name)?;
                let mut texts: Vec<String> = texts.values().iter().map(str::to_string).collect();
                match transform {
                    Transform::MultiHot { separator } => {
                        sort_as_numbers_or_texts(&mut texts);
                        FittedTransform::MultiHot { separator, vocabulary: texts }
                    }
                    _ => {
                        texts.sort_unstable();
                        FittedTransform::OneHot { vocabulary: Vocabulary::Texts(texts) }
                    }
                }
            }
            (_, Seen::Numbers(bits)) => {
                nothing_if(bits.is_empty(), name)?;
                #[allow(clippy::iter_over_hash_type, reason = "sorted below")]
                let mut values: Vec<f64> = bits.into_iter().map(f64::from_bits).collect();
                values.sort_unstable_by(f64::total_cmp);
                FittedTransform::OneHot { vocabulary: Vocabulary::Numbers(values) }
            }
            (_, Seen::Widths(widths)) => FittedTransform::Vector { width: most_frequent(&widths)? },
        })
    }

    /// Its name in the language.
    fn name(&self) -> &'static str {
        match &self.transform {
            Transform::Standardize => "standardize",
            Transform::MinMax => "min_max",
            Transform::GaussRank => "gauss_rank",
            Transform::Fill(_) => "fill",
            Transform::MultiHot { .. } => "multi_hot",
            Transform::Vector => "vector",
            _ => "one_hot",
        }
    }
}

fn known_from_the_start(transform: &Transform) -> FittedTransform {
    match transform {
        Transform::Sqrt => FittedTransform::Sqrt,
        Transform::Abs => FittedTransform::Abs,
        Transform::Clip { low, high } => FittedTransform::Clip { low: *low, high: *high },
        Transform::Bucket { bounds } => {
            let mut bounds = bounds.clone();
            bounds.sort_by(f64::total_cmp);
            FittedTransform::Bucket { bounds }
        }
        Transform::Fill(Fill::Constant(x)) => FittedTransform::Fill { values: vec![*x] },
        Transform::NormalizeRows { p } => FittedTransform::NormalizeRows { p: *p },
        _ => FittedTransform::Log1p,
    }
}

/// Calls `each(row, column, x)` for the present numbers of the rows that `trains` names, column by column.
fn present(
    x: &Numbers,
    trains: Option<&[bool]>,
    mut each: impl FnMut(usize, usize, f64) -> Result<(), Located>,
) -> Result<(), Located> {
    for column in 0..x.width {
        for (row, &value) in x.data[column..].iter().step_by(x.width).enumerate() {
            if x.is_missing(row) || !trains.is_none_or(|trains| trains[row]) {
                continue;
            }
            if !value.is_finite() {
                return Err(Located::at(row, Fault::NotFinite { found: value }));
            }
            each(row, column, value)?;
        }
    }
    Ok(())
}

fn nothing_if(nothing: bool, transform: &'static str) -> Result<(), Fault> {
    if nothing { Err(Fault::NothingToFit { transform }) } else { Ok(()) }
}

fn refuse_many(count: usize, transform: &'static str) -> Result<(), Located> {
    match count > MOST_VALUES {
        true => Err(Fault::TooManyValues { transform }.into()),
        false => Ok(()),
    }
}

/// The width of most rows, the smaller of equals: then a row that differs is the one that is named.
fn most_frequent(widths: &BTreeMap<usize, u64>) -> Result<usize, Fault> {
    let most = widths.iter().max_by_key(|(width, rows)| (**rows, std::cmp::Reverse(**width)));
    most.map(|(width, _)| *width).filter(|width| *width > 0).ok_or(Fault::NoWidth)
}

impl Moments {
    fn add(&mut self, row: usize, x: f64, squared: bool) -> Result<(), Located> {
        self.sum.add(x);
        self.count += 1;
        if squared {
            if x.abs() > MOST_SQUARED {
                return Err(Located::at(row, Fault::TooLarge { found: x }));
            }
            self.squares.add_product(x, x);
        }
        Ok(())
    }

    fn merge(&mut self, other: &Moments) {
        self.sum.merge(&other.sum);
        self.squares.merge(&other.squares);
        self.count += other.count;
    }

    fn mean(&self) -> f64 {
        self.sum.value() / self.count as f64
    }

    /// Of the population; exactly 0 for a constant.
    fn deviation(&self) -> f64 {
        Exact::spread(&self.sum, &self.squares, self.count).sqrt() / self.count as f64
    }
}

impl Default for Extremes {
    fn default() -> Self {
        Extremes { min: f64::INFINITY, max: f64::NEG_INFINITY }
    }
}

impl Extremes {
    fn add(&mut self, x: f64) {
        self.min = self.min.min(x + 0.0);
        self.max = self.max.max(x + 0.0);
    }
}
