//! Metrics that are the mean of a number of each row.

use super::Times;
use super::row::{ndcg, recall_at};
use gsl_plan::plan::Metric;

/// These numbers, by metric; NaN where a row has none.
#[derive(Debug, Clone, PartialEq)]
pub struct Means {
    values: Vec<(Metric, Vec<f64>)>,
}

impl Means {
    /// For `always`, and those of `asked` that are of the order of a row's classes.
    pub fn new(always: &[Metric], asked: &[Metric]) -> Self {
        let ordered = asked.iter().filter(|m| matches!(m, Metric::Ndcg(_) | Metric::RecallAt(_)));
        Means { values: always.iter().chain(ordered).map(|m| (*m, Vec::new())).collect() }
    }

    /// How many numbers a row has.
    pub fn width(&self) -> usize {
        self.values.len()
    }

    pub fn add(&mut self, mut of: impl FnMut(Metric) -> Option<f64>) {
        for (metric, values) in &mut self.values {
            values.push(of(*metric).unwrap_or(f64::NAN));
        }
    }

    /// The mean over the rows that have a number.
    pub fn metric(&self, metric: Metric, times: Times) -> Option<f64> {
        let (_, values) = self.values.iter().find(|(m, _)| *m == metric)?;
        let (mut sum, mut rows) = (0.0, 0);
        for (row, value) in values.iter().enumerate().filter(|(_, v)| !v.is_nan()) {
            sum += value * times.of(row) as f64;
            rows += times.of(row);
        }
        (rows > 0).then(|| sum / rows as f64)
    }
}

/// A metric of one row's classes, each a score and whether the row has it, in the order of their scores.
pub fn of_row(metric: Metric, classes: impl Iterator<Item = (f64, bool)>) -> Option<f64> {
    match metric {
        Metric::Ndcg(k) => ndcg(&mut classes.collect::<Vec<_>>(), k),
        Metric::RecallAt(k) => recall_at(&mut classes.collect::<Vec<_>>(), k),
        _ => None,
    }
}
