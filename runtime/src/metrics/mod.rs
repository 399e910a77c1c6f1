//! How good predictions are.
//!
//! Decided here: what each metric is, for rows that were judged, and how sure the number is. A metric is a function of all
//! labelled rows of a part, in the order of their nodes, so that it depends on neither batches nor ranks; rows may count several
//! times, which is how intervals are found.

mod classes;
mod counts;
mod interval;
mod means;
mod numbers;
mod order;
mod ordered;
mod own;
mod ranks;
mod row;
mod several;
#[cfg(test)]
mod tests;

pub use classes::ClassRows;
pub use counts::{ClassScore, Confusion, ErrorSums, Sums, Tally};
pub use interval::intervals;
pub use numbers::NumberRows;
pub use ordered::Ordered;
use own::OwnMetrics;
pub use ranks::{RankRow, RankRows, RankSums};
pub use row::argmax;
pub use several::SeveralRows;

use crate::extend::Extensions;
use gsl_plan::plan::{Metric, Predict, Task};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Labelled rows, and what a model says of them.
#[derive(Debug, Clone)]
pub struct Judged {
    kept: Kept,
    /// Whole rows, where a metric of the program's own looks at them.
    own: OwnMetrics,
}

/// What is kept of the rows for the metrics that are built in.
#[derive(Debug, Clone, PartialEq)]
enum Kept {
    Classes(ClassRows),
    Several(SeveralRows),
    Numbers(NumberRows),
    Links(RankRows),
}

/// The metrics of one relation.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct RelationScore {
    /// Ends of its links that were ranked.
    pub rows: u64,
    pub metrics: Ordered<f64>,
}

/// How often each row counts.
#[derive(Debug, Clone, Copy)]
pub enum Times<'a> {
    Once,
    Each(&'a [u32]),
}

impl Times<'_> {
    pub fn of(self, row: usize) -> u64 {
        match self {
            Times::Once => 1,
            Times::Each(times) => u64::from(times[row]),
        }
    }
}

impl Judged {
    /// No rows yet; those to come can be asked for `metrics`.
    pub fn new(task: &Task, metrics: &[Metric]) -> Self {
        Judged::with(task, metrics, &Extensions::default())
    }

    /// The same where some of `metrics` are the program's own.
    pub fn with(task: &Task, metrics: &[Metric], extensions: &Extensions) -> Self {
        let kept = match task {
            Task::Classification { classes } => Kept::Classes(ClassRows::new(classes.len(), metrics)),
            Task::MultiLabel { classes } => Kept::Several(SeveralRows::new(classes.len(), metrics)),
            Task::Regression { mean, std } => Kept::Numbers(NumberRows::new(*mean, *std)),
            Task::Reconstruction { width, .. } => Kept::Numbers(NumberRows::wide(*width)),
            Task::Links => Kept::Links(RankRows::new(metrics)),
        };
        Judged { kept, own: OwnMetrics::new(task, metrics, extensions) }
    }

    /// Adds a labelled row: its label, as the graph stores it, and its raw scores.
    pub fn add(&mut self, label: &[f32], scores: &[f32]) {
        self.own.add(label, scores);
        match &mut self.kept {
            Kept::Classes(rows) => rows.add(label[0] as usize, scores),
            Kept::Several(rows) => rows.add(label, scores),
            Kept::Numbers(rows) => rows.add(f64::from(label[0]), scores[0]),
            Kept::Links(_) => {}
        }
    }

    /// Adds the numbers of a row whose target is a stored feature.
    pub fn compare(&mut self, scores: &[f32], target: impl IntoIterator<Item = f32>) {
        let target: Vec<f32> = target.into_iter().collect();
        self.own.add(&target, scores);
        if let Kept::Numbers(rows) = &mut self.kept {
            scores.iter().zip(target).for_each(|(score, target)| rows.add(f64::from(target), *score));
        }
    }

    /// Adds one end of a link.
    pub fn add_rank(&mut self, row: RankRow) {
        if let Kept::Links(rows) = &mut self.kept {
            rows.add(row);
        }
    }

    /// After the last row: puts what has to be in order in order.
    pub fn finish(&mut self) {
        match &mut self.kept {
            Kept::Classes(rows) => rows.finish(),
            Kept::Several(rows) => rows.finish(),
            Kept::Numbers(_) | Kept::Links(_) => {}
        }
    }

    fn is_of_numbers(&self) -> bool {
        matches!(self.kept, Kept::Numbers(_))
    }

    pub fn rows(&self) -> usize {
        match &self.kept {
            Kept::Classes(rows) => rows.len(),
            Kept::Several(rows) => rows.len(),
            Kept::Numbers(rows) => rows.len(),
            Kept::Links(rows) => rows.len(),
        }
    }

    /// How many numbers a pass over the rows looks at.
    fn effort(&self) -> usize {
        let built_in = match &self.kept {
            Kept::Classes(rows) => rows.effort(),
            Kept::Several(rows) => rows.effort(),
            Kept::Numbers(rows) => rows.len(),
            Kept::Links(rows) => rows.len(),
        };
        built_in + self.own.effort()
    }

    /// The metric, or none where the rows do not define it: no rows, one class only, a metric of another task.
    pub fn metric(&self, metric: Metric) -> Option<f64> {
        self.counted(metric, Times::Once, &self.sums(Times::Once))
    }

    /// One number for each class.
    pub fn by_class(&self, metric: Metric) -> Vec<Option<f64>> {
        match &self.kept {
            Kept::Classes(rows) => rows.by_class(metric),
            Kept::Several(rows) => rows.by_class(metric),
            Kept::Numbers(_) | Kept::Links(_) => Vec::new(),
        }
    }

    /// What the rows add up to.
    pub fn sums(&self, times: Times) -> Sums {
        match &self.kept {
            Kept::Classes(rows) => Sums::Classes(rows.confusion(times)),
            Kept::Several(rows) => Sums::Several(rows.tallies(times)),
            Kept::Numbers(rows) => Sums::Errors(rows.errors(times)),
            Kept::Links(rows) => Sums::Ranks(rows.sums(times)),
        }
    }

    /// The metric of rows that count so many times, given their sums.
    fn counted(&self, metric: Metric, times: Times, sums: &Sums) -> Option<f64> {
        if let Metric::Rust { name, .. } = metric {
            let ranks = if let Kept::Links(links) = &self.kept { links.rows() } else { &[] };
            return self.own.value(name, ranks, times);
        }
        match &self.kept {
            Kept::Classes(rows) => rows.metric(metric, times),
            Kept::Several(rows) => rows.metric(metric, times),
            Kept::Numbers(_) | Kept::Links(_) => None,
        }
        .or_else(|| sums.metric(metric))
    }

    /// By name, those of `metrics` that are one number and that the rows define.
    pub fn named(&self, metrics: &[Metric]) -> Ordered<f64> {
        let sums = self.sums(Times::Once);
        let single = metrics.iter().filter(|m| !m.is_by_class());
        single.filter_map(|m| Some((m.name(), self.counted(*m, Times::Once, &sums)?))).collect()
    }

    /// Of each relation with links, by its number among those of the prediction, the metrics that its rows define.
    pub fn by_relation(&self, metrics: &[Metric]) -> BTreeMap<u32, RelationScore> {
        let Kept::Links(rows) = &self.kept else { return BTreeMap::new() };
        let score = |sums: RankSums| RelationScore {
            rows: sums.n as u64,
            metrics: metrics.iter().filter_map(|m| Some((m.name(), sums.metric(*m)?))).collect(),
        };
        rows.by_relation().into_iter().map(|(kind, sums)| (kind, score(sums))).collect()
    }

    /// By name, those of the metrics of `predict` that are one number for each class.
    pub fn named_by_class(&self, predict: &Predict) -> Ordered<Vec<Option<f64>>> {
        let by_class = predict.metrics.iter().filter(|m| m.is_by_class());
        by_class.map(|m| (m.name(), self.by_class(*m))).collect()
    }
}
